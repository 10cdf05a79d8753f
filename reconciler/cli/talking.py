"""What the commands on one running agent share: find it, make one call, print the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job, parse_address
from reconciler.cli.output import Output
from reconciler.ports import Steps
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.report import documents

Call = Callable[[AgoraProvider, str], Steps[Any]]


def talk(address: str, call: Call, flags: dict[str, Any]) -> int:
    """Make one call on the agent of an address, and print what the service says.

    `flags` are those of `options.talking_options`.
    """
    output = Output.taken_from(flags)
    where = parse_address(address)
    with wiring.open_session(flags["directory"], flags["environment"], flags["variables"], output) as session:
        job = make_job(session, Flags())

        def steps() -> Steps[Any]:
            agent, record = yield from workflow.agent_of(job, session.provider, where)
            if record is not None:
                session.provider.seat(agent.agent_id, where.channel, record.uid)
            return (yield from call(session.provider, agent.agent_id))

        reply = session.run(steps())
    tree = asdict(reply) if reply is not None else {}
    output.result(documents.to_json(tree) if flags["style"] == "json" else documents.to_yaml(tree))
    return 0
