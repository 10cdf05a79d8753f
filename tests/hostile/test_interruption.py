"""Stopped at any moment: nothing new starts, the state is durable within two seconds, the next run goes on.

Real processes and real signals, against a service over a socket whose answers hang.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Outage, Request, Response, Simulator, run_in_thread
from reconciler.state.local import LocalStore
from tests.hostile import canaries
from tests.hostile.bench import mutating
from tests.hostile.conftest import new_service

# Two seconds until the state is durable, and what a loaded machine needs to end a process.
SOON = 4.0
FLEET = """\
fleet: demo
service: {kind: agora}
limits: {hang_ups: 100%, leave: 100%, quota: 500}
channels:
  - channel: "{{ room }}"
    for_each: [a, b, c, d, e, f]
    as: room
    agents:
      - name: desk
        properties:
          remote_rtc_uids: ["*"]
          idle_timeout: 0
          tts: {vendor: microsoft, params: {key: ref+env://CANARY_TTS, region: eastus, voice_name: en-US-AvaNeural}}
          llm:
            url: https://api.openai.com/v1/chat/completions
            api_key: ref+env://CANARY_LLM
            system_messages: [{role: system, content: Be kind.}]
            params: {model: gpt-4o-mini}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in canaries.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AGORA_APP_ID", canaries.APP_ID)
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    return tmp_path


@contextmanager
def started(home: Path, *words: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    command = [*prefix, sys.executable, "-m", "reconciler", *words]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(home: Path) -> None:
    """Once nobody interferes any more: one apply ends it, and nothing is left to do."""
    for words, code in ((("apply", "--auto-approve"), 0), (("plan", "--detailed-exitcode"), 0)):
        answer = subprocess.run(
            [sys.executable, "-m", "reconciler", *words],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert answer.returncode == code, answer.stdout + answer.stderr


def minds_signals(process: subprocess.Popen[str]) -> bool:
    """Whether a process has got so far that it handles SIGTERM itself (Linux tells)."""
    with suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stop(process: subprocess.Popen[str], *numbers: signal.Signals) -> tuple[float, str]:
    begun = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.15)
    out, err = process.communicate(timeout=20)
    said = out + err
    assert "Traceback" not in said, said
    assert list(canaries.hits(said.encode())) == []
    return time.monotonic() - begun, said


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("times", [1, 2])
def test_while_every_join_hangs(home: Path, service: Simulator, number: signal.Signals, times: int) -> None:
    service.set_script([{"on": "join", "count": 0, "fate": "lose_response"}])
    with started(home, "apply", "--auto-approve", "--parallelism", "2") as process:
        until(lambda: mutating(service).get("join", 0) == 2)
        took, said = stop(process, *[number] * times)
    assert process.returncode == CODES[number], said
    assert took < SOON + 0.15 * times
    assert mutating(service) == {"join": 2}
    assert "interrupted" in said
    assert "2 interrupted" in said, said
    assert "4 skipped" in said  # what was not begun is counted, however the run ended
    assert len(LocalStore(home / ".reconciler" / "default.state").read().intents) == 2
    service.set_script([])
    finish(home)
    assert sorted(each.channel for each in service.world.live()) == list("abcdef")


def test_a_change_that_waits_for_the_pace_is_skipped_and_has_not_failed(
    home: Path, service: Simulator
) -> None:
    with started(home, "apply", "--auto-approve", "--parallelism", "1", "--rate", "0.5") as process:
        until(lambda: mutating(service).get("join", 0) >= 1)
        _, said = stop(process, signal.SIGINT)
    assert process.returncode == 130, said
    joined = mutating(service)["join"]
    assert f"Apply interrupted: {joined} joined; {6 - joined} skipped." in said
    assert "join skipped: the run was interrupted" in said
    assert "refuses" not in said
    finish(home)
    assert sorted(each.channel for each in service.world.live()) == list("abcdef")


@pytest.mark.parametrize(
    ("on", "number"), [("list", signal.SIGINT), ("list", signal.SIGTERM), ("query", signal.SIGINT)]
)
def test_while_a_read_hangs(home: Path, service: Simulator, on: str, number: int) -> None:
    service.set_script([{"on": on, "count": 0, "fate": "drop_request"}])
    if on == "query":
        service.set_script([])
        finish(home)
        service.set_script([{"on": "query", "count": 0, "fate": "drop_request"}])
        (home / ".reconciler" / "default.state").unlink()
    before = service.tally().get(on, 0)
    for words in (("plan",), ("apply", "--auto-approve"), ("drift",)):
        with started(home, *words) as process:
            until(lambda: service.tally().get(on, 0) > before)
            took, said = stop(process, number)
        before = service.tally()[on]
        assert process.returncode == CODES[number], said
        assert "interrupted; nothing was done" in said
        assert "error:" not in said
        assert took < SOON


def test_while_it_waits_for_agents_to_run(home: Path, service: Simulator) -> None:
    service.set_switches(start_seconds=600, join_status="STARTING", connecting_timeout_seconds=6000)
    with started(home, "apply", "--auto-approve") as process:
        until(lambda: service.tally().get("list", 0) >= 3)
        took, said = stop(process, signal.SIGTERM)
    assert process.returncode == 143
    assert took < SOON
    assert "6 joined" in said
    assert "error:" not in said
    assert "whether the service" not in said
    assert "Calls in flight were finished or are recorded." in said
    state = LocalStore(home / ".reconciler" / "default.state").read()
    assert (len(state.records), state.intents) == (6, ())


def test_while_it_waits_for_the_lock(home: Path, service: Simulator) -> None:
    (home / ".reconciler").mkdir()
    with (home / ".reconciler" / "default.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("ada@laptop")
        lock.flush()
        for words in (("apply", "--auto-approve"), ("forget", "a/desk")):
            with started(home, *words, "--lock-timeout", "10m") as process:
                until(partial(minds_signals, process))
                time.sleep(0.5)
                assert process.poll() is None
                took, said = stop(process, signal.SIGINT)
            assert process.returncode == 130, said
            assert (words[0] != "apply") or "the state is held by ada@laptop" in said
            assert took < SOON
    assert mutating(service) == {}


def test_while_another_program_is_asked_for_a_secret(
    home: Path, service: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    vals = tools / "vals"
    vals.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 25\n", encoding="utf-8")
    vals.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    path = home / "fleet.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("ref+env://CANARY_LLM", "ref+vault://a/b"), encoding="utf-8"
    )
    with started(home, "apply", "--auto-approve") as process:
        until((tmp_path / "asked").exists)
        took, _ = stop(process, signal.SIGTERM, signal.SIGTERM)
    assert process.returncode == 143
    assert took < SOON
    assert mutating(service) == {}


def test_what_nohup_ignores_is_ignored(home: Path, service: Simulator) -> None:
    service.set_switches(latency_seconds=0.3)
    with started(home, "apply", "--auto-approve", prefix=("nohup",)) as process:
        until(lambda: mutating(service).get("join", 0) >= 1)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(service.world.live()) == 6


def test_at_the_prompt(home: Path, service: Simulator) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("CI", None)
        os.chdir(home)
        os.execv(sys.executable, [sys.executable, "-m", "reconciler", "apply"])
    seen = b""
    while b"is accepted" not in seen:
        assert select.select([terminal], [], [], 20)[0]
        seen += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    begun = time.monotonic()
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130, seen
    assert time.monotonic() - begun < SOON
    assert b"Traceback" not in seen
    assert b"interrupted; nothing was done" in seen
    assert mutating(service) == {}
    assert not (home / ".reconciler").exists()


def at_a_terminal(home: Path, *words: str) -> tuple[int, int]:
    """A command whose every stream is a terminal: its process and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("CI", None)
        os.environ["TERM"] = "xterm"
        os.chdir(home)
        os.execv(sys.executable, [sys.executable, "-m", "reconciler", *words])
    return pid, terminal


def seen_until(terminal: int, text: bytes, seconds: float) -> bytes:
    """What the terminal shows until a text stands there."""
    seen = b""
    deadline = time.monotonic() + seconds
    while text not in seen:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], seen
        seen += os.read(terminal, 65536)
    return seen


def rest_of(terminal: int, pid: int) -> tuple[int, bytes]:
    """How the command ended, and what it showed besides."""
    seen = b""
    with suppress(OSError):
        while chunk := os.read(terminal, 65536):
            seen += chunk
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), seen


def test_control_c_while_progress_is_drawn_shows_no_codes(home: Path, service: Simulator) -> None:
    pid, terminal = at_a_terminal(home, "apply", "--auto-approve", "--parallelism", "1", "--rate", "0.5")
    seen = seen_until(terminal, b": joined", 20)
    os.write(terminal, b"\x03")
    code, rest = rest_of(terminal, pid)
    assert code == 130, rest
    assert re.findall(rb"(?<!\x1b)\[[0-9]*[A-Z]", seen + rest) == []
    assert b"after 0s" not in seen + rest


@pytest.mark.parametrize(
    "words", [("plan",), ("apply", "--auto-approve"), ("status", "--log-format", "json")]
)
def test_control_c_is_acknowledged_at_once_on_a_line_of_its_own(
    home: Path, service: Simulator, words: tuple[str, ...]
) -> None:
    service.set_script([{"on": "list", "count": 0, "fate": "drop_request"}])
    pid, terminal = at_a_terminal(home, *words)
    until(lambda: service.tally().get("list", 0) > 0)
    os.write(terminal, b"\x03")
    seen = seen_until(terminal, b"once more ends at once", 0.8)  # long before the calls are given up
    lines = seen.replace(b"\r\x1b[K", b"\n").replace(b"\r", b"").splitlines()
    line = next(each for each in lines if b"once more ends at once" in each)
    assert line.startswith((b"stopping: ", b"{"))
    code, rest = rest_of(terminal, pid)
    assert code == 130
    assert b"interrupted; nothing was done" in seen + rest
    assert list(canaries.hits(seen + rest)) == []


def test_the_pages_of_a_long_listing_are_counted_after_a_second_of_silence(
    home: Path, service: Simulator
) -> None:
    finish(home)
    service.set_switches(list_limit_max=1, latency_seconds=0.3)
    code, seen = rest_of(*reversed(at_a_terminal(home, "plan")))
    assert code == 0
    counted = re.findall(rb"\r\x1b\[Kreading (\d) of 6 pages", seen)
    assert counted[-1] == b"6"
    assert int(counted[0]) > 3
    assert re.search(rb"pages\r\x1b\[K[^r]*No changes", seen), "the line has gone when the result comes"
    for words in (("plan", "-q"), ("plan", "--log-format", "text")):
        assert b"pages" not in rest_of(*reversed(at_a_terminal(home, *words)))[1]
    pid, terminal = at_a_terminal(home, "plan")
    seen = seen_until(terminal, b"reading ", 20)
    os.write(terminal, b"\x03")
    code, rest = rest_of(terminal, pid)
    assert code == 130
    assert b"\r\x1b[Kstopping: " in rest


class Huge(Simulator):
    """A service that answers with seven megabytes of half a key, once it is told to whom."""

    to = ""

    def handle(self, request: Request, **rest: Any) -> Response | Outage:
        if not self.to or self.to not in f"{request.method} {request.path}":
            return super().handle(request, **rest)
        half = canaries.ENVIRONMENT["CANARY_LLM"][:12] + " "
        body = json.dumps({"detail": half * (7_000_000 // len(half)), "reason": "InvalidRequest"})
        return Response(400, (("content-type", "application/json"),), body.encode())


@pytest.mark.parametrize("to", ["GET ", "/join"])
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3])
def test_while_a_huge_answer_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, to: str, seconds: float
) -> None:
    service = new_service(Huge)
    assert isinstance(service, Huge)
    service.to = to
    with run_in_thread(service) as url:
        monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", url)
        with started(home, "apply", "--auto-approve") as process:
            until(partial(minds_signals, process))
            time.sleep(seconds)
            took, said = stop(process, signal.SIGTERM)
        assert process.returncode == 143 or (process.returncode in (1, 6) and seconds), said
        assert took < SOON
        service.to = ""
        finish(home)
    assert len(service.world.live()) == 6
