"""Mint access tokens of the "007" kind, from the arguments alone: no clock, no randomness.

A token allows one account to join one channel until it expires. It is made and used within one call, and never stored.
Layout and privileges: v2 API reference, "Authentication" (AccessToken2), from Agora's own published builders.
"""

from __future__ import annotations

import hmac
import re
import struct
import zlib
from base64 import b64encode
from enum import IntEnum

from reconciler.errors import UsageError
from reconciler.secrets import Secret

VERSION = "007"
# The service refuses tokens that live longer (v2 API reference: authentication, limits).
MAX_TTL = 86_400
MAX_SALT = 99_999_999

_CREDENTIAL = re.compile(r"[0-9a-fA-F]{32}")
_ANY_UID = ("", "0")


class _Service(IntEnum):
    """The services that a token gives access to; the numbers are those of the format."""

    RTC = 1
    RTM = 2


# Join the channel; publish audio, video and data streams.
_RTC_PRIVILEGES = (1, 2, 3, 4)
# Log in to the messaging service.
_RTM_PRIVILEGES = (1,)


def is_credential(text: str) -> bool:
    """Return whether a text has the form of an App ID or an App Certificate: 32 hexadecimal digits."""
    return _CREDENTIAL.fullmatch(text) is not None


def mint(
    app_id: str,
    certificate: Secret,
    channel: str,
    uid: str,
    *,
    ttl: int,
    issued_at: int,
    salt: int,
    rtm: bool = False,
    any_uid: bool = False,
) -> Secret:
    """Return a token for one account in one channel.

    `ttl` in seconds from `issued_at`, which is in epoch seconds; `salt` from 1 to 99,999,999. A numeric uid is given as
    its decimal digits, a string uid (`enable_string_uid`) as the account itself. A token for any uid (`""` or `"0"`) is
    made only with `any_uid`. Raises `UsageError`, which never shows the certificate.
    """
    _check(app_id, certificate, channel, uid, any_uid=any_uid)
    if not 0 < ttl <= MAX_TTL:
        raise UsageError(
            f"a token cannot live for {ttl} seconds",
            hint="write a token_ttl of more than 0 seconds and at most 24h",
        )
    if not 1 <= salt <= MAX_SALT or not 0 < issued_at < 2**32:
        raise UsageError(
            f"a token cannot be issued at {issued_at} with salt {salt}", hint="check this machine's clock"
        )
    account = uid.encode()
    services = [_pack(_Service.RTC, _RTC_PRIVILEGES, ttl) + _text(channel.encode()) + _text(account)]
    if rtm:
        services.append(_pack(_Service.RTM, _RTM_PRIVILEGES, ttl) + _text(account))
    head = _text(app_id.encode()) + struct.pack("<IIIH", issued_at, ttl, salt, len(services))
    info = head + b"".join(services)
    signature = hmac.digest(_signing_key(certificate, issued_at, salt), info, "sha256")
    return Secret(VERSION + b64encode(zlib.compress(_text(signature) + info)).decode())


def _check(app_id: str, certificate: Secret, channel: str, uid: str, *, any_uid: bool) -> None:
    if not is_credential(app_id):
        raise UsageError(
            f'the App ID "{app_id}" is not 32 hexadecimal digits', hint="copy it anew from the console"
        )
    if not is_credential(certificate.reveal()):
        raise UsageError(
            "the App Certificate is not 32 hexadecimal digits",
            hint="check AGORA_APP_CERTIFICATE for white space or a cut copy",
        )
    if not 0 < len(channel.encode()) < 64:
        raise UsageError(
            f'no token can be made for the channel "{channel}"', hint="a channel has 1 to 63 bytes"
        )
    if uid in _ANY_UID and not any_uid:
        raise UsageError(
            "a token without a uid would let anybody in",
            hint="write the agent's uid; 0 only where it is meant",
        )
    if len(uid.encode()) > 255:
        raise UsageError("a uid has at most 255 bytes", hint="shorten agent_rtc_uid")


def _signing_key(certificate: Secret, issued_at: int, salt: int) -> bytes:
    """Return the key of the signature, derived from the certificate, the time and the salt."""
    inner = hmac.digest(struct.pack("<I", issued_at), certificate.reveal().encode(), "sha256")
    return hmac.digest(struct.pack("<I", salt), inner, "sha256")


def _pack(service: _Service, privileges: tuple[int, ...], ttl: int) -> bytes:
    """Return a service's number and its privileges, each lasting as long as the token."""
    head = struct.pack("<HH", service, len(privileges))
    return head + b"".join(struct.pack("<HI", privilege, ttl) for privilege in privileges)


def _text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value
