"""Choose the backend of a state by its URL: a file beside the fleet, or a ref of the fleet's Git repository."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.errors import StateError, UsageError
from reconciler.git import Git, shown
from reconciler.model.address import Owner
from reconciler.state.blocking import BlockingStore
from reconciler.state.local import LocalStore
from reconciler.state.seen import SeenFile, seen_directory

STATE_DIRECTORY: Final = ".reconciler"
# The value of --state for the file beside the fleet, where RECONCILER_STATE names another state.
LOCAL: Final = "local"
KEY_VARIABLE: Final = "RECONCILER_KEY"
_GIT: Final = "git:"
_SHORTEST_KEY: Final = 16
# The scheme of a URL that names no backend of ours; `C:` is a drive.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def state_path(directory: Path, environment: str | None) -> Path:
    """Return the path of the local state of a fleet's environment."""
    # An environment may be named "default", which differs from having none.
    name = "env-default" if environment == "default" else environment or "default"
    return directory / STATE_DIRECTORY / f"{name}.state"


def is_in_git(url: str | None) -> bool:
    """Return whether a state's URL names a Git remote."""
    return url is not None and url.startswith(_GIT)


def for_a_controller(url: str | None) -> str:
    """Return why a controller should not write a state at this URL; empty where it may."""
    if not is_in_git(url):
        return ""
    return (
        "each commit to a state in Git is a push, and another one every few seconds keeps its lease; one controller alone "
        "may do so, and several processes, or more than a few changes a minute, want a state in a file"
    )


def open_state(
    url: str | None, directory: Path, environment: str | None, owner: Owner, variables: Mapping[str, str]
) -> BlockingStore:
    """Open the state at `git:REMOTE` or at a path; for `local` or None, the file beside the fleet. Reads nothing yet.

    `variables` are the environment variables: for the key of the digests, and the directory of seen serials.
    """
    seen = seen_directory(variables)
    if url in (None, LOCAL):
        return LocalStore(state_path(directory, environment), seen=seen, is_beside_fleet=True)
    if not url.startswith(_GIT):
        scheme = _SCHEME.match(url)
        if not url or scheme is not None:
            raise UsageError(
                f"--state {url!r} names no state that can be used",
                hint="write git:REMOTE, or the path of a file",
            )
        return LocalStore(Path(url), seen=seen)
    return _in_git(url.removeprefix(_GIT), directory, owner, seen, _key(variables))


def _in_git(remote: str, directory: Path, owner: Owner, seen: Path | None, key: bytes) -> BlockingStore:
    from reconciler.state.log.git_objects import ask, need
    from reconciler.state.log.git_ref import GitDrawer
    from reconciler.state.log.ref_door import RefDoor
    from reconciler.state.log.ref_lease import RefLease
    from reconciler.state.log.snapshots import knock_ref_of, lead_ref_of, lease_ref_of, ref_of
    from reconciler.state.log.store import LogStore

    git = Git(directory)
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    ran = ask(git, "rev-parse", "--git-common-dir")
    if ran.code != 0:
        raise StateError(
            f"{directory} is in no Git checkout, and the state {_GIT}{shown(remote)} is a ref of one: {ran.reason}",
            hint="run this in a clone of the fleet's repository; or keep the state in a file, without --state",
        )
    remotes = need(git, "remote").split()
    if remote.startswith("-") or (remote not in remotes and not re.search(r"[/:\\]", remote)):
        raise UsageError(
            f"this checkout has no remote {remote!r}" if remote else "--state git: names no remote",
            hint=f"it has {', '.join(remotes)}" if remotes else "git remote add origin URL",
        )
    ref = ref_of(owner)
    place = Path(directory, ran.text, ref)
    drawer = GitDrawer(git, remote, ref)
    lease = RefLease(git, remote, lease_ref_of(owner))
    return LogStore(
        drawer,
        lease,
        name=drawer.name,
        key=key,
        seen=None if seen is None else SeenFile(seen, place),
        probe=drawer.probe,
        controllers=RefLease(git, remote, lead_ref_of(owner)),
        door=RefDoor(git, remote, knock_ref_of(owner)),
        abandon=git.stop,
    )


def _key(variables: Mapping[str, str]) -> bytes:
    """Return the key of the digests of secret values, from the environment; empty where there is none."""
    text = variables.get(KEY_VARIABLE, "")
    if not text:
        return b""
    if len(text) < _SHORTEST_KEY:
        raise UsageError(
            f"{KEY_VARIABLE} is shorter than {_SHORTEST_KEY} characters: digests made with it could be guessed",
            hint="make one, and keep it with the other secrets: openssl rand -hex 32",
        )
    return hashlib.blake2b(
        text.encode("utf-8", "surrogateescape"), person=b"state key", digest_size=32
    ).digest()
