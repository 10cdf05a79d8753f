"""Translate failures: statuses, reasons and network errors become outcomes or exceptions, only here.

The question for a mutating call is whether the service may have executed it. Only an answer that proves that it did not
is a refusal; every other failure is `Unknown`. The service documents its reasons but not which status each comes with
(v2 API reference: "Errors"), so statuses decide, and reasons only add detail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import orjson

from reconciler.durations import spelled
from reconciler.errors import AuthenticationFailed, IncompleteRead, ReadAbandoned, ServiceError
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Gone,
    HttpFailure,
    HttpReply,
    HttpTrouble,
    JoinOutcome,
    LeaveOutcome,
    Scope,
    Unknown,
    UpdateOutcome,
)
from reconciler.providers.agora import replies
from reconciler.providers.agora.call_sender import STOPPING, TOO_MANY, Result, Withheld, retry_after
from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import LONGEST, clean
from reconciler.values import dataclass

OK = 200
BAD_REQUEST = 400
# A pause in seconds that is longer than any run waits.
_LONG = 20.0
UNAUTHORIZED = 401
NOT_FOUND = 404
CONFLICT = 409
_AUTHENTICATION = frozenset({UNAUTHORIZED, 403})

# Statuses that prove that nothing was executed, and what each refusal stops. Besides the documented ones: those with
# which HTTP refuses a message before it is processed (RFC 9110: 405, 406, 411, 413, 414, 415; 431).
_REFUSALS: Mapping[int, Scope] = MappingProxyType(
    dict.fromkeys(_AUTHENTICATION, Scope.RUN)
    | dict.fromkeys((400, 404, 405, 406, 411, 413, 414, 415, 422, 431), Scope.ADDRESS)
)
# A reason that means that the quota is used up, with any 4xx (v2 API reference: "Contradictions", 11).
_QUOTA_FOR_SURE = frozenset({"ResourceQuotaLimitExceeded"})
_QUOTA = _QUOTA_FOR_SURE | {"ConcurrencyLimitExceeded"}

_ADVICE_BY_REASON: Mapping[str, str] = MappingProxyType(
    {
        "ServiceNotEnabled": "enable Conversational AI for this project in Agora's console",
        "AccountSuspended": "the account is suspended: see Agora's console",
        "InvalidPermission": "the credentials have no right to this project",
        "ResourceQuotaLimitExceeded": "leave other agents or have the quota raised (20 agents by default)",
        "ConcurrencyLimitExceeded": "leave other agents or have the quota raised (20 agents by default)",
    }
)
_ADVICE_BY_STATUS: Mapping[int, str] = MappingProxyType(
    {
        BAD_REQUEST: "correct the agent's properties",
        UNAUTHORIZED: "check AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET, and that AGORA_APP_ID belongs to them",
        403: "check in Agora's console that the project exists and has Conversational AI enabled",
        404: "check AGORA_APP_ID, service.area and AGORA_AGENTS_API_BASE_URL",
        422: "leave other agents or have the quota raised (20 agents by default)",
    }
)
_LATER = "see whether the service is well and can be reached from here, and run again"
_RECORDED = "calls in flight were finished or are recorded; run the same again to go on"
_SLOWER = "too many calls at a time: run again later, or with a lower --parallelism"
_ENGINE_REFUSED = "core: edge failed"
_COMPLETE_IT = (
    "the service's engine refused the properties: give llm and tts (and asr) with all that their vendors need"
)
# The service's message for an App ID of another region (v2 API reference: "Base URLs").
_WRONG_REGION = "check if the appid is valid"


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The content of an error's body, in any of its forms; unredacted. `is_agora` when it is a JSON object."""

    detail: str = ""
    reason: str = ""
    agent_id: str | None = None
    is_agora: bool = False


def join_outcome(result: Result, now: float, secrets: Iterable[Secret]) -> JoinOutcome:
    """Return the outcome of a join. `now` in the service's time; `secrets` are masked in every text."""
    if isinstance(result, HttpReply) and result.status == OK:
        try:
            return replies.joined(replies.content(result), now)
        except IncompleteRead as error:
            return Unknown(f"HTTP 200, but {error.message}", answered=True)
    if isinstance(result, HttpReply) and result.status == CONFLICT:
        return Conflict(read_error(result.body).agent_id, _words(result, secrets))
    return _refusal(result, secrets, quota_scope=Scope.JOINS)


def update_outcome(result: Result, agent_id: str, secrets: Iterable[Secret]) -> UpdateOutcome:
    """Return the outcome of an update."""
    if isinstance(result, HttpReply) and result.status == OK:
        try:
            replies.check_updated(replies.content(result), agent_id)
        except IncompleteRead as error:
            return Unknown(f"HTTP 200, but {error.message}", answered=True)
        return Done()
    if is_gone(result):
        return Gone()
    return _refusal(result, secrets)


def leave_outcome(result: Result, secrets: Iterable[Secret]) -> LeaveOutcome:
    """Return the outcome of a leave; `Done` means accepted: it is executed later (v2 API reference: "Lifecycle")."""
    if isinstance(result, HttpReply) and result.status == OK:
        try:
            replies.check_left(replies.content(result))
        except IncompleteRead as error:
            return Unknown(f"HTTP 200, but {error.message}", answered=True)
        return Done()
    if is_gone(result):
        return Gone()
    return _refusal(result, secrets)


def is_gone(result: Result) -> bool:
    """Return whether a reply about one agent says that there is no such agent.

    A 404 that is not the service's own (a proxy's page, a wrong URL) does not say so.
    """
    return isinstance(result, HttpReply) and result.status == NOT_FOUND and read_error(result.body).is_agora


def is_unauthenticated(result: Result) -> bool:
    """Return whether the service refused the credentials; then nothing was executed."""
    return isinstance(result, HttpReply) and result.status in _AUTHENTICATION


def call_failed(
    what: str,
    result: Result,
    secrets: Iterable[Secret],
    *,
    mutating: bool = False,
    host: str = "",
    credentials: str = "",
) -> ServiceError:
    """Return the exception for a call without an outcome type: reads, and the verbs of a conversation.

    `host` is named where it gave no answer, and `credentials` (names of variables) where they were refused.
    """
    if not mutating and _is_cut_short(result):
        return ReadAbandoned(f"interrupted while {what}", hint=_RECORDED)
    text = f"{what} failed: {_words(result, secrets, advise=False)}"
    if isinstance(result, HttpReply):
        hint = _advice(result.status, read_error(result.body)) or _LATER
        if result.status == TOO_MANY:
            hint = _SLOWER
        elif result.status == BAD_REQUEST:  # the advice for it is about what a join sends
            hint = _LATER
        if result.status in _AUTHENTICATION:
            if result.status == UNAUTHORIZED and credentials:
                hint = f"the service refused {credentials}: check the values, and that AGORA_APP_ID belongs to them"
            return AuthenticationFailed(text, hint=hint)
        if not mutating and result.status < 300:
            return IncompleteRead(text, hint=hint)
        if mutating and result.status not in _REFUSALS:
            text += "; it may have been executed, and is not sent again"
        return ServiceError(text, hint=hint)
    if isinstance(result, HttpFailure):
        if mutating and result.sent:
            text += "; it may have been executed, and is not sent again"
        if not mutating and result.trouble is HttpTrouble.TOO_LARGE:
            return IncompleteRead(text, hint=_LATER)
    problem = ServiceError(
        text, hint=_LATER.replace("the service", f"the service at {host}") if host else _LATER
    )
    if isinstance(result, Withheld):
        problem.again_in = result.again_in
    return problem


def _is_cut_short(result: Result) -> bool:
    """Return whether there is no reply only because the run is stopping."""
    if isinstance(result, HttpFailure):
        return result.trouble is HttpTrouble.INTERRUPTED
    return result is STOPPING


def read_error(body: bytes) -> ErrorBody:
    """Return the error in a body: the present form, older forms, plain text or a proxy's page. Never raises.

    Forms: v2 API reference, "Errors" and "Name conflict"; telephony's `{error_type, description}`.
    """
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorBody(_plain(body))
    if not isinstance(tree, dict):
        return ErrorBody(_plain(body))
    said = (tree.get(key) for key in ("detail", "message", "description"))
    reason = next((each for key in ("reason", "error_type") if isinstance(each := tree.get(key), str)), "")
    return ErrorBody(
        detail=next((_string(each) for each in said if each), ""),
        reason=reason[:100],
        agent_id=next(
            (each for key in ("agent_id", "taskId") if replies.is_agent_id(each := tree.get(key))), None
        ),
        is_agora=True,
    )


def _refusal(
    result: Result, secrets: Iterable[Secret], *, quota_scope: Scope = Scope.ADDRESS
) -> Declined | Unknown:
    """Return a refusal if the result proves that nothing was executed, else `Unknown`."""
    words = _words(result, secrets)
    if isinstance(result, Withheld):
        return Declined(Scope.STOPPING if result is STOPPING else Scope.RUN, words)
    if isinstance(result, HttpFailure):
        # An answer that is too large is an answer: the service has finished with the call.
        is_answered = result.trouble is HttpTrouble.TOO_LARGE
        return Unknown(words, answered=is_answered) if result.sent else Declined(Scope.ADDRESS, words)
    if _is_quota(result):
        return Declined(quota_scope, words)
    if is_refused_by_engine(result):
        return Declined(Scope.ADDRESS, words)
    scope = _REFUSALS.get(result.status)
    return Unknown(words, answered=_is_own_answer(result)) if scope is None else Declined(scope, words)


def _is_own_answer(reply: HttpReply) -> bool:
    """Return whether a reply shows that the service has finished with the call, so that it is not executed later.

    A gateway that has lost the service behind it answers 502 or 504, or with an error that is not the service's JSON
    (RFC 9110: 502, 504). A 429 is sent for calls that are not executed.
    """
    if reply.status < BAD_REQUEST or reply.status == TOO_MANY:
        return True
    return reply.status not in (502, 504) and read_error(reply.body).is_agora


def is_refused_by_engine(reply: HttpReply) -> bool:
    """Return whether a 5xx is a refusal of the properties: the engine could not be started with them.

    Seen live for joins without llm or tts; the same body gets the same answer (v2 API reference: "Errors", 500).
    """
    return reply.status >= 500 and read_error(reply.body).detail.startswith(_ENGINE_REFUSED)


def _is_quota(result: HttpReply) -> bool:
    """Return whether the quota is used up. A 429 that only says "too many at once" is about the pace."""
    reason = read_error(result.body).reason
    if result.status == TOO_MANY:
        return reason in _QUOTA_FOR_SURE
    return 400 <= result.status < 500 and (result.status == 422 or reason in _QUOTA)


def _words(result: Result, secrets: Iterable[Secret], *, advise: bool = True) -> str:
    """Return what happened, and what to do about it, in one line."""
    if isinstance(result, Withheld):
        return clean(f"not sent, since {result.reason}", secrets)
    if isinstance(result, HttpFailure):
        return clean(f"{result.trouble} ({result.detail})" if result.detail else str(result.trouble), secrets)
    error = read_error(result.body)
    head = f"HTTP {result.status} {error.reason}".rstrip()
    text = clean(f"{head}: {error.detail}" if error.detail else head, secrets)
    text += _remark(result)
    advice = _advice(result.status, error) if advise else None
    return f"{text}; {advice}" if advice else text


def _remark(reply: HttpReply) -> str:
    """Return what must be added to a reply's own message; mostly empty."""
    if OK < reply.status < 300:
        return " (only 200 is taken for an answer)"
    if 300 <= reply.status < 400:
        return " (a redirect, which is never followed)"
    if reply.status != TOO_MANY or not reply.headers.get("retry-after"):
        return ""
    seconds = retry_after(reply.headers)
    if seconds is None:
        return " (its Retry-After makes no sense, and was not waited for)"
    return f" (it asks for a pause of {spelled(seconds)}, longer than a run waits)" if seconds > _LONG else ""


def _advice(status: int, error: ErrorBody) -> str | None:
    if _WRONG_REGION in error.detail:
        return "check that service.area is the region in which the App ID was made"
    if error.detail.startswith(_ENGINE_REFUSED):
        return _COMPLETE_IT
    if (made := _MADE_BY_US.search(error.detail)) is not None and status == BAD_REQUEST:
        return _CHECK_CHANNEL if made[0].endswith("channel") else _CHECK_CREDENTIALS
    if status == TOO_MANY and error.reason not in _QUOTA_FOR_SURE:
        return None  # it is about the pace, which is slowed down by itself
    if 300 <= status < 400:
        return "check AGORA_AGENTS_API_BASE_URL"
    if status == UNAUTHORIZED and error.reason == "InvalidPermission":
        return _ADVICE_BY_STATUS[status]  # the caller was not identified: check the credentials first
    return _ADVICE_BY_REASON.get(error.reason) or _ADVICE_BY_STATUS.get(status)


# Properties that are filled in here and that no file can write: the advice is to change something else.
_MADE_BY_US = re.compile(r"\bproperties\.(?:token|channel)\b|\bagora_token\b")
_CHECK_CHANNEL = "correct the channel's name in its channel block"
_CHECK_CREDENTIALS = (
    "tokens are made here: check that AGORA_APP_CERTIFICATE is that of AGORA_APP_ID, and this machine's clock"
)


def _plain(body: bytes) -> str:
    """Return a text or a page without its markup; not redacted yet, so not cut where a secret could stand."""
    text = body[: LONGEST * 16].decode("utf-8", "replace")
    if "<" in text:
        text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<[^<>]{0,300}>", " ", text)
    return " ".join(text.split())[: LONGEST * 16]


def _string(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()[: LONGEST * 16]
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes
        return ""
