"""What a look at the service concludes: who runs, who has ended, where foreign agents are, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ServiceError, UsageError
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Foreign, Intent, Operation, State
from reconciler.model.transcript import Turns
from reconciler.observe import ForeignMemory, foreign_seen, observe
from reconciler.plan.basis import Basis
from reconciler.plan.build import build_plan
from reconciler.plan.facts import gather_facts
from reconciler.workflow.looking import survey
from tests.fakes.fleets import OWNER, agent, fleet
from tests.fakes.virtual import START, Virtual
from tests.unit.apply.by_hand import DESK, DOOR, HERE, Service, join_of, leave_of, live
from tests.unit.plan.parts import ABLE, NOW, basis, name_of, record, running

STRANGER = ObservedAgent("F1", AgentStatus.RUNNING, START - 9, "theirs")


def looked(
    world: Service,
    state: State,
    *specs: Any,
    memory: ForeignMemory = ForeignMemory(),
    skew: float | None = None,
) -> tuple[Basis, ForeignMemory, list[str]]:
    """The basis of a look, what is remembered of it, and which agents were queried."""
    run = Virtual()
    world.clock_skew = skew  # type: ignore[attr-defined]
    agents = {each.address: each for each in specs}
    found = run.run(observe(world, state, OWNER, agents, parallelism=3, memory=memory))  # type: ignore[arg-type]
    (kept,) = [each for each in run.events if isinstance(each, ForeignMemory)]
    return found, kept, [each.removeprefix("query ") for each in world.calls]


def state(*records: Any, **changes: Any) -> State:
    return replace(basis(records).state, **changes)


def listing(world: Service, *rows: ListedAgent) -> None:
    """Let the list lag behind what queries say."""

    def live_agents(*, channel: str | None = None, parallelism: int = 1) -> Any:
        yield from ()
        return rows if channel is None else ()

    world.live_agents = live_agents  # type: ignore[method-assign]


def row(agent_id: str = "A1", status: AgentStatus = AgentStatus.RUNNING) -> ListedAgent:
    return ListedAgent(agent_id, status, START - 3600)


def test_a_recorded_agent_that_is_listed_needs_no_query() -> None:
    found, _, queried = looked(Service({"A1": live()}), state(record(DESK)), skew=7.0)
    assert ([each.agent_id for each in found.live], queried) == (["A1"], [])
    assert found.now == START + 7.0, "ages are the service's own"
    assert looked(Service(), state())[0].now == START


@pytest.mark.parametrize(
    ("changes", "world", "alive", "ended"),
    [
        ({}, {}, [], {"A1": None}),
        ({}, {"A1": live(status=AgentStatus.STOPPED)}, [], {"A1": AgentStatus.STOPPED}),
        ({}, {"A1": live()}, ["A1"], {}),  # the list lags behind
        ({"records": {}, "released": frozenset({"A1"})}, {}, [], {"A1": None}),
        ({"records": {}, "intents": (leave_of(),)}, {}, [], {"A1": None}),
        ({"records": {}, "intents": (join_of(),)}, {}, [], {}),
    ],
)
def test_who_is_not_listed_is_asked_for(changes: Any, world: Any, alive: Any, ended: Any) -> None:
    made = Service(dict(world))
    listing(made)
    found, _, _ = looked(made, replace(state(record(DESK)), **changes))
    assert [each.agent_id for each in found.live] == alive
    assert {name: each.status if each else None for name, each in found.ended.items()} == ended


@pytest.mark.parametrize(
    "changes",
    [{"intents": (leave_of(),)}, {"records": {HERE: record(DESK, replacing=True)}}],
)
def test_who_was_told_to_leave_is_asked_for_though_the_list_shows_it(changes: Any) -> None:
    made = Service({"A1": live(status=AgentStatus.STOPPED)})
    listing(made, row())
    found, _, queried = looked(made, replace(state(record(DESK)), **changes))
    assert (found.live, list(found.ended), queried) == ((), ["A1"], ["A1"])


def test_a_stranger_is_asked_for_once_and_one_that_has_ended_is_none() -> None:
    made = Service({"F1": STRANGER, "F2": replace(STRANGER, agent_id="F2", status=AgentStatus.STOPPED)})
    listing(made, row("F1"), row("F2"), row("F3"))
    found, kept, queried = looked(made, state())
    assert [each.agent_id for each in found.live] == ["F1"]
    assert queried == ["F1", "F2", "F3"]
    assert kept.agents == {"F1": (Foreign("F1", "theirs"), START - 9)}
    assert found.ended == {}
    known = Service({"F1": STRANGER})
    assert looked(known, state(foreign={"F1": Foreign("F1", "theirs")}))[2] == []


@pytest.mark.parametrize(
    ("foreign", "started_at", "is_asked"),
    [
        (Foreign("F1", "theirs"), START - 9, False),
        (Foreign("F1", "theirs"), START - 8, True),  # another agent of that id
        (Foreign("F1", name_of(DESK)), START - 9, True),  # no memory makes an agent ours
    ],
)
def test_what_is_remembered_of_a_stranger(foreign: Foreign, started_at: float, is_asked: bool) -> None:
    memory = ForeignMemory({"F1": (foreign, started_at), "F9": (Foreign("F9", "gone"), 1.0)})
    _, kept, queried = looked(Service({"F1": STRANGER}), state(), memory=memory)
    assert queried == (["F1"] if is_asked else [])
    assert set(kept.agents) == {"F1"}, "who is not listed any more has ended"


def test_what_was_answered_before_an_error_is_kept() -> None:
    made = Service({"F1": STRANGER, "F2": replace(STRANGER, agent_id="F2")})
    query = made.query

    def fails(agent_id: str) -> Any:
        if agent_id == "F2":
            raise ServiceError("away")
        return (yield from query(agent_id))

    made.query = fails  # type: ignore[method-assign]
    made.clock_skew = None  # type: ignore[attr-defined]
    run = Virtual()
    old = ForeignMemory({"F0": (Foreign("F0", "x"), 1.0)})
    with pytest.raises(ServiceError, match="away"):
        run.run(observe(made, state(), OWNER, {}, parallelism=3, memory=old))  # type: ignore[arg-type]
    assert [set(each.agents) for each in run.events] == [{"F0", "F1"}]


# --- where foreign agents are --------------------------------------------------------------------------------------


def searched(world: Service) -> list[str]:
    """Notes which channels are listed."""
    asked: list[str] = []
    listed = world.live_agents

    def live_agents(*, channel: str | None = None, parallelism: int = 1) -> Any:
        if channel is not None:
            asked.append(channel)
        return listed(channel=channel)

    world.live_agents = live_agents  # type: ignore[method-assign]
    return asked


HALL = agent("hall/desk")


@pytest.mark.parametrize(
    ("known", "specs", "channels"),
    [
        (state(), (DESK, HALL), ["hall", "lobby"]),
        (state(), (), []),
        (state(record(DESK)), (DESK,), ["lobby"]),  # few channels: only to show it
        (state(record(DESK), foreign={"F1": Foreign("F1", "theirs")}), (DESK,), []),
        (state(record(DESK), foreign={"F1": Foreign("F1", "theirs")}), (DESK, HALL), ["hall"]),
        (state(generations={HERE: 1}, foreign={"F1": Foreign("F1", "theirs")}), (DESK,), []),
        (state(foreign={"F1": Foreign("F1", "theirs", "lobby")}), (DESK, HALL), []),
        (state(record(DESK), foreign={"F1": Foreign("F1", "theirs")}), (replace(DESK, adopt="F1"),), ["lobby"]),
        (state(record(DESK), foreign={"F1": Foreign("F1", "theirs")}), (replace(DESK, adopt="F2"),), []),
    ],
)  # fmt: skip
def test_which_channels_are_searched_for_a_stranger(known: State, specs: Any, channels: list[str]) -> None:
    made = Service({"A1": live(), "F1": STRANGER}, {"F1": "lobby"})
    asked = searched(made)
    found, kept, _ = looked(made, known, *specs)
    assert asked == channels
    assert kept.searched == frozenset(channels)
    placed = "lobby" in channels or any(each.channel for each in known.foreign.values())
    assert found.channels == ({"F1": "lobby"} if placed else {})


def test_only_so_many_channels_are_searched_to_show_a_stranger() -> None:
    for count, searches in ((50, 50), (51, 0)):
        specs = [agent(f"room-{number}/desk") for number in range(count)]
        records = [record(each, f"A{number}") for number, each in enumerate(specs)]
        agents = {each.agent_id: live(each.agent_id) for each in records}
        made = Service({**agents, "F1": STRANGER}, {"F1": "lobby"})
        asked = searched(made)
        looked(made, state(*records), *specs)
        assert len(asked) == searches


def test_no_channel_is_searched_twice_for_the_same_strangers() -> None:
    memory = ForeignMemory({"F1": (Foreign("F1", "theirs"), START - 9)}, frozenset({"lobby"}))
    made = Service({"F1": STRANGER}, {"F1": "elsewhere"})
    asked = searched(made)
    _, kept, _ = looked(made, state(), DESK, HALL, memory=memory)
    assert (asked, kept.searched) == (["hall"], frozenset({"hall", "lobby"}))
    new = Service(
        {"F1": STRANGER, "F2": replace(STRANGER, agent_id="F2")}, {"F1": "elsewhere", "F2": "elsewhere"}
    )
    asked = searched(new)
    _, kept, _ = looked(new, state(), DESK, memory=memory)
    assert (asked, kept.searched) == (["lobby"], frozenset({"lobby"})), "the earlier searches were for others"
    known = ForeignMemory({"F1": (Foreign("F1", "theirs", "lobby"), START - 9)})
    found, _, _ = looked(Service({"F1": STRANGER}), state(), DESK, memory=known)
    assert found.channels == {"F1": "lobby"}


@pytest.mark.parametrize(
    ("agents", "known", "found"),
    [
        ([STRANGER], state(), ["F1"]),
        ([replace(STRANGER, name=None)], state(), []),
        ([replace(STRANGER, agent_id="A1")], state(record(DESK)), []),
        ([live()], state(), []),
        ([live()], state(released=frozenset({"A1"})), ["A1"]),
    ],
)
def test_who_is_foreign(agents: Any, known: State, found: list[str]) -> None:
    seen = Basis(OWNER, known, tuple(agents), START)
    assert [each.agent_id for each in foreign_seen(seen)] == found


# --- facts ---------------------------------------------------------------------------------------------------------


def facts(seen: Basis, *specs: Any, **settings: Any) -> dict[str, Any]:
    return {str(each.address): each for each in gather_facts(fleet(*specs), seen, ABLE, **settings)}


RENAMED = agent("lobby/desk", previously=("lobby/door", "lobby/gate"))


def test_a_renamed_address_has_the_record_and_the_agent_of_its_earlier_one() -> None:
    seen = basis(
        [record(DOOR)], [running(DOOR)], [join_of(DOOR, operation=Operation.LATE_COPY, created_at=NOW)]
    )
    found = facts(seen, RENAMED)
    assert list(found) == ["lobby/desk"]
    desk = found["lobby/desk"]
    assert (desk.record, desk.found_at) == (record(DOOR), DOOR.address)
    assert [each.agent_id for each in desk.running] == ["A1"]
    assert desk.late_copy is not None
    gone = facts(basis([record(DOOR)]), RENAMED)["lobby/desk"]
    assert (gone.record, gone.found_at, gone.running) == (record(DOOR), None, ())


def test_an_earlier_address_that_is_declared_or_taken_keeps_its_record() -> None:
    seen = basis([record(DOOR)], [running(DOOR)])
    both = facts(seen, RENAMED, DOOR)
    assert both["lobby/desk"].record is None and both["lobby/door"].record == record(DOOR)
    own = facts(basis([record(DESK, "A2"), record(DOOR)], [running(DOOR)]), RENAMED)
    assert own["lobby/desk"].record == record(DESK, "A2") and own["lobby/door"].record == record(DOOR)
    first, second = RENAMED, replace(RENAMED, address=agent("lobby/gate-2").address)
    taken = facts(seen, first, second)
    assert [name for name, each in taken.items() if each.record is not None] == ["lobby/desk"]


def test_an_agent_without_a_record_is_found_by_the_digest_in_its_name() -> None:
    assert [each.agent_id for each in facts(basis([], [running(DESK)]), DESK)["lobby/desk"].running] == ["A1"]
    earlier = facts(basis([], [running(DOOR)]), RENAMED)["lobby/desk"]
    assert ([each.agent_id for each in earlier.running], earlier.found_at) == (["A1"], DOOR.address)
    (stray,) = facts(basis([], [running(DOOR)]), DESK).keys() - {"lobby/desk"}
    assert "door" in stray
    by_intent = facts(basis([], [running(DOOR)], [join_of(DOOR)]), DESK)
    assert "lobby/door" in by_intent


def test_of_several_agents_the_recorded_one_comes_first_and_then_the_oldest_that_runs() -> None:
    agents = [
        running(DESK, "C", started_at=NOW - 9),
        running(DESK, "B", started_at=NOW - 9),
        running(DESK, "D", status=AgentStatus.STARTING, started_at=NOW - 99),
        running(DESK, "A1", started_at=NOW - 1),
        running(DESK, "S", status=AgentStatus.STOPPING),
    ]
    found = facts(basis([record(DESK)], agents), DESK)["lobby/desk"]
    assert [each.agent_id for each in found.running] == ["A1", "B", "C", "D"]
    assert [each.agent_id for each in found.stopping] == ["S"]
    assert [each.agent_id for each in facts(basis([], agents), DESK)["lobby/desk"].running] == [
        "B",
        "C",
        "A1",
        "D",
    ]


@pytest.mark.parametrize(
    ("seen", "strangers", "foreign"),
    [
        (basis([], [STRANGER]), [], []),
        (replace(basis([], [STRANGER]), channels={"F1": "lobby"}), ["F1"], ["F1"]),
        (replace(basis([], [replace(STRANGER, status=AgentStatus.STOPPING)]), channels={"F1": "lobby"}), ["F1"], ["F1"]),
        (replace(basis([], [STRANGER]), channels={"F1": "hall"}), [], []),
        (replace(basis([record(DESK)], [STRANGER]), channels={"F1": "lobby"}), [], ["F1"]),
        (replace(basis([record(DESK)], [STRANGER], released=["F1"]), channels={"F1": "lobby"}), ["F1"], ["F1"]),
    ],
)  # fmt: skip
def test_which_foreign_agents_an_address_has_beside_it(seen: Basis, strangers: Any, foreign: Any) -> None:
    found = facts(seen, DESK)["lobby/desk"]
    assert [each.agent_id for each in found.strangers] == strangers
    assert [each.agent_id for each in found.foreign] == foreign


def test_an_address_that_has_run_before_is_no_first_join() -> None:
    seen = replace(basis([], [STRANGER]), channels={"F1": "lobby"})
    seen = replace(seen, state=replace(seen.state, generations={HERE: 1}))
    assert facts(seen, DESK)["lobby/desk"].strangers == ()


ADOPTS = replace(DESK, adopt="F1")


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (basis([], [STRANGER]), (None, None, False)),
        (replace(basis([], [STRANGER]), channels={"F1": "lobby"}), ("lobby", None, False)),
        (basis([], []), None),
        (basis([], [replace(STRANGER, status=AgentStatus.STOPPING)]), None),
        (basis([record(DOOR, "F1")], [STRANGER]), (None, DOOR.address, False)),
        (basis([], [running(DOOR, "F1")]), (None, None, True)),
        (basis([], [running(DOOR, "F1")], released=["F1"]), (None, None, False)),
        (basis([record(DESK, "F1", declared=True, name="theirs")], [STRANGER]), None),  # it has it already
    ],
)
def test_the_agent_that_the_files_adopt(seen: Basis, found: Any) -> None:
    adoptee = facts(seen, ADOPTS)["lobby/desk"].adoptee
    assert (None if adoptee is None else (adoptee.channel, adoptee.recorded_at, adoptee.is_ours)) == found


def test_foreign_agents_are_those_that_are_not_ours_and_a_plan_counts_those_that_live() -> None:
    seen = basis([], [STRANGER, running(DESK), replace(STRANGER, agent_id="F2", status=AgentStatus.STOPPING)])
    assert [each.agent_id for each in seen.ours] == [running(DESK).agent_id]
    assert [each.agent_id for each in seen.foreign] == ["F1", "F2"]
    assert build_plan(fleet(DESK), seen, ABLE).elsewhere == 1


def test_the_open_calls_of_an_address() -> None:
    notes = [join_of(operation=Operation.LATE_COPY, generation=each, name=f"n{each}") for each in (1, 3, 2)]
    refused = Intent(Operation.REFUSED, HERE, "", NOW, body=DESK.body, sent_at=NOW)
    seen = basis([], [], [*notes, join_of(), refused])
    found = facts(replace(seen, grace=7.0), DESK)["lobby/desk"]
    assert found.open_join == join_of() and found.refused == refused
    assert found.late_copy is not None and found.late_copy.generation == 3
    assert (found.superseded, found.grace, found.destroying) == (False, 7.0, False)
    assert facts(seen, DESK, destroying=True)["lobby/desk"].destroying


# --- a survey ------------------------------------------------------------------------------------------------------


def surveyed(
    world: Service, skew: float | None = None, **channels: str
) -> list[tuple[str, str | None, float, str | None]]:
    world.clock_skew = skew  # type: ignore[attr-defined]
    found = Virtual().run(survey(world, parallelism=2, channels=channels))  # type: ignore[arg-type]
    return [(each.agent.agent_id, each.agent.name, each.age, each.channel) for each in found]


def test_what_runs_is_surveyed_with_its_channel_where_its_turns_tell_it() -> None:
    told = {
        each: Turns(each, f"name of {each}", channel, 0, ())
        for each, channel in (("F1", "lobby"), ("F2", ""))
    }
    world = Service(
        {
            "F1": STRANGER,
            "F2": replace(STRANGER, agent_id="F2", name=None),
            "F3": replace(STRANGER, agent_id="F3", name=None),
        },
        told=told,
    )
    assert surveyed(world) == [
        ("F1", "theirs", 9.0, "lobby"),
        ("F2", "name of F2", 9.0, None),
        ("F3", None, 9.0, None),
    ]
    assert surveyed(world, skew=3.0, F3="hall")[2] == ("F3", None, 12.0, "hall")
    assert surveyed(world, skew=-30.0)[0][2] == 0.0
    assert surveyed(Service({"A1": live(status=AgentStatus.STOPPING)})) == []
    assert surveyed(Service()) == []


def test_turns_that_cannot_be_read_leave_the_channel_unknown() -> None:
    world = Service({"F1": STRANGER})
    world.answers["turns"] = [UsageError("no")]
    assert surveyed(world) == [("F1", "theirs", 9.0, None)]
