"""Which files a glob pattern names: a walk that follows no link, enters no directory twice, and ends.

pathlib's own follows links under `*`, so that a link to `.` is as many directories as a pattern has stars, and a link
to `/` is the whole machine. Nothing here knows what a file is for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from fnmatch import translate
from itertools import islice
from typing import NamedTuple, TypeAlias

_ANY_DEPTH = "**"
# A folder's name -> what is in it.
Entries: TypeAlias = "Callable[[str], AbstractContextManager[Iterator[os.DirEntry[str]]]]"


class Walked(NamedTuple):
    """What a walk found, relative to its root; `link` is one to a directory that the pattern leads through."""

    names: list[str]
    link: str | None = None
    complete: bool = True


def walk(opened: Entries, pattern: str, most: int) -> Walked:
    """The files that a relative pattern names, hidden ones left out, among at most so many entries.

    `opened` gives what is in a folder. Raises OSError with the folder's name for one that cannot be read: half of what
    is there is not what the pattern asks for.
    """
    parts = parts_of(pattern)
    matches = [re.compile(translate(part)).match for part in parts]
    names: list[str] = []
    waiting = [("", _reached(parts, [0]))]
    seen = 0
    while waiting:
        folder, places = waiting.pop()
        try:
            with opened(folder or ".") as found:
                entries = sorted(islice(found, most - seen + 1), key=lambda each: each.name)
                seen += len(entries)
                if seen > most:
                    return Walked(names, complete=False)
                # While the folder is open: an entry asks it again where the system told no kind.
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    named, further, through = _step(parts, matches, places, entry.name)
                    if through and entry.is_symlink() and _is_directory(entry):
                        return Walked(names, link=name)
                    if named and not _is_directory(entry):
                        names.append(name)
                    if further and entry.is_dir(follow_symlinks=False):
                        waiting.append((name, _reached(parts, further)))
        except OSError as error:
            raise OSError(error.errno, error.strerror, folder or ".") from None
    return Walked(sorted(names))


def parts_of(pattern: str) -> list[str]:
    """The parts of a relative path or pattern."""
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _reached(parts: list[str], places: Iterable[int]) -> frozenset[int]:
    """The parts that may be next: two stars are also no directory at all."""
    found = set(places)
    for place, part in enumerate(parts[:-1]):
        if place in found and part == _ANY_DEPTH:
            found.add(place + 1)
    return frozenset(found)


def _step(
    parts: list[str], matches: Sequence[Callable[[str], object]], places: frozenset[int], name: str
) -> tuple[bool, set[int], bool]:
    """What a name is where these parts may be next: a file that is named, a directory with what may be next in it,
    and whether a part other than two stars leads through it."""
    named, through = False, False
    further: set[int] = set()
    for place in places:
        if parts[place] == _ANY_DEPTH:
            further.add(place)
        elif matches[place](name):
            if place == len(parts) - 1:
                named = True
            else:
                through = True
                further.add(place + 1)
    return named, further, through


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False
