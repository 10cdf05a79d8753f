"""Our own words in the files: which keys stand in which block, and what they hold. Only tables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What a key of ours may hold, in the words of a message."""

    MAPPING = "a mapping"
    LIST = "a list"
    TEXT = "a text"
    NAMES = "a name or a list of names"
    ANY = "anything"


_BODY = {"preset": Kind.ANY, "pipeline_id": Kind.ANY, "properties": Kind.ANY, "lifecycle": Kind.ANY}
_LOOP = {"for_each": Kind.ANY, "as": Kind.TEXT, "when": Kind.ANY, "variables": Kind.MAPPING}

# Section -> its keys. Whatever else stands there is a mistake.
KEYS: Mapping[str, Mapping[str, Kind]] = {
    "fleet.yaml": {
        "fleet": Kind.TEXT,
        "service": Kind.MAPPING,
        "include": Kind.NAMES,
        "variables": Kind.MAPPING,
        "defaults": Kind.MAPPING,
        "profiles": Kind.MAPPING,
        "limits": Kind.MAPPING,
        "environments": Kind.MAPPING,
        "channels": Kind.LIST,
    },
    "agents file": {"variables": Kind.MAPPING, "channels": Kind.LIST},
    "defaults": _BODY,
    "overrides": _BODY,
    "profile": {"extends": Kind.NAMES, **_BODY},
    "environment": {
        "service": Kind.MAPPING,
        "variables": Kind.MAPPING,
        "limits": Kind.MAPPING,
        "overrides": Kind.MAPPING,
    },
    "channel": {"channel": Kind.TEXT, "agents": Kind.LIST, **_LOOP},
    "agent": {"name": Kind.TEXT, "profile": Kind.ANY, "previously": Kind.ANY, **_BODY, **_LOOP},
    "service": {"kind": Kind.TEXT, "area": Kind.TEXT, "app_id": Kind.TEXT},
    "limits": {
        "leave": Kind.ANY,
        "replace": Kind.ANY,
        "join": Kind.ANY,
        "quota": Kind.ANY,
        "usd_per_day": Kind.ANY,
        "usd_per_minute": Kind.ANY,
    },
    "lifecycle": {
        "rotate_after": Kind.ANY,
        "token_ttl": Kind.ANY,
        "replace": Kind.ANY,
        "protect": Kind.ANY,
        "paused": Kind.ANY,
        "ignore_changes": Kind.ANY,
    },
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "fleet.yaml": ("fleet",),
    "channel": ("channel", "agents"),
    "agent": ("name",),
}
# Keys whose value must be known before anything is rendered.
STATIC = ("fleet", "include", "service", "limits", "extends", "as")
MEANT: Mapping[str, str] = {
    "templates": "profiles",
    "vars": "variables",
    "overlay": "overrides",
    "environment": "environments",
    "env": "environments",
    "default": "defaults",
    "id": "name",
    "profiles": "profile",
    "foreach": "for_each",
    "if": "when",
}
