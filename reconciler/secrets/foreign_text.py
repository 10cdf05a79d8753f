"""Text from outside made fit to be shown: no secret that we sent, no control character, not too long.

The command line masks again what it prints. Here more is masked, because only a call knows what it sent: shorter
values, shorter pieces of them, and whatever looks like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.secrets.masker import SecretMasker
from reconciler.secrets.references import Secret
from reconciler.secrets.visible import visible

LONGEST = 300
# So many characters are looked at: 64 KiB, far more than is shown.
LONGEST_READ = 64 * 1024
_SHORTEST_SECRET = 4
# A service that quotes a key often quotes its beginning or end only.
_TELLING = 8
# Access tokens, and credentials in any of HTTP's schemes.
_LOOKS_SECRET = re.compile(
    r"007[A-Za-z0-9+/_-]{24,}+={0,2}"
    # "Basic authentication" is a word; credentials have more than small letters.
    r"|(?<![A-Za-z])(?i:Basic|Bearer)\s++(?=\S{0,80}[0-9A-Z=._-])[A-Za-z0-9+/=._~-]{8,}+"
    r"|(?<![A-Za-z])(?i:token)\s*+=\s*+\"?[A-Za-z0-9+/=._~-]{12,}+\"?"
)


def clean(text: str, secrets: Iterable[Secret]) -> str:
    """A text from outside as it may be printed: no secrets, one visible line, at most 300 characters."""
    text = redact(text, secrets)
    # Redacted before it is cut: half a secret would not be recognised. Cut before it is spelled out: that is slow.
    text = visible(" ".join(text[: LONGEST * 4].split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """The text, cut at `LONGEST_READ`, without these secrets, pieces of them, and what looks like a credential."""
    masker = SecretMasker(_SHORTEST_SECRET, _TELLING)
    if text:
        masker.learn_all(secrets)
    return _LOOKS_SECRET.sub(Secret.MASK, masker.mask_cut(text, LONGEST_READ))
