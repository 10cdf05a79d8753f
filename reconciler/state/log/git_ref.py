"""A drawer in a Git ref: each key made is one commit, pushed only on top of the commit that was read.

The history is linear, shares no commit with any branch, and only grows. The tree of its tip holds the newest snapshot
and the entries since; older entries are in the history.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from reconciler.errors import StateError
from reconciler.git import Git, shown
from reconciler.state.log.drawer import Creation, entry_key, is_entry, serial_of
from reconciler.state.log.git_objects import (
    FETCH,
    KeyTree,
    ask,
    blobs,
    commit_of,
    is_ancestor,
    lone_commit,
    need,
)

_PUSH: Final = (
    "push",
    "--porcelain",
    "--no-verify",
    "--no-follow-tags",
    "--no-signed",
    "--recurse-submodules=no",
)
_TRIES: Final = 6
_PAUSE: Final = 0.2
# How many old entries are read at once.
_CHUNK: Final = 1000
# A server's messages when another push came first; any other refusal is final.
_OVERTAKEN: Final = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
)
_OVERTAKEN_WORDS: Final = re.compile(
    "incorrect old value|already exists|reference changed|failed to lock", re.IGNORECASE
)


class Pushed(StrEnum):
    """The result of a push of one ref."""

    DONE = "done"
    OVERTAKEN = "overtaken"
    UNKNOWN = "unknown"


def push(git: Git, remote: str, ref: str, commit: str, expected: str | None) -> Pushed:
    """Move a ref of the remote from `expected` (None: it does not exist) to a commit; return whether that was done.

    Raises `StateError` where the remote refuses the push and would refuse it again.
    """
    lease = f"--force-with-lease={ref}:{expected or ''}"
    try:
        ran = ask(git, *_PUSH, lease, "--", remote, f"{commit}:{ref}")
    except StateError:  # no answer in time: the caller reads the ref to find out whether it was moved
        return Pushed.UNKNOWN
    rows = [each.split("\t") for each in ran.out.decode("utf-8", "replace").splitlines()]
    told = next((row for row in rows if len(row) == 3 and row[1].endswith(f":{ref}")), None)
    if told is None:
        return Pushed.UNKNOWN
    if told[0] != "!":
        return Pushed.DONE if ran.code == 0 else Pushed.UNKNOWN
    summary = told[2]
    if summary.startswith("[remote failure]"):
        return Pushed.UNKNOWN
    if any(each in summary for each in _OVERTAKEN) or _OVERTAKEN_WORDS.search(summary):
        return Pushed.OVERTAKEN
    raise StateError(
        f"the remote {shown(remote)} does not take {ref}: {shown(summary[:200])}",
        hint="no further call was made; allow this user or job to push that ref (contents: write)",
    )


class GitDrawer:
    """The keys of one ref of a remote, with a copy of it under the same name in this checkout."""

    def __init__(self, git: Git, remote: str, ref: str) -> None:
        self._git = git
        self._remote = remote
        self.ref = ref
        self._tree: KeyTree | None = None
        # Entries read from the history by key, and the commit that made each, by serial.
        self._old: dict[str, bytes] = {}
        self._commits: dict[int, str] = {}

    @property
    def name(self) -> str:
        """The ref and its remote, as they are shown to the user."""
        return f"{self.ref} of {shown(self._remote)}"

    def create(self, key: str, data: bytes) -> Creation:
        """Make a key with one push, or find that it exists; see `Drawer`."""
        tree = self._tree or self._fetched()
        for attempt in range(_TRIES):
            if key in tree.keys or self._is_old(tree, key):
                return Creation.EXISTS
            fresh = tree.with_key(key, data)
            assert fresh.commit is not None, "a tree with a key has a commit"
            outcome = push(self._git, self._remote, self.ref, fresh.commit, tree.commit)
            if outcome is Pushed.DONE:
                ask(self._git, "update-ref", self.ref, fresh.commit, tree.commit or "0" * len(fresh.commit))
                self._tree = fresh
                return Creation.MADE
            if outcome is Pushed.UNKNOWN:
                return Creation.UNKNOWN
            time.sleep(_PAUSE * attempt * random.random())  # noqa: S311  only keeps several writers apart
            tree = self._fetched()
        raise StateError(
            f"the state {self.name} is written by others all the time: {_TRIES} tries were overtaken",
            hint="no further call was made; run the same command again",
        )

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key; an entry older than the newest snapshot is read from the history."""
        tree = self._tree or self._fetched()
        if key not in tree.keys and not self._is_old(tree, key):
            tree = self._fetched()
        return self._from_history(tree, key) if self._is_old(tree, key) else tree.get(key)

    def list(self, after: str) -> Sequence[str]:
        """Return the keys at the tip that the remote has now."""
        return self._fetched().list(after)

    # --- the remote

    def probe(self) -> None:
        """Raise `StateError` where the remote would refuse a push of this user; nothing is pushed."""
        tip = self._fetched().commit or lone_commit(self._git, "probe\n")
        ran = ask(self._git, *_PUSH, "--dry-run", "--", self._remote, f"{tip}:{self.ref}")
        if ran.code != 0:
            raise StateError(
                f"the state {self.name} cannot be written: {ran.reason}",
                hint="nothing was done; allow this user or job to push that ref (contents: write)",
            )

    def _fetched(self) -> KeyTree:
        """Update this checkout's copy of the ref; raise `StateError` if the remote's history does not continue it."""
        before = commit_of(self._git, self.ref)
        ran = ask(self._git, *FETCH, self._remote, f"{self.ref}:{self.ref}")
        is_missing = "couldn't find remote ref" in ran.err
        if ran.code != 0 and not is_missing:
            if "[rejected]" in ran.err or "non-fast-forward" in ran.err:
                raise self._rewound(before)
            raise StateError(
                f"the state {self.name} cannot be read: {ran.reason}",
                hint=f"no further call was made; `git ls-remote {shown(self._remote)}` in {self._git.directory} has to work",
            )
        tip = None if is_missing else commit_of(self._git, self.ref)
        # A tip that does not continue the last one seen would undo commits: it is refused.
        last = self._tree.commit if self._tree is not None else before
        if last is not None and last != tip and (tip is None or not is_ancestor(self._git, last, tip)):
            raise self._rewound(last)
        if self._tree is None or self._tree.commit != tip:
            self._tree = KeyTree.of(self._git, tip, self._tree)
        return self._tree

    def _rewound(self, seen: str | None) -> StateError:
        name = (seen or "")[:12]
        return StateError(
            f"the state {self.name} was rewound or replaced: this checkout has seen its commit {name}, which the remote "
            "does not have; nothing was done",
            hint=f"to put the newer one back: git push {shown(self._remote)} {seen}:{self.ref} (with --force where it was replaced). "
            f"If the remote's is right: git update-ref -d {self.ref}",
        )

    # --- the history

    @staticmethod
    def _is_old(tree: KeyTree, key: str) -> bool:
        """Return whether a key is not in the tree because a snapshot covers it."""
        newest = max((serial_of(each) or 0 for each in tree.keys if not is_entry(each)), default=0)
        return key not in tree.keys and (serial_of(key) or 0) <= newest

    def _from_history(self, tree: KeyTree, key: str) -> bytes | None:
        serial = serial_of(key) or 0
        if not is_entry(key):
            return None
        if key not in self._old:
            if serial not in self._commits:
                self._commits = self._commits_of(tree)
            wanted = {
                f"{self._commits[each]}:{entry_key(each)}": entry_key(each)
                for each in range(max(1, serial - _CHUNK + 1), serial + 1)
                if each in self._commits
            }
            self._old = {wanted[name]: data for name, data in blobs(self._git, list(wanted)).items()}
        return self._old.get(key)

    def _commits_of(self, tree: KeyTree) -> dict[int, str]:
        text = need(self._git, "log", "--first-parent", "--format=%H %s", tree.commit or self.ref)
        rows = (line.partition(" ") for line in text.splitlines())
        return {serial_of(key) or 0: commit for commit, _, key in rows if is_entry(key)}
