"""The simulator is an independent witness, its rooms are small, and nobody pays for a port who has none."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler.simulator as face

ROOM = Path(face.__file__).parent
FILES = sorted(ROOM.glob("*.py"))
FOREIGN = {"orjson", "uvicorn"}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_room(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    for name in imports(tree):
        top = name.partition(".")[0]
        assert name.startswith("reconciler.simulator") or top in sys.stdlib_module_names | FOREIGN, name
        assert top != "uvicorn" or path.name == "server.py"
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


def test_the_face_is_whole() -> None:
    for name in face.__all__:
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError):
        _ = face.nothing  # type: ignore[attr-defined]


def test_importing_the_face_is_light() -> None:
    program = "import sys, reconciler.simulator; print(*(set(sys.argv[1].split()) & sys.modules.keys()))"
    heavy = "uvicorn asyncio ssl email httpx difflib importlib.resources typing_extensions"
    done = subprocess.run(
        [sys.executable, "-c", program, heavy],
        cwd=ROOM.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
