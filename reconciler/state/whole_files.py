"""Small files that make later runs better and are missed by none: read as a whole, replaced as a whole, or left alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from reconciler.state import files


def read_whole(path: Path, largest: int) -> bytes:
    """What a file holds, no link followed; empty where there is none, or more than `largest` bytes."""
    with suppress(OSError):
        if path.is_symlink() or not path.is_file():
            return b""
        descriptor = os.open(path, os.O_RDONLY | files.NO_LINK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(largest + 1)
        return data if len(data) <= largest else b""
    return b""


def replace_whole(path: Path, data: bytes) -> None:
    """Put a file in place at once, readable by its owner alone; silently nothing where it cannot be."""
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
    """Make a directory of ours in a checkout that Git does not list; silently nothing where it cannot be made."""
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / ".gitignore").open("x", encoding="utf-8") as file:
            file.write("*\n")
