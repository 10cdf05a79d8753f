"""The files of a fleet as another commit has them, by plumbing that runs no hook, filter or script of the repository."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.git import Git


@contextmanager
def files_at(directory: Path, revision: str) -> Iterator[Path]:
    """The directory as a commit has it, in a temporary place; an empty one where the commit does not have it.

    Raises `UsageError` where this is no checkout, or the revision is unknown (a shallow clone may lack it).
    """
    git = Git(directory)
    commit = git.read("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"git knows no commit {revision!r} in {directory}",
            hint="fetch it first: a shallow clone has the last commit only (actions/checkout: fetch-depth: 0)",
        )
    name = commit.decode().strip()
    listed = git.read("ls-tree", name, "./")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as place:
        root = Path(place)
        if listed:
            _unpack(_archive(git, name), root)
        yield root


def _archive(git: Git, commit: str) -> bytes:
    # A relative path in the archive is that of the directory in which git runs.
    data = git.read("archive", "--format=tar", commit, ".")
    if data is None:
        raise UsageError(f"git cannot read the files of {commit[:12]} in {git.directory}")
    return data


def _unpack(data: bytes, root: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")  # refuses absolute paths, devices and links that lead outside
