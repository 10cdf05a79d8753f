"""The predecessor of a join-first replacement: the intent that holds it, and its record if the successor ends. Pure."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.record import Intent, Operation, Record
from reconciler.model.writes import PutIntent, Write
from reconciler.plan.basis import Basis


def leave_intent_for(predecessor: Record | None, successor: Record, now: float) -> list[Write]:
    """Return the open leave intent for the agent whose record the successor's is about to overwrite.

    With join-first the predecessor may still run, and after that write no record has its id any more. The intent holds
    its body, from which its record is written again if the successor ends at once.
    """
    if predecessor is None or predecessor.agent_id == successor.agent_id:
        return []
    intent = Intent(
        Operation.LEAVE,
        predecessor.address,
        predecessor.name,
        now,
        agent_id=predecessor.agent_id,
        generation=predecessor.generation,
        uid=predecessor.uid,
        body=None if predecessor.unsent or predecessor.replacing else predecessor.body,
        protect=predecessor.protect,
    )
    return [PutIntent(intent)]


def kept_predecessor(intent: Intent, successor: Record | None, basis: Basis) -> Record | None:
    """Return the record of an agent that stays, because its successor has ended before it was told to leave; else None.

    Only the intent that came with the successor's record has a body: that of the leave's call replaces it.
    """
    if intent.operation is not Operation.LEAVE or intent.body is None or successor is None:
        return None
    agent = basis.agent(intent.agent_id)
    if agent is None or not agent.status.is_live or successor.agent_id not in basis.ended:
        return None
    # The failures of the new body are counted in the record of the predecessor, which is the one that stays.
    return replace(
        successor,
        agent_id=intent.agent_id,
        name=intent.name,
        generation=intent.generation,
        uid=intent.uid,
        body=intent.body,
        started_at=agent.started_at,
        token_expires_at=None,  # not known any more, so it is renewed
        protect=intent.protect,
        unsent=False,
        secrets={},
    )
