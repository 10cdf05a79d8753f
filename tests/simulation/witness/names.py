"""Names on the service, read again: `<fleet>.<env>.<readable>.<A>.<S>.g<N>`, at most 64 characters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_READABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True, slots=True)
class Name:
    """A name of some reconciler's. `mark` is fleet and environment, `place` stands for the address."""

    mark: str
    place: str
    revision: str
    generation: int


@lru_cache(maxsize=50_000)
def read(text: str) -> Name | None:
    """The parts of a name, or None where nobody of our kind has given it."""
    parts = text.split(".")
    if len(text) > 64 or len(parts) != 6:
        return None
    fleet, environment, readable, place, revision, generation = parts
    if not _is_word(fleet, 20) or not (environment == "-" or _is_word(environment, 8)):
        return None
    if not readable or not set(readable) <= _READABLE:
        return None
    if not _is_digest(place, 10) or not _is_digest(revision, 9):
        return None
    number = generation[1:]
    if generation[:1] != "g" or not number.isascii() or not number.isdigit() or number[0] == "0":
        return None
    return Name(f"{fleet}.{environment}", place, revision, int(number))


def _is_word(text: str, longest: int) -> bool:
    return (
        0 < len(text) <= longest
        and text[0].isascii()
        and text[0].islower()
        and all(each.isascii() and (each.islower() or each.isdigit() or each == "-") for each in text)
    )


def _is_digest(text: str, length: int) -> bool:
    return len(text) == length and all(each.isascii() and (each.islower() or each.isdigit()) for each in text)


@lru_cache(maxsize=10_000)
def place_of(address: str) -> str:
    """The ten characters that stand for an address: 50 bits of its BLAKE2b, five at a time."""
    number = int.from_bytes(blake2b(address.encode(), digest_size=7, person=b"address").digest(), "big")
    bits = f"{number:056b}"[:50]
    return "".join(_CROCKFORD[int(bits[at : at + 5], 2)] for at in range(0, 50, 5))


@lru_cache(maxsize=10_000)
def uid_of(mark: str, address: str) -> str:
    """The uid of an address whose files write none: 60 bits of a hash, folded into 1,000,000,000 … 2,147,483,647."""
    raw = int.from_bytes(blake2b(f"{mark}/{address}".encode(), digest_size=8, person=b"uid").digest(), "big")
    bits = f"{raw:064b}"[:60]
    text = "".join(_CROCKFORD[int(bits[at : at + 5], 2)] for at in range(0, 60, 5))
    return str(1_000_000_000 + int.from_bytes(text.encode(), "big") % 1_147_483_648)
