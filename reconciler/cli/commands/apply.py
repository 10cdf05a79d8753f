"""`reconciler apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, plan_options
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


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
    type=options.Duration(),
    default="2m",
    show_default=True,
    help="How long agents may take to run.",
)
@plan_options.selection_options
@plan_options.policy_options
@options.parallelism_option
@options.rate_option
@options.lock_option
@options.grace_option
@options.output_options
def command(
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
    reconciler apply --allow leave=5             raise a limit for once
    """
    from reconciler.cli.applying import Consent, run_apply
    from reconciler.cli.jobs import Flags

    if plan_file is not None and token is not None:
        raise click.UsageError("--plan and --approved exclude each other")
    consent = Consent(auto_approve, plan_file, token)
    return run_apply(fleet, Flags(**flags), consent, output, form, RenderOptions(full=full))
