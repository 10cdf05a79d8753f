"""The services that a fleet can be on: one line each in `SERVICES`, by the value of `service.kind`.

The lowest layer, so that files, state and messages can name a service without importing its adapter. `providers`
says what the object behind `connector` must be.
"""

from __future__ import annotations

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One value of `service.kind`. `connector` is `module:NAME`, imported when a run needs it.

    `prefix` begins the names of the service's own environment variables: no reference in a file may name one.
    `project_variable` is the one that says whose agents are meant.
    """

    kind: str
    connector: str
    summary: str
    prefix: str
    project_variable: str
    is_embedded: bool = False  # answered by the simulator inside this process


_AGORA = "reconciler.providers.agora.connectors"
# The first is the default.
SERVICES: tuple[ServiceEntry, ...] = (
    ServiceEntry(
        "simulator",
        f"{_AGORA}:EMBEDDED",
        "is embedded and the default",
        "AGORA_",
        "AGORA_APP_ID",
        is_embedded=True,
    ),
    ServiceEntry("agora", f"{_AGORA}:AGORA", "is the real service", "AGORA_", "AGORA_APP_ID"),
)
DEFAULT_KIND = SERVICES[0].kind


def kinds() -> list[str]:
    """The values of `service.kind`."""
    return [each.kind for each in SERVICES]


def entry_of(kind: str) -> ServiceEntry:
    """The line of a kind; `KeyError` where there is none."""
    for each in SERVICES:
        if each.kind == kind:
            return each
    raise KeyError(kind)


def own_prefixes() -> tuple[str, ...]:
    """How the names begin that belong to the services themselves, each once."""
    return tuple(dict.fromkeys(each.prefix for each in SERVICES))
