"""A drawer in a directory: one file a key, for tests and simulations."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import StateError
from reconciler.state.log.drawer import Creation


class DirectoryDrawer:
    """Keys as files below a directory, each created in one step by a hard link."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def create(self, key: str, data: bytes) -> Creation:
        place = self.directory / key
        fresh = self.directory / f"{uuid.uuid4().hex}.new"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, place)
            except FileExistsError:
                return Creation.EXISTS
            finally:
                fresh.unlink()
        except OSError as problem:
            raise StateError(f"{place} cannot be written: {problem.strerror}") from problem
        return Creation.MADE

    def get(self, key: str) -> bytes | None:
        try:
            return (self.directory / key).read_bytes()
        except FileNotFoundError:
            return None

    def list(self, after: str) -> Sequence[str]:
        keys = (
            each.relative_to(self.directory).as_posix()
            for each in self.directory.glob("*/*")
            if each.is_file()
        )
        return sorted(each for each in keys if each > after)
