"""Health and metrics of `watch`: receives the events of its loops and serves them over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from reconciler.controller.health import Health
from reconciler.driver.loop import Sender
from reconciler.errors import UsageError
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import HttpFailure, HttpReply, HttpRequest

if TYPE_CHECKING:
    from reconciler.serve.metrics import Metrics

Told = Callable[[str, str, float], None]


class _NoMetrics:
    """Accepts every measurement of `serve.metrics.Metrics` and keeps none."""

    def _nothing(self, *_measured: object) -> None: ...

    begin = take = requested = committed = fetched = notified = _nothing


class MetricsServer:
    """The HTTP server of `--listen`. Without an address it accepts events and serves nothing."""

    def __init__(self, listen: str | None, *, per_agent: bool = False) -> None:
        self.health = Health()
        self.metrics: Metrics | _NoMetrics = _NoMetrics()
        self._server: Any = None
        self._socket: Any = None
        if listen is None:
            return
        try:
            from reconciler.serve import http
            from reconciler.serve.metrics import Metrics
        except ImportError as problem:
            raise UsageError(
                f"--listen needs {problem.name}, which is not installed",
                hint="install the extra: pip install 'agora-reconciler[watch]'",
            ) from problem
        self.metrics = Metrics(version("agora-reconciler"), per_agent=per_agent)
        self._socket = http.bind(listen)
        self._server = http.server(http.application(self.health, self.metrics))

    @property
    def address(self) -> str | None:
        """The URL at which health and metrics are served; None if nothing is served."""
        if self._socket is None:
            return None
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def begin(self, fleet: DesiredFleet, commit: str) -> None:
        """Register a fleet from whose loop events will come; `commit` is that of its files under `--git`."""
        self.health.begin(str(fleet.owner), time.monotonic())
        self.metrics.begin(fleet, commit)

    def take(self, fleet: DesiredFleet, event: Any, now: float, commit: str) -> None:
        """Record an event of a fleet's loop; `commit` is that of its last good files."""
        self.health.note(str(fleet.owner), event, time.monotonic())
        self.metrics.take(fleet.owner, event, now, commit)

    def counting(self, sender: Sender) -> Sender:
        """Return a sender that counts requests."""
        return _Counting(sender, self.metrics.requested)

    async def serve(self) -> None:
        """Serve until `stop` is called; return at once if there is nothing to serve."""
        if self._server is not None:
            await self._server.serve(sockets=[self._socket])

    def close(self) -> None:
        """Close the server's socket; without effect if there is none, or if it is closed already."""
        if self._socket is not None:
            self._socket.close()

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.should_exit = True


class _Counting:
    """`driver.loop.Sender` that reports operation, code and seconds of each request."""

    def __init__(self, sender: Sender, told: Told) -> None:
        self._sender = sender
        self._told = told

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        began = time.monotonic()
        result = await self._sender.send(request)
        code = str(result.status) if isinstance(result, HttpReply) else result.trouble.name.lower()
        self._told(_operation(request), code, time.monotonic() - began)
        return result

    async def aclose(self) -> None:
        await self._sender.aclose()


def _operation(request: HttpRequest) -> str:
    """Return the service's word for a request, without the id in its path."""
    last = request.url.rsplit("/", 1)[-1]
    if request.method == "GET":
        return {"agents": "list", "history": "history", "turns": "turns"}.get(last, "query")
    return last if last in ("join", "update", "leave") else "other"
