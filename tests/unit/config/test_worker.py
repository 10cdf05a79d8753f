"""The child in which templates run: whatever it does, it can be ended, and nothing that it sends runs anything."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.config import LoadLimits, load
from reconciler.config.templates.progress import TooLong
from reconciler.config.templates.worker import MIB, Ended, Worker, WorkerLimits
from reconciler.errors import InvalidConfig

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

TIGHT = WorkerLimits(
    silence_seconds=0.4,
    seconds=1.5,
    seconds_an_item=0.001,
    memory_bytes=128 * MIB,
    output_bytes=MIB,
    output_bytes_an_item=1024,
)


@dataclass(frozen=True)
class Part:
    """A class that a worker may send."""

    text: str


@dataclass(frozen=True)
class Other:
    """A class that it may not."""

    text: str


def worker(limits: WorkerLimits | None = None) -> Worker:
    return Worker(limits or WorkerLimits(), (Part,))


def busy(seconds: float) -> None:
    """Python that takes this long; a signal's handler runs between its steps."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def answer(work: Callable[[], Any]) -> Any:
    """What a function gives in a worker."""
    [value] = worker().run(lambda: iter([work()]))
    return value


def ended(work: Callable[[Worker], Iterator[Any]], limits: WorkerLimits = TIGHT) -> Ended:
    made = worker(limits)
    with pytest.raises(Ended) as caught:
        list(made.run(lambda: work(made)))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # nobody is left behind
    return caught.value


def test_plain_data_and_parts_come_back_as_they_were() -> None:
    sent = [["a", 1, 2.5, None, True, {"k": [1]}, frozenset({"x"})], [Part("é")], []]
    assert list(worker().run(lambda: iter(sent))) == sent


def test_what_is_shared_in_a_batch_is_sent_once() -> None:
    text = "a prompt " * 1000
    [batch] = worker().run(lambda: iter([[{"text": text} for _ in range(500)]]))
    assert len({id(each["text"]) for each in batch}) == 1


@pytest.mark.parametrize("wait", ["busy", "blocked"])
def test_silence_ends_it(wait: str) -> None:
    def work(made: Worker) -> Iterator[int]:
        made.progress.at(7)
        busy(60) if wait == "busy" else time.sleep(60)
        yield 1

    # A child that uses no CPU time has five times as long.
    found = ended(work, TIGHT if wait == "busy" else replace(TIGHT, seconds=30.0))
    assert (found.problem.rule, found.number) == ("template-time", 7)
    assert "no progress" in found.problem.summary


def test_progress_without_result_ends_it_too() -> None:
    def work(made: Worker) -> Iterator[int]:
        while True:
            made.progress.at(3)
            time.sleep(0.01)
        yield 1

    assert ended(work).problem.rule == "template-time"


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system does not tell a child's CPU time"
)
def test_a_child_that_a_busy_machine_does_not_let_run_is_not_ended() -> None:
    """It stops itself; a process that the test started lets it go on only after twice the time of silence."""

    def work(made: Worker) -> Iterator[int]:
        made.progress.at(0)
        starved = os.getpid()
        waker = f"import os, signal, time; time.sleep(0.8); os.kill({starved}, signal.SIGCONT)"
        with subprocess.Popen([sys.executable, "-c", waker]):
            os.kill(starved, signal.SIGSTOP)
        yield 1

    made = worker(replace(TIGHT, seconds=30.0, memory_bytes=512 * MIB))
    assert list(made.run(lambda: work(made))) == [1]


IMPATIENT = WorkerLimits(template_seconds=0.2, silence_seconds=30.0, seconds=60.0)


def test_a_template_that_takes_too_long_is_interrupted_and_the_work_goes_on() -> None:
    def work(made: Worker) -> Iterator[str]:
        for number in range(2):
            made.progress.at(number)
            try:
                with made.progress.template():
                    busy(60)
            except TooLong:
                yield f"interrupted {number}"
        with made.progress.template():
            yield "the next one has its own time"

    made = worker(IMPATIENT)
    assert list(made.run(lambda: work(made))) == [
        "interrupted 0",
        "interrupted 1",
        "the next one has its own time",
    ]


def test_only_templates_are_interrupted() -> None:
    def work(made: Worker) -> Iterator[str]:
        finished = False
        with made.progress.template():
            # A template that has had its time may be interrupted as soon as our code returns to it, and not before.
            with suppress(TooLong), made.progress.uninterrupted():
                busy(1.0)
                finished = True
            made.progress.at(1)
            busy(1.0)
        yield "done" if finished else "interrupted"

    made = worker(IMPATIENT)
    assert list(made.run(lambda: work(made))) == ["done"]


def test_a_file_that_is_read_is_granted_its_time() -> None:
    def work(made: Worker) -> Iterator[int]:
        made.progress.reads(16 * MIB)
        time.sleep(1.0)
        yield 1

    made = worker(TIGHT)
    assert list(made.run(lambda: work(made))) == [1]


def test_a_file_that_is_read_before_anybody_looks_is_granted_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fork = os.fork

    def slowly() -> int:
        child = fork()
        if child:
            time.sleep(0.3)
        return child

    def work(made: Worker) -> Iterator[int]:
        made.progress.reads(16 * MIB)
        time.sleep(1.5)
        yield 1

    monkeypatch.setattr(os, "fork", slowly)
    made = worker(TIGHT)
    assert list(made.run(lambda: work(made))) == [1]


def test_a_slow_reader_is_nobody_s_fault() -> None:
    made = worker(WorkerLimits(silence_seconds=2.0, seconds=2.0, seconds_an_item=0.0))
    got = []
    for each in made.run(lambda: iter(range(5))):
        time.sleep(0.6)
        got.append(each)
    assert got == [0, 1, 2, 3, 4]


def test_memory_is_bounded() -> None:
    def work(made: Worker) -> Iterator[int]:
        held = [bytes([each % 256]) * MIB for each in range(2000)]
        yield len(held)

    # On a busy machine 128 MiB may take longer than the time that the other tests allow.
    found = ended(work, replace(TIGHT, seconds=20.0, silence_seconds=20.0))
    assert found.problem.rule == "template-size"
    assert "128 MiB" in found.problem.summary


def test_output_is_bounded() -> None:
    def work(made: Worker) -> Iterator[str]:
        for _ in range(100):
            yield "x" * 100_000

    assert ended(work).problem.rule == "template-size"


def test_a_crash_of_the_interpreter_is_a_problem_and_not_ours() -> None:
    def work(made: Worker) -> Iterator[int]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield 1

    found = ended(work)
    assert found.problem.rule == "template-failed"
    assert "SIGSEGV" in found.problem.summary


def test_the_system_that_kills_it_for_its_memory_is_told_so() -> None:
    def work(made: Worker) -> Iterator[int]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield 1

    assert ended(work).problem.rule == "template-size"


def test_a_bug_of_ours_in_it_is_raised_with_its_traceback() -> None:
    def work() -> Iterator[int]:
        raise ZeroDivisionError("here")
        yield 1

    with pytest.raises(RuntimeError, match="ZeroDivisionError: here"):
        list(worker().run(work))


def test_whoever_stops_reading_leaves_nobody_behind() -> None:
    parts = worker().run(lambda: iter(range(1_000_000)))
    assert next(parts) == 0
    parts.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


class _Runs:
    def __reduce__(self) -> Any:
        return (os.system, ("true",))


@pytest.mark.parametrize("value", [_Runs(), Other("x"), os.getcwd, Path, sys.exit])
def test_nothing_that_it_sends_runs_anything(value: object) -> None:
    with pytest.raises(Exception, match="is not what a template gives"):
        list(worker().run(lambda: iter([value])))


def test_it_has_no_environment_no_files_and_starts_nothing(tmp_path: Path) -> None:
    def reached() -> dict[str, Any]:
        found: dict[str, Any] = {"environment": dict(os.environ), "open": []}
        for number in range(3, 64):
            try:
                os.fstat(number)
            except OSError:
                continue
            found["open"].append(number)
        try:
            (tmp_path / "written").write_text("x")
        except OSError as error:
            found["write"] = type(error).__name__
        if os.getuid():  # root is bound by no limit on processes
            try:
                subprocess.run(["true"], check=False)
            except OSError as error:
                found["process"] = type(error).__name__
        return found

    with socket.socket(), (tmp_path / "held").open("w"):
        found = answer(reached)
    assert found["environment"] == {}
    assert len(found["open"]) == 1  # its pipe
    assert found["write"] == "OSError"
    assert not (tmp_path / "written").exists() or not (tmp_path / "written").read_text()
    assert found.get("process", "BlockingIOError") == "BlockingIOError"


# --- bombs, through the door that everybody uses ---------------------------------------------------------------------

NESTED = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}{% endfor %}{% endfor %}"
BOMBS = {
    "a number": "{{ 10**10**8 }}",
    "a product of texts": "{{ 'x' * 10**9 }}",
    "a range": "{{ range(10**9) | list }}",
    "nested repetition": NESTED,
    "texts of texts": "{% set a = 'x' * 1000000 %}{{ (range(10000) | map('string') | map('replace', '0', a)) | list | length }}",
    "lists of lists": "{{ (range(10000) | list) * 10000 }}",
    "a macro that calls itself": "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "sums": "{{ (range(10000) | sum) * (range(10000) | sum) * (range(10000) | sum) * 10**30 * 10**30 * 10**30 }}",
    "padding": "{{ 'x' | indent(10**9) }}",
    "joined": "{{ range(10000) | join('x' * 100000) }}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("place", ["a value", "a variable", "a whole file", "an include"])
def test_a_bomb_is_ended_and_its_place_is_told(tmp_path: Path, bomb: str, place: str) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "prompt.md").write_text(bomb)
    quoted = bomb.replace('"', "'")
    value = {"a value": quoted, "an include": "{% include 'prompt.md' %}"}.get(place, "{{ v }}")
    variable = quoted if place == "a variable" else "x"
    (tmp_path / "fleet.yaml").write_text(
        f'fleet: bombs\nvariables:\n  v: "{variable}"\nchannels:\n  - channel: lobby\n    agents:\n'
        f'      - name: one\n        properties: {{llm: {{greeting_message: "{value}"}}}}\n'
    )
    if place == "a whole file":
        (tmp_path / "agents" / "bomb.yaml.j2").write_text(bomb)
    started = time.monotonic()
    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path)
    errors = [each for each in caught.value.diagnostics if each.rule.startswith("template-")]
    assert errors, caught.value.diagnostics
    assert all(each.where is not None for each in errors)
    assert time.monotonic() - started < 30  # no measurement: it must end


def test_many_slow_templates_add_up(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "fleet: slow\nchannels:\n  - channel: 'c{{ item }}'\n    for_each: '{{ range(5000) }}'\n    agents:\n"
        "      - name: one\n        variables:\n"
        "          x: '{% for a in range(300) %}{% for b in range(300) %}{% endfor %}{% endfor %}'\n"
        "        properties: {llm: {greeting_message: '{{ x }}'}}\n"
    )
    limits = LoadLimits(rendering=WorkerLimits(seconds=0.5, seconds_an_item=0.0001))
    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path, limits=limits)
    [problem] = [each for each in caught.value.diagnostics if each.rule == "template-time"]
    assert str(problem.where) == "fleet.yaml:6:9"
