"""What a plan says beside its changes: agents of somebody else, ignored differences, adoptions that are over, open calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import Refused
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation
from reconciler.model.spec import HOUR, AgentSpec, Beside, Lifecycle
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action
from tests.fakes.fleets import agent, fleet
from tests.unit.plan.parts import ABLE, NOW, Basis, basis, record, running

SHARED = Lifecycle(beside=Beside.ALLOW)
DESK = agent("lobby/desk", agent_rtc_uid="7", lifecycle=SHARED)
STANDING = basis([record(DESK)], [running(DESK)])


def foreign(agent_id: str, name: str | None, status: AgentStatus = AgentStatus.RUNNING) -> ObservedAgent:
    return ObservedAgent(agent_id, status, NOW - 60, name)


def beside(standing: Basis, **channels: str | None) -> Basis:
    """The basis with foreign agents, each in a channel, or in one that is not known."""
    others = tuple(foreign(each, f"bot {each}") for each in channels)
    places = {each: channel for each, channel in channels.items() if channel is not None}
    return replace(standing, live=(*standing.live, *others), channels=places)


def planned(spec: AgentSpec, standing: Basis) -> Plan:
    return build_plan(fleet(spec), standing, ABLE)


def test_agents_of_somebody_else_are_named_in_our_channels_and_counted_elsewhere() -> None:
    plan = planned(DESK, beside(STANDING, F2="lobby", F1="lobby", F3="cafe", F4=None))
    assert [(each.agent.agent_id, each.channel) for each in plan.unmanaged] == [
        ("F1", "lobby"),
        ("F2", "lobby"),
    ]
    assert plan.elsewhere == 2
    assert (planned(DESK, STANDING).unmanaged, planned(DESK, STANDING).elsewhere) == ((), 0)


def test_one_without_a_name_comes_first_and_one_that_is_stopping_is_nobody() -> None:
    standing = beside(STANDING, F1="lobby", F2="lobby")
    nameless = foreign("F9", None)
    stopping = foreign("F8", "bot", AgentStatus.STOPPING)
    standing = replace(
        standing,
        live=(*standing.live, nameless, stopping),
        channels={**standing.channels, "F9": "lobby", "F8": "lobby"},
    )
    assert [each.agent.agent_id for each in planned(DESK, standing).unmanaged] == ["F9", "F1", "F2"]


def test_what_the_files_adopt_where_it_runs_is_no_agent_that_somebody_may_adopt() -> None:
    here = planned(replace(DESK, adopt="F1"), beside(basis(), F1="lobby", F2="lobby"))
    assert [each.agent.agent_id for each in here.unmanaged] == ["F2"]
    assert [str(each.address) for each in here.changes] == ["lobby/desk"]
    elsewhere = planned(replace(DESK, adopt="F1"), beside(basis(), F1="cafe"))
    assert (elsewhere.unmanaged, elsewhere.elsewhere) == ((), 1)


@pytest.mark.parametrize(
    ("recorded", "ended", "warns"),
    [
        ({"token_expires_at": NOW - 60}, {"stopped_at": NOW - 60}, True),
        (
            {"token_expires_at": NOW - 60},
            {"stopped_at": NOW - 100},
            True,
        ),  # the service's clock and ours differ
        ({"token_expires_at": NOW - 60}, {"stopped_at": NOW - HOUR}, False),  # it ended for another cause
        (
            {"token_expires_at": NOW - 60},
            {},
            True,
        ),  # no time is told, and a run in time would have seen its end
        ({"token_expires_at": NOW - 60}, None, True),
        ({"token_expires_at": NOW + HOUR}, None, False),
        ({"started_at": NOW - 73 * HOUR}, {"stopped_at": NOW - HOUR}, True),
        ({"started_at": NOW - 73 * HOUR}, {"stopped_at": NOW - 2 * HOUR}, False),
        ({"token_expires_at": NOW - 60, "failures": 2}, None, False),
        ({"token_expires_at": NOW - 60, "replacing": True}, None, False),
    ],
)
def test_agents_that_no_run_has_kept_are_a_warning(
    recorded: dict[str, Any], ended: dict[str, Any] | None, warns: bool
) -> None:
    known = record(DESK, **recorded)
    gone = None
    if ended is not None:
        gone = running(DESK, status=AgentStatus.STOPPED, started_at=known.started_at, **ended)
    found = planned(DESK, basis([known], ended={"A1": gone})).warnings
    assert [each.rule for each in found] == ["ended-between-runs"] * warns
    if warns:
        assert found[0].summary.startswith("1 agent has ended, because no run came in time")
        assert "--horizon" in (found[0].help or "")
    paused = replace(DESK, lifecycle=replace(DESK.lifecycle, paused=True))
    assert not planned(paused, basis([known], ended={"A1": gone})).warnings
    assert not planned(DESK, basis([known], [running(DESK)])).warnings


def test_an_adoption_that_is_over_is_a_warning_and_one_that_was_made_is_none() -> None:
    adopting = replace(DESK, adopt="F1")
    (warning,) = planned(adopting, STANDING).warnings
    assert warning.rule == "adopt-over"
    assert warning.summary == "agent F1, which lobby/desk adopts, does not run any more"
    assert not planned(replace(DESK, adopt="A1"), STANDING).warnings
    gone = basis([record(DESK)], ended={"A1": None})
    assert not planned(replace(DESK, adopt="A1"), gone).warnings, "it was adopted, and is joined again"
    assert not planned(adopting, beside(basis(), F1="lobby")).warnings
    assert not planned(DESK, STANDING).warnings


def test_differences_that_are_ignored_are_told_of_an_agent_that_is_kept() -> None:
    lifecycle = replace(SHARED, ignore_changes=(("idle_timeout",),))
    kept = agent("lobby/desk", agent_rtc_uid="7", idle_timeout=60, lifecycle=lifecycle)
    (ignored,) = planned(kept, STANDING).ignored
    assert (ignored.address, ignored.paths) == (Address("lobby", "desk"), (("properties", "idle_timeout"),))
    replaced = agent(
        "lobby/desk", agent_rtc_uid="7", idle_timeout=60, asr={"language": "fr-FR"}, lifecycle=lifecycle
    )
    assert planned(replaced, STANDING).count(Action.REPLACE) == 1
    assert planned(replaced, STANDING).ignored == ()
    assert planned(DESK, STANDING).ignored == ()


def test_open_calls_are_counted_and_notes_are_none() -> None:
    def intent(operation: Operation) -> Intent:
        return Intent(operation, DESK.address, "a name", NOW, generation=1, uid="7", body=DESK.body)

    for operation, count in (
        (Operation.JOIN, 1),
        (Operation.LEAVE, 1),
        (Operation.UPDATE, 1),
        (Operation.LATE_COPY, 0),
        (Operation.REFUSED, 0),
    ):
        standing = basis([record(DESK)], [running(DESK)], [intent(operation)])
        assert planned(DESK, standing).interrupted == count


def test_a_fleet_without_agents_is_taken_for_a_mistake() -> None:
    with pytest.raises(Refused):
        build_plan(fleet(), STANDING, ABLE)
    assert build_plan(fleet(), STANDING, ABLE, allow_empty=True).count(Action.LEAVE) == 1
