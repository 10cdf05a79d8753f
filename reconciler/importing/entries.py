"""Join bodies and running agents -> entries of a fleet: credentials replaced, templates escaped, names distinct."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from reconciler.config.expand.composer import declared_names, protection
from reconciler.config.yaml.scalars import CONTROL, is_template
from reconciler.contract.agora.avatar import LATEST_ROTATION, avatar_uid
from reconciler.contract.literals import KEY_LIKE
from reconciler.durations import spelled
from reconciler.importing.bodies import JoinBody
from reconciler.importing.problems import SourceLine, Unimportable, not_set, raise_all
from reconciler.importing.references import Names, names_written, put_references, sweep
from reconciler.importing.shell import filled, unset
from reconciler.model.address import AGENT, CHANNEL, AgentName
from reconciler.model.spec import Lifecycle
from reconciler.model.tree import Path, dotted, value_at
from reconciler.values import dataclass

_TAKEN_OUT: Final = ("channel", "token")
_TOP: Final = ("preset", "pipeline_id")
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """The facts of a running agent that the service returns; `channel` is None if it is not among them."""

    agent_id: str
    name: str
    channel: str | None = None


@dataclass(slots=True)
class ImportedAgent:
    """One agent of the new fleet; `body` is None if the service does not return it."""

    channel: str | None
    name: str
    body: dict[str, Any] | None = None
    agent_id: str | None = None
    service_name: str = ""


def entries_of(
    bodies: Sequence[JoinBody], running: Sequence[RunningAgent], names: Names, notes: list[str]
) -> list[ImportedAgent]:
    """Return an entry for each body and each running agent; an agent with a body's name and channel joins its entry.

    Adds to `names` and `notes`. Raises `Unimportable` with the problems of all bodies.
    """
    entries = _entries(bodies, names, notes)
    _match(entries, running, notes)
    _make_distinct(entries, notes)
    return entries


def _entries(bodies: Sequence[JoinBody], names: Names, notes: list[str]) -> list[ImportedAgent]:
    entries: list[ImportedAgent] = []
    problems: list[Unimportable] = []
    seen: dict[str, SourceLine] = {}
    for body in bodies:
        names.taken.update(names_written(body.tree["properties"]))
    for body in bodies:
        try:
            entry = _entry(body, names, notes)
        except Unimportable as problem:
            problems.append(problem)
            continue
        whole = json.dumps([entry.channel, entry.service_name, entry.body], sort_keys=True)
        if whole in seen:
            notes.append(f"{body.at}: the same agent as at {seen[whole]}; taken once")
            continue
        seen[whole] = body.at
        entries.append(entry)
    raise_all(problems)
    written = [each.body for each in entries if each.body is not None]
    sweep([each["properties"] for each in written], names)
    for each in written:
        each["properties"] = _escaped(each["properties"])
    return entries


def _entry(body: JoinBody, names: Names, notes: list[str]) -> ImportedAgent:
    properties = body.tree["properties"]
    kept = {key: value for key, value in properties.items() if key not in _TAKEN_OUT}
    kept = _cleaned(kept, (), body, notes)
    unfilled = put_references(kept, body.variables, names, str(body.at))
    texts = (*_around(body), *((dotted(path), value_at(kept, path)) for path in unfilled))
    if uses := [(name, place) for place, text in texts for name in unset(str(text))]:
        raise not_set(body.at, uses)
    channel = _told(properties, "channel", body)
    name = _told(body.tree, "name", body)
    if channel is not None and CHANNEL.fullmatch(channel) is None:
        raise Unimportable.at(
            body.at,
            "the service takes no channel of this name",
            "at most 63 letters, digits and signs, no slash",
        )
    tree: dict[str, Any] = {"properties": kept}
    if avatar_uid(kept) is not None:  # an avatar's token ends before the agent does
        tree["lifecycle"] = {"rotate_after": spelled(LATEST_ROTATION - Lifecycle().rotate_spread)}
    for key in _TOP:
        if isinstance(value := _told(body.tree, key, body), str):
            tree[key] = value
    if left := sorted(body.tree.keys() - {"name", "properties", *_TOP}):
        notes.append(f"{body.at}: left out, since a join has no such key: {', '.join(left)}")
    return ImportedAgent(channel, _legal(name or ""), tree, service_name=name or "")


def _around(body: JoinBody) -> Iterator[tuple[str, str]]:
    """Yield the texts beside the properties, as far as their variables are known, each with its key."""
    for key in ("channel", "name", *_TOP):
        value = (body.tree["properties"] if key == "channel" else body.tree).get(key)
        if isinstance(value, str):
            yield key, filled(value, body.variables)


def _told(tree: dict[str, Any], key: str, body: JoinBody) -> str | None:
    """Return the text under a key with its variables filled in; None if it is absent. Raises `Unimportable`."""
    value = tree.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unimportable.at(body.at, f"the {key} is no text")
    text = filled(value, body.variables)
    if KEY_LIKE.search(text) or CONTROL.search(text):
        raise Unimportable.at(body.at, f"the {key} holds what looks like a key, or a control character")
    return text


def _cleaned(value: Any, path: Path, body: JoinBody, notes: list[str]) -> Any:
    """Return a copy of a value without nulls and control characters; each removal is added to `notes`."""
    if isinstance(value, dict):
        if empty := [key for key, below in value.items() if below is None]:
            notes.append(
                f"{body.at}: {dotted((*path, empty[0]))} is null, which is the same as absent; left out"
            )
        return {
            key: _cleaned(below, (*path, key), body, notes)
            for key, below in value.items()
            if below is not None
        }
    if isinstance(value, list):
        return [_cleaned(below, (*path, index), body, notes) for index, below in enumerate(value)]
    if isinstance(value, str) and CONTROL.search(value):
        notes.append(f"{body.at}: the control characters of {dotted(path)} were left out")
        return CONTROL.sub("", value)
    return value


def _escaped(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties in which no text is read as a template; the service's own variables stay as they are."""
    llm = properties.get("llm")
    own = protection(declared_names(llm.get("template_variables")) if isinstance(llm, dict) else frozenset())

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: walk(below, (*path, key)) for key, below in value.items()}
        if isinstance(value, list):
            return [walk(below, (*path, index)) for index, below in enumerate(value)]
        if isinstance(value, str) and is_template(value):
            return escaped(value, own(path))
        return value

    walked: dict[str, Any] = walk(properties, ("properties",))
    return walked


_BARE: Final = re.compile(r"\{\{ ?([A-Za-z_]\w*)((?:\.\w+)*) ?\}\}")


def escaped(text: str, own: frozenset[str] = frozenset()) -> str:
    """Return a text that Jinja renders to the given one. The service's `own` variables need no escape."""

    def kept(found: re.Match[str]) -> str:
        return "" if found[1] + found[2] in own or f"{found[1]}.*" in own else found[0]

    if not is_template(_BARE.sub(kept, text)):
        return text
    if "\r" not in text and re.search(r"\{%[-+]?\s*endraw", text) is None:
        return f"{{% raw %}}{text}{{% endraw %}}"
    # Jinja turns every line break into "\n", except inside a string.
    return text.replace("{", "{{ '{' }}").replace("\r", '{{ "\\r" }}')


def _legal(name: str) -> str:
    """Return a valid agent name that is like a name on the service."""
    ours = AgentName.parse(name)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", ours.readable if ours else name).strip("-_")[:_LONGEST_NAME]
    return plain if AGENT.fullmatch(plain) else "agent"


# --- what runs --------------------------------------------------------------------------------------------------


def _match(entries: list[ImportedAgent], running: Sequence[RunningAgent], notes: list[str]) -> None:
    """Set the agent id of each entry by name and channel; add an entry for every other running agent."""
    by_name: dict[str, list[RunningAgent]] = {}
    for agent in running:
        by_name.setdefault(agent.name, []).append(agent)
    matched: set[str] = set()
    for entry in entries:
        found = [
            each
            for each in by_name.get(entry.service_name, ())
            if entry.service_name and each.channel in (None, entry.channel) and each.agent_id not in matched
        ]
        if len(found) == 1:
            entry.agent_id = found[0].agent_id
            matched.add(entry.agent_id)
        elif running:
            notes.append(
                f"no agent that runs is certainly {entry.channel or '?'}/{entry.name}; an apply would join it"
            )
    entries += [
        ImportedAgent(each.channel, _legal(each.name), agent_id=each.agent_id, service_name=each.name)
        for each in running
        if each.agent_id not in matched
    ]


def _make_distinct(entries: list[ImportedAgent], notes: list[str]) -> None:
    """Give entries of one channel different names, because an address is declared once."""
    taken: set[tuple[str | None, str]] = set()
    for entry in entries:
        wish, number = entry.name, 1
        while (entry.channel, entry.name) in taken:
            number += 1
            entry.name = f"{wish[: _LONGEST_NAME - 8]}-{number}"
        taken.add((entry.channel, entry.name))
        if number > 1:
            notes.append(f"two agents {entry.channel or '?'}/{wish}: one is called {entry.name} now")
