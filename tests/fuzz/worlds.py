"""Worlds to try things in: others' agents, runs that die, and everything that shows what is and what was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from reconciler import workflow
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import HttpRequest
from reconciler.report import documents, json_plan, markdown, status, text
from reconciler.report.formats import RenderOptions
from reconciler.report.records import address_tree
from tests.fakes.virtual import Virtual


class _Dies(BaseException):
    """The process ends here."""


def shared_with(virtual: Virtual, *fleets: DesiredFleet) -> None:
    """Let agents of these fleets run on the same service, of which the state knows nothing."""
    for each in fleets:
        stranger = Virtual()
        stranger.service = virtual.service
        stranger.run(workflow.apply(stranger.job(each), stranger.provider()))


def interrupted(virtual: Virtual, at: int, act: Callable[[], object]) -> None:
    """Do something, in a process that dies before its mutating call of that number."""

    def cut(request: HttpRequest) -> None:
        if request.method == "POST" and sum(virtual.sent.values()) + 1 == at:
            raise _Dies

    virtual.sent.clear()
    virtual.on_request = cut
    with suppress(_Dies):
        act()
    virtual.on_request = None
    virtual.state.release()
    virtual.sent.clear()


def views(virtual: Virtual, job: workflow.Job) -> Iterator[Callable[[], object]]:
    """Each shows one thing, in every form; what it raises is for the caller to judge."""

    def plan() -> None:
        made = virtual.run(workflow.plan(job, virtual.provider()))
        text.render_plan(made, RenderOptions(colour=True, explain=True))
        markdown.render_plan(made)
        "".join(json_plan.render_json(made))

    def overall() -> None:
        provider = virtual.provider()
        found = status.status_of(*virtual.run(workflow.status(job, provider)), provider.capabilities)
        status.render_text(found)
        documents.to_json(status.tree(found))

    def each() -> None:
        for address in sorted({*virtual.state.read().records, *job.fleet.agents})[:3]:
            found = virtual.run(workflow.address_report(job, virtual.provider(), address))
            documents.to_yaml(address_tree(found, virtual.state.history(address, 10)))

    yield from (plan, overall, each)
