"""`watch --git`: keeps a checkout at the tip of one branch of its remote, by fast-forward only.

While the remote does not answer, the present fleet is kept. If the branch does not continue the commit that is checked
out, or files differ from that commit, they are refused, and the last good fleet is kept.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.cli.output import MASKER, Output
from reconciler.cli.revisions import commit_named, tree_of, uncommitted
from reconciler.cli.watched_files import WatchedFiles
from reconciler.errors import UsageError
from reconciler.git import Git, shown
from reconciler.model.fleet import DesiredFleet
from reconciler.secrets import Secret
from reconciler.values import dataclass

# The seconds that one git command may take, so also a fetch.
_SECONDS = 20.0
# A longer user name in a URL may be a token, so it is masked.
_LONGEST_USER = 8
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Revision:
    """The commit that is checked out; `problem` says why it must not be used, for example a rewritten branch."""

    commit: str
    problem: UsageError | None = None


@dataclass(frozen=True, slots=True)
class _Looked:
    """The result of one fetch: `result` is the metric's word, `text` a message for the log, empty if nothing is new."""

    result: str
    text: str = ""


class Checkout:
    """A checkout that follows the branch `pinned`, as `REMOTE/BRANCH`. `told` is called with the result of each fetch.

    Raises `UsageError` if the directory is in no checkout, or if there is no such remote.
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
        self.revision = Revision(commit_named(self._git, "HEAD"))
        _learn_credentials(self._git, self._remote)

    def is_moving(self) -> bool:
        """Return whether a fast-forward is writing files at this moment."""
        return self._moving.locked()

    async def follow(self, interval: float, moved: Callable[[], None]) -> None:
        """Fetch and fast-forward every `interval` seconds, varied by 20 %; call `moved` after each fast-forward."""
        while True:
            await asyncio.sleep(interval * (0.8 + 0.4 * random.random()))  # noqa: S311  # keeps replicas apart
            looked = await asyncio.to_thread(self._look)
            self._tell(looked)
            if looked.result == "moved":
                moved()

    def look(self) -> None:
        """Fetch once, and fast-forward if the branch allows it. Blocks until the remote has answered."""
        self._tell(self._look())

    def stop(self) -> None:
        """End the git command that is running, and start no other one."""
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
            # The checkout may be a day old, and a newer commit may have been applied since then.
            text = f"{self._pinned} was not fetched since the start"
            self.revision = Revision(commit, UsageError(text, hint="it is tried again in each interval"))
        if self._is_failing:
            return _Looked("failed")
        self._is_failing = True
        return _Looked(
            "failed", f"{self._pinned} could not be fetched ({trouble}); {commit[:_SHORT]} goes on"
        )

    def check(self, directory: Path, fleet: DesiredFleet) -> None:
        """Raise `UsageError` if the files from which a fleet was read differ from the commit that is checked out."""
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
        """Update the remote-tracking ref of the branch; raise `UsageError` if the fetch fails."""
        ran = self._git.run(
            *("fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head"),
            *("--no-auto-maintenance", "--recurse-submodules=no", "--", self._remote),
            f"+refs/heads/{self._branch}:{self._tracking}",
        )
        if ran.code != 0:
            raise UsageError(ran.reason)

    def _fast_forwarded(self) -> str:
        """Check out the fetched commit if it continues the one that is checked out, and return its id.

        Raises `UsageError` if that is impossible.
        """
        head, tip = commit_named(self._git, "HEAD"), commit_named(self._git, self._tracking)
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
            # If the process ends before this line, the next fetch finds the files in place and only moves the branch.
            if self._git.run("update-ref", "-m", "reconciler watch", "HEAD", tip, head).code != 0:
                raise UsageError(f"the branch that is checked out in {self.directory} cannot be moved")
        return tip

    @property
    def _tracking(self) -> str:
        return f"refs/remotes/{self._remote}/{self._branch}"


class FollowedFiles:
    """The files of a fleet in a checkout that follows a branch; `fleet` was read from them at the start."""

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
        # The commit of the files that were read last, and the commit of the last good files.
        self._seen = self.commit = checkout.revision.commit
        # The message of the refusal that was raised last; empty once the files are accepted again.
        self._refusal = ""

    async def read(self) -> DesiredFleet | None:
        """Return the fleet if its files or their commit have changed, else None; raise the reason to refuse them."""
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
            self._files.again()  # some of the files may be from the old commit, some from the new one
            return None
        if fleet is not None:
            self.commit = revision.commit
        return fleet


def top_of(directory: Path) -> Path:
    """Return the top directory of the checkout that a directory is in; raise `UsageError` if it is in none."""
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    ran = Git(directory).run("rev-parse", "--show-toplevel")
    if ran.code != 0:
        raise UsageError(
            f"--git: {directory} is in no Git checkout: {ran.reason}", hint="git clone the fleet's repository"
        )
    return Path(os.fsdecode(ran.out.rstrip(b"\n")))


def _parsed(git: Git, pinned: str) -> tuple[str, str]:
    """Return remote and branch of `REMOTE/BRANCH`; raise `UsageError` without such a remote or a valid branch name."""
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
    """Make the masker learn the passwords, and user names that may be tokens, in the URLs of a remote."""
    for url in git.run("remote", "get-url", "--all", remote).text.splitlines():
        with suppress(ValueError):
            parts = urlsplit(url)
            secrets = [parts.password or "", parts.username or ""]
            if len(secrets[1]) <= _LONGEST_USER:
                secrets.pop()
            MASKER.learn_all(Secret(form) for each in secrets if each for form in (each, unquote(each)))
