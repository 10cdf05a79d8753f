"""The simulator imports nothing of the rest, its modules are small, and without a port nobody pays for one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler.simulator as package

FOLDER = Path(package.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
FOREIGN = {"h11", "orjson"}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_module(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    for name in imports(tree):
        top = name.partition(".")[0]
        assert name.startswith("reconciler.simulator") or top in sys.stdlib_module_names | FOREIGN, name
        assert top != "h11" or path.name == "server.py"
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


def test_every_exported_name_exists() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        _ = package.nothing  # type: ignore[attr-defined]


def test_importing_the_package_is_light() -> None:
    program = "import sys, reconciler.simulator; print(*(set(sys.argv[1].split()) & sys.modules.keys()))"
    heavy = "h11 asyncio ssl email httpx difflib importlib.resources typing_extensions"
    done = subprocess.run(
        [sys.executable, "-c", program, heavy],
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
