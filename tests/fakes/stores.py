"""What a test does with a store that stands alone, without the driver of a run."""

from __future__ import annotations

import time

from reconciler.errors import StateLocked
from reconciler.state.blocking import BlockingStore


def acquire(store: BlockingStore, holder: str, timeout: float) -> str:
    """Take the right to write, waiting up to `timeout` seconds, and make the state ready, as a run does."""
    # Who is ready to wait for a whole lease gets to see its end.
    deadline = time.monotonic() + timeout + (2.0 if timeout >= store.lease_seconds else 0.0)
    while True:
        try:
            store.take(holder)
            break
        except StateLocked:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
    try:
        store.create_key()
        return store.prepare()
    except BaseException:
        store.release()
        raise
