"""Fixtures of the examples' tests."""

from __future__ import annotations

import os

import pytest

from .harness import Command


@pytest.fixture
def reconciler(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, in an environment without credentials and proxies."""
    for name in list(os.environ):
        if name.startswith("AGORA_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("CI", "1")
    return Command(capsys)
