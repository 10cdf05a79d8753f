"""The forms of a secret: all spellings in which services and tools may return its value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Longer values are files and whole texts, whose digests are not printed by any tool.
_LONGEST_DIGESTED = 200
# What HTTP writes before a credential; the credential alone is secret, too.
_HTTP_SCHEME = re.compile(r"(?i:Basic|Bearer|Token|agora token=) ?")
# Matches the characters between two characters of a form that is broken over lines or is UTF-16: also the arrow and the
# colour codes of lines that reports fold. The alternatives exclude each other and the repetition is possessive, so that
# matching never backtracks.
GAP: Final = re.compile(r"(?:[\s\x00↳]|\\u\{0\}|\\u0000|\\[nrt]|\x1b\[[0-9;]{0,8}m)++")


def parts(value: str) -> frozenset[str]:
    """Return a value and, if it begins with a scheme of HTTP authentication, also the credential alone."""
    return frozenset({value, _HTTP_SCHEME.sub("", value, count=1)})


def forms(value: str) -> Iterator[str]:
    """Yield the value as it is, escaped for JSON, HTML and URLs, encoded, reversed, and as unsalted digests."""
    # Imported only when there is a secret, so that `--help` starts quickly.
    import hashlib
    import html
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    raw = value.encode("utf-8", "surrogatepass")
    escaped = json.dumps(value)[1:-1]
    yield from (value, escaped, escaped.replace("/", "\\/"))
    yield from (json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value))
    for percent in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield percent
        yield re.sub("%..", lambda match: match[0].lower(), percent)
    yield from _in_base64(raw)
    yield b64encode(value.encode("utf-16-le", "surrogatepass")).decode().rstrip("=")
    yield from (raw.hex(), raw.hex().upper(), raw.hex(" "), raw.hex(":"), value[::-1])
    if len(value) < _LONGEST_DIGESTED:
        for kind in ("md5", "sha1", "sha256", "sha512"):
            yield hashlib.new(kind, raw, usedforsecurity=False).hexdigest()
        for size in (16, 32, 64):
            yield hashlib.blake2b(raw, digest_size=size).hexdigest()


def without_gaps(text: str) -> str:
    """Return the text without the gaps that can be between the characters of a broken form."""
    # Every gap contains a space, a backslash or an unprintable character; most texts have none of them.
    if text.isprintable() and " " not in text and "\\" not in text:
        return text
    return GAP.sub("", text)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield the characters of a base64 text that depend on the value alone, at any position in the encoded text."""
    from base64 import b64encode, urlsafe_b64encode

    for shift in range(3):
        padded = bytes(shift) + raw
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(padded).decode().rstrip("=")
            inner = text[(0, 2, 3)[shift] : len(padded) // 3 * 4]
            yield inner
            if shift == 0:
                yield text
