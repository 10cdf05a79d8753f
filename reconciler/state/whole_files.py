"""Small files that a run can do without: read as a whole, replaced as a whole; errors of the disk are ignored."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from reconciler.state import files


def read_whole(path: Path, largest: int) -> bytes:
    """Return a file's contents, without following a link; empty if there is none or it exceeds `largest` bytes."""
    with suppress(OSError):
        if path.is_symlink() or not path.is_file():
            return b""
        descriptor = os.open(path, os.O_RDONLY | files.NO_LINK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(largest + 1)
        return data if len(data) <= largest else b""
    return b""


def replace_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, readable by its owner only; errors of the disk are ignored."""
    fresh = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(files.create(fresh), "wb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)


def make_ignored(directory: Path) -> None:
    """Create a directory with a `.gitignore` for all of it; errors of the disk are ignored."""
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / ".gitignore").open("x", encoding="utf-8") as file:
            file.write("*\n")
