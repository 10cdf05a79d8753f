"""The transcript of a session, as the service returns it and as lines of an archive to which lines are only added.

The service returns only a running agent's last utterances (`llm.max_history`), so it is a sliding window; it returns
the turns of ended sessions for seven days (v2 API reference: "history", "turns").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from reconciler.instants import timestamp
from reconciler.model.address import Address, Owner
from reconciler.values import dataclass

ARCHIVE_FORMAT = 1
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance; times in milliseconds since the session began, only known with a custom model."""

    role: str
    content: str
    speech_start_ms: float | None = None
    speech_end_ms: float | None = None
    turn_id: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The identity of an utterance: role and turn, where the service numbers turns, else role and text."""
        return (self.role, self.turn_id) if self.turn_id is not None else (self.role, self.content)


@dataclass(frozen=True, slots=True)
class History:
    """The utterances of a conversation, oldest first: at most as many as the agent keeps (`llm.max_history`)."""

    agent_id: str
    started_at: float
    status: str
    contents: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: what started and ended it, when (epoch milliseconds), and the latency of the answer."""

    turn_id: int
    began_by: str = ""
    began_at_ms: float | None = None
    ended_by: str = ""
    ended_at_ms: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """A session's turns, in the service's order."""

    agent_id: str
    name: str
    channel: str
    total: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class EndOfSession:
    """The time (epoch seconds) and the cause of a session's end."""

    at: float
    cause: str


@dataclass(frozen=True, slots=True)
class ArchivedSession:
    """The session whose transcript an archive holds; `started_at` in epoch seconds."""

    owner: Owner
    address: Address
    agent_id: str
    name: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The known part of a session at one time (`at`, epoch seconds); `said` is the service's window."""

    session: ArchivedSession
    at: float
    said: tuple[Utterance, ...] = ()
    turns: tuple[Turn, ...] = ()
    end: EndOfSession | None = None


def new_lines(archived: Sequence[Line], known: Transcript) -> Iterator[Line]:
    """Yield the lines to add to an archive, in order: new utterances, or a gap if the window has passed beyond them.

    An utterance whose turn is archived with another text is written again, as a correction.
    """
    if not archived:
        yield _head(known.session)
    before = _spoken(archived)
    overlap = _overlap([each.key for each in before], [each.key for each in known.said])
    if before and known.said and not overlap:
        yield {"type": "gap", "until": timestamp(known.at)}
    last = {each.key: each for each in before}
    for position, each in enumerate(known.said):
        if position >= overlap:
            yield {"type": "utterance", **_given(each)}
        elif last[each.key].content != each.content:
            yield {"type": "utterance", **_given(each), "corrects": True}
    numbers = {each.get("turn_id") for each in archived if each.get("type") == "turn"}
    for turn in known.turns:
        if turn.turn_id not in numbers and turn.ended_by:
            yield {"type": "turn", **_given(turn)}
    if known.end is not None and not any(each.get("type") == "end" for each in archived):
        yield {"type": "end", "at": timestamp(known.end.at), "cause": known.end.cause}


def _head(session: ArchivedSession) -> Line:
    return {
        "type": "head",
        "format": ARCHIVE_FORMAT,
        "fleet": session.owner.fleet,
        "environment": session.owner.environment,
        "address": str(session.address),
        "agent_id": session.agent_id,
        "name": session.name,
        "started": timestamp(session.started_at),
    }


def _spoken(archived: Sequence[Line]) -> list[Utterance]:
    """Return the archived utterances in order, each as last corrected."""
    found: list[Utterance] = []
    places: dict[tuple[object, ...], int] = {}
    for line in archived:
        if line.get("type") != "utterance":
            continue
        each = _utterance(line)
        if line.get("corrects") and each.key in places:
            found[places[each.key]] = each
        else:
            places[each.key] = len(found)
            found.append(each)
    return found


def _overlap(before: Sequence[tuple[object, ...]], window: Sequence[tuple[object, ...]]) -> int:
    """Return how many of the window's first utterances are the last ones of `before`.

    This is the longest end of `before` with which the window begins, by the prefix function of Knuth, Morris and Pratt,
    in linear time. Equal utterances without a turn number are taken for the same.
    """
    tail = before[-len(window) :] if window else ()
    joined = [*window, None, *tail]
    border = [0]
    for each in joined[1:]:
        length = border[-1]
        while length and joined[length] != each:
            length = border[length - 1]
        border.append(length + (joined[length] == each))
    return border[-1] if tail else 0


def _utterance(line: Line) -> Utterance:
    names = {each.name for each in fields(Utterance)}
    return Utterance(**{"role": "", "content": "", **{key: line[key] for key in names & set(line)}})


def _given(part: Utterance | Turn) -> Line:
    """Return the known fields of a part, by name."""
    values = {each.name: getattr(part, each.name) for each in fields(part)}
    return {name: value for name, value in values.items() if value not in (None, "")}
