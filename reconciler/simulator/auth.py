"""Verify callers: Basic credentials and AccessToken2, by this module's own decoder.

Layout of a token (v2 API reference: authentication, from the vendor's SDK): "007" + base64(zlib(str(signature) +
info)), info = str(app id) u32(issued) u32(lives) u32(salt) u16(services) services; little-endian, str = u16 length +
bytes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.simulator.messages import ErrorReason, RefusedCall

RTC, RTM = 1, 2
_JOIN_CHANNEL = 1  # RTC's first privilege
_LOGIN = 1  # RTM's first privilege
_LONGEST_LIFE = 86400  # v2 API reference: token rules, 24 h
_LONGEST_TOKEN = 8192
_LONGEST_CONTENT = 65536
_APP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that the simulator accepts. Where a part is None, any well-formed value is accepted."""

    app_id: str | None = None
    app_certificate: str | None = field(default=None, repr=False)
    customer_id: str | None = field(default=None, repr=False)
    customer_secret: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credentials:
        """Return the credentials of the `AGORA_*` variables; an empty one counts as absent."""
        return cls(
            app_id=environment.get("AGORA_APP_ID") or None,
            app_certificate=environment.get("AGORA_APP_CERTIFICATE") or None,
            customer_id=environment.get("AGORA_CUSTOMER_ID") or None,
            customer_secret=environment.get("AGORA_CUSTOMER_SECRET") or None,
        )


class InvalidToken(ValueError):
    """A token that is not valid; the message says why, without the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """A decoded AccessToken2. Times are epoch seconds."""

    app_id: str
    issued_at: int
    expires_at: int
    channel: str | None
    account: str | None
    joins_until: int | None
    rtm_user: str | None
    salt: int = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)

    @property
    def usable_until(self) -> int:
        """When the token stops being valid in a channel: at its own end, or at that of its privilege to join."""
        return self.expires_at if self.joins_until is None else min(self.expires_at, self.joins_until)


_HEAD = struct.Struct("<IIIH")
_PRIVILEGE = struct.Struct("<HI")


class _Reader:
    """Reads little-endian fields from a byte string."""

    __slots__ = ("_content", "position")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._content):
            raise InvalidToken("the token is cut short")
        piece, self.position = self._content[self.position : end], end
        return piece

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def text(self) -> bytes:
        return self.take(self.u16())

    def privileges(self) -> dict[int, int]:
        return dict(_PRIVILEGE.iter_unpack(self.take(self.u16() * _PRIVILEGE.size)))


def decode(text: str) -> Token:
    """Return the content of a `007` token, its signature not verified. Raises `InvalidToken`."""
    if not text.startswith("007") or len(text) > _LONGEST_TOKEN:
        raise InvalidToken("the token is not a 007 token")
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(base64.b64decode(text[3:], validate=True), _LONGEST_CONTENT)
    except (binascii.Error, zlib.error, ValueError):
        raise InvalidToken("the token is not base64 of zlib") from None
    try:
        return _read(_Reader(content), content)
    except UnicodeDecodeError:
        raise InvalidToken("the token holds text that is not UTF-8") from None


def _read(reader: _Reader, content: bytes) -> Token:
    signature = reader.text()
    start = reader.position
    app_id = reader.text().decode()
    issued_at, lives, salt, services = _HEAD.unpack(reader.take(_HEAD.size))
    channel = account = rtm_user = joins_until = None
    for _ in range(services):
        kind, privileges = reader.u16(), reader.privileges()
        if kind == RTC:
            channel, account = reader.text().decode(), reader.text().decode()
            joins_until = issued_at + privileges.get(_JOIN_CHANNEL, 0)
        elif kind == RTM:
            user = reader.text().decode()
            rtm_user = user if _LOGIN in privileges else None
        else:
            break  # other services have other layouts, and nothing that matters follows
    return Token(
        app_id=app_id,
        issued_at=issued_at,
        expires_at=issued_at + lives,
        channel=channel,
        account=account,
        joins_until=joins_until,
        rtm_user=rtm_user,
        salt=salt,
        signature=signature,
        signed=content[start:],
    )


def verify(token: Token, *, app_id: str, certificate: str | None, now: float, tolerance: float) -> None:
    """Raise `InvalidToken` unless the token is for `app_id`, signed, issued and not expired.

    Without a certificate the signature is not checked. `tolerance` is in seconds.
    """
    if token.app_id != app_id:
        raise InvalidToken("the token is for another App ID")
    if certificate is not None and not hmac.compare_digest(token.signature, _sign(token, certificate)):
        raise InvalidToken("the token's signature does not agree with the App Certificate")
    if token.issued_at > now + tolerance:
        raise InvalidToken("the token is from the future")
    if token.expires_at - token.issued_at > _LONGEST_LIFE:
        raise InvalidToken("the token lives longer than 24 hours")
    if token.usable_until <= now:
        raise InvalidToken("the token has expired")


def _sign(token: Token, certificate: str) -> bytes:
    inner = hmac.digest(struct.pack("<I", token.issued_at), certificate.encode(), "sha256")
    key = hmac.digest(struct.pack("<I", token.salt), inner, "sha256")
    return hmac.digest(key, token.signed, "sha256")


def bind(token: Token, *, channel: str, uid: str, needs_rtm: bool) -> None:
    """Raise `InvalidToken` unless the token allows `uid` to join `channel`, and to log in to RTM if needed."""
    if token.channel != channel:
        raise InvalidToken("the token is for another channel")
    if not _allows(token.account, uid):
        raise InvalidToken("the token is for another uid")
    if needs_rtm and (token.rtm_user is None or not _allows(token.rtm_user, uid)):
        raise InvalidToken("the token lacks the RTM service that enable_rtm needs")


def _allows(account: str | None, uid: str) -> bool:
    # an empty account is a token for uid 0, which fits every uid (v2 API reference: AccessToken2 layout)
    return account in {"", uid} or (uid == "0" and account == "0")


def authenticate(
    header: str, app_id: str, credentials: Credentials, *, now: float, tolerance: float
) -> Token | None:
    """Return the token of an `Authorization` header; None for Basic credentials.

    Raises `RefusedCall`: 401, or 403 for another App ID.
    """
    token = None
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "basic":
            _check_basic(value, credentials)
        case "agora":
            token = _token(value, app_id, credentials, now, tolerance)
        case _:
            raise _unauthorized("an Authorization header with Basic credentials or an agora token is needed")
    if not _APP_ID.match(app_id) or credentials.app_id not in {None, app_id}:
        raise RefusedCall(
            403, ErrorReason.INVALID_PERMISSION, "these credentials have no right to this App ID"
        )
    return token


def _check_basic(value: str, credentials: Credentials) -> None:
    try:
        customer_id, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _unauthorized("the Basic credentials are not base64") from None
    if not (customer_id and colon and secret):
        raise _unauthorized("the Basic credentials are not id:secret")
    if credentials.customer_id not in {None, customer_id} or credentials.customer_secret not in {
        None,
        secret,
    }:
        raise _unauthorized("the customer id or secret is wrong")


def _token(value: str, app_id: str, credentials: Credentials, now: float, tolerance: float) -> Token:
    name, equals, text = value.strip().partition("=")
    if name.strip().lower() != "token" or not equals:
        raise _unauthorized("the header is not of the form: agora token=007...")
    text = text.strip()
    if text[:1] == text[-1:] == '"':
        text = text[1:-1]
    try:
        token = decode(text)
        verify(token, app_id=app_id, certificate=credentials.app_certificate, now=now, tolerance=tolerance)
    except InvalidToken as error:
        raise _unauthorized(str(error)) from None
    return token


def _unauthorized(detail: str) -> RefusedCall:
    return RefusedCall(401, ErrorReason.INVALID_PERMISSION, detail)
