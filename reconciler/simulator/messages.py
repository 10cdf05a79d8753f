"""The simulator's input and output: requests, responses, outages and refusals, as plain values.

Nothing here knows a socket, the world or a switch. An `Outage` is an answer that HTTP cannot express; the driver of the
simulator (a server, or a simulation in virtual time) carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from time import gmtime, strftime
from typing import NamedTuple

import orjson

Headers = tuple[tuple[str, str], ...]

JSON_HEADERS: Headers = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is percent-encoded as sent, without query; header names may have any case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the value of the header `name` (given in lower case), or an empty string."""
        value = self.headers.get(name)
        if value is None:
            value = next((text for key, text in self.headers.items() if key.lower() == name), "")
        return value


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    headers: Headers
    body: bytes


class OutageKind(StrEnum):
    """The ways in which a request can go unanswered."""

    UNREACHABLE = "unreachable"  # no connection; nothing was sent
    SILENCE = "silence"  # the connection stays open and no answer ever comes
    RESET = "reset"  # the connection is reset before an answer
    SLOW = "slow"  # `response` comes after `seconds`
    DRIP = "drip"  # `response` comes one byte every `seconds`
    CUT = "cut"  # the connection closes in the middle of `response`'s body


class Outage(NamedTuple):
    """An answer that is not an HTTP response.

    `executed` is whether the request has changed the world already; for a late execution it is False, and the request
    is executed at its time. `response` is what the client would get, if it gets any of it.
    """

    kind: OutageKind
    executed: bool
    response: Response | None = None
    seconds: float = 0.0


class ErrorReason(StrEnum):
    """The values of `reason` (v2 API reference: errors, of v2.7).

    InvalidRequest is older, and used in CN; InternalServerError was only seen live.
    """

    SERVICE_NOT_ENABLED = "ServiceNotEnabled"
    ACCOUNT_SUSPENDED = "AccountSuspended"
    INTERNAL_ERROR = "InternalError"
    INVALID_PERMISSION = "InvalidPermission"
    INVALID_REQUEST_BODY = "InvalidRequestBody"
    MISSING_REQUIRED_FIELD = "MissingRequiredField"
    INVALID_FIELD_VALUE = "InvalidFieldValue"
    RESOURCE_QUOTA_LIMIT_EXCEEDED = "ResourceQuotaLimitExceeded"
    CONCURRENCY_LIMIT_EXCEEDED = "ConcurrencyLimitExceeded"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    RESOURCE_ALLOCATION_FAILED = "ResourceAllocationFailed"
    TASK_CONFLICT = "TaskConflict"
    TASK_NOT_FOUND = "TaskNotFound"
    TASK_OPERATION_TIMEOUT = "TaskOperationTimeout"
    NOT_IMPLEMENTED = "NotImplemented"
    INVALID_REQUEST = "InvalidRequest"
    INTERNAL_SERVER_ERROR = "InternalServerError"


BODY_REASONS = frozenset(
    {ErrorReason.INVALID_REQUEST_BODY, ErrorReason.MISSING_REQUIRED_FIELD, ErrorReason.INVALID_FIELD_VALUE}
)


class RefusedCall(Exception):
    """The service refuses a call: an HTTP status and the body `{"detail", "reason"}` (v2 API reference: errors)."""

    def __init__(
        self,
        status: int,
        reason: ErrorReason,
        detail: str,
        *,
        extra: Mapping[str, str] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.extra = extra
        self.headers = headers


def json_response(payload: object, status: int = 200, headers: Headers = ()) -> Response:
    """Return a response with `payload` as JSON."""
    return Response(status, JSON_HEADERS + headers, orjson.dumps(payload))


def http_date(at: float) -> str:
    """Return `at`, in epoch seconds, as an IMF-fixdate."""
    return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(at))  # the process has the locale C, as Python starts
