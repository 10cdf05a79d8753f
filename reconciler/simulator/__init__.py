"""A simulator of the service: an independent implementation of the vendor's v2 API, faults included.

It shares no code with the rest of `reconciler` and imports nothing of it, so that it can show mistakes of the rest; it
checks requests against `schemas/agora/`, which is written by hand from the vendor's pages. Other packages import only
from here. It never opens a connection; only `server.py` listens, on loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.app import Clock, Simulator
from reconciler.simulator.auth import Credentials
from reconciler.simulator.faults import Fate, FateKind, FaultError, FaultScript, ServiceCall, fate
from reconciler.simulator.messages import Outage, OutageKind, Request, Response
from reconciler.simulator.store import Store, UnreadableWorld
from reconciler.simulator.switches import SwitchError, Switches

if TYPE_CHECKING:
    from reconciler.simulator.server import run_in_thread, serve

__all__ = [
    "Agent",
    "Clock",
    "Credentials",
    "Fate",
    "FateKind",
    "FaultError",
    "FaultScript",
    "Outage",
    "OutageKind",
    "Request",
    "Response",
    "ServiceCall",
    "Simulator",
    "Status",
    "Store",
    "SwitchError",
    "Switches",
    "UnreadableWorld",
    "fate",
    "run_in_thread",
    "serve",
]


def __getattr__(name: str) -> object:
    # the server imports asyncio, which a plan against the embedded simulator does not need
    if name in {"run_in_thread", "serve"}:
        from reconciler.simulator import server

        return getattr(server, name)
    raise AttributeError(name)
