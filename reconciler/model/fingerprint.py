"""Canonical form and digests: when two values are the same, and short names for that.

Digests are compared across machines, versions and years, so the canonical form is fixed: JSON with sorted
keys, no spaces, UTF-8. Which fields go into a digest is decided by the callers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import orjson

_ALPHABET = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")


def canonical(value: object) -> bytes:
    """The canonical bytes of a plain tree."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: object, *, size: int = 16) -> str:
    """The hexadecimal BLAKE2b digest of a tree's canonical bytes; `size` in bytes."""
    return hashlib.blake2b(canonical(value), digest_size=size).hexdigest()


def short_digest(data: bytes, *, bits: int, person: bytes) -> str:
    """A digest of `bits` bits (a multiple of 5) in Crockford's base 32, lower case: `bits / 5` characters.

    `person` separates the uses, so that an address and a spec never share a digest by construction.
    """
    raw = hashlib.blake2b(data, digest_size=(bits + 7) // 8, person=person).digest()
    return base64.b32encode(raw + bytes(-len(raw) % 5)).translate(_ALPHABET).decode()[: bits // 5]


def keyed_digest(key: bytes, value: str) -> str:
    """The HMAC-SHA256 of a secret's value under the state's own key, hexadecimal.

    Keyed, so that whoever reads the state cannot guess low-entropy secrets by hashing candidates.
    """
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def share_of(text: str) -> float:
    """A number in [0, 1) that is the same for the same text in every run: for spreading what would fall due together."""
    bits = hashlib.blake2b(text.encode(), digest_size=7, person=b"spread").digest()
    return int.from_bytes(bits, "big") / 2**56
