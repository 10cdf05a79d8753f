"""Commits whose tree holds keys of a log: read and made by plumbing, without index, work tree, branch or identity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final

from reconciler.errors import StateError, UsageError
from reconciler.git import Git, Ran
from reconciler.state.damage import damaged
from reconciler.state.log.drawer import serial_of
from reconciler.values import dataclass

_WHO: Final = "reconciler"
_MAIL: Final = "reconciler@localhost"
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": _WHO,
    "GIT_AUTHOR_EMAIL": _MAIL,
    "GIT_COMMITTER_NAME": _WHO,
    "GIT_COMMITTER_EMAIL": _MAIL,
}
# No remote is asked for what a partial clone lacks: reading what is here opens no socket.
_NO_REMOTE: Final = ("-c", "protocol.allow=never")
_BLOB: Final = "100644 blob"


def ask(git: Git, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
    """Run git; what keeps it from running is a `StateError`, as it is the state that cannot be used."""
    try:
        return git.run(*arguments, data=data, environment=environment)
    except UsageError as problem:
        raise StateError(
            f"the state cannot be used: {problem.message}",
            hint="no further call was made; run the same command again, in a checkout of the fleet's repository",
        ) from problem


def need(git: Git, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    """What a command prints, without its line end; `StateError` where it fails."""
    ran = ask(git, *arguments, data=data, environment=environment)
    if ran.code != 0:
        raise StateError(
            f"git {arguments[0]} failed in {git.directory}: {last_line(ran.err)}",
            hint="no further call was made; is this a checkout of the fleet's repository?",
        )
    return ran.text


def last_line(text: str) -> str:
    """What git complained of, in one line."""
    lines = [each.strip() for each in text.splitlines() if each.strip()]
    told = next((each for each in lines if each.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    return shown(told.removeprefix("fatal:").removeprefix("error:").strip()[:300]) or "it gave no reason"


def shown(text: str) -> str:
    """A remote, or a text that quotes one, without what a URL holds before its `@`."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def commit_of(git: Git, name: str) -> str | None:
    """The id of the commit that a ref or an id stands for in this checkout; None where there is none."""
    ran = ask(git, *_NO_REMOTE, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return ran.text if ran.code == 0 else None


def is_ancestor(git: Git, old: str, new: str) -> bool:
    """Whether the history of one commit holds another."""
    return ask(git, *_NO_REMOTE, "merge-base", "--is-ancestor", old, new).code == 0


def made_commit(git: Git, tree: str, parent: str | None, message: str, **when: str) -> str:
    """The id of a new commit of a tree."""
    parents = () if parent is None else ("-p", parent)
    return need(
        git,
        "-c",
        "i18n.commitEncoding=utf-8",
        "commit-tree",
        tree,
        *parents,
        data=message.encode(),
        environment={**_IDENTITY, **when},
    )


def _reach(is_offline: bool) -> Sequence[str]:
    return _NO_REMOTE if is_offline else ()


@dataclass(slots=True)
class KeyTree:
    """The keys in the tree of one commit, and what they hold.

    `is_offline` keeps git from asking a remote for what a partial clone has left out.
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
        """The keys of a commit; what an earlier tree has read of the same keys is not read again."""
        keys: dict[str, str] = {}
        if commit is not None:
            ran = ask(git, *_reach(is_offline), "ls-tree", "-r", "-z", "--full-tree", commit)
            if ran.code != 0:
                raise damaged(f"the tree of {commit[:12]} cannot be read ({last_line(ran.err)})")
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
        """The same with one more key, as a new commit. A snapshot takes the place of every key up to its serial."""
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
    """What objects hold, by the names they were asked for; without those that are not in this checkout."""
    ran = ask(
        git, *_reach(is_offline), "cat-file", "--batch", data="".join(f"{each}\n" for each in names).encode()
    )
    if ran.code != 0 and is_offline:
        return {}  # a partial clone, which may not ask its remote
    if ran.code != 0:
        raise damaged(f"its objects cannot be read ({last_line(ran.err)})")
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
