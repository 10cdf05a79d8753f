"""Find the traits of a text that rules check; each different text of a fleet is examined once."""

from __future__ import annotations

import re
from enum import IntFlag
from functools import lru_cache
from typing import Final

from reconciler.contract.literals import KEY_LIKE, KEY_PREFIXES, looks_random, url_credential
from reconciler.secrets import MARK, SecretRef, references
from reconciler.secrets.sources import RefusedReference, refusal

LOOKS_LIKE_REFERENCE: Final = re.compile(r"ref\+[A-Za-z0-9]*:")
_WHOLE: Final = re.compile(r"ref\+[a-z][a-z0-9]*://[^\s+\"'<>]+\+?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORTEST_KEY: Final = 20
# The fewest characters of a match of `KEY_LIKE`; a run that looks random is longer. A PEM key alone contains spaces.
_SHORTEST_WORD: Final = 15
_PEM: Final = "-----BEGIN"


class TextTrait(IntFlag):
    """The traits of a text; passed as plain integers, which are compared faster."""

    REFERENCE = 1
    BROKEN_REFERENCE = 2
    REFUSED_REFERENCE = 4
    KEY = 8
    BEYOND_ASCII = 16
    RANDOM = 32
    URL_CREDENTIAL = 64


NOTHING: Final = 0


def examine(text: str, more_schemes: frozenset[str]) -> int:
    """Return the traits of a text; fast for long ones, since most have none. `more_schemes` as in `secrets.sources`."""
    holds: int = NOTHING
    if MARK in text and LOOKS_LIKE_REFERENCE.search(text):
        holds = TextTrait.REFERENCE | _judged(text, more_schemes)
    if len(text) >= _SHORTEST_KEY:
        # Only a PEM key contains spaces. The long words of each line are cached: they are few, and prompts share lines.
        words = [each for line in text.split("\n") for each in _long_words(line)]
        if (_PEM in text or (words and _has_key_prefix(" ".join(words)))) and KEY_LIKE.search(text):
            holds |= TextTrait.KEY
        if words and looks_random(text):
            holds |= TextTrait.RANDOM
    if ("=" in text or "@" in text) and url_credential(text) is not None:
        holds |= TextTrait.URL_CREDENTIAL
    return int(holds if text.isascii() else holds | TextTrait.BEYOND_ASCII)


def broken_reference(text: str) -> str | None:
    """Return the first piece of a text that begins like a reference and is none, or None."""
    for match in LOOKS_LIKE_REFERENCE.finditer(text):
        whole = _WHOLE.match(text, match.start())
        if whole is not None:
            [reference] = references(whole[0])
            if reference.scheme != "env" or _ENV_NAME.fullmatch(reference.path):
                continue
        return text[match.start() :].split(maxsplit=1)[0]
    return None


def refused_reference(text: str, more_schemes: frozenset[str]) -> tuple[SecretRef, RefusedReference] | None:
    """Return the first reference in a text that may not be resolved, with the reason, or None."""
    for reference in references(text):
        found = refusal(reference, more_schemes)
        if found is not None:
            return reference, found
    return None


@lru_cache(4096)
def _long_words(line: str) -> tuple[str, ...]:
    return tuple([each for each in line.split() if len(each) >= _SHORTEST_WORD])


def _has_key_prefix(text: str) -> bool:
    for prefix in KEY_PREFIXES:  # noqa: SIM110  # a generator costs more than the search
        if prefix in text:
            return True
    return False


def _judged(text: str, more_schemes: frozenset[str]) -> int:
    if broken_reference(text) is not None:
        return TextTrait.BROKEN_REFERENCE
    return NOTHING if refused_reference(text, more_schemes) is None else TextTrait.REFUSED_REFERENCE
