"""A fleet through its rotation on a simulator whose clock runs fast: `examples/rehearsal`, and the clock behind it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.driver.rehearsal import fast_clock
from reconciler.providers.agora.connectors import AGORA

from .harness import SERVICE, VENDORS, Command, control, copied, environment

SPEED = 3600
# A slow machine makes few rounds: each of these is due for hours, which are seconds.
DAY = "lifecycle: {rotate_after: 14h, rotate_spread: 1h, token_ttl: 12h}"


@contextmanager
def served(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "reconciler", "simulator", *options]
    with subprocess.Popen(command, env=environment(**SERVICE), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.terminate()


def test_renewals_and_rotations_fall_due_in_seconds(tmp_path: Path) -> None:
    home = copied("rehearsal", tmp_path)
    fleet = (home / "fleet.yaml").read_text(encoding="utf-8")
    (home / "fleet.yaml").write_text(re.sub(r"lifecycle: \{.*\}", DAY, fleet), encoding="utf-8")
    done = subprocess.run(
        [home / "rehearse.sh"],
        cwd=home,
        env=environment(HOURS="56"),  # a busy machine makes a round in eight hours, which are eight seconds
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [line for line in done.stdout.splitlines() if line.startswith("hour ")]
    assert rounds[0] == "hour 0: 2 joined.", done.stdout
    assert sum(int(each) for line in rounds for each in re.findall(r"(\d+) renewed", line)) >= 2, rounds
    assert sum(int(each) for line in rounds for each in re.findall(r"(\d+) rotated", line)) >= 2, rounds
    assert done.stdout.count(" RUNNING ") == 2, done.stdout


def test_the_clock_is_the_simulators_and_runs_as_fast() -> None:
    with served("--speed", str(SPEED)) as url:
        clock = fast_clock(url.removeprefix("http://"))
        assert clock is not None
        for _ in range(3):
            time.sleep(0.3)
            ahead = clock() - float(control(url, "clock")["now"])
            assert -0.5 * SPEED < ahead <= 0  # behind by the way of a request
    with served() as url:
        assert fast_clock(url.removeprefix("http://")) is None


def test_what_is_no_fast_simulator_changes_no_clock() -> None:
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [sys.executable, "-u", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        [port] = re.findall(r"port (\d+)", process.stdout.readline())
        assert fast_clock(f"127.0.0.1:{port}") is None
        process.terminate()
    assert fast_clock("127.0.0.1:1") is None
    # Only an address of this machine is asked.
    assert not AGORA.is_of_this_machine({"AGORA_AGENTS_API_BASE_URL": "https://api.agora.io"})
    assert not AGORA.is_of_this_machine({})


def test_a_rehearsal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reconciler: Command) -> None:
    monkeypatch.chdir(copied("rehearsal", tmp_path))
    for name, value in {**SERVICE, **VENDORS}.items():
        monkeypatch.setenv(name, value)
    for options, is_said in ((("--speed", str(SPEED)), True), ((), False)):
        with served(*options) as url:
            monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", url)
            done = reconciler("plan", "-e", "prod")
            assert done.code == 0, done.err
            assert ("a rehearsal: the time is the simulator's" in done.err) == is_said
            assert "clock is" not in done.err
