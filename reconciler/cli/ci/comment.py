"""`reconciler ci comment`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output

pull_request_option = click.option(
    "--pull-request",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    help="Which one; else that of this job, or the one that its commit belongs to.",
)


@click.command("comment", short_help="Comment a plan or an apply on a pull request.")
@click.option("--plan", metavar="FILE", type=click.Path(dir_okay=False), help="The Markdown of `plan`.")
@click.option("--applied", metavar="FILE", type=click.Path(dir_okay=False), help="The Markdown of `apply`.")
@pull_request_option
@options.output_options
def command(plan: str | None, applied: str | None, number: int | None, output: Output) -> int:
    """Let a pull request have one comment for each fleet and environment in FILE, written anew by each run.

    It is found by the first line of its report and by its author. What others wrote is never touched.

    \b
    reconciler plan -e all --format markdown > plan.md
    reconciler ci comment --plan plan.md
    reconciler ci comment --plan plan.md --pull-request 12
    reconciler ci comment --applied apply.md         what came of an apply, on the merged pull request
    """
    if (plan is None) == (applied is None):
        raise click.UsageError("say what to post: --plan FILE, or --applied FILE")
    from reconciler.cli.ci.commenting import post_comments

    return post_comments(plan or applied or "", number, output, is_applied=applied is not None)
