"""Small fleets and bases, and the plans that `build_plan` makes of them: what the renderers are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.diagnostics import Problem, Severity, Span
from reconciler.model.address import Address, AgentName, Owner
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import DesiredFleet, Limits
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record, State
from reconciler.model.spec import HOUR, AgentSpec, Body, Lifecycle, ReplaceOrder
from reconciler.model.tree import Path, Tree
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import order_of
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.report import json_plan
from tests.fakes.fleets import UNLIMITED

NOW = 1_000_000_000.0
OWNER = Owner("hotel-desk", "prod")
ABLE = Capabilities(
    updatable=frozenset({("llm", "system_messages"), ("llm", "params"), ("mllm", "params")}),
    max_lifetime=72 * HOUR,
    max_token_ttl=24 * HOUR,
    usd_per_minute=0.10,
)

PROMPT = """\
You are the concierge of the Hotel Paris.
Be polite and brief.

Rules:
- Never quote prices.
- Offer a taxi when a guest asks for the airport.
- Answer in the language of the guest.
- Breakfast is from 7 to 10.

If you do not know, say so."""
NEW_PROMPT = PROMPT.replace("polite and brief", "warm, polite and brief").replace(
    "- Breakfast is from 7 to 10.", "- Breakfast is from 7 to 11.\n- The pool is closed in winter."
)


def properties(**changes: Any) -> dict[str, Tree]:
    """Ordinary properties of a concierge, some of them changed by dotted keys written with two underscores."""
    tree: dict[str, Any] = {
        "remote_rtc_uids": ["*"],
        "idle_timeout": 0,
        "asr": {"vendor": "ares", "language": "en-US"},
        "tts": {
            "vendor": "microsoft",
            "params": {"key": "ref+env://AZURE_TTS_KEY", "region": "eastus", "voice_name": "en-US-AvaNeural"},
        },
        "llm": {
            "url": "https://api.openai.com/v1/chat/completions",
            "api_key": "ref+env://OPENAI_API_KEY",
            "system_messages": [{"role": "system", "content": PROMPT}],
            "params": {"model": "gpt-4o", "temperature": 0.2},
        },
    }
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return tree


@dataclass
class World:
    """A fleet and what runs of it, one agent after the other."""

    owner: Owner = OWNER
    limits: Limits = replace(UNLIMITED, quota=20)
    agents: dict[Address, AgentSpec] = field(default_factory=dict)
    records: dict[Address, Record] = field(default_factory=dict)
    live: list[ObservedAgent] = field(default_factory=list)
    channels: dict[str, str] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)
    warnings: tuple[Problem, ...] = ()
    places: dict[tuple[Address, Path], Span] = field(default_factory=dict)

    def wants(self, address: str, body: Mapping[str, Tree] | None = None, **lifecycle: Any) -> World:
        where = Address.parse(address)
        self.agents[where] = AgentSpec(
            where, Body(properties() if body is None else body), Lifecycle(**lifecycle)
        )
        self.places[(where, ())] = Span("agents/desks.yaml", 3 + len(self.agents), 5)
        return self

    def runs(self, address: str, body: Mapping[str, Tree] | None = None, **changes: Any) -> World:
        """An agent of ours, recorded; `age` in hours, `recorded=False` for a lost state."""
        where = Address.parse(address)
        age, recorded = changes.pop("age", 1.0), changes.pop("recorded", True)
        tree = Body(properties() if body is None else body)
        revision = AgentSpec(where, tree).revision(ABLE)
        name = str(AgentName.make(self.owner, where, changes.pop("revision", revision), 1))
        agent = ObservedAgent(f"A{len(self.live) + 1:03d}", AgentStatus.RUNNING, NOW - age * HOUR, name)
        self.live.append(agent)
        uid = AgentSpec(where, tree).uid(self.owner)
        record = Record(where, agent.agent_id, name, 1, uid, tree, agent.started_at, NOW + 23 * HOUR)
        if recorded:
            self.records[where] = replace(record, **changes)
        return self

    def foreign(self, name: str, channel: str | None = None) -> World:
        agent = ObservedAgent(f"F{len(self.live) + 1:03d}", AgentStatus.RUNNING, NOW - HOUR, name)
        self.live.append(agent)
        if channel is not None:
            self.channels[agent.agent_id] = channel
        return self

    def fleet(self) -> DesiredFleet:
        places = dict(self.places)
        return DesiredFleet(
            owner=self.owner,
            agents=dict(self.agents),
            limits=self.limits,
            digest="d" * 64,
            locate=lambda address, path: places.get((address, path)),
            warnings=self.warnings,
        )

    def basis(self) -> Basis:
        state = State("lineage", 1, b"k" * 32, records=dict(self.records), intents=tuple(self.intents))
        return Basis(self.owner, state, tuple(self.live), NOW, channels=dict(self.channels))

    def plan(self, selection: Selection | None = None, policy: Policy | None = None) -> Plan:
        return build_plan(
            self.fleet(), self.basis(), ABLE, selection=selection or Selection(), policy=policy or Policy()
        )


def rich_world() -> World:
    """One of everything that a plan can hold."""
    world = World()
    world.wants("paris/concierge", properties(tts__params__voice_name="en-US-EmmaNeural")).runs(
        "paris/concierge"
    )
    world.wants("paris/night", properties(llm__system_messages=[{"role": "system", "content": NEW_PROMPT}]))
    world.runs("paris/night")
    world.wants(
        "oslo/greeter", properties(llm__system_messages=[{"role": "system", "content": "Greet people."}])
    )
    world.wants("oslo/same").runs("oslo/same")
    world.wants("rome/old").runs("rome/old", age=69)
    world.wants("rome/token").runs("rome/token", token_expires_at=NOW + HOUR)
    world.wants("rome/vip", properties(asr__language="it-IT"), protect=True).runs("rome/vip", protect=True)
    world.wants("rome/smooth", properties(asr__language="it-IT"), replace=ReplaceOrder.JOIN_FIRST).runs(
        "rome/smooth"
    )
    world.wants("bonn/found", properties()).runs("bonn/found", recorded=False)
    world.runs("bonn/gone").runs("lima/stray", recorded=False)
    world.records[Address("lima", "ended")] = Record(
        Address("lima", "ended"), "A999", "x", 1, "1", Body({}), NOW
    )
    world.foreign("someone-elses bot", "paris").foreign("far away")
    world.intents.append(Intent(Operation.LEAVE, Address("bonn", "gone"), "n", NOW, agent_id="A009"))
    world.warnings = (
        Problem(
            "unknown-key", "asr.langauge is unknown", Span("fleet.yaml", 3, 5), severity=Severity.WARNING
        ),
    )
    where = Address("paris", "concierge")
    world.places[(where, ("properties", "tts", "params", "voice_name"))] = Span("agents/desks.yaml", 12, 30)
    return world


def risky_world() -> World:
    """A secret that would go elsewhere, and more leaves than the limit allows."""
    world = World(limits=Limits(quota=4, usd_per_day=100.0))
    world.wants("paris/concierge", properties(llm__url="https://evil.example/v1")).runs("paris/concierge")
    for city in ("oslo", "rome", "bonn"):
        world.runs(f"{city}/desk")
    for number in range(1, 5):
        world.wants(f"lima/desk-{number}")
    return world


def plan_tree(plan: Plan) -> dict[str, Any]:
    """A whole plan as a tree, which the product never makes: its JSON is compared with it."""
    changes = [json_plan.change_tree(plan, each) for each in sorted(plan.changes, key=order_of)]
    return {**json_plan._document(plan, changes)}
