"""Convert rendered agents to specs: unknown keys of ours are refused, `properties` are checked by their types.

Problems have paths within the agent; their places in the files are looked up when loading ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import ValidationError

from reconciler.config.keys import KEYS
from reconciler.config.schema_errors import property_problems
from reconciler.config.words import InvalidValue, quotes_help, shown
from reconciler.contract.agora.avatar import LATEST_ROTATION, avatar_uid
from reconciler.contract.check import check
from reconciler.diagnostics import Problem, did_you_mean
from reconciler.model.address import AGENT, CHANNEL, Address
from reconciler.model.spec import AgentSpec, Body, Lifecycle
from reconciler.model.tree import Path, Tree

MAX_CHANNEL = 63


def read_agent(channel: Tree, name: Tree, tree: Mapping[str, Tree]) -> tuple[AgentSpec | None, list[Problem]]:
    """Return the spec of a rendered agent, and its problems; None where it has no address."""
    problems: list[Problem] = []
    if not isinstance(channel, str) or CHANNEL.fullmatch(channel) is None:
        problems.append(_bad_channel(channel))
    if not isinstance(name, str) or AGENT.fullmatch(name) is None:
        problems.append(_bad_name(name))
    properties = tree.get("properties", _NOTHING)
    if not isinstance(properties, dict):
        summary = f"properties must be a mapping, not {shown(properties)}"
        problems.append(Problem("wrong-type", summary, ("properties",)))
        properties = {}
    else:
        try:
            check(properties)
        except ValidationError as error:
            problems += property_problems(error, properties)
    lifecycle = _within_avatar(_lifecycle(tree.get("lifecycle"), problems), properties)
    previously = tree.get("previously")
    renamed = tuple(_addresses(previously, problems)) if previously is not None else ()
    adopt = _adopt(tree.get("adopt"), problems)
    preset = _text("preset", tree.get("preset"), problems)
    pipeline = _text("pipeline_id", tree.get("pipeline_id"), problems)
    body = Body(properties, preset, pipeline)
    if not isinstance(channel, str) or not isinstance(name, str):
        return None, problems
    return AgentSpec(Address(channel, name), body, lifecycle, renamed, adopt), problems


_NOTHING: dict[str, Tree] = {}
_DEFAULT = Lifecycle()


def _lifecycle(tree: Tree, problems: list[Problem]) -> Lifecycle:
    if tree is None:
        return _DEFAULT
    if not isinstance(tree, dict):
        problems.append(
            Problem("wrong-type", f"lifecycle must be a mapping, not {shown(tree)}", ("lifecycle",))
        )
        return _DEFAULT
    values: dict[str, Any] = {}
    known = KEYS["lifecycle"]
    for key, value in tree.items():
        path: Path = ("lifecycle", key)
        if key not in known:
            help = did_you_mean(key, known) or f"known: {', '.join(known)}"
            problems.append(Problem("unknown-key", f'"{key}" is not a key of lifecycle', path, help))
            continue
        try:
            values[key] = known[key].type.read(value)
        except InvalidValue as error:
            found = error.problem
            summary = f"{key} {found.summary}" if found.rule == "not-boolean" else f"{key}: {found.summary}"
            problems.append(replace(found, summary=summary, at=path, at_value=True))
    return Lifecycle(**values)


def _adopt(value: Tree, problems: list[Problem]) -> str | None:
    if value is None:
        return None
    try:
        return str(KEYS["agent"]["adopt"].type.read(value))
    except InvalidValue as error:
        summary = f"adopt: {error.problem.summary}"
        problems.append(replace(error.problem, summary=summary, at=("adopt",), at_value=True))
        return None


def _within_avatar(lifecycle: Lifecycle, properties: Mapping[str, Any]) -> Lifecycle:
    """Return a lifecycle whose default spread ends before the avatar's token does; a rule checks a written spread."""
    if lifecycle.rotate_spread != _DEFAULT.rotate_spread or avatar_uid(properties) is None:
        return lifecycle
    room = max(0.0, LATEST_ROTATION - lifecycle.rotate_after)
    return replace(lifecycle, rotate_spread=min(lifecycle.rotate_spread, room))


def _addresses(value: Tree, problems: list[Problem]) -> Iterable[Address]:
    if not isinstance(value, list):
        problems.append(
            Problem(
                "wrong-type", f"previously must be a list of addresses, not {shown(value)}", ("previously",)
            )
        )
        return
    for index, each in enumerate(value):
        try:
            yield Address.parse(each if isinstance(each, str) else shown(each))
        except ValueError as error:
            problems.append(Problem("bad-address", str(error), ("previously", index)))


def _text(key: str, value: Tree, problems: list[Problem]) -> str | None:
    if value is None or isinstance(value, str):
        return value
    summary, is_one = f"{key} must be a text, not {shown(value)}", not isinstance(value, (dict, list))
    help = quotes_help(value) if is_one else None
    problems.append(Problem("wrong-type", summary, (key,), help, wants_quotes=is_one))
    return None


def _bad_name(name: Tree) -> Problem:
    help, is_one = (
        "at most 64 letters, digits, - and _, beginning with a letter or digit",
        _wants_quotes(name),
    )
    return Problem(
        "agent-name",
        f"{shown(name)} cannot be the name of an agent",
        ("name",),
        help=quotes_help(name) if is_one else help,
        wants_quotes=is_one,
    )


def _bad_channel(channel: Tree) -> Problem:
    is_long = isinstance(channel, str) and len(channel) > MAX_CHANNEL
    why = f"it is {len(str(channel))} characters long" if is_long else None
    help = f"at most {MAX_CHANNEL} letters, digits, spaces and !#$%&()+-:;<=.>?@[]^_{{}}|~,"
    summary, is_one = f"{shown(channel)} cannot be the name of a channel", _wants_quotes(channel)
    help = quotes_help(channel) if is_one else help
    return Problem("channel-name", summary, ("channel",), help, why, wants_quotes=is_one)


def _wants_quotes(value: Tree) -> bool:
    """Return whether a value is a number or a boolean, which quotes make a text."""
    return isinstance(value, (int, float))
