"""Plain trees -> agents: our own words closed, the service's checked by its own model.

The happy path of an agent is one look-up of its lifecycle and one `model_validate`. Places are sought only for
what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from reconciler.config.keys import KEYS
from reconciler.config.schema_errors import property_problems
from reconciler.config.trouble import Trouble
from reconciler.config.words import Wrong, boolean, duration, shown, word
from reconciler.diagnostics import did_you_mean
from reconciler.model.address import AGENT, CHANNEL, Address
from reconciler.model.properties import Properties
from reconciler.model.spec import HOUR, AgentSpec, Body, Lifecycle, ReplaceOrder
from reconciler.model.tree import Path, Tree, parse_dotted

MAX_LIFETIME = 72 * HOUR
MAX_TOKEN_TTL = 24 * HOUR
MIN_DURATION = 60.0
MAX_CHANNEL = 63

_LIFECYCLE: Mapping[str, Callable[[Any], Any]] = {
    "rotate_after": lambda value: duration(value, MIN_DURATION, MAX_LIFETIME),
    "token_ttl": lambda value: duration(value, MIN_DURATION, MAX_TOKEN_TTL),
    "replace": lambda value: word(value, ReplaceOrder),
    "protect": boolean,
    "paused": boolean,
    "ignore_changes": lambda value: tuple(_ignored(value)),
}


class Parser:
    """Turns rendered trees into agents; remembers what many agents have in common."""

    def __init__(self) -> None:
        self._lifecycles: dict[bytes, Lifecycle] = {}
        self._channels: set[str] = set()
        self._validate = Properties.model_validate

    def agent(
        self, channel: Any, name: Any, tree: Mapping[str, Any]
    ) -> tuple[AgentSpec | None, list[Trouble]]:
        """The agent of one rendered tree, and what is wrong with it; no agent where it has no address."""
        troubles: list[Trouble] = []
        if channel not in self._channels if channel.__class__ is str else True:
            self._check_channel(channel, troubles)
        if name.__class__ is not str or AGENT.fullmatch(name) is None:
            troubles.append(_bad_name(name))
        properties = tree.get("properties", _NOTHING)
        if properties.__class__ is not dict:
            troubles.append(
                Trouble(
                    "wrong-type", f"properties must be a mapping, not {shown(properties)}", ("properties",)
                )
            )
            properties = {}
        else:
            try:
                self._validate(properties)
            except ValidationError as error:
                troubles += property_problems(error, properties)
        lifecycle = self._lifecycle(tree.get("lifecycle"), troubles)
        previously = tree.get("previously")
        renamed = tuple(_addresses(previously, troubles)) if previously is not None else ()
        body = Body(properties, _text(tree, "preset", troubles), _text(tree, "pipeline_id", troubles))
        if channel.__class__ is not str or name.__class__ is not str:
            return None, troubles
        return AgentSpec(Address(channel, name), body, lifecycle, renamed), troubles

    def _check_channel(self, channel: Any, troubles: list[Trouble]) -> None:
        if channel.__class__ is str and CHANNEL.fullmatch(channel) is not None:
            self._channels.add(channel)
            return
        long = isinstance(channel, str) and len(channel) > MAX_CHANNEL
        why = f"it is {len(channel)} characters long" if long else None
        help = f"at most {MAX_CHANNEL} letters, digits, spaces and !#$%&()+-:;<=.>?@[]^_{{}}|~,"
        summary = f"{shown(channel)} cannot be the name of a channel"
        troubles.append(Trouble("channel-name", summary, ("channel",), help, why))

    def _lifecycle(self, tree: Any, troubles: list[Trouble]) -> Lifecycle:
        if tree is None:
            return _DEFAULT
        key = orjson.dumps(tree)
        known = self._lifecycles.get(key)
        if known is None:
            before = len(troubles)
            known = _read_lifecycle(tree, troubles)
            if len(troubles) == before:
                self._lifecycles[key] = known
        return known


_NOTHING: dict[str, Tree] = {}
_DEFAULT = Lifecycle()


def _read_lifecycle(tree: Any, troubles: list[Trouble]) -> Lifecycle:
    if not isinstance(tree, dict):
        troubles.append(
            Trouble("wrong-type", f"lifecycle must be a mapping, not {shown(tree)}", ("lifecycle",))
        )
        return _DEFAULT
    values: dict[str, Any] = {}
    for key, value in tree.items():
        path: Path = ("lifecycle", key)
        if key not in _LIFECYCLE:
            known = KEYS["lifecycle"]
            help = did_you_mean(key, known) or f"known: {', '.join(known)}"
            troubles.append(Trouble("unknown-key", f'"{key}" is not a key of lifecycle', path, help))
            continue
        try:
            values[key] = _LIFECYCLE[key](value)
        except Wrong as wrong:
            summary = f"{key} {wrong.summary}" if wrong.rule == "not-boolean" else f"{key}: {wrong.summary}"
            troubles.append(Trouble(wrong.rule, summary, path, wrong.help, at_value=True))
    return Lifecycle(**values)


def _ignored(value: Any) -> Iterable[Path]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Wrong("wrong-type", "must be a list of paths", "write ignore_changes: [llm.greeting_message]")
    for each in value:
        try:
            yield parse_dotted(each.removeprefix("properties."))
        except ValueError as error:
            raise Wrong(
                "ignored-path", str(error), "write it as llm.params or tts.params.voice_name"
            ) from None


def _addresses(value: Any, troubles: list[Trouble]) -> Iterable[Address]:
    if not isinstance(value, list):
        troubles.append(Trouble("wrong-type", "previously must be a list of addresses", ("previously",)))
        return
    for index, each in enumerate(value):
        try:
            yield Address.parse(each if isinstance(each, str) else shown(each))
        except ValueError as error:
            troubles.append(Trouble("bad-address", str(error), ("previously", index)))


def _text(tree: Mapping[str, Any], key: str, troubles: list[Trouble]) -> str | None:
    value = tree.get(key)
    if value is None or value.__class__ is str:
        return value
    troubles.append(Trouble("wrong-type", f"{key} must be a text, not {shown(value)}", (key,), "quote it"))
    return None


def _bad_name(name: Any) -> Trouble:
    return Trouble(
        "agent-name",
        f"{shown(name)} cannot be the name of an agent",
        ("name",),
        help="at most 64 letters, digits, - and _, beginning with a letter or digit",
    )
