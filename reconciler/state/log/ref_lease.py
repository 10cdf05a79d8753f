"""A lease as a Git ref: its commit names the holder, and each sign of life is another commit.

A process that waits compares only the commit's id, and takes over when it did not change for a whole lease, by its own
clock. A released lease is one fixed commit, since some hosts do not allow a ref to be deleted.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import Final

import orjson

from reconciler.errors import StateError, StateLocked
from reconciler.git import Git, shown
from reconciler.state.log.git_objects import FETCH, ask, free_commit, lone_commit, tip_of
from reconciler.state.log.git_ref import Pushed, push

# Less than the default of --lock-timeout, so that a waiting run sees the end of one that was killed. A sign of life may
# take a sixth of it.
LEASE_SECONDS: Final = 45.0
# The seconds between two looks at the remote while another process has the lease.
_LOOK_SECONDS: Final = 1.0


class RefLease:
    """The `LogLease` on a ref of a remote, for one holder; it ends `seconds` after the last sign of life."""

    def __init__(self, git: Git, remote: str, ref: str, seconds: float = LEASE_SECONDS) -> None:
        self._git = git
        self._remote = remote
        self._ref = ref
        self.seconds = seconds
        self._holder = ""
        self._run = uuid.uuid4().hex
        # Our present commit, and all earlier ones: a push that got no answer may have set one of them.
        self._mine: str | None = None
        self._signs: list[str] = []
        self._is_lost = False
        self._seen: str | None = None
        self._seen_at = self._looked_at = 0.0
        self._free: str | None = None

    @property
    def is_held(self) -> bool:
        return self._mine is not None

    def holder(self) -> str | None:
        """Return the holder that the remote has now, or None. Nothing is taken."""
        found = self._look()
        return None if found is None or found == self._free_commit() else self._holder_of(found)

    def take(self, holder: str) -> None:
        if self._seen is not None:  # waiting: do not ask the remote at each call
            time.sleep(max(0.0, self._looked_at + _LOOK_SECONDS - time.monotonic()))
        found = self._look()
        self._looked_at = now = time.monotonic()
        is_free = found is None or found == self._free_commit()
        # A changed commit is a sign of life; silence is measured by our own clock from the last change.
        if found != self._seen:
            self._seen, self._seen_at = (None if is_free else found), now
        if not is_free and now - self._seen_at < self.seconds:
            raise self._held_by(found or "")
        self._holder, self._is_lost = holder, False
        if not self._push(self._sign(), found):
            self._seen = self._look()
            self._seen_at = time.monotonic()
            raise self._held_by(self._seen or "")
        self._seen = None

    def renew(self) -> None:
        if self._mine is None:
            return
        self.check()
        if self._push(self._sign(), self._mine):
            return
        found = self._look()
        if found in self._signs:  # an earlier push got no answer, but was executed
            self._mine = found
            if self._push(self._sign(), found):
                return
        self._is_lost = True
        self.check()

    def check(self) -> None:
        """Raise `StateLocked` if a call has found that another process has taken over. The remote is not asked."""
        if self._is_lost:
            raise StateLocked(
                f"the state was taken over: this run gave no sign of life for {self.seconds:.0f} s",
                hint="nothing more was done; run the same command again",
            )

    def release(self) -> None:
        """Release the lease; without effect when it is not held. If the push fails, the lease ends by itself."""
        if self._mine is None:
            return
        mine, self._mine = self._mine, None
        if not self._is_lost:
            with suppress(StateError):
                push(self._git, self._remote, self._ref, self._free_commit(), mine)

    # --- the ref

    def _push(self, commit: str, expected: str | None) -> bool:
        """Push our commit to the ref; return whether it is there now. Raises `StateError` if that is unknown."""
        outcome = push(self._git, self._remote, self._ref, commit, expected)
        if outcome is Pushed.UNKNOWN and self._look() != commit:
            raise StateError(
                f"the lease {self._ref} of {shown(self._remote)} gave no answer",
                hint="no further call was made; run the same command again",
            )
        if outcome is Pushed.OVERTAKEN:
            return False
        self._mine = commit
        return True

    def _sign(self) -> str:
        told = {"holder": self._holder, "run": self._run, "signs": len(self._signs)}
        sign = lone_commit(self._git, orjson.dumps(told).decode())
        self._signs.append(sign)
        return sign

    def _free_commit(self) -> str:
        if self._free is None:
            self._free = free_commit(self._git)
        return self._free

    def _look(self) -> str | None:
        return tip_of(self._git, self._remote, self._ref)

    def _holder_of(self, commit: str) -> str:
        """Return the holder that a commit names; the commit is fetched without making a ref in this checkout."""
        if ask(self._git, "cat-file", "-e", commit).code != 0:
            ask(self._git, *FETCH, self._remote, self._ref)
        ran = ask(self._git, "cat-file", "commit", commit)
        with suppress(ValueError):
            told = orjson.loads(ran.out.partition(b"\n\n")[2])
            if isinstance(told, dict) and isinstance(told.get("holder"), str):
                return str(told["holder"])[:400]
        return "another run"

    def _held_by(self, commit: str) -> StateLocked:
        silent = time.monotonic() - self._seen_at
        return StateLocked(
            f"the state is held by {self._holder_of(commit)}; its lease ends after {self.seconds:.0f} s without a sign of "
            f"life, and {silent:.0f} s of silence were seen",
            hint="a lease ends by itself; wait with a longer --lock-timeout",
        )
