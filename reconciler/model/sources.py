"""Which sources of secrets the files of a fleet may name, as far as a reference's own text can tell.

Files are written by whoever opens a pull request, and references are resolved with the credentials of whoever runs
apply. So a source is named here, with what may be said of it, or it is refused. What a path leads to once links are
followed only the reader of files can see: `driver.secrets` asks about that again, in the same words.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.model.secret import SecretRef, written_path
from reconciler.services import own_prefixes

# The credentials of the service itself are never a vendor's secret: a fleet that asks for one is an exfiltration.
RESERVED: Final = own_prefixes()
# Files that show a process's environment, its memory or its descriptors.
_MACHINE: Final = frozenset({"proc", "dev", "sys"})

OWN_SCHEMES: Final = frozenset({"env", "file"})
# What `vals` may be asked for: its server is the runner's to say (VAULT_ADDR, BAO_ADDR, OP_CONNECT_HOST,
# DOPPLER_API_ADDR, CONJUR_APPLIANCE_URL, BW_API_ADDR, INFISICAL_URL) or its maker's own, and it neither runs a program
# that a path names nor reads a file that one names. Whoever runs apply may add others, and answers for them.
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
# The name of the setting that adds some: scheme,scheme.
MORE_SCHEMES: Final = "RECONCILER_SECRET_SCHEMES"
# What a query may say: what is read and how, never where, as whom or with which token.
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
# A region becomes a part of a host's name, hence no dot, slash or percent sign in any value.
_PARAMETER_VALUE: Final = re.compile(r"[A-Za-z0-9_-]*")
# A name with a dot is taken for a host, which is sent a token for all vaults.
_AZURE: Final = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9-]+(?:/[A-Za-z0-9-]*)?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9]*")


class Fault(StrEnum):
    """Why a reference is refused."""

    OURS = "ours"  # it leads to the reconciler's own credentials, or around to them
    SCHEME = "scheme"  # its scheme is not one that files may name
    SERVER = "server"  # it may say who is asked for the secret, or as whom
    FILE = "file"  # its path leaves the fleet's directory, or is hidden


class Refusal(NamedTuple):
    """A reference that is refused, and what of it is wrong."""

    fault: Fault
    what: str


def more_schemes(setting: str | None) -> frozenset[str]:
    """The schemes that whoever runs the command adds; what cannot be one adds nothing."""
    words = (each.strip() for each in (setting or "").split(","))
    return frozenset(each for each in words if _SCHEME.fullmatch(each))


def refusal(reference: SecretRef, more: frozenset[str] = frozenset()) -> Refusal | None:
    """Why a reference may not be resolved; None where nothing is wrong with its text."""
    scheme, path = reference.scheme, reference.path
    if scheme == "env":
        reserved = path.upper().startswith(RESERVED)
        return (
            Refusal(Fault.OURS, f"names that begin with {' or '.join(RESERVED)} are not given to agents")
            if reserved
            else None
        )
    if scheme == "file":
        return _file(path)
    if scheme not in VALS_SCHEMES | more:
        return Refusal(Fault.SCHEME, f"the scheme {scheme} is not one that files may name")
    named = _server(scheme, path)
    return (
        Refusal(Fault.SERVER, f"{named} may name the server that is asked for the secret") if named else None
    )


def of_machine(path: str) -> bool:
    """Whether a path without links is one of the machine's own, such as the environment of a process."""
    return path.startswith("/") and path.lstrip("/").partition("/")[0] in _MACHINE


def is_hidden(path: str) -> bool:
    """Whether a part of a path is hidden. Kubernetes mounts `token` by way of `..data`: two dots hide nothing."""
    return any(part.startswith(".") and part != "." and not part.startswith("..") for part in path.split("/"))


def _file(path: str) -> Refusal | None:
    plain = written_path(path)
    if of_machine(plain):
        return Refusal(Fault.OURS, "what the machine shows of its processes is not given to agents")
    if plain == ".." or plain.startswith("../"):
        return Refusal(Fault.FILE, "the path leaves the fleet's directory")
    return Refusal(Fault.FILE, "the path names something hidden") if is_hidden(path) else None


def _server(scheme: str, path: str) -> str | None:
    """The part of a reference that says who is asked, or might: `vals` and we must not read one text differently."""
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
