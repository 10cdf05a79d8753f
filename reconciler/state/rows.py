"""A row's bytes and what they say: sealed with a checksum, packed, and JSON of a bounded depth.

Everything here raises `StateError` for what no run of ours has written: it is never taken for an empty state.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from reconciler.errors import StateError, put_back
from reconciler.model.address import Address
from reconciler.model.tree import is_deeper
from reconciler.state.packing import pack, unpack

CHECK_SIZE = 8
# A template's value has at most 50 levels, and stands at most 50 deep; a row has a few of its own around it.
_DEEPEST = 120


class Damaged(StateError):
    """A state whose bytes are not what was written; `what` is wrong with it."""

    def __init__(self, what: str, path: object = None) -> None:
        self.what = what
        super().__init__(
            f"the state{'' if path is None else f' {path}'} is damaged: {what}",
            hint=f"nothing was changed; {put_back('a good copy')}",
        )


def damaged(what: str) -> Damaged:
    """The error for a damaged state, for whoever does not know where it lies."""
    return Damaged(what)


def seal(key: str, document: bytes) -> bytes:
    """A row's bytes, packed, with their checksum in front; the checksum also covers the row's key."""
    packed = pack(document)
    return _check(key, packed) + packed


def unseal(key: object, row: object) -> bytes:
    """The document of a row; `StateError` when it is not what was written."""
    if not isinstance(key, str) or not isinstance(row, bytes):  # SQLite keeps any type in any column
        raise damaged("a row is not of this format")
    packed = row[CHECK_SIZE:]
    if row[:CHECK_SIZE] != _check(key, packed):
        raise damaged(f"the row of {key} does not match its checksum")
    return unpacked(packed, f"the row of {key}")


def _check(key: str, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=CHECK_SIZE, key=key.encode()[:64], person=b"state").digest()


def unpacked(packed: bytes, what: str) -> bytes:
    """What was packed; `StateError` for what never was."""
    try:
        return unpack(packed)
    except ValueError as problem:
        raise damaged(f"{what} {problem}") from problem


def loads(data: bytes, what: str) -> Any:
    """JSON of a depth that files can have."""
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        raise damaged(f"{what} is not JSON") from problem
    if data.count(b"{") + data.count(b"[") > _DEEPEST and is_deeper(tree, _DEEPEST):
        raise damaged(f"{what} is nested deeper than {_DEEPEST} levels")
    return tree


def address_of(text: object) -> Address:
    """The address in a row; `StateError` when it is none."""
    channel, _, name = text.rpartition("/") if isinstance(text, str) else ("", "", "")
    if not channel or not name:
        raise damaged(f"{str(text)[:80]!r} is not an address")
    return Address(channel, name)
