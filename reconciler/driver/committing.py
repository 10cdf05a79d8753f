"""One commit with a certain end: what nobody answered for is settled by reading back whose commit is there."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import StateError, StateLocked
from reconciler.model.writes import Write
from reconciler.ports import Made, MovedOn, StateLedger

_TRIES = 2


async def make_durable(ledger: StateLedger, writes: Sequence[Write], *, expected: int, nonce: str) -> int:
    """Commit writes on the serial `expected`; returns the new serial once they are durable.

    `nonce` is used for no other commit. Raises `StateLocked` when another writer has moved the state on, and
    `StateError` when the writes were tried twice and are not there.
    """
    problem: StateError | StateLocked
    for _ in range(_TRIES):
        outcome = await ledger.commit(writes, expected=expected, nonce=nonce)
        if isinstance(outcome, Made):
            return outcome.serial
        problem = outcome.problem
        try:
            latest = await ledger.version()
        except (StateError, StateLocked):
            raise problem from None  # the first error says more than that of the reading
        # Also after "moved on": a commit that somebody below us sent twice, the first time with success, says so.
        if (latest.serial, latest.nonce) == (expected + 1, nonce):
            return latest.serial
        if isinstance(outcome, MovedOn):
            raise problem
        if latest.serial == expected + 1:
            raise StateLocked(
                f"the state has moved on: its serial is {latest.serial}, not {expected}; another writer is at work",
                hint="nothing more was done; run the same command again",
            )
        # Where others have written on top, the next try tells whose the commit below theirs is.
    raise problem
