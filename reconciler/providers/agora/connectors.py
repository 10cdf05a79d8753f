"""Connect to Agora: to the real service, or to the simulator inside this process, which has the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import Area, Service
from reconciler.providers import Connection, Purpose
from reconciler.providers.agora.call_limits import CallLimits
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
# The embedded service accepts any credentials; these are public.
_PUBLIC = AgoraSettings(
    app_id="00000000000000000000000000000000",
    certificate=Secret("00000000000000000000000000000000"),
    customer_id=Secret("embedded"),
    customer_secret=Secret("embedded"),
    base_url=f"http://embedded-simulator{GLOBAL_PATH}",
)
# The embedded service ends with its process, so no call is executed late for long.
_EMBEDDED_GRACE = 5.0


class AgoraConnector:
    """The connector of the real service, with the AGORA_* variables."""

    credentials = (APP_CERTIFICATE, CUSTOMER_ID, CUSTOMER_SECRET)

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        """Return a connection to the area and App ID of the files, with the credentials of the environment."""
        area = service.area.value if service.area else None
        settings = from_environment(environment, area, service.app_id, purpose=purpose)
        seconds = read_timeout(environment)
        limits = CallLimits(listing_seconds=seconds)
        if purpose is Purpose.OBSERVE:
            limits = replace(limits, silence_seconds=seconds)
        return Connection(AgoraProvider(settings, limits), settings.app_id)

    def capabilities(self, service: Service) -> Capabilities:
        """Return the capabilities, which differ in mainland China."""
        return capabilities(mainland_china=service.area is Area.CN)

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        """Return whether the environment gives a URL on this machine."""
        try:
            return urlsplit(environment.get(BASE_URL, "").strip()).hostname in _LOOPBACK
        except ValueError:
            return False


class EmbeddedConnector:
    """The connector of the simulator inside this process."""

    # Masked too: a run on the simulator may happen where the real service's credentials are set.
    credentials = AgoraConnector.credentials

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        """Return a connection with public credentials and without a limit on its pace: it has no other users."""
        provider = AgoraProvider(_PUBLIC, CallLimits(calls_per_second=1e9, burst=1e9))
        return Connection(provider, _PUBLIC.app_id, _EMBEDDED_GRACE, proven_after=0.0)

    def capabilities(self, service: Service) -> Capabilities:
        """Return the capabilities of the global service."""
        return capabilities(mainland_china=False)

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        """Return True: the service is in this process."""
        return True


AGORA = AgoraConnector()
EMBEDDED = EmbeddedConnector()
