"""Read the states in the history of a Git ref, as this checkout has fetched them: nothing is fetched or written."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.errors import StateError, UsageError
from reconciler.git import Git
from reconciler.model.address import Owner
from reconciler.model.record import State
from reconciler.state.damage import Damaged
from reconciler.state.log.git_objects import KeyTree, commit_of, is_ancestor
from reconciler.state.log.replay import Replay
from reconciler.values import dataclass

_FETCH = "git fetch origin '+refs/reconciler/*:refs/reconciler/*'"
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at one commit of its ref."""

    commit: str
    state: State


def ref_of(owner: Owner) -> str:
    """Return the ref for the state of a fleet's environment; raise `UsageError` if Git allows no such name."""
    if str(owner).endswith(".lock"):
        raise UsageError(
            f"no ref of Git can be called refs/reconciler/{owner}",
            hint="call the environment something else than lock, or keep its state in a file",
        )
    return f"refs/reconciler/{owner}"


def lease_ref_of(owner: Owner) -> str:
    """Return the ref for the lease on that state; a fetch of the states does not include it."""
    return f"refs/reconciler-lease/{owner}"


def lead_ref_of(owner: Owner) -> str:
    """Return the ref of the lease of the leading controller of that state."""
    return f"refs/reconciler-lead/{owner}"


def knock_ref_of(owner: Owner) -> str:
    """Return the ref of the door of that state, at which processes knock that wait to write it."""
    return f"refs/reconciler-knock/{owner}"


def latest(directory: Path, ref: str) -> Snapshot:
    """Return the state at the tip of the ref. Raises `UsageError` without such a ref, `StateError` if it is damaged."""
    git = Git(directory)
    return _read(git, ref, _tip(git, ref))


def at(directory: Path, ref: str, commit: str) -> Snapshot:
    """Return the state at a commit. Raises `UsageError` if this checkout does not have it in the history of the ref."""
    git = Git(directory)
    tip = _tip(git, ref)
    if (
        _COMMIT.fullmatch(commit) is None
        or commit_of(git, commit) != commit
        or not is_ancestor(git, commit, tip)
    ):
        raise UsageError(
            f"{commit[:80]!r} is no commit in the history of {ref} in this checkout; nothing was done",
            hint=f"fetch the state, all of its history: {_FETCH}",
        )
    return _read(git, ref, commit)


def _tip(git: Git, ref: str) -> str:
    tip = commit_of(git, ref)
    if tip is None:
        raise UsageError(
            f"this checkout ({git.directory}) has no state {ref}",
            hint=f"fetch it first: {_FETCH}; where nothing was applied yet there is none",
        )
    return tip


def _read(git: Git, ref: str, commit: str) -> Snapshot:
    replay = Replay(ref)
    try:
        replay.catch_up(KeyTree.of(git, commit, is_offline=True))
        return Snapshot(commit, replay.state())
    except Damaged as problem:
        raise StateError(
            f"the state {ref} is damaged at {commit[:12]}: {problem.what}",
            hint=f"nothing was changed; fetch it again: {_FETCH}",
        ) from problem
