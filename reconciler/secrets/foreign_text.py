"""Prepare text from outside to be shown: without secrets that were sent, without control characters, not too long.

The command line masks again what it prints. More is masked here, because only a call knows what it sent: shorter
values, shorter pieces of them, and all that looks like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.contract.literals import KEY_PREFIXES, NOT_A_KEY, looks_random
from reconciler.secrets.masker import SecretMasker
from reconciler.secrets.references import Secret
from reconciler.secrets.visible import visible

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


def clean(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text from outside as it may be printed: no secrets, one visible line, at most 300 characters."""
    text = redact(text, secrets)
    # Masked before it is cut, since half a secret would not be found; cut before `visible`, which is slow.
    text = visible(" ".join(text[: LONGEST * 4].split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return the text, cut at `LONGEST_READ`, without these secrets, their pieces, and what looks like a credential."""
    masker = SecretMasker(_SHORTEST_SECRET, _TELLING)
    if text:
        masker.learn_all(secrets)
    return _RUN.sub(_unless_random, _LOOKS_SECRET.sub(Secret.MASK, masker.mask_cut(text, LONGEST_READ)))


def _unless_random(run: re.Match[str]) -> str:
    return Secret.MASK if looks_random(run[0]) else run[0]
