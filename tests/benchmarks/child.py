"""What is measured in a process of its own, since a command is one too: prints what it found as JSON.

python -m tests.benchmarks.child load DIRECTORY
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from reconciler import config, workflow
from reconciler.cli.output import Output
from reconciler.cli.session import Session
from reconciler.cli.surveying import status_steps
from reconciler.controller.roll import Roll
from reconciler.controller.turn import turn
from reconciler.driver.loop import Driver
from reconciler.driver.secrets import SecretSources
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import State
from reconciler.model.spec import Body
from reconciler.plan.build import Plan
from reconciler.plan.change import Keep
from reconciler.providers import Connection
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.state.blocking import behind_ports
from reconciler.state.local import LocalStore
from reconciler.state.unchanged import ReadIfChanged, SeenLease
from tests.benchmarks import by_hand
from tests.benchmarks.measure import cpu_time, peak_bytes
from tests.benchmarks.settled import ABLE, ACCOUNT, CannedService, store_of

UNHURRIED = CallLimits(calls_per_second=1e9, burst=1e9)


class _Timed(LocalStore):
    """A store that remembers how long the reading took."""

    def __init__(self, directory: Path) -> None:
        super().__init__(store_of(directory).path)
        self.seconds = 0.0

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        began = cpu_time()
        state = super().read(likely)
        self.seconds += cpu_time() - began
        return state


def _loaded(directory: Path) -> DesiredFleet:
    """Load, render, validate, digest."""
    fleet = config.load(directory)
    for spec in fleet.agents.values():
        spec.revision(ABLE)
    return fleet


def _load(directory: Path) -> dict[str, Any]:
    began = cpu_time()
    fleet = _loaded(directory)
    return {"seconds": cpu_time() - began, "agents": len(fleet.agents), "peak": peak_bytes()}


def _load_by_hand(directory: Path) -> dict[str, Any]:
    began = cpu_time()
    agents = by_hand.load_for_each(directory)
    return {"seconds": cpu_time() - began, "agents": agents, "peak": peak_bytes()}


def _events_by_hand(directory: Path) -> dict[str, Any]:
    trees = [dict(spec.body.properties) for spec in config.load(directory).agents.values()]
    began = cpu_time()
    by_hand.read_events(directory)
    for tree in trees:
        by_hand.check(tree)
    return {"seconds": cpu_time() - began, "agents": len(trees), "peak": peak_bytes()}


def _plan(directory: Path) -> dict[str, Any]:
    """Load and plan, as the command does, against a service whose list lies ready."""
    idle = peak_bytes()
    began = cpu_time()
    fleet = config.load(directory)
    loaded = cpu_time() - began
    session = _session(directory, fleet)
    plan = session.run(workflow.plan(workflow.Job(fleet, ACCOUNT.app_id), session.provider))
    seconds = cpu_time() - began
    assert isinstance(session.store, _Timed)
    return {
        "seconds": seconds,
        "load": loaded,
        "state": session.store.seconds,
        "agents": len(fleet.agents),
        "pending": sum(1 for each in plan.changes if not isinstance(each, Keep)),
        "peak": peak_bytes(),
        "idle": idle,
        "rendered": _rendered_bytes(fleet, plan) if "--size" in sys.argv else 0,
        "deepdiff": "deepdiff" in sys.modules,
    }


def _session(directory: Path, fleet: DesiredFleet) -> Session:
    """A session of the settled fleet, against a service whose list lies ready."""
    return Session(
        directory,
        fleet,
        Connection(AgoraProvider(ACCOUNT, UNHURRIED), ACCOUNT.app_id),
        lambda: CannedService(directory),
        _Timed(directory),
        SecretSources({}, directory),
        Output(),  # type: ignore[arg-type]  # reads only
    )


def _status(directory: Path) -> dict[str, Any]:
    """Load and find what `status` reports of an unchanged fleet."""
    fleet = config.load(directory)
    session = _session(directory, fleet)
    job = workflow.Job(fleet, ACCOUNT.app_id)
    _, report = session.run(status_steps(job, session.provider, conversation=False))
    return {"rows": len(report.rows)}


def _drift(directory: Path) -> dict[str, Any]:
    """Load and find the drift of an unchanged fleet."""
    fleet = config.load(directory)
    session = _session(directory, fleet)
    found = session.run(workflow.drift(workflow.Job(fleet, ACCOUNT.app_id), session.provider))
    return {"pending": len(found.plan.pending)}


def _watch(directory: Path) -> dict[str, Any]:
    """The later turns of a controller whose fleet is as it should be, the median; each makes the list anew."""
    fleet = config.load(directory)
    session = _session(directory, fleet)
    ports = behind_ports(session.store)
    lease = SeenLease(ports.lease)
    store = replace(ports, ledger=ReadIfChanged(ports.ledger, lease), lease=lease)
    driver = Driver(CannedService(directory), store=store, secrets=session.secrets, holder="benchmark")
    roll = Roll(interval=0.0)
    job = workflow.Job(fleet, ACCOUNT.app_id)
    gc.collect()
    gc.freeze()
    gc.enable()

    async def turns() -> dict[str, Any]:
        spent = []
        for _ in range(6):
            began = cpu_time()
            turned = await driver.run(turn(job, session.provider, roll))
            spent.append(cpu_time() - began)
        return {"seconds": median(spent[1:]), "result": turned.result, "peak": peak_bytes()}

    return asyncio.run(turns())


def _rendered_bytes(fleet: DesiredFleet, plan: Plan) -> int:
    """The fleet as JSON, each distinct prompt once."""
    prompts: set[str] = set()
    size = 0
    for spec in fleet.agents.values():
        text = json.dumps(spec.body.tree(), ensure_ascii=False)
        llm: Any = spec.body.properties.get("llm", {})
        for message in llm.get("system_messages", ()):
            prompt = message.get("content", "")
            size -= len(json.dumps(prompt, ensure_ascii=False)) if prompt in prompts else 0
            prompts.add(prompt)
        size += len(text.encode()) + len(str(spec.address)) + 4
    assert plan.fleet is fleet
    return size


def _post_by_hand(directory: Path) -> dict[str, Any]:
    """Post the same bodies with the bare client: one connection for each worker, nothing else."""
    port, parallelism = sys.argv[3:5]
    fleet = config.load(directory)
    bodies = [by_hand.join_body(spec) for spec in fleet.agents.values()]
    began = cpu_time()
    asyncio.run(
        by_hand.post(f"http://127.0.0.1:{port}/v2/projects/{ACCOUNT.app_id}/join", bodies, int(parallelism))
    )
    return {"agents": len(bodies), "cpu": cpu_time() - began}


TASKS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "load": _load,
    "load-by-hand": _load_by_hand,
    "events-by-hand": _events_by_hand,
    "plan": _plan,
    "status": _status,
    "drift": _drift,
    "watch": _watch,
    "post-by-hand": _post_by_hand,
}


def main() -> None:
    """Run one task, without the collector of garbage, as the command does."""
    gc.disable()
    print(json.dumps(TASKS[sys.argv[1]](Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
