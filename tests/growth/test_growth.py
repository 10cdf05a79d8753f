"""Input doubled, processor time at most 2.5 times: for every function that takes text of a user or of the service.

`python -m tests.growth` prints the table, on longer texts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import reconciler
from tests.growth.cases import BOUNDED, CASES, MODULES, REFUSING
from tests.growth.measure import LARGER, SMALL, TESTED, growth
from tests.growth.texts import texts

ROOT = Path(reconciler.__file__).parent
_TEXTS = {"str", "bytes", "object", "Any", "Tree"}


@pytest.mark.parametrize("name", CASES)
def test_time_grows_as_the_text(name: str) -> None:
    run, slow = CASES[name], []
    for what, text in texts().items():
        # A step from one way of working to another shows at one size; a power shows at every one.
        for sizes in (TESTED, SMALL, LARGER):
            found = growth(run, text, sizes)
            if found.is_linear:
                break
        else:
            slow.append(f"{what}: {found.ratio:.1f} times, {found.seconds:.2f} s")
    assert slow == []


@pytest.mark.parametrize("name", CASES)
def test_what_is_measured_is_done(name: str) -> None:
    """A row whose function has gone, or that refuses each text at its first letter, would measure nothing."""
    refusals = [_refusal(CASES[name], text(200)) for text in texts().values()]
    assert not [each for each in refusals if isinstance(each, (AttributeError, NameError, TypeError))]
    assert None in refusals or name.startswith(REFUSING), refusals[0]


def _refusal(run: Callable[[str], object], text: str) -> Exception | None:
    try:
        run(text)
    except Exception as refusal:
        return refusal
    return None


def public_functions(module: str) -> Iterator[str]:
    """The public functions of a module that take text, by their names."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            given = [each.annotation for each in (*node.args.args, *node.args.kwonlyargs)]
            words = {word for each in given if each is not None for word in ast.unparse(each).split(" | ")}
            if words & _TEXTS:
                yield f"{module}.{node.name}"


def test_no_function_that_takes_text_is_left_out() -> None:
    measured = {name.split(" ")[0] for name in CASES}
    listed = {name for module in MODULES for name in public_functions(module)}
    assert listed - measured - BOUNDED.keys() == set()
    assert BOUNDED.keys() - listed == set(), "these are no longer there"
