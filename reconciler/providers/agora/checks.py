"""Check the credentials and clocks that a run needs, with one short list for each way to authenticate.

The results are told apart: a wrong certificate, wrong customer credentials while a token works, an App ID of another
account. If the service does not answer, nothing is concluded about any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.diagnostics import Problem, Severity
from reconciler.errors import ServiceError
from reconciler.ports import HttpReply, Passed, Steps
from reconciler.providers.agora import errors, settings
from reconciler.providers.agora.call_sender import Result
from reconciler.providers.agora.client import AgoraClient, Way
from reconciler.providers.agora.clock import REFUSE_BEYOND, WARN_BEYOND

_CONSOLE = "in Agora's console"
# Statuses of the list, besides 401 and 403, that say nothing about the credentials (v2 API reference: "Errors").
_NO_JUDGEMENT = frozenset({404, 429})


def checks(client: AgoraClient) -> Steps[tuple[Problem | Passed, ...]]:
    """Try the ways to authenticate that this run has not seen accepted; return findings and passed checks."""
    results: dict[Way, Result] = {}
    for way in _given(client):
        if way in client.accepted:
            continue
        results[way] = yield from client.probe(way)
        if errors.is_unauthenticated(results[way]) and abs(client.clock.skew or 0.0) > WARN_BEYOND:
            # The clock's difference, unknown before, may be the only reason: try again with the service's time.
            results[way] = yield from client.probe(way)
        if not _is_judged(results[way]):
            return (_unanswered(client, results[way]), *_clock(client))
    refused = {way: result for way, result in results.items() if errors.is_unauthenticated(result)}
    accepted = [way for way in _given(client) if way not in refused]
    passed = [Passed("credentials", f"{_sentence(way)} accepted") for way in accepted]
    return (*passed, *_refused(client, refused, is_accepted=bool(accepted)), *_clock(client))


def _given(client: AgoraClient) -> Iterable[Way]:
    connection = client.settings
    if connection.certificate is not None:
        yield Way.TOKEN
    if connection.customer_id is not None and connection.customer_secret is not None:
        yield Way.CUSTOMER


def _sentence(way: Way) -> str:
    return f"{way} is" if way is Way.TOKEN else f"{way} are"


def _is_judged(result: Result) -> bool:
    """Return whether the answer is the service's own, and shows whether the credentials are accepted."""
    if not isinstance(result, HttpReply) or result.status >= 500 or result.status in _NO_JUDGEMENT:
        return False
    return errors.is_unauthenticated(result) or errors.read_error(result.body).is_agora


def _failure(client: AgoraClient, what: str, result: Result) -> ServiceError:
    return errors.call_failed(what, result, client.known_secrets, host=client.settings.host)


def _unanswered(client: AgoraClient, result: Result) -> Problem:
    host = client.settings.host
    problem = _failure(client, f"asking {host}", result)
    if isinstance(result, HttpReply) and result.status == errors.OK:
        problem.message = (
            f"asking {host} failed: what answers there is not the service (HTTP 200 without its list)"
        )
    advice = f"{problem.hint}; {settings.BASE_URL} and service.area say which host that is"
    return Problem("service", problem.message, help=advice)


def _refused(client: AgoraClient, refused: Mapping[Way, Result], *, is_accepted: bool) -> Iterable[Problem]:
    """Yield a finding for each refused way; one for all of them if the App ID is not theirs."""
    app_id = f"{settings.APP_ID} ({client.settings.app_id})"
    forbidden = [result for result in refused.values() if not _is_unknown(result)]
    if not is_accepted and forbidden:
        problem = _failure(client, f"a call on App ID {client.settings.app_id}", forbidden[0])
        advice = f"check that {app_id} is a project of these credentials; {problem.hint}"
        yield Problem("app-id", problem.message, help=advice)
        refused = {way: result for way, result in refused.items() if _is_unknown(result)}
    for way, result in refused.items():
        severity = Severity.WARNING if way is Way.CUSTOMER and is_accepted else Severity.ERROR
        summary = _failure(client, f"a call with {way}", result).message
        yield Problem("credentials", summary, severity=severity, help=_cure(way, app_id, is_accepted))


def _is_unknown(result: Result) -> bool:
    """Return whether the service did not accept the credentials (401); with 403 they lack the right to the App ID."""
    return isinstance(result, HttpReply) and result.status == errors.UNAUTHORIZED


def _cure(way: Way, app_id: str, is_accepted: bool) -> str:
    if way is Way.TOKEN:
        return f"copy {settings.APP_CERTIFICATE} anew from the settings of this project {_CONSOLE}: {app_id}"
    anew = f"copy {way} anew from RESTful API {_CONSOLE}"
    return (
        f"{anew}, or unset both: a token works without them" if is_accepted else f"{anew}, and check {app_id}"
    )


def _clock(client: AgoraClient) -> Iterable[Problem | Passed]:
    skew = client.clock.skew
    if skew is None:
        return
    if client.clock.warning is None:
        yield Passed("clock", "this machine's clock agrees with the service's within half a minute")
        return
    severity = Severity.ERROR if abs(skew) > REFUSE_BEYOND else Severity.WARNING
    summary = client.clock.warning.partition(";")[0]
    help = "set the clock (NTP): tokens are minted by it, and the service refuses those of another time"
    yield Problem("clock", summary, severity=severity, help=help)
