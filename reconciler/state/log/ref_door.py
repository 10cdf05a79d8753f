"""The door of a state in Git: a ref of the remote, of which whoever waits makes another commit every few seconds.

Whoever listens hears a knock for a while after it has changed, by a clock of its own: so it ends with its process. Listening
costs one question to the remote every other second, however often it is asked for.
"""

from __future__ import annotations

import math
import time
import uuid
from contextlib import suppress
from typing import Final

from reconciler.errors import StateError
from reconciler.git import Git
from reconciler.state.log.git_objects import free_commit, made_commit, need, tip_of
from reconciler.state.log.git_ref import Pushed, push

# How often whoever waits knocks again, and for how long one knock is heard.
_AGAIN: Final = 5.0
_HEARD: Final = 15.0
# How often the remote is asked.
_LOOK: Final = 2.0


class RefDoor:
    """The door `ref` of a remote, for one who knocks or one who listens."""

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
        # What the remote says, since when this process has seen that, and whether it is that nobody waits.
        self._seen: str | None = None
        self._seen_at = 0.0
        self._is_open = True

    def knock(self) -> None:
        """Say that somebody waits, until `leave`; harmless where that was said a moment ago. Raises `StateError`."""
        now = time.monotonic()
        if now - self._knocked_at < _AGAIN:
            return
        self._knocked_at = now
        there = tip_of(self._git, self._remote, self._ref)
        knock = made_commit(self._git, need(self._git, "mktree"), None, f"knock {uuid.uuid4().hex}")
        # Where somebody else was first, one knock is there, and enough.
        if push(self._git, self._remote, self._ref, knock, there) is Pushed.DONE:
            self._mine = knock

    def leave(self) -> None:
        """Wait no more; harmless for one who does not. What cannot be taken back is heard for a while."""
        mine, self._mine = self._mine, None
        self._knocked_at = -math.inf
        if mine is not None:
            with suppress(StateError):
                push(self._git, self._remote, self._ref, free_commit(self._git), mine)

    def is_knocked(self) -> bool:
        """Whether anybody waits, as of the last two seconds; False also where that cannot be told."""
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
