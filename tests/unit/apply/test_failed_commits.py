"""After a commit that failed, no call of the run leaves, whichever task meets the failure first."""

from __future__ import annotations

import pytest

from reconciler.apply.journal import Journal
from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.record import Intent, Operation
from reconciler.model.writes import StateView
from reconciler.ports import Commit


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
