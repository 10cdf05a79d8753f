"""Shows an apply while it runs: its plan, then its events, in the format of this run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from reconciler.apply.events import Event, Finished, Notice, Progress, Result, Started
from reconciler.cli.output import MaskedStream, Output
from reconciler.plan.build import Plan
from reconciler.report import progress
from reconciler.report.formats import TEXT, Format, RenderOptions, ReportKind
from reconciler.workflow import Planned


@contextmanager
def watcher(
    output: Output, form: Format, options: RenderOptions, *, show_plan: bool
) -> Iterator[Callable[[Any], None]]:
    """Return a context with a function that shows the events passed to it while the apply runs."""
    if ReportKind.EVENT in form.kinds:

        def print_event(event: Any) -> None:
            output.report(form, ReportKind.EVENT, event)
            _tell(output, event, output.note)

        yield print_event
        return
    if not (form.is_for_terminals and output.is_live):
        yield lambda event: _plain(output, event, form, options, show_plan=show_plan)
        return
    from rich.console import Console

    from reconciler.report.live import LiveProgress

    console = Console(file=MaskedStream(), no_color=not output.colour(err=True))
    live: LiveProgress | None = None
    with ExitStack() as stack:

        def handle(event: Any) -> None:
            nonlocal live
            if isinstance(event, Planned):
                _plain(output, event, form, options, show_plan=show_plan)
                if event.plan.acts:
                    live = stack.enter_context(LiveProgress(console, len(event.plan.acts)))
            elif live is not None:
                live.handle(event)
                _tell(output, event, output.note)
            else:
                _plain(output, event, form, options, show_plan=show_plan)

        yield handle


def log_watcher(output: Output) -> Callable[[Any], None]:
    """Return a function that prints events as log lines, independently of the terminal."""
    return lambda event: _plain(output, event, TEXT, RenderOptions(), show_plan=False)


def _plain(output: Output, event: Any, form: Format, options: RenderOptions, *, show_plan: bool) -> None:
    if isinstance(event, Planned):
        if show_plan and not output.quiet and not form.is_one_document:
            # At a terminal the refusal is printed to stderr; a comment has only this text.
            shown = without_refusals(event.plan) if form.is_for_terminals else event.plan
            output.report(form, ReportKind.PLAN, shown, options)
        return
    # One line per agent, when its change has ended. With --quiet only the ledger shows errors; a log has every step.
    # What is held has not changed: the ledger tells its reason, once for many agents.
    is_held = isinstance(event, Finished) and event.result is Result.HELD
    is_step = (is_held or isinstance(event, (Started, Progress))) and not output.verbose
    is_step = is_step and output.log_format is None
    _tell(output, event, output.note if output.quiet or is_step else output.say)


def _tell(output: Output, event: Any, say: Callable[..., None]) -> None:
    """Pass an event to `say` as a line and as log fields."""
    if say == output.note and output.log is None:
        return
    line = None if isinstance(event, Planned) else progress.line(event)
    if line is not None:
        fields = progress.event_tree(event)
        del fields["format_version"]
        say(output.pasteable(line), level=_level(event), fields=fields)


def _level(event: Event) -> str:
    if isinstance(event, Notice):
        return "warning"
    is_bad = isinstance(event, Finished) and event.result in (Result.FAILED, Result.UNKNOWN)
    return "error" if is_bad else "info"


def without_refusals(plan: Plan) -> Plan:
    """Return the plan without its refusals: in an apply, a refusal is the error that ends the run, printed there."""
    return replace(plan, refusals=())
