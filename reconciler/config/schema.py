"""The JSON Schemas of a fleet's files, for editors and for other tools.

There are two. `fleet_schema` is for what users write: layers are partial, null removes a value, and a template may
replace any value. `rendered_schema` is for what `render` prints: whole agents, without templates. The service's part
comes from the types of `properties`, ours from `keys`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from reconciler.config.own_schema import closed, own_definitions, rendered_lifecycle
from reconciler.config.schema_errors import RESERVED
from reconciler.config.value_types import Schema
from reconciler.contract.jsonschema import properties_schema
from reconciler.model.address import ENVIRONMENT, FLEET
from reconciler.model.observed import AGENT_ID

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final = {"$ref": "#/$defs/template"}
_NARROWS: Final = frozenset({"anyOf", "const", "enum", "maxLength", "minLength", "pattern"})
_ABOUT: Final[tuple[str, ...]] = ("title", "description", "deprecated", "examples")


def fleet_schema() -> Schema:
    """Return the schema of `fleet.yaml` and of the files that it includes."""
    own = own_definitions(_authored)
    service = _service_part(authored=True)
    return {
        "$schema": DIALECT,
        "title": "A fleet of voice agents",
        "description": "fleet.yaml, or a file that it includes: the desired agents, per channel.",
        "if": {"required": ["fleet"]},
        "then": {"$ref": "#/$defs/fleet"},
        "else": {"$ref": "#/$defs/agents_file"},
        "$defs": {**own, **service},
    }


def rendered_schema() -> Schema:
    """Return the schema of what `render` prints."""
    agent = closed(
        {
            "properties": {"$ref": "#/$defs/Properties"},
            "preset": _text("Names of presets, separated by commas."),
            "pipeline_id": _text("The published agent that properties override."),
            "lifecycle": rendered_lifecycle(),
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
