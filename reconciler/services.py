"""The services that a fleet can run on: one line each in `SERVICES`, by the value of `service.kind`.

The lowest layer, so that files, state and messages can name a service without importing its adapter. `providers` says
what the object behind `connector` must be.
"""

from __future__ import annotations

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One value of `service.kind`. `connector` is `module:NAME`, imported when a run needs it.

    `prefix` begins the names of the service's own environment variables, which no reference in a file may name.
    `project_variable` is the variable that holds the App ID.
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
    """Return the values of `service.kind`."""
    return [each.kind for each in SERVICES]


def entry_of(kind: str) -> ServiceEntry:
    """Return the entry of a kind. Raises `KeyError` for an unknown kind."""
    for each in SERVICES:
        if each.kind == kind:
            return each
    raise KeyError(kind)


def own_prefixes() -> tuple[str, ...]:
    """Return the prefixes of the services' own environment variables, each once."""
    return tuple(dict.fromkeys(each.prefix for each in SERVICES))
