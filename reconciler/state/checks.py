"""Checks of a state as a whole, beyond those of its rows; they find a state that was edited.

A checksum finds damage, not intent: a person who can write the file can write its checksum. These checks do not make
such a state safe (that is ensured by a query, which must show an agent to be ours before any act); they report it.
"""

from __future__ import annotations

import re

from reconciler.errors import StateError, restore_hint
from reconciler.model.address import Address, AgentName
from reconciler.model.observed import AGENT_ID
from reconciler.model.record import Intent, Operation, State
from reconciler.state.damage import damaged

_AGENT_ID = re.compile(AGENT_ID)
_LARGEST = 2**53
# A name has room for ten digits; one generation a second takes thirty years to reach this number.
MOST_GENERATIONS = 10**9
# The last second of the year 9999, the last date that can be written.
_LAST_MOMENT = 253_402_300_799


def is_time(stamp: object) -> bool:
    """Return whether a stored time is None or can be written as a date."""
    return stamp is None or (isinstance(stamp, (int, float)) and 0 <= stamp <= _LAST_MOMENT)


def check(state: State) -> None:
    """Raise `StateError` for a state that no run of ours has written."""
    if not (state.serial >= 0 and state.offset >= 0 and state.version <= _LARGEST):
        raise damaged(f"its serial is {state.version}")
    seen: dict[str, Address] = {}
    for record in state.records.values():
        if _AGENT_ID.fullmatch(record.agent_id) is None:
            raise damaged(f"the record of {record.address} has {record.agent_id[:40]!r} for an agent's id")
        if not 0 <= record.generation <= MOST_GENERATIONS:
            raise damaged(f"the record of {record.address} has the generation {record.generation}")
        if not all(
            map(is_time, (record.started_at, record.token_expires_at, record.retry_at, *record.stops))
        ):
            raise damaged(f"the record of {record.address} has a time that is none")
        other = seen.setdefault(record.agent_id, record.address)
        if other != record.address:
            raise damaged(f"agent {record.agent_id} is recorded at {other} and at {record.address}")
    for intent in state.intents:
        _check_intent(intent)


def _check_intent(intent: Intent) -> None:
    wrong = ""
    times = (intent.created_at, intent.unknown_since, intent.refused_since, intent.sent_at)
    if not all(map(is_time, times)):
        wrong = "has a time that is none"
    elif intent.operation is Operation.REFUSED:
        wrong = "" if intent.body is not None and intent.attempt > 0 else "does not say what was refused"
    elif not intent.is_of_a_join:
        wrong = (
            "" if _AGENT_ID.fullmatch(intent.agent_id) else f"has {intent.agent_id[:40]!r} for an agent's id"
        )
    elif AgentName.parse(intent.name) is None:
        wrong = f"has {intent.name[:80]!r} for an agent's name"
    elif not 1 <= intent.generation <= MOST_GENERATIONS:
        wrong = f"has the generation {intent.generation}"
    elif intent.body is None:
        wrong = "has no body to send"
    if wrong:
        raise damaged(f"the intent to {intent.operation} {intent.address} {wrong}")


def older(path: object, serial: int, seen: int) -> StateError:
    """Return the error for a state that is older than one that this machine has seen."""
    return StateError(
        f"the state {path} is older than it was: its serial is {serial}, and this machine has seen {seen}; "
        "nothing was done",
        hint=restore_hint("the latest copy"),
    )


def other_lineage(path: object) -> StateError:
    """Return the error for a state whose lineage differs from the one that this machine has seen at this place."""
    return StateError(
        f"the state {path} is not the one that this machine has seen at this place; nothing was done",
        hint=restore_hint("the right copy"),
    )
