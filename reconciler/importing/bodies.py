"""The texts of sources -> join bodies with their places: JSON values, lists and lines of JSON, and curl commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from reconciler.config.yaml.scalars import CONTROL, INTEGERS
from reconciler.importing.curl import ReadFile, join_call
from reconciler.importing.problems import SourceLine, Unimportable, not_set, raise_all
from reconciler.importing.shell import OPEN, SHUT, curl_commands, filled, unset
from reconciler.model.tree import is_deeper
from reconciler.values import dataclass

# The deepest nesting of a body: that of a fleet's file, less the levels above `properties`.
_DEPTH = 40
# A text of JSON, also one without an end, or else the mark of a variable.
_TEXT_OR_MARK = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\Z))|' + f"{OPEN}[^{OPEN}{SHUT}]*{SHUT}", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n,]*")


@dataclass(frozen=True, slots=True)
class JoinBody:
    """One join body as it was written; marks of variables are still in it (`shell.MARK`).

    `service` holds what the request's address says, under the keys of a fleet's `service` block.
    """

    tree: dict[str, Any]
    at: SourceLine
    variables: Mapping[str, str] = field(default_factory=dict)
    service: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """The join bodies of all sources; `others` are the curl commands that start no agent."""

    bodies: tuple[JoinBody, ...]
    others: tuple[SourceLine, ...]


def read_sources(texts: Mapping[str, str], read: ReadFile) -> Sources:
    """Return the join bodies of named texts. Raises `Unimportable` with the problems of all of them."""
    bodies: list[JoinBody] = []
    others: list[SourceLine] = []
    problems: list[Unimportable] = []
    for file, text in texts.items():
        try:
            found = list(_in_file(text.removeprefix("\ufeff"), file, read, others, problems))
        except Unimportable as problem:
            problems.append(problem)
            continue
        if not found and not problems:
            problems.append(
                Unimportable.at(
                    SourceLine(file),
                    "neither a join body nor a curl command that joins",
                    "give JSON, or a text with curl commands",
                )
            )
        bodies += found
    raise_all(problems)
    return Sources(tuple(bodies), tuple(others))


def _in_file(
    text: str, file: str, read: ReadFile, others: list[SourceLine], problems: list[Unimportable]
) -> Iterator[JoinBody]:
    if text.lstrip().startswith(("{", "[")):
        for tree, at in _documents(text, SourceLine(file)):
            yield from _bodies(tree, at)
        return
    for command in curl_commands(text, file):
        try:
            call = join_call(command, read)
            if call is None:
                others.append(command.at)
                continue
        except Unimportable as problem:
            problems.append(problem)
            continue
        try:
            for tree, at in _of_command(call.body, call.at, call.variables):
                yield from (
                    JoinBody(each.tree, each.at, call.variables, call.service) for each in _bodies(tree, at)
                )
        except Unimportable as problem:
            if call.is_certain:
                problems.append(problem)
            else:
                others.append(command.at)


def _of_command(text: str, at: SourceLine, variables: Mapping[str, str]) -> list[tuple[Any, SourceLine]]:
    """Return the JSON values in a command's body; its variables are filled in if it is no JSON without that."""
    try:
        return list(_documents(text, at))
    except Unimportable:
        full = filled(text, variables)
        if bare := [
            name for found in _TEXT_OR_MARK.finditer(full) if found[1] is None for name in unset(found[0])
        ]:
            raise not_set(at, [(name, "in the JSON, outside of quotes") for name in bare]) from None
        if full == text:
            raise
    return list(_documents(full, at))


def _bodies(tree: Any, at: SourceLine) -> Iterator[JoinBody]:
    for each in tree if isinstance(tree, list) else [tree]:
        if not isinstance(each, dict) or not isinstance(each.get("properties"), dict):
            raise Unimportable.at(
                at, "this is no join body", 'a join body is {"name": …, "properties": {"channel": …, …}}'
            )
        yield JoinBody(each, at)


class _NotForFiles(ValueError):
    """JSON that the files of a fleet cannot hold."""


def _documents(text: str, begin: SourceLine) -> Iterator[tuple[Any, SourceLine]]:
    """Yield every JSON value of a text with the line on which it begins."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_once, parse_constant=_constant, parse_int=_whole, parse_float=_number
    )
    at, line = _after_space(text, 0), begin
    counted = 0
    while at < len(text):
        line, counted = line.below(text.count("\n", counted, at)), at
        try:
            tree, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = line.below(text.count("\n", at, error.pos))
            raise Unimportable.at(where, f"this is no JSON: {error.msg}") from None
        except _NotForFiles as error:
            raise Unimportable.at(line, str(error)) from None
        except RecursionError:
            raise _too_deep(line) from None
        if is_deeper(tree, _DEPTH):
            raise _too_deep(line)
        yield tree, line
        at = _after_space(text, end)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _too_deep(line: SourceLine) -> Unimportable:
    return Unimportable.at(line, f"a value that is nested deeper than {_DEPTH}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotForFiles("a key that occurs twice in one object: which value is meant?")
    if any(CONTROL.search(key) for key in found):
        raise _NotForFiles("a control character in a key")
    return found


def _constant(word: str) -> Any:
    raise _NotForFiles(f"the number {word}, which is no JSON")


def _whole(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in INTEGERS:
        raise _NotForFiles("a number that does not fit into 64 bits")
    return int(digits)


def _number(text: str) -> float:
    value = float(text) if len(text) <= 400 else float("inf")
    if value in (float("inf"), float("-inf")):
        raise _NotForFiles("a number that is too large")
    return value
