"""One issue for a fleet and environment that has drifted: opened, updated, closed, opened again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.codehosts import github, gitlab
from tests.codehosts.stand_in import Fault
from tests.codehosts.world import Done, Job, drift_of, github_job, gitlab_job

OWNER = "hotel-desk.prod"
LAST = re.compile(
    r"\n\n_Last checked (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC), by \[this job\]\(https://\S+\)\._\n$"
)


def check(job: Job, code: int, text: str | None, *more: str) -> Done:
    report = job.directory / "drift.md"
    report.unlink(missing_ok=True)
    if text is not None:
        report.write_text(text, encoding="utf-8")
    return job.run("ci", "issue", "--report", "drift.md", "--exit-code", code, *more)


def said(job: Job, code: int, text: str | None, *more: str) -> str:
    done = check(job, code, text, *more)
    assert done.returncode == 0, done.stderr
    return done.stderr


def without_heartbeat(body: str) -> str:
    assert LAST.search(body), body
    return LAST.sub("\n", body)


def drift(number: int) -> str:
    return drift_of(OWNER, f"### Drift: {number} addresses are not as last applied")


NONE = drift_of(OWNER, "### No drift.")


def ours(world: github.GitHubWorld) -> list[dict[str, Any]]:
    return [each for each in world.issues if each["user"]["login"] == github.BOT]


def test_the_life_of_an_issue(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    world.issue("mallory", drift(9))  # quotes the marker
    theirs = dict(world.issues[0])
    with github_job(tmp_path, world) as job:
        assert "issue not needed" in said(job, 0, NONE)
        assert "issue not needed" in said(job, 1, drift(1))
        assert ours(world) == []
        assert "issue posted" in said(job, 2, drift(1))
        (issue,) = ours(world)
        assert (issue["state"], issue["title"]) == ("open", "Voice agents have drifted: hotel-desk.prod")
        assert without_heartbeat(issue["body"]) == drift(1)
        said(job, 2, drift(2))
        assert without_heartbeat(issue["body"]) == drift(2)
        assert "issue closed" in said(job, 0, NONE)
        assert (issue["state"], without_heartbeat(issue["body"])) == ("closed", NONE)
        said(job, 0, NONE)
        assert issue["state"] == "closed"
        assert "issue reopened" in said(job, 2, drift(3))
        assert (issue["state"], without_heartbeat(issue["body"])) == ("open", drift(3))
    assert len(ours(world)) == 1
    assert world.issues[0] == theirs


def test_a_check_that_failed_leaves_the_issue_open_and_says_so_once(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    failed = "> **The check failed: nobody knows whether this is still so.**"
    with github_job(tmp_path, world) as job:
        said(job, 2, drift(2))
        (issue,) = world.issues
        for code, report in ((1, ""), (143, None), (1, drift(5)), (137, "no marker")):
            said(job, code, report, "--fleet", OWNER)
            assert issue["state"] == "open"
            _, _, rest = issue["body"].partition("\n\n")
            assert rest.startswith(f"> [!WARNING]\n{failed}")
            assert drift(2).partition("\n\n")[2].rstrip() in rest
            assert issue["body"].count(failed) == issue["body"].count("_Last checked ") == 1
        said(job, 2, drift(3))
        assert without_heartbeat(issue["body"]) == drift(3)
        said(job, 0, NONE)
        said(job, 1, None, "--fleet", OWNER)
        assert issue["state"] == "closed"  # nothing is known of drift
    assert len(world.issues) == 1


def test_a_failed_check_of_nobody_changes_nothing_and_warns(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    with github_job(tmp_path, world) as job:
        assert "--fleet FLEET.ENV says whose it is" in said(job, 1, None)
        assert world.log == []
        assert check(job, 2, "").returncode == 1
        assert check(job, 0, None).returncode == 1
        assert "is no fleet and environment" in check(job, 1, None, "--fleet", "Hotel").stderr
        assert (
            "has no report on other.prod; it has" in check(job, 2, drift(1), "--fleet", "other.prod").stderr
        )
        assert check(job, 256, drift(1)).returncode == 1
    assert world.log == []


def test_an_issue_is_found_among_thousands_and_faults_make_no_second_one(tmp_path: Path) -> None:
    world = github.GitHubWorld(faults=[Fault("POST", "/issues$", lost=True), Fault("PATCH", status=502)])
    with github_job(tmp_path, world) as job:
        said(job, 2, drift(1))
        for number in range(250):  # the bot's other issues
            world.issue(github.BOT, f"another bot's {number}", state="closed")
        said(job, 0, NONE)
        said(job, 2, drift(2))
    assert [without_heartbeat(each["body"]) for each in world.issues if "reconciler" in each["body"]] == [
        drift(2)
    ]


def test_of_several_fleets_each_has_its_own(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    document = "## a\n\n{}\n## b\n\n{}\n| fleet | result |\n|---|---|\n| a | x |\n"
    bad, good = "### Drift: 1 address is not as last applied", "### No drift."
    with github_job(tmp_path, world) as job:
        said(job, 2, document.format(drift_of("a.-", bad), drift_of("b.-", bad)))
        said(job, 2, document.format(drift_of("a.-", bad), drift_of("b.-", good)))
        states = [(each["title"].rpartition(" ")[2], each["state"]) for each in world.issues]
        assert states == [("a.-", "open"), ("b.-", "closed")]


def test_on_gitlab(tmp_path: Path) -> None:
    world = gitlab.GitLabWorld()
    with gitlab_job(tmp_path, world) as job:
        said(job, 2, drift(1))
        said(job, 0, NONE)
        (issue,) = world.issues
        assert issue["state"] == "closed"
        said(job, 1, None, "--fleet", OWNER)
        said(job, 2, drift(2))
    assert world.issues == [issue]
    assert (issue["state"], without_heartbeat(issue["description"])) == ("opened", drift(2))
    assert issue["title"] == "Voice agents have drifted: hotel-desk.prod"
