"""What must hold of a state as a whole, beyond what each row says of itself: edited states are told by it.

A checksum shows damage, not intent: whoever can write the file can write the checksum. Nothing here makes such a
state harmless (no record is acted upon before the service has shown its agent to be ours); it makes it a message.
"""

from __future__ import annotations

import re

from reconciler.errors import StateError
from reconciler.model.address import Address, AgentName
from reconciler.model.record import Intent, Operation, State
from reconciler.state.document import damaged

# What the service's ids look like (reliability: T9); an id is put into addresses of requests.
_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LARGEST = 2**53


def check(state: State) -> None:
    """Raises `StateError` for a state that no run of ours has written."""
    if not 0 <= state.serial <= _LARGEST:
        raise damaged(f"its serial is {state.serial}")
    seen: dict[str, Address] = {}
    for record in state.records.values():
        if _AGENT_ID.fullmatch(record.agent_id) is None or record.generation < 0:
            raise damaged(f"the record of {record.address} is not of this format")
        other = seen.setdefault(record.agent_id, record.address)
        if other != record.address:
            raise damaged(f"agent {record.agent_id} is recorded at {other} and at {record.address}")
    for intent in state.intents:
        _check_intent(intent)


def _check_intent(intent: Intent) -> None:
    if intent.operation is Operation.JOIN:
        is_good = (
            intent.body is not None and intent.generation >= 1 and AgentName.parse(intent.name) is not None
        )
    else:
        is_good = _AGENT_ID.fullmatch(intent.agent_id) is not None
    if not is_good:
        raise damaged(f"the intent {intent.key} is not of this format")


def address_of(text: str) -> Address:
    """The address in a row; `StateError` when it is none."""
    channel, slash, name = text.rpartition("/")
    if not slash or not channel or not name:
        raise damaged(f"{text[:80]!r} is not an address")
    return Address(channel, name)


def older(path: object, serial: int, seen: int) -> StateError:
    """The refusal of a state that is older than one that this machine has seen."""
    return StateError(
        f"the state {path} is older than it was: its serial is {serial}, and this machine has seen {seen}; "
        "nothing was done",
        hint="put the latest copy back, or move the file away: the next plan finds every agent again by its name",
    )


def other_lineage(path: object) -> StateError:
    """The refusal of a state that somebody has put in the place of another one."""
    return StateError(
        f"the state {path} is not the one that this machine has seen at this place; nothing was done",
        hint="put the right copy back, or move the file away: the next plan finds every agent again by its name",
    )
