"""The provider for Agora's Conversational AI REST API, version 2 (`ports.Provider`).

Sans-I/O: verbs are generators that yield HTTP effects. Facts about the service are noted beside the code that relies on
them, with their source.
"""

from __future__ import annotations

from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import AgoraSettings, from_environment

__all__ = ["AgoraProvider", "AgoraSettings", "CallLimits", "from_environment"]
