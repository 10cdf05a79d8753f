"""The cases of `tests/plans`: a YAML file -> fleet, basis and policy, and the plan's changes as plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from reconciler.model.address import Address, AgentName, Owner
from reconciler.model.capabilities import Capabilities, EndKind, EndMeaning
from reconciler.model.fleet import DesiredFleet, Freeze, Limit
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record, State
from reconciler.model.spec import HOUR, AgentSpec, Beside, Body, Lifecycle, ReplaceOrder, describe
from reconciler.plan.approval import Review
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import (
    Action,
    Adopt,
    Change,
    Hold,
    Join,
    Update,
    act_of,
    action_of,
    diffs_of,
    spec_of,
    target_of,
)
from reconciler.plan.freeze import EVERYTHING, USUALLY_FROZEN
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from tests.fakes.fleets import OWNER, UNLIMITED, fleet, properties

PLANS = Path(__file__).parents[2] / "plans"
NOW = 1_780_000_000.0
HERE = "lobby/desk"
# What can change on a running agent, by the service's documentation of `update`.
ABLE = Capabilities(
    updatable=frozenset({("llm", "system_messages"), ("llm", "params"), ("mllm", "params")}),
    max_lifetime=72 * HOUR,
    part_lives=((("avatar", "params", "agora_uid"), 24 * HOUR),),
    max_token_ttl=24 * HOUR,
    usd_per_minute=0.10,
    ends=(
        EndMeaning("Task lifetime limit exceeded", EndKind.LIFETIME),
        EndMeaning("Idle for too long", EndKind.IDLE),
        EndMeaning("OK", EndKind.ASKED),
        EndMeaning("RTC connection error", EndKind.NO_ENTRY, "check the certificate"),
    ),
)
_SECONDS = {"s": 1.0, "m": 60.0, "h": HOUR, "d": 24 * HOUR}
_KEYS = {"title", "wanted", "recorded", "open_join", "service", "run", "expected"}
_OF_AN_AGENT = {
    "id",
    "status",
    "age",
    "properties",
    "at",
    "generation",
    "digest_version",
    "shifted",
    "fleet",
    "name",
    "message",
    "in",
}
_OF_A_RUN = {
    "replace",
    "destroy",
    "only",
    "prune_unrecorded",
    "allow_hosts",
    "allow_beside",
    "max_unavailable",
    "reviewed",
    "freeze",
    "heal_stops",
    "horizon",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One file of `tests/plans`."""

    path: Path
    title: str
    fleet: DesiredFleet
    basis: Basis
    selection: Selection
    policy: Policy
    destroying: bool
    expected: list[dict[str, Any]]

    def plan(self) -> Plan:
        """The plan of the case."""
        return build_plan(
            self.fleet,
            self.basis,
            ABLE,
            selection=self.selection,
            policy=self.policy,
            allow_empty=True,
            destroying=self.destroying,
        )


def paths() -> list[Path]:
    """The files of all cases."""
    return sorted(PLANS.glob("*.yaml"))


def read(path: Path) -> Case:
    """The case of a file; ValueError for a key that no case has, so that a slip of the pen tests something."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    _known(tree, _KEYS)
    run = _known(tree.get("run") or {}, _OF_A_RUN)
    spec = None if tree.get("wanted") is None else _spec(tree["wanted"])
    record = None if tree.get("recorded") is None else _record(tree["recorded"])
    agents = [_observed(each, spec, record) for each in tree.get("service") or []]
    most = Limit(number=run["max_unavailable"]) if "max_unavailable" in run else UNLIMITED.max_unavailable
    wanted = fleet(*([] if spec is None else [spec]), limits=replace(UNLIMITED, max_unavailable=most))
    if "freeze" in run:
        lasting = Freeze(NOW + seconds(run["freeze"]), "holidays", (EVERYTHING,), USUALLY_FROZEN)
        wanted = replace(wanted, freezes=(lasting,))
    policy = Policy(
        allow_hosts=frozenset(run.get("allow_hosts", ())),
        allow_beside=tuple(run.get("allow_beside", ())),
        only=frozenset(Action(each) for each in run["only"]) if "only" in run else None,
        prune_unrecorded=run.get("prune_unrecorded", False),
        review=Review({Address.parse(HERE): frozenset(map(Action, run["reviewed"]))})
        if "reviewed" in run
        else None,
        heal_stops=run.get("heal_stops"),
    )
    replaces = ("*",) if run.get("replace") else ()
    placed = {each.get("id", "A1"): each["in"] for each in tree.get("service") or [] if "in" in each}
    horizon = seconds(run.get("horizon", "0s"))
    basis = replace(_basis(record, agents), channels=placed, horizon=horizon)
    if "open_join" in tree:
        basis = replace(
            basis, state=replace(basis.state, intents=(_open_join(tree["open_join"], spec, record),))
        )
    destroying = run.get("destroy", False)
    return Case(
        path, tree["title"], wanted, basis, Selection(replaces=replaces), policy, destroying, tree["expected"]
    )


def _known(tree: Mapping[str, Any], keys: set[str]) -> Mapping[str, Any]:
    odd = set(tree) - keys
    if odd:
        raise ValueError(f"no case has {', '.join(sorted(odd))}")
    return tree


def seconds(text: str) -> float:
    """`90m`, `2h`, `-1h` -> seconds."""
    return float(text[:-1]) * _SECONDS[text[-1]]


def _spec(tree: Mapping[str, Any]) -> AgentSpec:
    _known(tree, {"properties", "lifecycle", "previously", "at", "adopt"})
    lifecycle = {key: _lifecycle(key, value) for key, value in tree.get("lifecycle", {}).items()}
    return AgentSpec(
        Address.parse(tree.get("at", HERE)),
        Body(properties(**tree.get("properties", {}))),
        Lifecycle(**lifecycle),
        tuple(Address.parse(each) for each in tree.get("previously", ())),
        tree.get("adopt"),
    )


def _lifecycle(key: str, value: Any) -> Any:
    if key in ("rotate_after", "rotate_spread", "token_ttl"):
        return seconds(value)
    if key == "beside":
        return Beside(value)
    if key == "replace":
        return ReplaceOrder(value)
    if key == "ignore_changes":
        return tuple(tuple(each.split(".")) for each in value)
    return value


def _record(tree: Mapping[str, Any]) -> Record:
    fields = {**tree}
    address = Address.parse(fields.pop("at", HERE))
    body = Body(properties(**fields.pop("properties", {})))
    spec = AgentSpec(address, body)
    left = fields.pop("token_left", "20h")
    retry = fields.pop("retry_in", None)
    stops = tuple(NOW - seconds(each) for each in fields.pop("stopped", ()))
    return Record(
        address=address,
        agent_id=fields.pop("agent", "A1"),
        name=fields.pop("name", _name(OWNER, spec)),
        generation=1,
        uid=fields.pop("uid", spec.uid(OWNER)),
        body=body,
        started_at=NOW - HOUR,
        token_expires_at=None if left == "unknown" else NOW + seconds(left),
        retry_at=NOW + seconds(retry) if retry else 0.0,
        stops=stops,
        **fields,
    )


def _open_join(tree: Mapping[str, Any], spec: AgentSpec | None, record: Record | None) -> Intent:
    _known(tree, {"sent", "again", "late_copy", "refused", "answered", "at", "uid"})
    assert spec is not None, "a case with an open join wants an agent"
    started = replace(spec, address=Address.parse(tree.get("at", str(spec.address))))
    return Intent(
        Operation.LATE_COPY if tree.get("late_copy") else Operation.JOIN,
        started.address,
        record.name if record is not None else _name(OWNER, started),
        NOW - seconds(tree["sent"]),
        generation=1,
        uid=tree.get("uid", started.uid(OWNER)),
        body=started.body,
        answered=1 if tree.get("answered") else 0,
        refused_since=NOW - seconds(tree["refused"]) if "refused" in tree else None,
        sent_at=NOW - seconds(tree["again"]) if "again" in tree else None,
    )


def _name(
    owner: Owner, spec: AgentSpec, *, generation: int = 1, shifted: bool = False, version: str = ""
) -> str:
    revision = spec.revision(ABLE, shifted=shifted)
    return str(AgentName.make(owner, spec.address, version + revision[len(version) :], generation))


def _observed(tree: Mapping[str, Any], spec: AgentSpec | None, record: Record | None) -> ObservedAgent:
    _known(tree, _OF_AN_AGENT)
    agent_id = tree.get("id", "A1")
    if "name" in tree:
        name: str | None = tree["name"]
    elif record is not None and record.agent_id == agent_id:
        name = record.name
    else:
        started = spec or AgentSpec(Address.parse(HERE), Body(properties()))
        if "at" in tree:
            started = replace(started, address=Address.parse(tree["at"]))
        if "properties" in tree:
            started = replace(started, body=Body(properties(**tree["properties"])))
        name = _name(
            Owner(tree["fleet"]) if "fleet" in tree else OWNER,
            started,
            generation=tree.get("generation", 1),
            shifted=tree.get("shifted", False),
            version=tree.get("digest_version", ""),
        )
    started_at = NOW - seconds(tree.get("age", "1h"))
    status = AgentStatus(tree.get("status", "RUNNING"))
    return ObservedAgent(agent_id, status, started_at, name, message=tree.get("message", ""))


def _basis(record: Record | None, agents: list[ObservedAgent]) -> Basis:
    known = {each.agent_id for each in agents}
    ended: dict[str, ObservedAgent | None] = {
        each.agent_id: each for each in agents if each.status.is_terminal
    }
    if record is not None and record.agent_id not in known:
        ended[record.agent_id] = None
    records = {} if record is None else {record.address: record}
    state = State("a lineage", 1, b"k" * 32, records=records)
    return Basis(OWNER, state, tuple(each for each in agents if not each.status.is_terminal), NOW, ended)


def told(change: Change) -> dict[str, Any]:
    """A change in the words of `expected`."""
    inner = act_of(change)
    target, spec = target_of(change), spec_of(change)
    words: dict[str, Any] = {
        "change": action_of(change).value,
        "because": change.reason.because.value,
        "at": str(change.address),
        "agent": target.agent_id if target else None,
        "uid": target.uid if target else None,
        "protect": spec.lifecycle.protect if spec else None,
        "differs": [
            describe(row.path) + (" (new agent)" if row.forces_replacement else "")
            for row in diffs_of(change)
        ],
    }
    if isinstance(change, Hold):
        words |= {"holds": action_of(inner).value, "holds_because": inner.reason.because.value}
    if isinstance(inner, (Update, Adopt)):
        words["sends"] = [".".join(map(str, path)) for path in inner.values]
    if isinstance(inner, Join):
        formerly = None if inner.formerly is None else str(inner.formerly)
        words |= {"awaits": list(inner.awaits), "failures": inner.failures, "formerly": formerly}
    return words
