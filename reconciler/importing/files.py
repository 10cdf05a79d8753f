"""Entries -> the texts of a fleet's files: one entry for each agent, and a profile with what all agents share."""

from __future__ import annotations

import json
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
# Properties that belong to one agent and are never put into a profile.
_OWN: Final = frozenset({"agent_rtc_uid"})


@dataclass(slots=True)
class ImportedFleet:
    """The files by their path, the variables to set before an apply, and notes for the user."""

    files: dict[str, str]
    names: Names
    notes: list[str] = field(default_factory=list)


def fleet_of(
    fleet: str, service: Mapping[str, str], bodies: Sequence[JoinBody], running: Sequence[RunningAgent] = ()
) -> ImportedFleet:
    """Return the files of a fleet made of join bodies and running agents; see `entries_of` for how they are matched.

    `service` is the fleet's block of that name; what the sources say of the service is added to it. Raises
    `Unimportable` with the problems of all bodies.
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
    """Return the part that all bodies have in common; empty for a single body."""
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
    """Return the part of a body that is not in the shared part."""
    rest: dict[str, Any] = {}
    for key, value in body.items():
        if key not in shared:
            rest[key] = value
        elif isinstance(value, dict) and value and (below := _rest(value, shared[key])):
            rest[key] = below
    return rest


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two values are equal in JSON: `1`, `1.0` and `true` are three values."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


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
        # Each agent with an unknown channel gets a block of its own, whose channel is a gap.
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
    """Return a file's text with a comment above each line (from 1) that has a gap."""
    lines = text.split("\n")
    for line, what in sorted(set(gaps), reverse=True):
        below = lines[line - 1]
        margin = below[: len(below) - len(below.lstrip())]
        lines.insert(line - 1, f"{margin}# gap: {visible(what)}")
    return "\n".join(lines)
