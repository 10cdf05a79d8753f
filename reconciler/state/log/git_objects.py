"""Read and make commits whose tree holds keys of a log, by Git plumbing: no index, work tree, branch or identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final

from reconciler.errors import StateError, UsageError
from reconciler.git import Git, Ran, shown
from reconciler.state.damage import damaged
from reconciler.state.log.drawer import serial_of
from reconciler.values import dataclass

_WHO: Final = "reconciler"
_EPOCH: Final = "1970-01-01T00:00:00Z"
_MAIL: Final = "reconciler@localhost"
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": _WHO,
    "GIT_AUTHOR_EMAIL": _MAIL,
    "GIT_COMMITTER_NAME": _WHO,
    "GIT_COMMITTER_EMAIL": _MAIL,
}
# Keeps git from fetching what a partial clone lacks, so that reading opens no connection.
_NO_REMOTE: Final = ("-c", "protocol.allow=never")
# Options of every fetch: only the ref that is named, whatever the configuration says.
FETCH: Final = (
    *("fetch", "--no-tags", "--no-prune", "--no-filter", "--no-write-fetch-head", "--recurse-submodules=no"),
    "--",
)
_BLOB: Final = "100644 blob"


def ask(git: Git, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
    """Run git and return the result; if git cannot be run, raise `StateError`, because the state cannot be used."""
    try:
        return git.run(*arguments, data=data, environment=environment)
    except UsageError as problem:
        raise StateError(
            f"the state cannot be used: {problem.message}",
            hint="no further call was made; run the same command again, in a checkout of the fleet's repository",
        ) from problem


def need(git: Git, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    """Return what a git command prints, without its line end; raise `StateError` where it fails."""
    ran = ask(git, *arguments, data=data, environment=environment)
    if ran.code != 0:
        raise StateError(
            f"git {arguments[0]} failed in {git.directory}: {ran.reason}",
            hint="no further call was made; is this a checkout of the fleet's repository?",
        )
    return ran.text


def commit_of(git: Git, name: str) -> str | None:
    """Return the commit id of a ref or an id in this checkout; None where there is none."""
    ran = ask(git, *_NO_REMOTE, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return ran.text if ran.code == 0 else None


def is_ancestor(git: Git, old: str, new: str) -> bool:
    """Return whether the history of the commit `new` holds `old`."""
    return ask(git, *_NO_REMOTE, "merge-base", "--is-ancestor", old, new).code == 0


def made_commit(git: Git, tree: str, parent: str | None, message: str, **when: str) -> str:
    """Make a commit of a tree and return its id."""
    parents = () if parent is None else ("-p", parent)
    command = ("-c", "i18n.commitEncoding=utf-8", "commit-tree", tree, *parents)
    return need(git, *command, data=message.encode(), environment={**_IDENTITY, **when})


def lone_commit(git: Git, message: str, **when: str) -> str:
    """Make a commit without files and without a parent, and return its id."""
    return made_commit(git, need(git, "mktree"), None, message, **when)


def free_commit(git: Git) -> str:
    """Return the id of the fixed commit that marks a ref as free, since some hosts do not allow a ref to be deleted."""
    when = {"GIT_AUTHOR_DATE": _EPOCH, "GIT_COMMITTER_DATE": _EPOCH}
    return lone_commit(git, "free", **when)


def tip_of(git: Git, remote: str, ref: str) -> str | None:
    """Return the commit id at which a ref of a remote is now; None if it does not exist. Nothing is fetched."""
    ran = ask(git, "ls-remote", "--quiet", "--", remote, ref)
    if ran.code != 0:
        raise StateError(
            f"the ref {ref} of {shown(remote)} cannot be read: {ran.reason}",
            hint=f"no further call was made; `git ls-remote {shown(remote)}` in {git.directory} has to work",
        )
    return next((line.split("\t")[0] for line in ran.text.splitlines() if line.endswith(f"\t{ref}")), None)


def _reach(is_offline: bool) -> Sequence[str]:
    return _NO_REMOTE if is_offline else ()


@dataclass(slots=True)
class KeyTree:
    """The keys in the tree of one commit, with their contents.

    `is_offline` keeps git from fetching what a partial clone has left out.
    """

    git: Git
    commit: str | None
    keys: dict[str, str] = field(default_factory=dict)  # the blob's id by key
    is_offline: bool = False
    _held: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls, git: Git, commit: str | None, before: KeyTree | None = None, *, is_offline: bool = False
    ) -> KeyTree:
        """Return the keys of a commit; contents that `before` has read already are not read again."""
        keys: dict[str, str] = {}
        if commit is not None:
            ran = ask(git, *_reach(is_offline), "ls-tree", "-r", "-z", "--full-tree", commit)
            if ran.code != 0:
                raise damaged(f"the tree of {commit[:12]} cannot be read ({ran.reason})")
            for line in ran.out.decode("utf-8", "replace").split("\0")[:-1]:
                about, _, path = line.partition("\t")
                kind, _, blob = about.rpartition(" ")
                if kind != _BLOB or serial_of(path) is None:
                    raise damaged(f"{commit[:12]} is no commit of a state: it holds {path[:80]!r}")
                keys[path] = blob
            if not keys:
                raise damaged(f"{commit[:12]} is no commit of a state: it holds nothing")
        held = before._held if before is not None else {}
        known = {blob: held[blob] for blob in keys.values() if blob in held}
        return cls(git, commit, keys, is_offline, known)

    def list(self, after: str) -> Sequence[str]:
        return sorted(each for each in self.keys if each > after)

    def get(self, key: str) -> bytes | None:
        blob = self.keys.get(key)
        if blob is None:
            return None
        if blob not in self._held:
            missing = [each for each in self.keys.values() if each not in self._held]
            self._held.update(blobs(self.git, missing, is_offline=self.is_offline))
        if blob not in self._held:
            raise StateError(
                f"{key} of {(self.commit or '')[:12]} is not in this checkout, a partial clone perhaps; nothing was done",
                hint="git fetch --refetch --no-filter origin '+refs/reconciler/*:refs/reconciler/*'",
            )
        return self._held[blob]

    def with_key(self, key: str, data: bytes) -> KeyTree:
        """Return this tree with one more key, as a new commit. A snapshot replaces every key up to its serial."""
        serial, is_snapshot = serial_of(key) or 0, key.startswith("snapshot/")
        keys = {
            each: blob
            for each, blob in self.keys.items()
            if not is_snapshot or (serial_of(each) or 0) > serial
        }
        keys[key] = need(self.git, "hash-object", "-w", "-t", "blob", "--stdin", data=data)
        folders: dict[str, list[str]] = {}
        for each, blob in sorted(keys.items()):
            folder, _, name = each.partition("/")
            folders.setdefault(folder, []).append(f"{_BLOB} {blob}\t{name}\n")
        trees = [f"040000 tree {self._tree(lines)}\t{name}\n" for name, lines in sorted(folders.items())]
        commit = made_commit(self.git, self._tree(trees), self.commit, f"{key}\n")
        held = {blob: self._held[blob] for blob in keys.values() if blob in self._held}
        return KeyTree(self.git, commit, keys, self.is_offline, {**held, keys[key]: data})

    def _tree(self, lines: Iterable[str]) -> str:
        return need(self.git, "mktree", "--missing", data="".join(lines).encode())


def blobs(git: Git, names: Sequence[str], *, is_offline: bool = False) -> dict[str, bytes]:
    """Return the contents of objects, by the names given; without those that are not in this checkout."""
    ran = ask(
        git, *_reach(is_offline), "cat-file", "--batch", data="".join(f"{each}\n" for each in names).encode()
    )
    if ran.code != 0 and is_offline:
        return {}  # a partial clone, which is not allowed to fetch here
    if ran.code != 0:
        raise damaged(f"its objects cannot be read ({ran.reason})")
    found: dict[str, bytes] = {}
    at = 0
    for name in names:
        end = ran.out.index(b"\n", at)
        head = ran.out[at:end].rsplit(b" ", 2)
        at = end + 1
        if len(head) == 3 and head[1] == b"blob":
            size = int(head[2])
            found[name] = ran.out[at : at + size]
            at += size + 1
    return found
