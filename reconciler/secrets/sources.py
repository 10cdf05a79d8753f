"""Decide which references the files of a fleet may hold, by the text of the reference alone.

Any person who opens a pull request writes files, but references are resolved with the credentials of the person or job
that runs apply. So this is a list of what is allowed; everything else is refused. Where the links in a path lead is
checked in `driver.secrets`: it calls `of_machine` and `is_hidden` again on the path without links.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.secrets.references import SecretRef, written_path
from reconciler.services import own_prefixes

# Variables with these prefixes hold the service's own credentials. No vendor needs them; a fleet that refers to one would
# send them to a stranger.
RESERVED: Final = own_prefixes()
# Directories whose files show the environment, the memory or the open files of processes.
_MACHINE: Final = frozenset({"proc", "dev", "sys"})

OWN_SCHEMES: Final = frozenset({"env", "file"})
# Schemes that `vals` may resolve. For each, the server is set in the environment of apply (VAULT_ADDR, BAO_ADDR,
# OP_CONNECT_HOST, DOPPLER_API_ADDR, CONJUR_APPLIANCE_URL, BW_API_ADDR, INFISICAL_URL) or is the maker's own, and the
# path of a reference can name neither a program to run nor a file to read. MORE_SCHEMES adds others at the user's risk.
VALS_SCHEMES: Final = frozenset(
    [
        "awssecrets",
        "awsssm",
        "azurekeyvault",
        "bw",
        "conjur",
        "doppler",
        "gcpsecrets",
        "infisical",
        "onepasswordconnect",
        "op",
        "openbao",
        "vault",
    ]
)
# The environment variable that adds schemes, separated by commas.
MORE_SCHEMES: Final = "RECONCILER_SECRET_SCHEMES"
# Parameters of a query that say what is read and how. Others could name a server, a user or a token.
_PARAMETERS: Final = frozenset(
    [
        "decode",
        "encode",
        "environment",
        "format",
        "mode",
        "project",
        "project_id",
        "recursive",
        "region",
        "trim_nl",
        "type",
        "version",
        "version_id",
        "version_stage",
    ]
)
# A region becomes a part of a host name: a dot, slash or percent sign in it could name another host.
_PARAMETER_VALUE: Final = re.compile(r"[A-Za-z0-9_-]*")
# `vals` takes a vault name with a dot for a host, and sends that host a token that opens all vaults.
_AZURE: Final = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9-]+(?:/[A-Za-z0-9-]*)?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9]*")


class Fault(StrEnum):
    """The kinds of reasons for which a reference is refused."""

    OURS = "ours"  # it leads to the reconciler's own credentials, or around to them
    SCHEME = "scheme"  # its scheme is not one that files may name
    SERVER = "server"  # it may say who is asked for the secret, or as whom
    FILE = "file"  # its path leaves the fleet's directory, or is hidden


class RefusedReference(NamedTuple):
    """A refused reference: the kind of fault, and what is wrong, as text."""

    fault: Fault
    what: str


def more_schemes(setting: str | None) -> frozenset[str]:
    """Return the schemes in the setting `MORE_SCHEMES`; words that cannot be a scheme are left out."""
    words = (each.strip() for each in (setting or "").split(","))
    return frozenset(each for each in words if _SCHEME.fullmatch(each))


def refusal(reference: SecretRef, more: frozenset[str] = frozenset()) -> RefusedReference | None:
    """Return why a reference may not be resolved, or None if it may. `more` schemes are allowed as well."""
    scheme, path = reference.scheme, reference.path
    if scheme == "env":
        reserved = path.upper().startswith(RESERVED)
        return (
            RefusedReference(
                Fault.OURS, f"names that begin with {' or '.join(RESERVED)} are not given to agents"
            )
            if reserved
            else None
        )
    if scheme == "file":
        return _file(path)
    if scheme not in VALS_SCHEMES | more:
        return RefusedReference(Fault.SCHEME, f"the scheme {scheme} is not one that files may name")
    named = _server(scheme, path)
    return (
        RefusedReference(Fault.SERVER, f"{named} may name the server that is asked for the secret")
        if named
        else None
    )


def of_machine(path: str) -> bool:
    """Return whether a path without links is in /proc, /dev or /sys, such as the environment of a process."""
    return path.startswith("/") and path.lstrip("/").partition("/")[0] in _MACHINE


def is_hidden(path: str) -> bool:
    """Return whether a part of a path begins with one dot. Two dots pass: Kubernetes mounts files through `..data`."""
    return any(part.startswith(".") and part != "." and not part.startswith("..") for part in path.split("/"))


def _file(path: str) -> RefusedReference | None:
    plain = written_path(path)
    if of_machine(plain):
        return RefusedReference(Fault.OURS, "what the machine shows of its processes is not given to agents")
    if plain == ".." or plain.startswith("../"):
        return RefusedReference(Fault.FILE, "the path leaves the fleet's directory")
    return RefusedReference(Fault.FILE, "the path names something hidden") if is_hidden(path) else None


def _server(scheme: str, path: str) -> str | None:
    """Return the part of a reference that could choose the server which is asked, or None.

    A text that `vals` could split in another way than this function is refused.
    """
    before, _, fragment = path.partition("#")
    place, _, query = before.partition("?")
    if "?" in fragment or "#" in fragment:
        return "a query after the #"
    for each in query.split("&") if query else ():
        name, _, value = each.partition("=")
        if name not in _PARAMETERS:
            return f"the parameter {name}"
        if not _PARAMETER_VALUE.fullmatch(value):
            return f"the value of the parameter {name}"
    if scheme == "azurekeyvault" and not _AZURE.fullmatch(place):
        return f"the vault's name {place.partition('/')[0]}"
    return None
