"""What is known of a stream that the command writes to or reads from; and how a file is written whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path


def columns(stream: TextIO | None) -> int | None:
    """Return the columns for a line on a stream: COLUMNS, else those of the terminal; None without either."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told[:6]) > 0:
        return int(told[:6])
    return shutil.get_terminal_size().columns if is_terminal(stream) else None


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; not if it is closed."""
    with suppress(ValueError):
        return stream is not None and stream.isatty()
    return False


def is_file(stream: TextIO | None) -> bool:
    """Return whether a stream is a regular file, from which no runner reads commands."""
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def write_file(path: Path, data: bytes, *, mode: str = "wb") -> None:
    """Write a file. If that fails, for example on a full disk, no half of it is left, and the error names it."""
    try:
        with path.open(mode) as file:
            file.write(data)
    except OSError as problem:
        if problem.filename is None:  # it was opened, and not written as a whole
            problem.filename = str(path)
            if path.is_file():
                path.resolve().unlink()
        raise
