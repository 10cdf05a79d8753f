"""Join bodies and running agents -> the texts of a fleet's files: one entry an agent, what all share in a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from textwrap import indent
from typing import Any, Final

from reconciler.importing.bodies import JoinBody
from reconciler.importing.entries import ImportedAgent, RunningAgent, entries_of
from reconciler.importing.references import Names
from reconciler.model.fleet import FLEET_FILE
from reconciler.report.documents import to_yaml
from reconciler.report.escape import visible
from reconciler.values import dataclass

AGENTS_FILE: Final = "agents/imported.yaml"
PROFILE: Final = "shared"
# What belongs to an agent, or to the reconciler, and never to a profile.
_OWN: Final = frozenset({"agent_rtc_uid"})


@dataclass(slots=True)
class ImportedFleet:
    """The files by their path, what to set before an apply, and what a person should know."""

    files: dict[str, str]
    names: Names
    notes: list[str] = field(default_factory=list)


def fleet_of(
    fleet: str, service: Mapping[str, str], bodies: Sequence[JoinBody], running: Sequence[RunningAgent] = ()
) -> ImportedFleet:
    """A fleet of join bodies and of what runs: a running agent that bears a body's name is that body's.

    `service` is the fleet's block of that name, to which is added what the sources tell of it. Raises `Unimportable` with every problem of the bodies.
    """
    made = ImportedFleet({}, Names())
    entries = entries_of(bodies, running, made.names, made.notes)
    shared = _shared([each.body for each in entries if each.body is not None])
    for key in ("area", "app_id"):
        told = {each.service[key] for each in bodies if key in each.service} - {service.get(key)}
        if len(told) + (key in service) > 1:
            made.notes.append(
                f"the sources are for several services ({key}): a fleet has one; import each by itself"
            )
        elif told:
            service = {**service, key: told.pop()}
    made.files[AGENTS_FILE] = _agents_text(entries, shared)
    made.files[FLEET_FILE] = _fleet_text(fleet, service, shared)
    return made


# --- what all share ---------------------------------------------------------------------------------------------


def _shared(bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The part that all bodies have; nothing where there is but one."""
    if len(bodies) < 2:
        return {}
    common: Any = {
        **bodies[0],
        "properties": {k: v for k, v in bodies[0]["properties"].items() if k not in _OWN},
    }
    for body in bodies[1:]:
        common = _common(common, body)
    return {key: value for key, value in common.items() if value != {}}


def _common(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in left.items():
        if key not in right:
            continue
        other = right[key]
        if isinstance(value, dict) and isinstance(other, dict) and value and other:
            if below := _common(value, other):
                found[key] = below
        elif _is_same(value, other):
            found[key] = value
    return found


def _rest(body: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """What a body has beyond the shared part."""
    rest: dict[str, Any] = {}
    for key, value in body.items():
        if key not in shared:
            rest[key] = value
        elif isinstance(value, dict) and value and (below := _rest(value, shared[key])):
            rest[key] = below
    return rest


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values are the same in JSON: `1`, `1.0` and `true` are three."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return bool(left == right)


# --- texts ------------------------------------------------------------------------------------------------------

_HEAD: Final = "# Written by `reconciler import`; from here on it is yours to edit.\n"


def _fleet_text(fleet: str, service: Mapping[str, str], shared: dict[str, Any]) -> str:
    tree: dict[str, Any] = {"fleet": fleet, "service": dict(service)}
    if shared:
        tree["profiles"] = {PROFILE: shared}
    return _HEAD + to_yaml(tree)


def _agents_text(entries: Sequence[ImportedAgent], shared: dict[str, Any]) -> str:
    blocks: dict[object, list[ImportedAgent]] = {}
    for entry in entries:
        # The channel of each agent whose channel is unknown is a gap of its own.
        blocks.setdefault(entry.channel if entry.channel is not None else id(entry), []).append(entry)
    texts = [_HEAD, "channels:\n"]
    for block in blocks.values():
        agents = [_agent(each, shared) for each in block]
        texts.append(indent(to_yaml([{"channel": block[0].channel, "agents": agents}]), "  "))
    return "".join(texts)


def _agent(entry: ImportedAgent, shared: dict[str, Any]) -> dict[str, Any]:
    agent: dict[str, Any] = {"name": entry.name}
    if entry.agent_id is not None:
        agent["adopt"] = entry.agent_id
    if entry.body is not None:
        if shared:
            agent["profile"] = PROFILE
        agent |= _rest(entry.body, shared)
    return agent


def marked(text: str, gaps: Sequence[tuple[int, str]]) -> str:
    """The text of a file with a comment over each line, from 1, at which something is left to a person."""
    lines = text.split("\n")
    for line, what in sorted(set(gaps), reverse=True):
        below = lines[line - 1]
        margin = below[: len(below) - len(below.lstrip())]
        lines.insert(line - 1, f"{margin}# gap: {visible(what)}")
    return "\n".join(lines)
