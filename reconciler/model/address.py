"""The identity of an agent: its address in the files, and its name on the service.

The name is the only text that we choose and the service returns, so it carries owner, address, revision and generation:
`<fleet>.<environment>.<readable>.<A>.<S>.g<N>`. Names are made and parsed only here.
"""

from __future__ import annotations

import re
import shlex

from reconciler.model.fingerprint import short_digest
from reconciler.values import dataclass

FLEET = re.compile(r"[a-z][a-z0-9-]{0,19}")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,7}")
AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# RTC channel names: fewer than 64 bytes of this set (v2 API reference: join, "generic RTC rule"); the slash is ours.
CHANNEL = re.compile(r"[A-Za-z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]{1,63}")

NAME_LIMIT = 64
NO_ENVIRONMENT = "-"
ADDRESS_BITS = 50
REVISION_BITS = 40
# Version of the digest inside a name. A later version must never be compared with an earlier one.
REVISION_VERSION = "1"

_NAME = re.compile(
    r"(?P<fleet>[a-z][a-z0-9-]{0,19})\.(?P<environment>-|[a-z][a-z0-9-]{0,7})\.(?P<readable>[A-Za-z0-9_-]+)"
    r"\.(?P<address>[0-9a-z]{10})\.(?P<revision>[0-9a-z]{9})\.g(?P<generation>[1-9][0-9]{0,9})"
)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """The logical identity of an agent, `<channel>/<name>`; it never changes while the agent is replaced."""

    channel: str
    name: str

    def __str__(self) -> str:
        return f"{self.channel}/{self.name}"

    @property
    def quoted(self) -> str:
        """The address quoted for a shell."""
        return shlex.quote(str(self))

    @property
    def argument(self) -> str:
        """The address as the first argument of a command line, after `--` if its channel begins with `-`."""
        return f"-- {self.quoted}" if self.channel.startswith("-") else self.quoted

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address written as `channel/name`; raise ValueError when it is not one."""
        channel, slash, name = text.rpartition("/")
        if not slash or not CHANNEL.fullmatch(channel) or not AGENT.fullmatch(name):
            raise ValueError(f'"{text}" is not an address; an address is <channel>/<agent>')
        return cls(channel, name)

    @property
    def digest(self) -> str:
        """The ten characters that stand for this address inside an agent's name."""
        return short_digest(str(self).encode(), bits=ADDRESS_BITS, person=b"address")


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """The owner mark in the name of every agent of ours: a fleet and its environment, compared as whole parts."""

    fleet: str
    environment: str | None = None

    def __str__(self) -> str:
        return f"{self.fleet}.{self.environment or NO_ENVIRONMENT}"

    def marks(self, name: str | None) -> bool:
        """Return whether an agent's name on the service bears this mark, compared as whole parts."""
        if name is None or not name.startswith(f"{self}."):
            return False
        return len(name) <= NAME_LIMIT and _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, order=True)
class AgentName:
    """The parts of a name of ours on the service. `revision` includes its leading version character."""

    owner: Owner
    readable: str
    address_digest: str
    revision: str
    generation: int

    def __str__(self) -> str:
        return f"{self.owner}.{self.readable}.{self.address_digest}.{self.revision}.g{self.generation}"

    @classmethod
    def make(cls, owner: Owner, address: Address, revision: str, generation: int) -> AgentName:
        """Return the name of one generation of an agent; at most 64 characters."""
        digest = address.digest
        fixed = len(f"{owner}...g{generation}") + len(digest) + len(revision) + 1
        return cls(owner, _readable(address, NAME_LIMIT - fixed), digest, revision, generation)

    @classmethod
    def parse(cls, text: str) -> AgentName | None:
        """Return the parts of a name that some reconciler made, or None for a foreign name."""
        match = _NAME.fullmatch(text)
        if match is None or len(text) > NAME_LIMIT:
            return None
        environment = match["environment"]
        owner = Owner(match["fleet"], None if environment == NO_ENVIRONMENT else environment)
        return cls(owner, match["readable"], match["address"], match["revision"], int(match["generation"]))


def revision_of(join_only: bytes) -> str:
    """Return the versioned 40-bit digest of the join-only fields, from their canonical bytes."""
    return REVISION_VERSION + short_digest(join_only, bits=REVISION_BITS, person=b"revision")


def _readable(address: Address, room: int) -> str:
    """Return the readable part of a name, for a console: channel and agent name, cut to `room` characters."""
    text = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{address.channel}-{address.name}").strip("-") or "agent"
    return text[:room].rstrip("-") or "a"


def default_uid(owner: Owner, address: Address) -> str:
    """Return the RTC uid of an agent whose files give none: stable, in 1,000,000,000 … 2,147,483,647.

    It is a hash of fleet, environment and address. Two addresses of one channel with the same uid are an error that the
    user must resolve; the uid is never changed silently.
    """
    bits = short_digest(f"{owner}/{address}".encode(), bits=60, person=b"uid")
    return str(1_000_000_000 + int.from_bytes(bits.encode(), "big") % 1_147_483_648)
