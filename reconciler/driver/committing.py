"""Make one commit durable: when its outcome is unknown, the state's latest version shows whether it was written."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import StateError, StateLocked
from reconciler.model.writes import Write
from reconciler.ports import Made, MovedOn, StateLedger

_TRIES = 2


async def make_durable(ledger: StateLedger, writes: Sequence[Write], *, expected: int, nonce: str) -> int:
    """Commit writes on the serial `expected`; return the new serial once they are durable.

    `nonce` is used for no other commit. Raises `StateLocked` when another writer has committed, and `StateError` when
    the writes were tried twice and are not there.
    """
    problem: StateError | StateLocked
    for _ in range(_TRIES):
        outcome = await ledger.commit(writes, expected=expected, nonce=nonce)
        if isinstance(outcome, Made):
            return outcome.serial
        problem = outcome.problem
        # The error does not show whether the commit was written: the nonce of the latest version does.
        try:
            latest = await ledger.version()
        except (StateError, StateLocked):
            raise problem from None  # the first error says more than the one of this read
        # Also after `MovedOn`: the store may have sent the commit twice, and the refusal answers the second time.
        if (latest.serial, latest.nonce) == (expected + 1, nonce):
            return latest.serial
        if isinstance(outcome, MovedOn):
            raise problem
        if latest.serial == expected + 1:
            raise StateLocked(
                f"the state has moved on: its serial is {latest.serial}, not {expected}; another writer is at work",
                hint="nothing more was done; run the same command again",
            )
        # Others have committed on top: the next try shows whether the commit below theirs is ours.
    raise problem
