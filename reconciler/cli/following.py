"""`watch --git`: a checkout that is kept at the tip of one branch of its remote, by fast-forward and nothing else.

A remote that does not answer changes nothing in what is kept. A branch that does not continue what is checked out, or files
that are not those of their commit, are refused, and the last good fleet goes on without them.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.cli.output import MASKER, Output
from reconciler.cli.revisions import tree_of, uncommitted
from reconciler.cli.watched_files import WatchedFiles
from reconciler.errors import UsageError
from reconciler.git import Git, shown
from reconciler.model.fleet import DesiredFleet
from reconciler.secrets import Secret

# How long one fetch may take, seconds.
_SECONDS = 20.0
# A user name in a URL that is longer may be a token.
_LONGEST_USER = 8
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Revision:
    """Where a checkout stands; `problem` says why what is checked out is not what the branch says."""

    commit: str
    problem: UsageError | None = None


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of one look, in the word of the metric, and in words where that is new."""

    result: str
    text: str = ""


class Checkout:
    """One checkout, and the branch `REMOTE/BRANCH` that it follows. `told` takes what came of each fetch.

    Raises `UsageError` where the directory is in no checkout, or there is no such remote.
    """

    def __init__(
        self,
        directory: Path,
        pinned: str,
        output: Output,
        told: Callable[[str], None],
        *,
        seconds: float = _SECONDS,
    ) -> None:
        self.directory = top_of(directory)
        self._git = Git(self.directory, seconds)
        self._remote, self._branch = _parsed(self._git, pinned)
        self._pinned = pinned
        self._output = output
        self._told = told
        self._moving = threading.Lock()
        self._is_answered = False
        self._is_failing = False
        self.revision = Revision(self._commit("HEAD"))
        _learn_credentials(self._git, self._remote)

    def is_moving(self) -> bool:
        """Whether files are being written in this instant."""
        return self._moving.locked()

    async def follow(self, interval: float, moved: Callable[[], None]) -> None:
        """Fetch and fast-forward again and again, until cancelled; `moved` is called after each fast-forward."""
        while True:
            await asyncio.sleep(interval * (0.8 + 0.4 * random.random()))  # noqa: S311  # keeps replicas apart
            looked = await asyncio.to_thread(self._look)
            self._tell(looked)
            if looked.result == "moved":
                moved()

    def look(self) -> None:
        """Fetch once, and fast-forward where that is all there is to do. Blocks for as long as the remote takes."""
        self._tell(self._look())

    def stop(self) -> None:
        """End the fetch that is under way."""
        self._git.stop()

    def _tell(self, looked: _Looked) -> None:
        self._told(looked.result)
        if looked.text:
            self._output.say(looked.text, level="warning" if looked.result == "failed" else "info")

    def _look(self) -> _Looked:
        before = self.revision.commit
        try:
            self._fetch()
        except UsageError as problem:
            return self._failed(problem.message)
        text = f"{self._remote} answers again" if self._is_failing else ""
        self._is_answered, self._is_failing = True, False
        try:
            self.revision = Revision(self._fast_forwarded())
        except UsageError as problem:
            self.revision = Revision(before, problem)
            return _Looked("refused", text)
        if self.revision.commit == before:
            return _Looked("unchanged", text)
        return _Looked("moved", f"{self._pinned} is at {self.revision.commit[:_SHORT]} now")

    def _failed(self, trouble: str) -> _Looked:
        commit = self.revision.commit
        if not self._is_answered:
            # What lies here may be a day old: somebody has perhaps applied a newer commit since.
            text = f"{self._pinned} was not fetched since the start"
            self.revision = Revision(commit, UsageError(text, hint="it is tried again in each interval"))
        if self._is_failing:
            return _Looked("failed")
        self._is_failing = True
        return _Looked(
            "failed", f"{self._pinned} could not be fetched ({trouble}); {commit[:_SHORT]} goes on"
        )

    def check(self, directory: Path, fleet: DesiredFleet) -> None:
        """Raise `UsageError` where a fleet was read of files that are not those of the commit."""
        tree = tree_of(directory)
        reason = (
            "the fleet's directory is in no commit"
            if tree is None
            else uncommitted(directory, tree, fleet.files, self._git.without_filters())
        )
        if reason is not None:
            raise UsageError(
                f"--git {self._pinned}: {reason}",
                hint="files come by a commit of that branch only: commit and push, or `git restore` them",
            )

    # --- the steps

    def _fetch(self) -> None:
        """Bring the copy of the branch up to date."""
        ran = self._git.run(
            *("fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head"),
            *("--no-auto-maintenance", "--recurse-submodules=no", "--", self._remote),
            f"+refs/heads/{self._branch}:{self._tracking}",
        )
        if ran.code != 0:
            raise UsageError(ran.reason)

    def _fast_forwarded(self) -> str:
        """Check out the fetched commit where it continues what is checked out; returns its id."""
        head, tip = self._commit("HEAD"), self._commit(self._tracking)
        if head == tip:
            return head
        if self._git.run("merge-base", "--is-ancestor", head, tip).code != 0:
            raise UsageError(
                f"{self._pinned} was rewritten, or this checkout has commits of its own: {head[:_SHORT]} is not in the history "
                f"of {tip[:_SHORT]}",
                hint=f"where the branch is right: git -C {self.directory} reset --hard {self._pinned}",
            )
        with self._moving:
            off = self._git.without_filters()
            self._git.run("update-index", "-q", "--refresh", environment=off)
            ran = self._git.run(
                *("-c", "submodule.recurse=false", "read-tree", "-m", "-u", head, tip), environment=off
            )
            if ran.code != 0:
                raise UsageError(
                    f"{self._pinned} is at {tip[:_SHORT]}, and this checkout cannot go there: {ran.reason}",
                    hint="changes that were made here are in the way: commit and push them, or `git restore` them",
                )
            # Ended in between, the next look finds the files there already, and only moves the branch.
            if self._git.run("update-ref", "-m", "reconciler watch", "HEAD", tip, head).code != 0:
                raise UsageError(f"the branch that is checked out in {self.directory} cannot be moved")
        return tip

    @property
    def _tracking(self) -> str:
        return f"refs/remotes/{self._remote}/{self._branch}"

    def _commit(self, name: str) -> str:
        ran = self._git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if ran.code != 0:
            raise UsageError(f"{self.directory} has no commit {name}")
        return ran.text


class FollowedFiles:
    """The files of a fleet in a checkout that is followed: `fleet` was read at the start. `read` as `WatchedFiles.read`."""

    def __init__(
        self,
        files: WatchedFiles,
        checkout: Checkout,
        fleet: DesiredFleet,
        check: Callable[[DesiredFleet], None],
    ) -> None:
        self._files = files
        self._checkout = checkout
        self._check = check
        self._begun_with: DesiredFleet | None = fleet
        # Of the files that were last read, and of the last good ones.
        self._seen = self.commit = checkout.revision.commit
        # The refusal that was told, until it is lifted.
        self._refusal = ""

    async def read(self) -> DesiredFleet | None:
        """The fleet where another commit, or other files of this one, are good, else None; raises why they are refused."""
        revision = self._checkout.revision
        if self._checkout.is_moving():
            return None
        if revision.problem is not None:
            if revision.problem.message == self._refusal:
                return None
            self._refusal = revision.problem.message
            raise revision.problem
        begun, self._begun_with = self._begun_with, None
        if self._refusal or revision.commit != self._seen:
            self._refusal, self._seen = "", revision.commit
            self._files.again()
        elif begun is not None:
            await asyncio.to_thread(self._check, begun)
        fleet = await self._files.read()
        if self._checkout.is_moving() or self._checkout.revision != revision:
            self._files.again()  # files of two commits are those of none
            return None
        if fleet is not None:
            self.commit = revision.commit
        return fleet


def top_of(directory: Path) -> Path:
    """The top of the checkout that a directory is in; `UsageError` where it is in none."""
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    ran = Git(directory).run("rev-parse", "--show-toplevel")
    if ran.code != 0:
        raise UsageError(
            f"--git: {directory} is in no Git checkout: {ran.reason}", hint="git clone the fleet's repository"
        )
    return Path(os.fsdecode(ran.out.rstrip(b"\n")))


def _parsed(git: Git, pinned: str) -> tuple[str, str]:
    """The remote and the branch that `REMOTE/BRANCH` names; `UsageError` where there is no such remote."""
    remotes = git.run("remote").text.split()
    for remote in sorted(remotes, key=len, reverse=True):
        branch = pinned.removeprefix(f"{remote}/")
        if branch not in ("", pinned) and git.run("check-ref-format", f"refs/heads/{branch}").code == 0:
            return remote, branch
    raise UsageError(
        f"--git {shown(pinned)} is no REMOTE/BRANCH of {git.directory}",
        hint=f"it has {', '.join(remotes)}: write {remotes[0]}/main"
        if remotes
        else "git remote add origin URL",
    )


def _learn_credentials(git: Git, remote: str) -> None:
    """Let the masker know what the URLs of a remote hold besides the place."""
    for url in git.run("remote", "get-url", "--all", remote).text.splitlines():
        with suppress(ValueError):
            parts = urlsplit(url)
            secrets = [parts.password or "", parts.username or ""]
            if len(secrets[1]) <= _LONGEST_USER:
                secrets.pop()
            MASKER.learn_all(Secret(form) for each in secrets if each for form in (each, unquote(each)))
