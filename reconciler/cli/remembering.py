"""What has the masker learn every secret that a run meets: before it is used, and before it goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.cli.output import MASKER
from reconciler.ports import SecretSource
from reconciler.secrets import Secret, SecretRef

if TYPE_CHECKING:
    from reconciler.driver.http import HttpxSender


class Remembering:
    """`ports.SecretSource` that has the masker learn every value it returns."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values = self._sources.resolve(references)
        MASKER.learn_all(values.values())
        return values


def http_sender() -> HttpxSender:
    """A sender that has the masker learn every secret before it goes out, minted tokens too."""
    from reconciler.driver.http import HttpxSender

    return HttpxSender(lambda secret: MASKER.learn(secret.reveal()))
