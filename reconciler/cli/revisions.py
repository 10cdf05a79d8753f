"""The files of a fleet as commits have them, read by Git plumbing that runs no hook, filter or script."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from reconciler.config.files.documents import digest_of
from reconciler.errors import UsageError
from reconciler.git import Git


def tree_of(directory: Path) -> str | None:
    """Return the tree hash of a directory in the last commit; None if the commit does not have it."""
    found = Git(directory).read("rev-parse", "--verify", "--quiet", "HEAD:./")
    return found.decode().strip() if found else None


def uncommitted(
    directory: Path, tree: str, files: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> str | None:
    """Return in words how a directory differs from its tree in the last commit; None if it does not.

    `files` are the digests of the files that were read. An untracked file matters only if it was read; a tracked one
    always does, even if Git is configured to ignore its changes. `environment` is for the git command that compares.
    """
    git = Git(directory)
    command = ("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=none", ".")
    changed = git.run(*command, environment=environment)
    listed = git.read("ls-tree", "-r", "-z", "--name-only", "HEAD", "./")
    if changed.code != 0 or listed is None:
        return "git cannot compare the work tree with its commit"
    if changed.out:
        first = changed.out.split(b"\0")[0][3:]
        return f"{_named(first)} differs from its commit"
    for each in listed.split(b"\0"):
        if each and not os.path.lexists(directory / os.fsdecode(each)):
            return f"{_named(each)} is in the commit and not in the work tree"
    wanted = "".join(f"{tree}:{name}\n" for name in sorted(files))
    answers = git.run("cat-file", "--batch", "--follow-symlinks", data=wanted.encode()).out
    for name in sorted(files):
        head, _, answers = answers.partition(b"\n")
        words = head.split()
        if words[-1:] == [b"missing"]:
            return f"{name} is not committed"
        length = int(words[-1])  # of the blob, or of the name that a link leads to
        data, answers = answers[:length], answers[length + 1 :]
        if words[1] != b"blob" or digest_of(data) != files[name]:
            return f"{name} differs from its commit"
    return None


def _named(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def commit_named(git: Git, revision: str) -> str:
    """Return the id of the commit that a revision names.

    Raises `UsageError` outside a checkout, and for an unknown revision (a shallow clone may lack it).
    """
    found = git.read("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise UsageError(
            f"git knows no commit {revision!r} in {git.directory}; nothing was done",
            hint="fetch it first: a shallow clone has the last commit only (actions/checkout: fetch-depth: 0)",
        )
    return found.decode().strip()


@contextmanager
def files_at(directory: Path, revision: str) -> Iterator[Path]:
    """Yield a temporary directory with the directory's files as a commit has them; empty if the commit has none.

    Raises as `commit_named` does.
    """
    git = Git(directory)
    commit = commit_named(git, revision)
    listed = git.read("ls-tree", commit, "./")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as place:
        root = Path(place)
        if listed:
            _unpack(_archive(git, commit), root)
        yield root


@contextmanager
def tree_files(directory: Path, tree: str) -> Iterator[Path | None]:
    """Yield a temporary directory with the files of a tree; None if the checkout does not have the tree."""
    git = Git(directory)
    top = git.read("rev-parse", "--show-toplevel")
    if top is None or git.read("cat-file", "-e", f"{tree}^{{tree}}") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="reconciler-") as place:
        _unpack(_archive(Git(Path(os.fsdecode(top.rstrip(b"\n")))), tree), Path(place))
        yield Path(place)


def _archive(git: Git, commit: str) -> bytes:
    # A relative path in the archive is that of the directory in which git runs.
    data = git.read("archive", "--format=tar", commit, ".")
    if data is None:
        raise UsageError(f"git cannot read the files of {commit[:12]} in {git.directory}")
    return data


def _unpack(data: bytes, root: Path) -> None:
    import tarfile  # most commands compare with no commit

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")  # refuses absolute paths, devices and links that lead outside
