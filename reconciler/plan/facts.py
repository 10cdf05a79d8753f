"""Sort the basis by address: which spec, record and agents belong together.

Addresses are found by the digest in an agent's name: those that the files declare now, those under `previously`, and
recorded ones. An agent of ours with any other digest gets a stand-in address, so that it is listed and never lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

from reconciler.model.address import Address, Owner
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import DesiredFleet
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import AgentSpec
from reconciler.plan.basis import Basis
from reconciler.plan.intents import is_superseded
from reconciler.values import dataclass

UNKNOWN_CHANNEL = "?"


@dataclass(frozen=True, slots=True)
class Adoptee:
    """A running agent that an address in the files declares to adopt, with its channel and record, as far as known.

    `rival` is another address that declares to adopt it too.
    """

    agent: ObservedAgent
    channel: str | None = None
    recorded_at: Address | None = None
    is_ours: bool = False
    rival: Address | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that decides about one address. `now` is in epoch seconds.

    `running` are our live agents at this address: the recorded one first, then the oldest that runs; `stopping` are
    those that are ending; `ended` is the recorded agent as the service last described it. `found_at` is the earlier
    address of the same agent under which it is recorded or named. `strangers` are the foreign agents that forbid a
    first join: those in its channel that the files do not adopt there; where the address has run under this state
    before, only those that `forget` released. `adoptee` is the running agent that the files declare for this address
    to adopt, unless it has it already. `foreign` are all foreign agents in its channel. `open_join` is an interrupted
    join of it, `late_copy` the note of one that may still be executed within `grace` seconds of its sending,
    `superseded` whether that name has had a successor since. `refused` notes joins of it that the service has refused.
    The next run comes in `horizon` seconds; 0 if that is not known. `is_early` is whether the agent rotates in this run
    before its time, because the fleet's later runs cannot rotate all that ends with it.
    """

    owner: Owner
    address: Address
    able: Capabilities
    now: float
    want: AgentSpec | None = None
    record: Record | None = None
    running: tuple[ObservedAgent, ...] = ()
    stopping: tuple[ObservedAgent, ...] = ()
    ended: ObservedAgent | None = None
    found_at: Address | None = None
    forced: bool = False
    destroying: bool = False
    strangers: tuple[ObservedAgent, ...] = ()
    adoptee: Adoptee | None = None
    foreign: tuple[ObservedAgent, ...] = ()
    open_join: Intent | None = None
    late_copy: Intent | None = None
    superseded: bool = False
    refused: Intent | None = None
    grace: float = 300.0
    horizon: float = 0.0
    is_early: bool = False


def gather_facts(
    fleet: DesiredFleet,
    basis: Basis,
    able: Capabilities,
    *,
    destroying: bool = False,
) -> Iterator[Facts]:
    """Yield the facts of every address that has a spec, a record or an agent, in the order of the addresses."""
    records = dict(basis.state.records)
    renamed = _renamed(fleet, records)
    homes = _by_address(fleet, basis, renamed)
    strangers = _strangers_by_channel(basis)
    adoptees = _adoptees(fleet, basis)
    # An agent that the files adopt in its own channel is this fleet's to the other addresses there.
    taken_over = {each.agent.agent_id for here, each in adoptees.items() if each.channel == here.channel}
    intents = _intents_by_address(basis)
    addresses = set(fleet.agents) | set(homes) | {each for each in records if each not in renamed.values()}
    for address in sorted(addresses, key=attrgetter("channel", "name")):
        old = renamed.get(address) if renamed else None
        record = records.get(address) or (records.get(old) if old else None)
        agents = homes.get(address, ())
        running = tuple(_by_rank([each for each in agents if each.status.is_live], record))
        foreign = strangers.get(address.channel, ())
        has_run = record is not None or address in basis.state.generations
        # Most runs find no intents: then none is looked for, since the hash of an address is computed in Python.
        noted = intents.get(address, {}) if intents else {}
        late_copy = (noted.get(Operation.LATE_COPY) if noted else None) or (
            intents.get(old, {}).get(Operation.LATE_COPY) if old else None
        )
        adoptee = adoptees.get(address) if adoptees else None
        yield Facts(
            owner=basis.owner,
            address=address,
            able=able,
            now=basis.now,
            want=fleet.agents.get(address),
            record=record,
            running=running,
            stopping=tuple([each for each in agents if each.status is AgentStatus.STOPPING]),
            ended=basis.ended.get(record.agent_id) if record else None,
            found_at=_found_at(address, old, record, running[0], fleet) if running else None,
            destroying=destroying,
            strangers=foreign
            and tuple(
                each
                for each in foreign
                if each.agent_id not in taken_over and (not has_run or each.agent_id in basis.state.released)
            ),
            foreign=foreign,
            open_join=noted.get(Operation.JOIN) if noted else None,
            late_copy=late_copy,
            superseded=late_copy is not None and is_superseded(late_copy, basis.state.generations),
            refused=noted.get(Operation.REFUSED) if noted else None,
            grace=basis.grace,
            horizon=basis.horizon,
            adoptee=adoptee if adoptee is not None and adoptee.agent not in running else None,
        )


def _intents_by_address(basis: Basis) -> dict[Address, dict[Operation, Intent]]:
    """Return the open intents of each address by their operation; of several of one kind that of the highest generation."""
    found: dict[Address, dict[Operation, Intent]] = defaultdict(dict)
    for intent in sorted(basis.state.intents, key=attrgetter("generation")):
        found[intent.address][intent.operation] = intent
    return found


def _adoptees(fleet: DesiredFleet, basis: Basis) -> dict[Address, Adoptee]:
    """Return the running agents that the files declare to adopt, by address."""
    wanted = {address: spec.adopt for address, spec in fleet.agents.items() if spec.adopt is not None}
    if not wanted:
        return {}
    live = {each.agent_id: each for each in basis.live if each.status.is_live}
    holders = {record.agent_id: address for address, record in basis.state.records.items()}
    wanting: dict[str, list[Address]] = defaultdict(list)
    for address, agent_id in sorted(wanted.items()):
        wanting[agent_id].append(address)
    return {
        address: Adoptee(
            live[agent_id],
            basis.channels.get(agent_id),
            holders.get(agent_id),
            live[agent_id].bears(basis.owner) and agent_id not in basis.state.released,
            next((each for each in wanting[agent_id] if each != address), None),
        )
        for address, agent_id in wanted.items()
        if agent_id in live
    }


def _strangers_by_channel(basis: Basis) -> dict[str, tuple[ObservedAgent, ...]]:
    """Return the foreign agents by channel, where it is known; also those that are stopping, which may still speak."""
    found: dict[str, list[ObservedAgent]] = defaultdict(list)
    for agent in basis.foreign:
        channel = basis.channels.get(agent.agent_id)
        if channel is not None:
            found[channel].append(agent)
    return {channel: tuple(agents) for channel, agents in found.items()}


def _renamed(fleet: DesiredFleet, records: Mapping[Address, Record]) -> dict[Address, Address]:
    """Return which earlier address's record each renamed address takes over, as new address -> earlier one."""
    taken: dict[Address, Address] = {}
    for address, spec in fleet.agents.items():
        if address in records:
            continue
        old = next((each for each in spec.previously if each in records and each not in fleet.agents), None)
        if old is not None and old not in taken.values():
            taken[address] = old
    return taken


def _by_address(
    fleet: DesiredFleet, basis: Basis, renamed: Mapping[Address, Address]
) -> dict[Address, list[ObservedAgent]]:
    by_id = {record.agent_id: address for address, record in basis.state.records.items()}
    forward = {old: new for new, old in renamed.items()}
    homes: dict[Address, list[ObservedAgent]] = defaultdict(list)
    unrecorded: list[ObservedAgent] = []
    for agent in basis.ours:
        recorded = by_id.get(agent.agent_id)
        if recorded is not None:  # a renamed agent has its first address in its name
            homes[forward.get(recorded, recorded)].append(agent)
        else:
            unrecorded.append(agent)
    # Only the name remains of an agent whose record was lost; its address digest finds the address again.
    digests = _digests(fleet, basis, renamed) if unrecorded else {}
    for agent in unrecorded:
        parsed = agent.parsed
        if parsed is not None:
            stand_in = Address(UNKNOWN_CHANNEL, f"{parsed.readable}.{parsed.address_digest}")
            homes[digests.get(parsed.address_digest, stand_in)].append(agent)
    return homes


def _digests(fleet: DesiredFleet, basis: Basis, renamed: Mapping[Address, Address]) -> dict[str, Address]:
    """Return the address of each address digest; a declared one wins over `previously`, that over a recorded one."""
    known = {each.digest: each for each in basis.state.records if each not in fleet.agents}
    known |= {each.address.digest: each.address for each in basis.state.intents}
    for address, spec in fleet.agents.items():
        earlier: Iterable[Address] = (each for each in spec.previously if each not in fleet.agents)
        known |= {each.digest: address for each in earlier}
    known |= {old.digest: new for new, old in renamed.items()}
    known |= {each.digest: each for each in fleet.agents}
    return known


def _by_rank(agents: list[ObservedAgent], record: Record | None) -> list[ObservedAgent]:
    """Return our live agents at one address in order: the recorded one first, else the oldest one that runs."""

    def rank(agent: ObservedAgent) -> tuple[bool, bool, float, str]:
        is_recorded = record is not None and record.agent_id == agent.agent_id
        return (not is_recorded, agent.status is not AgentStatus.RUNNING, agent.started_at, agent.agent_id)

    return sorted(agents, key=rank) if len(agents) > 1 else agents


def _found_at(
    address: Address,
    old: Address | None,
    record: Record | None,
    agent: ObservedAgent,
    fleet: DesiredFleet,
) -> Address | None:
    """Return the earlier address under which the kept agent is recorded or named, or None."""
    if record is not None and record.agent_id == agent.agent_id:
        return old
    parsed = agent.parsed
    spec = fleet.agents.get(address)
    if parsed is None or spec is None or parsed.address_digest == address.digest:
        return None
    return next((each for each in spec.previously if each.digest == parsed.address_digest), None)
