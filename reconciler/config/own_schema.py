"""The JSON Schema of our own keys in a fleet's files, built from `keys`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.config.keys import BODY, IGNORED, KEYS, MAY_IGNORE, Key
from reconciler.config.value_types import Schema, Shape

_TEMPLATE: Final[Schema] = {"$ref": "#/$defs/template"}
# Name of a definition -> the block of `KEYS`, and its description.
_BLOCKS: Final[Mapping[str, tuple[str, str]]] = {
    "fleet": ("fleet.yaml", "fleet.yaml: the fleet as a whole."),
    "ignored": ("ignore", "A warning that was read and is accepted."),
    "archive": ("archive", "Where transcripts are kept."),
    "freeze": ("freeze", "A time until which changes are held."),
    "agents_file": ("agents file", "Agents, in a file of their own."),
    "channel": ("channel", "One channel, or one for each item of a list."),
    "agent": ("agent", "One agent, or one for each item of a list."),
    "profile": ("profile", "A part of agents that has a name."),
    "environment": ("environment", "What differs in one environment."),
    "lifecycle": ("lifecycle", "How an agent lives."),
    "layer": ("defaults", "A part of an agent's body."),
    "service": ("service", "Whom the fleet talks to."),
    "limits": ("limits", "How much one apply may do."),
}
_POLICY_BLOCKS: Final[Mapping[str, tuple[str, str]]] = {
    "policy": ("policy", "What a team lets no change of its fleets do."),
    **{name: _BLOCKS[name] for name in ("limits", "freeze")},
}
_NO_DEFAULT: Final = ("none", "below")


def own_definitions(authored: Callable[[Schema], Schema]) -> Schema:
    """Return the definitions of our own blocks; `authored` makes a layer's value accept null or a template too."""
    return {
        "template": {
            "type": "string",
            "pattern": r"\{\{|\{%",
            "description": "A Jinja template; exactly one {{ expression }} keeps its type.",
        },
        "channels": {
            "type": "array",
            "items": {"$ref": "#/$defs/channel"},
            "description": "The channels and their agents.",
        },
        **{name: _block(block, about, authored) for name, (block, about) in _BLOCKS.items()},
    }


def policy_definitions() -> Schema:
    """Return the definitions of a policy's blocks."""
    return {name: _block(block, about, lambda each: each) for name, (block, about) in _POLICY_BLOCKS.items()}


def rendered_lifecycle() -> Schema:
    """Return the schema of the `lifecycle` that `render` prints: every key, no template."""
    keys = KEYS["lifecycle"]
    properties = {name: described(key) for name, key in keys.items()}
    return closed(properties, "How an agent lives; every default filled in.", tuple(keys))


def closed(properties: Schema, description: str, required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    made: Schema = {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }
    return {**made, "required": list(required)} if required else made


def described(key: Key) -> Schema:
    """Return the schema of a key's value with the key's description; a reference has its own description."""
    schema = key.type.schema
    if "$ref" in schema:
        return schema
    about = f"{key.about[0].upper()}{key.about[1:]}."
    if not key.required and key.default not in _NO_DEFAULT:
        about += f" Default: {key.default}."
    return {**schema, "description": about.replace("`", "")}


def _block(name: str, about: str, authored: Callable[[Schema], Schema]) -> Schema:
    keys = KEYS[name]
    properties: Schema = {}
    for each, key in keys.items():
        made = described(key)
        if name == "lifecycle" or each in BODY:
            made = authored(made)
        elif key.required and key.type.shape is Shape.TEXT and not key.static:
            made = _or_template(made)
        properties[each] = made
    made = closed(properties, about, tuple(each for each, key in keys.items() if key.required))
    return {**made, "patternProperties": {f"^{IGNORED}": True}} if name in MAY_IGNORE else made


def _or_template(schema: Schema) -> Schema:
    inside = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema["description"], "anyOf": [inside, _TEMPLATE]}
