"""Runs the program git: plumbing commands that use no hook, filter, pager or prompt of the user's configuration.

Nothing that a checkout contains is executed, and no identity needs to be configured. Calls block.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import UsageError

# Settings that override every configuration: no file monitor, no hooks, no automatic maintenance.
_SAFE = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
)
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


@dataclass(frozen=True, slots=True)
class Git:
    """git in a directory; no command takes longer than `seconds`."""

    directory: Path
    seconds: float = 60.0

    def run(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
        """Run a command with `data` as its input.

        Raises `UsageError` if git or the directory is missing, if git takes too long, or if its output is too large.
        """
        try:
            done = subprocess.run(  # noqa: S603  # a fixed program, no shell
                ["git", *_SAFE, *arguments],  # noqa: S607  # git from PATH, as users expect
                cwd=self.directory,
                input=data,
                env={**_inherited(), **_ENVIRONMENT, **(environment or {})},
                capture_output=True,
                timeout=self.seconds,
                # Keeps Ctrl-C away from git: a push that is interrupted would have an unknown outcome.
                start_new_session=True,
                check=False,
            )
        except FileNotFoundError:
            raise UsageError(
                "git is needed for this and is not installed, or there is no such directory"
            ) from None
        except subprocess.TimeoutExpired:
            raise UsageError(f"git did not answer within {self.seconds:.0f} s: git {arguments[0]}") from None
        if len(done.stdout) > _LARGEST:
            raise UsageError(f"git answered with more than {_LARGEST >> 20} MiB: git {arguments[0]}")
        return Ran(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())

    def read(self, *arguments: str) -> bytes | None:
        """Return the output of a command; None if it fails."""
        done = self.run(*arguments)
        return done.out if done.code == 0 else None


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
