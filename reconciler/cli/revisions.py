"""The files of a fleet as another commit has them, by plumbing that runs no hook, filter or script of the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import UsageError

# A tree beyond this is no fleet; the loader has limits of its own.
_LARGEST = 256 * 1024 * 1024
_SECONDS = 60.0


@contextmanager
def files_at(directory: Path, revision: str) -> Iterator[Path]:
    """The directory as a commit has it, in a temporary place; an empty one where the commit does not have it.

    Raises `UsageError` where this is no checkout, or the revision is unknown (a shallow clone may lack it).
    """
    commit = _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"git knows no commit {revision!r} in {directory}",
            hint="fetch it first: a shallow clone has the last commit only (actions/checkout: fetch-depth: 0)",
        )
    name = commit.decode().strip()
    listed = _git(directory, "ls-tree", name, "./")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as place:
        root = Path(place)
        if listed:
            _unpack(_archive(directory, name), root)
        yield root


def _archive(directory: Path, commit: str) -> bytes:
    # A relative path in the archive is that of the directory in which git runs.
    data = _git(directory, "archive", "--format=tar", commit, ".")
    if data is None:
        raise UsageError(f"git cannot read the files of {commit[:12]} in {directory}")
    return data


def _unpack(data: bytes, root: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")  # refuses absolute paths, devices and links that lead outside


def _git(directory: Path, *arguments: str) -> bytes | None:
    """What a git command prints, or None where it fails; `UsageError` where there is no git."""
    # No pager, no filter and no hook of a configuration that the checkout brings along.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed program, no shell
            command, cwd=directory, capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UsageError(
            "git is needed for this and is not installed, or there is no such directory"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git did not answer within {_SECONDS:.0f} s") from None
    if done.returncode != 0 or len(done.stdout) > _LARGEST:
        return None
    return done.stdout
