"""Nothing on the list is left out: every number has a test, and every test a section in the book."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.numbered import book
from tests.numbered.register import ITEMS, number_of

HERE = Path(__file__).parent
BY_CASES = {"9.1", "9.2"}


def test_every_number_has_one_test() -> None:
    tests = [
        number_of(name)
        for path in sorted(HERE.glob("test_*.py"))
        for name in re.findall(r"^def (test_9_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(tests) == len(set(tests))
    assert set(tests) <= set(ITEMS)
    assert set(tests) >= {each for each in ITEMS if each.rpartition(".")[0] not in BY_CASES}


def test_every_number_has_its_section_and_nothing_else_has_one(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        pytest.skip("others are writing it")
    parts = book.written()
    assert list(parts) == list(ITEMS)
    assert book.BOOK.read_text(encoding="utf-8") == book.bound(parts)


def test_every_section_says_something() -> None:
    for number, text in book.written().items():
        assert "```" in text or "ot applicable" in text or "expected.txt" in text or "`test_" in text, number
