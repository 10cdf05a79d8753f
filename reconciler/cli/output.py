"""The two streams: results to stdout, everything else to stderr; colours and prompts only where a person sits.

Every byte that a command prints goes through here.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.diagnostics import Diagnostic
from reconciler.errors import ExitCode, InvalidConfig, ReconcilerError
from reconciler.report import problems


@dataclass(slots=True)
class Output:
    """How one run prints. `quiet` leaves only results and errors."""

    no_color: bool = False
    quiet: bool = False
    verbose: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        global _current
        _current = self

    def colour(self, *, err: bool = False) -> bool:
        """Whether a stream takes colours: a terminal that was not asked to do without (NO_COLOR, TERM=dumb)."""
        stream = sys.stderr if err else sys.stdout
        plain = self.no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return stream.isatty() and not plain

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")

    @property
    def is_live(self) -> bool:
        """Whether progress may redraw lines."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI") and not self.quiet

    def result(self, text: str) -> None:
        """Print a result."""
        click.echo(text, nl=not text.endswith("\n"), color=True)

    def say(self, text: str) -> None:
        """Say something beside the result."""
        if not self.quiet:
            click.echo(text, err=True, nl=not text.endswith("\n"), color=True)

    def warn(self, diagnostics: Iterable[Diagnostic], directory: Path) -> None:
        """Show the warnings of a load."""
        found = tuple(diagnostics)
        if found:
            self.say(problems.render_text(found, source_reader(directory), colour=self.colour(err=True)))


# The way of printing of the command that runs, for errors that end it; a process runs one command.
_current = Output()


def source_reader(directory: Path) -> problems.ReadSource:
    """Reads the user's files for code frames; None where a file cannot be shown."""
    from reconciler.config import read_source

    return lambda file: read_source(directory, file)


def show_error(problem: Exception) -> int:
    """Print what ended a command, and return its exit code. A traceback only with --debug."""
    colour = _current.colour(err=True)
    if _current.debug:
        traceback.print_exception(problem)
    if isinstance(problem, InvalidConfig):
        reader = source_reader(Path(problem.directory))
        click.echo(problems.render_text(problem.diagnostics, reader, colour=colour), err=True, color=True)
        return int(problem.exit_code)
    if isinstance(problem, ReconcilerError):
        click.echo(problems.render_error(problem, colour=colour), err=True, color=True)
        return int(problem.exit_code)
    click.echo(
        f"error: reconciler broke in a way it should not: {type(problem).__name__} [internal]\n"
        "    this is a bug of ours; run the same command with --debug and report what it prints",
        err=True,
    )
    return int(ExitCode.ERROR)
