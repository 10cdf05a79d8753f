"""A code host's API on a loopback socket: what both have in common. It knows nothing of the package under test."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit


@dataclass
class Fault:
    """What goes wrong with the next calls of a method whose path matches.

    `status` answers so instead of doing it; `lost` does it and then breaks the connection; `failed_after` does it and
    then answers with a status; both of them once each time.
    """

    method: str
    path: str = ".*"
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    lost: bool = False
    failed_after: int = 0


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"message": message})


@dataclass
class Asked:
    """One request as the world sees it."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    headers: dict[str, str]
    base: str


@dataclass
class World:
    """What stands on a code host; subclasses answer."""

    prefix: str = ""
    faults: list[Fault] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    page_size: int = 30

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def calls(self, method: str, path: str = "") -> list[str]:
        return [each for how, each in self.log if how == method and path in each]

    def take_fault(self, asked: Asked) -> Fault | None:
        for each in self.faults:
            if each.times > 0 and each.method == asked.method and re.search(each.path, asked.path):
                each.times -= 1
                return each
        return None

    def page(self, asked: Asked, items: list[Any]) -> tuple[list[Any], int, int]:
        """The items of the page that is asked for, its number, and how many there are."""
        size = min(100, int(asked.query.get("per_page", self.page_size)))
        number = int(asked.query.get("page", 1))
        return items[(number - 1) * size : number * size], number, max(1, -(-len(items) // size))


def page_url(asked: Asked, number: int) -> str:
    return f"{asked.base}{asked.path}?{urlencode({**asked.query, 'page': number})}"


def _handler(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _do(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            host = self.headers.get("host", "")
            asked = Asked(
                self.command,
                parts.path.removeprefix(world.prefix),
                dict(parse_qsl(parts.query)),
                json.loads(raw) if raw else {},
                {name.lower(): value for name, value in self.headers.items()},
                f"http://{host}{world.prefix}",
            )
            with world.lock:
                world.log.append((asked.method, asked.path))
                fault = world.take_fault(asked)
                if fault and fault.status:
                    self._say(Answer(fault.status, fault.body, fault.headers))
                    return
                try:
                    answer = world.answer(asked)
                except Refusal as refusal:
                    answer = refusal.answer
                if fault and fault.lost:
                    self.close_connection = True
                    self.connection.close()
                    return
                if fault and fault.failed_after:
                    answer = Answer(fault.failed_after, {"message": "Server Error"})
                self._say(answer)

        def _say(self, answer: Answer) -> None:
            data = b"" if answer.status == 204 else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do

    return Handler


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A connection that a fault has closed is no error."""


@contextmanager
def serving(world: World) -> Iterator[str]:
    """The address of a world's API."""
    server = Quiet(("127.0.0.1", 0), _handler(world))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{world.prefix}"
    finally:
        server.shutdown()
        server.server_close()


Route = Callable[..., Answer]
