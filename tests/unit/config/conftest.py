"""Fleets written for one test, and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.config import load
from reconciler.diagnostics import Problem
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import DesiredFleet

GOOD = """
defaults:
  properties:
    remote_rtc_uids: ["*"]
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://LLM_KEY
      params: {model: gpt-4o-mini}
    tts:
      vendor: microsoft
      params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}
"""

Write = Callable[..., Path]
Load = Callable[..., DesiredFleet]
Problems = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a fleet: the text of fleet.yaml (name and good defaults are added), and other files by path."""

    def write(text: str = "", files: Mapping[str, str | bytes] | None = None, *, plain: bool = False) -> Path:
        (tmp_path / "fleet.yaml").write_text(
            text if plain else f"fleet: test\n{GOOD}{text}", encoding="utf-8"
        )
        for name, content in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


@pytest.fixture
def loaded(write: Write) -> Load:
    """Write and load a fleet that is right."""

    def loaded(
        text: str = "", files: Mapping[str, str | bytes] | None = None, **options: Any
    ) -> DesiredFleet:
        plain = options.pop("plain", False)
        return load(write(text, files, plain=plain), **options)

    return loaded


@pytest.fixture
def problems(write: Write) -> Problems:
    """Write and load a fleet that is wrong: its diagnostics."""

    def problems(
        text: str = "", files: Mapping[str, str | bytes] | None = None, **options: Any
    ) -> tuple[Problem, ...]:
        plain = options.pop("plain", False)
        with pytest.raises(InvalidConfig) as raised:
            load(write(text, files, plain=plain), **options)
        return raised.value.diagnostics

    return problems
