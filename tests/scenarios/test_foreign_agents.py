"""Foreign agents cost one query each, once; what is remembered of them makes nothing ours and hides nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.errors import ReconcilerError
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.observe import ForeignMemory
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, action_of, target_of
from reconciler.plan.guard import Policy
from reconciler.ports import HttpRequest
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual

MINE = fleet(agent("lobby/greeter"), agent("bar/waiter"))


@pytest.fixture
def virtual() -> Virtual:
    """A service on which another fleet runs six agents."""
    virtual = Virtual()
    start(virtual, *(f"room-{number}/desk" for number in range(6)))
    return virtual


def start(virtual: Virtual, *addresses: str) -> None:
    """Let agents of other owners run, each of its own owner, so that none is a change of another."""
    for address in addresses:
        other = Virtual(now=virtual.now)
        other.service = virtual.service
        owner = Owner(f"other-{address.replace('/', '-')}"[:20])
        other.run(workflow.apply(other.job(fleet(agent(address), owner=owner)), other.provider()))


class Reads:
    """Counts the reads of a service: queries by id, lists of a channel, and lists of all."""

    def __init__(self, virtual: Virtual) -> None:
        self.queries = 0
        self.channels: list[str] = []
        virtual.on_request = self._note

    def _note(self, request: HttpRequest) -> None:
        if request.method == "GET" and not request.url.endswith("/agents"):
            self.queries += 1
        elif "channel" in dict(request.query):
            self.channels.append(dict(request.query)["channel"])


def planned(virtual: Virtual, wanted: DesiredFleet, memory: ForeignMemory) -> tuple[Plan, ForeignMemory]:
    """A plan, and what is remembered after it."""
    job = virtual.job(wanted, memory=memory)
    found = virtual.run(workflow.plan(job, virtual.provider()))
    return found, remembered(virtual)


def remembered(virtual: Virtual) -> ForeignMemory:
    return [each for each in virtual.events if isinstance(each, ForeignMemory)][-1]


def test_plans_alone_ask_for_a_foreign_agent_once(virtual: Virtual) -> None:
    first = Reads(virtual)
    plan, memory = planned(virtual, MINE, ForeignMemory())
    assert (first.queries, sorted(first.channels)) == (6, ["bar", "lobby"])
    second = Reads(virtual)
    again, memory = planned(virtual, MINE, memory)
    assert (second.queries, second.channels) == (0, [])
    assert again == plan
    start(virtual, "cellar/desk")
    third = Reads(virtual)
    planned(virtual, MINE, memory)
    assert third.queries == 1


def test_another_environment_of_the_app_id_knows_them_too(virtual: Virtual) -> None:
    """Neither asks for what the other has seen, nor forgets it, though each one's own agents are foreign to the other."""
    theirs = fleet(agent("shop/clerk"), owner=Owner("demo", "staging"))
    other = Virtual(now=virtual.now)
    other.service = virtual.service
    other.run(workflow.apply(other.job(theirs), other.provider()))
    _, memory = planned(virtual, MINE, ForeignMemory())
    reads = Reads(other)
    _, memory = planned(other, theirs, memory)
    assert reads.queries == 0
    assert planned(virtual, MINE, memory)[1].agents.keys() == memory.agents.keys()


def test_agents_that_have_ended_are_forgotten(virtual: Virtual) -> None:
    _, memory = planned(virtual, MINE, ForeignMemory())
    assert len(memory.agents) == 6
    virtual.now += 73 * 3600
    assert planned(virtual, MINE, memory)[1].agents == {}


def test_what_was_learned_before_a_failure_is_not_asked_for_again(virtual: Virtual) -> None:
    left = 4

    def fail(request: HttpRequest) -> None:
        nonlocal left
        if request.method == "GET" and not request.url.endswith("/agents"):
            left -= 1
            if left < 0:
                raise ReconcilerError("the network is gone")

    virtual.on_request = fail
    with pytest.raises(ReconcilerError):
        planned(virtual, MINE, ForeignMemory())
    memory = remembered(virtual)
    assert len(memory.agents) == 4
    reads = Reads(virtual)
    plan, _ = planned(virtual, MINE, memory)
    assert reads.queries == 2
    assert plan == planned(virtual, MINE, ForeignMemory())[0]


def test_a_remembered_name_that_bears_our_mark_is_asked_for_again(virtual: Virtual) -> None:
    """Whoever can write the cache cannot make a stranger's agent ours."""
    _, memory = planned(virtual, MINE, ForeignMemory())
    virtual.run(workflow.apply(virtual.job(MINE, memory=memory), virtual.provider()))
    virtual.state = MemoryStore()
    ours = next(each.name for each in virtual.live() if each.channel == "bar")
    forged = {
        agent_id: (replace(foreign, name=ours), started_at)
        for agent_id, (foreign, started_at) in memory.agents.items()
    }
    reads = Reads(virtual)
    job = virtual.job(
        fleet(agent("lobby/greeter")),
        memory=ForeignMemory(forged, memory.searched),
        policy=Policy(prune_unrecorded=True),
    )
    plan = virtual.run(workflow.plan(job, virtual.provider()))
    assert reads.queries == 8
    (left,) = [target_of(each) for each in plan.changes if action_of(each) is Action.LEAVE]
    assert left is not None
    assert [each.channel for each in virtual.live() if each.agent_id == left.agent_id] == ["bar"]


def test_an_id_with_another_start_is_another_agent(virtual: Virtual) -> None:
    """A service on loopback that begins anew gives its ids again."""
    _, memory = planned(virtual, MINE, ForeignMemory())
    older = {each: (foreign, at - 5) for each, (foreign, at) in memory.agents.items()}
    reads = Reads(virtual)
    planned(virtual, MINE, ForeignMemory(older, memory.searched))
    assert reads.queries == 6


def test_a_first_join_is_held_beside_a_remembered_agent_and_beside_a_new_one(virtual: Virtual) -> None:
    start(virtual, "lobby/intruder")
    memory = ForeignMemory()
    for _ in range(2):
        plan, memory = planned(virtual, MINE, memory)
        held = [str(each.address) for each in plan.changes if action_of(each) is Action.HOLD]
        assert held == ["lobby/greeter"]
    start(virtual, "bar/intruder")
    plan, memory = planned(virtual, MINE, memory)
    held = [str(each.address) for each in plan.changes if action_of(each) is Action.HOLD]
    assert held == ["bar/waiter", "lobby/greeter"]


def test_a_channel_that_was_never_searched_is_searched_for_remembered_agents(virtual: Virtual) -> None:
    _, memory = planned(virtual, MINE, ForeignMemory())
    wider = fleet(agent("lobby/greeter"), agent("room-3/guard"))
    reads = Reads(virtual)
    plan, _ = planned(virtual, wider, memory)
    assert (reads.queries, reads.channels) == (0, ["room-3"])
    assert [str(each.address) for each in plan.changes if action_of(each) is Action.HOLD] == ["room-3/guard"]


def test_an_apply_writes_them_to_the_state_although_they_were_remembered(virtual: Virtual) -> None:
    _, memory = planned(virtual, MINE, ForeignMemory())
    virtual.run(workflow.apply(virtual.job(MINE, memory=memory), virtual.provider()))
    assert virtual.state.read().foreign.keys() == memory.agents.keys()


def test_a_remembered_agent_that_the_files_adopt_elsewhere_still_holds_a_first_join(virtual: Virtual) -> None:
    """What is asked anew is whether it runs in the channel that adopts it, and not where it was seen."""
    start(virtual, "bar/waiter")
    (stranger,) = (each for each in virtual.service.world.live() if each.properties["channel"] == "bar")
    wanted = fleet(
        replace(agent("lobby/greeter", agent_rtc_uid="5"), adopt=stranger.agent_id),
        agent("bar/waiter", agent_rtc_uid="6"),
    )
    first, memory = planned(virtual, wanted, ForeignMemory())
    again, memory = planned(virtual, wanted, memory)
    assert memory.agents[stranger.agent_id][0].channel == "bar"
    for plan in (first, again):
        assert {action_of(each) for each in plan.changes} == {Action.HOLD}
        told = {str(each.address): each.reason.text for each in plan.changes}
        assert "runs in bar, not in lobby" in told["lobby/greeter"]
        assert f"agent {stranger.agent_id}" in told["bar/waiter"]


def test_what_was_remembered_of_an_agents_channel_does_not_adopt_it(virtual: Virtual) -> None:
    start(virtual, "bar/waiter")
    (stranger,) = (each for each in virtual.service.world.live() if each.properties["channel"] == "bar")
    wanted = fleet(replace(agent("lobby/greeter", agent_rtc_uid="5"), adopt=stranger.agent_id))
    _, memory = planned(virtual, wanted, ForeignMemory())
    seen, started_at = memory.agents[stranger.agent_id]
    wrong = replace(
        memory, agents={**memory.agents, stranger.agent_id: (replace(seen, channel="lobby"), started_at)}
    )
    plan, _ = planned(virtual, wanted, wrong)
    assert [action_of(each) for each in plan.changes] == [Action.HOLD]
