"""Find the files that a glob pattern matches, by a walk that follows no link, enters no directory twice, and ends.

pathlib's walk follows links under `*`: a link to `.` would add as many levels as the pattern has stars, and a link to
`/` would lead to the whole machine. The meaning of a file is not known here.
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
# A function from a folder's name to its entries.
Entries: TypeAlias = "Callable[[str], AbstractContextManager[Iterator[os.DirEntry[str]]]]"


class Walked(NamedTuple):
    """The result of a walk, relative to its root; `link` is a link to a directory that the pattern leads through."""

    names: list[str]
    link: str | None = None
    complete: bool = True


def walk(opened: Entries, pattern: str, most: int) -> Walked:
    """Return the files that a relative pattern matches, without hidden ones, among at most `most` entries.

    `opened` returns the entries of a folder. Raises OSError with the folder's name if one cannot be read, since the
    result would be incomplete.
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
                # While the folder is open, because an entry may have to ask the system for its kind.
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
    """Return the parts of a relative path or pattern."""
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _reached(parts: list[str], places: Iterable[int]) -> frozenset[int]:
    """Return the pattern's parts that may match next: two stars also match no directory at all."""
    found = set(places)
    for place, part in enumerate(parts[:-1]):
        if place in found and part == _ANY_DEPTH:
            found.add(place + 1)
    return frozenset(found)


def _step(
    parts: list[str], matches: Sequence[Callable[[str], object]], places: frozenset[int], name: str
) -> tuple[bool, set[int], bool]:
    """Return if a name is a matching file, which parts may match below it, and if a part but `**` leads through it."""
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
    except OSError:  # a cycle of links
        return False
