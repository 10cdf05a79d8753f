"""Fixtures of the simulator's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Service


@pytest.fixture
def service() -> Service:
    """A simulator in memory, its clock standing still."""
    return Service()


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    """Closes the stores of a test's services, files among them."""
    yield
    while Service.opened:
        Service.opened.pop().simulator.close()
