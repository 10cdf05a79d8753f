"""The output of a command: results to stdout, all else to stderr; colours and prompts only at a terminal.

Everything that a command prints is written here, with the secrets known to this process masked. If writing fails,
because the reader has gone or a disk is full, the run goes on and ends in order.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from reconciler.cli.logs import RunLog
from reconciler.diagnostics import Problem
from reconciler.errors import ExitCode, InvalidConfig, ReconcilerError
from reconciler.report.formats import Format, ReadSource, RenderOptions, ReportKind
from reconciler.secrets.masker import SecretMasker
from reconciler.values import dataclass

NO_FIELDS: Mapping[str, object] = MappingProxyType({})


@dataclass(slots=True)
class Output:
    """The print settings of one run. `color` is auto, always or never; `quiet` leaves problems and the last line.

    `log_format` turns what goes to stderr into records; `log_file` also appends them to a file.
    """

    color: str = "auto"
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    log_format: str | None = None
    log_file: str | None = None
    log: RunLog | None = field(default=None, init=False)
    _said: set[str] = field(default_factory=set, init=False)
    _frame: list[str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        global _current  # noqa: PLW0603  a process runs one command, and its errors end up here
        if self.log_format is not None or self.log_file is not None:
            self.log = RunLog(self.log_format or "text", self.log_file)
        _current = self

    def colour(self, *, err: bool = False) -> bool:
        """Return whether a stream takes colours: by --color, else NO_COLOR, else FORCE_COLOR, else at a terminal."""
        if err and self.log_format is not None:
            return False
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        is_able = _is_terminal(sys.stderr if err else sys.stdout) and os.environ.get("TERM") != "dumb"
        return is_able or bool(os.environ.get("FORCE_COLOR"))

    @property
    def width(self) -> int | None:
        """The columns for a line of a result: COLUMNS, else those of the terminal; None without either."""
        columns = os.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns[:6]) > 0:
            return int(columns[:6])
        return shutil.get_terminal_size().columns if _is_terminal(sys.stdout) else None

    @property
    def is_interactive(self) -> bool:
        """Whether a user can answer a question: stdin and stderr are terminals, and CI is not set."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr) and not os.environ.get("CI")

    @property
    def is_live(self) -> bool:
        """Whether progress may redraw lines."""
        wanted = not os.environ.get("CI") and not self.quiet and self.log_format is None
        return wanted and _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def result(self, text: str, *, commands: bool = False) -> None:
        """Print a result; `commands` is true for GitHub's workflow commands, which are printed unescaped."""
        if self._frame is not None:
            self._frame.append(_as_lines(text))
        else:
            write(_as_lines(text), commands=commands)

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """Collect the results of a block and print them over those of the last block, without scrolling."""
        if not (_is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"):
            yield
            return
        frame: list[str] = []
        self._frame = frame
        try:
            yield
        finally:
            self._frame = None
        write(_in_place("".join(frame).split("\n"), shutil.get_terminal_size().lines))

    def report(
        self, form: Format, kind: ReportKind, value: object, options: RenderOptions = RenderOptions()
    ) -> None:
        """Print a value as a result, in a format."""
        self.result(self.rendered(form, kind, value, options), commands=form.is_workflow_commands)

    def rendered(self, form: Format, kind: ReportKind, value: object, options: RenderOptions) -> str:
        """Return the text of a report in a format, with the colours and width of this run."""
        more = replace(options, colour=self.colour(), quiet=self.quiet, width=self.width)
        return form.render(kind, value, more)

    def say(self, text: str, *, level: str = "info", fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Print a message that is not part of the result; `fields` go into its log record."""
        if self.quiet and level != "error":
            self.note(text, level=level, fields=fields)
        else:
            write(_as_lines(text), err=True, level=level, fields=fields)

    def note(self, text: str, *, level: str = "info", fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Write a message to the log file only."""
        if self.log is not None:
            _log(self.log.record(text, level, fields))

    def trace(self, text: str, **fields: object) -> None:
        """Write a message to the log that is not needed at a terminal."""
        (self.note if self.log_format is None else self.say)(text, fields=fields)

    def acknowledge(self, text: str) -> None:
        """Print at once that a signal has arrived, on a line of its own: a terminal shows `^C` at the cursor."""
        begin = "\r\x1b[K" if self.is_live else "\n" if _is_terminal(sys.stderr) else ""
        _write(sys.stderr, begin, err=True)
        write(_as_lines(text), err=True, level="warning")

    def passing(self, text: str) -> None:
        """Show a temporary line at the terminal, which the next output replaces; an empty text removes it."""
        global _is_passing  # noqa: PLW0603  there is one terminal
        if self.is_live and (text or _is_passing):
            _erase()
            _is_passing = bool(text)
            _write(sys.stderr, text, err=True)

    def detail(self, text: str) -> None:
        """Print a message if `--verbose` was given."""
        if self.verbose:
            self.say(text)

    def warn(self, diagnostics: Iterable[Problem], directory: str) -> None:
        """Print the warnings of a load, one line each; `validate` shows them with the lines of the files."""
        found = tuple(diagnostics)
        if found:
            from reconciler.report import problems  # heavy, and most runs have nothing wrong

            for line in problems.warning_lines(found, directory, colour=self.colour(err=True)):
                self.warn_once(line)

    def warn_once(self, text: str) -> None:
        """Print a warning, unless this run has printed it already."""
        if text not in self._said:
            self._said.add(text)
            self.say(text, level="warning")


_NARROWEST = 30
# The one masker of this process: a value that was secret once stays secret.
MASKER = SecretMasker()
# The settings of the command that runs, for printing the error that ends it; a process runs one command.
_current = Output()


def current() -> Output:
    """Return the output settings of the command that runs."""
    return _current


# What GitHub's runner reads as a workflow command in a job's log: a prompt must not be able to give it commands.
_COMMAND = re.compile(r"(?m)(^[^\S\n]*|(?=##\[))(::|##\[)")
# Whether a temporary line is shown at the terminal.
_is_passing = False
# The first write error of each stream, by `err`; `finish` returns it at the end.
_lost: dict[bool, OSError | ValueError] = {}


def write(
    text: str,
    *,
    err: bool = False,
    commands: bool = False,
    level: str = "info",
    fields: Mapping[str, object] = NO_FIELDS,
) -> None:
    """Write masked text to a stream. Text for stderr also goes to the log, and has its form if that was asked for."""
    stream = sys.stderr if err else sys.stdout
    _erase()
    if err and _current.log is not None:
        record = _current.log.record(text, level, fields)
        _log(record)
        text = text if _current.log_format is None else record
    if not commands and os.environ.get("GITHUB_ACTIONS") == "true" and not _is_file(stream):
        text = _COMMAND.sub(lambda found: f"{found[1]}\\u{{{ord(found[2][0]):x}}}{found[2][1:]}", text)
    _write(stream, text, err=err)


def _write(stream: TextIO | None, text: str, *, err: bool) -> None:
    """Write masked text to a stream; the only place that writes. The first error of a stream ends its output."""
    if stream is None or err in _lost:
        return
    try:
        _encoded(stream, MASKER.mask(text))
        stream.flush()
    except (OSError, ValueError) as problem:
        _lost[err] = problem


def _erase() -> None:
    """Remove the temporary line."""
    global _is_passing  # noqa: PLW0603  there is one terminal
    if _is_passing:
        _is_passing = False
        _write(sys.stderr, "\r\x1b[K", err=True)


def _log(record: str) -> None:
    """Append a record to the log file; if that fails, warn once and stop logging."""
    log = _current.log
    if log is None:
        return
    try:
        log.append(MASKER.mask(record))
    except OSError as problem:
        log.path = None
        cause = problem.strerror or type(problem).__name__
        write(f"warning: the log cannot be written any more: {cause} [log]\n", err=True, level="warning")


def _encoded(stream: TextIO, text: str) -> None:
    """Write text; characters that the stream's encoding lacks are written as escapes."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def finish() -> OSError | ValueError | None:
    """Return the error that kept results from being written, and forget it; None if the reader had gone."""
    for err in tuple(_lost):
        stream = sys.stderr if err else sys.stdout
        with suppress(OSError, ValueError, AttributeError):
            # Buffered text can never be written; without this the interpreter would try at exit, and print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    lost = _lost.pop(False, None)
    _lost.clear()
    return None if isinstance(lost, BrokenPipeError) else lost


class MaskedStream(io.StringIO):
    """stderr with secrets masked, for libraries that draw on the terminal and replace stderr."""

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
    """Return whether a stream is a regular file, from which no runner reads commands."""
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _in_place(lines: list[str], height: int) -> str:
    """Return lines with control codes that overwrite the screen; of too many lines, the first and the last."""
    lines = lines[:-1] if lines[-1:] == [""] else lines
    if len(lines) > height - 1:
        left_out = len(lines) - height + 2
        lines = [lines[0], f"… {left_out} more lines", *lines[left_out + 1 :]]
    return "\x1b[H" + "".join(f"{each}\x1b[K\n" for each in lines) + "\x1b[J"


def _as_lines(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def source_reader(directory: Path) -> ReadSource:
    """Return a function that reads the user's files for code frames; None for a file that cannot be shown."""
    from reconciler.config import read_source

    return lambda file: read_source(directory, file)


def show_error(problem: BaseException) -> int:
    """Print the error that ended a command, and return its exit code. The traceback is printed only with --debug."""
    import traceback

    from reconciler.report import problems
    from reconciler.report.escape import visible

    colour = _current.colour(err=True)

    def say(text: str) -> None:
        write(_as_lines(text), err=True, level="error")

    if _current.debug:
        say("".join(traceback.format_exception(problem)))
    if isinstance(problem, InvalidConfig):
        reader = source_reader(Path(problem.directory))
        say(problems.render_text(problem.diagnostics, reader, colour=colour))
        return problem.exit_code
    if isinstance(problem, ReconcilerError):
        say(problems.render_error(problem, colour=colour))
        return problem.exit_code
    if isinstance(problem, OSError):
        what = visible(f"{problem.strerror or type(problem).__name__}: {problem.filename or 'no file named'}")
        say(f"error: {what} [system]\n    check the path, its permissions and the disk")
        return ExitCode.ERROR
    say(
        f"error: reconciler broke in a way it should not: {type(problem).__name__} [internal]\n"
        "    this is a bug of ours; run the same command with --debug and report what it prints"
    )
    return ExitCode.ERROR
