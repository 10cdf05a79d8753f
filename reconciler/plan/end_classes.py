"""The five classes of an agent's end: they decide what is counted and what the controller does about it."""

from __future__ import annotations

import math
from enum import StrEnum

from reconciler.model.capabilities import Capabilities, EndKind
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Record

# An agent that ends within this time of its start (seconds) counts as never started: a join answers RUNNING before any
# media is there, and a bad token or certificate shows 1 to 3 s later (v2 API reference: "Lifecycle").
EARLY = 60.0


class EndClass(StrEnum):
    """The classes of ends; the values are part of the metrics."""

    LIFETIME = "lifetime"  # the service's own limit
    IDLE = "idle"  # no user was in its channel
    STOPPED = "stopped"  # ended through the API, but not by this tool
    FAILED = "failed"
    NEVER_STARTED = "never_started"


def end_class(able: Capabilities, ended: ObservedAgent) -> EndClass:
    """Return the class of an end that this tool has not asked for."""
    kind = able.end_of(ended.message).kind
    if kind is EndKind.ASKED:
        return EndClass.STOPPED
    if kind is EndKind.NO_START or lived(ended) < EARLY:
        return EndClass.NEVER_STARTED
    if kind is EndKind.LIFETIME:
        return EndClass.LIFETIME
    if kind is EndKind.IDLE:
        return EndClass.IDLE
    # The service does not always give a reason: an agent that is STOPPED without a message was told to leave.
    is_told = ended.status is AgentStatus.STOPPED and not ended.message
    return EndClass.STOPPED if is_told else EndClass.FAILED


def class_of_record(able: Capabilities, record: Record, ended: ObservedAgent | None, now: float) -> EndClass:
    """Return the class of a recorded agent's end; its age decides where the service does not know it any more."""
    if ended is not None:
        return end_class(able, ended)
    return (
        EndClass.LIFETIME
        if now - record.started_at >= able.lifetime(record.body.properties)
        else EndClass.FAILED
    )


def lived(ended: ObservedAgent) -> float:
    """Return how long an ended agent has lived, in seconds; infinite where the service does not say."""
    return math.inf if not ended.stopped_at else max(0.0, ended.stopped_at - ended.started_at)
