"""Decode the service's replies: bytes become values of the model, or the whole reply is refused.

Strict about what is used (types, ids, times, depth); unknown keys are ignored. Field names: v2 API reference,
"Endpoints" (OpenAPI v2). Every function raises `IncompleteRead` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from reconciler.errors import IncompleteRead
from reconciler.model.observed import AGENT_ID, AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.tree import is_deeper
from reconciler.ports import HttpReply, Joined
from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import clean

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

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
# What is wrong, in words that need no knowledge of our models.
_WRONG = {
    "missing": "it is missing",
    "model_type": "it is not an object",
    "list_type": "it is not a list",
    "string_type": "it is not a text",
    "string_pattern_mismatch": "it is not an id",
    "int_type": "it is not a number",
    "float_type": "it is not a number",
    "greater_than_equal": "it is less than nothing",
    "less_than": "it is beyond every calendar",
}
_ID = re.compile(AGENT_ID)


class Reply(BaseModel):
    """The base of every reply's model: no coercion, unknown keys pass."""

    # Built at first use: a plan reads lists and agents, but no conversation.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)


AgentId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
Stamp = Annotated[int | float, Field(ge=0, lt=2**53, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _ListedRow(Reply):
    agent_id: AgentId
    status: str
    start_ts: Stamp


class _Rows(Reply):
    rows: list[_ListedRow] = Field(alias="list")
    count: Count | None = None


class _Meta(Reply):
    total: Count
    cursor: Annotated[str, StringConstraints(max_length=1024)] | None = None


class _Listing(Reply):
    data: _Rows
    meta: _Meta
    status: str | None = None


class _Agent(Reply):
    agent_id: AgentId
    status: str
    start_ts: Stamp
    stop_ts: Stamp | None = None
    name: str | None = None
    message: str | None = None


class _Started(Reply):
    """A join's reply. Only the id is required: an agent must not be lost for a strange timestamp."""

    agent_id: AgentId
    status: object = None
    create_ts: object = None


class _Changed(Reply):
    # Mainland China says `state` where the rest of the world says `status` (v2 API reference: "Contradictions").
    agent_id: AgentId
    status: str | None = Field(default=None, validation_alias=AliasChoices("status", "state"))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list: `total` counts all pages, `cursor` is empty on the last one."""

    rows: tuple[ListedAgent, ...]
    total: int
    cursor: str


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


def page(body: bytes, now: float) -> Page:
    """Return one page of the list of agents. `now` is the service's time, in epoch seconds."""
    reply = parse(_Listing, body)
    if reply.status not in (None, "ok"):
        raise IncompleteRead(f'the list says of itself "{clean(str(reply.status), ())}" instead of "ok"')
    if reply.data.count is not None and reply.data.count != len(reply.data.rows):
        raise IncompleteRead(f"the list holds {len(reply.data.rows)} agents but says {reply.data.count}")
    rows = tuple(
        ListedAgent(row.agent_id, AgentStatus.of(row.status), sane_time(row.start_ts, now))
        for row in reply.data.rows
    )
    return Page(rows, reply.meta.total, reply.meta.cursor or "")


def agent(body: bytes, agent_id: str, now: float, secrets: Iterable[Secret] = ()) -> ObservedAgent:
    """Return one agent from a query's reply, which must be about the agent that was asked for; mask `secrets` in it."""
    reply = parse(_Agent, body)
    if reply.agent_id != agent_id:
        raise IncompleteRead(f"asked for agent {agent_id}, the service answered with {reply.agent_id}")
    return ObservedAgent(
        agent_id=reply.agent_id,
        status=AgentStatus.of(reply.status),
        started_at=sane_time(reply.start_ts, now),
        # No name of ours, and none that the service documents, is as long: such a one is only shown.
        name=reply.name[:LONGEST_NAME] if reply.name else None,
        stopped_at=sane_time(reply.stop_ts, now) if reply.stop_ts else None,
        message=clean(reply.message, secrets).removeprefix(_END_PREFIX) if reply.message else "",
    )


def joined(body: bytes, now: float) -> Joined:
    """Return an accepted join. Any status may come (v2 API reference: join); an impossible time becomes `now`."""
    reply = parse(_Started, body)
    created = reply.create_ts
    usable = (
        isinstance(created, (int, float)) and not isinstance(created, bool) and 0 < created <= now + FUTURE
    )
    return Joined(
        agent_id=reply.agent_id,
        status=AgentStatus.of(reply.status) if isinstance(reply.status, str) else AgentStatus.UNKNOWN,
        started_at=float(created) if usable else now,  # type: ignore[arg-type]  # a number, just checked
    )


def check_updated(body: bytes, agent_id: str) -> None:
    """Check the reply to an update, which must name the agent that was to be changed."""
    reply = parse(_Changed, body)
    if reply.agent_id != agent_id:
        raise IncompleteRead(f"updated agent {agent_id}, the service answered with {reply.agent_id}")


def check_left(body: bytes) -> None:
    """Check the reply to a leave: an empty body, or an object (v2 API reference: "Contradictions", 5)."""
    if body.strip():
        parse(Reply, body)


Model = TypeVar("Model", bound=Reply)


def parse(model: type[Model], body: bytes) -> Model:
    """Return a reply's bytes as a model; the message of a refusal never quotes the reply."""
    tree = read_json(body)
    try:
        return model.model_validate(tree)
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
