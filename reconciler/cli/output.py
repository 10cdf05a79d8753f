"""The two streams: results to stdout, everything else to stderr; colours and prompts only where a person sits.

Every byte that a command prints is written here, with the secrets that this process knows masked. When writing
fails, because nobody reads any more or a disk is full, the run goes on and ends in order.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from reconciler.diagnostics import Problem
from reconciler.errors import ExitCode, InvalidConfig, ReconcilerError
from reconciler.report.formats import Format, ReadSource, RenderOptions, ReportKind
from reconciler.secrets.masker import SecretMasker

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Output:
    """How one run prints. `quiet` leaves only results and errors."""

    no_color: bool = False
    quiet: bool = False
    verbose: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        global _current  # noqa: PLW0603  a process runs one command, and its errors end up here
        _current = self

    def colour(self, *, err: bool = False) -> bool:
        """Whether a stream takes colours: a terminal that was not asked to do without (NO_COLOR, TERM=dumb)."""
        stream = sys.stderr if err else sys.stdout
        plain = self.no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return _is_terminal(stream) and not plain

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can answer a question."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr) and not os.environ.get("CI")

    @property
    def is_live(self) -> bool:
        """Whether progress may redraw lines."""
        wanted = not os.environ.get("CI") and not self.quiet
        return wanted and _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def result(self, text: str, *, commands: bool = False) -> None:
        """Print a result; `commands` says that it is made of GitHub's workflow commands, and to be read as such."""
        write(_as_lines(text), commands=commands)

    def report(
        self, form: Format, kind: ReportKind, value: object, options: RenderOptions = RenderOptions()
    ) -> None:
        """Print a value of a kind as a result, in a format."""
        if _is_terminal(sys.stdout):
            options = replace(
                options, width=min(options.width, max(_NARROWEST, shutil.get_terminal_size().columns))
            )
        text = form.render(kind, value, replace(options, colour=self.colour()))
        self.result(text, commands=form.is_workflow_commands)

    def say(self, text: str) -> None:
        """Say something beside the result."""
        if not self.quiet:
            write(_as_lines(text), err=True)

    def detail(self, text: str) -> None:
        """Say what is done, to whoever asked for more with `--verbose`."""
        if self.verbose:
            self.say(text)

    def warn(self, diagnostics: Iterable[Problem], directory: Path) -> None:
        """Show the warnings of a load."""
        found = tuple(diagnostics)
        if found:
            from reconciler.report import problems  # heavy, and most runs have nothing wrong

            self.say(problems.render_text(found, source_reader(directory), colour=self.colour(err=True)))


_NARROWEST = 30
# All secrets that this process has met: one masker, since what was secret once stays so.
MASKER = SecretMasker()
# The way of printing of the command that runs, for errors that end it; a process runs one command.
_current = Output()
# What GitHub's runner takes for a command to itself in a job's log: a prompt must not mask words of the plan.
_COMMAND = re.compile(r"(?m)(^[^\S\n]*|(?=##\[))(::|##\[)")
# What could not be written, per stream; asked for once, at the end.
_lost: dict[bool, OSError | ValueError] = {}


def write(text: str, *, err: bool = False, commands: bool = False) -> None:
    """Write to a stream, masked."""
    stream = sys.stderr if err else sys.stdout
    if not commands and os.environ.get("GITHUB_ACTIONS") == "true" and not _is_file(stream):
        text = _COMMAND.sub(lambda found: f"{found[1]}\\u{{{ord(found[2][0]):x}}}{found[2][1:]}", text)
    _write(stream, text, err=err)


def _write(stream: TextIO | None, text: str, *, err: bool) -> None:
    """The only place that writes."""
    if stream is None or err in _lost:
        return
    try:
        _encoded(stream, MASKER.mask(text))
        stream.flush()
    except (OSError, ValueError) as problem:
        _lost[err] = problem


def _encoded(stream: TextIO, text: str) -> None:
    """Write what a stream's encoding has; the rest of the characters are spelled out."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def finish() -> OSError | ValueError | None:
    """What kept results from being written, if anything did and anybody was still reading; forgets it."""
    for err in tuple(_lost):
        stream = sys.stderr if err else sys.stdout
        with suppress(OSError, ValueError, AttributeError):
            # What is buffered can never be written: the interpreter must not try, and complain, on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    lost = _lost.pop(False, None)
    _lost.clear()
    return None if isinstance(lost, BrokenPipeError) else lost


class MaskedStream(io.StringIO):
    """stderr with secrets masked, for what draws on a terminal by itself, and puts itself in the place of stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        _write(self._stream, text, err=True)
        return len(text)

    def isatty(self) -> bool:
        return _is_terminal(self._stream)

    def fileno(self) -> int:
        return self._stream.fileno()


def _is_file(stream: TextIO | None) -> bool:
    """Whether what is written goes to a file, which nobody reads commands from."""
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _as_lines(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def source_reader(directory: Path) -> ReadSource:
    """Reads the user's files for code frames; None where a file cannot be shown."""
    from reconciler.config import read_source

    return lambda file: read_source(directory, file)


def show_error(problem: BaseException) -> int:
    """Print what ended a command, and return its exit code. A traceback only with --debug."""
    import traceback
    from pathlib import Path

    from reconciler.report import problems
    from reconciler.report.escape import visible

    colour = _current.colour(err=True)
    if _current.debug:
        write("".join(traceback.format_exception(problem)), err=True)
    if isinstance(problem, InvalidConfig):
        reader = source_reader(Path(problem.directory))
        write(_as_lines(problems.render_text(problem.diagnostics, reader, colour=colour)), err=True)
        return int(problem.exit_code)
    if isinstance(problem, ReconcilerError):
        write(_as_lines(problems.render_error(problem, colour=colour)), err=True)
        return int(problem.exit_code)
    if isinstance(problem, OSError):
        what = visible(f"{problem.strerror or type(problem).__name__}: {problem.filename or 'no file named'}")
        write(f"error: {what} [system]\n    check the path, its permissions and the disk\n", err=True)
        return int(ExitCode.ERROR)
    write(
        f"error: reconciler broke in a way it should not: {type(problem).__name__} [internal]\n"
        "    this is a bug of ours; run the same command with --debug and report what it prints\n",
        err=True,
    )
    return int(ExitCode.ERROR)
