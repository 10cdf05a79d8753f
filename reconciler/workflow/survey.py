"""`survey`: every agent that runs under the App ID, of any origin; needs no fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from reconciler.errors import AuthenticationFailed, ReadAbandoned, ReconcilerError
from reconciler.model.observed import ObservedAgent
from reconciler.ports import Gather, Now, Observer, Steps
from reconciler.values import dataclass


class SessionReader(Observer, Protocol):
    """An observer that can also read an agent's turns, the only read whose reply holds the channel."""

    def turns(self, agent_id: str) -> Steps[Any]: ...


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A live agent with its age in seconds; `channel` is None if the service does not return it."""

    agent: ObservedAgent
    age: float
    channel: str | None = None


def survey(
    reader: SessionReader, *, parallelism: int, channels: Mapping[str, str] | None = None
) -> Steps[tuple[Surveyed, ...]]:
    """Return every live agent, oldest first, by reads alone: one list, then a query and the turns of each.

    `channels` holds channels known by agent id. Raises what a list or query raises. If turns cannot be read the channel
    stays unknown, because they are documented for ended sessions only (v2 API reference: turns).
    """
    listed = yield from reader.live_agents()
    now: float = (yield Now()) + (reader.clock_skew or 0.0)
    agents = yield from _each(reader.query, [each.agent_id for each in listed], parallelism)
    live = [each for each in agents if each is not None and each.status.is_live]
    known = dict(channels or {})
    unplaced = [each.agent_id for each in live if each.agent_id not in known]
    turns = yield from _each(lambda agent_id: _turns(reader, agent_id), unplaced, parallelism)
    told = {agent_id: each for agent_id, each in zip(unplaced, turns, strict=True) if each is not None}
    return tuple(
        Surveyed(
            each if each.name or each.agent_id not in told else replace(each, name=told[each.agent_id].name),
            max(0.0, now - each.started_at),
            known.get(each.agent_id)
            or (told[each.agent_id].channel or None if each.agent_id in told else None),
        )
        for each in live
    )


def _turns(reader: SessionReader, agent_id: str) -> Steps[Any]:
    try:
        return (yield from reader.turns(agent_id))
    except (AuthenticationFailed, ReadAbandoned):
        raise
    except ReconcilerError:
        return None


def _each(ask: Callable[[str], Steps[Any]], agent_ids: list[str], parallelism: int) -> Steps[list[Any]]:
    """Return the answers for all agent ids; raise the first exception among them."""

    def task(agent_id: str) -> Callable[[], Steps[Any]]:
        return lambda: ask(agent_id)

    if not agent_ids:
        return []
    answers: list[Any] = yield Gather([task(each) for each in agent_ids], parallelism)
    for each in answers:
        if isinstance(each, BaseException):
            raise each
    return answers
