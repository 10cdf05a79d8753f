"""Wrappers that teach the masker every secret of a run: before it is used, and before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.cli.output import MASKER
from reconciler.ports import SecretSource
from reconciler.secrets import Secret, SecretRef

if TYPE_CHECKING:
    from reconciler.driver.http import HttpxSender


class MaskingSecretSource:
    """`ports.SecretSource` that teaches the masker every value it returns."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values = self._sources.resolve(references)
        MASKER.learn_all(values.values())
        return values


def http_sender() -> HttpxSender:
    """Return a sender that teaches the masker every secret in a request, minted tokens too, before sending it."""
    from reconciler.driver.http import HttpxSender

    return HttpxSender(lambda secret: MASKER.learn(secret.reveal()))
