"""Check a URL to which a client would send credentials: https, or plain http to this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

ALLOWED = "use https://host, or http:// with localhost, 127.0.0.1 or [::1]; no user, no query"


def taken_apart(address: str) -> SplitResult | str:
    """Return a URL's parts, or why it is not safe; the reason never quotes it, since it may hold a password."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "is malformed"
    if "@" in parts.netloc:
        return "names a user"
    if not parts.hostname or port == 0:
        return "is malformed" if parts.hostname else "names no host"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return parts
    return "is not https, and not a service of this machine"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
