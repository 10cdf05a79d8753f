"""What a text holds that is worth a second look; worked out once for each different text of a fleet."""

from __future__ import annotations

import re
from enum import IntFlag
from typing import Final

from reconciler.model.secret import MARK, SecretRef, references

LOOKS_LIKE_REFERENCE: Final = re.compile(r"ref\+[A-Za-z0-9]*:")
_WHOLE: Final = re.compile(r"ref\+[a-z][a-z0-9]*://[^\s+\"'<>]+\+?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Prefixes that only credentials have, and how one goes on.
_KEY_PREFIXES: Final = (
    *("sk-", "sk_", "AKIA", "ASIA", "AIza", "ghp_", "gho_", "github_pat_"),
    *("glpat-", "xox", "eyJ", "-----BEGIN"),
)
_SHORTEST_KEY: Final = 20
KEY_LIKE: Final = re.compile(
    r"\b(?:sk[-_][A-Za-z0-9_-]{16,}|A[KS]IA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|gh[po]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{10,}\.)|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
# Schemes that hand out our own environment, and files that do.
_OWN_SCHEMES: Final = frozenset({"envsubst", "echo"})
_OWN_FILES: Final = ("/proc/", "/dev/", "/sys/")
# `vals` logs in at whatever server a reference names, with the credentials of whoever runs apply. These parameters
# say what is read there and how, and no more (vals: README, "Supported Backends"); these schemes name the server in
# their path.
_READING: Final = frozenset(
    [
        "decode",
        "encode",
        "format",
        "key_type",
        "mode",
        "profile",
        "recursive",
        "region",
        "role_arn",
        "singleparam",
        "trim_nl",
        "version",
        "version_id",
        "version_stage",
        "workspace",
    ]
)
_SERVER_SCHEMES: Final = frozenset({"gitlab", "http", "https", "httpjson"})


class Holds(IntFlag):
    """What is remarkable about a text; passed around as plain integers, which are compared faster."""

    REFERENCE = 1
    BROKEN_REFERENCE = 2
    RESERVED_REFERENCE = 4
    KEY = 8
    BEYOND_ASCII = 16
    SERVER = 32


NOTHING: Final = 0


def examine(text: str) -> int:
    """What a text holds; cheap for long ones, because most hold nothing."""
    holds: int = NOTHING
    if MARK in text and LOOKS_LIKE_REFERENCE.search(text):
        holds = Holds.REFERENCE | _judged(text)
    if len(text) >= _SHORTEST_KEY and _has_key_prefix(text) and KEY_LIKE.search(text):
        holds |= Holds.KEY
    return int(holds if text.isascii() else holds | Holds.BEYOND_ASCII)


def broken_reference(text: str) -> str | None:
    """The piece of a text that begins like a reference and is none."""
    for match in LOOKS_LIKE_REFERENCE.finditer(text):
        whole = _WHOLE.match(text, match.start())
        piece = text[match.start() :].split(maxsplit=1)[0]
        if whole is None:
            return piece
        [reference] = references(whole[0])
        if reference.scheme == "env" and not _ENV_NAME.fullmatch(_name(reference)):
            return piece
    return None


def reserved_reference(text: str) -> SecretRef | None:
    """A reference to what is ours and not the agents': our credentials, or a way around to them."""
    for reference in references(text):
        name = _name(reference)
        if (
            (reference.scheme == "env" and name.upper().startswith("AGORA_"))
            or (reference.scheme == "file" and name.startswith(_OWN_FILES))
            or reference.scheme in _OWN_SCHEMES
        ):
            return reference
    return None


def server_in(text: str) -> str | None:
    """The part of a reference that names the server which is asked for the secret, or might."""
    for reference in references(text):
        if reference.scheme in ("env", "file"):
            continue
        if reference.scheme in _SERVER_SCHEMES:
            return f"the scheme {reference.scheme}"
        for each in reference.path.partition("#")[0].partition("?")[2].split("&"):
            name = each.partition("=")[0]
            if name and name.lower() not in _READING:
                return f"the parameter {name}"
    return None


def _has_key_prefix(text: str) -> bool:
    for prefix in _KEY_PREFIXES:  # noqa: SIM110  # a generator costs more than the search
        if prefix in text:
            return True
    return False


def _judged(text: str) -> int:
    if broken_reference(text) is not None:
        return Holds.BROKEN_REFERENCE
    if reserved_reference(text) is not None:
        return Holds.RESERVED_REFERENCE
    return NOTHING if server_in(text) is None else Holds.SERVER


def _name(reference: SecretRef) -> str:
    return reference.path.partition("?")[0].partition("#")[0]
