"""What a log needs of each place that it may lie in: a key is made once, and what is there stays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.git import Git
from reconciler.state.log.drawer import Creation, Drawer, entry_key
from reconciler.state.log.git_ref import GitDrawer
from tests.fakes.directory_drawer import DirectoryDrawer

KEYS = [entry_key(number) for number in range(1, 4)]
Opening = Callable[[str], Drawer]


def _directories(tmp_path: Path) -> Opening:
    place = tmp_path / "log"
    place.mkdir()
    return lambda _: DirectoryDrawer(place)


def _clones(tmp_path: Path) -> Opening:
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)

    def opened(machine: str) -> Drawer:
        clone = tmp_path / machine
        if not clone.exists():
            subprocess.run(["git", "init", "-q", str(clone)], check=True)
        return GitDrawer(Git(clone), str(remote), "refs/reconciler/demo")

    return opened


@pytest.fixture(params=[_directories, _clones], ids=["directory", "git"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens the one place as some machine does; each call is a process of its own."""
    made: Opening = request.param(tmp_path)
    return made


def test_a_key_is_made_once_whoever_tries_again(opening: Opening) -> None:
    ada, bob = opening("ada"), opening("bob")
    assert bob.list("") == []
    assert ada.create(KEYS[0], b"ada's") is Creation.MADE
    for again in (ada, bob, opening("ada"), opening("carol")):
        assert again.create(KEYS[0], b"another's") is Creation.EXISTS
        assert again.get(KEYS[0]) == b"ada's"


def test_what_one_has_made_another_one_gets_and_lists_in_order(opening: Opening) -> None:
    ada, bob = opening("ada"), opening("bob")
    assert (bob.get(KEYS[0]), bob.list("")) == (None, [])
    for writer, key in ((ada, KEYS[1]), (bob, KEYS[0]), (ada, KEYS[2])):
        assert writer.create(key, key.encode()) is Creation.MADE
        assert (ada.get(key), bob.get(key)) == (key.encode(), key.encode()), "also to whoever looked before"
    assert list(bob.list("")) == KEYS
    assert list(bob.list(KEYS[0])) == KEYS[1:]
    assert list(bob.list(KEYS[2])) == []
    assert [opening("carol").get(each) for each in KEYS] == [each.encode() for each in KEYS]


def test_what_could_not_be_pushed_is_not_made(tmp_path: Path) -> None:
    opened = _clones(tmp_path)
    ada = opened("ada")
    assert ada.create(KEYS[0], b"first") is Creation.MADE
    remote = tmp_path / "remote.git"
    remote.rename(tmp_path / "gone.git")
    try:
        assert ada.create(KEYS[1], b"second") is Creation.UNKNOWN
    except StateError:
        pass  # it may also say at once that the remote cannot be used
    (tmp_path / "gone.git").rename(remote)
    assert list(opened("bob").list("")) == KEYS[:1]
    assert ada.create(KEYS[1], b"second") is Creation.MADE
