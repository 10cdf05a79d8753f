"""One comment for a fleet and environment, whatever the code host does, and nobody else's touched."""

from __future__ import annotations

from pathlib import Path

from tests.codehosts import github
from tests.codehosts.world import github_job, plan_of

OWNER = "hotel-desk.prod"
PERSON = "mallory"


def test_five_runs_leave_one_comment_that_says_what_the_last_one_said(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    for number in range(230):  # three pages of other people's
        world.comment(7, PERSON, f"{plan_of(OWNER)} quoted {number}")
    theirs = [dict(each) for each in world.comments]
    with github_job(tmp_path, world) as job:
        for number in range(5):
            job.write("plan.md", plan_of(OWNER, f"### Plan: {number} to join"))
            done = job.run("ci", "comment", "--plan", "plan.md")
            assert done.returncode == 0, done.stderr
    assert world.bodies(7) == [plan_of(OWNER, "### Plan: 4 to join")]
    assert world.comments[: len(theirs)] == theirs
