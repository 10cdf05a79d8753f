"""Serves the simulator on a port for `reconciler simulator`: its first line, and errors of the port."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.simulator import Simulator


def serve_on(simulator: Simulator, host: str, port: int) -> None:
    """Serve until interrupted. Raises `UsageError` if the port is taken or the address is not this machine's."""
    from reconciler.cli.output import write
    from reconciler.simulator import serve

    def announce(port: int) -> None:
        write(f"listening on http://{host}:{port}\n")

    try:
        serve(simulator, port, host=host, on_listening=announce)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use", hint="choose another, or --port 0 for a free one"
            ) from problem
        if problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
            raise UsageError(f"{host} is no address of this machine", hint="leave --host out") from problem
        raise
