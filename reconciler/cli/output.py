"""The output of a command: results to stdout, all else to stderr; colours and prompts only at a terminal.

Everything that a command prints is written here, with the secrets known to this process masked. If writing fails,
because the reader has gone or a disk is full, the run goes on and ends in order.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from types import MappingProxyType
from typing import TextIO

from reconciler.cli.logs import RunLog
from reconciler.cli.streams import columns, is_file, is_terminal
from reconciler.diagnostics import Problem
from reconciler.report.escape import without_commands
from reconciler.report.folding import LONGEST, folded, refolded
from reconciler.report.formats import TEXT, Format, RenderOptions, ReportKind
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
    # Completes the commands in a text by what chooses the fleet; the text itself until the fleet is known.
    pasteable: Callable[[str], str] = field(default=str, init=False)
    # Whether the result is a document, of which a half is worth nothing: no text, and no events line by line.
    is_document: bool = field(default=False, init=False)
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
        is_able = is_terminal(sys.stderr if err else sys.stdout) and os.environ.get("TERM") != "dumb"
        return is_able or bool(os.environ.get("FORCE_COLOR"))

    @property
    def width(self) -> int | None:
        """The columns for a line of a result: COLUMNS, else those of the terminal; None without either."""
        return columns(sys.stdout)

    @property
    def is_interactive(self) -> bool:
        """Whether a user can answer a question: stdin and stderr are terminals, and CI is not set."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr) and not os.environ.get("CI")

    @property
    def is_live(self) -> bool:
        """Whether progress may redraw lines."""
        wanted = not os.environ.get("CI") and not self.quiet and self.log_format is None
        return wanted and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def result(self, text: str, form: Format = TEXT) -> None:
        """Print a result, the text of a document if its format is not for terminals."""
        self.is_document = not form.is_for_terminals
        if self._frame is not None:
            self._frame.append(_as_lines(text))
        else:
            write(_as_lines(text), commands=form.is_workflow_commands)

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """Collect the results of a block and print them over those of the last block, without scrolling."""
        if not (is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"):
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
        """Print a value as a result, in a format; a long text is written while it is rendered."""
        if self._frame is not None:
            self.result(self.rendered(form, kind, value, options), form)
        else:
            self.is_document = not (form.is_for_terminals or kind in _LINES)
            pieces = form.pieces(kind, value, self._here(options))
            texts = map(self._completed, pieces) if form.is_for_terminals else pieces
            write_pieces(texts, commands=form.is_workflow_commands)

    def rendered(self, form: Format, kind: ReportKind, value: object, options: RenderOptions) -> str:
        """Return the text of a report in a format, with the colours and width of this run."""
        text = form.render(kind, value, self._here(options))
        return self._completed(text) if form.is_for_terminals else text

    def _completed(self, text: str) -> str:
        """Return a report with its commands completed, and the lines that became too long by that folded anew."""
        found = self.pasteable(text)
        return found if found == text else refolded(found, self.width or LONGEST)

    def _here(self, options: RenderOptions) -> RenderOptions:
        return replace(options, colour=self.colour(), quiet=self.quiet, width=self.width)

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
        is_drawn = hasattr(
            sys.stderr, "rich_proxied_file"
        )  # rich prints above what it draws, and takes no codes
        begin = "" if is_drawn else "\r\x1b[K" if self.is_live else "\n" if is_terminal(sys.stderr) else ""
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
# The kinds of reports that an apply writes as it goes on.
_LINES = frozenset({ReportKind.EVENT, ReportKind.LEDGER})
# The one masker of this process: a value that was secret once stays secret.
MASKER = SecretMasker()
# The settings of the command that runs, for printing the error that ends it; a process runs one command.
_current = Output()


def current() -> Output:
    """Return the output settings of the command that runs."""
    return _current


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
    """Write masked text to a stream. Text for stderr also goes to the log, and has its form if that was asked for.

    At a terminal it is folded at its width, between words.
    """
    stream = sys.stderr if err else sys.stdout
    _erase()
    if err and _current.log is not None:
        record = _current.log.record(text, level, fields)
        _log(record)
        text = text if _current.log_format is None else record
    if err and _current.log_format is None and is_terminal(stream):
        # Masked first: the masker would not find a secret that is broken over lines.
        text = folded(MASKER.mask(text), max(columns(stream) or LONGEST, _NARROWEST))
    _write(stream, text if commands else _without_commands(text, stream), err=err)


def write_pieces(pieces: Iterable[str], *, commands: bool = False) -> None:
    """Write a result that comes in pieces as `write` does the whole text, without keeping all of it."""
    stream = sys.stdout
    _erase()
    whole = _whole_lines(pieces)
    for text in MASKER.mask_pieces(
        whole if commands else (_without_commands(each, stream) for each in whole)
    ):
        if False in _lost:
            return
        _write_masked(stream, text, err=False)


def _without_commands(text: str, stream: TextIO | None) -> str:
    """Return lines in which GitHub's runner finds no command, if it reads this stream."""
    return (
        without_commands(text) if os.environ.get("GITHUB_ACTIONS") == "true" and not is_file(stream) else text
    )


def _write(stream: TextIO | None, text: str, *, err: bool) -> None:
    """Write text to a stream, masked."""
    if stream is not None and err not in _lost:
        _write_masked(stream, MASKER.mask(text), err=err)


def _write_masked(stream: TextIO | None, text: str, *, err: bool) -> None:
    """Write masked text to a stream; the only place that writes. The first error of a stream ends its output."""
    if stream is None or err in _lost:
        return
    try:
        _encoded(stream, text)
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
    """Return the error that kept results from being written, and forget it.

    None if the reader has gone who had seen enough, as `head` does: of a document it has only a half.
    """
    for err in tuple(_lost):
        stream = sys.stderr if err else sys.stdout
        with suppress(OSError, ValueError, AttributeError):
            # Buffered text can never be written; without this the interpreter would try at exit, and print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    lost = _lost.pop(False, None)
    _lost.clear()
    return None if isinstance(lost, BrokenPipeError) and not _current.is_document else lost


class MaskedStream(io.StringIO):
    """stderr with secrets masked, for libraries that draw on the terminal and replace stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        _write(self._stream, text, err=True)
        return len(text)

    def isatty(self) -> bool:
        return is_terminal(self._stream)

    def fileno(self) -> int:
        return self._stream.fileno()


def _in_place(lines: list[str], height: int) -> str:
    """Return lines with control codes that overwrite the screen; of too many lines, the first and the last."""
    lines = lines[:-1] if lines[-1:] == [""] else lines
    if len(lines) > height - 1:
        left_out = len(lines) - height + 2
        lines = [lines[0], f"… {left_out:,} more lines", *lines[left_out + 1 :]]
    return "\x1b[H" + "".join(f"{each}\x1b[K\n" for each in lines) + "\x1b[J"


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the pieces of a text, and a line break after the last if it ends without one."""
    last = ""
    for last in pieces:
        yield last
    yield _as_lines(last)[len(last) :]


def _as_lines(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
