"""Planning a fleet that runs: its time, how that grows, its memory, its calls, and what a difference costs."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from reconciler import config, workflow
from reconciler.apply.context import Settings
from reconciler.cli.embedded import EmbeddedSender
from reconciler.driver.loop import Driver
from reconciler.driver.secrets import SecretSources, StandIns
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.diff import field_diffs
from reconciler.plan.guard import Policy
from reconciler.ports import Steps
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.simulator import Simulator, Switches
from reconciler.state.blocking import behind_ports
from reconciler.state.memory import MemoryStore
from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import command_use, cpu_seconds, in_child, ours
from tests.benchmarks.scale import Scale
from tests.benchmarks.settled import ACCOUNT, PAGE, otherwise, settle

MIB = 1024 * 1024
_UNHURRIED = CallLimits(calls_per_second=1e9, burst=1e9)


def plan_rows(scale: Scale) -> Iterator[Figure]:
    """The plan of a fleet of which 1 % was edited; the load is part of the same process, and its floor."""
    found = [_planned(scale, scale.agents) for _ in range(scale.turns)]
    ratio = median(each["seconds"] / each["load"] for each in found)
    seconds, load, state = (median(each[key] for each in found) for key in ("seconds", "load", "state"))
    case = f"{scale.agents:,} agents, {found[0]['pending']} changed; reading the state: {state:.2f} s of it"
    yield Figure("plan", f"{seconds:.2f} s", f"{load:.2f} s", ratio, ratio <= 1.4, case)
    yield _memory(scale.agents, found[0])


def read_rows(scale: Scale) -> Iterator[Figure]:
    """What people read of a plan in which everything changes: computed for what is shown, not for each copy."""
    directory = scale.calm(scale.agents)
    state = directory / ".reconciler"
    if state.exists():
        shutil.rmtree(state)
    for name, most, most_bytes in (
        ("text", 1.3, 1e6),
        ("markdown", 1.3, 1e6),
        ("html", 1.3, 1e6),
        ("json", 1.6, math.inf),
    ):
        plan = (ours(), "plan", str(directory), "--format", name)
        found = [
            (command_use(*plan), command_use(ours(), "validate", str(directory))) for _ in range(scale.turns)
        ]
        size = found[0][0].printed
        case = f"{scale.agents:,} agents, {name}, {size / 1000:,.0f} KB"
        work, floor = (median(each[at].cpu for each in found) for at in (0, 1))
        ratio = median(plan.cpu / check.cpu for plan, check in found)
        yield Figure(
            "read",
            f"{work:.2f} s",
            f"{floor:.2f} s",
            ratio,
            ratio <= most and size <= most_bytes,
            case,
        )
        peak, least = (median(each[at].peak for each in found) for at in (0, 1))
        limit = 1.6 if name == "json" else 1.2
        yield Figure(
            "read-memory",
            f"{peak / MIB:,.0f} MiB",
            f"{least / MIB:,.0f} MiB",
            peak / least,
            peak <= limit * least,
            case,
        )


def growth_rows(scale: Scale) -> Iterator[Figure]:
    """The same plan, a hundred times larger."""
    small, large = scale.agents // 10, scale.agents * 10
    few = median(_planned(scale, small)["seconds"] for _ in range(scale.turns))
    many = _planned(scale, large)
    exponent = math.log(many["seconds"] / few) / math.log(large / small)
    case = f"{small:,} → {large:,}"
    yield Figure("growth", f"{many['seconds']:.1f} s", f"{few:.2f} s", exponent, exponent <= 1.05, case)
    yield _memory(large, many)
    yield Figure(
        "memory-100k",
        f"{many['peak'] / MIB:,.0f} MiB",
        "–",
        None,
        many["peak"] <= 2560 * MIB,
        f"{large:,} agents",
    )


def watch_rows(scale: Scale) -> Iterator[Figure]:
    """What the controller does over and over: the list, the state's version, and the plan in which nothing changed."""
    agents = min(scale.agents, 1000)
    told = in_child("watch", _settled(scale, agents, changed=0.0))
    seconds, peak = told["seconds"], told["peak"]
    assert told["result"] == "unchanged", told
    case = f"{agents:,} agents"
    yield Figure("watch", f"{seconds:.2f} s", "–", None, seconds <= 0.15, case)
    yield Figure("watch-memory", f"{peak / 1e6:,.0f} MB", "–", None, peak <= 120e6, case)


def calm_row(scale: Scale) -> Iterator[Figure]:
    """A plan without a difference needs nothing that finds differences."""
    directory = _settled(scale, min(scale.agents, 1000), changed=0.0)
    told = in_child("plan", directory)
    met = not told["deepdiff"] and told["pending"] == 0
    yield Figure("no-deepdiff", "not imported" if met else "imported", "–", None, met)


def diff_row(scale: Scale) -> Iterator[Figure]:
    """One agent, edited in a number, in its prompt, and in a list."""
    spec = next(iter(config.load(scale.for_each(10)).agents.values()))
    before = spec.body.tree()
    for case, body in (("two numbers", otherwise(spec.body)), ("its prompt", _reworded(spec.body))):
        after = body.tree()
        field_diffs(before, after)  # imports
        seconds = median(cpu_seconds(lambda: field_diffs(before, after)) for _ in range(20 * scale.turns))
        yield Figure("diff", f"{seconds * 1000:.2f} ms", "–", None, seconds <= 0.0015, case)


def calls_rows(scale: Scale) -> Iterator[Figure]:
    """What the service is asked for: beside foreign agents the first time, and when they are known."""
    agents, foreign = min(scale.agents, 250), 30
    fleet = replace(config.load(scale.for_each(agents)), warnings=())
    simulator = Simulator(switches=Switches(quota=10_000))
    store = MemoryStore()
    job = workflow.Job(fleet, ACCOUNT.app_id, policy=Policy(allow={"join": 1e9}), settings=Settings(wait=5))
    _run(simulator, store, workflow.apply(job, provider := _provider()), fleet)
    others = replace(fleet, owner=Owner("others"), agents=dict(list(fleet.agents.items())[:foreign]))
    _run(simulator, MemoryStore(), workflow.apply(replace(job, fleet=_moved(others)), provider), others)
    pages = math.ceil((agents + foreign) / PAGE)
    yield _calls(
        simulator, store, job, f"{agents} agents, {foreign} foreign ones never seen", pages + foreign
    )
    _run(simulator, store, workflow.apply(job, _provider()), fleet)
    yield _calls(simulator, store, job, "the same, known", pages)


def _moved(fleet: DesiredFleet) -> DesiredFleet:
    """The agents of a fleet in channels of their own."""
    agents = {}
    for address, spec in fleet.agents.items():
        there = replace(address, channel=f"other-{address.channel}")
        agents[there] = replace(spec, address=there)
    return replace(fleet, agents=agents)


def _calls(simulator: Simulator, store: MemoryStore, job: workflow.Job, case: str, expected: int) -> Figure:
    before = sum(simulator.tally().values())
    _run(simulator, store, workflow.plan(job, _provider()), job.fleet)
    calls = sum(simulator.tally().values()) - before
    return Figure("calls", str(calls), str(expected), calls / expected, calls == expected, case)


def _run(simulator: Simulator, store: MemoryStore, steps: Steps[Any], fleet: DesiredFleet) -> None:
    driver = Driver(
        EmbeddedSender(simulator),
        store=behind_ports(store),
        secrets=StandIns(SecretSources({}, Path())),
        holder=str(fleet.owner),
    )
    asyncio.run(_nothing(driver, steps))


async def _nothing(driver: Driver, steps: Steps[Any]) -> None:
    await driver.run(steps)  # what it gives is not handed on: asyncio would print all of it when it ends


def _provider() -> AgoraProvider:
    return AgoraProvider(ACCOUNT, _UNHURRIED)


def _reworded(body: Any) -> Any:
    llm = body.properties["llm"]
    [message] = llm["system_messages"]
    reworded = {**message, "content": message["content"].replace("kind", "friendly")}
    return replace(body, properties={**body.properties, "llm": {**llm, "system_messages": [reworded]}})


def _planned(scale: Scale, agents: int) -> dict[str, Any]:
    return in_child("plan", _settled(scale, agents, changed=0.01), "--size")


def _settled(scale: Scale, agents: int, *, changed: float) -> Path:
    directory = scale.for_each(agents) if changed else scale.calm(agents)
    if not (directory / ".reconciler").exists():
        settle(directory, changed=changed)
    return directory


def _memory(agents: int, told: dict[str, Any]) -> Figure:
    used = told["peak"] - told["idle"]
    ratio = used / told["rendered"]
    case = f"{agents:,} agents, beside the {told['idle'] / MIB:.0f} MiB of the empty process"
    return Figure(
        "memory", f"{used / MIB:,.0f} MiB", f"{told['rendered'] / MIB:,.0f} MiB", ratio, ratio <= 4.5, case
    )
