"""The adapters for services: one package for each, with an implementation of `ports.Provider` and a `Connector`.

`services.SERVICES` has a line for each; here is what `cli` needs of any of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import Service
from reconciler.ports import HttpRequest, Pace, Provider, Steps
from reconciler.secrets import Secret
from reconciler.services import ServiceEntry, entry_of
from reconciler.values import dataclass


class Purpose(StrEnum):
    """The purpose of a run: a plan needs fewer credentials than an apply."""

    OBSERVE = "observe"  # list and query
    CHANGE = "change"  # join, update, leave as well
    TALK = "talk"  # the calls on one agent


class RunProvider(Provider, Protocol):
    """A provider for one run, with what the run reports about it."""

    @property
    def host(self) -> str:
        """The service's host, for messages."""
        ...

    @property
    def retries(self) -> int:
        """The number of reads that were sent again so far."""
        ...

    @property
    def clock_warning(self) -> str | None:
        """A warning about this machine's clock, or None."""
        ...

    @property
    def credentials_warning(self) -> str | None:
        """A warning about credentials that were refused while others were accepted, or None."""
        ...

    def mask(self, secrets: Iterable[Secret]) -> None:
        """Mask these secrets too in what the service says; they are read only when there is such a text."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A provider whose pace adapts to the service, and can be kept from run to run."""

    @property
    def pace(self) -> Pace: ...
    def start_at(self, pace: Pace) -> None: ...


@runtime_checkable
class Talker(Protocol):
    """A provider with calls on one running agent. Replies are dataclasses, or None where there is no such agent."""

    def seat(self, agent_id: str, channel: str, uid: str) -> None: ...
    def speak(self, agent_id: str, text: str, *, priority: str | None = None) -> Steps[Any]: ...
    def interrupt(self, agent_id: str) -> Steps[Any]: ...
    def think(self, agent_id: str, text: str) -> Steps[Any]: ...
    def history(self, agent_id: str) -> Steps[Any]: ...
    def turns(self, agent_id: str) -> Steps[Any]: ...


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection of one run to a service. `project` identifies the project whose agents it sees.

    `grace`: seconds that the service may take to execute a call whose answer was lost; `proven_after`: seconds that an
    agent has to run until its join has succeeded. None stands for the usual time.
    """

    provider: RunProvider
    project: str
    grace: float | None = None
    proven_after: float | None = None


class Connector(Protocol):
    """The way to connect to a service, from the environment and the `service:` block only."""

    @property
    def credentials(self) -> Sequence[str]:
        """The names of the environment variables that hold secrets."""
        ...

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        """Return a connection for a purpose; raise `UsageError` with every variable that is missing or malformed."""
        ...

    def capabilities(self, service: Service) -> Capabilities:
        """Return what the service can do to a running agent, as far as the files say which service it is."""
        ...

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        """Return whether the service runs on this machine, so that no call can reach a real user's agent."""
        ...


def connector_of(entry: ServiceEntry) -> Connector:
    """Return the connector of a service; its module is imported only now."""
    module, _, name = entry.connector.partition(":")
    connector: Connector = getattr(importlib.import_module(module), name)
    return connector


def capabilities_of(service: Service) -> Capabilities:
    """Return what the service of a fleet can do to a running agent, without asking the service."""
    return connector_of(entry_of(service.kind)).capabilities(service)


def secrets_in(request: HttpRequest) -> Iterator[Secret]:
    """Yield every secret that is sent with a request."""
    for value in request.headers.values():
        if isinstance(value, Secret):
            yield value
    yield from _secrets(request.body)


def _secrets(node: object) -> Iterator[Secret]:
    if isinstance(node, Secret):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _secrets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _secrets(value)
