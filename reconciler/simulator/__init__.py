"""The service we pretend to talk to: an independent implementation of the vendor's v2 API, faults included.

It is a witness: it shares no code with the rest of `reconciler`, imports nothing of it, and checks requests
against `schemas/agora/`, written by hand from the vendor's pages. Others import from here and from nowhere
below. It never opens a connection; only `server.py` listens, on loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.app import Clock, Simulator
from reconciler.simulator.auth import Credentials
from reconciler.simulator.fault_script import FaultScript
from reconciler.simulator.faults import Fate, FateKind, FaultError, ServiceCall, fate
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
    # a port brings asyncio along, which a plan against the embedded simulator does not need
    if name in {"run_in_thread", "serve"}:
        from reconciler.simulator import server

        return getattr(server, name)
    raise AttributeError(name)
