"""Finds the fleets of a checkout, and those that a change touches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from reconciler import config
from reconciler.cli.ci.job import git_says
from reconciler.cli.output import Output
from reconciler.cli.revisions import commit_named
from reconciler.errors import InvalidConfig, UsageError
from reconciler.git import Git
from reconciler.model.address import ENVIRONMENT, NO_ENVIRONMENT
from reconciler.model.fleet import FLEET_FILE
from reconciler.report.documents import as_json_line
from reconciler.report.escape import visible

_HARMLESS = re.compile(r"(?!-)[A-Za-z0-9._/+=@,-]+")
# The id that a runner gives for "before" on a branch's first push.
_NOTHING = "0" * 40


def matrix(directories: tuple[str, ...], revision: str | None, output: Output) -> str:
    """Return the fleets below some directories that differ from a commit, and their environments, as a line of JSON."""
    git = Git(Path())
    root = git_says(git, "rev-parse", "--show-toplevel")
    here = PurePosixPath(git_says(git, "rev-parse", "--show-prefix"))
    top = Git(Path(root))
    fleets = [
        each for each in _fleets(_names(top, "HEAD")) if any(_is_below(each, here, d) for d in directories)
    ]
    if revision is not None and revision != _NOTHING:
        fleets = _touched(fleets, top, revision, output)
    rows = [row for each in fleets for row in _rows(Path(root) / each, _shown(each, here))]
    return as_json_line({"include": rows})


def _touched(fleets: list[PurePosixPath], git: Git, revision: str, output: Output) -> list[PurePosixPath]:
    """Return the fleets in whose directories a file differs, or all if the policy differs; warn of removed fleets."""
    commit = commit_named(git, revision)
    changed = _paths(git, "diff-tree", "-r", "-z", "--no-renames", "--name-only", commit, "HEAD")
    for gone in sorted({*_fleets(_names(git, commit))} - {*_fleets(_names(git, "HEAD"))}):
        output.say(
            f"warning: the fleet in {visible(str(gone))} is gone from the files, and its agents go on: check out {commit[:12]} "
            "and run `reconciler destroy` there [ci]",
            level="warning",
        )
    if PurePosixPath(config.POLICY_FILE) in changed:
        return fleets
    above = {parent for path in changed for parent in path.parents}
    return [each for each in fleets if each in above]


def _rows(directory: Path, shown: str) -> Iterator[dict[str, str]]:
    """Yield a row for each environment; one row for a fleet without any, or that does not load: its job shows why.

    Rows are used in the commands of a workflow. Raises `UsageError` if a path has characters with a meaning to a shell.
    """
    if not _HARMLESS.fullmatch(shown):
        raise UsageError(
            f"the fleet's directory {shown!a} has characters that do not belong into the commands of a workflow",
            hint="rename it: letters, digits, and any of . _ - / + = @ ,",
        )
    try:
        environments: tuple[str, ...] = config.environments(directory)
    except (InvalidConfig, OSError):
        environments = ()
    if not all(map(ENVIRONMENT.fullmatch, environments)):
        environments = ()
    fleet = config.outline(directory)
    name = fleet.owner.fleet if fleet is not None else ""
    for each in environments or ("",):
        owner = f"{name}.{each or NO_ENVIRONMENT}" if name else ""
        yield {"directory": shown, "environment": each, "fleet": name, "name": owner or shown}


def _fleets(names: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return the directories that hold a fleet's file, sorted."""
    return sorted(each.parent for each in names if each.name == FLEET_FILE)


def _names(git: Git, commit: str) -> list[PurePosixPath]:
    return _paths(git, "ls-tree", "-r", "-z", "--name-only", commit)


def _paths(git: Git, *arguments: str) -> list[PurePosixPath]:
    return [PurePosixPath(each) for each in git_says(git, *arguments).split("\0") if each]


def _is_below(fleet: PurePosixPath, here: PurePosixPath, directory: str) -> bool:
    wanted = _joined(here, directory)
    return wanted == PurePosixPath() or fleet == wanted or wanted in fleet.parents


def _joined(here: PurePosixPath, directory: str) -> PurePosixPath:
    """Return a directory of the command line relative to the repository's root. Raises `UsageError` for one outside."""
    parts: list[str] = []
    for part in (here / directory).parts:
        if part == ".." and not parts:
            raise UsageError(f"{directory} is not in this repository")
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _shown(fleet: PurePosixPath, here: PurePosixPath) -> str:
    """Return a fleet's directory relative to the current directory."""
    import posixpath

    return posixpath.relpath(f"/{fleet}", f"/{here}")
