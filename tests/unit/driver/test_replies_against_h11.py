"""Damaged replies in pieces: what a connection accepts, h11 reads in the same way. It shares no code with our parser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

import h11
import httpx
import pytest

from reconciler.driver.connection import OneConnection

TYPE = b"content-type: text/plain\r\n"
REPLIES = (
    (b"HTTP/1.1 200 OK\r\n", TYPE + b"content-length: 12\r\nx: y\r\n\r\nabcdefghijkl"),
    (b"HTTP/1.1 200 OK\r\n", b"transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\n\r\n"),
    (b"HTTP/1.1 503 Busy\r\n", b"retry-after: 7\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"),
    (b"HTTP/1.1 200 OK\r\n", TYPE + b"\r\nuntil the end"),
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\0", b"\xff", b";", b"+", b"-", b"00", b"0\r\n\r\n"),
    *(
        b"content-length: 3\r\n",
        b"transfer-encoding: gzip\r\n",
        b"transfer-encoding: chunked\r\n",
        b" folded\r\n",
    ),
)
Read = tuple[int, list[tuple[bytes, bytes]], bytes] | None


def damaged(dice: Random) -> bytes:
    """A reply with up to three changes behind its first line."""
    first, text = dice.choice(REPLIES)
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(len(text) + 1)
        text = text[:at] + dice.choice([*PIECES, b""]) + text[at + dice.choice([0, 0, 1, 3]) :]
    return first + text


def by_h11(reply: bytes) -> Read:
    """The reply as h11 reads it; None where it refuses it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(reply)
    content, ended = b"", False
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                content += event.data
            elif ended:
                return None
            else:
                connection.receive_data(b"")
                ended = True
    except h11.RemoteProtocolError:
        return None
    return head.status_code, list(head.headers), content


async def by_connection(replies: Iterator[bytes], count: int, dice: Random) -> list[Read]:
    """Replies as connections of ours read them from a server, in pieces; None for those that are refused."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reply = next(replies)
        at = dice.randrange(len(reply))
        for piece in (reply[:at], reply[at:]):
            writer.write(piece)
            await asyncio.sleep(0)
        writer.close()

    found: list[Read] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    request = httpx.Request("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    for _ in range(count):
        connection = OneConnection(pytest.fail, connect_seconds=5.0, idle_seconds=5.0)
        try:
            reply = await connection.handle_async_request(request)
            headers = [(name.lower(), value) for name, value in reply.headers.raw]
            found.append((reply.status_code, headers, await reply.aread()))
        except httpx.TransportError:
            found.append(None)
        await connection.aclose()
    server.close()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_is_accepted_is_read_as_h11_reads_it(seed: int) -> None:
    dice = Random(seed)
    replies = [damaged(dice) for _ in range(400)]
    accepted = 0
    for reply, found in zip(
        replies, asyncio.run(by_connection(iter(replies), len(replies), dice)), strict=True
    ):
        if found is not None:
            accepted += 1
            assert found == by_h11(reply), reply
    assert accepted > 100
