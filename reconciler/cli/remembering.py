"""Wrappers that teach the masker every secret of a run: before it is used, and before it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.cli.output import MASKER
from reconciler.driver.loop import Sender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, SecretSource
from reconciler.providers import secrets_in
from reconciler.secrets import Secret, SecretRef


class Remembering:
    """`ports.SecretSource` that teaches the masker every value it returns."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values = self._sources.resolve(references)
        MASKER.learn_all(values.values())
        return values


class Attentive:
    """`driver.loop.Sender` that teaches the masker every secret in a request, minted tokens too, before sending it."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        MASKER.learn_all(secrets_in(request))
        return await self._sender.send(request, worker)

    async def aclose(self) -> None:
        await self._sender.aclose()
