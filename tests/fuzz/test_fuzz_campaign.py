"""A slice of the campaign for every test run, and whether it notices what it is there to notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from reconciler.errors import UsageError

from . import campaign
from .campaign import Piece
from .target import ROOT, Outcome, reason

# How the inputs of every target look, in one line each.
INPUTS = """
import hashlib, tempfile
from pathlib import Path
from tests.fuzz.campaign import TARGETS, clean_home
from tests.fuzz.target import chance_of

with tempfile.TemporaryDirectory() as folder, clean_home(Path(folder) / "home"):
    for name, kind in TARGETS.items():
        target = kind(Path(folder) / name)
        made = repr([target.make(chance_of(name, number)) for number in range(30)])
        print(name, hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest())
"""


def test_a_slice() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "pr", "--share", "0.015", "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_number_is_one_input_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", INPUTS],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(told) == 1
    assert told.pop().count(b"\n") == len(campaign.TARGETS)


class Awkward:
    """A target that goes wrong in every way; its inputs are their numbers."""

    share = 10

    def __init__(self, home: Path) -> None:
        pass

    def make(self, chance: int) -> int:
        return chance

    def check(self, made: int) -> Outcome:
        match made:
            case 2:
                raise KeyError("a bug")
            case 3:
                os.kill(os.getpid(), signal.SIGKILL)
            case 5:
                time.sleep(60)
            case 6:
                # As much as is allowed, and the process has more than this: over the limit, whatever it had before.
                return Outcome((str(len(bytearray(int(campaign.MOST_MEMORY) * 1024**2))),))
            case 7:
                warnings.warn("for people who program", SyntaxWarning, stacklevel=1)
            case 8:
                return Outcome((reason(UsageError('no "x" here, line 7')),), deep=False)
            case _:
                pass
        return Outcome()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_whatever_goes_wrong_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "TARGETS", {"awkward": Awkward})
    monkeypatch.setattr(campaign, "chance_of", lambda name, number: number)
    monkeypatch.setattr(campaign, "MOST_MEMORY", campaign.peak_memory() + 50)
    monkeypatch.setattr(campaign, "PATIENCE", 0.5)
    told: list[str] = []
    total = campaign.run([Piece("awkward", range(10))], workers=2, say=told.append)
    assert total.inputs["awkward"] == 10
    assert total.accepted["awkward"] == 5  # 0, 1, 4, 7 and 9
    assert total.reasons["awkward"]["usage: no … here, line …"] == 1
    assert {each.number: each.problem.split(" ")[0] for each in total.failures.values()} == {
        2: "KeyError:",
        3: "its",
        5: "no",
        6: "takes",
        7: "SyntaxWarning:",
    }
    assert any("replay: python -m tests.fuzz one awkward 3" in each for each in told)
    assert "| awkward | 10 | 50% |" in campaign.report(total, 1.0)
