"""The commands that look at what runs and change nothing: `doctor`, `drift`, `status` and `show`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, parameters
from reconciler.cli.parameters import AddressCommand
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output

# The seconds between two looks of `status --watch`.
_INTERVAL = 5.0


@click.command("doctor")
@options.fleet_options
@options.format_option(ReportKind.CHECKUP)
@options.output_options
def doctor(fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """Check all that an apply needs, before it: files, credentials, clock, App ID, state, secrets, hosts, quota.

    Every finding in one run, each with what to do; exit 1 where there is one. Lists and queries agents, reads the
    values behind references, and changes nothing.

    \b
    reconciler doctor
    reconciler doctor hotels -e prod
    reconciler doctor hotels -e prod --format json      for a monitor
    """
    from reconciler.cli.examining import examine
    from reconciler.cli.streams import is_terminal
    from reconciler.config import read_source
    from reconciler.errors import ExitCode

    found = examine(fleet, output)
    reader = partial(read_source, Path(fleet.directory))
    shown = RenderOptions(read_source=reader, wraps=is_terminal(sys.stdout))
    output.report(form, ReportKind.CHECKUP, found, shown)
    return ExitCode.ERROR if found.findings else ExitCode.DONE


@click.command("drift")
@options.many_fleets_options
@options.format_option(ReportKind.DRIFT)
@options.full_option
@options.horizon_option
@options.parallelism_option
@options.output_options
def drift(fleets: options.ManyFlags, output: Output, form: Format, full: bool, **flags: Any) -> int:
    """Show what changed behind our back, apart from what the files changed. Exits 0, 1 or 2.

    \b
    reconciler drift my-fleet -e prod            0 no drift, 2 drift, 1 it cannot be told
    reconciler drift my-fleet --full             each change by itself, also copies
    reconciler drift my-fleet --format json      for a machine
    reconciler drift my-fleet --format junit     each address that drifted as a test that failed
    reconciler drift fleets/* -e all -q          for cron: what drifted, and one line
    reconciler drift my-fleet --horizon 12h      also what ends within 12 hours
    """
    from reconciler import workflow
    from reconciler.cli import several_fleets, wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.report.sentences import short_counts

    chosen = Flags(**flags)

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        with wiring.open_session(fleet, output) as session:
            found = session.run(workflow.drift(make_job(session, chosen), session.provider))
        drifted = bool(found.plan.pending)
        verdict = f"drift: {short_counts(found.plan)}" if drifted else "no drift"
        return several_fleets.FleetSeen(
            found, verdict, 2 if drifted else 0, not drifted, RenderOptions(full=full)
        )

    return several_fleets.report_each(fleets, output, form, ReportKind.DRIFT, look)


@click.command("status")
@options.many_fleets_options
@options.format_option(ReportKind.STATUS)
@click.option(
    "--all", "everything", is_flag=True, help="All that runs under the App ID; works before there is a fleet."
)
@options.area_option
@click.option("--watch", is_flag=True, help="Look again every few seconds until stopped.")
@click.option("--interval", type=parameters.duration, help=f"With --watch: how often ({_INTERVAL:g}s).")
@click.option("--conversation", is_flag=True, help="Show turns, silence, and what was said last.")
@options.parallelism_option
@options.output_options
def status(
    fleets: options.ManyFlags,
    output: Output,
    form: Format,
    everything: bool,
    area: str | None,
    watch: bool,
    interval: float | None,
    conversation: bool,
    parallelism: int,
) -> int:
    """List what runs: address, status, age, time left of 72 h, token, sync, unmanaged agents, cost.

    \b
    reconciler status
    reconciler status -e prod --watch
    reconciler status hotels support -e prod,test
    reconciler status --conversation             two more reads an agent
    reconciler status --all                      what runs already, with the line that adopts each
    """
    from reconciler.cli import several_fleets, wiring

    if everything:
        from reconciler.cli.surveying import report_all

        several_fleets.only_one(fleets, "--all")
        if watch:
            raise click.UsageError("--watch is for the agents of a fleet, and --all looks once")
        one = next(several_fleets.fleets_of(fleets))
        output.report(form, ReportKind.SURVEY, report_all(one, area, output, parallelism))
        return 0
    if area is not None:
        raise click.UsageError("--area is for --all, where there is no fleet to say it")
    if interval is not None and not watch:
        raise click.UsageError("--interval is for --watch, which looks again; without it, status looks once")
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.cli.surveying import status_steps
    from reconciler.report.status import counts

    chosen = Flags(parallelism=parallelism)

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        with wiring.open_session(fleet, output) as session:
            steps = status_steps(make_job(session, chosen), session.provider, conversation=conversation)
            plan, found = session.run(steps, is_watch=watch)
        return several_fleets.FleetSeen(found, counts(found), is_fine=not plan.pending)

    def report() -> int:
        return several_fleets.report_each(fleets, output, form, ReportKind.STATUS, look)

    return several_fleets.report_repeatedly(report, interval or _INTERVAL, output) if watch else report()


@click.command("show", cls=AddressCommand)
@click.argument("address", metavar="ADDRESS|FILE", shell_complete=parameters.addresses)
@options.fleet_options_with_c
@options.format_option(ReportKind.TREE)
@options.output_options
def show(address: str, fleet: options.FleetFlags, output: Output, form: Format) -> None:
    """Show what files, state and service say of one agent, and its last changes; or what a saved plan would do.

    A saved plan needs no credentials and no fleet. An address that begins with "-" comes after "--".

    \b
    reconciler show lobby/greeter
    reconciler show lobby/greeter -e prod --format json
    reconciler show reviewed.plan                what `plan --out reviewed.plan` has saved
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address
    from reconciler.cli.plan_files import is_plan_file, plan_tree, read_plan
    from reconciler.report.records import address_tree

    if is_plan_file(address):
        output.report(form, ReportKind.TREE, plan_tree(read_plan(address)))
        return
    where = parse_address(address, or_file=True)
    with wiring.open_session(fleet, output) as session:
        found = session.run(workflow.address_report(make_job(session, Flags()), session.provider, where))
        tree = address_tree(found, session.store.history(where, 10))
    output.report(form, ReportKind.TREE, tree)
