"""One connection over TLS: it is used again, speaks HTTP/1.1 only, and sends nothing to a host without a good certificate."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from reconciler.driver.connection import OneConnection

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    file = tmp_path / "server.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    keys = ["-keyout", str(file), "-out", str(tmp_path / "only.pem")]
    subprocess.run([*command.split(), *keys], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "only.pem").read_text())
    return file


class Server:
    """What a server over TLS has met: connections, requests, and the protocol that was agreed on."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.protocols: set[str | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.protocols.add(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def asked(certificate: Path, trusted: Path | None, times: int) -> tuple[Server, list[bytes | Exception]]:
    """Ask a server over TLS; `trusted` is the certificate that the client trusts besides the usual ones."""
    server, answers = Server(), list[bytes | Exception]()
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(certificate)
    offered.set_alpn_protocols(["h2", "http/1.1"])
    ours = ssl.create_default_context(cafile=trusted)
    ours.set_alpn_protocols(["http/1.1"])

    async def run() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=offered)
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        connection = OneConnection(lambda: ours, connect_seconds=10.0, idle_seconds=10.0)
        for _ in range(times):
            try:
                reply = await connection.handle_async_request(httpx.Request("GET", url))
                answers.append(await reply.aread())
                await reply.aclose()
            except httpx.HTTPError as problem:
                answers.append(problem)
        await connection.aclose()
        listening.close()

    asyncio.run(run())
    return server, answers


def test_requests_share_one_connection_of_http_1(certificate: Path) -> None:
    server, answers = asked(certificate, certificate, times=3)
    assert answers == [b"ok"] * 3
    assert (server.connections, len(server.requests), server.protocols) == (1, 3, {"http/1.1"})


def test_a_certificate_that_is_not_trusted_gets_no_request(certificate: Path) -> None:
    server, answers = asked(certificate, None, times=2)
    assert [type(each) for each in answers] == [httpx.ConnectError] * 2
    assert server.requests == []
