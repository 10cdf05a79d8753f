"""Runs a command on one running agent: finds it, makes one call, prints the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job, parse_address
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.errors import UsageError
from reconciler.instants import moment
from reconciler.ports import Steps
from reconciler.providers import Talker
from reconciler.report.formats import Format, ReportKind

# Instants by the keys of replies, with the key under which they are shown and how many there are in a second.
_INSTANTS = {
    "at": ("started", 1.0),  # the service tells the start of the agent, not of the call
    "started_at": ("started", 1.0),
    "began_at_ms": ("began_at", 1000.0),
    "ended_at_ms": ("ended_at", 1000.0),
}

Call = Callable[[Talker, str], Steps[Any]]


def talk(address: str, call: Call, fleet: FleetFlags, form: Format, output: Output) -> int:
    """Make one call on the agent of an address, and print what the service says."""
    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags())
        provider = session.provider
        if not isinstance(provider, Talker):
            raise UsageError(f"the service {session.fleet.service.kind} has no calls on one agent")

        def steps() -> Steps[Any]:
            agent, record = yield from workflow.agent_of(job, session.provider, where)
            if record is not None:
                provider.seat(agent.agent_id, where.channel, record.uid)
            return (yield from call(provider, agent.agent_id))

        reply = session.run(steps())
    output.report(form, ReportKind.TREE, _readable(asdict(reply)) if reply is not None else {})
    return 0


def _readable(tree: Any) -> Any:
    """A reply as people read it: without what the service left out, instants in UTC."""
    if isinstance(tree, (list, tuple)):
        return [_readable(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    shown: dict[str, Any] = {}
    for key, value in tree.items():
        if value is None or value == "":
            continue
        if key not in _INSTANTS:
            shown[key] = _readable(value)
        elif value:
            name, unit = _INSTANTS[key]
            shown[name] = moment(value / unit)
    return shown
