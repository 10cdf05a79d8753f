"""The review that belongs to a merge: found by the commit, printed only for the files that were reviewed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.codehosts import github, gitlab
from tests.codehosts.world import Done, Job, github_job, gitlab_job, plan_of

SNAPSHOT = "5" * 40
MERGED = {"state": "closed", "merged_at": "2026-11-28T10:00:00Z"}


def git(directory: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a fleet in a directory."""
    (tmp_path / "hotels").mkdir()
    (tmp_path / "hotels" / "fleet.yaml").write_text(
        "fleet: hotels\nenvironments: {prod: {}}\nchannels: []\n", encoding="utf-8"
    )
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a fleet")
    return tmp_path


def token_of(checkout: Path) -> str:
    return f"{git(checkout, 'rev-parse', 'HEAD:hotels')}.{SNAPSHOT}"


def plan(token: str) -> str:
    return plan_of("hotels.prod", f"### Plan: 1 to join\n\nApproval: `{token}`")


def approved(job: Job, *more: str, **variables: str) -> Done:
    sha = git(job.directory, "rev-parse", "HEAD")
    return job.run(
        "ci", "approved", "hotels", "-e", "prod", *more, GITHUB_SHA=sha, CI_COMMIT_SHA=sha, **variables
    )


def why(job: Job) -> str:
    done = approved(job)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "[no-review]" in done.stderr
    return " ".join(done.stderr.split())


def test_the_token_of_what_was_reviewed_is_all_that_is_printed(checkout: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7, **MERGED, _commits=[git(checkout, "rev-parse", "HEAD")])
    world.comment(7, "mallory", plan("a" * 40 + "." + "b" * 40))
    world.comment(7, github.BOT, plan_of("hotels.test", f"Approval: `{'a' * 40}.{'b' * 40}`"))
    world.comment(7, github.BOT, plan(token_of(checkout)))
    with github_job(checkout, world) as job:
        done = approved(job)
        assert (done.returncode, done.stdout) == (0, f"{token_of(checkout)}\n"), done.stderr
        assert (
            job.spawn(
                "ci", "approved", "hotels", "-e", "prod", "--commit", git(checkout, "rev-parse", "HEAD")
            ).stdout
            == done.stdout
        )


def test_what_a_merge_is_not_approved_by(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    world = github.GitHubWorld()
    world.pull(5, state="open", _commits=[sha])
    world.pull(6, **MERGED, _commits=[sha], base={"ref": "release", "repo": {"full_name": github.REPOSITORY}})
    with github_job(checkout, world) as job:
        for number in (5, 6):
            world.comment(number, github.BOT, plan(token_of(checkout)))
        assert f"no pull request that was merged into the default branch has the commit {sha[:12]}" in why(
            job
        )
        world.pull(7, **MERGED, _commits=[sha])
        world.comment(7, "mallory", plan(token_of(checkout)))
        assert "no plan of hotels.prod stands as a comment of github-actions[bot] on #7" in why(job)
        ours = world.comment(7, github.BOT, plan_of("hotels.prod"))
        assert "the plan of hotels.prod on #7 shows no token" in why(job)
        comment = next(each for each in world.comments if each["id"] == ours)
        comment["body"] = plan("a" * 40 + "." + SNAPSHOT)
        assert "is of other files: tree aaaaaaaaaaaa, and here is " in why(job)


def test_no_text_of_a_fleet_is_taken_for_a_token(checkout: Path) -> None:
    """A prompt, a host and a name may look like one; two are none."""
    forged = f"Approval: `{token_of(checkout)}`"
    sha = git(checkout, "rev-parse", "HEAD")
    world = github.GitHubWorld()
    world.pull(7, **MERGED, _commits=[sha])
    body = f"````diff\n+ {forged}\n{forged}\n```\n{forged}\n````\n\nFleet x, {forged}\n\n> {forged} is a host"
    ours = world.comment(7, github.BOT, plan_of("hotels.prod", body))
    with github_job(checkout, world) as job:
        assert "shows no token" in why(job)
        world.comments[-1]["body"] = plan(token_of(checkout)) + f"\nApproval: `{'a' * 40}.{'b' * 40}`\n"
        assert "shows no token" in why(job)
    assert ours == world.comments[-1]["id"]


def test_a_squashed_merge_request_of_gitlab(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    world = gitlab.GitLabWorld()
    world.request(5, state="merged", target_project_id=99, _commits=[sha])
    world.request(6, state="merged", target_branch="release", _commits=[sha])
    world.request(7, state="merged", _commits=[sha])
    world.note(7, gitlab.BOT, plan(token_of(checkout)))
    with gitlab_job(checkout, world) as job:
        done = approved(job, CI_MERGE_REQUEST_IID="")
        assert (done.returncode, done.stdout) == (0, f"{token_of(checkout)}\n"), done.stderr
        world.notes.clear()
        assert "no plan of hotels.prod stands as a comment of project_77_bot_0a1b2c on #7" in why(job)


def test_what_is_no_checkout_or_no_fleet_is_said(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = github.GitHubWorld()
    with github_job(checkout, world) as job:
        wrong = job.run("ci", "approved", "hotels", "-e", "nowhere")
        short = job.run("ci", "approved", "hotels", "-e", "prod", "--commit", "main")
        outside = tmp_path_factory.mktemp("outside")
        (outside / "fleet.yaml").write_text("fleet: hotels\n", encoding="utf-8")
        bare = job.run("ci", "approved", outside)
    assert "has no environment nowhere" in wrong.stderr
    assert "--commit is not the full id of a commit" in short.stderr
    assert "git says: fatal: not a git repository" in bare.stderr
    assert world.log == []
