"""Puts a mutant in the place of a module: a copy of this file is the `sitecustomize` of every process of a judgement.

The mutant comes as a file, named in the environment. This module imports nothing of the package.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

MODULE, SOURCE = "RECONCILER_MUTANT", "RECONCILER_MUTANT_SOURCE"


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> object:  # type: ignore[override]  # no bytecode of mutants is kept
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.origin is not None, fullname
        loader = _Loader(fullname, spec.origin, self._source)
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


def plant() -> None:
    """Put the mutant of the environment in place, before anything of the package is imported."""
    if any(name.split(".")[0] == "reconciler" for name in sys.modules):
        raise RuntimeError("a mutant has to be planted before anything is imported")
    source = Path(os.environ[SOURCE]).read_text(encoding="utf-8")
    sys.meta_path.insert(0, _Finder(os.environ[MODULE], source))


if MODULE in os.environ:
    plant()
