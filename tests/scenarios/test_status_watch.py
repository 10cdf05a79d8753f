"""`status --watch` at a terminal: one frame in the place of the other, as wide and as high as the terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.cli.output import _in_place
from tests.fakes.fleets import TWO_AGENTS

PATIENCE = 60.0


def test_frames_are_drawn_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleet.yaml").write_text(f"fleet: desk\n{TWO_AGENTS}", encoding="utf-8")
    monkeypatch.setenv("TTS_KEY", "a-key-of-tts")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-openai")
    assert run(["apply", str(tmp_path), "--auto-approve", "-q"]) == 0
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "reconciler", "status", str(tmp_path), "--watch", "--interval", "1s"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "70", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        deadline = time.monotonic() + PATIENCE
        while seen.count(b"\x1b[H") < 3 and time.monotonic() < deadline:
            if select.select([ours], [], [], 1.0)[0]:
                seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        os.close(ours)
    frames = seen.decode().split("\x1b[H")[1:]
    assert len(frames) >= 3
    for frame in frames[:2]:
        assert frame.count("lobby/desk") == frame.count("lobby/door") == 1
        assert "\x1b[2J" not in frame, "nothing is wiped while it is looked at"
        assert frame.rstrip().endswith("\x1b[J")
        assert all(len(line) <= 70 for line in re.sub(r"\x1b\[[KJ]", "", frame).splitlines())


def test_a_frame_is_as_high_as_the_terminal() -> None:
    lines = [f"line {number}" for number in range(100)]
    drawn = re.sub(r"\x1b\[[HJK]", "", _in_place(lines, 24)).splitlines()
    assert len(drawn) == 23
    assert drawn[:2] == ["line 0", "… 78 more lines"]
    assert drawn[-1] == "line 99"
    assert drawn[2] == "line 79"
    assert len(_in_place(lines[:5], 24).splitlines()) == 6
