"""Prepare text from outside to be shown: without secrets that were sent, without control characters, not too long.

The command line masks again what it prints. More is masked here, because only a call knows what it sent: shorter
values, shorter pieces of them, and all that looks like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from reconciler.contract.literals import KEY_PREFIXES, NOT_A_KEY, looks_random
from reconciler.secrets.masker import SecretMasker
from reconciler.secrets.references import Secret
from reconciler.secrets.visible import visible
from reconciler.values import dataclass

LONGEST = 300
# The number of characters that are read: 64 KiB, far more than are shown.
LONGEST_READ = 64 * 1024
_SHORTEST_SECRET = 4
# A service that quotes a key often quotes only its beginning or its end.
_TELLING = 8
# Access tokens, credentials in any of HTTP's schemes, and keys by their beginnings, also where only a part is left.
_LOOKS_SECRET = re.compile(
    r"007[A-Za-z0-9+/_-]{24,}+={0,2}"
    # "Basic authentication" is plain text; credentials have more than small letters.
    r"|(?<![A-Za-z])(?i:Basic|Bearer)\s++(?=\S{0,80}[0-9A-Z=._-])[A-Za-z0-9+/=._~-]{8,}+"
    r"|(?<![A-Za-z])(?i:token)\s*+=\s*+\"?[A-Za-z0-9+/=._~-]{12,}+\"?"
    rf"|\b{NOT_A_KEY}(?:{'|'.join(map(re.escape, KEY_PREFIXES))})(?=\S{{0,80}}[0-9A-Z])[A-Za-z0-9._-]{{8,}}+"
)
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{32,}+")


class RunSecrets:
    """The secrets that a run knows of. Each is learned once, when there is a text in which it must be masked."""

    __slots__ = ("_held", "_known", "_masker", "_new")

    def __init__(self) -> None:
        self._known: set[Secret] = set()
        self._new: list[Secret] = []
        self._held: Iterable[Secret] = ()
        self._masker = _masker()

    def add(self, secrets: Iterable[Secret]) -> None:
        """Mask these secrets from now on."""
        new = set(secrets) - self._known
        self._known |= new
        self._new += new

    def hold(self, secrets: Iterable[Secret]) -> None:
        """Mask these secrets too; they are read when there is a text."""
        self._held = secrets

    def __contains__(self, secret: object) -> bool:
        return secret in self._known

    def __iter__(self) -> Iterator[Secret]:
        self.add(self._held)
        self._held = ()  # only now: if reading them fails, the next text tries again
        return iter(self._known)

    @property
    def masker(self) -> SecretMasker:
        """The masker that has learned all of them."""
        iter(self)
        self._masker.learn_all(self._new)
        self._new.clear()
        return self._masker


@dataclass(frozen=True, slots=True)
class SentSecrets:
    """The secrets to mask in a reply: those of the run, and those that its request `sent`, such as its token.

    They are collected late: most replies show no text.
    """

    run: RunSecrets
    sent: Callable[[], Iterable[Secret]] = tuple

    def __iter__(self) -> Iterator[Secret]:
        yield from self.run
        yield from self.sent()


def clean(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text from outside as it may be printed: no secrets, one visible line, at most 300 characters."""
    text = redact(text, secrets)
    # Masked before it is cut, since half a secret would not be found; cut before `visible`, which is slow.
    text = visible(" ".join(text[: LONGEST * 4].split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return the text, cut at `LONGEST_READ`, without these secrets, their pieces, and what looks like a credential."""
    masker, others = _masker(), tuple[SecretMasker, ...]()
    if text and isinstance(secrets, SentSecrets):
        others = (secrets.run.masker,)
        masker.learn_all(each for each in secrets.sent() if each not in secrets.run)
    elif text:
        masker.learn_all(secrets)
    masked = masker.mask_cut(text, LONGEST_READ, *others)
    return _RUN.sub(_unless_random, _LOOKS_SECRET.sub(Secret.MASK, masked))


def _masker() -> SecretMasker:
    return SecretMasker(_SHORTEST_SECRET, _TELLING)


def _unless_random(run: re.Match[str]) -> str:
    return Secret.MASK if looks_random(run[0]) else run[0]
