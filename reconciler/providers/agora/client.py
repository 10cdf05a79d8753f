"""One connection to the service: URLs, credentials, tokens, and calls whose failures are translated.

All calls of a run go through one `Pressure`, and all replies update one `ServiceClock`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import NoReturn, TypeVar

from reconciler.errors import IncompleteRead, SecretUnavailable, UsageError
from reconciler.ports import HttpReply, HttpRequest, Now, Random, Resolve, Steps
from reconciler.providers import secrets_in
from reconciler.providers.agora import errors, replies, settings, tokens
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.call_sender import Pressure, Result
from reconciler.providers.agora.clock import ServiceClock
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.secrets import Secret, SecretRef
from reconciler.secrets.foreign_text import RunSecrets, SentSecrets

T = TypeVar("T")

# A token in a header is used for one call; its life also covers the largest difference of clocks that is allowed.
HEADER_TTL = 600
# The channel and uid in a token for a call on an agent of which only the id is known: those of the official SDK (v2 API
# reference: authentication, "Whether the channel in the header token is checked").
_ANY_SEAT = ("stop", "0")
# How long a check of credentials tries to connect to a host that refuses connections.
_UNREACHABLE_SECONDS = 3.0


class Way(StrEnum):
    """A way to authenticate; the value is its text in messages, which names the variables with its credentials."""

    TOKEN = f"a token minted with {settings.APP_CERTIFICATE}"
    CUSTOMER = f"{settings.CUSTOMER_ID} and {settings.CUSTOMER_SECRET}"


class AgoraClient:
    """Makes requests with credentials and translates results. One per run: it keeps what the replies have shown."""

    __slots__ = (
        "_basic",
        "_basic_refused",
        "_seats",
        "_secrets",
        "_settings",
        "accepted",
        "clock",
        "pressure",
    )

    def __init__(self, connection: AgoraSettings, limits: CallLimits | None = None) -> None:
        self._settings = connection
        self._basic = _basic(connection)
        # The status with which the service refused the customer's credentials, if it did.
        self._basic_refused: int | None = None
        # The ways to authenticate that the service has accepted in this run.
        self.accepted: set[Way] = set()
        self._seats: dict[str, tuple[str, str]] = {}
        own = (connection.certificate, connection.customer_id, connection.customer_secret, self._basic)
        self._secrets = RunSecrets()
        self._secrets.add(each for each in own if each is not None)
        self.pressure = Pressure(limits)
        self.clock = ServiceClock()

    @property
    def settings(self) -> AgoraSettings:
        """The settings of this connection: host, App ID and credentials."""
        return self._settings

    def remember(self, agent_id: str, channel: str, uid: str) -> None:
        """Note an agent's channel and uid: tokens for calls on it are minted for them."""
        self._seats[agent_id] = (channel, uid)

    def agent_path(self, agent_id: str, verb: str = "") -> str:
        """Return the path of one agent. Raises `UsageError` for an id that would change the meaning of a path."""
        if not replies.is_agent_id(agent_id):
            raise UsageError(
                f"{agent_id!r} is not an agent's id", hint="an id has letters, digits, _ and - only"
            )
        return f"agents/{agent_id}/{verb}" if verb else f"agents/{agent_id}"

    def request(
        self,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: object | None = None,
        seat: tuple[str, str] | None = None,
        agent_id: str = "",
    ) -> Steps[HttpRequest]:
        """Return a request with credentials; `path` is below `/v2/projects/{app}/`."""
        known = seat or self._seats.get(agent_id, _ANY_SEAT)
        headers: dict[str, str | Secret] = {"authorization": (yield from self._authorization(known))}
        if body is not None:
            headers["content-type"] = "application/json"
        url = f"{self._settings.base_url}/v2/projects/{self._settings.app_id}/{path}"
        return HttpRequest(method, url, query, headers, body, self.pressure.limits.write_seconds)

    def mint(
        self, channel: str, uid: str, ttl: float, *, rtm: bool
    ) -> Steps[tuple[Secret | str, float | None]]:
        """Return a token for an agent, and when it expires (epoch seconds).

        A mainland-China project without a certificate has no tokens: an empty one is sent (v2 API reference: join).
        Raises `SecretUnavailable` without a certificate, and `ServiceError` when the clock differs too much.
        """
        if self._settings.certificate is None and self._settings.is_mainland_china:
            return "", None
        # With uid "0" the service chooses the uid, so the token has to be valid for any (v2 API reference: join). Only
        # files can ask for that: the default uid of an address is never 0.
        anyone = uid == "0"
        account = "" if anyone else uid
        token, issued_at = yield from self._mint(channel, account, int(ttl), rtm=rtm, any_uid=anyone)
        return token, float(issued_at + int(ttl))

    def resolve(self, references: frozenset[SecretRef]) -> Steps[Mapping[SecretRef, Secret]]:
        """Return the values of secrets; without references no source is asked."""
        if not references:
            return {}
        values: Mapping[SecretRef, Secret] = yield Resolve(references)
        self._secrets.add(values.values())
        return values

    def once(self, request: HttpRequest) -> Steps[Result]:
        """Send a mutating call at most once."""
        result = yield from self.pressure.once(request)
        yield from self._learn(result)
        return result

    def fetch(self, request: HttpRequest, until: float = math.inf) -> Steps[Result]:
        """Send a read, and retry it while that may help, but not beyond `until` (a time of `Elapsed`).

        Every run begins with a read, so the first one shows whether the service accepts the customer's credentials. If
        it refuses them and there is a certificate, this read and all later calls are sent with a token.
        """
        result = yield from self.pressure.read(request, until)
        yield from self._learn(result)
        if not errors.is_unauthenticated(result):
            if isinstance(result, HttpReply) and result.status == errors.OK:
                self.accepted.add(Way.TOKEN if self._basic is None else Way.CUSTOMER)
            return result
        if self._basic is None:
            self.clock.require_close()  # if the clock is wrong, that is the reason for the refused token
        if self._basic is None or self._settings.certificate is None:
            return result
        assert isinstance(result, HttpReply), "a refusal is a reply"
        self._basic, self._basic_refused = None, result.status
        headers = {**request.headers, "authorization": (yield from self._authorization(_ANY_SEAT))}
        return (yield from self.fetch(replace(request, headers=headers), until))

    def probe(self, way: Way) -> Steps[Result]:
        """Return the service's answer to one short list, sent with the credentials of one way.

        A token is minted with the service's time, as far as it is known, so that only the certificate is checked.
        """
        if way is Way.TOKEN:
            issued_at = int((yield from self.now()))
            authorization = yield from self._token(_ANY_SEAT, HEADER_TTL, issued_at, rtm=True, any_uid=True)
            authorization = Secret(f"agora token={authorization.reveal()}")
        else:
            basic = _basic(self._settings)
            assert basic is not None, "whoever asks has the customer's credentials"
            authorization = basic
        url = f"{self._settings.base_url}/v2/projects/{self._settings.app_id}/agents"
        request = HttpRequest("GET", url, (("limit", "1"),), {"authorization": authorization})
        result = yield from self.pressure.read(request, unreachable_seconds=_UNREACHABLE_SECONDS)
        yield from self._learn(result)
        if isinstance(result, HttpReply) and result.status == errors.OK:
            self.accepted.add(way)
        return result

    @property
    def credentials_warning(self) -> str | None:
        """A warning that the customer's credentials were refused and a token was accepted, or None."""
        if self._basic_refused is None or Way.TOKEN not in self.accepted:
            return None
        return (
            f"the customer credentials were refused ({self._basic_refused}); a token was used: copy {Way.CUSTOMER} anew "
            "from Agora's console, or unset both"
        )

    def read(self, what: str, request: HttpRequest, decode: Callable[[bytes, float], T]) -> Steps[T | None]:
        """Send a read about one agent and return its decoded reply; None when the service says that there is none.

        A reply that cannot be decoded is asked for once more. `what` names the read in messages.
        """
        again = True
        while True:
            result = yield from self.fetch(request)
            if errors.is_gone(result):
                yield from self.pressure.has_succeeded()
                return None
            if not isinstance(result, HttpReply) or result.status != errors.OK:
                self.fail(what, result, request)
            try:
                decoded = decode(replies.content(result), (yield from self.now()))
            except IncompleteRead as error:
                if not again or not self.pressure.spend_retry():
                    raise IncompleteRead(
                        f"{what} failed: {error.message}", hint=error.hint or replies.AGAIN
                    ) from None
                again = False
            else:
                yield from self.pressure.has_succeeded()
                return decoded

    def now(self) -> Steps[float]:
        """Return the service's time, as far as it is known."""
        return self.clock.correct((yield Now()))

    def fail(self, what: str, result: Result, request: HttpRequest, *, mutating: bool = False) -> NoReturn:
        """Raise the exception for a failed result."""
        raise errors.call_failed(
            what,
            result,
            self.secrets(request),
            mutating=mutating,
            host=self._settings.host,
            credentials=self._credentials(),
        )

    def _credentials(self) -> str:
        """Return the names of the variables whose values were sent, for a message about a refusal."""
        if self._basic is not None:
            return Way.CUSTOMER.value
        return f"{Way.CUSTOMER}, and then {Way.TOKEN}" if self._basic_refused else Way.TOKEN.value

    @property
    def known_secrets(self) -> Iterable[Secret]:
        """Our own credentials, every secret that this run has sent to the service so far, and those of `mask`.

        The message of an agent's end may come from a vendor, and a vendor may quote the key that it was given.
        """
        return SentSecrets(self._secrets)

    def secrets(self, request: HttpRequest) -> Iterable[Secret]:
        """Return all secrets that must be masked in texts after this request; its body is searched only if needed."""
        return SentSecrets(self._secrets, partial(secrets_in, request))

    def mask(self, secrets: Iterable[Secret]) -> None:
        """Mask these secrets too, which the service may know from an earlier run; they are read when there is a text."""
        self._secrets.hold(secrets)

    def _learn(self, result: Result) -> Steps[None]:
        if isinstance(result, HttpReply):
            self.clock.learn(result.headers, (yield Now()))

    def _authorization(self, seat: tuple[str, str]) -> Steps[Secret]:
        if self._basic is not None:
            return self._basic
        channel, uid = seat
        token, _ = yield from self._mint(channel, uid, HEADER_TTL, rtm=True, any_uid=uid == "0")
        return Secret(f"agora token={token.reveal()}")

    def _mint(
        self, channel: str, account: str, ttl: int, *, rtm: bool, any_uid: bool
    ) -> Steps[tuple[Secret, int]]:
        self.clock.require_close()
        issued_at = int((yield Now()))
        token = yield from self._token((channel, account), ttl, issued_at, rtm=rtm, any_uid=any_uid)
        return token, issued_at

    def _token(
        self, seat: tuple[str, str], ttl: int, issued_at: int, *, rtm: bool, any_uid: bool
    ) -> Steps[Secret]:
        certificate = self._settings.certificate
        if certificate is None:
            raise SecretUnavailable(
                f"{settings.APP_CERTIFICATE} is not set, and no token can be minted without it",
                hint="set it where this runs; it stands in the project's settings in Agora's console",
            )
        salt = 1 + int((yield Random()) * tokens.MAX_SALT)
        return tokens.mint(
            self._settings.app_id,
            certificate,
            *seat,
            ttl=ttl,
            issued_at=issued_at,
            salt=salt,
            rtm=rtm,
            any_uid=any_uid,
        )


def _basic(connection: AgoraSettings) -> Secret | None:
    """Return the value of HTTP's Basic scheme with the customer's credentials, valid for the whole account."""
    if connection.customer_id is None or connection.customer_secret is None:
        return None
    pair = f"{connection.customer_id.reveal()}:{connection.customer_secret.reveal()}"
    return Secret(f"Basic {b64encode(pair.encode()).decode()}")
