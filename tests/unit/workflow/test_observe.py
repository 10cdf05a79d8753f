"""What one look makes of the list and of the answers by id: who runs where, who has ended, what need not be asked again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.errors import ReconcilerError, ServiceError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import Beside, Lifecycle
from reconciler.observe import ForeignMemory, foreign_seen, observe
from reconciler.plan.basis import Basis
from reconciler.ports import HttpRequest
from tests.fakes.fleets import OWNER, agent, fleet
from tests.fakes.virtual import Virtual

SHARED = Lifecycle(beside=Beside.ALLOW)


class World(Virtual):
    """A service with a fleet and with agents of somebody else; `asked` are the ids and channels of reads."""

    def reset(self) -> None:
        self.asked: list[str] = []
        self.on_request = self._noted

    def _noted(self, request: HttpRequest) -> None:
        query = dict(request.query)
        tail = request.url.rsplit("/", 1)[-1]
        if request.method == "GET" and tail != "agents":
            self.asked.append(tail)
        elif "channel" in query:
            self.asked.append(query["channel"])

    def strangers(self, *addresses: str) -> list[str]:
        """Start agents of somebody else; their ids."""
        before = {each.agent_id for each in self.live()}
        theirs = Virtual(now=self.now)
        theirs.service = self.service
        others = fleet(*(agent(each, lifecycle=SHARED) for each in addresses), owner=Owner("other"))
        theirs.run(workflow.apply(theirs.job(others), theirs.provider()))
        return sorted(each.agent_id for each in self.live() if each.agent_id not in before)

    def look(self, wanted: DesiredFleet, memory: ForeignMemory | None = None) -> Basis:
        self.reset()
        self.events.clear()
        steps = observe(
            self.provider(),
            self.state.read(),
            OWNER,
            wanted.agents,
            parallelism=2,
            memory=memory or ForeignMemory(),
        )
        return self.run(steps)

    def learned(self) -> ForeignMemory:
        """What the last look has told of foreign agents."""
        (told,) = (each for each in self.events if isinstance(each, ForeignMemory))
        return told


def fleet_in(channels: Iterable[str]) -> DesiredFleet:
    return fleet(*(agent(f"{each}/desk", lifecycle=SHARED) for each in channels))


@pytest.fixture
def world() -> World:
    made = World()
    made.run(workflow.apply(made.job(fleet_in(["lobby", "yard"])), made.provider()))
    return made


def test_a_foreign_agent_is_placed_in_a_channel_of_ours_and_in_no_other(world: World) -> None:
    here, elsewhere = (world.strangers(each)[0] for each in ("lobby/bot", "cafe/bot"))
    basis = world.look(fleet_in(["lobby", "yard"]))
    assert basis.channels == {here: "lobby"}
    assert {each.agent_id for each in basis.live} == {each.agent_id for each in world.live()}
    assert {(each.agent_id, each.channel) for each in foreign_seen(basis)} == {
        (here, "lobby"),
        (elsewhere, None),
    }


def test_beyond_so_many_channels_only_those_of_first_joins_are_searched() -> None:
    for count, places in ((50, {"many-00"}), (51, set())):
        world, many = World(), [f"many-{number:02}" for number in range(count)]
        world.run(workflow.apply(world.job(fleet_in(many)), world.provider()))
        world.strangers("many-00/bot", "new/bot")
        assert set(world.look(fleet_in(many)).channels.values()) == places
    assert set(world.look(fleet_in([*many, "new"])).channels.values()) == {"new"}


def test_what_an_earlier_look_has_learned_is_not_asked_again(world: World) -> None:
    here, elsewhere = (world.strangers(each)[0] for each in ("lobby/bot", "cafe/bot"))
    first = world.look(fleet_in(["lobby", "yard"]))
    assert sorted(world.asked) == sorted([here, elsewhere, "lobby", "yard"])
    memory = world.learned()
    assert set(memory.agents) == {here, elsewhere} and memory.searched == {"lobby", "yard"}
    again = world.look(fleet_in(["lobby", "yard"]), memory)
    assert world.asked == []
    assert (again.channels, again.live) == (first.channels, first.live)
    assert world.learned() == memory


def test_a_stranger_that_is_new_is_searched_for_and_one_that_has_gone_is_forgotten(world: World) -> None:
    world.strangers("lobby/bot", "cafe/bot")
    world.look(fleet_in(["lobby", "yard"]))
    memory = world.learned()
    (new,) = world.strangers("yard/bot")
    assert world.look(fleet_in(["lobby", "yard"]), memory).channels[new] == "yard"
    assert sorted(world.asked) == sorted([new, "lobby", "yard"])
    world.service.end(new)
    world.look(fleet_in(["lobby", "yard"]), world.learned())
    assert set(world.learned().agents) == set(memory.agents)


def test_a_channel_that_was_not_searched_yet_is(world: World) -> None:
    (stranger,) = world.strangers("cafe/bot")
    world.look(fleet_in(["lobby", "yard"]))
    basis = world.look(fleet_in(["lobby", "yard", "cafe"]), world.learned())
    assert (basis.channels, world.asked) == ({stranger: "cafe"}, ["cafe"])


def test_an_agent_that_is_to_be_adopted_is_looked_for_again(world: World) -> None:
    (stranger,) = world.strangers("lobby/bot")
    wanted = fleet_in(["lobby", "yard"])
    world.look(wanted)
    desk = Address("lobby", "desk")
    adopting = replace(wanted, agents={**wanted.agents, desk: replace(wanted.agents[desk], adopt=stranger)})
    assert world.look(adopting, world.learned()).channels == {stranger: "lobby"}
    assert world.asked == ["lobby"]


def test_a_remembered_agent_with_another_start_or_with_our_mark_is_asked_again(world: World) -> None:
    (stranger,) = world.strangers("cafe/bot")
    world.look(fleet_in(["lobby", "yard"]))
    memory = world.learned()
    foreign, started_at = memory.agents[stranger]
    world.look(fleet_in(["lobby", "yard"]), replace(memory, agents={stranger: (foreign, started_at + 1)}))
    assert stranger in world.asked
    ours = next(each for each in world.live() if each.channel == "lobby")
    named_ours = replace(foreign, name=ours.name)
    world.look(fleet_in(["lobby", "yard"]), replace(memory, agents={stranger: (named_ours, started_at)}))
    assert stranger in world.asked


def test_a_look_that_fails_tells_what_it_has_learned_all_the_same(world: World) -> None:
    first, second = world.strangers("lobby/bot", "cafe/bot")
    world.service.set_script([{"on": "query", "nth": 2, "count": 0, "fate": "refuse", "status": 500}])
    with pytest.raises(ServiceError):
        world.look(fleet_in(["lobby", "yard"]))
    assert len({first, second} & set(world.learned().agents)) == 1


def test_a_channel_that_cannot_be_listed_ends_the_look(world: World) -> None:
    world.strangers("lobby/bot")

    def refused(request: HttpRequest) -> None:
        of_one = "channel" in dict(request.query)
        world.service.set_script([{"on": "list", "fate": "refuse", "status": 400}] if of_one else [])

    world.reset()
    steps = observe(
        world.provider(),
        world.state.read(),
        OWNER,
        fleet_in(["lobby"]).agents,
        parallelism=1,
        memory=ForeignMemory(),
    )
    world.on_request = refused
    with pytest.raises(ReconcilerError):
        world.run(steps)


def test_a_recorded_agent_that_is_not_listed_is_asked_for_and_one_that_is_listed_is_not(world: World) -> None:
    lobby, yard = sorted(world.live(), key=lambda each: each.channel)
    world.service.end(lobby.agent_id)
    basis = world.look(fleet_in(["lobby", "yard"]))
    assert (world.asked, set(basis.ended)) == ([lobby.agent_id], {lobby.agent_id})
    assert [each.agent_id for each in basis.live] == [yard.agent_id]
