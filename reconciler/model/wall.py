"""Values that must not be shown, found in every spelling in which services and tools hand values back.

Also when a spelling is broken over lines or cut short; minted tokens are known by their looks, too. Adapters mask
what they quote with what they sent; the command line masks all that it prints with all that it knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reconciler.model.secret import Secret

# Shorter values are guessed as easily as read, and masking them would shred every text.
_LEARNT = 10
# A spelling may be cut short; of less than this nobody could tell whose it was.
_SHORTEST = 6
# So many characters tell a spelling; of a value cut short, as much is masked as agrees with it.
_TELL = 8
_TELLING = 12
# So many tokens are known by value; beyond them a token is known by its looks, which no digest has.
_MOST_TOKENS = 256
_TOKEN = re.compile(r"007e[A-Z](?:[A-Za-z0-9+/_-]|\\/|%2[BbFf]){20,}(?:=|%3[Dd]){0,2}")
# What HTTP puts in front of a credential: the credential is secret without it, too.
_SCHEME = re.compile(r"(?i:Basic|Bearer|Token|agora token=) ?")
# What may stand between the characters of a value that was broken over lines, or is UTF-16.
_GAP = re.compile(r"\s|\x00|\\u\{0\}|\\u0000|\\[nrt]")
_GAPS = ("\x00", "\\u{0}", "\\u0000", "\\n", "\\r", "\\t")


class Wall:
    """Learns secrets as they turn up, and masks them from then on."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._tokens = 0
        self._spellings: dict[str, list[str]] = {}

    def learn(self, value: str) -> None:
        """Mask this value from now on."""
        for part in {value, _SCHEME.sub("", value, count=1)}:
            if len(part) >= _LEARNT and part not in self._values and self._is_learnt(part):
                self._values.add(part)
                for spelling in _spellings(part):
                    compact = _compact(spelling)
                    if len(compact) >= _SHORTEST:
                        self._spellings.setdefault(compact[:_TELL], []).append(compact)

    def _is_learnt(self, part: str) -> bool:
        if _TOKEN.search(part) is None:
            return True
        self._tokens += 1
        return self._tokens <= _MOST_TOKENS

    def learn_all(self, secrets: Iterable[Secret]) -> None:
        """Mask the values of these secrets from now on."""
        for each in secrets:
            self.learn(each.reveal())

    def mask(self, text: str) -> str:
        """The text without anything that is known to be secret."""
        if "007e" in text:
            text = _TOKEN.sub(Secret.MASK, text)
        if not self._spellings:
            return text
        compact = _compact(text)
        return self._masked(text) if self._is_suspect(compact) else text

    def _is_suspect(self, compact: str) -> bool:
        tells = self._spellings
        if len(compact) < len(tells):
            return any(
                compact[at : at + size] in tells
                for size in range(_SHORTEST, _TELL + 1)
                for at in range(len(compact))
            )
        return any(tell in compact for tell in tells)

    def _masked(self, text: str) -> str:
        places, letters = _without_gaps(text)
        compact = "".join(letters)
        kept: list[str] = []
        done = at = 0
        while at < len(compact):
            length = self._length(compact, at)
            if length:
                kept += [text[done : places[at]], Secret.MASK]
                done = places[at + length - 1] + 1
            at += length or 1
        return "".join(kept) + text[done:]

    def _length(self, compact: str, at: int) -> int:
        """How much of a secret stands at a place: all of one, or enough of its beginning to tell."""
        longest = 0
        for size in range(_SHORTEST, _TELL + 1):
            for spelling in self._spellings.get(compact[at : at + size], ()):
                if compact.startswith(spelling, at):
                    longest = max(longest, len(spelling))
                elif size == _TELL and (common := _common(spelling, compact, at)) >= _TELLING:
                    longest = max(longest, common)
        return longest


def _spellings(value: str) -> Iterator[str]:
    """The ways in which a value comes back: as it is, escaped for a sink, encoded, turned round, or as a digest."""
    # Here, where there is a secret: a command that has none, such as `--help`, starts without all this.
    import hashlib
    import html
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    raw = value.encode("utf-8", "surrogatepass")
    escaped = json.dumps(value)[1:-1]
    plain = [
        value,
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
    ]
    percent = [quote(raw, safe=""), quote(raw), quote_plus(raw)]
    encoded = [*_in_base64(raw), raw.hex(), raw.hex().upper(), raw.hex(" "), raw.hex(":"), value[::-1]]
    encoded += [b64encode(value.encode("utf-16-le", "surrogatepass")).decode().rstrip("=")]
    yield from dict.fromkeys(
        [*plain, *percent, *(re.sub("%..", lambda m: m[0].lower(), each) for each in percent), *encoded]
    )
    if len(value) < 200:
        yield from (
            hashlib.new(kind, raw, usedforsecurity=False).hexdigest()
            for kind in ("md5", "sha1", "sha256", "sha512")
        )
        yield from (hashlib.blake2b(raw, digest_size=size).hexdigest() for size in (16, 32, 64))


def _in_base64(raw: bytes) -> Iterator[str]:
    """The part of any base64 text that a value fills, wherever in it the value begins."""
    from base64 import b64encode, urlsafe_b64encode

    for shift in range(3):
        padded = bytes(shift) + raw
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(padded).decode().rstrip("=")
            end = len(text) if shift == 0 else len(padded) // 3 * 4
            yield text[(0, 2, 3)[shift] : end]
            yield text[(0, 2, 3)[shift] : len(padded) // 3 * 4]


def _compact(text: str) -> str:
    joined = "".join(text.split())
    for gap in _GAPS:
        if gap in joined:
            joined = joined.replace(gap, "")
    return joined


def _without_gaps(text: str) -> tuple[list[int], list[str]]:
    """The characters of a text that are no gaps, with their places."""
    places: list[int] = []
    letters: list[str] = []
    at = 0
    while at < len(text):
        gap = _GAP.match(text, at)
        if gap is not None and gap.end() > at:
            at = gap.end()
            continue
        places.append(at)
        letters.append(text[at])
        at += 1
    return places, letters


def _common(spelling: str, compact: str, at: int) -> int:
    count = 0
    while count < len(spelling) and at + count < len(compact) and spelling[count] == compact[at + count]:
        count += 1
    return count
