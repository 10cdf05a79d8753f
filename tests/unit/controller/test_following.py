"""`watch --git`: what a checkout follows, what it refuses, and what becomes of the last good fleet meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.cli.following import Checkout, FollowedFiles, top_of
from reconciler.cli.loading import load_fleet
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.watched_files import WatchedFiles
from reconciler.errors import InvalidConfig, ReconcilerError, UsageError
from reconciler.git import Git
from reconciler.model.fleet import DesiredFleet
from tests.fakes.fleets import TWO_AGENTS

FLEET = f"fleet: desk\n{TWO_AGENTS}"
MORE = FLEET.replace("{name: door}", "{name: door}, {name: bell}")
WHO = ("-c", "user.name=A", "-c", "user.email=a@example.com")


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class Place:
    """A bare remote, an author's clone, and the checkout of a controller."""

    def __init__(self, place: Path) -> None:
        self.remote, self.author, self.home = (place / each for each in ("remote.git", "author", "home"))
        git(place, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(place, "clone", "--quiet", str(self.remote), str(self.author))
        git(self.author, "checkout", "--quiet", "-b", "main")
        self.commit(FLEET)
        git(place, "clone", "--quiet", str(self.remote), str(self.home))
        self.counts: Counter[str] = Counter()
        self.checkout = self.opened()
        self.checkout.look()
        self.files = self.followed(self.checkout)

    def opened(self, seconds: float = 20.0) -> Checkout:
        def count(result: str) -> None:
            self.counts[result] += 1

        return Checkout(self.home, "origin/main", Output(), count, seconds=seconds)

    def followed(self, checkout: Checkout) -> FollowedFiles:
        flags = FleetFlags(str(self.home))

        def check(fleet: DesiredFleet) -> None:
            checkout.check(self.home, fleet)

        watched = WatchedFiles(flags, Output(), check)
        return FollowedFiles(watched, checkout, load_fleet(flags, Output()), check)

    def commit(self, text: str, *push: str, name: str = "fleet.yaml") -> str:
        """A commit of the author, pushed."""
        (self.author / name).write_text(text, encoding="utf-8")
        git(self.author, "add", "--all")
        git(self.author, "commit", "--quiet", "--message", "a change")
        git(self.author, "push", "--quiet", *push, "origin", "main")
        return git(self.author, "rev-parse", "HEAD")

    def head(self) -> str:
        return git(self.home, "rev-parse", "HEAD")

    def rounds(
        self, files: FollowedFiles | None = None, count: int = 2
    ) -> list[DesiredFleet | ReconcilerError]:
        """What so many rounds of the loop learn about the files."""
        found: list[DesiredFleet | ReconcilerError] = []
        for _ in range(count):
            try:
                fleet = asyncio.run((files or self.files).read())
            except ReconcilerError as problem:
                found.append(problem)
            else:
                found += [fleet] if fleet is not None else []
        return found

    def refused(self) -> str:
        """Why the files are refused, told in exactly one of several rounds."""
        (problem,) = self.rounds(count=4)
        assert isinstance(problem, UsageError)
        return problem.message


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_commit_of_the_branch_is_checked_out_and_read_once(place: Place) -> None:
    assert place.rounds() == [], "whoever begins has just read them"
    new = place.commit(MORE)
    place.checkout.look()
    (fleet,) = place.rounds()
    assert isinstance(fleet, DesiredFleet)
    assert (len(fleet.agents), place.files.commit, place.head()) == (3, new, new)
    place.checkout.look()
    assert place.rounds() == []
    assert place.counts == {"unchanged": 2, "moved": 1}
    assert git(place.home, "status", "--porcelain") == ""


def test_a_branch_that_was_rewritten_is_refused_until_it_continues_what_is_here(place: Place) -> None:
    old = place.commit(MORE)
    place.checkout.look()
    place.rounds()
    git(place.author, "reset", "--quiet", "--hard", "HEAD~1")
    place.commit(FLEET.replace("door", "gong"), "--force")
    place.checkout.look()
    assert "origin/main was rewritten" in place.refused()
    assert (place.head(), place.files.commit) == (old, old)
    git(place.author, "reset", "--quiet", "--hard", old)
    new = place.commit(FLEET, "--force")
    place.checkout.look()
    (fleet,) = place.rounds()
    assert isinstance(fleet, DesiredFleet)
    assert place.files.commit == new


def test_a_branch_that_went_back_or_away_is_refused(place: Place) -> None:
    new = place.commit(MORE)
    place.checkout.look()
    place.rounds()
    git(place.author, "push", "--quiet", "--force", "origin", "HEAD~1:main")
    place.checkout.look()
    assert "was rewritten" in place.refused()
    git(place.author, "push", "--quiet", "origin", "HEAD:main")
    place.checkout.look()
    assert len(place.rounds()) == 1, "and lifted, although no file has changed"
    assert place.head() == new
    assert place.counts == {"unchanged": 2, "moved": 1, "refused": 1}


def test_a_change_that_was_made_here_is_no_wish(place: Place) -> None:
    place.rounds()
    (place.home / "fleet.yaml").write_text(MORE, encoding="utf-8")
    assert "fleet.yaml differs from its commit" in place.refused()
    place.commit(FLEET.replace("door", "gong"))
    place.checkout.look()
    assert "this checkout cannot go there" in place.refused()
    assert (place.home / "fleet.yaml").read_text(encoding="utf-8") == MORE, "nothing of a person's is lost"
    git(place.home, "restore", "fleet.yaml")
    place.checkout.look()
    (fleet,) = place.rounds()
    assert isinstance(fleet, DesiredFleet)
    assert "lobby/gong" in {str(each) for each in fleet.agents}


def test_a_file_that_nobody_committed_is_no_wish_and_the_state_beside_the_fleet_is_no_change(
    place: Place,
) -> None:
    (place.home / ".reconciler").mkdir()
    (place.home / ".reconciler" / "default.state").write_text("x", encoding="utf-8")
    assert place.rounds(count=4) == []
    (place.home / "agents").mkdir()
    (place.home / "agents" / "more.yaml").write_text(
        "channels: [{channel: bar, agents: [{name: one}]}]\n", encoding="utf-8"
    )
    assert "agents/more.yaml is not committed" in place.refused()


def test_commits_of_ones_own_are_refused(place: Place) -> None:
    (place.home / "fleet.yaml").write_text(MORE, encoding="utf-8")
    git(place.home, "commit", "--quiet", "--all", "--message", "mine")
    place.checkout.look()
    assert "this checkout has commits of its own" in place.refused()


def test_a_commit_whose_files_do_not_load_is_told_once_and_the_next_one_mends_it(place: Place) -> None:
    good = place.checkout.revision.commit
    place.commit("fleet: [")
    place.checkout.look()
    (problem,) = place.rounds(count=4)
    assert isinstance(problem, InvalidConfig)
    assert place.files.commit == good, "what is kept is the last good one"
    new = place.commit(MORE)
    place.checkout.look()
    assert len(place.rounds()) == 1
    assert place.files.commit == new


def test_a_remote_that_is_away_changes_nothing_and_is_told_of_once(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    away = place.remote.rename(place.remote.with_name("away"))
    for _ in range(3):
        place.checkout.look()
    assert place.rounds() == []
    away.rename(place.remote)
    new = place.commit(MORE)
    place.checkout.look()
    assert len(place.rounds()) == 1
    assert place.files.commit == new
    assert place.counts == {"unchanged": 1, "failed": 3, "moved": 1}
    assert capsys.readouterr().err.count("could not be fetched") == 1


def test_what_was_not_fetched_since_the_start_is_not_trusted_to_be_the_newest(place: Place) -> None:
    away = place.remote.rename(place.remote.with_name("away"))
    place.checkout = place.opened()
    place.checkout.look()
    place.files = place.followed(place.checkout)
    assert "was not fetched since the start" in place.refused()
    away.rename(place.remote)
    place.checkout.look()
    assert len(place.rounds()) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """A remote that takes a connection and never says anything; its URL, with a token."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://robot:tok3n-0123456789@127.0.0.1:{listening.getsockname()[1]}/fleet.git"


def talking_to(url: str) -> list[str]:
    """The processes of this machine that talk to a remote."""
    port = url.rpartition(":")[2].encode()
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes()
        except OSError:
            continue
        if b"git" in words and port in words:
            found.append(words.decode())
    return found


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
def test_a_remote_that_hangs_is_given_up_with_all_that_waits_for_it_and_its_token_is_told_nowhere(
    place: Place, silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    git(place.home, "remote", "set-url", "origin", silent)
    checkout = place.opened(seconds=1.0)
    checkout.look()
    assert place.counts["failed"] == 1
    until(lambda: talking_to(silent) == [])  # a killed process takes a moment to be gone
    said = capsys.readouterr()
    assert "git did not answer within 1 s" in said.err
    assert "tok3n" not in said.err + said.out


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
def test_who_stops_waits_for_no_remote(place: Place, silent: str) -> None:
    git(place.home, "remote", "set-url", "origin", silent)
    checkout = place.opened(seconds=600.0)
    looking = threading.Thread(target=checkout.look)
    looking.start()
    until(lambda: bool(talking_to(silent)))
    checkout.stop()
    looking.join(30)
    assert not looking.is_alive()
    assert talking_to(silent) == []
    began = place.counts["failed"]
    checkout.look()
    assert place.counts["failed"] == began + 1, "what is begun afterwards ends at once"


def test_credentials_that_git_quotes_are_told_nowhere(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    git(
        place.home,
        "remote",
        "set-url",
        "origin",
        f"http://x:s3cr3t%2Fpart-987@127.0.0.1:{port}/s3cr3t/part-987",
    )
    checkout = place.opened()
    checkout.look()
    said = capsys.readouterr().err
    assert "could not be fetched" in said
    assert "s3cr3t" not in said


def test_nothing_that_a_commit_or_a_configuration_brings_along_is_run(place: Place, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    touch = f"sh -c 'echo >>{ran}; cat'"
    for key in ("smudge", "clean", "process"):
        git(place.home, "config", f"filter.evil.{key}", touch)
    git(place.home, "config", "filter.evil.required", "true")
    git(place.home, "config", "core.fsmonitor", str(tmp_path / "hook"))
    hooks = [*(place.home / ".git" / "hooks").parent.glob("hooks"), tmp_path / "hook"]
    for name in ("post-checkout", "post-merge", "reference-transaction", "post-index-change"):
        hooks.append(hooks[0] / name)
    for each in hooks[1:]:
        each.write_text(f"#!/bin/sh\necho >>{ran}\n", encoding="utf-8")
        each.chmod(0o755)
    (place.author / ".gitattributes").write_text("* filter=evil ident\n", encoding="utf-8")
    (place.author / ".gitmodules").write_text(
        '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "echo"\n', encoding="utf-8"
    )
    new = place.commit(MORE)
    os.utime(place.home / "fleet.yaml", (1, 1))
    place.checkout.look()
    assert place.head() == new
    assert len(place.rounds()) == 1
    assert not ran.exists()


def test_a_look_that_was_cut_short_between_the_files_and_the_branch_is_finished_by_the_next_one(
    place: Place,
) -> None:
    old = place.head()
    new = place.commit(MORE)
    git(place.home, "fetch", "--quiet", "origin")
    git(place.home, "read-tree", "-m", "-u", old, new)
    assert place.head() == old
    place.checkout.look()
    assert place.head() == new
    assert git(place.home, "status", "--porcelain") == ""
    assert len(place.rounds()) == 1


@pytest.mark.parametrize(
    "pinned", ["origin", "origin/", "main", "upstream/main", "origin/-x..y", "https://a:b@host/x/main"]
)
def test_what_is_no_branch_of_a_remote(place: Place, pinned: str) -> None:
    with pytest.raises(UsageError, match="is no REMOTE/BRANCH") as raised:
        Checkout(place.home, pinned, Output(), lambda _: None)
    assert "a:b@" not in raised.value.message


def test_a_branch_may_have_slashes_and_a_directory_must_be_in_a_checkout(
    place: Place, tmp_path: Path
) -> None:
    git(place.author, "push", "--quiet", "origin", "main:release/prod")
    checkout = Checkout(place.home, "origin/release/prod", Output(), lambda _: None)
    checkout.look()
    assert checkout.revision.problem is None
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UsageError, match="is in no Git checkout"):
        top_of(tmp_path / "elsewhere")


def test_git_ends_with_its_deadline(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    began = time.monotonic()
    with pytest.raises(UsageError, match="git did not answer within 0 s"):
        Git(tmp_path, 0.2).run("-c", "alias.wait=!sleep 600", "wait")
    assert time.monotonic() - began < 60
