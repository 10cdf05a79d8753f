"""Which change of one address is held, why and until when: each condition alone, at its edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.instants import clock
from reconciler.model.address import Address, AgentName
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation
from reconciler.model.spec import HOUR, Beside, Lifecycle, body_digest
from reconciler.plan import holds
from reconciler.plan.change import Adopt, Because, Change, Hold, Join, Keep, Reason, Replace, Rotate, Target
from reconciler.plan.due import due
from reconciler.plan.facts import Adoptee, Facts
from tests.fakes.fleets import OWNER, agent
from tests.unit.plan.parts import ABLE, GRACE, NOW, name_of, record, running

DESK = agent("lobby/desk")
DOOR = agent("lobby/door")
OTHER_BODY = agent("lobby/desk", idle_timeout=9)
WHY = Reason(Because.NEW, "x")
TARGET = Target(running(DESK), record(DESK), "7")
JOIN = Join(DESK.address, DESK, WHY)
KEEP = Keep(DESK.address, DESK, WHY, TARGET)
REPLACE = Replace(DESK.address, DESK, WHY, TARGET)
ROTATE = Rotate(DESK.address, DESK, WHY, TARGET)
HELD = Hold(REPLACE, WHY)


def facts(**changes: Any) -> Facts:
    return replace(Facts(OWNER, DESK.address, ABLE, NOW, DESK), **changes)


def stranger(agent_id: str = "F1", name: str = "theirs") -> ObservedAgent:
    return ObservedAgent(agent_id, AgentStatus.RUNNING, NOW - HOUR, name)


def because(change: Change) -> Because | None:
    """Why a change is held; None where it is not."""
    return change.reason.because if isinstance(change, Hold) else None


def join(**changes: Any) -> Intent:
    made = Intent(Operation.JOIN, DESK.address, name_of(DESK), NOW - 60, generation=1, uid=DESK.uid(OWNER), body=DESK.body)  # fmt: skip
    return replace(made, **changes)


# --- beside a foreign agent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strangers", "beside", "change", "is_held"),
    [
        ((stranger(),), Beside.HOLD, JOIN, True),
        ((stranger(),), Beside.ALLOW, JOIN, False),
        ((), Beside.HOLD, JOIN, False),
        ((stranger(),), Beside.HOLD, REPLACE, False),
        ((stranger(),), Beside.HOLD, KEEP, False),
    ],
)
def test_only_a_first_join_waits_beside_a_foreign_agent(
    strangers: tuple[ObservedAgent, ...], beside: Beside, change: Change, is_held: bool
) -> None:
    want = replace(DESK, lifecycle=Lifecycle(beside=beside))
    held = holds.held_if_beside(facts(strangers=strangers), want, change)
    assert because(held) is (Because.BESIDE if is_held else None)


@pytest.mark.parametrize(
    ("count", "uid", "said"),
    [
        (1, None, "agent F0 (theirs) runs in channel lobby and is not this fleet's; take it over (declare its agent_rtc_uid, then `reconciler adopt lobby/desk F0`)"),
        (1, "7", "take it over (`reconciler adopt lobby/desk F0`)"),
        (2, "7", "agent F0 (theirs) and 1 more runs in"),
        (3, "7", "agent F0 (theirs) and 2 more runs in"),
    ],
)  # fmt: skip
def test_how_to_go_on_beside_a_foreign_agent(count: int, uid: str | None, said: str) -> None:
    want = agent("lobby/desk", agent_rtc_uid=uid)
    held = holds.held_if_beside(
        facts(strangers=tuple(stranger(f"F{n}") for n in range(count))), want, Join(want.address, want, WHY)
    )
    assert isinstance(held, Hold)
    assert said in held.reason.text
    assert "(`--allow beside=lobby/desk`)" in held.reason.text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("prod", "and belongs to this fleet's environment prod: give each environment channels of its own (`{{ environment }}` in"),
        (None, "and has no environment: give each environment channels of its own"),
    ],
)  # fmt: skip
def test_agents_of_another_environment_are_not_to_be_taken_over(environment: str | None, said: str) -> None:
    here, there = replace(OWNER, environment="test"), replace(OWNER, environment=environment)
    other = replace(stranger(), name=str(AgentName.make(there, DESK.address, DESK.revision(ABLE), 1)))
    held = holds.held_if_beside(facts(owner=here, strangers=(other,)), DESK, JOIN)
    assert isinstance(held, Hold)
    assert said in held.reason.text
    assert "adopt" not in held.reason.text
    assert "(`--allow beside=lobby/desk`)" in held.reason.text


# --- after failures ------------------------------------------------------------------------------------------------

FAILED = record(DESK, failures=3, retry_at=NOW + 10, failed_digest=body_digest(DESK.body), failed_cause="x")


@pytest.mark.parametrize(
    ("changes", "want", "change", "is_held"),
    [
        ({"record": FAILED}, DESK, JOIN, True),
        ({"record": FAILED}, DESK, REPLACE, True),
        ({"record": FAILED}, DESK, HELD, None),
        ({"record": FAILED, "forced": True}, DESK, JOIN, False),
        ({"record": None}, DESK, JOIN, False),
        ({"record": replace(FAILED, retry_at=NOW)}, DESK, JOIN, False),
        ({"record": FAILED}, OTHER_BODY, JOIN, False),
        ({"record": replace(FAILED, failed_digest="")}, OTHER_BODY, JOIN, True),  # a state of older versions
    ],
)
def test_a_join_that_keeps_failing_waits(
    changes: dict[str, Any], want: Any, change: Change, is_held: bool | None
) -> None:
    held = holds.held_if_backing_off(facts(**changes), want, change)
    if is_held:
        assert isinstance(held, Hold)
        assert (held.change, held.reason.because, held.until) == (change, Because.BACKING_OFF, NOW + 10)
    else:
        assert held is change


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("", "it failed 3 times in a row; the next try"),
        ("x", "in a row (x); the"),
        ("RTC connection error", "in a row (RTC connection error: check the certificate); the"),
    ],
)
def test_a_pause_names_its_cause(cause: str, said: str) -> None:
    held = holds.held_if_backing_off(facts(record=replace(FAILED, failed_cause=cause)), DESK, JOIN)
    assert isinstance(held, Hold)
    assert said in held.reason.text
    assert (
        f"waits until {clock(NOW + 10)} (`reconciler apply --replace lobby/desk` tries now)"
        in held.reason.text
    )


STOPPED = record(DESK, stopped_agent="A1", stops=(NOW - 20, NOW - 10))


@pytest.mark.parametrize(
    ("found", "heals", "change", "forced", "is_held"),
    [
        (STOPPED, 1, JOIN, False, True),
        (STOPPED, 2, JOIN, False, False),
        (STOPPED, None, JOIN, False, False),
        (STOPPED, 1, JOIN, True, False),
        (STOPPED, 1, REPLACE, False, False),
        (None, 1, JOIN, False, False),
        (replace(STOPPED, stopped_agent="A0"), 1, JOIN, False, False),
        (STOPPED, 1, replace(JOIN, spec=OTHER_BODY), False, False),
    ],
)
def test_who_is_ended_again_and_again_is_left_alone_by_a_controller(
    found: Any, heals: int | None, change: Change, forced: bool, is_held: bool
) -> None:
    held = holds.held_if_ended_repeatedly(facts(record=found, forced=forced), change, heals)
    assert because(held) is (Because.KEPT_ENDING if is_held else None)
    if isinstance(held, Hold):
        assert f"(at {clock(NOW - 20)}, {clock(NOW - 10)})" in held.reason.text


REFUSED = Intent(Operation.REFUSED, DESK.address, "", NOW - 9, body=DESK.body, attempt=3, sent_at=NOW - 100)


@pytest.mark.parametrize(
    ("note", "change", "forced", "is_held"),
    [
        (REFUSED, JOIN, False, True),
        (replace(REFUSED, sent_at=NOW - 120), JOIN, False, False),
        (replace(REFUSED, sent_at=NOW - 119), JOIN, False, True),
        (REFUSED, JOIN, True, False),
        (REFUSED, REPLACE, False, False),
        (REFUSED, replace(JOIN, spec=OTHER_BODY), False, False),
        (None, JOIN, False, False),
    ],
)
def test_a_join_that_is_refused_again_and_again_waits_in_a_controller(
    note: Intent | None, change: Change, forced: bool, is_held: bool
) -> None:
    known = facts(refused=note, forced=forced)
    held = holds.held_if_ended_repeatedly(known, change, 1)
    assert because(held) is (Because.BACKING_OFF if is_held else None)
    assert holds.held_if_ended_repeatedly(known, change, None) is change, "a person has asked for it"
    if isinstance(held, Hold):
        assert note is not None and note.sent_at is not None
        assert held.until == note.sent_at + 120


# --- late copies ---------------------------------------------------------------------------------------------------

NOTE = join(operation=Operation.LATE_COPY, created_at=NOW - 10)
RENAMED = replace(NOTE, name=name_of(DOOR))


@pytest.mark.parametrize(
    ("note", "superseded", "change", "until"),
    [
        # The bearer of the name: until no copy can be executed.
        (NOTE, False, REPLACE, NOW - 10 + GRACE),
        (NOTE, False, ROTATE, NOW - 10 + GRACE),
        (NOTE, True, REPLACE, NOW - 10 + GRACE),
        (replace(NOTE, created_at=NOW - GRACE), False, REPLACE, None),
        (replace(NOTE, created_at=NOW - GRACE + 1), False, REPLACE, NOW + 1),
        # A join under the same name is safe; under another name it waits.
        (NOTE, False, JOIN, None),
        (RENAMED, False, JOIN, NOW - 10 + GRACE),
        (RENAMED, True, JOIN, None),
        (RENAMED, False, REPLACE, NOW - 10 + GRACE),
        (RENAMED, True, REPLACE, None),
        (RENAMED, False, KEEP, None),
        # An attempt that was answered is not executed late, but its agent may be listed late.
        (replace(RENAMED, answered=1), False, JOIN, NOW - 10 + GRACE),
        (replace(RENAMED, answered=1, created_at=NOW - GRACE), False, JOIN, None),
        (None, False, REPLACE, None),
    ],
)
def test_what_waits_for_a_late_copy(
    note: Intent | None, superseded: bool, change: Change, until: float | None
) -> None:
    held = holds.held_if_deferred(facts(late_copy=note, superseded=superseded), change)
    if until is None:
        assert held is change
    else:
        assert isinstance(held, Hold)
        assert (held.change, held.reason.because, held.until) == (change, Because.DEFERRED, until)
        assert note is not None and note.name in held.reason.text


@pytest.mark.parametrize(
    ("changes", "change", "until"),
    [
        ({"refused_since": NOW - 400, "sent_at": NOW - 100}, JOIN, NOW - 100 + GRACE),
        ({"refused_since": NOW - 400, "sent_at": NOW - 101}, JOIN, None),  # not yet later than a list can lag
        ({"refused_since": NOW - 400, "sent_at": NOW - 100}, REPLACE, None),
        ({"refused_since": NOW - 700, "sent_at": NOW - GRACE, "answered": 1}, JOIN, None),
        ({"refused_since": NOW - 700, "sent_at": NOW - GRACE + 1, "answered": 1}, JOIN, NOW + 1),
        ({}, JOIN, None),
    ],
)
def test_a_name_that_is_refused_twice_is_looked_for_once_more(
    changes: dict[str, Any], change: Change, until: float | None
) -> None:
    intent = join(**{"created_at": NOW - 900, "answered": 1, **changes})
    held = holds.held_if_deferred(facts(open_join=intent), change)
    assert (held.until if isinstance(held, Hold) else None) == until
    assert holds.held_if_deferred(facts(), change) is change


# --- uids, protection and adoptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "foreign", "change", "is_held"),
    [
        (join(refused_since=NOW), (stranger(),), JOIN, True),
        (join(refused_since=NOW), (stranger(),), REPLACE, True),
        (join(refused_since=NOW), (stranger(),), KEEP, False),
        (join(refused_since=NOW), (stranger(),), ROTATE, False),
        (join(refused_since=NOW), (), JOIN, False),
        (join(), (stranger(),), JOIN, False),
        (None, (stranger(),), JOIN, False),
        (join(refused_since=NOW, uid="9"), (stranger(),), JOIN, False),
    ],
)
def test_a_uid_that_a_foreign_agent_may_have(
    intent: Intent | None, foreign: tuple[ObservedAgent, ...], change: Change, is_held: bool
) -> None:
    held = holds.held_if_uid_taken(facts(open_join=intent, foreign=foreign), change)
    assert because(held) is (Because.SEAT_TAKEN if is_held else None)


@pytest.mark.parametrize(("protect", "is_held"), [(True, True), (False, False), (None, False)])
def test_a_protected_address(protect: bool | None, is_held: bool) -> None:
    assert because(holds.held_if_protected(REPLACE, protect)) is (Because.PROTECTED if is_held else None)


@pytest.mark.parametrize(
    ("adoptee", "running_here", "said"),
    [
        ({}, (), None),
        ({"recorded_at": DOOR.address, "is_ours": True}, (), "agent F1 is recorded as lobby/door already"),
        ({"is_ours": True, "channel": None}, (), "agent F1 was started for another address of this fleet"),
        ({"channel": None}, (running(DESK),), "in none of the channels that were looked at, lobby included"),
        ({"channel": "hall"}, (running(DESK),), "agent F1 runs in hall, not in lobby"),
        (
            {},
            (running(DESK),),
            "the address has a running agent already (A1); `reconciler forget lobby/desk`",
        ),
    ],
)
def test_which_adoptions_are_refused(
    adoptee: dict[str, Any], running_here: tuple[ObservedAgent, ...], said: str | None
) -> None:
    found = Adoptee(**{"agent": stranger(), "channel": "lobby", **adoptee})
    adopt = Adopt(DESK.address, DESK, WHY, Target(stranger()), {})
    held = holds.held_if_adoption_refused(facts(running=running_here), found, adopt)
    if said is None:
        assert held is adopt
    else:
        assert isinstance(held, Hold)
        assert held.reason.because is Because.ADOPT_REFUSED
        assert said in held.reason.text


# --- what falls due ------------------------------------------------------------------------------------------------

NEVER = Lifecycle(rotate_after=60 * HOUR, rotate_spread=0.0, token_ttl=24 * HOUR)
STEADY = replace(DESK, lifecycle=NEVER)


@pytest.mark.parametrize(
    ("changes", "at", "why"),
    [
        ({}, None, None),
        ({"record": FAILED}, NOW + 10, Because.BACKING_OFF),
        ({"record": replace(FAILED, retry_at=NOW)}, None, None),
        ({"refused": REFUSED}, NOW + 20, Because.BACKING_OFF),
        ({"open_join": join()}, NOW - 60 + GRACE, Because.DEFERRED),
        ({"open_join": join(created_at=NOW - GRACE)}, NOW + GRACE, Because.DEFERRED),
        ({"late_copy": join(created_at=NOW - GRACE - 1)}, NOW + GRACE - 1, Because.DEFERRED),
        ({"late_copy": join(created_at=NOW - 2 * GRACE)}, None, None),
    ],
)
def test_when_an_address_without_an_agent_is_due(
    changes: dict[str, Any], at: float | None, why: Because | None
) -> None:
    found = due(facts(grace=GRACE, **changes))
    assert (None if found is None else (found.at, found.why)) == (None if at is None else (at, why))


@pytest.mark.parametrize(
    ("age", "changes", "after", "why"),
    [
        (50.0, {}, 60.0, Because.AGE),  # `rotate_after`, and 12 h before the end
        (61.0, {}, 70.0, Because.MAX_UNAVAILABLE),
        (71.0, {}, 72.0, Because.EXPIRED),
        (73.0, {}, None, None),
        (59.0, {"failures": 1, "started_at": NOW - 500}, 59.0 + 100 / HOUR, Because.FAILED),
    ],
)
def test_when_a_running_agent_is_due(
    age: float, changes: dict[str, Any], after: float | None, why: Because | None
) -> None:
    started = NOW - age * HOUR
    known = record(STEADY, **{"started_at": started, "token_expires_at": NOW - HOUR, **changes})
    found = due(facts(want=STEADY, record=known, running=(running(STEADY, started_at=started),)))
    if after is None:
        assert found is None
    else:
        assert found is not None
        assert (found.at, found.why) == (pytest.approx(started + after * HOUR), why)


def test_a_token_is_due_in_the_sixth_tenth_of_its_life() -> None:
    known = record(STEADY, token_expires_at=NOW + 20 * HOUR)
    found = due(facts(want=STEADY, record=known, running=(running(STEADY),)))
    assert found is not None
    assert (found.at, found.why) == (NOW + 20 * HOUR - NEVER.renews_at(known.share), Because.TOKEN)
    assert due(facts(want=STEADY, record=known, running=(running(STEADY, "A9"),))) is None, "not its agent"


def test_an_agent_is_rotated_before_the_last_twelve_hours_where_its_life_is_shorter() -> None:
    short = agent("lobby/desk", avatar={"params": {"agora_uid": "9"}}, lifecycle=NEVER)
    started = NOW - 11 * HOUR
    known = record(short, started_at=started, token_expires_at=None)
    found = due(facts(want=short, record=known, running=(running(short, started_at=started),)))
    assert found is not None
    assert (found.at, found.why) == (started + 12 * HOUR, Because.AGE)


def test_an_address_that_nobody_wants_goes_by_the_usual_lifecycle() -> None:
    usual, known = Lifecycle(), record(DESK, token_expires_at=NOW + 24 * HOUR)
    found = due(facts(want=None, record=known, running=(running(DESK),)))
    assert found is not None
    assert found.at == NOW + 24 * HOUR - usual.renews_at(known.share)
    assert found.address == Address("lobby", "desk")
