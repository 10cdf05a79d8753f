"""Runs the program git: plumbing commands that use no hook, filter, pager or prompt of the user's configuration.

Nothing that a checkout contains is executed, and no identity needs to be configured. Calls block.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.values import dataclass

# Settings that override every configuration: no file monitor, no hooks, no automatic maintenance.
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false")
_SAFE = tuple(part for each in _SETTINGS for part in ("-c", each))
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
# The largest output that is accepted; a fleet or its state is far smaller.
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a git command: its exit code, its output and its error text."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "surrogateescape").strip()

    @property
    def reason(self) -> str:
        """The reason that git gave for a failure, in one line, without credentials."""
        lines = [each.strip() for each in self.err.splitlines() if each.strip()]
        last = lines[-1] if lines else ""
        told = next((each for each in lines if each.startswith(("fatal:", "error:"))), last)
        return shown(told.removeprefix("fatal:").removeprefix("error:").strip()[:300]) or "it gave no reason"


def shown(text: str) -> str:
    """Return a text without the user name and password of URLs, for example a remote's URL in an error message."""
    return re.sub(r"//[^/@\s]*@", "//", text)


@dataclass(frozen=True, slots=True)
class Git:
    """git in a directory; no command takes longer than `seconds`."""

    directory: Path
    seconds: float = 60.0
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set, init=False, compare=False, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False, compare=False, repr=False)

    def run(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
        """Run a command with `data` as its input.

        Raises `UsageError` if git or the directory is missing, if git takes too long, if its output is too large, or after
        `stop`.
        """
        if self._stopped.is_set():
            raise UsageError("git was stopped, and starts no further command")
        try:
            child = subprocess.Popen(  # noqa: S603  # a fixed program, no shell
                ["git", *_SAFE, *arguments],  # noqa: S607  # git from PATH, as users expect
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**_inherited(), **_ENVIRONMENT, **(environment or {})},
                # Keeps Ctrl-C away from git: a push that is interrupted would have an unknown outcome.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise UsageError(
                "git is needed for this and is not installed, or there is no such directory"
            ) from None
        self._running.add(child)
        with child:
            try:
                if self._stopped.is_set():
                    _end(child)
                out, err = child.communicate(data, self.seconds)
            except subprocess.TimeoutExpired:
                raise UsageError(
                    f"git did not answer within {self.seconds:.0f} s: git {arguments[0]}"
                ) from None
            finally:
                self._running.discard(child)
                _end(child)
        if len(out) > _LARGEST:
            raise UsageError(f"git answered with more than {_LARGEST >> 20} MiB: git {arguments[0]}")
        return Ran(child.returncode, out, err.decode("utf-8", "replace").strip())

    def stop(self) -> None:
        """End running commands and refuse new ones; for commands whose outcome is not needed any more."""
        self._stopped.set()
        for child in list(self._running):
            _end(child)

    def read(self, *arguments: str) -> bytes | None:
        """Return the output of a command; None if it fails."""
        done = self.run(*arguments)
        return done.out if done.code == 0 else None

    def without_filters(self) -> dict[str, str]:
        """Return environment variables that disable every configured filter; an attribute could start one."""
        names = self.read("config", "--null", "--name-only", "--get-regexp", r"^filter\.") or b""
        drivers = {name.rsplit(".", 1)[0] for name in os.fsdecode(names).split("\0") if name}
        off = [
            (f"{each}.{key}", value)
            for each in sorted(drivers)
            for key, value in (("smudge", ""), ("clean", ""), ("process", ""), ("required", "false"))
        ]
        variables = {"GIT_CONFIG_COUNT": str(len(off))}
        for number, (key, value) in enumerate(off):
            variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return variables


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a running command with its child processes: the one that talks to a remote would wait for it further."""
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:  # Windows
            child.kill()


# Variables that a git hook sets for its children; they point to another repository than `directory`.
_OF_A_HOOK = frozenset(
    {
        "GIT_DIR",
        "GIT_COMMON_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_PREFIX",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_QUARANTINE_PATH",
    }
)


def _inherited() -> dict[str, str]:
    """Return the environment for git, without the service's credentials, which are not even read."""
    return {
        name: os.environ[name]
        for name in os.environ
        if not name.startswith("AGORA_") and name not in _OF_A_HOOK
    }
