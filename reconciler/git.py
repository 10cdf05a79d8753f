"""git, the program: plumbing commands that run no hook, filter, pager or prompt of anybody's configuration.

Nothing that a checkout brings along is executed, and no identity needs to be configured. Calls block.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.values import dataclass

# What git itself may not do on our behalf, whatever a configuration says.
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
# An answer beyond this is no fleet, and no state of one.
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command of git ended: its exit code, what it printed, and what it complained of."""

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

        Raises `UsageError` where there is no git, no such directory, no answer in time, or too much of one.
        """
        try:
            done = subprocess.run(  # noqa: S603  # a fixed program, no shell
                ["git", *_SAFE, *arguments],  # noqa: S607  # the one in PATH, as its users expect
                cwd=self.directory,
                input=data,
                env={**_inherited(), **_ENVIRONMENT, **(environment or {})},
                capture_output=True,
                timeout=self.seconds,
                # Ctrl-C is for us: a push that it cuts short is one of unknown outcome.
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
        """What a command prints; None where it fails."""
        done = self.run(*arguments)
        return done.out if done.code == 0 else None


# What a hook of git tells its children about another directory than ours.
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
    """The environment for git: the service's credentials are not its business, and are not even read."""
    return {
        name: os.environ[name]
        for name in os.environ
        if not name.startswith("AGORA_") and name not in _OF_A_HOOK
    }
