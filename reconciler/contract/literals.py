"""Recognise a credential that is written out: by the name of its key, by its beginning, or by its characters.

The names are for keys that no type knows. Ordinary words must pass: `tests/unit/contract/harmless.txt` tests the rules
with names of voices, models, ids and settings.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import log2
from typing import Final

# Slovak voices begin as some keys do.
NOT_A_KEY: Final = "(?!sk-SK-)"
# Beginnings that only credentials have, each with the form of the rest. Repetitions before a required character are
# bounded: otherwise each of many beginnings would be followed to the end of the text.
KEY_LIKE: Final = re.compile(
    rf"\b(?:{NOT_A_KEY}"
    r"(?:sk|rk)[-_][A-Za-z0-9_-]{16,}|A[KS]IA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}"
    r"|gh[oprsu]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{40,}|nvapi-[A-Za-z0-9_-]{30,}"
    r"|pplx-[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|LTAI[A-Za-z0-9]{16,26}\b|AKID[A-Za-z0-9]{28,40}\b"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|00[67]e[A-Z][A-Za-z0-9+/_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{15,512}+\.eyJ[A-Za-z0-9_-]{10,4096}+\.)|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
# The beginnings of the pattern above, to search for first: most texts contain none of them.
_PREFIXES = (
    "sk- sk_ rk_ rk- AKIA ASIA AIza gho_ ghp_ ghr_ ghs_ ghu_ github_pat_ glpat- xox xapp- ya29. hf_ gsk_ xai- nvapi- "
    "pplx- npm_ LTAI AKID SG. 006e 007e eyJ -----BEGIN"
)
KEY_PREFIXES: Final = tuple(_PREFIXES.split())


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD: Final = re.compile(r"[A-Za-z]+")
# Last words that mean a credential by themselves.
_CREDENTIALS: Final = word_set(
    "password passwd passphrase passcode pwd secret secrets credential credentials bearer jwt signature "
    "sig cookie authorization auth apikey"
)
# Endings of compound words.
_TOGETHER: Final = tuple(
    word_set(
        "apikey apikeys accesskey secretkey privatekey subscriptionkey signingkey authkey authtoken accesstoken "
        "sessiontoken refreshtoken clientsecret apitoken apisecret"
    )
)
# Words before "key" or "token" that make it no credential: of a cache, a table, a keyboard or a tokenizer.
_HARMLESS_BEFORE_KEY: Final = word_set(
    "cache sort partition routing idempotency dedup dedupe lookup public foreign primary group object "
    "storage bucket hot translation label field json data dict map index row column language locale voice "
    "music musical piano phrase message answer event trace feature setting config property attribute dtmf "
    "pound star menu wake shift"
)
_HARMLESS_BEFORE_TOKEN: Final = word_set(
    "stop eos bos pad end start special mask sep unk wake next page continuation max min top first last"
)
_BEFORE_KEYS: Final = word_set("api access secret private auth account subscription")

_RUN: Final = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}|[A-Za-z0-9_-]{40,}")
_HEX: Final = re.compile(r"[0-9a-fA-F-]+")
_LONGEST = 4096
_ENTROPY = 4.0  # bits per character; words and names in camel case have less


@lru_cache(8192)
def names_a_credential(key: str) -> bool:
    """Return whether the name of a key means that its text is a credential."""
    words = [word.lower() for word in _WORD.findall(_HUMP.sub(" ", key).replace("_", " "))]
    if not words:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in ("id", "string", "value") and before in ("secret", "credentials", "credential"):
        return True
    if last == "id" and words[-3:-1] == ["access", "key"]:
        return True
    if last == "key":
        return before not in _HARMLESS_BEFORE_KEY
    if last == "token":
        return before not in _HARMLESS_BEFORE_TOKEN
    if last in ("keys", "tokens"):
        return before in _BEFORE_KEYS
    return last in _CREDENTIALS or last.endswith(_TOGETHER)


# Values of an `auth` that are no credential but a way to authenticate.
_WAYS: Final = word_set("none basic bearer digest oauth oauth2 api_key apikey adc iam default header query")


def looks_random(text: str) -> bool:
    """Return whether a text contains a long run of random characters; hexadecimal ones are as often ids as keys."""
    if not 32 <= len(text) <= _LONGEST:
        return False
    return any(_is_random(run) for run in _RUN.findall(text))


def _is_random(run: str) -> bool:
    if _HEX.fullmatch(run) or run.count("-") + run.count("_") + run.count("/") > len(run) / 8:
        return False
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(map(kind, run)) for kind in kinds) or sum(map(str.isdigit, run)) < 3:
        return False
    counts = [run.count(letter) / len(run) for letter in set(run)]
    return -sum(share * log2(share) for share in counts) >= _ENTROPY


_PARAMETER: Final = re.compile(r"[?&;]([^=&?#;\s]*)=([^&?#;\s]*)")
_USER: Final = re.compile(r"://([^/?#@\s:]*):([^/?#@\s]+)@")
# The name of a file, which object stores take under `key`.
_FILE: Final = re.compile(r"[\w./%-]+\.[a-z0-9]{2,4}")


@lru_cache(4096)
def url_credential(text: str) -> str | None:
    """Return the name of the first credential written out in a URL: a parameter, or `user`; None if there is none."""
    if (user := _USER.search(text)) is not None and is_literal(user[2]):
        return "user"
    for name, value in _PARAMETER.findall(text):
        if not is_literal(value):
            continue
        if KEY_LIKE.search(value) or looks_random(value):
            return str(name)
        if names_a_credential(name) and not _FILE.fullmatch(value):
            return str(name)
    return None


def is_literal(text: str) -> bool:
    """Return whether a text is a literal: no reference, no template, and no way to authenticate."""
    return bool(text) and "ref+" not in text and "{{" not in text and text.lower() not in _WAYS
