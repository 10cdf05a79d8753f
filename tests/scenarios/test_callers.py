"""Whoever talks to an agent: not hung up on, and not talked over, by surprise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.apply.events import Ledger, Result
from reconciler.errors import Refused, UsageError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import Limit, Limits
from reconciler.model.record import Intent, Operation
from reconciler.model.spec import HOUR, AgentSpec, Beside, Lifecycle
from reconciler.model.writes import DropRecord, PutIntent
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Hold, Renew, Rotate
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.report.formats import ReportKind, named
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual

STRANGER = Owner("other")
NO_QUOTA = replace(UNLIMITED, quota=None)
# How many changes are made at once.
PARALLEL = 10


@pytest.fixture
def virtual() -> Virtual:
    return Virtual()


def apply(virtual: Virtual, wanted: object, policy: Policy = Policy()) -> Ledger:
    return virtual.run(workflow.apply(virtual.job(wanted, policy=policy), virtual.provider()))


def plan(virtual: Virtual, wanted: object) -> Plan:
    return virtual.run(workflow.plan(virtual.job(wanted), virtual.provider()))


def someone_else(virtual: Virtual, *specs: AgentSpec) -> dict[str, str]:
    """Agents of somebody else on the same service: channel -> agent id."""
    other = Virtual(now=virtual.now)
    other.service = virtual.service
    apply(other, fleet(*specs, owner=STRANGER), policy=Policy(allow_beside=("*",)))
    return {each.channel: each.agent_id for each in virtual.live()}


# --- adopt ----------------------------------------------------------------------------------------------------


def test_adopt_refuses_an_agent_of_another_channel_and_says_where_it_runs(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("helpdesk/theirs", agent_rtc_uid="7"))
    wanted = fleet(agent("showroom/sales", agent_rtc_uid="7"), agent("helpdesk/help", agent_rtc_uid="8"))
    with pytest.raises(UsageError, match="runs in helpdesk, not in showroom"):
        virtual.run(
            workflow.adopt(
                virtual.job(wanted), virtual.provider(), Address("showroom", "sales"), ids["helpdesk"]
            )
        )
    assert virtual.state.read().records == {}


def test_adopt_refuses_an_agent_of_no_channel_of_ours(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("elsewhere/theirs", agent_rtc_uid="7"))
    wanted = fleet(agent("showroom/sales", agent_rtc_uid="7"))
    with pytest.raises(UsageError, match="does not run in channel showroom"):
        virtual.run(
            workflow.adopt(
                virtual.job(wanted), virtual.provider(), Address("showroom", "sales"), ids["elsewhere"]
            )
        )
    assert virtual.state.read().records == {}


def test_the_files_adopt_through_a_plan_once_and_nobody_is_hung_up_on(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    told = replace(agent("lobby/greeter", agent_rtc_uid="7"), adopt=ids["lobby"])
    shown = plan(virtual, fleet(told))
    assert (shown.unmanaged, shown.elsewhere) == ((), 0)  # it is adopted: nobody is told to do so again
    assert [each.agent.agent_id for each in plan(virtual, fleet(replace(told, adopt=None))).unmanaged] == [
        ids["lobby"]
    ]
    (change,) = shown.pending
    assert (change.reason.because, change.address) == (Because.ADOPT_DECLARED, told.address)
    apply(virtual, fleet(told))
    assert [each.agent_id for each in virtual.live()] == [ids["lobby"]]
    assert virtual.state.read().records[told.address].adopted_as
    assert plan(virtual, fleet(told)).pending == ()
    # Once that agent has ended, the address joins as any other, and the plan says that the line can go.
    virtual.service.end(ids["lobby"])
    apply(virtual, fleet(told))
    (ours,) = virtual.live()
    after = plan(virtual, fleet(told))
    assert after.pending == () and [each.rule for each in after.warnings] == ["adopt-over"]
    assert plan(virtual, fleet(replace(told, adopt=None))).pending == ()
    assert ours.agent_id != ids["lobby"]


def test_an_agent_that_the_files_adopt_is_no_stranger_to_the_others_of_its_channel(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    told = replace(agent("lobby/greeter", agent_rtc_uid="7"), adopt=ids["lobby"])
    wanted = fleet(told, agent("lobby/guide", agent_rtc_uid="8"))
    assert apply(virtual, wanted).is_complete
    assert len(virtual.live()) == 2
    assert plan(virtual, wanted).pending == ()


def test_an_agent_that_two_addresses_adopt_gets_no_record_at_all(virtual: Virtual) -> None:
    """As a loop over agents with one `adopt` writes it: each would send its prompt, and mint for its own uid."""
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    both = [
        replace(agent(f"lobby/{name}", agent_rtc_uid=uid), adopt=ids["lobby"])
        for name, uid in (("greeter", "7"), ("guide", "8"))
    ]
    ledger = apply(virtual, fleet(*both))
    assert [each.result for each in ledger.finished] == [Result.HELD, Result.HELD]
    assert "lobby/guide is to adopt agent" in ledger.finished[0].detail
    assert virtual.state.read().records == {}
    assert apply(virtual, fleet(both[0], replace(both[1], adopt=None))).is_complete
    records = virtual.state.read().records
    assert [records[each.address].agent_id == ids["lobby"] for each in both] == [True, False]


def test_the_files_adopt_no_agent_of_another_channel_and_join_none_instead(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("helpdesk/theirs", agent_rtc_uid="7"))
    told = replace(agent("showroom/sales", agent_rtc_uid="7"), adopt=ids["helpdesk"])
    helpdesk = agent("helpdesk/help", agent_rtc_uid="8", lifecycle=Lifecycle(beside=Beside.ALLOW))
    ledger = apply(virtual, fleet(told, helpdesk))
    assert Counter(each.channel for each in virtual.live()) == {"helpdesk": 2}
    (held,) = [each for each in ledger.finished if each.result is Result.HELD]
    assert ids["helpdesk"] in held.detail and "runs in helpdesk, not in showroom" in held.detail
    assert told.address not in virtual.state.read().records


def test_what_an_interrupted_join_started_is_taken_back_before_another_agent_is_adopted(
    virtual: Virtual,
) -> None:
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="8", lifecycle=Lifecycle(beside=Beside.ALLOW)))
    apply(virtual, wanted)
    (ours,) = [each for each in virtual.live() if each.agent_id != ids["lobby"]]
    where = Address("lobby", "greeter")
    record = virtual.state.read().records[where]
    intent = Intent(
        Operation.JOIN, where, record.name, virtual.now, generation=1, uid=record.uid, body=record.body
    )
    state = virtual.state.read()
    virtual.state.commit((PutIntent(intent), DropRecord(where)), expected=state.serial)
    with pytest.raises(UsageError, match=f"running agent already \\({ours.agent_id}"):
        virtual.run(workflow.adopt(virtual.job(wanted), virtual.provider(), where, ids["lobby"]))
    assert virtual.state.read().records[where].agent_id == ours.agent_id


@pytest.mark.parametrize("by", ["the verb", "the files"])
def test_no_agent_is_adopted_whose_uid_another_one_of_ours_has_in_the_channel(
    virtual: Virtual, by: str
) -> None:
    """Seen in a random life: a service that lets two agents have one uid, then an adoption under another address."""
    virtual.service.set_switches(uid_conflict="accepted")
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    apply(virtual, fleet(agent("lobby/guide", agent_rtc_uid="7", lifecycle=Lifecycle(beside=Beside.ALLOW))))
    assert len(virtual.live()) == 2
    told = agent("lobby/greeter", agent_rtc_uid="7")
    if by == "the verb":
        with pytest.raises(UsageError, match="of lobby/guide runs in lobby with the same uid 7"):
            virtual.run(
                workflow.adopt(virtual.job(fleet(told)), virtual.provider(), told.address, ids["lobby"])
            )
        assert told.address not in virtual.state.read().records
    wanted = fleet(replace(told, adopt=ids["lobby"]), limits=UNLIMITED)
    for _ in range(2):
        apply(virtual, wanted)
        agents = [each.agent_id for each in virtual.state.read().records.values()]
        assert len(agents) <= 1 or len(virtual.live()) == 1
    assert [each.agent_id for each in virtual.live()] == [ids["lobby"]]
    assert [each.agent_id for each in virtual.state.read().records.values()] == [ids["lobby"]]


# --- beside ---------------------------------------------------------------------------------------------------


def test_a_first_join_beside_a_foreign_agent_is_held_and_the_others_go_on(virtual: Virtual) -> None:
    ids = someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    (held,) = [each for each in plan(virtual, wanted).changes if isinstance(each, Hold)]
    assert held.reason.because is Because.BESIDE
    for way in (
        f"adopt lobby/greeter {ids['lobby']}",
        "beside: allow",
        "--allow beside=lobby/greeter",
    ):
        assert way in held.reason.text
    apply(virtual, wanted)
    assert Counter(each.channel for each in virtual.live()) == {"lobby": 1, "bar": 1}
    apply(virtual, wanted, policy=Policy(allow_beside=("lobby/*",)))
    assert Counter(each.channel for each in virtual.live()) == {"lobby": 2, "bar": 1}


def test_a_channel_may_be_shared_on_purpose(virtual: Virtual) -> None:
    someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=Lifecycle(beside=Beside.ALLOW))))
    assert len(virtual.live()) == 2


def test_what_has_run_before_is_joined_again_without_asking(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    (ours,) = virtual.live()
    someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    virtual.service.end(ours.agent_id)
    apply(virtual, wanted)
    assert len(virtual.live()) == 2


def test_a_stranger_known_before_the_channel_was_ours_holds_the_join_too(virtual: Virtual) -> None:
    someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    apply(virtual, fleet(agent("bar/waiter")))  # remembers the stranger, and no channel of it
    apply(virtual, fleet(agent("bar/waiter"), agent("lobby/greeter")))
    assert Counter(each.channel for each in virtual.live()) == {"lobby": 1, "bar": 1}


def test_many_channels_do_not_hide_a_stranger(virtual: Virtual) -> None:
    someone_else(virtual, agent("room-55/theirs", agent_rtc_uid="7"))
    wanted = fleet(*(agent(f"room-{number}/desk") for number in range(60)))
    held = [each for each in plan(virtual, wanted).changes if isinstance(each, Hold)]
    assert [str(each.address) for each in held] == ["room-55/desk"]


# --- the hang-up budget ---------------------------------------------------------------------------------------


def test_replacements_and_leaves_share_one_budget(virtual: Virtual) -> None:
    everyone = [agent(f"room-{number}/desk") for number in range(10)]
    apply(virtual, fleet(*everyone))
    before = {each.agent_id for each in virtual.live()}
    # Two leave and two are replaced: four of ten, and the default is three.
    edited = [agent(f"room-{number}/desk", idle_timeout=9) for number in range(2)]
    wanted = fleet(*edited, *everyone[2:8], limits=Limits())
    with pytest.raises(Refused, match=r"4 conversations would end.*allows 3 \(30% of 10 running\)"):
        apply(virtual, wanted)
    assert {each.agent_id for each in virtual.live()} == before
    apply(virtual, wanted, policy=Policy({"hang_ups": 4}))
    assert len(virtual.live()) == 8


def test_forced_replacements_count_too(virtual: Virtual) -> None:
    wanted = fleet(*(agent(f"room-{number}/desk") for number in range(4)), limits=Limits())
    apply(virtual, wanted)
    job = virtual.job(wanted, selection=Selection(replaces=("*",)))
    with pytest.raises(Refused, match="4 conversations would end"):
        virtual.run(workflow.apply(job, virtual.provider()))


def test_destroy_is_not_limited(virtual: Virtual) -> None:
    wanted = fleet(*(agent(f"room-{number}/desk") for number in range(4)), limits=Limits())
    apply(virtual, wanted)
    virtual.run(workflow.apply(virtual.job(wanted, destroying=True), virtual.provider()))
    assert virtual.live() == []


# --- what starts together does not end together ----------------------------------------------------------------


def test_forty_agents_through_their_72_hours(virtual: Virtual) -> None:
    """A keep-alive run every half hour: never more than four of forty down at once, and none is ended by the service."""
    wanted = fleet(
        *(agent(f"room-{number}/desk") for number in range(40)),
        limits=replace(UNLIMITED, max_unavailable=Limits().max_unavailable),
    )
    apply(virtual, wanted)
    first = {each.agent_id for each in virtual.live()}
    started = virtual.now
    renewals: list[int] = []
    rotations: list[int] = []
    while virtual.now - started < 71 * HOUR:
        virtual.now += 0.5 * HOUR
        changes = plan(virtual, wanted).changes
        renewals.append(sum(isinstance(each, Renew) for each in changes))
        rotations.append(sum(isinstance(each, Rotate) for each in changes))
        apply(virtual, wanted)
        assert len(virtual.live()) == 40
    assert not first & {each.agent_id for each in virtual.live()}
    assert max(rotations) <= 4
    assert sum(each > 0 for each in rotations) >= 10, "spread over the eight hours"
    assert max(renewals) <= 20


def test_an_agent_near_its_end_rotates_whatever_the_budget_says(virtual: Virtual) -> None:
    virtual.service.set_switches(token_expiry="ignored")
    wanted = fleet(
        *(agent(f"room-{number}/desk") for number in range(5)),
        limits=replace(UNLIMITED, max_unavailable=Limit(number=1)),
    )
    apply(virtual, wanted)
    virtual.now += 69 * HOUR
    assert sum(isinstance(each, Rotate) for each in plan(virtual, wanted).changes) == 1
    held = [each for each in plan(virtual, wanted).changes if isinstance(each, Hold)]
    assert {each.reason.because for each in held} == {Because.MAX_UNAVAILABLE}
    virtual.now += 1.5 * HOUR
    assert sum(isinstance(each, Rotate) for each in plan(virtual, wanted).changes) == 5


def test_the_spread_is_the_same_in_every_run_and_new_in_every_generation(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    record = virtual.state.read().records[Address("lobby", "greeter")]
    assert 0 <= record.share < 1
    assert record.share == replace(record, agent_id="OTHER").share
    assert record.share != replace(record, generation=record.generation + 1).share


def test_a_rotation_never_comes_later_than_70_hours() -> None:
    life = Lifecycle(rotate_after=66 * HOUR)
    assert life.rotates_at(0.999) <= 70 * HOUR
    assert Lifecycle(rotate_after=70 * HOUR).rotates_at(0.5) == 70 * HOUR


def test_only_joins_is_no_way_around_a_hold(virtual: Virtual) -> None:
    someone_else(virtual, agent("lobby/theirs", agent_rtc_uid="7"))
    apply(virtual, fleet(agent("lobby/greeter")), policy=Policy(only=frozenset({Action.JOIN})))
    assert len(virtual.live()) == 1


# --- refusals that look like outages ----------------------------------------------------------------------------


def test_a_500_that_refuses_the_properties_is_a_refusal_with_advice(virtual: Virtual) -> None:
    detail = "core: edge failed, reason: 'NoneType' object has no attribute 'output_modalities'"
    virtual.service.set_script(
        [{"on": "join", "count": 0, "fate": "refuse", "status": 500, "detail": detail}]
    )
    ledger = virtual.run(workflow.apply(virtual.job(fleet(agent("lobby/greeter"))), virtual.provider()))
    (row,) = ledger.finished
    assert row.result is Result.FAILED
    assert "the service's engine refused the properties" in row.detail
    assert virtual.sent == {"join": 1}, "the same body would get the same answer"
    assert virtual.state.read().intents == ()


# --- a limit that is known beforehand ---------------------------------------------------------------------------


def rooms(*numbers: int) -> list[AgentSpec]:
    return [agent(f"room-{number}/desk") for number in numbers]


def test_a_plan_says_that_the_service_would_refuse_what_is_beyond_its_default_quota(virtual: Virtual) -> None:
    said = "21 agents would run, and the service allows 20 by default"
    for form in ("text", "markdown", "html"):
        many, declared, few = (
            named(form).render(ReportKind.PLAN, plan(virtual, fleet(*rooms(*range(number)), limits=limits)))
            for number, limits in ((21, NO_QUOTA), (21, replace(NO_QUOTA, quota=30)), (20, NO_QUOTA))
        )
        assert said in many
        assert "by default: it refuses" not in declared + few


def test_after_the_first_refusal_no_join_is_started_and_what_runs_and_costs_is_said(virtual: Virtual) -> None:
    virtual.service.set_switches(quota=20)
    first = rooms(*range(5))
    apply(virtual, fleet(*first, limits=NO_QUOTA))
    virtual.sent["join"] = 0
    ledger = apply(virtual, fleet(*first[:2], *rooms(*range(10, 60)), limits=NO_QUOTA))
    running = len(virtual.live())
    assert running <= 20
    assert (
        f"no more joins were started: {running} agents run, about {running * 144:,}.00 USD a day"
        in " ".join(ledger.notices)
    )
    assert virtual.sent["join"] <= 18 + PARALLEL
    assert {each.result for each in ledger.finished} >= {Result.DONE, Result.FAILED, Result.SKIPPED}


def test_a_target_that_was_to_leave_is_no_pattern_for_an_interrupted_join(virtual: Virtual) -> None:
    """`room[1]/a` as a pattern matches `room1/a`: its agent, found after the plan, is not this run's to end."""
    apply(virtual, fleet(agent("room[1]/a"), agent("hall/b")))
    virtual.now += 400
    virtual.service.set_switches(list_lag_seconds=200)
    virtual.service.set_script([{"on": "join", "fate": "lose_response", "count": 0}])
    apply(virtual, fleet(agent("room[1]/a"), agent("hall/b"), agent("room1/a")))
    virtual.service.set_script([])
    virtual.on_request = lambda request: (
        virtual.service.set_switches(list_lag_seconds=0) if request.method == "POST" else None
    )
    job = virtual.job(fleet(agent("hall/b")), selection=Selection(targets=("room[1]/a",)))
    assert virtual.run(workflow.apply(job, virtual.provider())).is_complete
    assert {each.channel for each in virtual.live()} == {"hall", "room1"}
