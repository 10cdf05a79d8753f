"""What is known of one address, among others."""

from __future__ import annotations

import pytest

from reconciler import workflow
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.plan.change import Action, action_of
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual

DESK, DOOR, GATE = (Address("lobby", name) for name in ("desk", "door", "gate"))


@pytest.fixture
def world() -> Virtual:
    """Two agents run; the files want the desk otherwise, the gate anew, and the door no more."""
    made = Virtual()
    made.run(workflow.apply(made.job(fleet(agent("lobby/desk"), agent("lobby/door"))), made.provider()))
    return made


WANTED = fleet(agent("lobby/desk", idle_timeout=60), agent("lobby/gate"))


@pytest.mark.parametrize(
    ("address", "is_wanted", "is_recorded", "action"),
    [
        (DESK, True, True, Action.REPLACE),
        (DOOR, False, True, Action.LEAVE),
        (GATE, True, False, Action.JOIN),
    ],
)
def test_each_address_is_told_of_with_what_is_its_own(
    world: Virtual, address: Address, is_wanted: bool, is_recorded: bool, action: Action
) -> None:
    found = world.run(workflow.address_report(world.job(WANTED), world.provider(), address))
    assert found.address == address
    assert (found.spec is not None, found.record is not None) == (is_wanted, is_recorded)
    assert found.change is not None
    assert (action_of(found.change), found.change.address) == (action, address)


def test_an_address_that_nobody_knows_is_an_error_that_names_the_nearest(world: Virtual) -> None:
    with pytest.raises(UsageError) as caught:
        world.run(workflow.address_report(world.job(WANTED), world.provider(), Address("lobby", "dask")))
    assert caught.value.message == "nobody knows an agent lobby/dask"
    assert "lobby/desk" in str(caught.value.hint)
    nowhere = Virtual()
    with pytest.raises(UsageError) as caught:
        nowhere.run(workflow.address_report(nowhere.job(fleet()), nowhere.provider(), DESK))
    assert caught.value.hint == "nothing is declared or recorded"


def test_the_agent_of_an_address_is_the_one_that_runs_there(world: Virtual) -> None:
    found, record = world.run(workflow.agent_of(world.job(WANTED), world.provider(), DOOR))
    assert record is not None
    assert record.agent_id == found.agent_id
    assert record.address == DOOR
    with pytest.raises(UsageError, match="no agent of ours runs at lobby/gate"):
        world.run(workflow.agent_of(world.job(WANTED), world.provider(), GATE))
