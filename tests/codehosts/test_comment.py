"""One comment for a fleet and environment, whatever the code host does, and nobody else's touched."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.codehosts import github, gitlab
from tests.codehosts.stand_in import Fault
from tests.codehosts.world import Job, drift_of, github_job, gitlab_job, plan_of

OWNER = "hotel-desk.prod"
PERSON = "mallory"
COMMENTS = r"/comments$"


def comment(job: Job, text: str = "### Plan: 1 to join", *more: str, **variables: str) -> str:
    """Post a plan with a text; what is said on stderr."""
    job.write("plan.md", plan_of(OWNER, text))
    done = job.run("ci", "comment", "--plan", "plan.md", *more, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def refused(job: Job, *more: str, **variables: str) -> str:
    """What is said where a plan cannot be posted."""
    job.write("plan.md", plan_of(OWNER))
    done = job.run("ci", "comment", "--plan", "plan.md", *more, **variables)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "[internal]" not in done.stderr
    return " ".join(done.stderr.split())


def test_five_runs_leave_one_comment_that_says_what_the_last_one_said(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    for number in range(230):  # three pages of other people's
        world.comment(7, PERSON, f"{plan_of(OWNER)} quoted {number}")
    theirs = [dict(each) for each in world.comments]
    with github_job(tmp_path, world) as job:
        said = [comment(job, f"### Plan: {number} to join") for number in range(5)]
    assert world.bodies(7) == [plan_of(OWNER, "### Plan: 4 to join")]
    assert world.comments[: len(theirs)] == theirs
    assert said[0] == "hotel-desk.prod: comment on #7 posted\n"
    assert said[4] == "hotel-desk.prod: comment on #7 updated\n"


def test_ours_is_found_on_the_last_page_too(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        comment(job)
        mine = world.comments.pop()
        for number in range(150):
            world.comment(7, PERSON, f"fine {number}")
        world.comments.append(mine)
        comment(job, "### Plan: 2 to join")
    assert world.bodies(7) == [plan_of(OWNER, "### Plan: 2 to join")]


def test_five_runs_on_gitlab(tmp_path: Path) -> None:
    world = gitlab.GitLabWorld()
    world.request(7)
    world.note(7, BOT := gitlab.BOT, plan_of(OWNER, "added 1 commit"), system=True)
    for number in range(130):
        world.note(7, PERSON, f"{plan_of(OWNER)} quoted {number}")
    before = [dict(each) for each in world.notes]
    with gitlab_job(tmp_path, world) as job:
        for number in range(5):
            comment(job, f"### Plan: {number} to join")
    assert world.bodies(7, BOT)[1:] == [plan_of(OWNER, "### Plan: 4 to join")]
    assert world.notes[: len(before)] == before


def test_a_process_of_its_own_does_the_same_and_prints_no_token(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        job.write("plan.md", plan_of(OWNER, f"leaked: {github.TOKEN}"))
        done = job.spawn("ci", "comment", "--plan", "plan.md", "-v")
    assert done.returncode == 0, done.stderr
    assert github.TOKEN not in done.stdout + done.stderr + "".join(world.bodies(7))
    assert world.bodies(7) == [plan_of(OWNER, "leaked: (secret)")]


def test_a_token_of_a_person_comments_as_that_person(tmp_path: Path) -> None:
    world = github.GitHubWorld(users={"ghp_of_a_person_0123456789": "alice"})
    world.pull(7)
    world.comment(7, github.BOT, plan_of(OWNER, "the bot's, of another workflow"))
    with github_job(tmp_path, world) as job:
        for number in range(3):
            comment(job, f"{number}", GITHUB_TOKEN="ghp_of_a_person_0123456789")
    assert world.bodies(7) == [plan_of(OWNER, "the bot's, of another workflow")]
    assert world.bodies(7, "alice") == [plan_of(OWNER, "2")]


def test_an_app_of_ones_own_is_known_by_its_bot(tmp_path: Path) -> None:
    world = github.GitHubWorld(users={"ghs_of_an_app_0123456789": "voice-fleet[bot]"})
    world.pull(7)
    with github_job(tmp_path, world) as job:
        for number in range(2):
            comment(job, f"{number}", GITHUB_TOKEN="ghs_of_an_app_0123456789")
    assert world.bodies(7, "voice-fleet[bot]") == [plan_of(OWNER, "1")]


def test_several_fleets_are_a_comment_each(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    document = (
        f"## a \\(prod\\)\n\n{plan_of('a.prod')}\n"
        f"## b\n\n{plan_of('b.-', '```diff' + chr(10) + plan_of('c.-') + '```')}\n"
        "| fleet | result |\n|---|---|\n| a | 1 to join |\n\n2 fleets and environments: 2 in order.\n"
    )
    with github_job(tmp_path, world) as job:
        job.write("plan.md", document)
        for _ in range(2):
            assert job.run("ci", "comment", "--plan", "plan.md").returncode == 0
    first, second = world.bodies(7)
    assert first == plan_of("a.prod")
    assert second.startswith("<!-- reconciler plan: b.- -->")
    assert "c.-" in second  # in a code block, a marker is a text
    assert "fleet | result" not in second


def test_what_came_of_an_apply_stands_beside_the_plan(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    commit = "c" * 40
    world.pull(7, state="closed", merged_at="2026-11-28T10:00:00Z", _commits=[commit])
    with github_job(tmp_path, world) as job:
        comment(job, "the reviewed plan")
        job.write("apply.md", plan_of(OWNER, "the plan that was applied"))
        event = job.event({"after": commit})
        for _ in range(2):
            done = job.run(
                "ci", "comment", "--applied", "apply.md", GITHUB_EVENT_PATH=event, GITHUB_SHA=commit
            )
            assert done.returncode == 0, done.stderr
    assert world.bodies(7) == [
        plan_of(OWNER, "the reviewed plan"),
        "<!-- reconciler apply: hotel-desk.prod -->\n\nthe plan that was applied\n",
    ]


def test_what_came_of_an_apply_is_said_where_its_plan_has_no_room(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        fake = "```diff\n### in a prompt\n" + "x" * 70_000 + "\n```"
        job.write(
            "apply.md", plan_of(OWNER, f"### Plan: 9 to join\n\n{fake}\n\n### ✅ Apply complete: 9 joined")
        )
        assert job.run("ci", "comment", "--applied", "apply.md").returncode == 0
    assert world.bodies(7) == [f"<!-- reconciler apply: {OWNER} -->\n\n### ✅ Apply complete: 9 joined\n"]


# --- faults -----------------------------------------------------------------------------------------------------

HELD = Fault(
    "GET", COMMENTS, status=403, headers={"Retry-After": "1"}, body={"message": "secondary rate limit"}
)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", status=502, times=2),
        Fault("GET", "/user", status=502),
        Fault("GET", COMMENTS, lost=True),
        HELD,
        Fault("GET", COMMENTS, status=429, headers={"Retry-After": "1"}),
        Fault("POST", COMMENTS, status=403, headers={"Retry-After": "1"}, body={"message": "slow down"}),
        Fault("POST", COMMENTS, status=502),
        Fault("POST", COMMENTS, status=500, times=2),
        Fault("POST", COMMENTS, failed_after=502),
        Fault("POST", COMMENTS, lost=True),
        Fault("PATCH", status=502),
        Fault("PATCH", lost=True),
    ],
    ids=lambda fault: f"{fault.method}-{fault.status or fault.failed_after or 'lost'}-{fault.times}",
)
def test_a_fault_that_passes_makes_no_second_comment(tmp_path: Path, fault: Fault) -> None:
    world = github.GitHubWorld(faults=[fault])
    world.pull(7)
    with github_job(tmp_path, world) as job:
        comment(job, "first")
        comment(job, "second")
    assert world.bodies(7) == [plan_of(OWNER, "second")]
    assert fault.times == 0


@pytest.mark.parametrize("lost", [True, False])
def test_a_note_that_was_made_without_an_answer_is_found(tmp_path: Path, lost: bool) -> None:
    fault = Fault("POST", r"/notes$", lost=lost, failed_after=0 if lost else 502)
    world = gitlab.GitLabWorld(
        faults=[fault, Fault("GET", "/notes", status=429, headers={"Retry-After": "1"})]
    )
    world.request(7)
    with gitlab_job(tmp_path, world) as job:
        comment(job)
    assert world.bodies(7) == [plan_of(OWNER)]
    assert len(world.calls("POST")) == 1


def test_a_limit_that_is_used_up_is_waited_for_until_it_is_full_again(tmp_path: Path) -> None:
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1)}
    world = github.GitHubWorld(faults=[Fault("GET", COMMENTS, status=403, headers=reset)])
    world.pull(7)
    with github_job(tmp_path, world) as job:
        comment(job)
    assert world.bodies(7) == [plan_of(OWNER)]


def test_a_pause_that_is_too_long_ends_at_once_and_says_how_long_it_is(tmp_path: Path) -> None:
    world = github.GitHubWorld(faults=[Fault("GET", COMMENTS, status=403, headers={"Retry-After": "3600"})])
    world.pull(7)
    with github_job(tmp_path, world) as job:
        assert "asks to be left alone for 3600 s (403)" in refused(job)


def test_a_missing_permission_is_named_at_once(tmp_path: Path) -> None:
    said = {"message": "Resource not accessible by integration \x1b[2J::error::x"}
    accepted = {"X-Accepted-GitHub-Permissions": "issues=write; pull_requests=write"}
    fault = Fault("POST", COMMENTS, times=99, status=403, headers=accepted, body=said)
    world = github.GitHubWorld(faults=[fault])
    world.pull(7)
    with github_job(tmp_path, world) as job:
        text = refused(job)
    assert "(403): POST /repos/acme/voice/issues/7/comments: Resource not accessible" in text
    assert "the call needs issues=write; pull_requests=write" in text
    assert "`pull-requests: write`" in text
    assert "\x1b" not in text
    assert len(world.calls("POST", "comments")) == 1


def test_a_token_that_is_refused_is_said_without_it(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    with github_job(tmp_path, world) as job:
        text = refused(job, GITHUB_TOKEN="ghp_revoked_0123456789")
    assert "refuses the token (401): Bad credentials" in text
    assert "ghp_revoked" not in text


def test_two_runs_at_once_leave_one_comment(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        job.write("plan.md", plan_of(OWNER))
        runs = [
            threading.Thread(target=job.spawn, args=("ci", "comment", "--plan", "plan.md")) for _ in range(3)
        ]
        for each in runs:
            each.start()
        for each in runs:
            each.join()
        comment(job)  # what two that overlapped left, the next run settles
    assert world.bodies(7) == [plan_of(OWNER)]


# --- which pull request -------------------------------------------------------------------------------------------


def run_of(repository: str, branch: str, sha: str, **more: object) -> dict[str, object]:
    head = {"full_name": repository, "owner": {"login": repository.partition("/")[0]}}
    return {
        "workflow_run": {
            "head_sha": sha,
            "head_branch": branch,
            "head_repository": head,
            "event": "pull_request",
            **more,
        }
    }


def test_the_pull_request_of_a_fork_is_found_by_what_github_says_of_the_run(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    sha = "f" * 40
    world.pull(5, head=(github.REPOSITORY, "fix", sha))  # the same branch and commit in another repository
    world.pull(6, head=("fork/voice", "fix", "e" * 40))
    world.pull(8, head=("fork/voice", "fix", sha))
    world.pull(9, head=("fork/voice", "fix", sha), state="closed")
    with github_job(tmp_path, world) as job:
        comment(
            job, GITHUB_EVENT_PATH=job.event(run_of("fork/voice", "fix", sha, pull_requests=[{"number": 5}]))
        )
        text = refused(job, GITHUB_EVENT_PATH=job.event(run_of("fork/voice", "fix", "d" * 40)))
    assert [each["_of"] for each in world.comments] == [8]
    assert "no open pull request has the commit dddddddddddd" in text


def test_the_same_commit_in_another_repository_is_another_pull_request(tmp_path: Path) -> None:
    """The branch of the run is gone, so the commit alone leads to pull requests."""
    world = github.GitHubWorld()
    sha = "f" * 40
    world.pull(5, head=(github.REPOSITORY, "fix", sha))
    with github_job(tmp_path, world) as job:
        event = job.event(run_of("fork/voice", "gone", sha))
        assert "no open pull request has the commit" in refused(job, GITHUB_EVENT_PATH=event)
        world.pull(8, head=("fork/voice", "renamed", sha))
        comment(job, GITHUB_EVENT_PATH=event)
    assert [each["_of"] for each in world.comments] == [8]


def test_one_can_be_named_and_none_is_guessed(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    sha = "f" * 40
    for number in (5, 6):
        world.pull(number, head=("fork/voice", "fix", sha))
    with github_job(tmp_path, world) as job:
        event = job.event(run_of("fork/voice", "fix", sha))
        assert "2 open pull requests have the commit" in refused(job, GITHUB_EVENT_PATH=event)
        comment(job, "said", "--pull-request", "6", GITHUB_EVENT_PATH=event)
        assert "runs for no pull request" in refused(job, GITHUB_EVENT_PATH=job.event({}))
        assert "cannot be read" in refused(job, GITHUB_EVENT_PATH="nowhere.json")
        assert "404" in refused(job, "--pull-request", "99")
    assert [each["_of"] for each in world.comments] == [6]


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GITHUB_TOKEN": "", "GITHUB_REPOSITORY": "", "GITHUB_API_URL": "https://x.example"}, "missing in the environment: GITHUB_REPOSITORY, GITHUB_TOKEN"),
        ({"GITHUB_API_URL": "http://api.example"}, "GITHUB_API_URL is not an address that a token may be sent to"),
        ({"GITHUB_API_URL": "https://user:secretpassword@api.example"}, "it names a user"),
        ({"GITHUB_REPOSITORY": "acme/voice/../../user"}, "GITHUB_REPOSITORY is not owner/name"),
        ({"GITHUB_REPOSITORY": "acme/.."}, "GITHUB_REPOSITORY is not owner/name"),
        ({"GITHUB_TOKEN": "two words here"}, "GITHUB_TOKEN has white space"),
        ({"GITHUB_API_URL": "", "GITHUB_REPOSITORY": ""}, "this is no job of GitHub or GitLab"),
        ({"CI_PROJECT_ID": "7", "GITLAB_CI": "true"}, "neither GITHUB_ACTIONS nor GITLAB_CI says"),
    ],
)  # fmt: skip
def test_variables_are_refused_before_anything_is_sent(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    world = github.GitHubWorld()
    with github_job(tmp_path, world) as job:
        text = refused(job, **variables)
    assert said in text
    assert "secretpassword" not in text
    assert world.log == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no Markdown of `plan`"),
        (drift_of(OWNER), "no Markdown of `plan`"),
        ("# a report\n```\n" + plan_of(OWNER) + "```\n", "no Markdown of `plan`"),
        (plan_of(OWNER) + plan_of(OWNER), "two reports on hotel-desk.prod"),
        ("\udcff", "is no UTF-8 text"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str, said: str) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        (tmp_path / "other.md").write_bytes(text.encode("utf-8", "surrogateescape"))
        done = job.run("ci", "comment", "--plan", "other.md")
        missing = job.run("ci", "comment", "--plan", "nowhere.md")
    assert (done.returncode, missing.returncode) == (1, 1)
    assert said in done.stderr
    assert "nowhere.md" in missing.stderr
    assert world.log == []


def test_a_plan_beyond_a_comment_is_refused_and_its_comment_says_where_it_stands(tmp_path: Path) -> None:
    world = github.GitHubWorld()
    world.pull(7)
    with github_job(tmp_path, world) as job:
        comment(job, "x" * 65_000)
        job.write("plan.md", plan_of(OWNER, "x" * 70_000))
        done = job.run("ci", "comment", "--plan", "plan.md")
    assert done.returncode == 1
    assert "longer than a comment may be (65,535 characters): hotel-desk.prod" in done.stderr
    (body,) = world.bodies(7)
    assert body.startswith(f"<!-- reconciler plan: {OWNER} -->\n")
    assert "[the page of this job](https://github.com/acme/voice/actions/runs/4711)" in body
    assert len(body) < 600
