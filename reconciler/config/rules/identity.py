"""Who an agent is in its channel: uids, and addresses that were given up."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.config.rules.models import is_gap
from reconciler.config.rules.registry import Fleet, Subject, agent_rule, fleet_rule
from reconciler.config.words import shown
from reconciler.diagnostics import Problem, warning
from reconciler.model.address import Address
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import Path

MAX_UID = 2**32 - 1
_UID: Path = ("properties", "agent_rtc_uid")
_REMOTE: Path = ("properties", "remote_rtc_uids")


@agent_rule("agent_rtc_uid")
def uid(subject: Subject) -> Iterator[Problem]:
    """A uid is a number of 32 bits, unless texts are allowed; 0 would be somebody else each time."""
    value = subject.properties["agent_rtc_uid"]
    if not isinstance(value, str):
        return
    if value == "0":
        yield Problem(
            "uid-zero",
            "agent_rtc_uid 0 lets the service draw a uid",
            _UID,
            "write a uid, or leave it out: then it follows from the address",
            "the drawn uid is never told, so its token could not be made or renewed",
        )
    elif value.isascii() and value.isdigit():
        if not 1 <= int(value[:20]) <= MAX_UID or value[0] == "0":
            yield Problem("uid-range", f"agent_rtc_uid {shown(value)} is not in 1 to {MAX_UID}", _UID)
    elif subject.properties.get("enable_string_uid") is not True:
        yield Problem(
            "uid-not-numeric",
            f"agent_rtc_uid {shown(value)} is not a number",
            _UID,
            f"write a number from 1 to {MAX_UID}, or set enable_string_uid: true for the whole channel",
        )


@agent_rule()
def adopted_uid(subject: Subject) -> Iterator[Problem]:
    """No read of the service tells an agent's uid, and a token for another uid would end the agent."""
    if subject.spec.adopt is not None and "agent_rtc_uid" not in subject.properties and not is_gap(subject):
        yield Problem(
            "adopt-without-uid",
            "adopt needs the agent_rtc_uid that the agent was joined with",
            ("adopt",),
            "write it as properties.agent_rtc_uid",
            "the service does not tell it, and a token for another uid would end the agent",
        )


@agent_rule()
def remote_uids(subject: Subject) -> Iterator[Problem]:
    """Whom the agent hears must be said; more than one is not documented to work."""
    value = subject.properties.get("remote_rtc_uids")
    if value is None and not is_gap(subject):
        yield Problem(
            "remote-uids-missing",
            "remote_rtc_uids is missing",
            (),
            'write remote_rtc_uids: ["*"] to hear everybody, most simply under defaults.properties',
            "the service wants to know whom the agent hears",
        )
    elif isinstance(value, list) and len(value) > 1:
        yield warning(
            "remote-uids-many",
            "remote_rtc_uids names more than one uid",
            _REMOTE,
            'write one uid, or ["*"] for everybody',
            "the documented forms are one uid and everybody",
        )


@fleet_rule
def uid_clash(fleet: Fleet) -> Iterator[tuple[Address, Problem]]:
    """Two agents of one channel cannot have one uid, written or drawn from the address."""
    taken: dict[tuple[str, str], Address] = {}
    for address, spec in fleet.agents.items():
        uid = spec.uid(fleet.owner)
        first = taken.setdefault((address.channel, uid), address)
        if first != address:
            yield address, _clash(spec, fleet.agents[first], uid)


def _clash(spec: AgentSpec, first: AgentSpec, uid: str) -> Problem:
    written = spec.body.uid is not None
    return Problem(
        "uid-clash",
        f"{spec.address} and {first.address} have the same uid {uid} in one channel",
        _UID if written else (),
        "give one of them another agent_rtc_uid" if written else "write an agent_rtc_uid for one of them",
        None if written else "where none is written it follows from the address, and these two fall together",
    )


@fleet_rule
def previously(fleet: Fleet) -> Iterator[tuple[Address, Problem]]:
    """An address that was given up leads to one agent, and is not in use."""
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
