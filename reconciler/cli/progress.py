"""The watcher of an apply: shows the plan, then what happens, in the way that this run prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from reconciler.cli.output import MaskedStream, Output
from reconciler.plan.build import Plan
from reconciler.report import documents, json_plan, markdown, progress, text
from reconciler.workflow import Planned


@contextmanager
def watcher(output: Output, style: str, *, show_plan: bool) -> Iterator[Callable[[Any], None]]:
    """A function to hand events to, for as long as the apply runs."""
    if style == "json":
        yield lambda event: output.result(_json_line(event))
        return
    if style == "markdown" or not output.is_live:
        yield lambda event: _plain(output, event, style, show_plan=show_plan)
        return
    from rich.console import Console

    from reconciler.report.live import LiveProgress

    console = Console(file=MaskedStream(), no_color=not output.colour(err=True))
    live: LiveProgress | None = None
    with ExitStack() as stack:

        def handle(event: Any) -> None:
            nonlocal live
            if isinstance(event, Planned):
                _plain(output, event, style, show_plan=show_plan)
                if event.plan.acts:
                    live = stack.enter_context(LiveProgress(console, len(event.plan.acts)))
            elif live is not None:
                live.handle(event)
            else:
                _plain(output, event, style, show_plan=show_plan)

        yield handle


def _plain(output: Output, event: Any, style: str, *, show_plan: bool) -> None:
    if isinstance(event, Planned):
        if show_plan and style == "markdown":
            output.result(markdown.render_plan(event.plan))
        elif show_plan:
            output.result(text.render_plan(without_refusals(event.plan), colour=output.colour()))
        return
    line = progress.line(event)
    if line is not None:
        output.say(line)


def without_refusals(plan: Plan) -> Plan:
    """The plan as an apply shows it: a limit that refuses it is the error that ends the run, and said there."""
    return replace(plan, refusals=())


def _json_line(event: Any) -> str:
    if isinstance(event, Planned):
        head = {"format_version": progress.FORMAT_VERSION, "type": "planned"}
        return documents.as_json_line({**head, "plan": json_plan.plan_tree(event.plan)})
    return progress.json_line(event)
