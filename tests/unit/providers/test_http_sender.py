"""The sender over real sockets on loopback: once, bounded, and honest about what was sent."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from reconciler import __version__
from reconciler.driver.connection import _Stream
from reconciler.driver.http import HttpxSender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble
from reconciler.secrets import Secret
from reconciler.simulator import Simulator
from reconciler.simulator.server import run_in_thread

Result = HttpReply | HttpFailure
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A server that does with each connection what it is told; it keeps what it was sent."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(line[15:])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[Listener]:
    listener = Listener(talk)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield listener
    finally:
        server.close()


def says(*pieces: bytes, pause: float = 0.0, close: bool = False) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        if close:
            writer.close()

    return talk


def ok(body: bytes, *headers: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body)
    return head + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


async def send(url: str, *, sender: HttpxSender | None = None, **request: Any) -> Result:
    own = sender or HttpxSender()
    try:
        return await own.send(HttpRequest(**{"method": "GET", "url": url, **request}))
    finally:
        if sender is None:
            await own.aclose()


def talk_once(talk: Talk, **request: Any) -> tuple[Result, Listener, float]:
    async def run() -> tuple[Result, Listener, float]:
        async with listening(talk) as listener:
            started = time.monotonic()
            result = await send(**{"url": listener.url + "/x", **request})
            return result, listener, time.monotonic() - started

    return asyncio.run(run())


def trouble(result: Result) -> tuple[HttpTrouble, bool]:
    assert isinstance(result, HttpFailure), result
    return result.trouble, result.sent


def test_a_request_goes_out_as_it_was_ordered() -> None:
    result, listener, _ = talk_once(
        says(ok(b'{"a":1}', b"X-Thing: Y")),
        method="POST",
        query=(("state", "0,1,2"), ("channel", "bar & grill/é")),
        headers={"authorization": Secret("Basic canary"), "content-type": "application/json"},
        body={"key": Secret("sk-canary"), "n": [1, None, True]},
    )
    assert result == HttpReply(200, {"content-length": "7", "x-thing": "Y"}, b'{"a":1}')
    head, _, body = listener.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert head.split(b"\r\n")[0] == b"POST /x?state=0%2C1%2C2&channel=bar%20%26%20grill%2F%C3%A9 HTTP/1.1"
    assert "authorization: basic canary" in lines
    assert "content-type: application/json" in lines
    assert f"user-agent: agora-reconciler/{__version__}" in lines
    assert "accept-encoding: identity" in lines
    assert json.loads(body) == {"key": "sk-canary", "n": [1, None, True]}


def test_a_header_of_the_request_takes_the_place_of_our_own() -> None:
    _, listener, _ = talk_once(says(ok(b"")), headers={"Accept": "application/vnd.github+json"})
    lines = listener.requests[0].decode().lower().split("\r\n")
    assert [each for each in lines if each.startswith("accept:")] == ["accept: application/vnd.github+json"]


def test_a_post_without_a_body_has_none() -> None:
    _, listener, _ = talk_once(says(ok(b"")), method="POST")
    assert listener.requests[0].lower().count(b"content-length: 0") == 1
    assert b"content-type" not in listener.requests[0].lower()


@pytest.mark.parametrize("status", [b"301 Moved", b"307 Temporary Redirect"])
def test_a_redirect_is_a_reply(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    result, listener, _ = talk_once(says(answer))
    assert isinstance(result, HttpReply)
    assert result.status == int(status[:3])
    assert len(listener.requests) == 1


def test_no_connection_means_nothing_was_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = asyncio.run(send(url))
    assert trouble(result) == (HttpTrouble.CONNECT, False)


def test_a_name_that_does_not_resolve_means_nothing_was_sent() -> None:
    assert trouble(asyncio.run(send("http://nobody.invalid"))) == (HttpTrouble.CONNECT, False)


def test_a_failed_handshake_means_nothing_was_sent() -> None:
    async def run() -> Result:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"this is no TLS\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        try:
            return await send(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()

    assert trouble(asyncio.run(run())) == (HttpTrouble.CONNECT, False)


@contextmanager
def full_backlog() -> Iterator[str]:
    """A port that takes no more connections, so that connecting hangs."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            yield f"http://127.0.0.1:{port}"
        finally:
            for each in waiting:
                each.close()


def test_a_deadline_that_ends_while_connecting_means_nothing_was_sent() -> None:
    with full_backlog() as url:
        started = time.monotonic()
        result = asyncio.run(send(url, deadline=0.3))
    assert trouble(result) == (HttpTrouble.CONNECT, False)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("name", "talk"),
    [
        ("silence", says(pause=30)),
        ("half a head", says(b"HTTP/1.1 200 OK\r\ncontent-", pause=30)),
        ("a drip", says(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n", *[b"x"] * 900, pause=0.05)),
        ("a drip in the head", says(b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 900, pause=0.05)),
    ],
)
def test_the_deadline_holds_for_the_whole(name: str, talk: Talk) -> None:
    result, _, took = talk_once(talk, deadline=0.4)
    assert trouble(result) == (HttpTrouble.TIMEOUT, True), name
    assert took < 2


@pytest.mark.parametrize(
    "talk",
    [
        says(close=True),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", close=True),
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", close=True),
        says(b"SSH-2.0-nonsense\r\n\r\n", close=True),
        says(ok(b"\x1f\x8b", b"content-encoding: gzip")),
    ],
)
def test_a_broken_reply_leaves_a_doubt(talk: Talk) -> None:
    result, _, _ = talk_once(talk)
    assert trouble(result) == (HttpTrouble.BROKEN, True)


@pytest.mark.parametrize(
    "talk",
    [
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 2001\r\n\r\n", b"x" * 2001),
        says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 1000] * 50),
        says(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 9,
        ),
    ],
)
def test_a_reply_without_measure_is_not_read(talk: Talk) -> None:
    result, _, took = talk_once(talk, max_body=2000, deadline=5.0)
    assert trouble(result) == (HttpTrouble.TOO_LARGE, True)
    assert took < 2


def test_a_reply_of_just_the_limit_is_read() -> None:
    result, _, _ = talk_once(says(ok(b"x" * 2000)), max_body=2000)
    assert isinstance(result, HttpReply)


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": {"authorization": Secret("Basic canary\r\nx-evil: 1")}},
        {"headers": {"authorization": Secret("Basic canäry")}},
        {"body": {"x": object()}},
        {"body": {"x": "\ud800canary"}},
        {"url": "http://127.0.0.1:99999/canary"},
        {"url": "gopher://127.0.0.1/canary"},
        {"url": "http://[canary"},
        {"headers": {"x: a\r\ncanary": "b"}},
        {"method": "HEAD"},
    ],
    ids=[
        "line break",
        "not ascii",
        "no JSON",
        "lone surrogate",
        "port",
        "scheme",
        "address",
        "name",
        "method",
    ],
)
def test_what_cannot_be_sent_is_not_sent_and_not_quoted(request_: dict[str, Any]) -> None:
    result, listener, _ = talk_once(says(ok(b"")), **request_)
    assert trouble(result) == (HttpTrouble.CONNECT, False)
    assert "can" not in result.detail  # type: ignore[union-attr]
    assert not listener.requests


def test_there_are_as_many_connections_as_requests_at_a_time_and_they_are_kept() -> None:
    async def run() -> int:
        async with listening(says(ok(b"{}"))) as listener:
            sender = HttpxSender()
            for _ in range(5):
                found = await asyncio.gather(*(send(listener.url, sender=sender) for _ in range(3)))
                assert all(isinstance(each, HttpReply) for each in found)
            await sender.aclose()
            assert len(listener.requests) == 15
            return listener.connections

    assert asyncio.run(run()) == 3


def test_what_one_request_meets_is_not_said_of_another() -> None:
    """Two fleets of one `watch` share a sender: a join that was executed was reported as never sent, and made again."""

    async def run() -> list[HttpReply | HttpFailure]:
        answers = iter([says(b"", ok(b"first"), pause=0.2), says(close=True), says(ok(b"third"))])

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await next(answers)(reader, writer)

        async with listening(talk) as listener:
            sender = HttpxSender()
            first = asyncio.ensure_future(send(listener.url, sender=sender, method="POST", body={}))
            await asyncio.sleep(0.05)
            others = [await send(listener.url, sender=sender, method="POST", body={}) for _ in range(2)]
            found = [await first, *others]
            await sender.aclose()
            return found

    first, second, third = asyncio.run(run())
    assert isinstance(first, HttpReply)
    assert first.body == b"first"
    assert trouble(second) == (HttpTrouble.BROKEN, True)
    assert isinstance(third, HttpReply)


def test_a_sender_goes_on_after_a_failure() -> None:
    async def run() -> list[str]:
        answers = iter([says(close=True), says(pause=30), says(ok(b"x" * 99)), says(ok(b"{}"))])

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await next(answers)(reader, writer)

        async with listening(talk) as listener:
            sender = HttpxSender()
            found = [
                await send(listener.url, sender=sender, deadline=0.3, max_body=50, method="POST", body={})
                for _ in range(4)
            ]
            await sender.aclose()
            return [type(each).__name__ for each in found]

    assert asyncio.run(run()) == ["HttpFailure"] * 3 + ["HttpReply"]


def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    async def run() -> list[Result]:
        async with listening(says(ok(b"{}"), close=True)) as listener:
            sender = HttpxSender()
            found = []
            for _ in range(3):
                found.append(await send(listener.url, sender=sender, method="POST", body={}))
                time.sleep(0.05)  # the loop has not heard of the end when the next request comes
            await sender.aclose()
            assert (listener.connections, len(listener.requests)) == (3, 3)
            return found

    assert all(isinstance(each, HttpReply) for each in asyncio.run(run()))


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("excess", [ok(b"2"), b"odd", b"\0"])
def test_bytes_that_nobody_asked_for_answer_no_request(pause: float, excess: bytes) -> None:
    async def run() -> list[Result]:
        first_answer = [ok(b"1"), excess] if pause else [ok(b"1") + excess]
        answers = iter([says(*first_answer, pause=pause), says(ok(b"3"))])

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await next(answers)(reader, writer)

        async with listening(talk) as listener:
            sender = HttpxSender()
            first = await send(listener.url, sender=sender)
            await asyncio.sleep(0.2)
            second = await send(listener.url, sender=sender)
            await sender.aclose()
            return [first, second]

    assert [each.body for each in asyncio.run(run()) if isinstance(each, HttpReply)] == [b"1", b"3"]


def test_an_interim_reply_is_not_the_answer() -> None:
    result, _, _ = talk_once(says(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", ok(b"{}")))
    assert result == HttpReply(200, {"content-length": "2"}, b"{}")


def test_a_reply_that_changes_the_protocol_leaves_a_doubt() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    assert trouble(talk_once(says(answer), deadline=2.0)[0]) == (HttpTrouble.BROKEN, True)


_LENGTH = b"content-length: 2\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 099 Odd\r\n" + _LENGTH,
        b"HTTP/2.0 200 OK\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\nx: a\rcontent-length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nx : a\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + _LENGTH,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + _LENGTH,
    ],
)
def test_a_reply_that_could_be_read_in_two_ways_leaves_a_doubt(head: bytes) -> None:
    assert trouble(talk_once(says(head + b"\r\n{}", close=True))[0]) == (HttpTrouble.BROKEN, True)


def test_what_stands_between_two_chunks_has_a_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    result, _, _ = talk_once(says(head, *[b"x: " + b"y" * 1000 + b"\r\n"] * 400, pause=0.0001), deadline=9.0)
    assert trouble(result) == (HttpTrouble.BROKEN, True)


def test_fields_after_the_content_are_no_headers() -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nretry-after: 9\r\n\r\n"
    assert talk_once(says(answer))[0] == HttpReply(200, {"transfer-encoding": "chunked"}, b"{}")


def test_content_may_end_with_the_connection() -> None:
    assert talk_once(says(b"HTTP/1.1 200 OK\r\n\r\n", b"{}", close=True))[0] == HttpReply(200, {}, b"{}")


@pytest.mark.parametrize(
    "answer", [ok(b"{}", b"connection: close"), b"HTTP/1.0 200 OK\r\n" + _LENGTH + b"\r\n{}"]
)
def test_a_connection_that_the_reply_ends_is_not_used_again(answer: bytes) -> None:
    async def run() -> int:
        async with listening(says(answer)) as listener:
            sender = HttpxSender()
            for _ in range(2):
                assert isinstance(await send(listener.url, sender=sender), HttpReply)
            await sender.aclose()
            return listener.connections

    assert asyncio.run(run()) == 2


def test_a_large_request_goes_out_whole() -> None:
    body = {"prompt": "x" * 4_000_000}
    result, listener, _ = talk_once(says(ok(b"{}")), method="POST", body=body)
    assert isinstance(result, HttpReply)
    assert json.loads(listener.requests[0].partition(b"\r\n\r\n")[2]) == body


def test_a_reply_before_the_whole_request_is_the_last_of_its_connection() -> None:
    """The rest of the first request still waits for the socket: a second one would follow it there."""

    held: list[socket.socket] = []

    def answer_at_once(server: socket.socket) -> None:
        for _ in range(2):
            connection, _address = server.accept()
            held.append(connection)
            connection.recv(1000)
            connection.sendall(ok(b"{}"))

    async def run(url: str) -> list[Result]:
        sender = HttpxSender()
        bodies: list[dict[str, str]] = [{"x": "y" * 30_000_000}, {}]
        found = [await send(url, sender=sender, method="POST", body=each, deadline=3.0) for each in bodies]
        await sender.aclose()
        return found

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        answering = threading.Thread(target=answer_at_once, args=(server,))
        answering.start()
        found = asyncio.run(run(f"http://127.0.0.1:{server.getsockname()[1]}"))
        answering.join()
    for each in held:
        each.close()
    assert [type(each) for each in found] == [HttpReply, HttpReply]


def test_an_end_before_the_first_request_is_no_error_of_the_connection() -> None:
    """In TLS it may come with the end of the handshake, before anything is sent."""
    assert _Stream().eof_received() is None


def test_nothing_of_the_environment_changes_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    result, _, _ = talk_once(says(ok(b"{}")))
    assert isinstance(result, HttpReply)


FATES: list[tuple[dict[str, Any], object]] = [
    ({"fate": "reset"}, (HttpTrouble.BROKEN, True)),
    ({"fate": "cut"}, (HttpTrouble.BROKEN, True)),
    ({"fate": "drop_request"}, (HttpTrouble.TIMEOUT, True)),
    ({"fate": "lose_response"}, (HttpTrouble.TIMEOUT, True)),
    ({"fate": "slow", "seconds": 5}, (HttpTrouble.TIMEOUT, True)),
    ({"fate": "drip", "seconds": 0.1}, (HttpTrouble.TIMEOUT, True)),
    ({"fate": "oversize", "size": 200_000}, (HttpTrouble.TOO_LARGE, True)),
    ({"fate": "redirect"}, 301),
    ({"fate": "no_content"}, 204),
    ({"fate": "rate_limit"}, 429),
]


def test_every_fate_of_the_simulators_port_is_told_as_it_was() -> None:
    simulator = Simulator()

    async def run(url: str) -> None:
        path = f"{url}/api/conversational-ai-agent/v2/projects/{'a' * 32}/agents"
        headers = {"authorization": Secret("Basic aWQ6c2VjcmV0")}
        sender = HttpxSender()
        for fate, expected in FATES:
            simulator.set_script([{"on": "list", "count": 0, **fate}])
            result = await send(path, sender=sender, headers=headers, deadline=0.5, max_body=100_000)
            assert (result.status if isinstance(result, HttpReply) else trouble(result)) == expected, fate
        simulator.set_script([])
        assert isinstance(await send(path, sender=sender, headers=headers), HttpReply)
        await sender.aclose()

    with run_in_thread(simulator) as url:
        asyncio.run(run(url))
