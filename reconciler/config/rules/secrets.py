"""Secrets: a reference where a credential belongs, and nowhere else; never a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.config.rules.paths import PathSet
from reconciler.config.rules.registry import Subject, text_rule, value_rule
from reconciler.config.rules.texts import (
    LOOKS_LIKE_REFERENCE,
    Holds,
    broken_reference,
    refused_reference,
)
from reconciler.config.words import listed, shown
from reconciler.config.yaml.scalars import unsafe_name
from reconciler.diagnostics import Problem, did_you_mean, warning
from reconciler.model.properties import (
    CREDENTIAL_PATHS,
    HEADER_PATHS,
    SLOTS,
    URL_PATHS,
    is_credential_header,
)
from reconciler.model.secret import MARK, SecretRef
from reconciler.model.sources import MORE_SCHEMES, OWN_SCHEMES, VALS_SCHEMES, Fault
from reconciler.model.tree import Path, dotted

_CREDENTIALS = PathSet(CREDENTIAL_PATHS)
_HEADERS = PathSet(HEADER_PATHS)
_URLS = PathSet(URL_PATHS)
# Texts that people write for people: anything may stand in them.
_PROSE = listed(
    "content greeting_message failure_message phrases template_variables messages system_messages instructions prompt "
    "description trigger_keywords triggered_keywords labels keyterm phrase_list custom_vocabulary keywords"
)


@text_rule(Holds.BROKEN_REFERENCE)
def malformed(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """What begins like a reference is one."""
    yield Problem(
        "secret-malformed",
        f"{dotted(path)}: {shown(broken_reference(text))} is not a secret reference",
        ("properties", *path),
        "write ref+env://NAME or ref+file://path; inside a text close it with +, as in Bearer ref+env://NAME+",
    )


@text_rule(Holds.REFUSED_REFERENCE)
def refused(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """A reference leads to what its author may have: not to our credentials, not past whoever runs apply."""
    found = refused_reference(text, subject.more_schemes)
    if found is not None:
        reference, refusal = found
        yield _REFUSED[refusal.fault](path, reference, refusal.what, subject.more_schemes)


def _ours(path: Path, reference: SecretRef, what: str, more: frozenset[str]) -> Problem:
    return Problem(
        "secret-reserved",
        f"{dotted(path)} refers to {reference}, which is not for agents",
        ("properties", *path),
        "keep the vendor's key under a name of its own",
        "names that begin with AGORA_, and what leads around to them, are the reconciler's own",
    )


def _server(path: Path, reference: SecretRef, what: str, more: frozenset[str]) -> Problem:
    return Problem(
        "secret-server",
        f"{dotted(path)}: {what}",
        ("properties", *path),
        "set the server where apply runs, as in VAULT_ADDR",
        "whoever can change the files could have the credentials of that server sent to another one",
    )


def _scheme(path: Path, reference: SecretRef, what: str, more: frozenset[str]) -> Problem:
    known = OWN_SCHEMES | VALS_SCHEMES | more
    meant = did_you_mean(reference.scheme, sorted(known))
    return Problem(
        "secret-scheme",
        f"{dotted(path)}: {what}",
        ("properties", *path),
        meant or f"write one of {', '.join(sorted(known))}; whoever runs apply adds others in {MORE_SCHEMES}",
        "some schemes run a program or ask a server of their own choice, as whoever runs apply",
    )


def _file(path: Path, reference: SecretRef, what: str, more: frozenset[str]) -> Problem:
    return Problem(
        "secret-file",
        f"{dotted(path)} refers to {reference}: {what}",
        ("properties", *path),
        "give the secret a file of its own, as in ref+file://secrets/openai.key or ref+file:///run/secrets/openai",
        "whoever can change the files could have any file of the machine that runs apply sent away",
    )


_REFUSED: Mapping[Fault, Callable[[Path, SecretRef, str, frozenset[str]], Problem]] = {
    Fault.OURS: _ours,
    Fault.SERVER: _server,
    Fault.SCHEME: _scheme,
    Fault.FILE: _file,
}


@text_rule(Holds.REFERENCE)
def misplaced(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """A reference stands where its value is used and never handed back."""
    if path[0] in SLOTS and path[1:2] == ("params",) and len(path) > 2:
        return
    if path in _CREDENTIALS:
        return
    if path in _URLS and MARK not in text.partition("?")[0]:
        return
    yield Problem(
        "secret-misplaced",
        f"{dotted(path)} may not hold a secret reference",
        ("properties", *path),
        "references belong into credential fields, headers, a vendor's params and URL queries",
        "elsewhere the value would be spoken, logged or handed back by the service",
    )


@text_rule(Holds.KEY)
def secret_like(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """A key in a free field, as far as keys can be told."""
    if path not in _CREDENTIALS:
        yield warning(
            "secret-like",
            f"{dotted(path)} holds what looks like a key",
            ("properties", *path),
            "if it is one, revoke it, and write a reference in a credential field instead",
        )


@text_rule(Holds.BEYOND_ASCII)
def invisible(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Names, ids and addresses hold nothing that a reviewer cannot see."""
    if _PROSE.intersection(map(str, path)) or re.search(r"\s", text):
        return
    odd = unsafe_name(text)
    if odd is not None:
        yield Problem(
            "invisible-character",
            f"{dotted(path)} holds {odd}",
            ("properties", *path),
            "write it again by hand",
            "a reviewer cannot see it",
        )


@value_rule(CREDENTIAL_PATHS)
def literal(subject: Subject, path: Path, value: Any) -> Iterator[Problem]:
    """A credential field holds a reference, or nothing."""
    if not isinstance(value, str) or not value or LOOKS_LIKE_REFERENCE.search(value):
        return
    if path in _HEADERS and not is_credential_header(path, value):
        return
    yield Problem(
        "literal-secret",
        f"{dotted(path)} holds a value where a reference belongs",
        ("properties", *path),
        "write ref+env://NAME and set NAME where apply runs; if the value was a real key, revoke it",
        "whoever can read the repository can read this",
    )
