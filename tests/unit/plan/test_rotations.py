"""Which agents one run rotates: the limit, the order, what is urgent, and a fleet over many runs of a cron job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.fleet import Freeze, Limit
from reconciler.model.spec import HOUR
from reconciler.plan import rotations
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action, Because, Hold, Join, Keep, Reason, Replace, Rotate, Target, Update
from reconciler.plan.guard import Policy
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.unit.plan.parts import ABLE, NOW, Basis, basis, fleet_of, record, running

DESK, DOOR = agent("lobby/desk"), agent("lobby/door")
WHY = Reason(Because.FIELDS, "x")
JOIN = Join(DESK.address, DESK, WHY)
REPLACE = Replace(DESK.address, DESK, WHY, Target(running(DESK), record(DESK)))
LIFE = ABLE.max_lifetime


def rotation(number: int, age: float, **changes: Any) -> Rotate:
    spec = agent(f"lobby/desk-{number}")
    seen = running(spec, f"A{number}", started_at=NOW - age * HOUR)
    known = record(spec, f"A{number}", **changes)
    return Rotate(spec.address, spec, WHY, Target(seen, known, known.uid))


@pytest.mark.parametrize(
    ("last_call", "age", "is_urgent"),
    [(2 * HOUR, 70.1, True), (2 * HOUR, 70.0, False), (3 * HOUR, 69.1, True)],
)
def test_a_rotation_is_urgent_in_the_last_hours(last_call: float, age: float, is_urgent: bool) -> None:
    assert rotations.is_urgent(rotation(1, age), NOW, ABLE, last_call) is is_urgent
    old = running(DESK, started_at=NOW - 100 * HOUR)
    assert not rotations.is_urgent(replace(REPLACE, target=Target(old, record(DESK))), NOW, ABLE)


@pytest.mark.parametrize(
    ("ages", "allowed", "down", "waiting"),
    [
        ((60, 65, 62), 1, 0, {1, 3}),
        ((60, 65, 62), 2, 0, {1}),
        ((60, 65, 62), 3, 0, set()),
        ((60, 71, 62), 1, 0, {1, 3}),  # the urgent one takes the place
        ((71, 71, 62), 1, 0, {3}),  # and an urgent one never waits
        ((60, 65, 62), 2, 1, {1, 3}),
        ((60, 65, 62), 1, 2, {1, 2, 3}),
    ],
)
def test_who_rotates_first(ages: tuple[float, ...], allowed: int, down: int, waiting: set[int]) -> None:
    changes = [rotation(number + 1, age) for number, age in enumerate(ages)]
    absent = [record(agent(f"lobby/gone-{each}"), f"G{each}", replacing=True) for each in range(down)]
    records = [each.target.record for each in changes if each.target.record is not None]
    standing = basis([*records, *absent], [each.target.agent for each in changes])
    limits = replace(UNLIMITED, max_unavailable=Limit(number=allowed))
    found = rotations.turns([JOIN, *changes], limits, standing, ABLE, 2 * HOUR).postponed
    assert found == {agent(f"lobby/desk-{each}").address for each in waiting}
    for each in changes:
        held = rotations.postpone(each, found)
        assert (held is each) is (each.address not in found)
        if isinstance(held, Hold):
            assert held.reason.because is Because.MAX_UNAVAILABLE
    other = replace(REPLACE, address=changes[0].address)
    assert rotations.postpone(other, found) is other


def test_the_share_of_rotations_is_of_addresses_that_run_or_are_down() -> None:
    """Four records: two run, one is down for its successor, and one has simply ended."""
    changes = [rotation(1, 60), rotation(2, 61)]
    records = [each.target.record for each in changes if each.target.record is not None]
    down, ended = record(DESK, "G1", replacing=True), record(DOOR, "G2")
    seen = [each.target.agent for each in changes]
    standing = basis([*records, down, ended], seen)
    limits = replace(
        UNLIMITED, max_unavailable=Limit(percent=67)
    )  # of three: two after rounding up 2.01 to 3
    assert rotations.turns(changes, limits, standing, ABLE, 2 * HOUR).postponed == frozenset()
    limits = replace(UNLIMITED, max_unavailable=Limit(percent=66))
    assert rotations.turns(changes, limits, standing, ABLE, 2 * HOUR).postponed == {changes[0].address}


# --- a fleet over many runs ----------------------------------------------------------------------------------------


class Cron:
    """A fleet that nothing but the runs of a cron job changes; `ages` are those of its agents, in hours, at the first run."""

    def __init__(self, ages: Sequence[float], limit: Limit, horizon: float = 0.0, **lifecycle: Any) -> None:
        self.specs = [
            replace(each, lifecycle=replace(each.lifecycle, **lifecycle)) for each in fleet_of(len(ages))
        ]
        self.files = fleet(*self.specs, limits=replace(UNLIMITED, max_unavailable=limit))
        self.now, self.horizon = NOW, horizon
        self.started = [NOW - each * HOUR for each in ages]
        self.generations = [1] * len(ages)
        self.ended_by_the_service = 0

    def basis(self) -> Basis:
        records, live = [], []
        for number, spec in enumerate(self.specs):
            name, started = f"A{number}.{self.generations[number]}", self.started[number]
            generation = self.generations[number]
            records.append(
                record(
                    spec,
                    name,
                    generation=generation,
                    started_at=started,
                    token_expires_at=self.now + 20 * HOUR,
                )
            )
            live.append(running(spec, name, generation=generation, started_at=started))
        return replace(basis(records, live), now=self.now, horizon=self.horizon)

    def plan(self) -> Plan:
        return build_plan(self.files, self.basis(), ABLE)

    def run(self) -> int:
        """Apply the plan of this moment and return how many agents it rotates."""
        places = {each.address: number for number, each in enumerate(self.specs)}
        rotated = [places[each.address] for each in self.plan().acts if isinstance(each, Rotate)]
        for number in rotated:
            self._start(number)
        return len(rotated)

    def _start(self, number: int) -> None:
        self.started[number] = self.now
        self.generations[number] += 1

    def wait(self, hours: float) -> None:
        """Let time pass; what reaches its end is ended by the service, and started anew by whatever comes next."""
        self.now += hours * HOUR
        for number, started in enumerate(self.started):
            if self.now - started >= LIFE:
                self.ended_by_the_service += 1
                self._start(number)

    def runs(self, every: float, hours: float) -> list[int]:
        counts = []
        for _ in range(int(hours / every)):
            counts.append(self.run())
            self.wait(every)
        return counts


TENTH = Limit(percent=10)


@pytest.mark.parametrize("every", [0.5, 1.0, 2.0])
def test_of_agents_that_started_together_no_run_rotates_more_than_the_limit(every: float) -> None:
    cron = Cron([0.0] * 20, TENTH)
    counts = cron.runs(every, 160)
    assert max(counts) <= 2, counts
    assert cron.ended_by_the_service == 0
    assert sum(counts) < 20 * 160 / 52, "nobody is rotated more often than the limit needs"


@pytest.mark.parametrize(
    ("every", "horizon", "most"), [(12.0, 12.0, 4), (12.0, 13.0, 4), (24.0, 25.0, 10), (6.0, 7.0, 2)]
)
def test_a_cron_that_comes_rarely_and_says_so_rotates_equal_parts(
    every: float, horizon: float, most: int
) -> None:
    """20 agents: of a run every 12 h five come before the end, so each rotates 4, though the limit is 2."""
    cron = Cron([0.0] * 20, TENTH, horizon * HOUR)
    counts = cron.runs(every, 400)
    assert max(counts) <= most, counts
    assert cron.ended_by_the_service == 0


def test_a_rare_cron_that_does_not_say_so_keeps_the_limit_until_the_last_run() -> None:
    cron = Cron([30.0] * 50, TENTH)
    assert [isinstance(each, Keep) for each in cron.plan().changes] == [True] * 50
    cron.wait(12)
    assert cron.run() == 0
    cron.wait(14)  # 56 h of age: eight runs of two hours are left, of ten that are needed
    assert cron.run() == 5
    cron.wait(15)  # 71 h
    assert cron.run() == 45


@pytest.mark.parametrize(
    ("count", "every", "horizon", "hours"),
    [(60, 0.5, 0.0, 40), (20, 2.0, 25.0, 30), (20, 1.0, 13.0, 30), (20, 4.0, 5.0, 40)],
)
def test_runs_that_come_oftener_than_expected_rotate_nobody_oftener(
    count: int, every: float, horizon: float, hours: float
) -> None:
    """A limit that cannot be kept, and a pipeline beside the daily cron: no agent is rotated again within 40 h, or 30."""
    cron = Cron([72 * each / count for each in range(count)], Limit(number=1), horizon * HOUR)
    cron.runs(every, 150)
    rotated = sum(each - 1 for each in cron.generations)
    assert rotated <= count * 150 / hours
    assert max(cron.generations) <= 1 + 150 / hours + 1


@pytest.mark.parametrize("late", [0, 20, 300])
def test_agents_that_started_a_little_after_their_run_are_rotated_in_time(late: float) -> None:
    cron = Cron([-late / HOUR] * 40, TENTH)
    cron.wait(late / HOUR)
    cron.wait(2 - late / HOUR)
    counts = cron.runs(2.0, 200)
    assert cron.ended_by_the_service == 0
    assert max(counts) <= 4, counts


def test_what_holds_a_rotation_leaves_the_other_changes_of_the_agent() -> None:
    """50 agents of 53 h have another prompt, of which five would be rotated early."""
    cron = Cron([53.0] * 50, TENTH)
    edited = fleet_of(50, llm={"system_messages": [{"role": "system", "content": "Be brief."}]})
    files = fleet(*edited, limits=cron.files.limits)
    live = cron.basis()
    only = Policy(only=frozenset({Action.UPDATE}))
    frozen = replace(files, freezes=(Freeze(NOW + 90 * HOUR, "launch", ("*",), frozenset({"rotate"})),))
    for wanted, policy in ((files, only), (frozen, Policy())):
        changes = build_plan(wanted, live, ABLE, policy=policy).changes
        assert [type(each) for each in changes] == [Update] * 50
    assert sum(isinstance(each, Rotate) for each in build_plan(files, live, ABLE).changes) == 5


def test_small_fleets_and_spread_ones_rotate_at_their_time() -> None:
    for ages in ([0.0] * 5, [each * 1.2 for each in range(50)]):
        cron = Cron(ages, TENTH)
        while max(cron.now - each for each in cron.started) < 59.9 * HOUR:
            assert cron.run() == 0
            cron.wait(0.5)


def test_what_is_rotated_early_says_why() -> None:
    cron = Cron([53.0] * 50, TENTH)
    plan = cron.plan()
    early = [each for each in plan.changes if not isinstance(each, Keep)]
    assert len(early) == 5
    assert all(isinstance(each, Rotate) and each.reason.because is Because.AGE for each in early)
    assert "early" in early[0].reason.text
    assert "max_unavailable" in early[0].reason.text


def test_a_limit_of_none_rotates_nobody_early() -> None:
    assert (
        Cron([69.0] * 5, Limit(number=0), 12 * HOUR, rotate_after=70 * HOUR).run() == 5
    )  # they end before the next run
    assert Cron([50.0] * 5, Limit(number=0), 12 * HOUR).run() == 0
    assert Cron([69.0] * 5, Limit(number=0), rotate_after=71 * HOUR).run() == 0


@settings(max_examples=30)
@given(
    ages=st.lists(st.floats(0, 71.9), min_size=1, max_size=10),
    number=st.integers(1, 4),
    every=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    horizon=st.booleans(),
)
def test_no_run_is_worse_than_the_agents_ends_make_it(
    ages: list[float], number: int, every: float, horizon: bool
) -> None:
    """No run rotates more than the limit, or than the most that ends by some time, shared by the runs until then."""
    interval = max(every, 2.0)
    cron = Cron(ages, Limit(number=number), interval * HOUR if horizon else 0.0)
    for _ in range(40):
        lefts = sorted(LIFE - (cron.now - each) for each in cron.started)
        last = sum(1 for each in lefts if each <= interval * HOUR)
        runs = [max(1, -(-each // (interval * HOUR))) for each in lefts]
        even = max(-(-count // each) for count, each in enumerate(runs, start=1))
        assert cron.run() <= max(number, last, even if horizon else 0)
        cron.wait(every)
