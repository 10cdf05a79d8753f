"""Our own keys, each declared once.

A row decides which keys a block may have, the JSON Schema (`schema`), how a value is read and printed, and the
tables of examples/FLEET.md. A key of `lifecycle`, `service` or `limits` is also a field of that name in the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.config.value_types import (
    ADDRESSES,
    AMOUNT,
    APP_ID,
    CONDITION,
    COUNT,
    DIRECTORY,
    INSTANT,
    LOOP_ITEMS,
    PATHS,
    RUNNING_AGENT,
    SHARE,
    SWITCH,
    VARIABLES,
    Shape,
    ValueType,
    between,
    choice,
    listing,
    mapping,
    names,
    one_of,
    part,
    several_of,
    text,
)
from reconciler.model.address import AGENT, CHANNEL, ENVIRONMENT, FLEET
from reconciler.model.fleet import Area
from reconciler.model.spec import HOUR, Beside, ReplaceOrder
from reconciler.plan.freeze import FREEZABLE
from reconciler.services import SERVICES, kinds
from reconciler.values import dataclass

REQUIRED: Final = "required"
MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the type of its value, its purpose, and its default as text, or `REQUIRED`.

    A `static` key is read before anything is rendered, so it cannot hold a template.
    """

    type: ValueType
    about: str
    default: str = "none"
    static: bool = False

    @property
    def required(self) -> bool:
        return self.default == REQUIRED


Keys = Mapping[str, Key]

_SERVICE: Final = part("service")
_LIMITS: Final = part("limits")
_LAYER: Final = part("layer", "body")

BODY: Final[Keys] = {
    "properties": Key(
        part("Properties", shape=Shape.ANY), "what Agora's `join` takes under that name, key for key"
    ),
    "preset": Key(
        text_of_body := ValueType("text", {"type": "string"}),
        "names of the service's presets, separated by commas; deprecated by the service",
    ),
    "pipeline_id": Key(text_of_body, "a pipeline published in Agora's console, which `properties` override"),
    "lifecycle": Key(part("lifecycle", shape=Shape.ANY), "how the agent lives", "below"),
}


def _loop(blocks: str, item: str, variables: str) -> Keys:
    """Return the keys that repeat a block."""
    return {
        "for_each": Key(LOOP_ITEMS, f"one {blocks} for each item", "once"),
        "as": Key(text("name"), "what templates call the item", f"`{item}`", static=True),
        "when": Key(CONDITION, "`false`: not this one", "`true`"),
        "variables": Key(VARIABLES, variables),
    }


# Block -> its keys. Any other key in the block is an error.
KEYS: Final[Mapping[str, Keys]] = {
    "fleet.yaml": {
        "fleet": Key(
            text(pattern=FLEET.pattern),
            "the name, a part of every agent's name on the service: a lower-case letter, then letters, digits and `-`, "
            "at most 20",
            REQUIRED,
            static=True,
        ),
        "service": Key(_SERVICE, "whom the fleet talks to", "the simulator", static=True),
        "include": Key(
            names("pattern or list"),
            "the agents files; a pattern that matches nothing is an error, the default excepted",
            "`agents/*.yaml`, `.yml`, `.yaml.j2`",
            static=True,
        ),
        "variables": Key(VARIABLES, "names for templates"),
        "defaults": Key(_LAYER, "merged under every agent"),
        "profiles": Key(
            mapping({"$ref": "#/$defs/profile"}, "mapping of profiles"), "bodies that agents choose by name"
        ),
        "limits": Key(_LIMITS, "how much one apply may do", "below", static=True),
        "environments": Key(
            mapping({"anyOf": [{"$ref": "#/$defs/environment"}, {"type": "null"}]}, keys=ENVIRONMENT.pattern),
            "what differs with `-e NAME`",
        ),
        "archive": Key(
            part("archive"),
            "where what was said is kept when an agent ends by our doing; it is personal data, so nothing is kept unless asked for",
            static=True,
        ),
        "freeze": Key(
            listing({"$ref": "#/$defs/freeze"}, "list of freezes"),
            "times until which changes are held; renewals go on, and so does a rotation with less than 2h left, or with an end before the next run (`--horizon`)",
            static=True,
        ),
        "ignore": Key(
            listing({"$ref": "#/$defs/ignored"}, "list of ignored warnings"),
            "warnings that were read and are accepted",
            static=True,
        ),
        "channels": Key(part("channels", "list", Shape.LIST), "as in an agents file"),
    },
    "archive": {
        "directory": Key(DIRECTORY, "a directory of its own, below the fleet's", REQUIRED, static=True),
        "required": Key(
            SWITCH,
            "`true`: an agent whose transcript cannot be archived is not told to leave",
            "`false`",
            static=True,
        ),
        "every": Key(
            between(MINUTE, 24 * HOUR),
            "how often `watch` brings the transcripts of running agents up to date",
            "`5m`",
            static=True,
        ),
    },
    "policy": {
        "secret_hosts": Key(
            names("host or list"),
            "all hosts that secrets may go to, as danger lines name them; `*.example.com` for those below a domain",
            "any",
            static=True,
        ),
        "limits": Key(_LIMITS, "beside those of each fleet; of two the smaller one counts", static=True),
        "protect": Key(
            names("address, glob or list"),
            "addresses whose agents are neither replaced nor left, whatever the files say",
            static=True,
        ),
        "freeze": Key(
            listing({"$ref": "#/$defs/freeze"}, "list of freezes"), "beside those of each fleet", static=True
        ),
    },
    "freeze": {
        "until": Key(INSTANT, "when it ends by itself", REQUIRED, static=True),
        "reason": Key(text(), "why, for whoever meets it in a plan", REQUIRED, static=True),
        "targets": Key(
            names("address, glob or list"), "which addresses it is for", "`*`, all of them", static=True
        ),
        "kinds": Key(
            several_of(FREEZABLE),
            "which changes it holds",
            "`[update, replace, leave]`",
            static=True,
        ),
    },
    "ignore": {
        "rule": Key(text("id"), "the id that `validate` prints behind the warning", REQUIRED, static=True),
        "path": Key(
            text("path"), "only there and below: `parameters.enable_dump`", "everywhere", static=True
        ),
        "reason": Key(text(), "why it is accepted, for whoever reads the files next", REQUIRED, static=True),
    },
    "agents file": {
        "variables": Key(VARIABLES, "for the agents of this file"),
        "channels": Key(part("channels", "list", Shape.LIST), "the channels and their agents"),
    },
    "defaults": BODY,
    "overrides": BODY,
    "profile": {
        "extends": Key(
            names("name or list"), "profiles below this one, merged from left to right", static=True
        ),
        **BODY,
    },
    "environment": {
        "service": Key(_SERVICE, "over the fleet's, key by key", static=True),
        "variables": Key(VARIABLES, "over the fleet's, name by name"),
        "limits": Key(_LIMITS, "over the fleet's, key by key", static=True),
        "overrides": Key(_LAYER, "merged over every agent"),
    },
    "channel": {
        "channel": Key(
            text(pattern=CHANNEL.pattern), "the RTC channel: at most 63 characters, no slash", REQUIRED
        ),
        "agents": Key(listing({"$ref": "#/$defs/agent"}), "its agents", REQUIRED),
        **_loop("channel", "item", "for its agents"),
    },
    "agent": {
        "name": Key(
            text(pattern=AGENT.pattern),
            "letters, digits, `-`, `_`, at most 64; the address is `<channel>/<name>`",
            REQUIRED,
        ),
        "profile": Key(
            ValueType("name or list", names("").schema), "one profile, or several merged from left to right"
        ),
        "previously": Key(ADDRESSES, "earlier addresses of the same agent"),
        "adopt": Key(
            RUNNING_AGENT, "take this running agent over, as `reconciler adopt` does; nobody is hung up on"
        ),
        **BODY,
        **_loop("agent", "each", "for this agent"),
    },
    "service": {
        "kind": Key(
            one_of(kinds, *(each.summary for each in SERVICES)),
            "; ".join(f"`{each.kind}` {each.summary}" for each in SERVICES),
            "`simulator`",
        ),
        "area": Key(
            choice(
                Area,
                "the United States",
                "Europe",
                "Asia and the Pacific",
                "mainland China",
                shape=Shape.TEXT,
            ),
            "the region of the service's hosts",
            "the global host",
        ),
        "app_id": Key(
            APP_ID, "the App ID that is expected; only compared with `AGORA_APP_ID`, never used in its place"
        ),
    },
    "limits": {
        "hang_ups": Key(
            SHARE,
            "how many conversations one apply may end, by leaves and replacements together; a share of the agents that "
            "run under our mark, rounded up",
            "`30%`",
        ),
        "max_unavailable": Key(
            SHARE,
            "how many agents one apply may rotate; one with less than 2h left (`watch`: 30m), or with an end before the next run (`--horizon`), is rotated all the same; where too many started together, some are rotated before `rotate_after`",
            "`10%`",
        ),
        "leave": Key(SHARE, "how many agents one apply may end", "`30%`"),
        "replace": Key(SHARE, "how many agents one apply may replace; rotations do not count"),
        "join": Key(SHARE, "how many agents one apply may start"),
        "quota": Key(
            COUNT, "how many live agents the App ID may have, ours or not, after an apply that starts some"
        ),
        "usd_per_day": Key(
            AMOUNT, "what a day may cost after an apply that raises the cost; all agents of the App ID count"
        ),
        "usd_per_minute": Key(AMOUNT, "what one agent costs a minute; no limit itself", "`0.10`"),
    },
    "lifecycle": {
        "rotate_after": Key(
            between(MINUTE, 72 * HOUR),
            "the age at which an agent is started anew; the service ends it at 72h",
            "`60h`",
        ),
        "rotate_spread": Key(
            between(0.0, 70 * HOUR),
            "the time after `rotate_after` over which a fleet's rotations are spread; together at most 70h",
            "`8h`",
        ),
        "token_ttl": Key(
            between(MINUTE, 24 * HOUR), "the life of its token, renewed in the sixth tenth of it", "`24h`"
        ),
        "replace": Key(
            choice(ReplaceOrder, "the old one leaves first", "the new one joins first"),
            "which comes first when the agent is replaced; `join-first` takes one more place in the quota",
            "`leave-first`",
        ),
        "protect": Key(
            SWITCH,
            "never leave or replace it; updates, renewals, rotations and joins go on",
            "as said last, else `false`",
        ),
        "paused": Key(SWITCH, "it is to be absent for now", "`false`"),
        "beside": Key(
            choice(Beside, "held until somebody decides", "joins: the channel is shared on purpose"),
            "its first join into a channel in which an agent runs that is not this fleet's",
            "`hold`",
        ),
        "ignore_changes": Key(
            PATHS,
            "paths sent at the join, then neither compared nor sent: `llm.greeting_message`",
            "`[]`",
        ),
    },
}
LOOP_KEYS: Final = frozenset({"for_each", "as", "when"})
# Keys that begin so are ignored at the top of these files: they can hold YAML anchors.
IGNORED: Final = "x-"
MAY_IGNORE: Final = frozenset({"fleet.yaml", "agents file"})
# Keys of other tools -> our key, for a did-you-mean.
MEANT: Final[Mapping[str, str]] = {
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
