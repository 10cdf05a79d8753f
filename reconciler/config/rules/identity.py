"""Rules for the identity of an agent in its channel: uids, and previous addresses."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.config.rules.models import is_gap
from reconciler.config.rules.registry import Fleet, Subject, agent_rule, fleet_rule
from reconciler.config.words import shown
from reconciler.contract.agora.avatar import UID_PATH, avatar_uid
from reconciler.diagnostics import Problem, warning
from reconciler.model.address import Address
from reconciler.model.spec import UID, AgentSpec
from reconciler.model.tree import Path, dotted, value_at
from reconciler.values import dataclass

MAX_UID = 2**32 - 1
_UID: Path = ("properties", "agent_rtc_uid")
_REMOTE: Path = ("properties", "remote_rtc_uids")
_UIDS: tuple[Path, ...] = (UID, UID_PATH)


@agent_rule(reads=[*_UIDS, ("enable_string_uid",)])
def uids(subject: Subject) -> Iterator[Problem]:
    """Report a uid that is not a number of 32 bits, unless texts are allowed; 0 would be a new uid at each join."""
    for path in _UIDS:
        value = value_at(subject.properties, path)
        if isinstance(value, str) and value:
            yield from _uid(subject, path, value)


def _uid(subject: Subject, path: Path, value: str) -> Iterator[Problem]:
    name, where, is_avatars = dotted(path), ("properties", *path), path[0] == "avatar"
    if value == "0":
        yield Problem(
            "uid-zero",
            f"{name} 0 lets the service draw a uid",
            where,
            "write a uid" if is_avatars else "write a uid, or leave it out: then it follows from the address",
            "the drawn uid is never told, so its token could not be made or renewed",
        )
    elif value.isascii() and value.isdigit():
        if not 1 <= int(value[:20]) <= MAX_UID or value[0] == "0":
            yield Problem("uid-range", f"{name} {shown(value)} is not in 1 to {MAX_UID}", where)
    elif subject.properties.get("enable_string_uid") is not True:
        yield Problem(
            "uid-not-numeric",
            f"{name} {shown(value)} is not a number",
            where,
            f"write a number from 1 to {MAX_UID}, or set enable_string_uid: true for the whole channel",
        )


@agent_rule(reads=())
def adopted_uid(subject: Subject) -> Iterator[Problem]:
    """Report an adopted agent without its uid: no read returns it, and a token for another uid ends the agent."""
    if subject.spec.adopt is not None and "agent_rtc_uid" not in subject.properties and not is_gap(subject):
        yield Problem(
            "adopt-without-uid",
            "adopt needs the agent_rtc_uid that the agent was joined with",
            ("adopt",),
            "write it as properties.agent_rtc_uid",
            "the service does not tell it, and a token for another uid would end the agent",
        )


@agent_rule(reads=())
def remote_uids(subject: Subject) -> Iterator[Problem]:
    """Report an agent that does not say whom it hears; warn about several uids, which are not documented to work."""
    value = subject.properties.get("remote_rtc_uids")
    if value is None and not is_gap(subject):
        yield Problem(
            "remote-uids-missing",
            "remote_rtc_uids is missing",
            (),
            'write remote_rtc_uids: ["*"] to hear everybody, most simply under defaults.properties',
            "the service wants to know whom the agent hears",
            missing=_REMOTE,
        )
    elif isinstance(value, list) and len(value) > 1:
        yield warning(
            "remote-uids-many",
            "remote_rtc_uids names more than one uid",
            _REMOTE,
            'write one uid, or ["*"] for everybody',
            "the documented forms are one uid and everybody",
        )


@dataclass(frozen=True, slots=True)
class _Seat:
    """A uid that an agent or its avatar has in a channel; `path` is where it is written, or () for a default uid."""

    spec: AgentSpec
    path: Path
    is_avatars: bool = False

    def __str__(self) -> str:
        return f"the avatar of {self.spec.address}" if self.is_avatars else str(self.spec.address)


def _seats(fleet: Fleet) -> Iterator[tuple[tuple[str, str], _Seat]]:
    """Yield every uid that the fleet uses, by channel and uid."""
    for address, spec in fleet.agents.items():
        path = _UID if spec.body.uid is not None else ()
        yield (address.channel, spec.uid(fleet.owner)), _Seat(spec, path)
        avatar = avatar_uid(spec.body.properties)
        if avatar is not None:
            yield (address.channel, avatar), _Seat(spec, ("properties", *UID_PATH), is_avatars=True)


@fleet_rule
def uids_of_a_channel(fleet: Fleet) -> Iterator[tuple[Address, Problem]]:
    """Report equal uids of agents and avatars in one channel, and an agent that hears an agent's or avatar's uid.

    The service removes a user from the channel when another one joins with the same uid.
    """
    taken: dict[tuple[str, str], _Seat] = {}
    clashing: set[tuple[str, str]] = set()
    for key, seat in _seats(fleet):
        first = taken.setdefault(key, seat)
        if first is seat:
            continue
        if key not in clashing:
            clashing.add(key)
            yield first.spec.address, _clash(first, seat, key[1])
        yield seat.spec.address, _clash(seat, first, key[1])
    for address, spec in fleet.agents.items():
        named = spec.body.properties.get("remote_rtc_uids")
        for index, uid in enumerate(named if isinstance(named, list) else ()):
            if isinstance(uid, str) and (other := taken.get((address.channel, uid))) is not None:
                yield address, _hears_an_agent(spec, other, index, uid)


def _clash(seat: _Seat, other: _Seat, uid: str) -> Problem:
    name = dotted(seat.path[1:]) or "agent_rtc_uid"
    return Problem(
        "uid-clash",
        f"{seat} and {other} have the same uid {uid} in one channel",
        seat.path,
        f"give one of them another {name}" if seat.path else f"write an {name} for one of them",
        None
        if seat.path
        else "where none is written it follows from the address, and these two fall together",
    )


def _hears_an_agent(spec: AgentSpec, other: _Seat, index: int, uid: str) -> Problem:
    is_own = other.spec is spec
    whose = ("the agent's own avatar" if other.is_avatars else "the agent itself") if is_own else str(other)
    report = Problem if is_own else warning
    return report(
        "remote-uids-taken",
        f"remote_rtc_uids names {uid}, which is {whose}",
        (*_REMOTE, index),
        'write the uid of the person whom the agent hears, or ["*"] for everybody',
        "it would hear nobody but itself" if is_own else "it would hear another agent",
    )


@fleet_rule
def previously(fleet: Fleet) -> Iterator[tuple[Address, Problem]]:
    """Report a previous address that is still declared, or that two agents list."""
    heirs: dict[Address, Address] = {}
    for address, spec in fleet.agents.items():
        for index, old in enumerate(spec.previously):
            path: Path = ("previously", index)
            if old in fleet.agents:
                what = "is this agent's own address" if old == address else "is declared too"
                yield (
                    address,
                    Problem(
                        "previously-declared",
                        f"previously {old} {what}",
                        path,
                        "list only addresses that are gone",
                    ),
                )
            first = heirs.setdefault(old, address)
            if first != address:
                yield (
                    address,
                    Problem(
                        "previously-twice",
                        f"{first} and {address} both were {old} previously",
                        path,
                        "the running agent can be kept for one of them only",
                    ),
                )
