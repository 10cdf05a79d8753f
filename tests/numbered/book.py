"""`messages.md`: what is said about every bad input, one section per number, in one place to be read.

A test tells its section what it has seen. The section must be what the book says; `--update-golden` writes it.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from tests.numbered.register import GROUPS, ITEMS, of_group

BOOK = Path(__file__).parent / "messages.md"
_INTRODUCTION = """\
# What is said about bad inputs

Written by the tests of this directory (`pytest tests/numbered --update-golden`), compared by them otherwise. One
section for each number of the list of bad inputs: what is done, what is said about it, and how the command ends.

Unless a section says otherwise, nothing has happened afterwards: no call that changes anything was made, every agent
runs on as it did, and the state's file has the same bytes. `<…>` stands for what differs from run to run.
"""
_HEADING = re.compile(r"^### (9\.\d+\.\d+) ", re.MULTILINE)


class Section:
    """What one test has to say about its item."""

    def __init__(self, number: str) -> None:
        self.number = number
        self._blocks: list[str] = []

    def note(self, text: str) -> None:
        """Words of our own: why something does not apply, what is shown in its place."""
        self._blocks.append(text)

    def case(self, what: str, command: str, code: int, said: str) -> None:
        """One bad input: what it is, the command that met it, how that ended, and its words."""
        self._blocks.append(f"**{what}**: exit {code}\n\n```text\n$ {command}\n{said.rstrip()}\n```")

    def text(self) -> str:
        head = f"### {self.number} {ITEMS[self.number]}"
        return "\n\n".join([head, *self._blocks]) + "\n"


def sections(text: str) -> Mapping[str, str]:
    """The sections of a book by their numbers."""
    _, *parts = _HEADING.split(text)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        number: re.sub(r"\n## .*", "", f"### {number} {rest}", flags=re.DOTALL).strip("\n") + "\n"
        for number, rest in found.items()
    }


def bound(parts: Mapping[str, str]) -> str:
    """The book of some sections; what is not on the list is left out."""
    pages = [_INTRODUCTION]
    for group, title in GROUPS.items():
        pages.append(f"## {group} {title}\n")
        pages += [parts[number] for number in of_group(group) if number in parts]
    return "\n".join(pages)


def written() -> Mapping[str, str]:
    """What the book says now."""
    with BOOK.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        file.seek(0)
        return sections(file.read())


def check(section: Section, *, update: bool) -> None:
    """Compare a section with the book, or write it there."""
    if update:
        _write(section)
    told, known = section.text(), written().get(section.number, "")
    difference = "\n".join(
        unified_diff(known.splitlines(), told.splitlines(), "written", "told", lineterm="")
    )
    assert told == known, f"{section.number}: pytest --update-golden, and read what it writes\n{difference}"


def _write(section: Section) -> None:
    """Put a section in its place; others may be writing theirs."""
    with BOOK.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        parts = {**sections(file.read()), section.number: section.text()}
        file.seek(0)
        file.truncate()
        file.write(bound(parts))
