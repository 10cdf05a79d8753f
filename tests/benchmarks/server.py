"""The least of a service that an apply can work with: canned replies over HTTP/1.1, so that it is never the limit.

    python -m tests.benchmarks.server 0.05 20 70   prints its port, answers after 50 ms, and refuses more than 20 calls a second

It joins whatever is posted, lists what was joined as running, and checks nothing. Its agents say that they were started
within the last 70 hours. One process, no framework.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs

from tests.benchmarks.measure import ROOT

_PAGE = 100


class _Service:
    """What was joined, evenly over the last `hours`; `calls` counts requests, `refused` those beyond `rate` a second."""

    def __init__(self, rate: float, hours: float) -> None:
        self._rate = rate  # 0: any number may come
        self._seconds = 3600 * hours
        # A leaky bucket of one second: the time to which the allowance is used up.
        self._used_until = 0.0
        self.started: list[_Agent] = []
        self._by_age: list[_Agent] = []
        self.calls = self.refused = 0

    def answer(self, line: str, body: bytes) -> bytes:
        """The reply to a request line and the body of the request."""
        method, target, _ = line.split(" ", 2)
        path, _, query = target.partition("?")
        if path == "/calls":
            return _reply({"calls": self.calls, "refused": self.refused})
        if path == "/reset":
            self.started, self._by_age, self.calls, self.refused = [], [], 0, 0
            return _reply({})
        if "/v2/" not in path:
            return _reply({}, b"404 Not Found")
        self.calls += 1
        if self._is_refused():
            self.refused += 1
            return _reply(
                {"detail": "too many requests", "reason": "TooManyRequests"}, b"429 Too Many Requests"
            )
        if method == "POST":
            number = len(self.started)
            # Multiples of the golden ratio are spread evenly, however many there are.
            since = int(time.time() - self._seconds * (number * 0.6180339887 % 1))
            agent = _Agent(number, _text(body, b"name"), _text(body, b"channel"), since)
            self.started.append(agent)
            insort(self._by_age, agent, key=_age)
            return _reply({"agent_id": agent.id, "create_ts": agent.since, "status": "RUNNING"})
        if path.endswith("/agents"):
            return self._page(parse_qs(query))
        agent = self.started[int(path.rpartition("A")[2])]
        return _reply({**agent.row, "name": agent.name})

    def _is_refused(self) -> bool:
        if not self._rate:
            return False
        now = time.monotonic()
        used_until = max(self._used_until, now) + 1 / self._rate
        if used_until - now > 1:
            return True
        self._used_until = used_until
        return False

    def _page(self, query: dict[str, list[str]]) -> bytes:
        channel = query.get("channel", [""])[0]
        begin = bisect_left(self._by_age, int(query.get("from_time", ["0"])[0]), key=_age)
        end = bisect_right(self._by_age, int(query.get("to_time", ["9999999999"])[0]), key=_age)
        found = self._by_age[begin:end]
        found = [each for each in found if each.channel == channel] if channel else found
        first = int(query.get("cursor", ["0"])[0])
        rows = [each.row for each in found[first : first + _PAGE]]
        rest = str(first + _PAGE) if first + _PAGE < len(found) else ""
        return _reply(
            {"data": {"count": len(rows), "list": rows}, "meta": {"cursor": rest, "total": len(found)}}
        )


@dataclass(frozen=True, slots=True)
class _Agent:
    number: int
    name: str
    channel: str
    since: int

    @property
    def id(self) -> str:
        return f"1NT29X10YHxxxxxWJOXLYHNYBA{self.number:06d}"

    @property
    def row(self) -> dict[str, object]:
        return {"agent_id": self.id, "status": "RUNNING", "start_ts": self.since}


def _age(agent: _Agent) -> int:
    return agent.since


def _text(body: bytes, key: bytes) -> str:
    """The first text under a key of a body in JSON; "-" where there is none."""
    _, _, rest = body.partition(b'"%b":"' % key)
    return rest.partition(b'"')[0].decode() or "-"


def _reply(content: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


class _Connection(asyncio.Protocol):
    """Requests of one connection, one after the other."""

    def __init__(self, service: _Service, latency: float) -> None:
        self._service = service
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : (head + b"\r\n").find(b"\r\n", at)]) if at >= 0 else 0
            if len(self._received) < end + 4 + length:
                return
            line = self._received[: self._received.find(b"\r\n")].decode()
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            asyncio.get_running_loop().call_later(self._latency, self._answer, line, body)

    def _answer(self, line: str, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._service.answer(line, body))


async def _serve(latency: float, rate: float, hours: float) -> None:
    service = _Service(rate, hours)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service, latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running(latency: float = 0.0, rate: float = 0.0, hours: float = 0.0) -> Iterator[int]:
    """A server in a process of its own, for as long as the block; its port."""
    command = [sys.executable, "-m", "tests.benchmarks.server", str(latency), str(rate), str(hours)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(*map(float, sys.argv[1:4])))
