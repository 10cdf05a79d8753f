"""Text from outside made fit to be shown: no secret that we sent, no control character, not too long.

A second wall stands where output is written; this one is here because only a call knows what it sent.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import orjson

from reconciler.model.secret import Secret
from reconciler.model.wall import Wall

LONGEST = 300
# Shorter values are guessed as easily as read, and blanking them out would shred every message.
_SHORTEST_SECRET = 4
# A service that quotes a key often quotes its beginning or end only: so many characters are enough to tell.
_TELLING = 8
# Access tokens, and credentials in any of HTTP's schemes.
_LOOKS_SECRET = re.compile(
    r"007[A-Za-z0-9+/_-]{24,}={0,2}"
    # "Basic authentication" is a word; credentials have more than small letters.
    r"|(?<![A-Za-z])(?i:Basic|Bearer)\s+(?=\S{0,80}[0-9A-Z=._-])[A-Za-z0-9+/=._~-]{8,}"
    r"|(?<![A-Za-z])(?i:token)\s*=\s*\"?[A-Za-z0-9+/=._~-]{12,}\"?"
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str, secrets: Iterable[Secret]) -> str:
    """A text from outside as it may be printed: no secrets, one visible line, at most 300 characters."""
    text = redact(text, secrets)
    # Redacted before it is cut: half a secret would not be recognised. Cut before it is spelled out: that is
    # slow.
    text = visible(" ".join(text[: LONGEST * 4].split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """The text without any of these secrets, in the forms in which services quote them, and parts of those."""
    wall = Wall()
    known = sorted({each.reveal() for each in secrets} if text else (), key=len, reverse=True)
    forms = {form for secret in known if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
    if forms:
        # All at once: a secret may be a word of the mask, which must not be masked in its turn.
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        text = re.sub("|".join(map(re.escape, longest_first)), Secret.MASK, text)
    for secret in known:
        wall.learn(secret)
        if len(secret) >= 2 * _TELLING:
            text = _without_ends(text, secret)
    return _LOOKS_SECRET.sub(Secret.MASK, wall.mask(text))


def visible(text: str) -> str:
    """The text with every character that hides or moves others written out, as `\\u{202e}`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in _HIDDEN else c for c in text)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode("utf-8", "surrogatepass")
    yield quote(raw, safe="")
    yield b64encode(raw).decode().rstrip("=")
    try:
        yield orjson.dumps(secret)[1:-1].decode()
    except orjson.JSONEncodeError:  # a lone surrogate: it cannot have been sent as JSON either
        return


def _without_ends(text: str, secret: str) -> str:
    """Blank out what begins as the secret begins, or ends as it ends, as far as the two agree."""
    head, tail = secret[:_TELLING], secret[-_TELLING:]
    after = 0  # a secret may begin as its own mask does
    while (start := text.find(head, after)) >= 0:
        end = start + _TELLING
        while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
            end += 1
        text, after = text[:start] + Secret.MASK + text[end:], start + len(Secret.MASK)
    after = 0
    while (at := text.find(tail, after)) >= 0:
        start, end = at, at + _TELLING
        while start > 0 and end - start < len(secret) and text[start - 1] == secret[-(end - start) - 1]:
            start -= 1
        text, after = text[:start] + Secret.MASK + text[end:], start + len(Secret.MASK)
    return text
