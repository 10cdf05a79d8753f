"""Notifications of `watch`: posts each event that a person should know once to a webhook. Failures stop nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from reconciler.apply.events import Result
from reconciler.cli.output import MASKER, Output
from reconciler.controller.loop import FilesRead, TurnEnded
from reconciler.controller.turn import Turned, TurnResult
from reconciler.errors import UsageError
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.change import Because, Hold
from reconciler.report.escape import visible
from reconciler.secrets import Secret
from reconciler.values import dataclass

_SECONDS = 5.0
# How many messages may wait for a slow webhook; further ones are counted as failed and not sent.
_MOST_WAITING = 100
# How many messages are remembered as sent, so that each is sent once; beyond that nothing new is sent.
_MOST_SAID = 100_000
# Reasons for a hold that a person should know of; the others end by themselves.
_HELD = frozenset(Because) - {Because.MAX_UNAVAILABLE, Because.NOT_IN_ONLY, Because.DEFERRED}


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. It is sent once for each address, kind and digest of the files."""

    address: str
    kind: str
    digest: str
    text: str


class Notifier:
    """Posts notifications to a webhook that accepts `{"text": ...}`, as Slack's do; without a URL it sends nothing."""

    def __init__(self, url: str | None, output: Output, count: Callable[[str], None]) -> None:
        self._url = url
        self._output = output
        self._count = count
        self._said: set[tuple[str, str, str, str]] = set()
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MOST_WAITING)
        self._is_in_trouble = False
        if url is not None:
            parts = _checked(url)
            # The host alone is not masked: it may also be the host of the service.
            secrets = (parts.password or "", f"{parts.path}?{parts.query}".rstrip("?"))
            MASKER.learn_all(Secret(each) for each in secrets if each.strip("/"))

    def take(self, fleet: DesiredFleet, event: Any) -> None:
        """Queue the new notifications of an event; `run` sends them."""
        if self._url is None:
            return
        for each in _notices(fleet, event):
            key = (str(fleet.owner), each.address, each.kind, each.digest)
            if key in self._said or len(self._said) >= _MOST_SAID:
                continue
            self._said.add(key)
            self._enqueue(fleet, each)

    def _enqueue(self, fleet: DesiredFleet, notice: Message) -> None:
        where = f"{fleet.owner} {notice.address}".strip()
        body = {
            "text": MASKER.mask(f"reconciler: {where}: {notice.text}"),
            "fleet": fleet.owner.fleet,
            "environment": fleet.owner.environment,
            "address": notice.address or None,
            "class": notice.kind,
        }
        try:
            self._waiting.put_nowait(body)
        except asyncio.QueueFull:
            self._count("failed")

    async def run(self) -> None:
        """Send queued notifications one after the other, until cancelled."""
        if self._url is None:
            return
        import httpx

        async with httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False) as client:
            while True:
                body = await self._waiting.get()
                try:
                    reply = await client.post(self._url, json=body)
                    trouble = "" if reply.is_success else f"HTTP {reply.status_code}"
                except (httpx.HTTPError, httpx.InvalidURL) as problem:
                    trouble = type(problem).__name__
                self._told(trouble)

    def _told(self, trouble: str) -> None:
        self._count("failed" if trouble else "sent")
        if trouble and not self._is_in_trouble:
            self._output.say(
                f"a notification could not be sent ({trouble}); nothing else is kept from going on",
                level="warning",
            )
        self._is_in_trouble = bool(trouble)


def _checked(url: str) -> SplitResult:
    """Return the parts of a webhook's URL; raise `UsageError` if it is not an http or https URL."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0:
            return parts
    raise UsageError(
        "--notify wants an http or https URL", hint="write https://HOST/PATH, a webhook's address"
    )


def _notices(fleet: DesiredFleet, event: Any) -> Iterator[Message]:
    match event:
        case TurnEnded(turned):
            yield from _of_turn(fleet, turned)
        case FilesRead(problem=problem) if problem is not None:
            text = "the files cannot be used; the last good ones go on"
            yield Message("", "files_unusable", fleet.digest, text)
        case _:
            pass


def _of_turn(fleet: DesiredFleet, turned: Turned) -> Iterator[Message]:
    for end in turned.ends:
        text = f"agent {end.agent_id} had ended ({end.kind}) and was joined again"
        # Each end is a notification of its own. An agent that ends repeatedly is held, and the hold is sent once.
        yield Message(visible(str(end.address)), end.kind.value, f"{fleet.digest} {end.agent_id}", text)
    for hold in turned.plan.pending if turned.plan is not None else ():
        if isinstance(hold, Hold) and hold.reason.because in _HELD:
            address = visible(str(hold.address))
            yield Message(
                address, hold.reason.because.value, fleet.digest, f"held: {visible(hold.reason.text)}"
            )
    for row in turned.changes:
        if row.result in (Result.FAILED, Result.UNKNOWN):
            text = f"{row.action} {row.result}: {visible(row.detail)}"
            yield Message(visible(str(row.address)), row.result.value, fleet.digest, text)
    for refused in turned.refused:
        yield Message("", "refused", fleet.digest, visible(refused))
    if turned.problem is not None and turned.result is TurnResult.FAILED:
        yield Message("", f"turn_failed {turned.problem.rule}", fleet.digest, visible(turned.problem.message))
