"""Runs a reading command on one fleet or on several; a fleet that fails does not stop the others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.options import FleetFlags, ManyFlags
from reconciler.cli.output import Output
from reconciler.cli.shown_errors import show_error
from reconciler.errors import ExitCode, InvalidConfig, ReconcilerError, Refused, UsageError
from reconciler.report.formats import Format, RenderOptions, ReportKind
from reconciler.report.several import JOINS, FleetPart, worst
from reconciler.values import dataclass

ALL = "all"


@dataclass(frozen=True, slots=True)
class FleetSeen:
    """The result for one fleet and environment: the value to report, a short verdict, and the exit code."""

    value: object
    verdict: str
    code: int = 0
    is_fine: bool = False
    options: RenderOptions = RenderOptions()


def are_several(fleets: ManyFlags) -> bool:
    """Return whether several fleets were asked for, by the command line alone: files change no output's shape."""
    names = (fleets.environments or "").strip()
    return len(fleets.directories) > 1 or names == ALL or "," in names


def only_one(fleets: ManyFlags, flag: str) -> None:
    """Raise `UsageError` if a flag for one fleet is used with several."""
    if are_several(fleets):
        raise UsageError(
            f"{flag} is for one fleet and one environment", hint="name one DIR and one environment"
        )


def report_each(
    fleets: ManyFlags, output: Output, form: Format, kind: ReportKind, look: Callable[[FleetFlags], FleetSeen]
) -> int:
    """Report every fleet and environment, and return the worst exit code."""
    if not are_several(fleets):
        (one,) = fleets_of(fleets)
        seen = _seen(look, one)
        output.report(form, kind, seen.value, replace(seen.options, root=root_of(one.directory)))
        return seen.code
    join = JOINS.get(form.name)
    if join is None:
        raise UsageError(
            f"--format {form.name} shows one fleet and one environment",
            hint=f"several are shown by {', '.join(JOINS)}",
        )
    _refuse_one_file(fleets)
    parts = [_part(each, output, form, kind, look) for each in fleets_of(fleets)]
    text = join(parts, colour=output.colour(), quiet=output.quiet, width=output.width)
    output.result(text, form)
    return worst(each.code for each in parts)


def _refuse_one_file(fleets: ManyFlags) -> None:
    """Raise `UsageError` if several fleets are to use one state file."""
    if fleets.state is None:
        return
    from reconciler.state.opening import LOCAL, is_in_git

    if fleets.state != LOCAL and not is_in_git(fleets.state):
        raise UsageError(
            f"--state {fleets.state} is a file, and holds the state of one fleet and one environment",
            hint="name one DIR and one environment; --state git:REMOTE has a state for each",
        )


def report_repeatedly(report: Callable[[], int], interval: float, output: Output) -> int:
    """Report every `interval` seconds until interrupted; errors are printed, except invalid files, which are raised."""
    while True:
        try:
            with output.redrawn():
                report()
        except InvalidConfig:
            raise
        except ReconcilerError as problem:
            show_error(problem)
        try:
            time.sleep(interval)
        except KeyboardInterrupt:  # how a watch ends
            return 128 + signal.SIGINT


def fleets_of(fleets: ManyFlags) -> Iterator[FleetFlags]:
    """Yield each fleet and environment asked for, once, in the order of the command line."""
    names = [*dict.fromkeys(each.strip() for each in (fleets.environments or "").split(","))]
    if fleets.environments is not None and not all(names):
        raise UsageError(f'-e wants names such as prod,test or all; not "{fleets.environments}"')
    if ALL in names and len(names) > 1:
        raise UsageError(
            f'-e {ALL} stands for every environment and goes with no other name; not "{fleets.environments}"'
        )
    for directory in dict.fromkeys(fleets.directories):
        wanted: list[str | None] = [*names] if fleets.environments is not None else [None]
        if names == [ALL]:
            from reconciler.cli.loading import declared_environments

            wanted = [*declared_environments(Path(directory))] or [None]
        for each in wanted:
            yield FleetFlags(directory, each, fleets.variables, fleets.state)


def _part(
    flags: FleetFlags,
    output: Output,
    form: Format,
    kind: ReportKind,
    look: Callable[[FleetFlags], FleetSeen],
) -> FleetPart:
    if output.log is not None:
        output.log.about = {"directory": flags.directory, "environment": flags.environment}
    try:
        seen = _seen(look, flags)
        options = replace(seen.options, root=root_of(flags.directory))
        text = output.rendered(form, kind, seen.value, options)
    except (click.ClickException, click.exceptions.Exit):
        raise  # a usage error or a signal ends the whole command
    except Exception as problem:  # noqa: BLE001  a bug of ours in one fleet must not stop the others
        message = problem.message if isinstance(problem, ReconcilerError) else type(problem).__name__
        failed = int(ExitCode.ERROR)
        part = FleetPart(flags.directory, flags.environment, f"error: {message}", failed, error=problem)
        output.say(f"== {part.label} ==", level="error")
        show_error(problem)
        return part

    def within(budget: int) -> str:
        return output.rendered(form, kind, seen.value, replace(options, budget=budget))

    return FleetPart(
        flags.directory, flags.environment, seen.verdict, seen.code, seen.is_fine, text, within=within
    )


# The variables that hold the checkout's directory; annotations and reports of a code host use paths relative to it.
_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


def root_of(directory: str) -> str:
    """Return a fleet's directory relative to the checkout of a code host's job, else as it was given."""
    path = Path(directory)
    for name in _CHECKOUTS:
        checkout = os.environ.get(name, "")
        if checkout and path.resolve().is_relative_to(Path(checkout).resolve()):
            found = path.resolve().relative_to(Path(checkout).resolve())
            return "" if found == Path() else found.as_posix()
    return "" if path.is_absolute() or path == Path() else path.as_posix()


def _seen(look: Callable[[FleetFlags], FleetSeen], flags: FleetFlags) -> FleetSeen:
    try:
        return look(flags)
    except Refused as problem:
        # Published recipes treat every exit code except 0, 1 and 2 as success, so 5 (refused) becomes 1.
        raise ReconcilerError(problem.message, hint=problem.hint) from problem
