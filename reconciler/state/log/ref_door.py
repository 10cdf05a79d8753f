"""The door of a state in Git: a ref of the remote, to which a waiting process pushes a new commit every few seconds.

A knock counts for some seconds after the ref has changed, by the clock of the process that asks, so it ends with the
process that waits. The remote is asked at most every two seconds.
"""

from __future__ import annotations

import math
import time
import uuid
from contextlib import suppress
from typing import Final

from reconciler.errors import StateError
from reconciler.git import Git
from reconciler.state.log.git_objects import free_commit, lone_commit, tip_of
from reconciler.state.log.git_ref import Pushed, push

# The seconds after which a waiting process knocks again, and for which one knock counts.
_AGAIN: Final = 5.0
_HEARD: Final = 15.0
# The shortest time between two questions to the remote, seconds.
_LOOK: Final = 2.0


class RefDoor:
    """The door at `ref` of a remote, for a process that knocks or one that asks whether any knocks."""

    def __init__(
        self, git: Git, remote: str, ref: str, *, look: float = _LOOK, heard: float = _HEARD
    ) -> None:
        self._git = git
        self._remote = remote
        self._ref = ref
        self._look = look
        self._heard = heard
        self._mine: str | None = None
        self._knocked_at = self._looked_at = -math.inf
        # The ref's commit at the last look, since when it is unchanged, and whether it says that no process waits.
        self._seen: str | None = None
        self._seen_at = 0.0
        self._is_open = True

    def knock(self) -> None:
        """Push a knock, unless the last one was a moment ago; `leave` takes it back. Raises `StateError`."""
        now = time.monotonic()
        if now - self._knocked_at < _AGAIN:
            return
        self._knocked_at = now
        there = tip_of(self._git, self._remote, self._ref)
        knock = lone_commit(self._git, f"knock {uuid.uuid4().hex}")
        # If another process was first, the ref has a knock already, and one is enough.
        if push(self._git, self._remote, self._ref, knock, there) is Pushed.DONE:
            self._mine = knock

    def leave(self) -> None:
        """Take our knock back; without effect if there is none. If the push fails, the knock ends by itself."""
        mine, self._mine = self._mine, None
        self._knocked_at = -math.inf
        if mine is not None:
            with suppress(StateError):
                push(self._git, self._remote, self._ref, free_commit(self._git), mine)

    def is_knocked(self) -> bool:
        """Return whether a process waits, as of the last two seconds; False if the remote cannot be read."""
        now = time.monotonic()
        if now - self._looked_at >= self._look:
            self._looked_at = now
            try:
                found = tip_of(self._git, self._remote, self._ref)
            except StateError:
                return False
            if found != self._seen:
                self._seen, self._seen_at = found, now
                self._is_open = found is None or found == free_commit(self._git)
        return not self._is_open and now - self._seen_at < self._heard
