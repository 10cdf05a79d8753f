"""The command line in this process, on a small fleet that runs: for what is to be tried end to end."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.cli import main, output
from reconciler.simulator import Simulator, Store
from tests.hostile.bench import EXIT_CODES, Answer
from tests.hostile.test_plan_files import FILES

WORLD = Path(".reconciler") / "default.world"


class Desk:
    """A directory in which commands run. Every input finds it as the first one did."""

    def __init__(self, home: Path) -> None:
        self._template, self.place = home / "template", home / "desk"
        demo = self._template / "demo"
        (demo / ".reconciler").mkdir(parents=True)
        (demo / "fleet.yaml").write_text(FILES, encoding="utf-8")
        Simulator(Store(demo / WORLD)).set_switches(start_seconds=0, stop_seconds=0, quota=500)
        with _inside(self._template):
            self.run(["apply", "demo", "--auto-approve", "--target", "lobby/desk"], code=0)
            self.run(["plan", "demo", "--replace", "lobby/desk", "--out", "saved.plan"], code=0)
        self.plan = (self._template / "saved.plan").read_bytes()

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Everything as it was, and the working directory of what runs inside."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(Path(os.environ["XDG_STATE_HOME"]), ignore_errors=True)
        shutil.copytree(self._template, self.place)
        with _inside(self.place):
            yield

    def run(self, words: Sequence[str], *, code: int | None = None) -> Answer:
        """Run one command; it ends as commands may end."""
        answer = _captured(words)
        assert answer.code in EXIT_CODES, answer
        assert code is None or answer.code == code, answer
        assert "Traceback (most recent call last)" not in answer.said or "--debug" in words, answer.said[
            -600:
        ]
        assert "[internal]" not in answer.err, _traceback(words)
        return answer


def _captured(words: Sequence[str]) -> Answer:
    streams = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), out, err
    output.Output()  # a process runs one command: how the one before printed is forgotten
    try:
        code = main.run(list(words))
        output.finish()
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    return Answer(code, *said)


def _traceback(words: Sequence[str]) -> str:
    """What the same command says with --debug, if it takes that."""
    with suppress(Exception):
        return _captured([*words, "--debug"]).err[-1_500:]
    return ""


@contextmanager
def _inside(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)
