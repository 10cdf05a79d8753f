"""`reconciler ci`: comments, issues, reviews and fleets in the jobs of GitHub and GitLab."""

from __future__ import annotations

import click

from reconciler.cli.ci import approved, comment, discover, issue


@click.group("ci", invoke_without_command=False)
def command() -> None:
    """Comment plans, keep issues of drift, and find reviews, in the jobs of GitHub and GitLab.

    Everything comes from the runner's own variables: GITHUB_REPOSITORY, GITHUB_TOKEN, GITHUB_API_URL and
    GITHUB_EVENT_PATH, or CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID and GITLAB_TOKEN.

    \b
    reconciler ci comment --plan plan.md                       one comment for each fleet and environment
    reconciler ci issue --report drift.md --exit-code 2        one issue for each
    reconciler ci approved hotels -e prod                      the token of what was reviewed
    reconciler ci discover --changed-since origin/main         which fleets a change touches
    """


for each in (comment, issue, approved, discover):
    command.add_command(each.command)
