"""`reconciler destroy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, plan_options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("destroy")
@options.fleet_options
@options.format_option(ReportKind.LEDGER)
@click.option("--auto-approve", is_flag=True, help="Do not ask for the fleet's name.")
@plan_options.freeze_option
@options.parallelism_option
@options.rate_option
@options.lock_option
@options.grace_option
@options.output_options
def command(fleet: options.FleetFlags, output: Output, form: Format, auto_approve: bool, **flags: Any) -> int:
    """End every agent of the fleet, protected ones excepted. The files stay as they are.

    \b
    reconciler destroy demo                      shows the plan, asks for the fleet's name
    reconciler destroy demo --auto-approve       without a terminal
    """
    from reconciler.cli.applying import Consent, run_apply
    from reconciler.cli.jobs import Flags

    return run_apply(fleet, Flags(**flags), Consent(auto_approve), output, form, destroying=True)
