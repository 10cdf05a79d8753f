"""A Git host on loopback: `git http-backend` behind a small server, which can lose the answer to a push, or say nothing."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PUSH = "/git-receive-pack"


@dataclass
class GitHost:
    """What the server does to its clients: how many answers to pushes it loses next, and what it saw.

    While `is_silent` it answers nobody.
    """

    url: str = ""
    losing: int = 0
    pushes: int = 0
    requests: int = 0
    is_silent: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(root: Path) -> Iterator[GitHost]:
    """Serve the bare repositories below a directory."""
    host, lock, over = GitHost(), threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def _answer(self, body: bytes) -> None:
            with lock:
                host.requests += 1
            if host.is_silent.is_set():
                over.wait()
                self.close_connection = True
                return
            path, _, query = self.path.partition("?")
            is_push = path.endswith(_PUSH) and self.command == "POST" and len(body) > 4
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                env=self._variables(path, query, len(body)),
                capture_output=True,
                check=False,
            )
            with lock:
                host.pushes += is_push
                is_lost = is_push and host.losing > 0
                host.losing -= is_lost
            if is_lost:
                self.close_connection = True
                return
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _variables(self, path: str, query: str, size: int) -> dict[str, str]:
            known = {
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": "somebody",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(size),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            return {**os.environ, **known}

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
