"""Decode the service's replies: bytes become values of the model, or the whole reply is refused.

Strict about what is used (types, ids, times, depth); unknown keys are ignored. Field names: v2 API reference,
"Endpoints" (OpenAPI v2). Every function raises `IncompleteRead` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from reconciler.diagnostics import plural
from reconciler.errors import IncompleteRead
from reconciler.model.observed import AGENT_ID, AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.tree import is_deeper
from reconciler.ports import HttpReply, Joined
from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import clean
from reconciler.values import dataclass

MAX_DEPTH = 50
# The hint for a reply that makes no sense.
AGAIN = (
    "nothing was decided from it; run again, and if it stays so, see what answers at the service's address"
)
# The seconds by which a time of the service may lie in the future; a later one is refused.
FUTURE = 3600.0

# The prefix of an end's message in some replies that were seen live (v2 API reference: "Lifecycle", end messages).
_END_PREFIX = "agent exits with reason: "
LONGEST_NAME = 300
# The first number that is no time any more, in seconds or milliseconds; from here on floats skip whole numbers.
TOO_LATE = 2**53

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# What is wrong, in words that need no knowledge of our models.
_WRONG = {
    "missing": "it is missing",
    "model_type": "it is not an object",
    "dict_type": "it is not an object",
    "list_type": "it is not a list",
    "string_type": "it is not a text",
    "string_pattern_mismatch": "it is not an id",
    "int_type": "it is not a number",
    "float_type": "it is not a number",
    "greater_than_equal": "it is less than nothing",
    "less_than": "it is beyond every calendar",
}
_ID = re.compile(AGENT_ID)
T = TypeVar("T")


class _Shape:
    """The schema of a reply; its validator is built at first use, because a plan reads only some kinds of replies."""

    def __init__(self, schema: core_schema.CoreSchema) -> None:
        self._schema = schema

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._schema)

    def read(self, body: bytes) -> dict[str, Any]:
        """Return a reply's bytes as an object of this schema. Raises `IncompleteRead`."""
        return parse(self._validator.validate_python, body)


def _object(**fields: core_schema.TypedDictField) -> core_schema.CoreSchema:
    """Return the schema of an object with these fields; unknown keys are ignored."""
    return core_schema.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _optional(schema: core_schema.CoreSchema, *names: str) -> core_schema.TypedDictField:
    """Return a field that may be missing or null; its value is under the first of `names` that the object has."""
    aliases: list[list[str | int]] = [[name] for name in names]
    return core_schema.typed_dict_field(
        core_schema.nullable_schema(schema), required=False, validation_alias=aliases or None
    )


_field = core_schema.typed_dict_field
# No coercion anywhere.
_STRING = core_schema.str_schema(strict=True)
_AGENT_ID = core_schema.str_schema(strict=True, pattern=f"^{AGENT_ID}$")
_STAMP = core_schema.float_schema(strict=True, ge=0, lt=TOO_LATE, allow_inf_nan=False)
_COUNT = core_schema.int_schema(strict=True, ge=0)
_CURSOR = core_schema.str_schema(strict=True, max_length=1024)
_ANY = core_schema.any_schema()

_ROW = _object(agent_id=_field(_AGENT_ID), status=_field(_STRING), start_ts=_field(_STAMP))
_ROWS = _object(list=_field(core_schema.list_schema(_ROW, strict=True)), count=_optional(_COUNT))
_META = _object(total=_field(_COUNT), cursor=_optional(_CURSOR))
_LISTING = _Shape(_object(data=_field(_ROWS), meta=_field(_META), status=_optional(_STRING)))
_AGENT = _Shape(
    _object(
        agent_id=_field(_AGENT_ID),
        status=_field(_STRING),
        start_ts=_field(_STAMP),
        stop_ts=_optional(_STAMP),
        name=_optional(_STRING),
        message=_optional(_STRING),
    )
)
# A join's reply. Only the id is required: an agent must not be lost for a strange timestamp.
_STARTED = _Shape(_object(agent_id=_field(_AGENT_ID), status=_optional(_ANY), create_ts=_optional(_ANY)))
# Mainland China says `state` where the rest of the world says `status` (v2 API reference: "Contradictions").
_CHANGED = _Shape(_object(agent_id=_field(_AGENT_ID), status=_optional(_STRING, "status", "state")))
_LEFT = _Shape(_object())


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list: `total` counts all pages, `cursor` is empty on the last one."""

    rows: tuple[ListedAgent, ...]
    total: int
    cursor: str

    @property
    def pages(self) -> int:
        """The number of pages of this size that the whole list has."""
        return -(-self.total // max(len(self.rows), 1))


def is_agent_id(text: object) -> bool:
    """Return whether a text may be put into a path as an agent's id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def content(reply: HttpReply) -> bytes:
    """Return a reply's body; refuse one that its content type calls a page, which comes from a proxy.

    Other content types, or none, are accepted: the service documents none, and the body is parsed strictly in any case.
    """
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _PAGES and reply.body.strip():
        raise IncompleteRead(
            f"the service's reply is a page ({kind}), not JSON",
            hint="something between here and the service answers in its place: a proxy, a portal, a wrong address",
        )
    return reply.body


def page(body: bytes, now: float, secrets: Iterable[Secret] = ()) -> Page:
    """Return one page of the list of agents. `now` in the service's time; `secrets` are masked in messages."""
    reply = _LISTING.read(body)
    status, rows, meta = reply.get("status"), reply["data"]["list"], reply["meta"]
    if status not in (None, "ok"):
        raise IncompleteRead(f'the list says of itself "{clean(status, secrets)}" instead of "ok"')
    if (count := reply["data"].get("count")) not in (None, len(rows)):
        raise IncompleteRead(f"the list holds {plural(len(rows), 'agent', 'agents')} but says {count}")
    listed = tuple(
        ListedAgent(row["agent_id"], AgentStatus.of(row["status"]), sane_time(row["start_ts"], now))
        for row in rows
    )
    return Page(listed, meta["total"], meta.get("cursor") or "")


def agent(body: bytes, agent_id: str, now: float, secrets: Iterable[Secret] = ()) -> ObservedAgent:
    """Return one agent from a query's reply, which must be about the agent that was asked for; mask `secrets` in it."""
    reply = _AGENT.read(body)
    if reply["agent_id"] != agent_id:
        raise IncompleteRead(f"asked for agent {agent_id}, the service answered with {reply['agent_id']}")
    name, stopped, message = reply.get("name"), reply.get("stop_ts"), reply.get("message")
    return ObservedAgent(
        agent_id=agent_id,
        status=AgentStatus.of(reply["status"]),
        started_at=sane_time(reply["start_ts"], now),
        # No name of ours, and none that the service documents, is as long: such a one is only shown.
        name=name[:LONGEST_NAME] if name else None,
        stopped_at=sane_time(stopped, now) if stopped else None,
        message=clean(message, secrets).removeprefix(_END_PREFIX) if message else "",
    )


def joined(body: bytes, now: float) -> Joined:
    """Return an accepted join. Any status may come (v2 API reference: join); an impossible time becomes `now`."""
    reply = _STARTED.read(body)
    created, status = reply.get("create_ts"), reply.get("status")
    usable = (
        isinstance(created, (int, float)) and not isinstance(created, bool) and 0 < created <= now + FUTURE
    )
    return Joined(
        agent_id=reply["agent_id"],
        status=AgentStatus.of(status) if isinstance(status, str) else AgentStatus.UNKNOWN,
        started_at=float(created) if usable else now,  # type: ignore[arg-type]  # a number, just checked
    )


def check_updated(body: bytes, agent_id: str) -> None:
    """Check the reply to an update, which must name the agent that was to be changed."""
    answered = _CHANGED.read(body)["agent_id"]
    if answered != agent_id:
        raise IncompleteRead(f"updated agent {agent_id}, the service answered with {answered}")


def check_left(body: bytes) -> None:
    """Check the reply to a leave: an empty body, or an object (v2 API reference: "Contradictions", 5)."""
    if body.strip():
        _LEFT.read(body)


def parse(validate: Callable[[object], T], body: bytes) -> T:
    """Return what `validate` makes of a reply's tree; the message of a refusal never quotes the reply."""
    tree = read_json(body)
    try:
        return validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # Where several types are allowed, the last part of the place is only the type that was tried.
        place = ".".join(str(part) for part in first["loc"] if part not in ("int", "float")) or "the reply"
        words = _WRONG.get(first["type"], first["msg"].lower())
        raise IncompleteRead(f"the service's reply makes no sense at {place}: {words}") from None


def read_json(body: bytes) -> object:
    """Parse JSON of limited depth."""
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        kind = "empty" if not body.strip() else "not JSON"
        raise IncompleteRead(f"the service's reply is {kind} ({len(body)} bytes)") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and is_deeper(tree, MAX_DEPTH):
        raise IncompleteRead(f"the service's reply is nested deeper than {MAX_DEPTH}")
    return tree


def sane_time(stamp: float, now: float) -> float:
    """Return a time of the service in epoch seconds; refuse one in the future."""
    if stamp > now + FUTURE:
        raise IncompleteRead(
            f"the service's reply holds a time {stamp - now:.0f} seconds in the future",
            hint="check this machine's clock",
        )
    return float(stamp)
