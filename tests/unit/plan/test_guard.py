"""Limits at their edges: exactly at, one above, shares rounded up, zero; and what raises them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.fleet import Limit
from reconciler.model.observed import AgentStatus
from reconciler.model.spec import HOUR, Lifecycle
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action, Rotate
from reconciler.plan.guard import Cost, Policy
from tests.fakes.fleets import OWNER, UNLIMITED, agent, fleet
from tests.unit.plan.parts import ABLE, NOW, basis, fleet_of, record, running

FREE = Limit(percent=100)


def leaving(total: int, leaves: int, limit: Limit, policy: Policy = Policy()) -> Plan:
    """The plan of a fleet of `total` running agents of which so many leave."""
    everything = fleet_of(total)
    standing = basis(
        [record(each, f"A{number}") for number, each in enumerate(everything)],
        [running(each, f"A{number}") for number, each in enumerate(everything)],
    )
    wanted = fleet(*everything[leaves:], limits=replace(UNLIMITED, leave=limit))
    return build_plan(wanted, standing, ABLE, policy=policy, allow_empty=True)


@pytest.mark.parametrize(
    ("total", "leaves", "limit", "allowed"),
    [
        (10, 3, Limit(number=3), True),
        (10, 4, Limit(number=3), False),
        (10, 1, Limit(number=0), False),
        (10, 0, Limit(number=0), True),
        (10, 3, Limit(percent=30), True),
        (10, 4, Limit(percent=30), False),
        (11, 4, Limit(percent=30), True),  # 3.3 is rounded up, so that small fleets can change at all
        (11, 5, Limit(percent=30), False),
        (1, 1, Limit(percent=30), True),
        (2, 1, Limit(percent=30), True),
        (2, 2, Limit(percent=30), False),
        (5, 1, Limit(percent=0), False),
        (5, 5, Limit(percent=100), True),
        (100, 7, Limit(percent=7), True),  # 7.000000000000001 in floating point
        (100, 8, Limit(percent=7), False),
    ],
)
def test_the_limit_of_leaves_at_its_edge(total: int, leaves: int, limit: Limit, allowed: bool) -> None:
    plan = leaving(total, leaves, limit)
    assert plan.count(Action.LEAVE) == leaves
    assert [each.limit for each in plan.refusals] == ([] if allowed else ["leave"])


@pytest.mark.parametrize(
    ("leaves", "replaced", "allowed"), [(3, 0, True), (1, 2, True), (2, 2, False), (0, 4, False)]
)
def test_leaves_and_replacements_share_the_hang_up_budget(leaves: int, replaced: int, allowed: bool) -> None:
    old = fleet_of(10)
    new = [*fleet_of(replaced, idle_timeout=60), *old[replaced:]][: 10 - leaves]
    standing = basis(
        [record(each, f"A{number}") for number, each in enumerate(old)],
        [running(each, f"A{number}") for number, each in enumerate(old)],
    )
    wanted = fleet(*new, limits=replace(UNLIMITED, hang_ups=Limit(percent=30)))
    assert [each.limit for each in build_plan(wanted, standing, ABLE).refusals] == (
        [] if allowed else ["hang_ups"]
    )
    once = Policy(allow={"hang_ups": leaves + replaced})
    assert not build_plan(wanted, standing, ABLE, policy=once).refusals


def test_a_refusal_names_both_numbers_and_what_to_say() -> None:
    (refusal,) = leaving(10, 4, Limit(percent=30)).refusals
    assert (refusal.planned, refusal.allowed) == (4, 3)
    assert "--allow leave=4" in refusal.text


def test_allow_raises_a_limit_to_exactly_its_number_and_never_lowers_it() -> None:
    assert not leaving(10, 4, Limit(number=3), Policy(allow={"leave": 4})).refusals
    assert leaving(10, 5, Limit(number=3), Policy(allow={"leave": 4})).refusals
    assert not leaving(10, 3, Limit(number=3), Policy(allow={"leave": 1})).refusals
    assert leaving(10, 4, Limit(number=3), Policy(allow={"replace": 9})).refusals


def test_the_share_is_of_what_is_recorded_or_runs_whichever_is_more() -> None:
    everything = fleet_of(10)
    live = [running(each, f"A{number}") for number, each in enumerate(everything)]
    only_three_are_recorded = basis([record(each, f"A{n}") for n, each in enumerate(everything[:3])], live)
    wanted = fleet(*everything[3:], limits=replace(UNLIMITED, leave=Limit(percent=30)))
    assert not build_plan(wanted, only_three_are_recorded, ABLE).refusals


def test_destroy_is_free_of_the_limit_of_leaves() -> None:
    assert not leaving(10, 10, Limit(number=0), Policy(ends_are_limited=False)).refusals


@pytest.mark.parametrize(("count", "allowed"), [(2, True), (3, False)])
def test_the_limit_of_replacements_at_its_edge(count: int, allowed: bool) -> None:
    old = fleet_of(5)
    new = [*fleet_of(count, idle_timeout=60), *old[count:]]
    standing = basis(
        [record(each, f"A{number}") for number, each in enumerate(old)],
        [running(each, f"A{number}") for number, each in enumerate(old)],
    )
    plan = build_plan(
        fleet(*new, limits=replace(UNLIMITED, leave=FREE, replace=Limit(number=2))), standing, ABLE
    )
    assert plan.count(Action.REPLACE) == count
    assert [each.limit for each in plan.refusals] == ([] if allowed else ["replace"])


@pytest.mark.parametrize(("count", "allowed"), [(3, True), (4, False)])
def test_the_limit_of_joins_at_its_edge(count: int, allowed: bool) -> None:
    plan = build_plan(fleet(*fleet_of(count), limits=replace(UNLIMITED, join=Limit(number=3))), basis(), ABLE)
    assert [each.limit for each in plan.refusals] == ([] if allowed else ["join"])


@pytest.mark.parametrize(("quota", "allowed"), [(4, True), (3, False)])
def test_the_quota_counts_every_live_agent_ours_or_not(quota: int, allowed: bool) -> None:
    foreign = running(agent("cafe/x"), "F1", name="somebody else's")
    old = agent("lobby/old")
    standing = basis([record(old)], [running(old), foreign])
    wanted = fleet(old, *fleet_of(2), limits=replace(UNLIMITED, quota=quota))
    plan = build_plan(wanted, standing, ABLE)
    assert (plan.cost.before, plan.cost.after) == (2, 4)
    assert [each.limit for each in plan.refusals] == ([] if allowed else ["quota"])


def test_a_quota_that_is_used_up_refuses_nothing_that_makes_room() -> None:
    everything = fleet_of(5)
    standing = basis(
        [record(each, f"A{number}") for number, each in enumerate(everything)],
        [running(each, f"A{number}") for number, each in enumerate(everything)],
    )
    plan = build_plan(fleet(*everything[1:], limits=replace(UNLIMITED, leave=FREE, quota=2)), standing, ABLE)
    assert plan.cost.after == 4
    assert not plan.refusals


@pytest.mark.parametrize(("limit", "allowed"), [(288.0, True), (287.99, False)])
def test_the_cost_of_a_day_at_its_edge(limit: float, allowed: bool) -> None:
    plan = build_plan(fleet(*fleet_of(2), limits=replace(UNLIMITED, usd_per_day=limit)), basis(), ABLE)
    assert plan.cost.usd_per_day == pytest.approx(288.0)
    assert [each.limit for each in plan.refusals] == ([] if allowed else ["usd_per_day"])


def test_an_agent_that_is_stopping_costs_nothing_any_more() -> None:
    spec = agent("lobby/desk")
    plan = build_plan(fleet(spec), basis([record(spec)], [running(spec, status=AgentStatus.STOPPING)]), ABLE)
    assert (plan.cost.before, plan.cost.after) == (0, 1)


def test_what_is_held_counts_against_no_limit() -> None:
    everything = fleet_of(4)
    records = [record(each, f"A{n}", protect=n < 3) for n, each in enumerate(everything)]
    live = [running(each, f"A{n}") for n, each in enumerate(everything)]
    wanted = fleet(limits=replace(UNLIMITED, leave=Limit(number=1)), owner=OWNER)
    plan = build_plan(wanted, basis(records, live), ABLE, allow_empty=True)
    assert (plan.count(Action.LEAVE), plan.count(Action.HOLD)) == (1, 3)
    assert not plan.refusals


# --- what a refusal says ----------------------------------------------------------------------------------------


BOTH = Policy(tightened=frozenset({"leave"}))


@pytest.mark.parametrize(
    ("limit", "policy", "allowed", "where"),
    [
        (Limit(percent=30), Policy(), "3 (30% of 10)", "in the fleet"),
        (Limit(number=2), Policy(tightened=frozenset({"replace"})), "2", "in the fleet"),
        (Limit(number=3, own=Limit(percent=80)), BOTH, "3", "in the team's policy"),
        (Limit(number=3, own=Limit(percent=20)), BOTH, "2 (20% of 10)", "in the fleet"),
    ],
)
def test_a_refusal_says_what_is_allowed_and_where_that_stands(
    limit: Limit, policy: Policy, allowed: str, where: str
) -> None:
    (refusal,) = leaving(10, 4, limit, policy).refusals
    assert refusal.text == (
        f"4 agents to leave but limits.leave allows {allowed}; raise it once with --allow leave=4, "
        f"or change limits.leave {where}"
    )


@pytest.mark.parametrize(
    ("limit", "share"),
    [(Limit(percent=30), " allows 3 (30% of 10 running);"), (Limit(number=2), " allows 2;")],
)
def test_the_hang_up_budget_says_what_its_share_is_of(limit: Limit, share: str) -> None:
    everything = fleet_of(10)
    standing = basis(
        [record(each, f"A{number}") for number, each in enumerate(everything)],
        [running(each, f"A{number}") for number, each in enumerate(everything)],
    )
    wanted = fleet(*everything[4:], limits=replace(UNLIMITED, hang_ups=limit))
    (refusal,) = build_plan(wanted, standing, ABLE).refusals
    assert refusal.text == (
        f"4 conversations would end (leaves and replacements) but limits.hang_ups{share} "
        "raise it once with --allow hang_ups=4, or change limits.hang_ups in the fleet"
    )


def test_a_quota_or_a_cost_is_raised_once_by_its_name() -> None:
    limits = replace(UNLIMITED, quota=1, usd_per_day=100.5)
    wanted = fleet(*fleet_of(2), limits=limits)
    quota, cost = build_plan(wanted, basis(), ABLE).refusals
    assert quota.text == (
        "2 live agents after apply but limits.quota allows 1; "
        "raise it once with --allow quota=2, or change limits.quota in the fleet"
    )
    assert cost.text == (
        "288 USD a day after apply but limits.usd_per_day allows 100.5; "
        "raise it once with --allow usd_per_day=288, or change limits.usd_per_day in the fleet"
    )
    once = Policy(allow={"quota": 2, "usd_per_day": 288})
    assert not build_plan(wanted, basis(), ABLE, policy=once).refusals
    assert build_plan(wanted, basis(), ABLE, policy=Policy(allow={"quota": 1})).refusals


@pytest.mark.parametrize(("own", "usd"), [(None, 288.0), (0.2, 576.0)])
def test_a_fleet_may_say_what_a_minute_costs(own: float | None, usd: float) -> None:
    wanted = fleet(*fleet_of(2), limits=replace(UNLIMITED, usd_per_minute=own))
    plan = build_plan(wanted, basis(), ABLE)
    assert plan.cost.usd_per_day == plan.cost.usd_change == pytest.approx(usd)


@pytest.mark.parametrize(
    ("before", "after", "quota", "default", "passes"),
    [
        (0, 21, None, 20, True),
        (0, 20, None, 20, False),
        (30, 30, None, 20, False),
        (30, 31, None, 20, True),
        (0, 21, 50, 20, False),
        (0, 21, None, None, False),
    ],
)
def test_more_than_the_services_default_quota_is_noticed_where_none_is_declared(
    before: int, after: int, quota: int | None, default: int | None, passes: bool
) -> None:
    assert Cost(before, after, 0.1, quota, default).passes_default_quota is passes


# --- rotations ----------------------------------------------------------------------------------------------------


# Due at 60 h, each of them.
AT_ONCE = Lifecycle(rotate_spread=0.0)


def rotated(ages: dict[str, float], limit: Limit, **of_records: bool) -> list[str]:
    """The agents that rotate in one run, of agents of such ages in hours; `of_records` are those that are being replaced."""
    specs = {name: agent(f"lobby/{name}", lifecycle=AT_ONCE) for name in sorted({*ages, *of_records})}
    records = [
        record(each, name, replacing=of_records.get(name, False), token_expires_at=NOW + 20 * HOUR)
        for name, each in specs.items()
    ]
    live = [running(specs[name], name, started_at=NOW - age * HOUR) for name, age in ages.items()]
    plan = build_plan(
        fleet(*specs.values(), limits=replace(UNLIMITED, max_unavailable=limit)),
        basis(records, live, ended=dict.fromkeys(set(specs) - set(ages))),
        ABLE,
    )
    return [each.address.name for each in plan.changes if isinstance(each, Rotate)]


def test_the_oldest_rotate_first_and_the_others_wait() -> None:
    ages = {"a": 62.0, "b": 64.0, "c": 63.0, "d": 1.0}
    assert rotated(ages, Limit(number=2)) == ["b", "c"]
    assert rotated(ages, Limit(number=0)) == []
    assert rotated(ages, Limit(percent=25)) == ["b"]


def test_an_agent_that_ends_within_two_hours_never_waits_and_takes_the_others_places() -> None:
    assert rotated({"a": 70.5, "b": 64.0}, Limit(number=0)) == ["a"]
    assert rotated({"a": 70.5, "b": 64.0}, Limit(number=1)) == ["a"]
    assert rotated({"a": 70.5, "b": 64.0}, Limit(number=2)) == ["a", "b"]
    assert rotated({"a": 69.5, "b": 64.0}, Limit(number=1)) == ["a"]
    assert rotated({"a": 69.5, "b": 64.0}, Limit(number=0)) == []


def test_what_an_earlier_run_has_rotated_and_not_joined_again_takes_a_place() -> None:
    ages = {"a": 62.0, "b": 64.0, "c": 63.0}
    assert rotated(ages, Limit(number=2), off=True) == ["b"]
    assert rotated(ages, Limit(number=2), off=False) == ["b", "c"]
    assert rotated({**ages, "off": 1.0}, Limit(number=2), off=True) == ["b", "c"], "it still runs"
