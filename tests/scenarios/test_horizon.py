"""`--horizon`: what would end before the next run is renewed or rotated in this one, and shown as drift."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.apply.events import Ledger
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.model.spec import HOUR
from reconciler.model.writes import PutRecord
from reconciler.plan.change import Because
from reconciler.plan.planfile import load, save
from reconciler.state.local import LocalStore
from reconciler.workflow import Drift, Job
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.stores import acquire
from tests.fakes.virtual import Virtual

DESK = agent("lobby/desk")
GREEN = agent("lobby/desk", llm={"system_messages": [{"role": "system", "content": "Be brief."}]})
NO_ROTATION = replace(UNLIMITED, max_unavailable=Limit(number=0))


def job(virtual: Virtual, wanted: DesiredFleet, hours: float) -> Job:
    return virtual.job(wanted, settings=Settings(horizon=hours * HOUR))


def apply(virtual: Virtual, wanted: DesiredFleet, hours: float = 0) -> Ledger:
    return virtual.run(workflow.apply(job(virtual, wanted, hours), virtual.provider()))


def drift(virtual: Virtual, wanted: DesiredFleet, hours: float = 0) -> Drift:
    return virtual.run(workflow.drift(job(virtual, wanted, hours), virtual.provider()))


def token_left(virtual: Virtual) -> float:
    ends = virtual.state.read().records[Address("lobby", "desk")].token_expires_at
    assert ends is not None
    return (ends - virtual.now) / HOUR


def standing(limits: Limits = UNLIMITED, hours: float = 0) -> tuple[Virtual, DesiredFleet]:
    """A fleet of one agent that has run for some hours, its token renewed each day."""
    virtual, wanted = Virtual(), fleet(DESK, limits=limits)
    apply(virtual, wanted)
    while hours > 0:
        virtual.now += min(hours, 11) * HOUR
        hours -= 11
        apply(virtual, wanted)
    return virtual, wanted


def test_a_token_that_would_end_before_the_next_run_is_renewed_in_this_one() -> None:
    virtual, wanted = standing()
    virtual.now += 3 * HOUR
    assert drift(virtual, wanted, 19).plan.rows == frozenset()
    assert apply(virtual, wanted, 19).rows == {}
    (row,) = drift(virtual, wanted, 23).plan.pending
    assert row.reason.because is Because.EXPIRING
    assert apply(virtual, wanted, 23).is_complete
    assert token_left(virtual) == pytest.approx(24, abs=0.1)
    assert drift(virtual, wanted, 23).plan.rows == frozenset()


def test_an_update_takes_such_a_token_along() -> None:
    virtual, _ = standing()
    virtual.now += 3 * HOUR
    assert apply(virtual, fleet(GREEN), 23).is_complete
    assert token_left(virtual) == pytest.approx(24, abs=0.1)
    assert virtual.live()[0].properties["llm"]["system_messages"][0]["content"] == "Be brief."


def test_an_agent_that_the_service_ends_before_the_next_run_is_rotated_beyond_every_limit() -> None:
    virtual, wanted = standing(NO_ROTATION, 50)
    before = virtual.live()[0].agent_id
    assert apply(virtual, wanted, 12).is_complete
    assert virtual.live()[0].agent_id == before
    found = drift(virtual, wanted, 23)
    assert found.plan.rows == {("rotate", "lobby/desk")}
    assert apply(virtual, wanted, 23).is_complete
    (after,) = virtual.live()
    assert after.agent_id != before


def test_what_ends_just_after_the_next_run_is_not_left_to_it_because_it_may_be_late() -> None:
    minute = 1 / 60
    virtual, wanted = standing()
    virtual.now += (12 - minute) * HOUR  # the join was sent a minute after its run began
    assert {each for each, _ in drift(virtual, wanted, 12).plan.rows} == {"renew"}
    virtual, wanted = standing(NO_ROTATION, 60 - minute)
    assert {each for each, _ in drift(virtual, wanted, 12).plan.rows} == {"rotate"}


def test_what_is_due_by_the_clock_is_no_drift_also_when_it_is_held() -> None:
    virtual, wanted = standing(NO_ROTATION, 69)
    assert drift(virtual, wanted).plan.pending == ()


def test_a_saved_plan_keeps_its_horizon_and_one_without_it_reads_as_before() -> None:
    virtual, wanted = standing()
    virtual.now += 3 * HOUR
    asked = job(virtual, wanted, 23)
    made = virtual.run(workflow.plan(asked, virtual.provider()))
    data = save(made, asked.selection, asked.policy, asked.settings.horizon)
    assert load(data).horizon == 23 * HOUR
    plain = save(made, asked.selection, asked.policy)
    assert b"horizon" not in plain
    assert load(plain).horizon == 0


# --- the commands


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(
        "fleet: demo\n"
        "channels:\n"
        "  - channel: lobby\n"
        "    agents:\n"
        "      - name: desk\n"
        "        properties:\n"
        "          remote_rtc_uids: ['*']\n"
        "          asr: {vendor: ares, language: en-US}\n"
        "          llm: {url: https://api.openai.com/v1/chat/completions, api_key: ref+env://K, params: {model: gpt-4o-mini}}\n"
        "          tts: {vendor: microsoft, params: {key: ref+env://K, region: eastus, voice_name: en-US-AvaNeural}}\n"
    )
    return tmp_path


def age_tokens(home: Path, hours: float) -> None:
    """Let some hours of each token's life be over."""
    with closing(LocalStore(home / ".reconciler" / "default.state")) as store:
        acquire(store, "a test", 0.0)
        state = store.read()
        aged = [
            PutRecord(replace(each, token_expires_at=(each.token_expires_at or 0.0) - hours * HOUR))
            for each in state.records.values()
        ]
        store.commit(aged, expected=state.serial)


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "K": "k", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "reconciler", *arguments]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def test_plan_drift_and_apply_look_as_far_ahead_as_they_are_told(home: Path) -> None:
    assert run(home, "apply", "--auto-approve").returncode == 0
    assert run(home, "drift").returncode == 0
    assert run(home, "drift", "--horizon", "25h").returncode == 0
    age_tokens(home, 3)
    drifted = run(home, "drift", "--horizon", "25h")
    assert drifted.returncode == 2
    assert (
        "Drift: 1 address is about to end; an apply with the same --horizon would renew 1." in drifted.stdout
    )
    planned = run(home, "plan", "--horizon", "25h", "--out", "day.plan")
    assert "its token ends within 27h30m, before the next run (--horizon and a tenth)" in planned.stdout
    assert 'horizon: "25h"' in run(home, "show", "day.plan").stdout
    applied = run(home, "apply", "--plan", "day.plan")
    assert (applied.returncode, "1 renewed" in applied.stdout) == (0, True)


def test_a_horizon_that_would_rotate_all_agents_or_that_nobody_can_look_at_is_refused(home: Path) -> None:
    far = run(home, "drift", "--horizon", "3d")
    assert (far.returncode, "--horizon is at most 30h" in far.stderr) == (1, True)
    blind = run(home, "plan", "--horizon", "12h", "--offline")
    assert (blind.returncode, "--offline and --base do not know" in blind.stderr) == (1, True)
    run(home, "plan", "--out", "a.plan")
    other = run(home, "apply", "--plan", "a.plan", "--horizon", "12h")
    assert (other.returncode, "--horizon would make it something else" in other.stderr) == (1, True)
