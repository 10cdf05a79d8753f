"""The commands that show and make changes: `plan`, `apply` and `destroy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, parameters
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("plan")
@options.many_fleets_options
@options.format_option(ReportKind.PLAN)
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan for `apply --plan FILE`."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are present.")
@options.full_option
@click.option("--explain", is_flag=True, help="Show the steps of each change.")
@click.option(
    "--check-secrets", is_flag=True, help="Compare the values behind references (trusted runs only)."
)
@options.against_options
@options.selection_options
@options.policy_options
@options.parallelism_option
@options.output_options
def plan(
    fleets: options.ManyFlags,
    output: Output,
    form: Format,
    out: str | None,
    detailed_exitcode: bool,
    explain: bool,
    full: bool,
    check_secrets: bool,
    against: options.Against,
    **flags: Any,
) -> int:
    """Show what apply would do, and why. Reads the files, the state and the service; writes nothing.

    \b
    reconciler plan                              the fleet in this directory
    reconciler plan hotels -e prod               another directory, one environment
    reconciler plan fleets/* -e all -q           every fleet and environment, in a few lines each
    reconciler plan --full                       each change by itself, also copies
    reconciler plan --format markdown            for a pull request; github, sarif, junit, codequality, terraform
    reconciler plan --format html > plan.html    one page, for a browser without a network
    reconciler plan --detailed-exitcode          0 nothing to do, 1 error, 2 changes
    reconciler plan --base origin/main           what this branch changes; works in a fork's pull request
    reconciler plan --check TOKEN --offline      in a merge queue: 0 still what was reviewed, 2 not any more
    reconciler plan --target 'paris-*/*'         some addresses only
    reconciler plan --horizon 12h                also what would end before the next run, in 12 hours
    """
    from reconciler.cli import several_fleets
    from reconciler.cli.jobs import Flags
    from reconciler.cli.planning import Planning
    from reconciler.report.sentences import short_counts

    planning = Planning(output, Flags(**flags), against, out=out, check_secrets=check_secrets)
    if out is not None:
        several_fleets.only_one(fleets, "--out")
    if against.check is not None:
        from reconciler.cli.checking import run_check

        return run_check(against.check, fleets, planning, form)
    shown = RenderOptions(explain=explain, full=full)

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        plan = planning.plan_of(fleet)
        if form.is_numbers and plan.ended:
            from reconciler.report.sentences import conversations

            output.say(f"{plan.owner}: {conversations(plan)}")
        code = 2 if detailed_exitcode and plan.pending else 0
        return several_fleets.FleetSeen(
            plan, short_counts(plan), code, is_fine=planning.is_fine(plan), options=shown
        )

    return several_fleets.report_each(fleets, output, form, ReportKind.PLAN, look)


@click.command("apply")
@options.fleet_options
@options.format_option(ReportKind.LEDGER)
@options.full_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Apply this plan or refuse.",
)
@click.option(
    "--approved",
    "token",
    metavar="TOKEN",
    help="Apply what was reviewed in a pull request, and hold what was not; the plan there shows the token.",
)
@click.option(
    "--wait",
    type=parameters.duration,
    default="2m",
    show_default=True,
    help="How long agents may take to run.",
)
@options.selection_options
@options.policy_options
@options.calling_options
@options.output_options
def apply(
    fleet: options.FleetFlags,
    output: Output,
    form: Format,
    full: bool,
    auto_approve: bool,
    plan_file: str | None,
    token: str | None,
    **flags: Any,
) -> int:
    """Plan, show, ask, and do it. Interrupted at any instant, the next apply goes on where this one stopped.

    \b
    reconciler apply                             shows the plan and asks
    reconciler apply --auto-approve              without a terminal: CI, cron
    reconciler apply --plan reviewed.plan        exactly what was reviewed, or exit 3
    reconciler apply --approved TOKEN            what was reviewed; whatever else hangs up is held
    reconciler apply --format html > end.html    what came of it, as a page
    reconciler apply --only renew,rotate,join    keep standing agents alive, hold the rest
    reconciler apply --horizon 25h               once a day: also what would end before the next day's run
    reconciler apply --allow leave=5             raise a limit for once
    """
    from reconciler.cli.applying import Consent, run_apply
    from reconciler.cli.jobs import Flags

    if plan_file is not None and token is not None:
        raise click.UsageError("--plan and --approved exclude each other")
    consent = Consent(auto_approve, plan_file, token)
    return run_apply(fleet, Flags(**flags), consent, output, form, RenderOptions(full=full))


@click.command("destroy")
@options.fleet_options
@options.format_option(ReportKind.LEDGER)
@click.option("--auto-approve", is_flag=True, help="Do not ask for the fleet's name.")
@options.freeze_option
@options.calling_options
@options.output_options
def destroy(fleet: options.FleetFlags, output: Output, form: Format, auto_approve: bool, **flags: Any) -> int:
    """End every agent of the fleet, protected ones excepted. The files stay as they are.

    \b
    reconciler destroy demo                      shows the plan, asks for the fleet's name
    reconciler destroy demo --auto-approve       without a terminal
    """
    from reconciler.cli.applying import Consent, run_apply
    from reconciler.cli.jobs import Flags

    return run_apply(fleet, Flags(**flags), Consent(auto_approve), output, form, destroying=True)
