"""Notifications of a `watch`: what a person should know, once, to a webhook. Its failures disturb nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

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
# So many may wait for a slow webhook; those beyond are counted as failed, and not sent.
_MOST_WAITING = 100
# So many are remembered as said: a fleet of any size says each of its troubles once.
_MOST_SAID = 100_000
# What needs a person, or tells one that something is wrong; the others lift themselves.
_HELD = frozenset(Because) - {Because.MAX_UNAVAILABLE, Because.NOT_IN_ONLY, Because.DEFERRED}


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to be known. It is said once for each address, class and digest of the files."""

    address: str
    kind: str
    digest: str
    text: str


class Notifier:
    """Sends notices to a webhook that takes `{"text": ...}`, as Slack's do; without a URL it sends nothing."""

    def __init__(self, url: str | None, output: Output, count: Callable[[str], None]) -> None:
        self._url = url
        self._output = output
        self._count = count
        self._said: set[tuple[str, str, str, str]] = set()
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MOST_WAITING)
        self._is_in_trouble = False
        if url is not None:
            _check(url)
            MASKER.learn_all([Secret(url)])

    def take(self, fleet: DesiredFleet, event: Any) -> None:
        """Note an event; what is new of it is sent by `run`."""
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
        """Send what waits, one after the other, until cancelled."""
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


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        well = False
    if not well:
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
        # Each end is an event of its own; what repeats is held by the brake, and that is told once.
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
