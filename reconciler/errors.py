"""The errors that end a command, and the exit code of each.

The tree:

    ReconcilerError                1  any error that ends a command with a message instead of a traceback
    ├── UsageError                 1  flags or arguments that make no sense together
    ├── InvalidConfig              1  problems in the user's files; carries every diagnostic
    ├── ServiceError               1  the service refused, failed or could not be reached
    │   ├── AuthenticationFailed   1  401/403: the credentials or the project are refused
    │   ├── IncompleteRead         1  a list or reply that cannot be trusted as a whole
    │   └── ReadAbandoned          1  a read that was not waited for, because the run is stopping
    ├── SecretUnavailable          1  a secret reference has no value here
    ├── NotReady                   1  something that the whole apply needs is missing; nothing was done
    ├── ArchiveFailed              1  a transcript cannot be archived
    ├── StateError                 1  the state is damaged, foreign, newer or cannot be written
    ├── StalePlan                  3  the plan has changed since it was approved
    ├── StateLocked                4  another process holds the state
    └── Refused                    5  a limit or an empty fleet refuses the whole apply

Exit codes are a published contract; 2 (changes present) and 6 (incomplete) are results, not errors, and
130/143 are signals. Nothing here formats output or knows a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import ClassVar

from reconciler.diagnostics import Problem


class ExitCode(IntEnum):
    """The published exit codes (README, "Exit codes")."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    STALE = 3
    LOCKED = 4
    REFUSED = 5
    INCOMPLETE = 6


class ReconcilerError(Exception):
    """Anything that ends a command with a message: what happened, and what to do about it."""

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR
    rule: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def with_hint(self) -> str:
        """The message, with the hint in brackets behind it if there is one."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(ReconcilerError):
    """Flags or arguments that make no sense, alone or together."""

    rule = "usage"


class InvalidConfig(ReconcilerError):
    """The user's files have problems; all of them are in `diagnostics`, sorted by place.

    `directory` is the fleet's, to which the paths are relative; whoever loads a fleet sets it.
    """

    rule = "invalid-config"
    directory = "."

    def __init__(self, diagnostics: Sequence[Problem]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=Problem.sort_key))
        errors = sum(1 for each in self.diagnostics if each.is_error)
        super().__init__(
            f"the fleet's files have {errors} error{'s' if errors != 1 else ''}; nothing was done"
        )


class ServiceError(ReconcilerError):
    """The service refused, failed or could not be reached; no call is made for `again_in` seconds."""

    rule = "service"
    again_in = 0.0


class AuthenticationFailed(ServiceError):
    """The service refused our credentials or our project (401, 403): no call of this run can succeed."""

    rule = "authentication"


class IncompleteRead(ServiceError):
    """A reply that cannot be trusted as a whole: nothing may be decided from it."""

    rule = "incomplete-read"


class ReadAbandoned(ServiceError):
    """A read that was not waited for, because the run is stopping: it says nothing about the service."""

    rule = "interrupted"


class SecretUnavailable(ReconcilerError):
    """A secret reference has no value on this machine; the message names the reference, never a value.

    `missing` gives for each reference, as text, why it has none; it is empty if no single reference is the cause.
    """

    rule = "secret-unavailable"

    def __init__(
        self, message: str, *, hint: str | None = None, missing: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing = dict(missing or {})


class NotReady(ReconcilerError):
    """An apply could not succeed as things stand: a secret without a value, a refused credential, a wrong clock."""

    rule = "not-ready"


class StateError(ReconcilerError):
    """The state cannot be read, trusted or written."""

    rule = "state"


def restore_hint(copy: str) -> str:
    """Return the hint for a state that cannot be used; `copy` names the copy to restore."""
    return f"put {copy} back, or move the file away: the next plan finds every agent again by its name"


class ArchiveFailed(ReconcilerError):
    """The transcript of a session cannot be archived."""

    rule = "archive"


class StalePlan(ReconcilerError):
    """The plan has changed since it was approved."""

    exit_code = ExitCode.STALE
    rule = "stale-plan"


class StateLocked(ReconcilerError):
    """Another process holds the state."""

    exit_code = ExitCode.LOCKED
    rule = "state-locked"


class Refused(ReconcilerError):
    """A limit or an empty fleet refuses the whole apply; nothing was done."""

    exit_code = ExitCode.REFUSED
    rule = "refused"
