"""Rules for secrets: a credential is written as a reference; values, and references elsewhere, are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.config.rules.registry import Subject, credential_name_rule, text_rule, value_rule
from reconciler.config.rules.texts import (
    LOOKS_LIKE_REFERENCE,
    TextTrait,
    broken_reference,
    refused_reference,
)
from reconciler.config.words import shown
from reconciler.config.yaml.scalars import unsafe_name
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.literals import KEY_LIKE, url_credential
from reconciler.contract.places import (
    CREDENTIAL_PATHS,
    PROSE_ABOVE,
    PROSE_KEYS,
    is_credential_header,
    is_credential_path,
    is_header_path,
    is_prose,
    is_url_path,
    may_look_random,
    named_literals,
)
from reconciler.diagnostics import Problem, did_you_mean, warning
from reconciler.model.tree import Path, dotted
from reconciler.secrets import MARK, SecretRef
from reconciler.secrets.sources import MORE_SCHEMES, OWN_SCHEMES, VALS_SCHEMES, Fault

_PROSE = PROSE_KEYS | PROSE_ABOVE


@text_rule(TextTrait.BROKEN_REFERENCE)
def malformed(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a text that begins like a reference and is none."""
    yield Problem(
        "secret-malformed",
        f"{dotted(path)}: {shown(broken_reference(text))} is not a secret reference",
        ("properties", *path),
        "write ref+env://NAME or ref+file://path; inside a text close it with +, as in Bearer ref+env://NAME+",
    )


@text_rule(TextTrait.REFUSED_REFERENCE)
def refused(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a reference that files may not hold, such as one to our own credentials or to any file of the machine."""
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


@text_rule(TextTrait.REFERENCE)
def misplaced(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a reference where its value could be spoken, logged or returned by the service."""
    if path[0] in SLOTS and path[1:2] == ("params",) and len(path) > 2:
        return
    if is_credential_path(path):
        return
    if is_url_path(path) and MARK not in text.partition("?")[0]:
        return
    yield Problem(
        "secret-misplaced",
        f"{dotted(path)} may not hold a secret reference",
        ("properties", *path),
        "references belong into credential fields, headers, a vendor's params and URL queries",
        "elsewhere the value would be spoken, logged or handed back by the service",
    )


@text_rule(TextTrait.KEY)
def secret_like(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a text that looks like a key in a free field; only warn in prose, where it may be an example."""
    if is_prose(path):
        yield warning(
            "secret-like",
            f"{dotted(path)} holds what looks like a key",
            ("properties", *path),
            "if it is one, revoke it, and write a reference in a credential field instead",
        )
    elif not is_credential_path(path) or LOOKS_LIKE_REFERENCE.search(text):
        yield _written_out(path)


@text_rule(TextTrait.RANDOM)
def random_like(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a long run of random characters that would be sent to the service or a vendor."""
    if is_header_path(path):
        is_judged = LOOKS_LIKE_REFERENCE.search(text) is None and not is_credential_header(path, text)
    else:
        is_judged = not is_credential_path(path) and not is_prose(path) and "params" in path
    if is_judged and may_look_random(path) and KEY_LIKE.search(text) is None:
        yield _written_out(path)


@text_rule(TextTrait.URL_CREDENTIAL)
def in_an_address(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report a credential that is written out in a URL."""
    name = url_credential(text)
    if is_prose(path) or name is None or KEY_LIKE.search(text):
        return
    if is_credential_path(path) and not (is_header_path(path) and not is_credential_header(path, text)):
        return
    if name != "user":
        yield _written_out(path, f"write {name}=ref+env://NAME and set NAME where apply runs")
    elif not is_url_path(path):
        yield _written_out(path, "use a header or the credential field")


@credential_name_rule
def named(subject: Subject, path: Path, value: Any) -> Iterator[Problem]:
    """Report a value that is written out under a key with a credential's name, for any vendor."""
    if len(path) > 1:  # a key of `properties` itself is the service's, or ours
        for each in named_literals(path, value):
            yield _written_out(each)


@text_rule(TextTrait.BEYOND_ASCII)
def invisible(subject: Subject, path: Path, text: str) -> Iterator[Problem]:
    """Report invisible characters in names, ids and URLs, which a reviewer cannot see."""
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
    """Report a credential field that holds a value instead of a reference."""
    if not isinstance(value, str) or not value or LOOKS_LIKE_REFERENCE.search(value):
        return
    if is_header_path(path) and not is_credential_header(path, value):
        return
    yield _written_out(path)


_WRITE_A_REFERENCE = "write ref+env://NAME and set NAME where apply runs"


def _written_out(path: Path, help: str = _WRITE_A_REFERENCE) -> Problem:
    if "body" in path:
        help = "a tool's body holds no secrets: write a reference in its headers"
    return Problem(
        "literal-secret",
        f"{dotted(path)} holds a value where a reference belongs",
        ("properties", *path),
        f"{help}; if the value was a real key, revoke it",
        "whoever can read the repository can read this",
    )
