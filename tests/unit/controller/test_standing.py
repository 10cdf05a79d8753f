"""The controller's loop over the simulated service, in virtual time: what ends is healed, and nothing is done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply.events import Result
from reconciler.controller.loop import FilesRead, FleetLoop, TurnEnded
from reconciler.controller.roll import OnRoll, Roll
from reconciler.controller.turn import AgentEnd, TurnResult
from reconciler.errors import InvalidConfig, StateLocked
from reconciler.model.fleet import Archive, DesiredFleet, Freeze, Limit, Limits
from reconciler.model.spec import HOUR, Lifecycle, ReplaceOrder
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.ports import Checker, Historian, HttpFailure, HttpRequest, HttpTrouble
from reconciler.state.archive import TranscriptFiles
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual

KINDS = frozenset({Action.RENEW, Action.ROTATE, Action.JOIN, Action.ADOPT, Action.FORGET})
INTERVAL = 5.0
DESKS = [agent(f"lobby/desk-{number}") for number in range(3)]


class World(Virtual):
    """A virtual world with a controller in it."""

    def stand(
        self, seconds: float, wanted: DesiredFleet | None = None, *, interval: float = INTERVAL, **policy: Any
    ) -> None:
        """A controller that is started now, and killed after so many seconds."""
        self.ends_at = self.now + seconds
        allowed = Policy(**{"only": KINDS, "heal_stops": 1, **policy})
        job = self.job(fleet(*DESKS) if wanted is None else wanted, policy=allowed)
        roll = Roll(interval=interval)
        # A life of days has no use for looking at the files every five seconds of it.
        standing = FleetLoop(job, self.provider(), roll, longest_sleep=5.0 if seconds < HOUR else interval)
        self.run(standing.stand())

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    @property
    def turns(self) -> list[TurnEnded]:
        return self.of(TurnEnded)

    @property
    def ends(self) -> list[AgentEnd]:
        return [end for each in self.turns for end in each.turned.ends]

    def addresses(self) -> Counter[str]:
        """How many live agents each address has."""
        return Counter(f"{each.channel}/{each.name.split('.')[-4]}" for each in self.live())

    def assert_all_stand(self, count: int = 3) -> None:
        found = self.addresses()
        assert len(found) == count
        assert set(found.values()) == {1}


@pytest.fixture
def world() -> World:
    return World()


def told_to_leave(world: World, agent_id: str) -> None:
    """What somebody does who has the App ID's credentials, and not this tool."""
    world.run(world.provider().leave(agent_id))


ENDS: dict[str, tuple[Callable[[World, str], None], float]] = {
    "lifetime": (lambda w, a: w.service.end(a, message="Task lifetime limit exceeded", failed=False), 600),
    "idle": (lambda w, a: w.service.end(a, message="Idle for too long", failed=False), 600),
    "stopped": (told_to_leave, 600),
    "failed": (lambda w, a: w.service.end(a, message="RTC connection error"), 600),
    "never_started": (lambda w, a: w.service.end(a, message="RTC connection error"), 10),
}


@pytest.mark.parametrize("kind", ENDS)
def test_each_way_of_ending_is_healed_within_two_rolls_and_counted_once(world: World, kind: str) -> None:
    end, after = ENDS[kind]
    healed: list[float] = []

    def happens() -> None:
        victim = world.live()[0].agent_id
        end(world, victim)
        ended_at = world.now
        world.on_request = lambda request: (
            healed.append(world.now - ended_at) if request.url.endswith("/join") else None
        )

    world.at(after, happens)
    world.stand(after + 60)
    world.assert_all_stand()
    assert [str(each.kind) for each in world.ends] == [kind]
    assert len(healed) == 1
    assert healed[0] <= 10


def test_what_is_unchanged_costs_one_listing_an_interval_and_no_lock(world: World) -> None:
    world.stand(20)
    locks = len(world.locked_for)
    requests: list[HttpRequest] = []
    world.on_request = requests.append
    world.stand(300)
    assert {each.url.rsplit("/", 1)[-1] for each in requests} == {"agents"}
    assert 300 / (1.2 * INTERVAL) - 2 <= len(requests) <= 300 / (0.8 * INTERVAL) + 2
    assert len(world.locked_for) == locks
    assert {each.turned.result for each in world.turns[-40:]} == {TurnResult.UNCHANGED}


def test_one_repair_of_three_hundred_costs_a_roll_four_queries_and_a_join(world: World) -> None:
    wanted = fleet(*(agent(f"lobby/desk-{number:03}") for number in range(300)))
    world.stand(20, wanted)
    world.assert_all_stand(300)
    requests: list[str] = []
    world.on_request = lambda request: requests.append(request.url.rsplit("/", 1)[-1])
    world.service.end(world.live()[5].agent_id)
    world.stand(9.5, wanted, interval=30)
    world.assert_all_stand(300)
    counts = Counter(each if each in ("agents", "join") else "query" for each in requests)
    assert counts["join"] == 1
    assert counts["query"] <= 4
    assert counts["agents"] <= 4, "the roll that saw it, in pages of a hundred"


def test_a_first_join_beside_a_stranger_is_held_and_nothing_of_the_rest(world: World) -> None:
    other = Virtual(now=world.now)
    other.service = world.service
    from reconciler import workflow
    from reconciler.model.address import Owner

    theirs = fleet(agent("bar/theirs"), owner=Owner("other"))
    other.run(workflow.apply(other.job(theirs), other.provider()))
    world.stand(30, fleet(*DESKS, agent("bar/ours")))
    assert len(world.live()) == 4
    held = [each for each in world.turns[-1].turned.changes if each.result is Result.HELD]
    assert [str(each.address) for each in held] == ["bar/ours"]


def test_what_a_provider_can_do_besides_is_passed_on(world: World) -> None:
    seen = OnRoll(world.provider(), Roll())
    assert isinstance(seen, Checker)
    assert isinstance(seen, Historian)


# --- the brake ------------------------------------------------------------------------------------------------


def stops(world: World, address: str) -> None:
    victim = next(each for each in world.live() if f".{address}." in each.name)
    told_to_leave(world, victim.agent_id)


def test_what_somebody_ends_twice_in_an_hour_is_held_also_by_a_controller_that_was_started_anew(
    world: World,
) -> None:
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.stand(800)
    world.assert_all_stand()
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.stand(760)
    assert len(world.live()) == 2
    world.stand(300)
    assert len(world.live()) == 2
    (held,) = world.turns[-1].turned.changes
    assert held.detail.startswith("somebody keeps ending it through the API (at ")
    assert held.detail.count("UTC") == 2


def test_two_stops_that_lie_more_than_an_hour_apart_are_both_healed(world: World) -> None:
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.at(700 + 3700, lambda: stops(world, "lobby-desk-1"))
    world.stand(4500)
    world.assert_all_stand()


def test_an_apply_of_a_person_joins_what_was_held_and_other_files_do_too(world: World) -> None:
    from reconciler import workflow

    def twice() -> None:
        for at in (700, 1400):
            world.at(at, lambda: stops(world, "lobby-desk-1"))
        world.stand(1450)
        assert len(world.live()) == 2

    twice()
    world.ends_at = float("inf")
    world.run(workflow.apply(world.job(fleet(*DESKS)), world.provider()))
    world.assert_all_stand()
    world.stand(60)
    world.assert_all_stand()


def test_what_somebody_ended_twice_and_a_person_joined_is_healed_when_it_fails_later(world: World) -> None:
    from reconciler import workflow

    for at in (700, 1400):
        world.at(at, lambda: stops(world, "lobby-desk-1"))
    world.stand(1450)
    world.ends_at = float("inf")
    world.run(workflow.apply(world.job(fleet(*DESKS)), world.provider()))
    world.at(
        900, lambda: world.service.end(next(e for e in world.live() if ".lobby-desk-1." in e.name).agent_id)
    )
    world.stand(960)
    world.assert_all_stand()


def test_a_join_that_the_service_refuses_is_tried_a_few_times_an_hour_restarts_included(world: World) -> None:
    world.stand(20)
    world.service.set_script([{"on": "join", "fate": "refuse", "status": 400, "count": 0}])
    more = fleet(*DESKS, agent("bar/a"))
    world.sent.clear()
    for _ in range(6):
        world.stand(600, more)
    assert 3 <= world.sent["join"] <= 12
    world.assert_all_stand()
    other = fleet(*DESKS, agent("bar/a", llm={"params": {"model": "another"}}))
    before = world.sent["join"]
    world.stand(30, other)
    assert 2 <= world.sent["join"] - before <= 3, "what the files say anew is tried at once"


# --- files ------------------------------------------------------------------------------------------------------


def test_files_that_do_not_load_leave_nobody_and_what_ends_is_healed_all_the_same(world: World) -> None:
    world.stand(20)
    world.files = [InvalidConfig([])]
    world.at(100, lambda: world.service.end(world.live()[0].agent_id))
    world.stand(200, only=frozenset(Action))
    world.assert_all_stand()
    assert [each.problem is not None for each in world.of(FilesRead)] == [True]


def test_files_that_drop_an_agent_leave_it_only_where_that_is_allowed(world: World) -> None:
    world.stand(20)
    world.files = [fleet(*DESKS[:2])]
    world.stand(60)
    world.assert_all_stand()
    (held,) = world.turns[-1].turned.changes
    assert (str(held.address), held.action, held.result) == ("lobby/desk-2", Action.LEAVE, Result.HELD)
    world.files = [fleet(*DESKS[:2])]
    world.stand(60, only=frozenset(Action))
    world.assert_all_stand(2)


def test_files_without_any_agent_are_a_mistake(world: World) -> None:
    world.stand(20)
    world.files = [fleet()]
    world.stand(60, only=frozenset(Action))
    world.assert_all_stand()


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_limit_on_joins_lets_no_token_run_out(world: World) -> None:
    world.stand(20)
    tight = replace(UNLIMITED, join=Limit(number=1))
    more = fleet(*DESKS, agent("bar/a"), agent("bar/b"), limits=tight)
    world.stand(15 * HOUR, more, interval=600)
    assert len(world.live()) == 3
    assert world.sent["update"] == 3
    assert "limits.join allows 1" in world.turns[-1].turned.refused[0]


def test_a_limit_on_hang_ups_leaves_no_address_down(world: World) -> None:
    """Files that would end too many conversations are refused; what ends meanwhile is joined again all the same."""
    tight = Limits(hang_ups=Limit(percent=30), leave=Limit(percent=10))
    german = {"asr": {"language": "de-DE"}}
    world.stand(20, fleet(*DESKS, limits=tight), only=None)
    victim = world.live()[0]
    world.at(30, lambda: world.service.end(victim.agent_id))
    edited = fleet(*(agent(str(each.address), **german) for each in DESKS), agent("bar/new"), limits=tight)
    world.stand(120, edited, only=None)
    world.assert_all_stand()
    turned = world.turns[-1].turned
    assert "limits.hang_ups allows" in turned.refused[0]
    assert {str(each.address): each.detail for each in turned.changes} == {
        "lobby/desk-1": "a limit that is exceeded leaves replace out",
        "lobby/desk-2": "a limit that is exceeded leaves replace out",
        "bar/new": "a limit that is exceeded leaves out the join of what has not run before",
    }


# What holds or refuses the second half of a rotation, had it been decided by itself: the join, or the other one's leave.
HALVES: dict[str, dict[str, Any]] = {
    "joins are frozen": {"frozen": {"join"}},
    "leaves are frozen": {"frozen": {"leave"}},
    "joins are not allowed": {"only": frozenset({Action.RENEW, Action.ROTATE})},
    "one join": {"limits": replace(UNLIMITED, join=Limit(number=1))},
    "one leave": {"limits": replace(UNLIMITED, leave=Limit(number=1))},
    "no hang-up": {"limits": replace(UNLIMITED, hang_ups=Limit(number=0))},
    "a lower quota": {"limits": replace(UNLIMITED, quota=2)},
}


@pytest.mark.parametrize("order", ReplaceOrder)
@pytest.mark.parametrize("case", HALVES)
def test_a_rotation_that_has_begun_is_finished(world: World, case: str, order: ReplaceOrder) -> None:
    """It takes two turns here. Else an address is down, or two agents talk there, until a person comes."""
    world.service.set_switches(token_expiry="ignored", stop_seconds=5)
    old = Lifecycle(rotate_after=48 * HOUR, rotate_spread=0.0, replace=order)
    agents = [replace(each, lifecycle=old) for each in DESKS]
    world.stand(20, fleet(*agents))
    first = {each.agent_id for each in world.live()}
    world.now += 48.2 * HOUR
    what = HALVES[case]
    freeze = Freeze(world.now + 20 * HOUR, "a busy day", ("*",), frozenset(what.get("frozen", ())))
    wanted = replace(fleet(*agents, limits=what.get("limits")), freezes=(freeze,))
    world.stand(300, wanted, only=what.get("only", KINDS))
    world.assert_all_stand()
    assert first.isdisjoint(each.agent_id for each in world.live())
    assert world.turns[-1].turned.result is TurnResult.UNCHANGED


@pytest.mark.parametrize("start_seconds", [0.3, 1.5])
@pytest.mark.parametrize(
    ("edit", "only"),
    [({}, KINDS), ({"asr": {"language": "de-DE"}}, None)],
    ids=["rotation", "replacement"],
)
def test_join_first_ends_nobody_while_the_successors_fail(
    world: World, edit: dict[str, Any], only: frozenset[Action] | None, start_seconds: float
) -> None:
    """What a wrong key does: each successor runs, and ends two seconds after its start."""
    world.service.set_switches(token_expiry="ignored", start_seconds=start_seconds)
    old = Lifecycle(rotate_after=48 * HOUR, rotate_spread=0.0, replace=ReplaceOrder.JOIN_FIRST)
    world.stand(20, fleet(agent("lobby/desk", lifecycle=old)))
    (first,) = world.live()
    world.now += 48.2 * HOUR
    joins: list[float] = []

    def end_successors() -> None:
        for each in world.live():
            if each.agent_id != first.agent_id:
                world.service.end(each.agent_id)

    def fail(request: HttpRequest) -> None:
        if request.url.endswith("/join"):
            joins.append(world.now)
            world.at(2.0, end_successors)

    world.on_request = fail
    wanted = fleet(agent("lobby/desk", lifecycle=old, **edit))
    world.stand(HOUR, wanted, only=only, interval=30)
    assert [each.agent_id for each in world.live()] == [first.agent_id]
    assert 3 <= len(joins) <= 12
    world.on_request = None
    world.stand(2 * HOUR, wanted, only=only, interval=30)
    (last,) = world.live()
    assert last.agent_id != first.agent_id
    assert last.properties["asr"]["language"] == edit.get("asr", {}).get("language", "en-US")


def test_a_fleet_that_ends_within_two_hours_rotates_a_few_at_a_time(world: World) -> None:
    wanted = fleet(
        *(agent(f"lobby/desk-{number:02}") for number in range(20)),
        limits=Limits(max_unavailable=Limit(percent=10.0), hang_ups=Limit(percent=100)),
    )
    world.service.set_switches(token_expiry="ignored", stop_seconds=5)
    world.stand(20, wanted)
    world.now += 70.5 * HOUR
    away: list[int] = []
    world.on_request = lambda _: away.append(20 - len([e for e in world.live() if e.left_at is None]))
    world.stand(600, wanted)
    world.assert_all_stand(20)
    assert max(world.now - each.created_at for each in world.live()) <= 600
    assert max(away) == 2


def test_a_successor_that_runs_beside_its_predecessor_makes_no_fleet_larger(world: World) -> None:
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST, rotate_spread=0.0)
    plain = replace(first, replace=ReplaceOrder.LEAVE_FIRST)
    wanted = fleet(
        *(agent(f"lobby/desk-{number:02}", lifecycle=plain if number % 2 else first) for number in range(20)),
        limits=Limits(max_unavailable=Limit(percent=10.0), hang_ups=Limit(percent=100)),
    )
    world.service.set_switches(token_expiry="ignored", stop_seconds=30, start_seconds=8)
    world.stand(20, wanted)
    world.now += 61 * HOUR
    away: list[int] = []

    def look(_: HttpRequest) -> None:
        up = {each.name.split(".")[3] for each in world.live() if each.left_at is None}
        away.append(20 - len(up))

    world.on_request = look
    world.stand(3600, wanted)
    world.assert_all_stand(20)
    assert max(world.now - each.created_at for each in world.live()) <= 3600
    assert max(away) == 2


# --- lock, knock, lead ------------------------------------------------------------------------------------------


def test_the_lock_is_not_held_while_an_agent_says_farewell(world: World) -> None:
    short = Lifecycle(rotate_after=2 * HOUR, rotate_spread=0.0)
    wanted = fleet(agent("lobby/desk", lifecycle=short), limits=Limits(max_unavailable=Limit(number=1)))
    world.stand(20, wanted)
    world.service.set_switches(stop_seconds=90)
    world.locked_for.clear()
    world.stand(2 * HOUR + 300, wanted)
    (only,) = world.live()
    assert world.now - only.created_at < 400
    assert len(world.locked_for) > 10, "it looks again and again until the agent has gone"
    assert max(world.locked_for) < 2


def test_a_rotation_beside_its_predecessor_ends_with_one_agent(world: World) -> None:
    short = Lifecycle(rotate_after=2 * HOUR, rotate_spread=0.0, replace=ReplaceOrder.JOIN_FIRST)
    wanted = fleet(agent("lobby/desk", lifecycle=short))
    world.stand(20, wanted)
    world.locked_for.clear()
    world.stand(2 * HOUR + 300, wanted)
    (only,) = world.live()
    assert world.now - only.created_at < 400
    assert max(world.locked_for) < 2


def test_who_knocks_is_let_in_in_the_middle_of_a_turn_and_the_rest_is_done_afterwards(world: World) -> None:
    wanted = fleet(*(agent(f"lobby/desk-{number:02}") for number in range(30)))

    def knock(request: HttpRequest) -> None:
        if world.sent.get("join") == 5:
            world.knocked = True

    world.on_request = knock
    world.at(60, lambda: setattr(world, "knocked", False))
    world.at(50, lambda: seen.append((len(world.live()), is_free(world))))
    seen: list[tuple[int, bool]] = []
    world.stand(120, wanted)
    [(joined, free)] = seen
    assert joined <= 7, "nothing new was begun while somebody waited"
    assert free
    world.assert_all_stand(30)


def is_free(world: World) -> bool:
    try:
        world.state.take("somebody")
    except StateLocked:
        return False
    world.state.release()
    return True


def test_who_stands_by_looks_and_does_nothing(world: World) -> None:
    world.leads = False
    requests: list[HttpRequest] = []
    world.on_request = requests.append
    world.at(40, lambda: setattr(world, "leads", True))
    seen: list[int] = []
    world.at(39, lambda: seen.append(len(world.live())))
    world.at(39, lambda: seen.append(len(requests)))
    world.stand(80)
    assert seen[0] == 0
    assert seen[1] > 2, "it rolls, so that it knows what runs"
    world.assert_all_stand()


# --- the service ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away_for", range(116, 131, 2))
@pytest.mark.parametrize(("interval", "bound"), [(5.0, 10.5), (30.0, 30.5)])
def test_a_service_that_is_away_for_two_minutes_is_met_again_within_an_interval_or_ten_seconds(
    world: World, interval: float, bound: float, away_for: int
) -> None:
    world.stand(700)
    world.share = 0.99
    away: list[bool] = [False]
    send = world._send

    def cut(request: HttpRequest) -> Any:
        if away[0]:
            world._pass(0.01)
            return HttpFailure(HttpTrouble.CONNECT, sent=False)
        return send(request)

    world._send = cut  # type: ignore[method-assign]
    back: list[float] = []
    victims = [each.agent_id for each in world.live()][:1]

    def leave() -> None:
        away[0] = True
        world.service.end(victims[0])

    def returns() -> None:
        away[0] = False
        back.append(world.now)
        world.on_request = lambda request: back.append(world.now) if request.url.endswith("/join") else None

    world.at(10, leave)
    world.at(10 + away_for, returns)
    world.stand(200, interval=interval)
    world.assert_all_stand()
    assert back[1] - back[0] <= bound


def test_six_days_without_an_end_by_the_service_or_a_token(world: World) -> None:
    lifecycle = Lifecycle(rotate_after=60 * HOUR, rotate_spread=8 * HOUR)
    desks = [agent(f"lobby/desk-{number:02}", lifecycle=lifecycle) for number in range(20)]
    wanted = fleet(*desks, limits=Limits(max_unavailable=Limit(number=2), hang_ups=Limit(percent=100)))
    oldest: list[float] = []
    down: list[int] = []

    def look() -> None:
        oldest.append(max(world.now - each.created_at for each in world.live()))
        down.append(20 - len(world.live()))
        world.at(600, look)

    world.at(60, look)
    world.stand(6 * 24 * HOUR, wanted, interval=600)
    world.assert_all_stand(20)
    assert max(oldest) < 71 * HOUR
    assert max(down) <= 2
    assert [each for each in world.ends if each.kind.value != "lifetime"] == []
    assert world.ends == [], "nothing reached the service's limit"
    gone = [each for each in world.service.world.agents() if each.end.at <= world.now]
    assert {each.end.message for each in gone} == {"OK"}, "no token ran out either"
    assert world.sent["join"] == world.sent["leave"] + 20


def test_transcripts_are_kept_while_agents_live_and_an_end_loses_at_most_one_interval(tmp_path: Path) -> None:
    files = TranscriptFiles(tmp_path, "transcripts")
    world = World(archive=files)
    wanted = replace(fleet(*DESKS), archive=Archive("transcripts", every=60.0))
    spoken: list[float] = []

    def speak() -> None:
        provider = world.provider()
        for running in world.live():
            provider.seat(running.agent_id, running.channel, running.uid)
            world.run(provider.speak(running.agent_id, f"word {len(spoken)}"))
        spoken.append(world.now)

    for second in range(30, 600, 30):
        world.at(second, speak)
    world.at(610, lambda: world.service.end(world.live()[0].agent_id))
    world.stand(700, wanted)
    world.assert_all_stand()
    archives = [files.read(name) for each in wanted.agents for name in files.sessions(each)]
    ended = [each for each in archives if each[-1]["type"] == "end"]
    assert len(ended) == 1
    for lines in archives:
        said = [each["content"] for each in lines if each["type"] == "utterance"]
        assert said == [f"word {number}" for number in range(len(said))], "each once, and in order"
    (lost,) = ended
    said = [each for each in lost if each["type"] == "utterance"]
    assert len(said) >= len(spoken) - 3, "two words an interval, and the round that takes it"
