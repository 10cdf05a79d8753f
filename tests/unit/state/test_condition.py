"""Whether a state could be written is told beforehand, and nothing is touched to tell it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.model.record import Pins
from reconciler.model.writes import PutPins
from reconciler.state import condition
from reconciler.state.local import LocalStore
from tests.fakes.stores import acquire


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / ".reconciler" / "default.state")


def everything(directory: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(directory.rglob("*")) if each.is_file()}


def test_a_state_that_is_not_there_yet_can_be_made(store: LocalStore, tmp_path: Path) -> None:
    assert condition.troubles(store) == []
    assert list(tmp_path.iterdir()) == []
    assert condition.app_id_of(store) == ""


def test_a_state_that_is_there(store: LocalStore, tmp_path: Path) -> None:
    acquire(store, "ada", 0)
    store.commit([PutPins(Pins("demo", None, "agora", "0123"))], expected=0)
    (held,) = condition.troubles(LocalStore(store.path))
    assert isinstance(held, StateLocked)
    assert "ada" in held.message
    store.close()
    before = everything(tmp_path)
    assert condition.troubles(store) == []
    assert condition.app_id_of(store) == "0123"
    assert everything(tmp_path) == before


def test_a_full_disk(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 1000, 2, 2, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(StateError, match="full"):
        condition.require_writable(store)


def test_a_directory_that_this_user_cannot_write(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.path.parent.mkdir(mode=0o700)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != store.path.parent)
    with pytest.raises(StateError, match="read-only here"):
        condition.require_writable(store)


def test_a_damaged_state_has_no_app_id(store: LocalStore) -> None:
    store.path.parent.mkdir(mode=0o700)
    store.path.write_text("no database", encoding="utf-8")
    assert condition.app_id_of(store) == ""
