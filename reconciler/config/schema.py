"""The files' shape as JSON Schema, for editors and for other tools.

Two views of one thing. `fleet_schema` is what people write: layers are partial, null removes, and a template may
stand for any value. `rendered_schema` is what `render` prints: whole agents, without templates. The service's part
comes from the model of `properties`, ours from the tables here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler import durations
from reconciler.model.address import AGENT, CHANNEL, ENVIRONMENT, FLEET
from reconciler.model.fleet import Area
from reconciler.model.properties import Properties
from reconciler.model.spec import ReplaceOrder
from reconciler.services import SERVICES, kinds

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final = {"$ref": "#/$defs/template"}
_ABOUT: Final[tuple[str, ...]] = ("title", "description", "deprecated", "examples")


def fleet_schema() -> Schema:
    """The schema of `fleet.yaml` and of the files that it includes."""
    own = _own()
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
    """The schema of what `render` prints."""
    lifecycle = _object(
        _LIFECYCLE, "How an agent lives; every default filled in.", required=tuple(_LIFECYCLE)
    )
    agent = _object(
        {
            "properties": {"$ref": "#/$defs/Properties"},
            "preset": _text("Names of presets, separated by commas."),
            "pipeline_id": _text("The published agent that properties override."),
            "lifecycle": lifecycle,
            "previously": _list(_text("An address."), "Addresses that this agent had before."),
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
    return Properties.model_json_schema()


def _service_part(*, authored: bool) -> Schema:
    """The definitions of `properties`; as authors may write them, if asked."""
    whole = dict(_model_schema())
    parts: Schema = dict(whole.pop("$defs", {}))
    parts["Properties"] = whole
    if authored:
        parts = {name: _authored(part, top=True) for name, part in parts.items()}
    return dict(sorted(parts.items()))


def _authored(node: Any, *, top: bool = False) -> Any:
    """A schema that takes parts of the whole: nothing required, null to remove, a template for any value."""
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
        elif key in ("anyOf", "items", "additionalProperties"):
            made[key] = _authored(value)
        elif key not in ("required", "discriminator", "minProperties"):
            made[key] = value
    return made if top else _or_template(made)


def _or_template(schema: Schema) -> Schema:
    """A schema, or a template, or null; what says something about the value stays outside."""
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


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _object(properties: Schema, description: str, required: tuple[str, ...] = ()) -> Schema:
    made: Schema = {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }
    return {**made, "required": list(required)} if required else made


def _map(values: Schema, description: str, names: str | None = None) -> Schema:
    made: Schema = {"type": "object", "description": description, "additionalProperties": values}
    return made if names is None else {**made, "propertyNames": {"pattern": f"^(?:{names})$"}}


def _choice(words: Iterable[str], description: str) -> Schema:
    return {"enum": [str(each) for each in words], "description": description}


def _names(description: str) -> Schema:
    return {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": description,
    }


def _share(description: str) -> Schema:
    share = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3})? ?%$"}
    return {
        "anyOf": [{"type": "integer", "minimum": 0}, share],
        "description": description,
        "examples": [5, "30%"],
    }


_ANYTHING: Final[Schema] = {"description": "Any value; templates in it are rendered when something needs it."}
_VARIABLES: Final = _map(_ANYTHING, "Variables for templates, by name.", "[A-Za-z][A-Za-z0-9_]*")
_LIFECYCLE: Final[Schema] = {
    "rotate_after": _text(
        "Age at which the agent is replaced; the service ends it at 72h. Default 60h.", durations.PATTERN
    ),
    "token_ttl": _text(
        "Life of the agent's token, renewed at half of it. At most and by default 24h.", durations.PATTERN
    ),
    "replace": _choice(ReplaceOrder, "Which comes first when the agent is replaced. Default leave-first."),
    "protect": {
        "type": "boolean",
        "description": "Never leave or replace this agent. Left out: as it was said last, or false.",
    },
    "paused": {"type": "boolean", "description": "The agent is to be absent. Default false."},
    "ignore_changes": _list(
        _text("A path such as llm.greeting_message."),
        "Paths sent at join and neither compared nor sent afterwards.",
    ),
}
_BODY: Final[Schema] = {
    "properties": {"$ref": "#/$defs/Properties"},
    "preset": _text("Names of presets, separated by commas. Deprecated by the service."),
    "pipeline_id": _text("A published agent that properties override."),
    "lifecycle": {"$ref": "#/$defs/lifecycle"},
}
_LOOP: Final[Schema] = {
    "for_each": {
        "description": "A list, or a mapping (items are then {key, value}): one block for each item."
    },
    "as": _text("What templates call the item. Default: item for channels, each for agents."),
    "when": {"description": "true or false: whether the block is wanted."},
    "variables": _VARIABLES,
}
_SERVICE: Final[Schema] = {
    "kind": _choice(kinds(), "; ".join(f"{each.kind} {each.summary}" for each in SERVICES) + "."),
    "area": _choice(Area, "Area of the service's hosts. Left out: the global host."),
    "app_id": _text("The App ID that is expected; only compared with AGORA_APP_ID.", "[0-9A-Fa-f]{32}"),
}
_LIMITS: Final[Schema] = {
    "leave": _share("How many agents one apply may leave. Default 30%."),
    "replace": _share("How many agents one apply may replace."),
    "join": _share("How many agents one apply may join."),
    "quota": {"type": "integer", "minimum": 0, "description": "How many live agents the App ID may have."},
    "usd_per_day": {
        "type": "number",
        "minimum": 0,
        "description": "What all agents together may cost a day.",
    },
    "usd_per_minute": {
        "type": "number",
        "minimum": 0,
        "description": "Price of an agent's minute. Default 0.10.",
    },
}


def _own() -> Schema:
    """The definitions of our own words."""
    return {
        "template": {
            "type": "string",
            "pattern": r"\{\{|\{%",
            "description": "A Jinja template; exactly one {{ expression }} keeps its type.",
        },
        "fleet": _fleet(),
        "agents_file": _object(
            {"variables": _VARIABLES, "channels": {"$ref": "#/$defs/channels"}},
            "Agents, in a file of their own.",
        ),
        "channels": _list({"$ref": "#/$defs/channel"}, "The channels and their agents."),
        "channel": _object(
            {
                "channel": _template_or(_text("The RTC channel's name.", CHANNEL.pattern)),
                "agents": _list({"$ref": "#/$defs/agent"}, "The agents of this channel."),
                **_LOOP,
            },
            "One channel, or one for each item of a list.",
            required=("channel", "agents"),
        ),
        "agent": _object(
            {
                "name": _template_or(
                    _text("The agent's name; its address is <channel>/<name>.", AGENT.pattern)
                ),
                "profile": _names("One profile, or several from the lowest to the highest."),
                "previously": _list(
                    _text("An address, <channel>/<name>."), "Addresses that this agent had before."
                ),
                **_authored_values(_BODY),
                **_LOOP,
            },
            "One agent, or one for each item of a list.",
            required=("name",),
        ),
        "lifecycle": _object(_authored_values(_LIFECYCLE), "How an agent lives."),
        "layer": _object(_authored_values(_BODY), "A part of an agent's body."),
        "service": _object(_SERVICE, "Whom the fleet talks to."),
        "limits": _object(_LIMITS, "How much one apply may do."),
    }


def _fleet() -> Schema:
    profile = {"extends": _names("Profiles below this one, left to right."), **_authored_values(_BODY)}
    environment = {
        "service": {"$ref": "#/$defs/service"},
        "variables": _VARIABLES,
        "limits": {"$ref": "#/$defs/limits"},
        "overrides": {"$ref": "#/$defs/layer"},
    }
    return _object(
        {
            "fleet": _text("The fleet's name, a part of every agent's name on the service.", FLEET.pattern),
            "service": {"$ref": "#/$defs/service"},
            "include": _names("Patterns of the files that belong to the fleet. Default: agents/*.yaml."),
            "variables": _VARIABLES,
            "defaults": {"$ref": "#/$defs/layer"},
            "profiles": _map(_object(profile, "A part of agents that has a name."), "Profiles by name."),
            "limits": {"$ref": "#/$defs/limits"},
            "environments": _map(
                {"anyOf": [_object(environment, "What differs in one environment."), {"type": "null"}]},
                "Environments by name.",
                ENVIRONMENT.pattern,
            ),
            "channels": {"$ref": "#/$defs/channels"},
        },
        "fleet.yaml: the fleet as a whole.",
        required=("fleet",),
    )


def _template_or(schema: Schema) -> Schema:
    description = {"description": schema["description"]}
    return {**description, "anyOf": [{k: v for k, v in schema.items() if k != "description"}, _TEMPLATE]}


def _authored_values(properties: Schema) -> Schema:
    return {name: _authored(part) for name, part in properties.items()}
