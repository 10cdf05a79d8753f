"""Until an address is due, the clock alone changes no decision on it: by every case of the table, and by chance."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation
from reconciler.model.spec import HOUR, Lifecycle, body_digest
from reconciler.plan.change import Because
from reconciler.plan.decide import decide, renewal_while_held
from reconciler.plan.due import Due, due
from reconciler.plan.facts import Facts, gather_facts
from reconciler.plan.holds import held_if_ended_repeatedly
from tests.fakes.fleets import OWNER, agent
from tests.unit.plan import cases
from tests.unit.plan.parts import ABLE, GRACE, NOW, name_of, record

DAY = 24 * HOUR


def decision(facts: Facts, at: float) -> object:
    then = replace(facts, now=at)
    change = decide(then)
    if change is not None:
        change = held_if_ended_repeatedly(then, change, 1)
    return change, None if change is None else renewal_while_held(change, then)


def check(facts: Facts, share: float) -> None:
    found = due(facts)
    end = facts.now + 200 * HOUR if found is None else found.at
    assert end > facts.now
    # The last whole second before the end: sums of floats are not exact to the last bit.
    latest = end - 1
    if latest > facts.now:
        now = decision(facts, facts.now)
        assert decision(facts, facts.now + share * (latest - facts.now)) == now
        assert decision(facts, latest) == now


@pytest.mark.parametrize("path", cases.paths(), ids=lambda path: path.stem)
def test_the_law_in_every_case_of_the_table(path: object) -> None:
    case = cases.read(path)  # type: ignore[arg-type]
    for facts in gather_facts(case.fleet, case.basis, ABLE, destroying=case.destroying):
        check(facts, 0.5)


HOURS = st.integers(0, 73 * 60).map(lambda minutes: minutes * 60.0)


def refusal(attempt: int, ago: int) -> Intent:
    spec = agent("lobby/desk")
    at = NOW - ago
    return Intent(Operation.REFUSED, spec.address, "", at, body=spec.body, attempt=attempt, sent_at=at)


@st.composite
def situations(draw: st.DrawFn) -> Facts:
    lifecycle = Lifecycle(
        rotate_after=draw(st.sampled_from([2 * HOUR, 40 * HOUR, 60 * HOUR, 70 * HOUR])),
        rotate_spread=draw(st.sampled_from([0.0, 8 * HOUR])),
        token_ttl=draw(st.sampled_from([HOUR, DAY])),
        protect=draw(st.sampled_from([None, True, False])),
        paused=draw(st.booleans()),
    )
    recorded = agent("lobby/desk", lifecycle=lifecycle)
    wanted = draw(
        st.sampled_from(
            [recorded, agent("lobby/desk", lifecycle=lifecycle, tts={"params": {"region": "x"}}), None]
        )
    )
    age = draw(HOURS)
    failures = draw(st.integers(0, 4))
    known = record(
        recorded,
        started_at=NOW - age,
        token_expires_at=draw(st.none() | HOURS.map(lambda left: NOW + left - HOUR)),
        generation=draw(st.integers(1, 50)),
        failures=failures,
        retry_at=draw(st.sampled_from([0.0, NOW - 60, NOW + 60, NOW + HOUR])),
        failed_digest=body_digest(recorded.body) if failures else "",
        unsent=draw(st.booleans()),
    )
    runs = draw(st.booleans())
    lives = ObservedAgent("A1", AgentStatus.RUNNING, NOW - age, name_of(recorded))
    sent = NOW - draw(st.integers(0, 900))
    note = Intent(
        draw(st.sampled_from([Operation.JOIN, Operation.LATE_COPY])),
        recorded.address,
        name_of(recorded),
        sent,
        generation=1,
        uid="1",
        body=recorded.body,
        answered=draw(st.integers(0, 1)),
    )
    has_note = draw(st.booleans())
    return Facts(
        OWNER,
        recorded.address,
        ABLE,
        NOW,
        want=wanted,
        record=draw(st.sampled_from([known, None])),
        running=(lives,) if runs else (),
        open_join=note if has_note and note.operation is Operation.JOIN else None,
        refused=draw(st.none() | st.builds(refusal, st.integers(1, 5), st.integers(0, 4000))),
        late_copy=note if has_note and note.operation is Operation.LATE_COPY else None,
        grace=GRACE,
        horizon=draw(st.sampled_from([0.0, HOUR, 12 * HOUR, DAY])),
    )


@settings(max_examples=300, deadline=None)
@given(situations(), st.floats(0, 1))
def test_the_law_by_chance(facts: Facts, share: float) -> None:
    check(facts, share)


def test_what_falls_due_and_why() -> None:
    desk = agent("lobby/desk")
    known = record(desk, token_expires_at=NOW + 20 * HOUR)
    lives = ObservedAgent("A1", AgentStatus.RUNNING, NOW - HOUR, name_of(desk))
    facts = Facts(OWNER, desk.address, ABLE, NOW, want=desk, record=known, running=(lives,))
    first = due(facts)
    assert first is not None
    assert first.why is Because.TOKEN
    assert NOW + 7 * HOUR < first.at < NOW + 11 * HOUR
    later = due(replace(facts, now=first.at))
    assert later is not None
    assert later.why is Because.AGE
    waiting = replace(facts, running=(), record=replace(known, retry_at=NOW + 120))
    assert due(waiting) == Due(NOW + 120, desk.address, Because.BACKING_OFF)
    assert due(replace(facts, record=None, running=())) is None
