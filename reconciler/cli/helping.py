"""The layout of help: examples that can be pasted, and lines that fit the terminal. Imports click only."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator

import click

# With fewer columns the names of options stand above their texts.
_NARROW = 60
# A note with fewer columns than this beside its command stands below it.
_NARROWEST_NOTE = 24
_GAP = "  "
_NOTE = "# "


class HelpFormatter(click.HelpFormatter):
    """click's formatter, with another layout of examples.

    In the paragraph after `\\b` of a docstring, each line is a command, or a command and what it does after two or more
    spaces. What it does is shown as a comment of the shell, so that a whole line can be pasted.
    """

    def write_text(self, text: str) -> None:
        for at, paragraph in enumerate(re.split(r"\n{2,}", inspect.cleandoc(text))):
            if at:
                self.write_paragraph()
            if paragraph.startswith("\b\n"):
                width = self.width - self.current_indent
                for line in examples(paragraph[2:], width):
                    self.write(f"{'':{self.current_indent}}{line}\n")
            else:
                super().write_text(paragraph)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, 6 if self.width < _NARROW else col_max, col_spacing)


class HelpContext(click.Context):
    """The context of every command: its help has our layout."""

    formatter_class = HelpFormatter


def with_layout(command: click.Command) -> None:
    """Give a command, and those of a group, our layout of help."""
    command.context_class = HelpContext
    for each in getattr(command, "commands", {}).values():
        with_layout(each)


def examples(paragraph: str, width: int) -> Iterator[str]:
    """Yield the lines of a paragraph of examples; a note that does not fit beside its command is wrapped, or below."""
    rows = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in paragraph.split("\n")]
    column = max((len(command) for command, *notes in rows if notes), default=0) + len(_GAP)
    is_beside = width - column >= _NARROWEST_NOTE
    for command, *notes in rows:
        if not notes:
            yield command
            continue
        indent = " " * (column if is_beside else 4) + _NOTE
        below = textwrap.wrap(
            notes[0], width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        if is_beside:
            below[0] = command.ljust(column) + below[0].lstrip(" ")
        else:
            yield command
        yield from below
