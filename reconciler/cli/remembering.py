"""What has the masker learn every secret that a run meets: before it is used, and before it goes out."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.cli.output import MASKER
from reconciler.driver.loop import Sender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, SecretSource
from reconciler.providers import secrets_in
from reconciler.secrets import Secret, SecretRef


class Remembering:
    """`ports.SecretSource` that has the masker learn every value it returns."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values = self._sources.resolve(references)
        MASKER.learn_all(values.values())
        return values


class Attentive:
    """`driver.loop.Sender` that has the masker learn every secret before it goes out, minted tokens too."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        MASKER.learn_all(secrets_in(request))
        return await self._sender.send(request, worker)

    async def aclose(self) -> None:
        await self._sender.aclose()
