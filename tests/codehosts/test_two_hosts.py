"""What is asked of GitHub and of GitLab, and what their answers mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from reconciler.codehosts import Head, Posted
from reconciler.errors import ServiceError
from tests.codehosts.calls import COMMIT, Answers, Result, host, in_virtual_time, lab, reply


@pytest.mark.parametrize(
    ("replies", "login"),
    [
        ([reply(200, '{"login": "ann"}')], "ann"),
        ([reply(403, "{}"), reply(200, '{"data": {"viewer": {"login": "ours"}}}')], "ours[bot]"),
        ([reply(404, "{}"), reply(200, '{"data": {"viewer": {"login": "ours[bot]"}}}')], "ours[bot]"),
        ([reply(403, "{}"), reply(200, '{"data": null}')], "github-actions[bot]"),
        ([reply(403, "{}"), reply(403, "{}")], "github-actions[bot]"),
    ],
)
def test_whose_comments_are_ours(replies: list[Result], login: str) -> None:
    assert in_virtual_time(host().login(), Answers(*replies))[0] == login


def pull(
    number: int = 4, commit: str = COMMIT, repository: str | None = "acme/voice", state: str = "open"
) -> str:
    repo = "null" if repository is None else f'{{"full_name": "{repository}"}}'
    return f'{{"number": {number}, "state": "{state}", "head": {{"sha": "{commit}", "repo": {repo}}}}}'


@pytest.mark.parametrize(
    ("by_branch", "by_commit", "found"),
    [
        ([pull(), pull(5)], [pull(6)], (4, 5)),
        ([], [pull(6)], (6,)),
        ([pull(commit="d" * 40)], [pull(6)], (6,)),
        ([pull(repository=None)], [], ()),
        ([pull(repository="other/voice")], [], ()),
        ([pull(state="closed")], [], ()),
    ],
)
def test_an_open_pull_request_is_that_of_this_head(
    by_branch: list[str], by_commit: list[str], found: tuple[int, ...]
) -> None:
    answers = Answers(reply(200, f"[{','.join(by_branch)}]"), reply(200, f"[{','.join(by_commit)}]"))
    head = Head("acme/voice", "topic", COMMIT)
    assert in_virtual_time(host().open_pull_requests(head), answers)[0] == found
    assert dict(answers.calls[0].query)["head"] == "acme:topic"
    assert dict(answers.calls[0].query)["state"] == "open"


def test_a_commit_that_github_does_not_know_is_in_no_pull_request() -> None:
    answers = Answers(reply(422, "{}"))
    assert in_virtual_time(host().open_pull_requests(Head("a/b", "c", COMMIT)), answers)[0] == ()
    assert in_virtual_time(host().merged_pull_requests(COMMIT), answers)[0] == ()
    problem, _ = in_virtual_time(host().merged_pull_requests(COMMIT), Answers(reply(404, "{}")))
    assert isinstance(problem, ServiceError)


def test_only_what_was_merged_into_the_default_branch_counts() -> None:
    rows = [
        '{"number": 1, "merged_at": null, "base": {"ref": "main"}}',
        '{"number": 2, "merged_at": "x", "base": {"ref": "old"}}',
        '{"number": 3, "merged_at": "x", "base": {"ref": "main"}}',
    ]
    answers = Answers(reply(200, f"[{','.join(rows)}]"), reply(200, '{"default_branch": "main"}'))
    assert in_virtual_time(host().merged_pull_requests(COMMIT), answers)[0] == (3,)
    none = Answers(reply(200, f"[{rows[0]}]"))
    assert in_virtual_time(host().merged_pull_requests(COMMIT), none)[0] == ()
    assert len(none.calls) == 1


@pytest.mark.parametrize(
    ("project", "target", "found"), [("12", 12, (3,)), ("12", 13, ()), ("acme/voice", 13, (3,))]
)
def test_a_merge_request_counts_in_its_target_alone(
    project: str, target: int, found: tuple[int, ...]
) -> None:
    rows = [
        f'{{"iid": 3, "state": "merged", "target_branch": "main", "target_project_id": {target}}}',
        '{"iid": 4, "state": "opened", "target_branch": "main", "target_project_id": 12}',
        '{"iid": 5, "state": "merged", "target_branch": "old", "target_project_id": 12}',
    ]
    answers = Answers(reply(200, f"[{','.join(rows)}]"), reply(200, '{"default_branch": "main"}'))
    assert in_virtual_time(lab(project).merged_pull_requests(COMMIT), answers)[0] == found
    assert answers.asked[0] == (
        f"GET /projects/{project.replace('/', '%2F')}/repository/commits/{COMMIT}/merge_requests"
    )


def test_a_commit_that_merged_nothing_needs_no_default_branch() -> None:
    answers = Answers(reply(200, "[]"))
    assert in_virtual_time(lab().merged_pull_requests(COMMIT), answers)[0] == ()
    assert len(answers.calls) == 1


def test_an_open_merge_request_is_that_of_this_commit() -> None:
    rows = [f'{{"iid": {iid}, "sha": "{sha}", "state": "{state}"}}' for iid, sha, state in
            ((1, COMMIT, "opened"), (2, COMMIT, "closed"), (3, "d" * 40, "opened"))]  # fmt: skip
    answers = Answers(reply(200, f"[{','.join(rows)}]"))
    assert in_virtual_time(lab().open_pull_requests(Head("", "topic", COMMIT)), answers)[0] == (1,)
    assert dict(answers.calls[0].query)["source_branch"] == "topic"


def test_what_nobody_wrote_or_nobody_wrote_any_more() -> None:
    issues = '[{"number": 1, "pull_request": {}, "user": null, "state": "open"}, {"number": 2, "user": null, "body": null, "state": "closed"}]'
    assert in_virtual_time(host().issues("t").posted("bot"), Answers(reply(200, issues)))[0] == (
        Posted(2, "", "", is_open=False),
    )
    notes = '[{"id": 1, "system": true}, {"id": 2, "author": null, "body": null}, {"id": 3, "author": {"username": "ann"}, "body": "x"}]'
    assert in_virtual_time(lab().comments(7).posted("bot"), Answers(reply(200, notes)))[0] == (
        Posted(2, "", ""),
        Posted(3, "ann", "x"),
    )
    lab_issues = '[{"iid": 4, "author": null, "description": null, "state": "opened"}, {"iid": 5, "author": null, "description": "x", "state": "closed"}]'
    assert in_virtual_time(lab().issues("t").posted("bot"), Answers(reply(200, lab_issues)))[0] == (
        Posted(4, "", ""),
        Posted(5, "", "x", is_open=False),
    )


@pytest.mark.parametrize(("is_open", "state"), [(True, "open"), (False, "closed")])
def test_an_issue_of_github_gets_its_state(is_open: bool, state: str) -> None:
    answers = Answers(reply(200, "{}"))
    in_virtual_time(host().issues("t").rewrite(Posted(4, "a", "x"), "y", is_open=is_open), answers)
    assert answers.calls[0].body == {"body": "y", "state": state}


@pytest.mark.parametrize(
    ("was_open", "is_open", "event"), [(True, True, None), (True, False, "close"), (False, True, "reopen")]
)
def test_an_issue_of_gitlab_changes_its_state_where_it_is_another(
    was_open: bool, is_open: bool, event: str | None
) -> None:
    answers = Answers(reply(200, "{}"))
    in_virtual_time(lab().issues("t").rewrite(Posted(4, "a", "x", was_open), "y", is_open=is_open), answers)
    expected = {"description": "y"} | ({"state_event": event} if event else {})
    assert (answers.asked, answers.calls[0].body) == (["PUT /projects/12/issues/4"], expected)


def test_each_text_has_its_own_address() -> None:
    old = Posted(4, "a", "x")
    shelves: Iterable[tuple[Any, str, str]] = (
        (host().comments(7), "PATCH /repos/acme/voice/issues/comments/4", "DELETE /repos/acme/voice/issues/comments/4"),
        (host().issues("t"), "PATCH /repos/acme/voice/issues/4", "PATCH /repos/acme/voice/issues/4"),
        (lab().comments(7), "PUT /projects/12/merge_requests/7/notes/4", "DELETE /projects/12/merge_requests/7/notes/4"),
        (lab().issues("t"), "PUT /projects/12/issues/4", "PUT /projects/12/issues/4"),
    )  # fmt: skip
    for shelf, rewritten, discarded in shelves:
        answers = Answers(reply(200, "{}"))
        in_virtual_time(shelf.rewrite(old, "y", is_open=False), answers)
        in_virtual_time(shelf.discard(old), answers)
        assert answers.asked == [rewritten, discarded]
