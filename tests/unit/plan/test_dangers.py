"""Secrets that would start to go to another host: what is said of them, what refuses, and what is let pass."""

from __future__ import annotations

from typing import Any

from reconciler.model.fleet import DesiredFleet
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from tests.fakes.fleets import agent, fleet
from tests.unit.plan.parts import ABLE, Basis, basis, record, running

DESK, DOOR = agent("lobby/desk"), agent("lobby/door")
STANDING = basis([record(DESK)], [running(DESK)])
ELSEWHERE: dict[str, Any] = {"llm": {"url": "https://elsewhere.example.com/v1/chat"}}


def plan(wanted: DesiredFleet, standing: Basis = STANDING, policy: Policy = Policy()) -> Plan:
    return build_plan(wanted, standing, ABLE, policy=policy)


def said(of: Plan) -> list[tuple[str, str, bool, bool]]:
    """Each danger as (host, hosts before, allowed, held)."""
    return [(each.host, ",".join(each.before), each.allowed, each.held) for each in of.dangers]


def test_a_first_apply_has_nothing_to_compare_with() -> None:
    assert not said(plan(fleet(agent("lobby/desk", **ELSEWHERE)), basis()))


def test_a_known_secret_that_would_go_to_a_new_host_refuses_the_apply() -> None:
    made = plan(fleet(agent("lobby/desk", **ELSEWHERE)))
    assert said(made) == [("elsewhere.example.com", "api.openai.com", False, False)]
    (refusal,) = made.refusals
    assert refusal.limit == "secret-host"
    assert "--allow secret-host=elsewhere.example.com" in refusal.text


def test_a_host_that_is_allowed_is_said_and_refuses_nothing() -> None:
    policy = Policy(allow_hosts=frozenset({"elsewhere.example.com"}))
    made = plan(fleet(agent("lobby/desk", **ELSEWHERE)), policy=policy)
    assert said(made) == [("elsewhere.example.com", "api.openai.com", True, False)]
    assert not made.refusals


def test_allowing_one_host_allows_no_other_and_no_part_of_its_name() -> None:
    for allowed in ("example.com", "api.openai.com", "elsewhere.example.com.evil.example"):
        made = plan(fleet(agent("lobby/desk", **ELSEWHERE)), policy=Policy(allow_hosts=frozenset({allowed})))
        assert made.refusals, allowed


def test_a_new_agent_with_a_known_secret_is_asked_about_too() -> None:
    made = plan(fleet(DESK, agent("lobby/door", **ELSEWHERE)))
    assert said(made) == [("elsewhere.example.com", "api.openai.com", False, False)]


def test_the_same_hosts_as_today_are_no_danger() -> None:
    assert not said(plan(fleet(DESK, DOOR)))


def test_a_new_secret_may_go_where_some_secret_goes_already_and_nowhere_else() -> None:
    known = agent("lobby/door", llm={"api_key": "ref+env://ANOTHER_KEY"})
    assert not said(plan(fleet(DESK, known)))
    new = agent("lobby/door", llm={"api_key": "ref+env://ANOTHER_KEY", **ELSEWHERE["llm"]})
    assert said(plan(fleet(DESK, new))) == [("elsewhere.example.com", "", False, False)]


def test_what_is_held_is_said_and_refuses_nothing() -> None:
    protected = basis([record(DESK, protect=True)], [running(DESK)])
    made = plan(fleet(agent("lobby/desk", **ELSEWHERE)), protected)
    assert said(made) == [("elsewhere.example.com", "api.openai.com", False, True)]
    assert not made.refusals


def test_a_run_of_some_kinds_holds_the_address_alone() -> None:
    both = basis([record(DESK), record(DOOR, "A2")])
    wanted = fleet(agent("lobby/desk", **ELSEWHERE), DOOR)
    made = plan(wanted, both, Policy(only=frozenset({Action.JOIN})))
    assert not made.refusals
    assert (made.count(Action.HOLD), made.count(Action.JOIN)) == (1, 1)
