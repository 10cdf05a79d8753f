"""Target `replies`: a service whose answers are nonsense gets our errors, and never a call decided from one of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler import workflow
from reconciler.driver.http import HttpxSender
from reconciler.errors import ReconcilerError, ServiceError
from reconciler.model.address import Owner
from reconciler.model.observed import ObservedAgent
from reconciler.model.spec import Body
from reconciler.plan.guard import Policy
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Gone,
    HttpFailure,
    HttpReply,
    HttpRequest,
    Joined,
    JoinOrder,
    JoinOutcome,
    Steps,
    Unknown,
    UpdateOrder,
    UpdateOutcome,
)
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.replies import is_agent_id
from tests.fakes.fleets import agent, fleet, properties
from tests.fakes.virtual import Virtual

from .lies import HEADERS, MIB, STATUSES, VERBS, Answer, Lies, distorted
from .mutate import chosen, encoded, tokens_mutant
from .target import Outcome, chance_of, reason
from .worlds import shared_with, views

_CHANGED = agent("lobby/greeter", llm={"params": {"model": "other"}})
_WANTED = fleet(_CHANGED, agent("spa/host"), agent("hall/porter"))
_LENIENT = Policy({"hang_ups": 99.0, "leave": 99.0, "replace": 99.0, "join": 99.0}, allow_beside=("*",))


@dataclass(frozen=True, slots=True)
class Talk:
    """What is done while answers of some kinds are lies, at some rate; the lies follow from the seed."""

    what: str
    about: tuple[str, ...]
    rate: float
    seed: int


class Liar(Virtual):
    """A service that answers as it should, and a wire that changes that."""

    lie: Callable[[HttpRequest, Answer], Answer] | None = None
    hears: Callable[..., None] | None = None

    def _send(self, request: HttpRequest) -> Answer:
        answer = super()._send(request)
        answer = answer if self.lie is None else self.lie(request, answer)
        if self.hears is not None:
            planned = any(isinstance(each, workflow.Planned) for each in self.events)
            self.hears(request, answer, planned=planned)
        return answer


class Replies:
    """Changed answers to every kind of request, to the client alone and in whole runs."""

    share = 2_000

    def __init__(self, home: Path) -> None:
        pass

    def make(self, chance: random.Random) -> Talk:
        what = chosen(chance, {"client": 5, "plan": 4, "apply": 2, "wire": 1})
        about = chance.choice((("list",), ("list",), ("query",), ("list", "query"), VERBS))
        rate, seed = chance.choice((0.2, 0.7, 1.0)), chance.randrange(2**32)
        return Talk(what, VERBS if what == "client" else about, rate, seed)

    def check(self, made: Talk) -> Outcome:
        lies = Lies(made.about, made.rate, made.seed)
        try:
            reasons = _over_a_socket(made, lies) if made.what == "wire" else _in_memory(made, lies)
        except Exception as problem:
            problem.add_note(f"the last lies: {[repr(each)[:600] for each in lies.told[-4:]]}")
            raise
        return Outcome(tuple(dict.fromkeys(reasons)), deep=bool(lies.told))


def _in_memory(talk: Talk, lies: Lies) -> list[str]:
    liar = _started()
    liar.lie = lies
    if talk.what == "client":
        return _client(liar)
    return _run(liar, lies) if talk.what == "plan" else _applied(liar, lies)


def _started() -> Liar:
    """A service with agents of ours, one of somebody else, and one of ours that the state does not know."""
    liar = Liar()
    shared_with(liar, fleet(agent("lobby/theirs"), owner=Owner("other")), fleet(agent("hall/porter")))
    before = fleet(agent("lobby/greeter"), agent("bar/gone"))
    liar.run(workflow.apply(liar.job(before, policy=_LENIENT), liar.provider()))
    liar.sent.clear()
    liar.events.clear()
    return liar


# --- what is done -------------------------------------------------------------------------------------------------


def _client(liar: Liar) -> list[str]:
    """Every read and every call of the client, one after the other."""
    provider, known = liar.provider(), next(each.agent_id for each in liar.live())
    refusals = []
    reads: list[Steps[Any]] = [
        provider.live_agents(),
        provider.live_agents(channel="lobby"),
        provider.has_ended("x", channel="lobby"),
        *(read(known) for read in (provider.query, provider.history, provider.turns, provider.interrupt)),
        *(say(known, "hello") for say in (provider.speak, provider.think)),
    ]
    for steps in reads:
        try:
            found = liar.run(steps)
        except ReconcilerError as problem:
            refusals.append(reason(problem))
            continue
        for each in found if isinstance(found, tuple) else (found,):
            assert is_agent_id(getattr(each, "agent_id", known)), each
        assert not isinstance(found, ObservedAgent) or found.agent_id == known
    for call, outcomes in _calls(provider, known):
        try:
            outcome = liar.run(call())
        except ReconcilerError as problem:  # a clock that is off: nothing is minted, and nothing is sent
            refusals.append(reason(problem))
            continue
        assert isinstance(outcome, outcomes), outcome
        assert is_agent_id(getattr(outcome, "agent_id", None) or known), outcome
        refusals += [] if isinstance(outcome, (Done, Joined)) else [type(outcome).__name__]
    return refusals


def _calls(provider: AgoraProvider, known: str) -> list[tuple[Callable[[], Steps[Any]], tuple[type, ...]]]:
    """The calls that change something, with what may come of each."""

    def join() -> Steps[JoinOutcome]:
        order = JoinOrder("demo.-.x.0123456789.101234567.g1", "lobby", "7", Body(properties()), 3600.0)
        outcome: JoinOutcome = yield from provider.join((yield from provider.prepare_join(order)))
        return outcome

    def update() -> Steps[UpdateOutcome]:
        order = UpdateOrder(known, "lobby", "7", {("llm", "params"): {"model": "m"}}, 3600.0)
        outcome: UpdateOutcome = yield from provider.update((yield from provider.prepare_update(order)))
        return outcome

    doubt = Declined, Unknown
    return [
        (join, (Joined, Conflict, *doubt)),
        (update, (Done, Gone, *doubt)),
        (lambda: provider.leave(known), (Done, Gone, *doubt)),
    ]


def _run(liar: Liar, lies: Lies) -> list[str]:
    """A plan and an apply, in which only reads are lies: nothing may be done that follows from nonsense."""
    refusals = []
    job = liar.job(_WANTED, policy=_LENIENT)
    liar.hears = lies.heard

    def apply() -> None:
        liar.run(workflow.apply(job, liar.provider()))

    for act in (*views(liar, job), apply):
        try:
            act()
        except ReconcilerError as problem:
            refusals.append(reason(problem))
            assert isinstance(problem, ServiceError) or not lies.nonsense, problem
    assert refusals or not lies.nonsense, "a read that makes no sense was taken for an answer"
    return refusals


def _applied(liar: Liar, lies: Lies) -> list[str]:
    """An apply among lies, and another one without: each ends in a ledger or one of our errors."""
    refusals, job = [], liar.job(_WANTED, policy=_LENIENT)
    for lie in (lies, None):
        liar.lie = lie
        try:
            liar.run(workflow.apply(job, liar.provider()))
        except ReconcilerError as problem:
            refusals.append(reason(problem))
    assert any(each.name.startswith("other.") for each in liar.live()), "somebody else's agent was ended"
    return refusals


# --- over a socket ------------------------------------------------------------------------------------------------


_HTTP = ("\r\n", ":", " ", "HTTP/2", "HTTP/1.0", "100", "\x00", "\r\n ", "\r\n\r\n")


def _over_a_socket(talk: Talk, lies: Lies) -> list[str]:
    """Bytes that are nearly HTTP, received by what really receives them."""
    chance = chance_of(f"{talk.seed} socket", 0)
    changed = distorted(HttpReply(200, {}, b'{"agent_id": "A1", "status": "RUNNING"}'), chance)
    body = changed.body if isinstance(changed, HttpReply) else b""
    status = chance.choice((200, 200, 200, *STATUSES))
    odd = "".join(f"{name}: {chance.choice(HEADERS[name])}\r\n" for name in chance.sample(sorted(HEADERS), 2))
    head = f"HTTP/1.1 {status} OK\r\ncontent-length: {len(body)}\r\n{odd}\r\n"
    if chance.random() < 0.3:
        head = tokens_mutant(head, _HTTP, chance)
    answer = asyncio.run(_answered(encoded(head) + body))
    lies.told.append(answer)
    if isinstance(answer, HttpFailure):
        return [str(answer.trouble)]
    assert all(name == name.lower() for name in answer.headers), answer
    assert len(answer.body) <= MIB, "a reply beyond its limit"
    liar = _started()
    liar.lie = lambda request, _: answer
    return _client(liar)


async def _answered(data: bytes) -> Answer:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = HttpxSender()
    try:
        request = HttpRequest("GET", f"http://127.0.0.1:{port}/v2", deadline=3.0, max_body=MIB)
        return await sender.send(request)
    finally:
        await sender.aclose()
        server.close()
        await server.wait_closed()
