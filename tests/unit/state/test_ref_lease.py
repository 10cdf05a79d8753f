"""The lease in a ref: one holder at a time, and whoever was taken over learns of it and takes nothing back."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.git import Git, Ran
from reconciler.state.log.ref_lease import RefLease

REF = "refs/reconciler-lease/demo.-"


class Team:
    """A bare remote, and a checkout for each member."""

    def __init__(self, place: Path) -> None:
        self.place = place
        Git(place).run("init", "--quiet", "--bare", "remote.git")

    def lease(self, member: str, seconds: float = 60.0) -> RefLease:
        Git(self.place).run("init", "--quiet", member)
        return RefLease(Git(self.place / member), str(self.place / "remote.git"), REF, seconds)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def test_one_has_it_and_the_other_is_told_who(team: Team) -> None:
    one, other = team.lease("ada"), team.lease("bob")
    assert (one.holder(), one.is_held) == (None, False)
    one.take("ada@laptop")
    with pytest.raises(StateLocked, match="held by ada@laptop; its lease ends after 60 s"):
        other.take("bob")
    assert (one.is_held, other.is_held, other.holder()) == (True, False, "ada@laptop")
    one.renew()
    one.check()
    with pytest.raises(StateLocked):
        other.take("bob")


def test_given_back_it_is_free_for_the_next_one(team: Team) -> None:
    one, other = team.lease("ada"), team.lease("bob")
    one.take("ada")
    one.release()
    assert (one.is_held, other.holder()) == (False, None)
    one.release()
    one.renew()
    assert other.holder() is None, "what is not held is neither given back nor signed"
    other.take("bob")
    assert one.holder() == "bob"


def test_whoever_was_taken_over_may_do_nothing_more_and_gives_nothing_back(team: Team) -> None:
    one, hasty = team.lease("ada"), team.lease("bob", seconds=0.0)
    one.take("ada")
    hasty.take("bob")
    one.check()  # the remote is not asked
    for _ in range(2):
        with pytest.raises(StateLocked, match="the state was taken over"):
            one.renew()
    with pytest.raises(StateLocked, match="the state was taken over"):
        one.check()
    one.release()
    assert (one.is_held, hasty.is_held, one.holder()) == (False, True, "bob")
    hasty.renew()
    hasty.release()
    one.take("ada")
    one.check()


def test_a_remote_that_is_gone_is_an_error_and_no_free_lease(team: Team) -> None:
    one = team.lease("ada")
    (team.place / "remote.git").rename(team.place / "elsewhere.git")
    for call in (one.holder, lambda: one.take("ada")):
        with pytest.raises(StateError, match="cannot be read"):
            call()
    assert not one.is_held


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("", "it gave no reason"),
        ("\n  \n", "it gave no reason"),
        ("remote: no\nhint: ask somebody\n", "hint: ask somebody"),
        ("warning: x\nfatal: no such ref\nhint: y\n", "no such ref"),
        ("error: failed to push\nfatal: later\n", "failed to push"),
        ("fatal:\n", "it gave no reason"),
        ("fatal: https://me:secret@example.com/x is gone\n", "https://example.com/x is gone"),
        (f"error: {'x' * 400}\n", "x" * 300),
    ],
)
def test_what_git_complains_of_is_one_line(told: str, line: str) -> None:
    assert Ran(1, b"", told).reason == line
