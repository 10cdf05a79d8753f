"""The plan beside many foreign agents of the App ID, as a command: the first one, a later one, and one without them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.benchmarks import by_hand
from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import ROOT, clock_seconds, in_turns, ours
from tests.benchmarks.scale import Scale
from tests.benchmarks.server import running

_APP_ID = "0123456789abcdef0123456789abcdef"
_MOST_SECONDS = 30
# Agents live for 72 hours at most; these were started evenly over as long.
_HOURS = 70


def stranger_rows(scale: Scale) -> Iterator[Figure]:
    """A fleet of ten; the pace, the cache and all else as users have them."""
    directory = scale.directory / "beside-strangers"
    if not directory.exists():
        shutil.copytree(scale.for_each(10), directory)
        fleet = directory / "fleet.yaml"
        fleet.write_text(fleet.read_text() + "service: {kind: agora}\n")
    with running(hours=_HOURS) as alone, running(hours=_HOURS) as crowded:
        url = f"http://127.0.0.1:{crowded}/v2/projects/{_APP_ID}/join"
        asyncio.run(by_hand.post(url, [b"{}"] * scale.agents, 10))
        first = _plan(directory, crowded)
        calls = _calls(crowded)
        pair = in_turns(lambda: _plan(directory, crowded), lambda: _plan(directory, alone), scale.turns)
        later = (_calls(crowded) - calls) // scale.turns
    case = f"{scale.agents:,} foreign agents"
    yield Figure("strangers", f"{first:.1f} s", "–", None, first <= _MOST_SECONDS, f"the first time, {case}")
    yield Figure(
        "strangers",
        f"{pair.work:.2f} s",
        f"{pair.floor:.2f} s",
        pair.ratio,
        pair.ratio <= 1.2,
        f"afterwards, {case}, {later} calls",
    )


def _calls(port: int) -> int:
    calls = httpx.get(f"http://127.0.0.1:{port}/calls", trust_env=False).json()["calls"]
    assert isinstance(calls, int)
    return calls


def _plan(directory: Path, port: int) -> float:
    """The seconds of one plan against the service at a port."""
    environment = {
        **os.environ,
        "AGORA_APP_ID": _APP_ID,
        "AGORA_CUSTOMER_ID": "customer",
        "AGORA_CUSTOMER_SECRET": "customer-secret",
        "AGORA_AGENTS_API_BASE_URL": f"http://127.0.0.1:{port}",
    }
    return clock_seconds(
        lambda: subprocess.run(
            [ours(), "plan", str(directory)], check=True, capture_output=True, cwd=ROOT, env=environment
        )
    )
