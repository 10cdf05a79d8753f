"""The commands on one running agent: finds the agent, makes one call, prints the reply; and the archive of ended ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job, parse_address
from reconciler.cli.loading import load_fleet
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.errors import UsageError
from reconciler.instants import moment
from reconciler.model.address import Address
from reconciler.model.observed import ObservedAgent
from reconciler.model.transcript import ArchivedSession, Line, Transcript, new_lines
from reconciler.ports import Emit, Historian, Now, Sleep, Steps, Stopping
from reconciler.providers import RunProvider, Talker
from reconciler.report.escape import visible
from reconciler.report.formats import Format, RenderOptions, ReportKind
from reconciler.state.archive import TranscriptFiles
from reconciler.workflow import Job

# Reply keys that hold instants, each with the key shown instead and its units per second.
_INSTANTS = {
    "at": ("started", 1.0),  # the service returns the start of the agent, not of the call
    "started_at": ("started", 1.0),
    "began_at_ms": ("began_at", 1000.0),
    "ended_at_ms": ("ended_at", 1000.0),
}

Call = Callable[[Talker, str], Steps[Any]]


def talk(address: str, call: Call, fleet: FleetFlags, form: Format, output: Output) -> None:
    """Make one call on the agent of an address, and print the reply below its address and id."""
    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags())
        provider = session.provider
        if not isinstance(provider, Talker):
            raise UsageError(f"the service {session.fleet.service.kind} has no calls on one agent")

        def steps() -> Steps[tuple[str, Any]]:
            agent = yield from _seated(job, session.provider, where)
            return agent.agent_id, (yield from call(provider, agent.agent_id))

        agent_id, reply = session.run(steps())
    if reply is None:
        raise UsageError(
            f"agent {agent_id} of {where} has ended meanwhile", hint="`reconciler status` lists what runs"
        )
    output.report(
        form, ReportKind.TREE, {"address": str(where), "agent_id": agent_id, **_readable(asdict(reply))}
    )


def _seated(job: Job, provider: RunProvider, address: Address) -> Steps[ObservedAgent]:
    """Return the running agent of an address, for whose channel the provider has what a token needs."""
    agent, record = yield from workflow.agent_of(job, provider, address)
    if record is not None and isinstance(provider, Historian):
        provider.seat(agent.agent_id, address.channel, record.uid)
    return agent


def _readable(tree: Any) -> Any:
    """Return a reply without empty values and with instants in UTC."""
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


# Seconds between two reads of `--follow`.
_PAUSE = 2.0


def follow(address: str, fleet: FleetFlags, form: Format, output: Output) -> None:
    """Print new lines of a conversation until the agent has ended or the run is stopped."""
    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags())
        provider = session.provider
        if not isinstance(provider, Historian):
            raise UsageError(f"the service {session.fleet.service.kind} tells no history")

        def steps() -> Steps[None]:
            agent = yield from _seated(job, session.provider, where)
            of = ArchivedSession(job.fleet.owner, where, agent.agent_id, agent.name or "", agent.started_at)
            told: list[Line] = []
            while not (yield Stopping()):
                said = yield from provider.history(agent.agent_id)
                if said is None:
                    return
                now: float = yield Now()
                fresh = list(new_lines(told, Transcript(of, now, said.contents)))
                told += fresh
                for each in fresh:
                    yield Emit(each)
                yield Sleep(_PAUSE)

        def show(event: Any) -> None:
            if isinstance(event, dict) and event.get("type") != "head":
                output.result(output.rendered(form, ReportKind.TREE, event, RenderOptions()))

        session.run(steps(), on_event=show, is_watch=True)
    output.say(f"the agent of {visible(str(where))} does not run any more")


# --- the archive


def show_archived(
    address: str | None, agent_id: str | None, fleet: FleetFlags, form: Format, output: Output
) -> None:
    """Print the archived sessions of an address, or of one agent, without calling the service."""
    declared = load_fleet(fleet, output)
    if declared.archive is None:
        raise UsageError(
            "this fleet keeps no transcripts",
            hint="`archive: {directory: transcripts}` in fleet.yaml keeps those of agents that end from then on",
        )
    files = TranscriptFiles(Path(fleet.directory), declared.archive.directory)
    found: Sequence[str]
    if agent_id is not None:
        found = [each for each in (files.session(agent_id),) if each is not None]
    else:
        found = files.sessions(parse_address(address or ""))
    if not found:
        raise UsageError(
            f"the archive {files.place} has no session of {agent_id or address}",
            hint="a session is archived before its agent is told to leave, and by `watch` while it runs",
        )
    sessions = [_session_tree(files.read(each)) for each in found]
    output.report(form, ReportKind.TREE, sessions[0] if agent_id is not None else {"sessions": sessions})


def _session_tree(lines: Iterable[Line]) -> dict[str, Any]:
    """Return an archived session as a tree: its head, the lines said, its turns and its end."""
    rows = list(lines)
    tree: dict[str, Any] = {
        key: value for each in _of(rows, "head") for key, value in each.items() if value is not None
    }
    tree["contents"] = [dict(each) for each in _of(rows, "utterance", "gap")]
    tree["turns"] = list(_of(rows, "turn"))
    for each in _of(rows, "end"):
        tree |= {"ended": each.get("at"), "cause": each.get("cause")}
    return tree


def _of(rows: Iterable[Line], *types: str) -> Iterator[Line]:
    for each in rows:
        if each.get("type") in types:
            yield {key: value for key, value in each.items() if key != "type" or len(types) > 1}
