"""The JSON Schemas of a fleet's files and of a policy's, for editors and for other tools.

A fleet has two. `fleet_schema` is for what users write: layers are partial, null removes a value, and a template may
replace any value. `rendered_schema` is for what `render` prints: whole agents, without templates. The service's part
comes from the types of `properties`, ours from `keys`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler.config.keys import BODY, IGNORED, KEYS, MAY_IGNORE, Key
from reconciler.config.schema_errors import RESERVED
from reconciler.config.value_types import Schema, Shape
from reconciler.contract.jsonschema import properties_schema
from reconciler.model.address import ENVIRONMENT, FLEET
from reconciler.model.observed import AGENT_ID

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final[Schema] = {"$ref": "#/$defs/template"}
_NARROWS: Final = frozenset({"anyOf", "const", "enum", "maxLength", "minLength", "pattern"})
_ABOUT: Final[tuple[str, ...]] = ("title", "description", "deprecated", "examples")


def fleet_schema() -> Schema:
    """Return the schema of `fleet.yaml` and of the files that it includes."""
    service = _service_part(authored=True)
    return {
        "$schema": DIALECT,
        "title": "A fleet of voice agents",
        "description": "fleet.yaml, or a file that it includes: the desired agents, per channel.",
        "if": {"required": ["fleet"]},
        "then": {"$ref": "#/$defs/fleet"},
        "else": {"$ref": "#/$defs/agents_file"},
        "$defs": {**_own_definitions(), **service},
    }


def rendered_schema() -> Schema:
    """Return the schema of what `render` prints."""
    agent = _closed(
        {
            "properties": {"$ref": "#/$defs/Properties"},
            "preset": _text("Names of presets, separated by commas."),
            "pipeline_id": _text("The published agent that properties override."),
            "lifecycle": _rendered_lifecycle(),
            "previously": {
                "type": "array",
                "items": _text("An address."),
                "description": "Addresses that this agent had before.",
            },
            "adopt": _text("The running agent to take over.", AGENT_ID),
        },
        "One agent, as it is sent, with secrets as references.",
        required=("properties", "lifecycle"),
    )
    return {
        "$schema": DIALECT,
        "title": "A rendered fleet",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "fleet", "environment", "agents"],
        "properties": {
            "version": {"const": 1, "description": "The version of this form."},
            "fleet": _text("The fleet's name.", FLEET.pattern),
            "environment": {"anyOf": [_text("The environment.", ENVIRONMENT.pattern), {"type": "null"}]},
            "agents": {
                "type": "object",
                "description": "The agents by address, <channel>/<name>.",
                "additionalProperties": {"$ref": "#/$defs/agent"},
            },
        },
        "$defs": {"agent": agent, **_service_part(authored=False)},
    }


@functools.cache
def _model_schema() -> Mapping[str, Any]:
    return properties_schema()


def _service_part(*, authored: bool) -> Schema:
    """Return the definitions of `properties`; with `authored`, as the files may write them."""
    whole = dict(_model_schema())
    parts: Schema = dict(whole.pop("$defs", {}))
    parts["Properties"] = {
        **whole,
        "patternProperties": {f"^({'|'.join(str(name) for (name,) in RESERVED)})$": False},
    }
    if authored:
        parts = {name: _authored(part, top=True) for name, part in parts.items()}
    return dict(sorted(parts.items()))


def _authored(node: Any, *, top: bool = False) -> Any:
    """Return a schema that accepts parts of the whole: nothing required, null to remove, a template for any value."""
    if isinstance(node, list):
        return [_authored(each) for each in node]
    if not isinstance(node, dict):
        return node
    made: Schema = {}
    for key, value in node.items():
        if key == "properties" and isinstance(value, dict):
            made[key] = {name: _authored(part) for name, part in value.items()}
        elif key == "oneOf":
            made["anyOf"] = [_authored(each, top=True) for each in value]
        elif key == "allOf":
            made[key] = _by_word(value)
        elif key == "title":
            continue  # it only repeats the key's name
        elif key in ("anyOf", "items", "additionalProperties"):
            made[key] = _authored(value)
        elif key not in ("required", "discriminator", "minProperties"):
            made[key] = value
    return made if top else _or_template(made)


def _by_word(choices: list[Schema]) -> list[Schema]:
    """Return the shapes that a word chooses from; where a layer does not write that word, any of them is accepted."""
    shapes = {str(each["then"]): each["then"] for each in choices}
    asked = [each for each in choices if "required" in each["if"]]
    [telling] = asked[0]["if"]["required"]
    return [*asked, {"if": {"not": {"required": [telling]}}, "then": {"anyOf": list(shapes.values())}}]


def _or_template(schema: Schema) -> Schema:
    """Return a schema that also accepts a template or null; descriptions stay outside of its `anyOf`."""
    if schema.get("type") == "string" and not schema.keys() & _NARROWS:
        return {**schema, "type": ["string", "null"]}  # a template is a text, too
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], _TEMPLATE, {"type": "null"}]}
    if not (schema.keys() & {"type", "enum", "const", "$ref"}):
        return schema
    outside: Schema = {key: value for key, value in schema.items() if key in _ABOUT}
    inside = {key: value for key, value in schema.items() if key not in outside}
    return {**outside, "anyOf": [inside, _TEMPLATE, {"type": "null"}]}


def _text(description: str, pattern: str | None = None) -> Schema:
    made: Schema = {"type": "string", "description": description}
    return made if pattern is None else {**made, "pattern": f"^(?:{pattern})$"}


# --- our own keys

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


def _own_definitions() -> Schema:
    """Return the definitions of our own blocks."""
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
        **{name: _block(block, about, _authored) for name, (block, about) in _BLOCKS.items()},
    }


def policy_schema() -> Schema:
    """Return the schema of a policy's file."""
    blocks = _POLICY_BLOCKS.items()
    return {
        "$schema": DIALECT,
        "title": "A policy for fleets of voice agents",
        "$ref": "#/$defs/policy",
        "$defs": {name: _block(block, about, lambda each: each) for name, (block, about) in blocks},
    }


def _rendered_lifecycle() -> Schema:
    """Return the schema of the `lifecycle` that `render` prints: every key, no template."""
    keys = KEYS["lifecycle"]
    properties = {name: _described(key) for name, key in keys.items()}
    return _closed(properties, "How an agent lives; every default filled in.", tuple(keys))


def _closed(properties: Schema, description: str, required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    made: Schema = {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }
    return {**made, "required": list(required)} if required else made


def _described(key: Key) -> Schema:
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
        made = _described(key)
        if name == "lifecycle" or each in BODY:
            made = authored(made)
        elif key.required and key.type.shape is Shape.TEXT and not key.static:
            made = _text_or_template(made)
        properties[each] = made
    made = _closed(properties, about, tuple(each for each, key in keys.items() if key.required))
    return {**made, "patternProperties": {f"^{IGNORED}": True}} if name in MAY_IGNORE else made


def _text_or_template(schema: Schema) -> Schema:
    inside = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema["description"], "anyOf": [inside, _TEMPLATE]}
