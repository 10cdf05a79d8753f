"""The commands for the jobs of GitHub and GitLab: the group `ci` with comments, issues, reviews and fleets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options, parameters

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.group("ci")
def ci() -> None:
    """Comment plans, keep issues of drift, and find reviews, in the jobs of GitHub and GitLab.

    Everything comes from the runner's own variables: GITHUB_REPOSITORY, GITHUB_TOKEN, GITHUB_API_URL and
    GITHUB_EVENT_PATH, or CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID and GITLAB_TOKEN.

    \b
    reconciler ci comment --plan plan.md                       one comment for each fleet and environment
    reconciler ci issue --report drift.md --exit-code 2        one issue for each
    reconciler ci approved hotels -e prod                      the token of what was reviewed
    reconciler ci discover --changed-since origin/main         which fleets a change touches
    """


@ci.command("comment", short_help="Comment a plan or an apply on a pull request.")
@click.option("--plan", metavar="FILE", type=click.Path(dir_okay=False), help="The Markdown of `plan`.")
@click.option("--applied", metavar="FILE", type=click.Path(dir_okay=False), help="The Markdown of `apply`.")
@click.option(
    "--pull-request",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    help="Which one; else that of this job, or the one that its commit belongs to.",
)
@options.output_options
def comment(plan: str | None, applied: str | None, number: int | None, output: Output) -> None:
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
    from reconciler.cli.ci.posting import post_comments

    post_comments(plan or applied or "", number, output, is_applied=applied is not None)


@ci.command("issue", short_help="Keep one issue for each fleet that has drifted.")
@click.option(
    "--report",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The Markdown of `drift`; after a check that failed it may be empty or missing.",
)
@click.option(
    "--exit-code",
    "code",
    required=True,
    type=click.IntRange(0, 255),
    metavar="N",
    help="With what `drift` ended: 0 closes the issue, 2 opens it, anything else says in it that the check failed.",
)
@click.option(
    "--fleet",
    "owner",
    metavar="FLEET.ENV",
    help="Whose issue it is, where the report does not say it: hotel-desk.prod, or hotel-desk.- without environments.",
)
@options.output_options
def issue(report: str, code: int, owner: str | None, output: Output) -> None:
    """Let the repository have one issue for each fleet and environment that has drifted.

    It is opened, written anew, closed and opened again; it says when the check last ran.

    \b
    reconciler drift -e prod --format markdown > drift.md; code=$?
    reconciler ci issue --report drift.md --exit-code $code --fleet hotel-desk.prod
    """
    from reconciler.cli.ci.posting import keep_issues

    keep_issues(report, code, owner, output)


@ci.command("approved", short_help="Print the token of the plan that was reviewed.")
@options.fleet_options
@click.option("--commit", metavar="SHA", help="The commit on the default branch; else that of this job.")
@options.output_options
def approved(fleet: options.FleetFlags, commit: str | None, output: Output) -> None:
    """Print the token of the plan that was reviewed in the pull request which this commit has merged.

    It is printed where the files here are those that were reviewed, by their Git tree; else this exits 1 and says why.

    \b
    token=$(reconciler ci approved hotels -e prod)
    reconciler apply hotels -e prod --approved "$token" --auto-approve
    """
    from reconciler.cli.ci.approving import reviewed

    output.result(str(reviewed(fleet, commit, output)))


@ci.command("discover", short_help="Print the fleets that a change touches.")
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=parameters.name)
@click.option(
    "--changed-since", "revision", metavar="REV", help="Only what differs from this commit; else every fleet."
)
@options.output_options
def discover(directories: tuple[str, ...], revision: str | None, output: Output) -> None:
    """Print the fleets and environments below DIR that a change touches, as a matrix in JSON on one line.

    Each has `directory`, `fleet` and `environment` (empty where a fleet has none), and `name`, as markers write it.
    Where nothing is touched it is {"include":[]}, which a workflow has to test: GitHub takes no empty matrix.

    \b
    reconciler ci discover --changed-since origin/main
    reconciler ci discover --changed-since "$BASE" fleets
    """
    from reconciler.cli.ci.discovering import matrix

    output.result(matrix(directories or (".",), revision, output))
