"""The function `load('data/hotels.yaml')` in templates: each data file is read once.

A bad data file is reported once, at its own place.
"""

from __future__ import annotations

from typing import Any

from reconciler.config.files.data import SUFFIXES, reader_of
from reconciler.config.files.documents import Files
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import Forbidden
from reconciler.diagnostics import Problems


class DataDamaged(Exception):
    """A data file has problems that were reported already."""


class DataFiles:
    """The `load` function of templates."""

    def __init__(self, files: Files, problems: Problems, progress: WorkProgress) -> None:
        self._files = files
        self._problems = problems
        self._progress = progress
        self._loaded: dict[str, Any] = {}

    def load(self, name: object) -> Any:
        """Return the contents of a data file.

        Raises `Forbidden` for a name that is not a data file's, `Unreadable` for a file that cannot be read,
        `DataDamaged` for a bad one.
        """
        if not isinstance(name, str):
            raise Forbidden("load() wants a file's name, such as load('data/hotels.yaml')")
        if name not in self._loaded:
            self._loaded[name] = self._read(name)
        return self._loaded[name]

    def _read(self, name: str) -> Any:
        reader = reader_of(name)
        if reader is None:
            raise Forbidden(
                f'load("{name}"): only {", ".join(SUFFIXES)} files that are not hidden can be loaded'
            )
        before = len(self._problems.found)
        # This time does not count as the template's; the bound on a file's size bounds it.
        with self._progress.uninterrupted():
            self._progress.reads(len(self._files.text(name)))
            data = reader(self._files, name, self._problems)
        self._files.forget(name)
        if len(self._problems.found) > before:
            raise DataDamaged(name)
        return data
