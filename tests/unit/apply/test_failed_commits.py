"""After a commit that failed, no call of the run leaves, whichever task meets the failure first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reconciler.apply.journal import Journal
from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.record import Intent, Operation
from reconciler.model.writes import StateView, Write
from reconciler.ports import Commit
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent, fleet
from tests.unit.apply.scene import Result, Scene


def intent(name: str) -> Intent:
    return Intent(Operation.LEAVE, Address("lobby", name), name, 0.0, agent_id=name)


def test_an_intent_that_was_made_durable_beside_a_failed_commit_announces_nothing() -> None:
    journal = Journal(StateView("a lineage", 1, b"key"))
    one, other = journal.intend(intent("one")), journal.intend(intent("other"))
    assert isinstance(next(one), Commit)
    assert isinstance(next(other), Commit)
    with pytest.raises(StateError, match="disk full"):
        one.throw(StateError("disk full"))
    with pytest.raises(StateError, match="disk full"):
        other.send(None)
    assert list(journal.view.intents) == [intent("other").key], "it is durable, and the next run looks for it"


class Failing(MemoryStore):
    """A store whose disk is full from some commit on."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        self.good -= 1
        if self.good < 0:
            raise StateError("disk full")
        return super().commit(writes, expected=expected, nonce=nonce)


def test_what_had_not_begun_when_a_commit_failed_is_not_begun() -> None:
    scene = Scene(state=Failing(good=1))
    ledger = scene.apply(fleet(*(agent(f"room-{number}/desk") for number in range(3))))
    assert scene.live() == []
    assert sorted(each.result for each in ledger.finished) == [
        Result.SKIPPED,
        Result.SKIPPED,
        Result.UNKNOWN,
    ]
    assert {each.detail for each in ledger.finished} == {"disk full"}
    assert isinstance(ledger.broken, StateError)
