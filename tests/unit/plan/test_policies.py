"""The rules over a whole plan, each called by itself: policies, limits, uids, freezes and dangers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.address import Address
from reconciler.model.fleet import Freeze, Limit, Limits
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Record
from reconciler.model.spec import AgentSpec
from reconciler.plan import dangers as danger
from reconciler.plan import freeze, guard
from reconciler.plan.approval import Review
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Action,
    Adopt,
    Because,
    Change,
    Forget,
    Hold,
    Join,
    Keep,
    Leave,
    Reason,
    Renew,
    Replace,
    Rotate,
    Target,
    Update,
)
from reconciler.plan.dangers import Danger
from reconciler.plan.guard import Cost, Policy
from reconciler.plan.steps import Task, waves
from tests.fakes.fleets import OWNER, UNLIMITED, agent, fleet
from tests.unit.plan.parts import ABLE, NOW, Basis, basis, record, running

DESK, DOOR = agent("lobby/desk"), agent("lobby/door")
HERE = DESK.address
WHY = Reason(Because.FIELDS, "x")
UNRECORDED, BESIDE = Reason(Because.UNRECORDED, "x"), Reason(Because.BESIDE, "x")


def target(
    spec: AgentSpec = DESK, agent_id: str = "A1", status: AgentStatus = AgentStatus.RUNNING, **changes: Any
) -> Target:
    return Target(running(spec, agent_id, status=status), record(spec, agent_id, **changes), spec.uid(OWNER))


JOIN = Join(HERE, DESK, WHY)
UPDATE = Update(HERE, DESK, WHY, target(), {})
RENEW = Renew(HERE, DESK, WHY, target())
REPLACE = Replace(HERE, DESK, WHY, target())
ROTATE = Rotate(HERE, DESK, WHY, target())
LEAVE = Leave(HERE, WHY, target())
ADOPT = Adopt(HERE, DESK, WHY, target(), {})
FORGET = Forget(HERE, WHY, record(DESK))
KEEP = Keep(HERE, DESK, WHY, target())
HELD = Hold(REPLACE, WHY)
ONLY_JOINS = Policy(only=frozenset({Action.JOIN}))


# --- what a policy lets pass ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "policy", "beside", "protected", "found"),
    [
        (JOIN, Policy(), (), (), JOIN),
        (JOIN, ONLY_JOINS, (), (), JOIN),
        (LEAVE, ONLY_JOINS, (), (), Because.NOT_IN_ONLY),
        (KEEP, ONLY_JOINS, (), (), KEEP),
        (HELD, ONLY_JOINS, (), (), HELD),
        (Hold(LEAVE, UNRECORDED), Policy(prune_unrecorded=True), (), (), LEAVE),
        (Hold(LEAVE, UNRECORDED), Policy(), (), (), Hold(LEAVE, UNRECORDED)),
        (Hold(LEAVE, WHY), Policy(prune_unrecorded=True), (), (), Hold(LEAVE, WHY)),
        (Hold(LEAVE, UNRECORDED), Policy(prune_unrecorded=True), (), (HERE,), Because.PROTECTED),
        (Hold(JOIN, BESIDE), Policy(), (HERE,), (), JOIN),
        (Hold(JOIN, BESIDE), Policy(), (DOOR.address,), (), Hold(JOIN, BESIDE)),
        (Hold(JOIN, WHY), Policy(), (HERE,), (), Hold(JOIN, WHY)),
        (REPLACE, Policy(), (), (HERE,), Because.PROTECTED),
        (LEAVE, Policy(), (), (HERE,), Because.PROTECTED),
        (LEAVE, Policy(), (), (DOOR.address,), LEAVE),
        (ROTATE, Policy(), (), (HERE,), ROTATE),
        (UPDATE, Policy(), (), (HERE,), UPDATE),
        (JOIN, Policy(), (), (HERE,), JOIN),
    ],
)
def test_what_a_policy_makes_of_a_change(
    change: Change, policy: Policy, beside: Any, protected: Any, found: Any
) -> None:
    made = guard.hold_by_policy(change, policy, frozenset(beside), frozenset(protected))
    if isinstance(found, Because):
        assert isinstance(made, Hold)
        assert made.reason.because is found
    else:
        assert made == found


@pytest.mark.parametrize(
    ("change", "ends"),
    [(LEAVE, True), (REPLACE, True), (ROTATE, True), (JOIN, False), (UPDATE, False), (FORGET, False), (HELD, False),
     (replace(LEAVE, target=target(status=AgentStatus.STOPPING)), False)],
)  # fmt: skip
def test_which_changes_end_a_conversation(change: Change, ends: bool) -> None:
    assert guard.ends_conversation(change) is ends


# --- cost and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "quota", "default", "passes"),
    [
        (0, 21, None, 20, True),
        (0, 20, None, 20, False),
        (0, 21, 30, 20, False),
        (0, 21, None, None, False),
        (25, 25, None, 20, False),  # it was beyond already
        (25, 26, None, 20, True),
    ],
)
def test_when_the_services_default_quota_is_passed(
    before: int, after: int, quota: int | None, default: int | None, passes: bool
) -> None:
    assert Cost(before, after, 0.1, quota, default).passes_default_quota is passes


def test_the_price_of_a_day_and_of_a_change() -> None:
    cost = Cost(2, 5, 0.1)
    assert cost.usd_per_day == pytest.approx(720)
    assert cost.usd_change == pytest.approx(432)


def test_agents_are_counted_before_and_after_foreign_ones_too() -> None:
    live = [
        running(DESK),
        ObservedAgent("F1", AgentStatus.RUNNING, NOW, "theirs"),
        running(DOOR, "A2", status=AgentStatus.STOPPING),
    ]
    changes = [JOIN, JOIN, LEAVE, REPLACE, ROTATE, Hold(JOIN, WHY), FORGET]
    cost = guard.cost_of(changes, basis([], live), replace(UNLIMITED, quota=9), ABLE)
    assert (cost.before, cost.after, cost.usd_per_minute, cost.quota) == (2, 3, 0.1, 9)
    assert guard.cost_of([], basis(), replace(UNLIMITED, usd_per_minute=0.5), ABLE).usd_per_minute == 0.5


def refused(
    changes: list[Change], limits: Limits, standing: Basis, cost: Cost = Cost(0, 0, 0.1), **policy: Any
) -> list[tuple[str, float, float]]:
    found = guard.refusals(changes, limits, Policy(**policy), standing, cost)
    return [(each.limit, each.planned, each.allowed) for each in found]


STANDING = basis([record(DESK), record(DOOR, "A2")], [running(DESK), running(DOOR, "A2")])
NONE = Limit(number=0)


@pytest.mark.parametrize(
    ("changes", "limits", "policy", "found"),
    [
        ([LEAVE], {"leave": NONE}, {}, [("leave", 1, 0)]),
        ([LEAVE], {"leave": NONE}, {"allow": {"leave": 1}}, []),
        ([LEAVE], {"leave": NONE}, {"ends_are_limited": False}, []),
        ([LEAVE], {"hang_ups": NONE}, {"ends_are_limited": False}, []),
        ([LEAVE, REPLACE], {"hang_ups": NONE}, {}, [("hang_ups", 2, 0)]),
        ([ROTATE], {"hang_ups": NONE}, {}, []),
        ([REPLACE], {"replace": NONE}, {"ends_are_limited": False}, [("replace", 1, 0)]),
        ([JOIN], {"join": NONE}, {}, [("join", 1, 0)]),
        ([JOIN], {}, {}, []),
        ([UPDATE], {"join": NONE, "replace": NONE, "leave": NONE, "hang_ups": NONE}, {}, []),
        ([Hold(LEAVE, WHY)], {"leave": NONE, "hang_ups": NONE}, {}, []),
        ([LEAVE], {"leave": Limit(percent=50)}, {}, []),  # of two
        ([LEAVE, LEAVE], {"leave": Limit(percent=50)}, {}, [("leave", 2, 1)]),
        ([LEAVE, LEAVE], {"hang_ups": Limit(percent=50)}, {}, [("hang_ups", 2, 1)]),
    ],
)
def test_which_limits_refuse(
    changes: list[Change], limits: Any, policy: Any, found: list[tuple[str, float, float]]
) -> None:
    assert refused(changes, replace(UNLIMITED, **limits), STANDING, **policy) == found


@pytest.mark.parametrize(
    ("before", "after", "quota", "usd", "allow", "found"),
    [
        (1, 3, 2, None, {}, [("quota", 3, 2)]),
        (1, 2, 2, None, {}, []),
        (3, 3, 2, None, {}, []),  # nothing is added
        (4, 3, 2, None, {}, []),
        (1, 3, 2, None, {"quota": 3}, []),
        (0, 1, None, 144.0, {}, []),
        (0, 2, None, 144.0, {}, [("usd_per_day", 288.0, 144.0)]),
        (2, 2, None, 144.0, {}, []),
        (3, 2, None, 144.0, {}, []),
        (0, 2, None, 144.0, {"usd_per_day": 288.0}, []),
    ],
)
def test_quota_and_cost_refuse_only_what_adds_to_them(
    before: int, after: int, quota: int | None, usd: float | None, allow: Any, found: Any
) -> None:
    limits = replace(UNLIMITED, quota=quota, usd_per_day=usd)
    assert refused([], limits, STANDING, Cost(before, after, 0.1), allow=allow) == found


def test_agents_of_others_and_those_that_stop_are_no_part_of_the_hang_up_share() -> None:
    live = [running(DESK), ObservedAgent("F1", AgentStatus.RUNNING, NOW, "theirs"), running(DOOR, "A2", status=AgentStatus.STOPPING)]  # fmt: skip
    (refusal,) = guard.refusals([LEAVE], replace(UNLIMITED, hang_ups=Limit(percent=0)), Policy(), basis([record(DESK)], live), Cost(0, 0, 0.1))  # fmt: skip
    assert "(0% of 1 running)" in refusal.text


def test_a_share_of_leaves_is_of_what_is_recorded_or_runs() -> None:
    limits = replace(UNLIMITED, leave=Limit(percent=0))
    for standing, total in ((basis([record(DESK), record(DOOR, "A2")]), 2), (basis([], [running(DESK)]), 1)):
        (refusal,) = guard.refusals([LEAVE], limits, Policy(allow={"hang_ups": 1}), standing, Cost(0, 0, 0.1))
        assert f"(0% of {total})" in refusal.text


@pytest.mark.parametrize(
    ("tightened", "own", "where"),
    [
        (frozenset(), None, "in the fleet"),
        (frozenset({"leave"}), Limit(number=5), "in the team's policy"),
        (frozenset({"leave"}), NONE, "in the fleet"),
        (frozenset({"join"}), None, "in the fleet"),
    ],
)
def test_where_the_limit_in_force_is_written(
    tightened: frozenset[str], own: Limit | None, where: str
) -> None:
    limits = replace(UNLIMITED, leave=Limit(number=0, own=own))
    (refusal,) = guard.refusals([LEAVE], limits, Policy(tightened=tightened), STANDING, Cost(0, 0, 0.1))
    assert refusal.text == (
        f"1 agent to leave but limits.leave allows 0; raise it once with --allow leave=1, or change limits.leave {where}"
    )


# --- uids ----------------------------------------------------------------------------------------------------------


def with_uid(name: str, uid: str) -> AgentSpec:
    return agent(f"lobby/{name}", agent_rtc_uid=uid)


def seated(spec: AgentSpec, agent_id: str, uid: str) -> Record:
    return record(spec, agent_id, uid=uid)


def replaced(spec: AgentSpec, agent_id: str, uid: str) -> Replace:
    return Replace(spec.address, spec, WHY, Target(running(spec, agent_id), seated(spec, agent_id, uid), uid))


A, B, C = with_uid("a", "2"), with_uid("b", "3"), with_uid("c", "9")


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        # a wants b's uid and b wants c's: b is held, and so keeps the uid that a wants.
        ([replaced(A, "A1", "1"), replaced(B, "B1", "2")], [True, True]),
        ([replaced(A, "A1", "1")], [True]),
        ([replaced(B, "B1", "2")], [True]),
        ([replaced(A, "A1", "1"), Leave(B.address, WHY, target(B, "B1"))], [False, False]),
        ([replaced(B, "B1", "2"), Leave(C.address, WHY, target(C, "C1"))], [False, False]),
        ([JOIN], [False]),
    ],
)
def test_a_replacement_waits_for_a_uid_whose_holder_stays(changes: list[Change], held: list[bool]) -> None:
    records = [seated(A, "A1", "1"), seated(B, "B1", "2"), seated(C, "C1", "3")]
    standing = basis(records, [running(A, "A1"), running(B, "B1"), running(C, "C1")])
    found = guard.hold_for_uids(changes, standing)
    assert [isinstance(each, Hold) for each in found] == held
    for each in found:
        if isinstance(each, Hold):
            assert each.reason.because is Because.SEAT_TAKEN


def test_a_uid_is_free_where_its_holder_has_ended_or_is_in_another_channel() -> None:
    elsewhere = agent("hall/b", agent_rtc_uid="2")
    ended = basis([seated(B, "B1", "2")], [])
    apart = basis([seated(elsewhere, "B1", "2")], [running(elsewhere, "B1")])
    itself = basis([seated(A, "A1", "2")], [running(A, "A1")])
    for standing in (ended, apart, itself):
        change = replaced(A, "A1", "1")
        assert guard.hold_for_uids([change], standing) == [change]


# --- freezes -------------------------------------------------------------------------------------------------------


def frozen(until: float, *kinds: str, targets: tuple[str, ...] = ("*",), reason: str = "r") -> Freeze:
    return Freeze(until, reason, targets, frozenset(kinds))


@pytest.mark.parametrize(
    ("freezes", "change", "until"),
    [
        ([frozen(NOW + 5, "leave")], LEAVE, NOW + 5),
        ([frozen(NOW, "leave")], LEAVE, None),
        ([frozen(NOW + 5, "join")], LEAVE, None),
        ([frozen(NOW + 5, "leave", targets=("lobby/door",))], LEAVE, None),
        ([frozen(NOW + 5, "leave"), frozen(NOW + 9, "leave"), frozen(NOW + 7, "leave")], LEAVE, NOW + 9),
        ([frozen(NOW + 5, "leave"), frozen(NOW + 9, "join")], LEAVE, NOW + 5),
        ([frozen(NOW + 5, "replace")], HELD, None),
        ([frozen(NOW + 5, "none")], KEEP, None),
    ],
)
def test_which_freeze_holds_a_change(freezes: list[Freeze], change: Change, until: float | None) -> None:
    held = freeze.Freezes(freezes, [HERE, DOOR.address], NOW).hold(change)
    if until is None:
        assert held is None
    else:
        assert held is not None
        assert (held.change, held.reason.because, held.until) == (change, Because.FROZEN, until)
        assert held.reason.text.endswith(": r")


def test_a_freeze_for_nobody_is_warned_of_and_one_for_everybody_is_not() -> None:
    wanted = replace(
        fleet(DESK), freezes=(frozen(NOW, "leave"), frozen(NOW, "leave", targets=("lobby/desk", "hall/*")))
    )
    (found,) = freeze.without_target(wanted, [HERE])
    assert '"hall/*", which matches no agent' in found.summary
    assert list(freeze.without_target(replace(wanted, freezes=(frozen(NOW, "leave"),)), [])) == []


# --- dangers -------------------------------------------------------------------------------------------------------

EVIL = "evil.example.com"


def danger_of(**changes: Any) -> Danger:
    made = Danger("ref+env://OPENAI_API_KEY", EVIL, ("api.openai.com",), False)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [({}, True), ({"allowed": True}, False), ({"held": True}, False), ({"allowed": True, "forbidden": True}, True), ({"forbidden": True, "held": True}, False)],
)  # fmt: skip
def test_which_dangers_are_open(changes: Any, is_open: bool) -> None:
    assert danger_of(**changes).is_open is is_open


SENDS = agent("lobby/desk", llm={"url": f"https://{EVIL}/v1"})
SENDING = Update(HERE, SENDS, WHY, target(), {})
ONLY = Policy(only=frozenset({Action.UPDATE}))


@pytest.mark.parametrize(
    ("change", "found", "policy", "said"),
    [
        (SENDING, [danger_of()], ONLY, "(--allow secret-host=evil.example.com lets it)"),
        (SENDING, [danger_of(forbidden=True)], ONLY, "the team's policy lists"),
        (SENDING, [danger_of(), danger_of(host="other.example.com", forbidden=True)], ONLY, "lets it"),
        (SENDING, [danger_of()], Policy(), None),  # it refuses the whole run
        (SENDING, [danger_of()], Policy(review=Review()), "lets it"),
        (SENDING, [danger_of()], Policy(review=Review(secrets=frozenset({("ref+env://OPENAI_API_KEY", EVIL)}))), None),
        (SENDING, [danger_of(allowed=True)], ONLY, None),
        (UPDATE, [danger_of()], ONLY, None),
        (Hold(SENDING, WHY), [danger_of()], ONLY, None),
        (RENEW, [danger_of()], ONLY, None),
    ],
)  # fmt: skip
def test_a_danger_that_refuses_nothing_holds_its_change(
    change: Change, found: list[Danger], policy: Policy, said: str | None
) -> None:
    held = danger.hold_dangerous(change, found, policy)
    if said is None:
        assert held is change
    else:
        assert isinstance(held, Hold)
        assert held.reason.because is Because.SECRET_HOST
        assert said in held.reason.text


def test_what_refuses_is_allowed_by_a_flag_or_by_the_policy_alone() -> None:
    assert danger.allowed_dangers([danger_of(allowed=True), danger_of(forbidden=True)]) is None
    refusal = danger.allowed_dangers([danger_of(), danger_of(reference="b"), danger_of(allowed=True)])
    assert refusal is not None
    assert (refusal.limit, refusal.planned, refusal.allowed) == ("secret-host", 2, 0)
    assert danger.forbidden_dangers([danger_of(), danger_of(forbidden=True, held=True)]) is None
    forbidden = danger.forbidden_dangers(
        [danger_of(forbidden=True), danger_of(forbidden=True, reference="b")]
    )
    assert forbidden is not None
    assert (forbidden.limit, forbidden.planned, forbidden.allowed) == ("policy-secret-host", 1, 0)


def test_which_part_of_a_body_a_change_sends() -> None:
    path = ("llm", "params")
    secretive = agent("lobby/desk", llm={"params": {"k": "ref+env://P"}})
    adopt = Adopt(HERE, secretive, WHY, Target(running(DESK)), {path: {"k": "ref+env://P"}})
    everything = {name for name, _ in danger.sent_to(replace(JOIN, spec=secretive))}
    assert everything == {"ref+env://P", "ref+env://OPENAI_API_KEY", "ref+env://AZURE_TTS_KEY"}
    assert {name for name, _ in danger.sent_to(adopt)} == {"ref+env://P"}
    for change in (RENEW, LEAVE, FORGET, KEEP):
        assert danger.sent_to(change) == frozenset()


# --- order ---------------------------------------------------------------------------------------------------------


def test_in_a_channel_what_makes_room_comes_first() -> None:
    kinds: list[Change] = [
        RENEW,
        replace(JOIN, address=Address("lobby", "n")),
        replace(UPDATE, address=Address("lobby", "u")),
        replace(ROTATE, address=Address("lobby", "s")),
        replace(REPLACE, address=Address("lobby", "r")),
        replace(FORGET, address=Address("lobby", "f")),
        replace(LEAVE, address=Address("lobby", "l")),
    ]
    plan = Plan(OWNER, tuple(kinds), "", Cost(0, 0, 0.1, quota=9))
    ((program,),) = waves(plan)
    assert [type(each.change).__name__ for each in program] == ["Leave", "Forget", "Replace", "Rotate", "Join", "Update", "Renew"]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "quota", "before", "sizes"),
    [
        ([LEAVE, replace(JOIN, address=DOOR.address)], None, 1, [1, 1]),
        ([LEAVE, replace(JOIN, address=DOOR.address)], 1, 1, [1, 1]),
        ([LEAVE, replace(JOIN, address=DOOR.address)], 2, 1, [2]),
        ([LEAVE], None, 1, [1]),
        ([replace(JOIN, address=DOOR.address)], None, 1, [1]),
        ([LEAVE, replace(UPDATE, address=DOOR.address)], None, 1, [2]),
        ([], None, 1, []),
        ([HELD, KEEP], None, 1, []),
    ],
)
def test_leaves_come_in_a_wave_of_their_own_where_joins_need_their_room(
    changes: list[Change], quota: int | None, before: int, sizes: list[int]
) -> None:
    plan = Plan(OWNER, tuple(changes), "", Cost(before, before, 0.1, quota=quota))
    assert [sum(len(program) for program in wave) for wave in waves(plan)] == sizes


def test_where_replacements_exchange_their_uids_all_leave_before_any_joins() -> None:
    one, two = replaced(with_uid("a", "2"), "A1", "1"), replaced(with_uid("b", "1"), "B1", "2")
    own = replaced(with_uid("c", "3"), "C1", "3")
    leaving = replace(LEAVE, address=Address("lobby", "z"))

    def steps(*changes: Change) -> list[tuple[str, list[str]]]:
        ((program,),) = waves(Plan(OWNER, changes, "", Cost(0, 0, 0.1, quota=9)))
        assert all(isinstance(each, Task) for each in program)
        return [(each.change.address.name, [type(step).__name__ for step in each.steps]) for each in program]

    ends = ["CallLeave", "AwaitGone"]
    assert steps(one, two, leaving) == [("z", ends), ("a", ends), ("b", ends), ("a", ["CallJoin"]), ("b", ["CallJoin"])]  # fmt: skip
    # Its own uid is no other's.
    assert steps(own) == [("c", [*ends, "CallJoin"])]
