"""Applying over real sockets: against the bare HTTP client, at several parallelisms, and against latency."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import httpx

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import in_child, in_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.server import running

PARALLELISMS = (10, 50, 100)
_LATENCY = 0.05


def throughput_rows(scale: Scale) -> Iterator[Figure]:
    """Joins a second until the last one is recorded; the floor only posts the same bodies."""
    directory = scale.for_each(agents := min(scale.agents, 2000))
    rates: dict[int, float] = {}
    with running() as port:

        def seconds(task: str, parallelism: int) -> float:
            _call(port, "reset")
            return float(in_child(task, directory, port, parallelism)["changes"])

        for parallelism in PARALLELISMS:
            pair = in_turns(
                lambda: seconds("apply", parallelism),
                lambda: seconds("post-by-hand", parallelism),
                scale.turns,
            )
            rates[parallelism] = agents / pair.work
            rate = 1 / pair.ratio
            yield Figure(
                "apply",
                f"{rates[parallelism]:,.0f} a second",
                f"{agents / pair.floor:,.0f} a second",
                rate,
                rate >= 0.85,
                f"{agents:,} joins, parallelism {parallelism}",
            )
    share = min(rates.values()) / max(rates.values())
    text = f"{min(rates.values()):,.0f} a second"
    yield Figure("even", text, f"{max(rates.values()):,.0f} a second", share, share >= 0.8)


def latency_row(scale: Scale) -> Iterator[Figure]:
    """The whole apply after its plan, with the waiting for what it started; every call of it counts."""
    directory = scale.for_each(min(scale.agents, 1000))
    whole: list[float] = []
    changes: list[float] = []
    with running(_LATENCY) as port:
        for _ in range(max(1, scale.turns // 2)):
            _call(port, "reset")
            told = in_child("apply", directory, port, 50)
            whole.append(told["whole"])
            changes.append(told["changes"])
            calls = int(_call(port, "calls").json()["calls"])
    floor = calls * _LATENCY / 50
    ratio = median(whole) / floor
    case = f"{calls:,} calls; {median(changes):.2f} s until the last change"
    yield Figure("latency", f"{median(whole):.2f} s", f"{floor:.2f} s", ratio, ratio <= 1.3, case)


def _call(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/{path}", trust_env=False)
