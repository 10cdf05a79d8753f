"""One agent: what the service knows of it, and its life as a pure function of time.

No clock, no store, no switch: statuses follow from timestamps, so nothing has to run in the background. Times
are epoch seconds of the world's clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from reconciler.values import dataclass


class Status(IntEnum):
    """The documented states and their numbers (v2 API reference: lifecycle; RECOVERING is gone from current
    pages)."""

    IDLE = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    STOPPED = 4
    RECOVERING = 5
    FAILED = 6


RTC_ERROR = "RTC connection error"
"""The words for an agent that cannot enter its channel, or stay there."""


class End(NamedTuple):
    """When, how and with which words an agent ends."""

    at: float
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent that was started, running or not.

    `body` is the join body in its present form: as it was sent, with every applied update folded in. `end` is
    its end as things stand now, past or to come. `shown` is a status that the world was told to show while it
    lives.
    """

    number: int
    agent_id: str
    project: str
    name: str
    channel: str
    uid: str
    created_at: float
    running_at: float
    lifetime_until: float
    end: End
    body: bytes
    left_at: float | None = None
    stopping_at: float | None = None
    token_until: float | None = None
    idle_at: float | None = None
    doom: End | None = None
    shown: Status | None = None

    def status_at(self, at: float) -> Status:
        """The status at one instant."""
        if at >= self.end.at:
            return self.end.status
        if self.stopping_at is not None and self.left_at is not None:
            if at >= self.stopping_at:
                return Status.STOPPING
            if at >= self.left_at:
                return Status.IDLE
        if self.shown is not None:
            return self.shown
        return Status.STARTING if at < self.running_at else Status.RUNNING

    def live_at(self, at: float) -> bool:
        """Whether the agent has been created and has not ended: STOPPING still counts."""
        return self.created_at <= at < self.end.at

    @property
    def properties(self) -> dict[str, Any]:
        """The agent's present properties, parsed anew at each call."""
        properties: dict[str, Any] = orjson.loads(self.body)["properties"]
        return properties


def first_end(
    lifetime_until: float, token_until: float | None, idle_at: float | None, doom: End | None = None
) -> End:
    """The earliest of everything that may end an agent (v2 API reference: lifecycle, messages of event 102)."""
    end = End(lifetime_until, Status.STOPPED, "Task lifetime limit exceeded")
    if token_until is not None and token_until < end.at:
        end = End(token_until, Status.FAILED, RTC_ERROR)
    if idle_at is not None and idle_at < end.at:
        end = End(idle_at, Status.STOPPED, "Idle for too long")
    if doom is not None and doom.at < end.at:
        end = doom
    return end


def rescheduled(agent: Agent) -> Agent:
    """`agent` with its end computed anew, after one of the things that may end it has changed."""
    return replace(agent, end=first_end(agent.lifetime_until, agent.token_until, agent.idle_at, agent.doom))


_LETTERS = bytes(65 + byte % 26 for byte in range(256))
_DIGITS = bytes(48 + byte % 10 for byte in range(256))


def agent_id(seed: str, number: int) -> str:
    """The id of the world's `number`-th agent: 32 upper-case alphanumerics, shaped like ids seen in public
    logs."""
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=29).digest()
    letters = digest.translate(_LETTERS).decode()
    digits = digest.translate(_DIGITS).decode()
    pairs = "".join([letters[i : i + 2] + digits[i + 2 : i + 4] for i in range(0, 28, 4)])
    return f"A42{pairs}{letters[28]}"
