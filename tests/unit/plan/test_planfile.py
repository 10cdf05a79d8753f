"""A saved plan: what it stands for, what an apply of it refuses, and what it may go on with."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from reconciler.errors import ReconcilerError, Refused, StalePlan, UsageError
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.planfile import load, save
from reconciler.plan.selection import Selection
from reconciler.workflow.applying import Approved, confirm
from tests.fakes.fleets import OWNER, UNLIMITED, agent, fleet
from tests.unit.plan.parts import ABLE, Basis, basis, fleet_of, record, running

DESK, DOOR = agent("lobby/desk"), agent("lobby/door")


def plan(wanted: DesiredFleet, standing: Basis | None = None) -> Plan:
    return build_plan(wanted, standing or basis(), ABLE)


def approved(of: Plan) -> Approved:
    """What somebody who has saved this plan has approved."""
    saved = load(save(of, Selection(), Policy()))
    return Approved(saved.digest, saved.files, saved.rows)


def test_a_plan_comes_back_from_its_file_as_it_was() -> None:
    selection = Selection(("lobby/*",), ("bar/*",), ("*/desk",))
    policy = Policy(only=frozenset({Action.JOIN, Action.RENEW}), prune_unrecorded=True)
    made = plan(fleet(DESK, DOOR))
    saved = load(save(made, selection, policy))
    assert (saved.owner, saved.digest, saved.files) == (OWNER, made.digest, made.fleet_digest)
    assert (saved.selection, saved.policy) == (selection, policy)
    assert saved.rows == {("join", "lobby/desk"), ("join", "lobby/door")}


def test_a_plan_file_says_what_is_held_and_how_many_conversations_end() -> None:
    kept = replace(DESK, lifecycle=replace(DESK.lifecycle, protect=True))
    standing = basis([record(kept), record(DOOR, "A2")], [running(DESK), running(DOOR, "A2")])
    made = plan(fleet(agent("lobby/new"), limits=UNLIMITED), standing)
    saved = load(save(made, Selection(), Policy(), mask=str.upper))
    assert saved.rows == {("join", "lobby/new"), ("leave", "lobby/door")}
    assert saved.hang_ups == 1
    ((address, action, reason),) = [(each.address, each.action, each.reason) for each in saved.held]
    assert (address, action) == ("lobby/desk", "leave")
    assert reason == reason.upper() != ""


def test_a_plan_file_raises_no_limit_and_allows_no_host() -> None:
    policy = Policy(allow={"leave": 50}, allow_hosts=frozenset({"elsewhere.example.com"}))
    saved = load(save(plan(fleet(DESK)), Selection(), policy))
    assert dict(saved.policy.allow) == {}
    assert saved.policy.allow_hosts == frozenset()


@pytest.mark.parametrize("position", range(5, 1000, 37))
def test_no_changed_byte_of_a_plan_file_is_let_pass(position: int) -> None:
    data = bytearray(save(plan(fleet(DESK)), Selection(), Policy()))
    position %= len(data)
    data[position] ^= 0x01
    try:
        found = load(bytes(data))
    except UsageError:
        return
    assert found == load(save(plan(fleet(DESK)), Selection(), Policy())), "only white space may differ"


def test_a_plan_of_another_environment_is_refused() -> None:
    saved = load(save(plan(fleet(DESK)), Selection(), Policy()))
    saved.check_owner(OWNER)
    with pytest.raises(StalePlan, match=r"demo\.prod"):
        saved.check_owner(Owner("demo", "prod"))


def test_another_format_is_named() -> None:
    with pytest.raises(UsageError, match="reconciler-plan-9"):
        load(orjson.dumps({"format": "reconciler-plan-9"}))


# --- what is confirmed ----------------------------------------------------------------------------------------


def test_exactly_what_was_approved_is_confirmed() -> None:
    made = plan(fleet(DESK))
    confirm(made, approved(made))
    confirm(made, None)


def refused(intended: Plan, of: Approved, *, is_begun: bool = False) -> type[ReconcilerError] | None:
    """The error by which a plan is refused, if it is."""
    try:
        confirm(intended, of, is_begun=is_begun)
    except ReconcilerError as problem:
        return type(problem)
    return None


def test_edited_files_are_refused_whether_or_not_the_apply_had_begun() -> None:
    seen = approved(plan(fleet(DESK)))
    edited = plan(fleet(agent("lobby/desk", llm={"params": {"temperature": 0.9}})))
    assert refused(edited, seen) is StalePlan
    assert refused(edited, seen, is_begun=True) is StalePlan


def test_one_change_more_is_refused_whether_or_not_the_apply_had_begun() -> None:
    wanted = fleet(DESK, DOOR)
    seen = approved(plan(wanted, basis([record(DOOR)], [running(DOOR)])))
    now = plan(wanted)  # the door has ended since
    assert refused(now, seen) is StalePlan
    assert refused(now, seen, is_begun=True) is StalePlan


def test_the_rest_of_an_apply_that_had_begun_goes_on_and_only_then() -> None:
    wanted = fleet(DESK, DOOR)
    seen = approved(plan(wanted))
    rest = plan(wanted, basis([record(DESK)], [running(DESK)]))
    assert refused(rest, seen) is StalePlan
    assert refused(rest, seen, is_begun=True) is None


def test_a_plan_that_is_done_is_not_begun_again() -> None:
    seen = approved(plan(fleet(DESK)))
    assert (
        refused(plan(fleet(DESK), basis([record(DESK)], [running(DESK)])), seen, is_begun=True) is StalePlan
    )


def test_what_a_replacement_has_left_to_do_is_its_join() -> None:
    new = agent("lobby/desk", idle_timeout=60)
    seen = approved(plan(fleet(new), basis([record(DESK)], [running(DESK)])))
    left = plan(fleet(new), basis([record(DESK, replacing=True)]))
    assert left.rows == {("join", "lobby/desk")}
    assert refused(left, seen, is_begun=True) is None


def test_rows_that_do_not_fit_their_digest_are_refused() -> None:
    made = plan(fleet(DESK))
    forged = replace(approved(made), rows=frozenset({("join", "lobby/desk"), ("leave", "lobby/door")}))
    assert refused(made, forged) is StalePlan


def test_a_renewal_that_falls_due_needs_no_new_approval_and_an_update_does() -> None:
    due = basis([record(DESK, token_expires_at=0.0)], [running(DESK)])
    seen = approved(plan(fleet(DESK, DOOR), basis([record(DESK)], [running(DESK)])))
    assert refused(plan(fleet(DESK, DOOR), due), seen) is None
    unsent = basis([record(DESK, unsent=True)], [running(DESK)])
    assert refused(plan(fleet(DESK, DOOR), unsent), seen) is StalePlan


def test_an_approval_does_not_lift_a_limit() -> None:
    everything = fleet_of(4)
    known = basis(
        [record(each, f"A{n}") for n, each in enumerate(everything)],
        [running(each, f"A{n}") for n, each in enumerate(everything)],
    )
    made = plan(fleet(*everything[2:], limits=Limits(leave=Limit(number=1))), known)
    assert refused(made, approved(made)) is Refused


def test_the_digest_counts_the_files_the_agent_and_the_values_and_not_the_serial() -> None:
    new = fleet(agent("lobby/desk", llm={"params": {"temperature": 0.9}}))
    known = basis([record(DESK)], [running(DESK)])
    made = plan(new, known)
    later = replace(known, state=replace(known.state, serial=99), now=known.now + 60)
    assert plan(new, later).digest == made.digest
    assert plan(new, basis([record(DESK, "A2")], [running(DESK, "A2")])).digest != made.digest
    assert replace(made, fleet_digest="other").digest != made.digest
    other = fleet(agent("lobby/desk", llm={"params": {"temperature": 0.8}}))
    assert replace(plan(other, known), fleet_digest=made.fleet_digest).digest != made.digest
