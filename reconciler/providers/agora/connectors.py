"""How Agora is connected to: the real service, and the simulator inside this process, which speaks its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from reconciler.model.ability import Capabilities
from reconciler.model.fleet import Area, Service
from reconciler.providers import Connection, Purpose
from reconciler.providers.agora.gates import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import (
    APP_CERTIFICATE,
    BASE_URL,
    CUSTOMER_ID,
    CUSTOMER_SECRET,
    GLOBAL_PATH,
    AgoraSettings,
    from_environment,
    read_timeout,
)
from reconciler.providers.agora.wire import capabilities
from reconciler.secrets import Secret

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# The embedded service takes any credentials; these are as public as this file.
_PUBLIC = AgoraSettings(
    app_id="00000000000000000000000000000000",
    certificate=Secret("00000000000000000000000000000000"),
    customer_id=Secret("embedded"),
    customer_secret=Secret("embedded"),
    base_url=f"http://embedded-simulator{GLOBAL_PATH}",
)
# The embedded service ends with its caller: nothing is executed late for long.
_EMBEDDED_GRACE = 5.0


class AgoraConnector:
    """The real service, as the AGORA_* variables say."""

    credentials = (APP_CERTIFICATE, CUSTOMER_ID, CUSTOMER_SECRET)

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        """A connection to the area and App ID of the files, with the credentials of the environment."""
        area = service.area.value if service.area else None
        settings = from_environment(environment, area, service.app_id, purpose=purpose)
        seconds = read_timeout(environment)
        limits = CallLimits(listing_seconds=seconds)
        if purpose is Purpose.OBSERVE:
            limits = replace(limits, silence_seconds=seconds)
        return Connection(AgoraProvider(settings, limits), settings.app_id)

    def capabilities(self, service: Service) -> Capabilities:
        """They differ in mainland China."""
        return capabilities(mainland_china=service.area is Area.CN)

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        """Whether the address that the environment gives is one of this machine."""
        try:
            return urlsplit(environment.get(BASE_URL, "").strip()).hostname in _LOOPBACK
        except ValueError:
            return False


class EmbeddedConnector:
    """The simulator inside this process."""

    # Masked as well: a run on the simulator may happen where the real service's credentials are set.
    credentials = AgoraConnector.credentials

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        """A connection with public credentials and without a limit on its pace: nobody else is served."""
        provider = AgoraProvider(_PUBLIC, CallLimits(calls_per_second=1e9, burst=1e9))
        return Connection(provider, _PUBLIC.app_id, _EMBEDDED_GRACE, proven_after=0.0)

    def capabilities(self, service: Service) -> Capabilities:
        """Those of the global service."""
        return capabilities(mainland_china=False)

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        """It is this process."""
        return True


AGORA = AgoraConnector()
EMBEDDED = EmbeddedConnector()
