"""Freezes: what the files hold until a time, and what goes on all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.apply.events import Result
from reconciler.errors import Refused
from reconciler.instants import moment
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet, Freeze
from reconciler.model.spec import HOUR, AgentSpec
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Hold, Renew, Rotate, action_of
from reconciler.plan.freeze import FREEZABLE, USUALLY_FROZEN
from reconciler.plan.guard import Policy
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual

DAY = 24 * HOUR
ALL_KINDS = frozenset(FREEZABLE)


@pytest.fixture
def virtual() -> Virtual:
    return Virtual()


def frozen(
    virtual: Virtual,
    *agents: AgentSpec,
    kinds: frozenset[str] = USUALLY_FROZEN,
    targets: tuple[str, ...] = ("*",),
    lasts: float = DAY,
) -> DesiredFleet:
    freeze = Freeze(virtual.now + lasts, "holidays", targets, kinds)
    return replace(fleet(*agents, limits=UNLIMITED), freezes=(freeze,))


def apply(virtual: Virtual, wanted: DesiredFleet, **policy: str) -> workflow.Ledger:
    job = virtual.job(wanted, policy=Policy(**policy))
    return virtual.run(workflow.apply(job, virtual.provider()))


def plan(virtual: Virtual, wanted: DesiredFleet) -> Plan:
    return virtual.run(workflow.plan(virtual.job(wanted), virtual.provider()))


def actions(planned: Plan) -> dict[str, Action]:
    return {str(each.address): action_of(each) for each in planned.pending}


def voice(name: str) -> dict[str, object]:
    return {
        "vendor": "microsoft",
        "params": {"key": "ref+env://TTS_KEY", "region": "eastus", "voice_name": name},
    }


def test_a_freeze_holds_what_it_names_until_it_ends_and_then_the_same_apply_goes_on(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one"), agent("b/two")))
    before = {each.agent_id for each in virtual.live()}
    moved = (agent("a/one", tts=voice("en-US-EmmaNeural")), agent("c/three"))
    wanted = frozen(virtual, *moved)
    ledger = apply(virtual, wanted)
    assert {str(row.address): row.result for row in ledger.finished} == {
        "a/one": Result.HELD,
        "b/two": Result.HELD,
        "c/three": Result.DONE,  # joins are not among the usual kinds
    }
    assert not ledger.is_complete
    assert before <= {each.agent_id for each in virtual.live()}, "nobody was hung up on"
    (held,) = (each for each in plan(virtual, wanted).changes if each.address == Address("b", "two"))
    assert isinstance(held, Hold)
    assert held.until == wanted.freezes[0].until
    assert held.reason.text == f"frozen until {moment(held.until)}: holidays"
    virtual.now += DAY + 1
    assert apply(virtual, wanted).is_complete
    assert {each.channel for each in virtual.live()} == {"a", "c"}
    assert not before & {each.agent_id for each in virtual.live()}


def test_only_the_targets_of_a_freeze_are_held_and_an_address_is_no_pattern(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("room[1]/a"), agent("room1/a"), agent("hall/a")))
    wanted = frozen(virtual, agent("hall/a"), targets=("room[1]/a",))
    assert actions(plan(virtual, wanted)) == {"room[1]/a": Action.HOLD, "room1/a": Action.LEAVE}


def test_a_renewal_is_never_frozen_and_a_rotation_only_until_its_last_safe_moment(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one")))
    wanted = frozen(virtual, agent("a/one"), kinds=ALL_KINDS, lasts=30 * DAY)
    virtual.now += 15 * HOUR
    assert [type(each) for each in plan(virtual, wanted).pending] == [Renew]
    for _ in range(5):
        assert apply(virtual, wanted).is_complete
        virtual.now += 11 * HOUR
    (first, *rest) = plan(virtual, wanted).pending  # 70 h old
    assert isinstance(first, Rotate)
    assert not rest


def test_a_rotation_that_can_wait_is_frozen_and_its_token_is_renewed(virtual: Virtual) -> None:
    virtual.service.set_switches(token_expiry="ignored")
    apply(virtual, fleet(agent("a/one")))
    wanted = frozen(virtual, agent("a/one"), kinds=ALL_KINDS, lasts=30 * DAY)
    virtual.now += 69 * HOUR
    held, renewal = plan(virtual, wanted).pending
    assert isinstance(held, Hold)
    assert (held.reason.because, action_of(held.change)) == (Because.FROZEN, Action.ROTATE)
    assert isinstance(renewal, Renew)


def test_of_several_freezes_the_one_that_ends_last_holds(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one"), agent("b/two")))
    early, late = (Freeze(virtual.now + lasts, str(lasts), ("*",), USUALLY_FROZEN) for lasts in (60.0, DAY))
    wanted = replace(fleet(agent("b/two"), limits=UNLIMITED), freezes=(early, late))
    (held,) = plan(virtual, wanted).pending
    assert isinstance(held, Hold)
    assert held.until == late.until


def test_an_override_goes_once_and_is_recorded_with_its_reason(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one"), agent("b/two")))
    wanted = frozen(virtual, agent("b/two"))
    assert apply(virtual, wanted, override_freeze="fire drill").is_complete
    assert {each.channel for each in virtual.live()} == {"b"}
    (entry,) = (each for each in virtual.state.history(None, 50) if each.change == "override-freeze")
    assert entry.address == Address("a", "one")
    assert entry.detail.startswith("fire drill (frozen until ")


def test_destroy_is_frozen_too(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one")))
    job = replace(virtual.job(frozen(virtual, agent("a/one"))), destroying=True)
    ledger = virtual.run(workflow.apply(job, virtual.provider()))
    assert [row.result for row in ledger.finished] == [Result.HELD]
    assert len(virtual.live()) == 1


@pytest.mark.parametrize("kind", ["adopt", "forget"])
def test_the_verbs_of_one_address_are_frozen_where_the_freeze_names_them(virtual: Virtual, kind: str) -> None:
    apply(virtual, fleet(agent("a/one", agent_rtc_uid="7")))
    wanted = frozen(virtual, agent("a/one", agent_rtc_uid="7"), kinds=frozenset({kind}))
    (running,) = virtual.live()
    steps = (
        workflow.adopt(virtual.job(wanted), virtual.provider(), Address("a", "one"), running.agent_id)
        if kind == "adopt"
        else workflow.forget(virtual.job(wanted), Address("a", "one"))
    )
    with pytest.raises(Refused, match=f"{kind} a/one is frozen until"):
        virtual.run(steps)
    assert Address("a", "one") in virtual.state.read().records


def test_an_address_in_a_freeze_is_no_pattern_for_the_verbs_of_one_address_either(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("room[1]/a"), agent("room1/a")))
    wanted = frozen(virtual, agent("room1/a"), kinds=frozenset({Action.FORGET.value}), targets=("room[1]/a",))
    virtual.run(workflow.forget(virtual.job(wanted), Address("room1", "a")))
    with pytest.raises(Refused, match="is frozen until"):
        virtual.run(workflow.forget(virtual.job(wanted), Address("room[1]", "a")))
    assert set(virtual.state.read().records) == {Address("room[1]", "a")}


def test_a_target_that_means_nobody_is_warned_of(virtual: Virtual) -> None:
    wanted = frozen(virtual, agent("a/one"), targets=("a/*", "b/*"))
    (warning,) = plan(virtual, wanted).warnings
    assert (warning.rule, '"b/*"' in warning.summary) == ("freeze-nothing", True)


def test_a_plan_without_the_service_says_that_it_knows_no_clock(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("a/one"), agent("b/two")))
    wanted = frozen(virtual, agent("b/two"))
    planned = workflow.offline_plan(
        virtual.job(wanted), virtual.state.read(), virtual.provider().capabilities, against="the state"
    )
    assert actions(planned) == {"a/one": Action.LEAVE}
    assert [each.rule for each in planned.warnings] == ["freeze-offline"]
