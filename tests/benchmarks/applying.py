"""Applying over real sockets, as a command with its default settings: against the vendor's SDK, a bare client and limits.

The wall of an apply counts until its last change: afterwards it watches for five seconds that what it started lives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from reconciler import config
from reconciler.model.spec import AgentSpec
from tests.benchmarks import by_hand
from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import ROOT, environment, in_child, in_turns, ours
from tests.benchmarks.scale import Scale
from tests.benchmarks.server import running

_LATENCY = 0.05
_PARALLELISM = 10
_PROOF = 5.0
_APP_ID = "0123456789abcdef0123456789abcdef"
_SECRETS = {"OPENAI_API_KEY": "sk-abcdefghijklmnopqrstuv", "AZURE_TTS_KEY": "abcdef0123456789abcdef"}
_CREDENTIALS = {
    "AGORA_APP_ID": _APP_ID,
    "AGORA_APP_CERTIFICATE": "fedcba9876543210fedcba9876543210",
    "AGORA_CUSTOMER_ID": "customer",
    "AGORA_CUSTOMER_SECRET": "customer-secret",
}
_ALLOWED = ("--allow", "join=200000", "--allow", "usd_per_day=99999999")


@dataclass(frozen=True, slots=True)
class _Applied:
    """One apply: seconds until its last change and in all, CPU seconds in all and of its changes alone."""

    until_changed: float
    whole: float
    cpu: float
    changing_cpu: float


def sdk_rows(scale: Scale) -> Iterator[Figure]:
    """Whole processes: both import, authenticate and mint a token for each agent; the SDK plans and records nothing."""
    for agents in sorted({min(200, scale.agents), min(1000, scale.agents)}):
        directory = _fleet(scale, agents)
        bodies = scale.directory / f"bodies-{agents}.json"
        bodies.write_text(json.dumps([by_hand.whole_body(each, _SECRETS) for each in _specs(directory)]))
        walls: list[tuple[float, float]] = []

        def apply() -> float:
            with _simulator() as url:
                done = _apply(directory, url)
            walls.append((done.until_changed, 0.0))
            return done.cpu

        def join() -> float:
            with _simulator() as url:
                wall, cpu = _timed([sys.executable, "-m", "tests.benchmarks.sdk", str(bodies)], url)
            walls[-1] = (walls[-1][0], wall)
            return cpu

        pair = in_turns(apply, join, scale.turns)
        mine, theirs = (median(each[place] for each in walls) for place in (0, 1))
        wall = median(a / b for a, b in walls)
        case = f"{agents:,} joins"
        yield Figure("sdk", f"{mine:.2f} s", f"{theirs:.2f} s", wall, wall <= 0.6, f"{case}, by the clock")
        yield Figure(
            "sdk", f"{pair.work:.2f} s", f"{pair.floor:.2f} s", pair.ratio, pair.ratio <= 0.6, f"{case}, CPU"
        )


def pace_rows(scale: Scale) -> Iterator[Figure]:
    """Against services that refuse what comes faster than they allow, by a bucket of one second."""
    directory = _fleet(scale, agents := min(scale.agents, 1000))
    with running(rate=500) as port:
        seconds = median(_apply_at(directory, port).until_changed for _ in range(max(1, scale.turns // 2)))
    yield Figure("pace", f"{seconds:.1f} s", "–", None, seconds <= 5, f"{agents:,} joins, 500 calls a second")
    with running(rate=20) as port:
        _apply_at(directory, port)
        told = _counts(port)
    share = told["refused"] / told["calls"]
    case = f"{agents:,} joins, 20 calls a second"
    yield Figure("refused", f"{told['refused']} of {told['calls']:,}", "–", share, share <= 0.02, case)


def client_rows(scale: Scale) -> Iterator[Figure]:
    """CPU time of the changes alone, all threads: from the plan until the last change is done."""
    directory = _fleet(scale, agents := min(scale.agents, 2000))
    with running() as port:
        for parallelism in (_PARALLELISM, 100):

            def apply() -> float:
                flags = ("--parallelism", str(parallelism), "--rate", "2000")
                return _apply_at(directory, port, *flags).changing_cpu / agents

            def post() -> float:
                return float(in_child("post-by-hand", directory, port, parallelism)["cpu"]) / agents

            pair = in_turns(apply, post, scale.turns)
            yield Figure(
                "client",
                f"{pair.work * 1000:.2f} ms",
                f"{pair.floor * 1000:.2f} ms",
                pair.ratio,
                pair.ratio <= 1.0,
                f"{agents:,} joins, parallelism {parallelism}",
            )


def latency_row(scale: Scale) -> Iterator[Figure]:
    """The whole apply after its plan, but for the five seconds in which nothing is called."""
    directory = _fleet(scale, agents := min(scale.agents, 1000))
    whole: list[float] = []
    with running(_LATENCY) as port:
        for _ in range(max(1, scale.turns // 2)):
            done = _apply_at(directory, port)
            whole.append(done.whole - _PROOF)
            lists = _counts(port)["calls"] - agents - 1  # the one list of the plan
    floor = agents / _PARALLELISM * _LATENCY + lists * _LATENCY
    ratio = median(whole) / floor
    case = f"{agents:,} changes, and {lists} pages of the list afterwards"
    yield Figure("latency", f"{median(whole):.2f} s", f"{floor:.2f} s", ratio, ratio <= 1.3, case)


# --- processes


def _fleet(scale: Scale, agents: int) -> Path:
    """A fleet of the real service's kind, which is where the environment says."""
    directory = scale.directory / f"joining-{agents}"
    if not directory.exists():
        shutil.copytree(scale.for_each(agents), directory)
        fleet = directory / "fleet.yaml"
        fleet.write_text(fleet.read_text() + "service: {kind: agora}\n")
    return directory


def _apply_at(directory: Path, port: int, *flags: str) -> _Applied:
    """One apply from an empty state at a port of `server`, which forgets what it had."""
    _call(port, "reset")
    return _apply(directory, f"http://127.0.0.1:{port}", *flags)


def _apply(directory: Path, url: str, *flags: str) -> _Applied:
    """One apply, from an empty state and with no pace that is remembered."""
    shutil.rmtree(directory / ".reconciler", ignore_errors=True)
    marks = directory.with_suffix(".marks")
    command = [sys.executable, "-m", "tests.benchmarks.applied", str(marks), str(directory), *_ALLOWED]
    began = time.time()
    _, cpu = _timed([*command, *flags], url)
    ended = time.time()
    told = json.loads(marks.read_text())
    (planned, cpu_planned), (changed, cpu_changed) = told["Planned"], told["Finished"]
    return _Applied(changed - began, ended - planned, cpu, cpu_changed - cpu_planned)


def _timed(command: list[str], url: str) -> tuple[float, float]:
    """The time of a process that must succeed, and its CPU time."""
    variables = {**environment(), **_CREDENTIALS, **_SECRETS, "AGORA_AGENTS_API_BASE_URL": url}
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=variables)
    after, ended = os.times(), time.perf_counter()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return ended - began, cpu


@contextmanager
def _simulator() -> Iterator[str]:
    """The address of a `reconciler simulator` with nothing in it, for as long as the block."""
    command = [ours(), "simulator", "--switch", "quota=200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def _specs(directory: Path) -> list[AgentSpec]:
    return list(config.load(directory).agents.values())


def _counts(port: int) -> dict[str, int]:
    told: dict[str, int] = _call(port, "calls").json()
    return told


def _call(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/{path}", trust_env=False)
