"""Replacing a state by a pushed document, or by the state of another backend.

Pure: each function returns the writes, or raises `StateError` with both states unchanged. A state that moves is first
marked in the source and then written to the target, so that two backends never hold it unmarked. After a crash in
between, the source refuses to be used and says where the state was going; the same command continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.errors import StateError
from reconciler.model.record import Entry, Pins, State
from reconciler.model.writes import Append, PutMoved, SetLineage, Write, changes
from reconciler.values import dataclass
from reconciler.workflow.job import check_pins, moved


def pushed_writes(current: State, pushed: State, pins: Pins, *, force: bool) -> list[Write]:
    """Return the writes that replace the current state by a pushed one; `pins` are those of this fleet.

    `force` accepts another lineage, an older serial and a state that has moved, but never another fleet's state.
    """
    _check_pushed_pins(current, pushed, pins)
    if not force and not current.is_empty:
        _check_newer(current, pushed)
    return goes_on(current, pushed)


def goes_on(current: State, other: State) -> list[Write]:
    """Return the writes that replace the current state by another one, with a version later than both."""
    version = max(other.version, current.version + 1)
    return [SetLineage(other.lineage, version - current.serial - 1), *changes(current, other)]


def _check_pushed_pins(current: State, pushed: State, pins: Pins) -> None:
    project = next((each.pins.app_id for each in (current, pushed) if each.pins is not None), None)
    try:
        check_pins(pushed, replace(pins, app_id=project))
    except StateError as problem:
        raise StateError(f"what is pushed is refused: {problem.message}", hint=problem.hint) from problem


_FORCE = "`--force-lineage` puts it in its place all the same; what only the present state knows is then lost"


def _check_newer(current: State, pushed: State) -> None:
    if current.moved_to is not None:
        raise moved(current.moved_to)
    if current.lineage != pushed.lineage:
        raise StateError(
            f"what is pushed has another lineage ({pushed.lineage[:80]}) than the state here ({current.lineage}): it is no later "
            "version of it; nothing was done",
            hint=_FORCE,
        )
    if pushed.version <= current.version:
        raise StateError(
            f"what is pushed is no later version of the state here: its serial is {pushed.version}, and here it is "
            f"{current.version}; nothing was done",
            hint=f"pull again and make the change there, with a higher serial; {_FORCE}",
        )


@dataclass(frozen=True, slots=True)
class Move:
    """A state that moves: the URLs of both backends, as marks and messages name them, and their two states."""

    source: str
    target: str
    leaving: State
    arriving: State

    @property
    def is_done(self) -> bool:
        """Whether the source is marked as moved to this target and the target holds the later version."""
        is_later = self.arriving.version > self.leaving.version
        return self._has_left and self._is_one and is_later and self.arriving.moved_to is None

    @property
    def is_taken_back(self) -> bool:
        """Whether the target is marked as moved to this source, which is empty: the move never arrived."""
        return self.leaving.is_empty and self.arriving.moved_to == self.source

    @property
    def _has_left(self) -> bool:
        return self.leaving.moved_to == self.target

    @property
    def _is_one(self) -> bool:
        return self.leaving.lineage == self.arriving.lineage

    def check(self, pins: Pins) -> None:
        """Raise `StateError` if the move would lose something."""
        if self.is_done or self.is_taken_back:
            return
        if self.leaving.is_empty:
            raise StateError(
                f"there is no state in {self.source}: nothing was done",
                hint="check --from, the directory and --env",
            )
        if self.leaving.moved_to not in (None, self.target):
            raise moved(str(self.leaving.moved_to))
        project = self.leaving.pins.app_id if self.leaving.pins is not None else None
        check_pins(replace(self.leaving, moved_to=None), replace(pins, app_id=project))
        if self.arriving.is_empty:
            return
        if not self._is_one:
            raise StateError(
                f"{self.source} and {self.target} both hold a state, of different lineages (serials {self.leaving.version} and "
                f"{self.arriving.version}); nothing was done",
                hint=f"`reconciler state list` shows what each knows; where that in {self.target} is not needed, "
                f"`reconciler state pull` from {self.source} and `reconciler state push --force-lineage` there",
            )
        if self.arriving.version >= self.leaving.version:
            raise StateError(
                f"{self.target} holds a later version of this state (serial {self.arriving.version}) than {self.source} "
                f"({self.leaving.version}); nothing was done",
                hint=f"work with {self.target}; the other way round, `reconciler state migrate` brings it to {self.source}",
            )

    def taken_back(self) -> list[Write]:
        """Return writes that mark the empty source as moved to the target, so that a late commit to it is refused."""
        return [SetLineage(self.arriving.lineage, 0), PutMoved(self.target)]

    def writes(self, version: int, history: Sequence[Entry]) -> list[Write]:
        """Return the writes that make the target the state, after the source was marked at `version`.

        `history` are entries that the target does not have, newest first.
        """
        arrived = replace(self.leaving, moved_to=None).with_key(self.arriving.secret_key)
        entries = [Append(each) for each in reversed(history)]
        return [*goes_on(self.arriving, replace(arrived, offset=version + 1 - arrived.serial)), *entries]
