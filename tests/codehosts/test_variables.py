"""What the variables of a job say, and which are refused."""

from __future__ import annotations

import pytest

from reconciler.codehosts.github import GitHub
from reconciler.codehosts.gitlab import GitLab
from reconciler.codehosts.settings import commit_id, from_environment
from reconciler.errors import UsageError

HUB = {"GITHUB_REPOSITORY": "acme/voice", "GITHUB_TOKEN": "t0ken"}
LAB = {"CI_API_V4_URL": "https://lab.example/api/v4", "CI_PROJECT_ID": "12", "GITLAB_TOKEN": "t0ken"}
ACTIONS, PIPELINE = {"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        (HUB, GitHub),
        (LAB, GitLab),
        ({**HUB, **LAB, **ACTIONS}, GitHub),
        ({**HUB, **LAB, **PIPELINE}, GitLab),
        ({**HUB, **LAB, **PIPELINE, "GITHUB_ACTIONS": "false"}, GitLab),
        # The mark of a runner decides between two hosts, and nothing else.
        ({**HUB, **PIPELINE}, GitHub),
        ({**LAB, **ACTIONS}, GitLab),
    ],
)
def test_whose_job_it_is(variables: dict[str, str], kind: type) -> None:
    assert type(from_environment(variables).host) is kind


@pytest.mark.parametrize("marks", [{}, {**ACTIONS, **PIPELINE}])
def test_the_variables_of_two_hosts_need_one_mark(marks: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="neither GITHUB_ACTIONS nor GITLAB_CI says which"):
        from_environment({**HUB, **LAB, **marks})


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"GITHUB_REPOSITORY": "acme/voice"}, "GITHUB_TOKEN"),
        ({"GITHUB_API_URL": "https://x.example"}, "GITHUB_REPOSITORY, GITHUB_TOKEN"),
        ({"CI_PROJECT_ID": "12"}, "CI_API_V4_URL, GITLAB_TOKEN"),
        ({"CI_API_V4_URL": "https://x.example", "GITLAB_TOKEN": "t"}, "CI_PROJECT_ID"),
        ({**LAB, "GITLAB_TOKEN": ""}, "GITLAB_TOKEN"),
    ],
)
def test_what_is_missing_is_named(variables: dict[str, str], missing: str) -> None:
    with pytest.raises(UsageError, match=f"missing in the environment: {missing}$"):
        from_environment(variables)


def test_no_job_at_all() -> None:
    with pytest.raises(UsageError, match="no job of GitHub or GitLab"):
        from_environment({**ACTIONS, "GITHUB_TOKEN": "t", "GITLAB_TOKEN": "t"})


@pytest.mark.parametrize(
    ("base", "name", "value", "is_fine"),
    [
        (HUB, "GITHUB_REPOSITORY", "acme/..", False),
        (HUB, "GITHUB_REPOSITORY", "acme", False),
        (HUB, "GITHUB_TOKEN", "a b", False),
        (HUB, "GITHUB_TOKEN", "a\tb", False),
        (HUB, "GITHUB_TOKEN", "ä", False),
        (HUB, "GITHUB_TOKEN", " t0ken\n", True),
        (HUB, "GITHUB_API_URL", "http://github.example", False),
        (HUB, "GITHUB_API_URL", " https://github.example/api/v3/ ", True),
        (LAB, "CI_API_V4_URL", "https://a:b@lab.example", False),
        (LAB, "CI_PROJECT_ID", "acme/sub/voice", True),
        (LAB, "CI_PROJECT_ID", "acme//voice", False),
        (LAB, "CI_MERGE_REQUEST_IID", "1" * 11, True),
        (LAB, "CI_MERGE_REQUEST_IID", "1" * 12, False),
        (LAB, "CI_MERGE_REQUEST_IID", "x", False),
        (LAB, "CI_MERGE_REQUEST_IID", "-1", False),
    ],
)
def test_what_a_variable_may_be(base: dict[str, str], name: str, value: str, is_fine: bool) -> None:
    variables = {**base, name: value}
    if is_fine:
        from_environment(variables)
        return
    with pytest.raises(UsageError, match=f"^{name} ") as refused:
        from_environment(variables)
    assert value not in refused.value.message


def test_what_a_job_of_github_knows() -> None:
    bare = from_environment(HUB)
    assert (bare.page, bare.event, bare.number, bare.commit) == ("", "", None, None)
    job = from_environment(
        {
            **HUB,
            "GITHUB_TOKEN": " t0ken\n",
            "GITHUB_API_URL": "https://github.example/api/v3/",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "47",
            "GITHUB_EVENT_PATH": "/e.json",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_SHA": "c" * 40,
        }
    )
    assert isinstance(job.host, GitHub)
    assert (job.host.api.base, job.host.repository) == ("https://github.example/api/v3", "acme/voice")
    assert (job.page, job.event, job.number, job.commit, job.token.reveal()) == (
        "https://github.example/acme/voice/actions/runs/47",
        "/e.json",
        None,
        "c" * 40,
        "t0ken",
    )


@pytest.mark.parametrize("page", ["https://lab.example/-/jobs/1", "javascript:x", "https://x.example/)[x](y"])
def test_what_a_job_of_gitlab_knows(page: str) -> None:
    bare = from_environment(LAB)
    assert (bare.page, bare.number, bare.commit) == ("", None, None)
    variables = {**LAB, "CI_MERGE_REQUEST_IID": "7", "CI_JOB_URL": page, "CI_COMMIT_SHA": "d" * 64}
    job = from_environment(variables)
    assert isinstance(job.host, GitLab)
    assert (job.host.api.base, job.host.path) == ("https://lab.example/api/v4", "/projects/12")
    assert (job.page, job.number, job.commit) == (page if page.endswith("/1") else "", 7, "d" * 64)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a" * 40, True), ("a" * 64, True), ("a" * 41, False), ("A" * 40, False), ("a" * 7, False), (7, False), (None, False)],
)  # fmt: skip
def test_an_id_of_a_commit_is_complete(text: object, is_one: bool) -> None:
    assert commit_id(text) == (text if is_one else None)
