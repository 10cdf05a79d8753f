"""The options for a plan's selection, policy and comparison. Importing this needs click alone."""

from __future__ import annotations

import click

from reconciler.cli import completing
from reconciler.cli.options import Pair, gathered, stacked
from reconciler.values import dataclass


class Allowance(Pair):
    """A `KEY=VALUE` of `--allow`, or the word `unreviewed`, which takes no value."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        from reconciler.cli.allowances import UNREVIEWED

        return (UNREVIEWED, "") if value == UNREVIEWED else super().convert(value, param, ctx)


selection_options = stacked(
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="GLOB",
        shell_complete=completing.addresses,
        help="Only addresses that match; repeatable.",
    ),
    click.option(
        "--exclude",
        "excludes",
        multiple=True,
        metavar="GLOB",
        shell_complete=completing.addresses,
        help="Not the addresses that match; repeatable.",
    ),
    click.option(
        "--replace",
        "replaces",
        multiple=True,
        metavar="GLOB",
        shell_complete=completing.addresses,
        help="Replace what matches in any case.",
    ),
)

freeze_option = click.option(
    "--override-freeze",
    metavar="REASON",
    help="Do what `freeze` holds, for once; the reason is recorded.",
)

policy_options = stacked(
    click.option(
        "--policy-from",
        metavar="REV",
        envvar="RECONCILER_POLICY_FROM",
        help="Under the team's policy, .reconciler/policy.yaml of that commit: the base branch, not the change itself.",
    ),
    click.option(
        "--allow",
        "allows",
        type=Allowance(),
        multiple=True,
        metavar="LIMIT=N",
        help="Raise a limit for once: hang_ups=5, leave=5, replace=3, join=40, quota=30, usd_per_day=500, secret-host=HOST, beside=ADDRESS; and unreviewed, of `apply --approved`.",
    ),
    click.option(
        "--only",
        metavar="KINDS",
        shell_complete=completing.kinds,
        help="Do these kinds of change and hold the rest: renew,rotate,join.",
    ),
    click.option(
        "--prune-unrecorded",
        is_flag=True,
        help="Leave agents with our mark that neither files nor state know.",
    ),
    freeze_option,
)


@dataclass(frozen=True, slots=True)
class Against:
    """The flags for a plan without the service: its base of comparison, and the reviewed plan for `--check`."""

    offline: bool = False
    base: str | None = None
    check: str | None = None


against_options = stacked(
    click.option("--offline", is_flag=True, help="Compare with the state alone: no network, no credentials."),
    click.option(
        "--base", metavar="REF", help="Compare with the files of a commit: no network, no credentials."
    ),
    click.option(
        "--check",
        metavar="FILE|TOKEN",
        help="Compare with a plan that was reviewed: 0 the same changes, 2 others, which are shown.",
    ),
    gathered("against", ("offline", "base", "check"), Against),
)
