"""Where a state may lie, who may read it, and what stands in its place."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.errors import StateError, StateLocked, UsageError
from reconciler.state import condition, database, files, place
from reconciler.state.damage import Damaged, damaged
from reconciler.state.files import make_ignored, read_whole, replace_whole
from reconciler.state.key import KeyFile
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from reconciler.state.opening import for_a_controller, is_in_git, open_state, state_path
from reconciler.state.seen import Seen, SeenFile, seen_directory
from tests.fakes.fleets import OWNER


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write what the system says is mounted, a line each."""

    def write(*lines: str) -> None:
        listed = tmp_path / "mounts"
        listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        monkeypatch.setattr(place, "MOUNTS", listed)

    return write


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["dev / ext4 rw 0 0"], "ext4"),
        (["dev / ext4 rw", "dev HERE nfs rw"], "nfs"),
        (["dev HERE nfs rw", "dev / ext4 rw"], "nfs"),
        (["dev / ext4 rw", "dev HERE/below nfs rw"], "ext4"),
        (["dev / ext4 rw", "dev HEREandmore nfs rw"], "ext4"),
        (["dev / ext4 rw", "dev HERE nfs rw", "dev HERE tmpfs rw"], "tmpfs"),  # the later one is visible
        (["dev / ext4 rw", "broken", ""], "ext4"),
        ([], ""),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(
    lines: list[str], kind: str, mounts: Any, tmp_path: Path
) -> None:
    mounts(*(line.replace("HERE", str(tmp_path)) for line in lines))
    assert place._file_system(tmp_path) == kind


def test_a_mount_with_a_space_in_its_name_is_found(mounts: Any, tmp_path: Path) -> None:
    odd = tmp_path / "a b\tc\\d"
    odd.mkdir()
    escaped = str(odd).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
    mounts("dev / ext4 rw", f"dev {escaped} cifs rw")
    assert place._file_system(odd) == "cifs"


def test_where_nothing_is_known_of_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "nowhere")
    assert place._file_system(tmp_path) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "ext4"])
def test_no_state_lies_on_a_network(kind: str, mounts: Any, tmp_path: Path) -> None:
    mounts(f"dev / {kind} rw")
    (tmp_path / "in").mkdir(mode=0o700)
    if kind == "ext4":
        place.check_place(tmp_path / "in" / "a.state")
    else:
        with pytest.raises(StateError, match=f"network file system \\({kind}\\)"):
            place.check_place(tmp_path / "in" / "a.state")


@pytest.mark.parametrize(
    ("mode", "kind", "private", "is_fine"),
    [
        (0o700, "ext4", False, True),
        (0o755, "ext4", False, True),
        (0o770, "ext4", False, False),
        (0o770, "ext4", True, True),
        (0o702, "ext4", True, False),
        (0o777, "9p", False, True),
    ],
)
def test_nobody_else_may_write_its_directory(
    mode: int,
    kind: str,
    private: bool,
    is_fine: bool,
    mounts: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mounts(f"dev / {kind} rw")
    monkeypatch.setattr(place, "is_private", lambda _: private)
    home = tmp_path / "in"
    home.mkdir()
    home.chmod(mode)
    if is_fine:
        place.check_place(home / "a.state")
        monkeypatch.setattr(place, "HAS_MODES", False)
        place.check_place(home / "a.state")
        return
    with pytest.raises(StateError, match=f"can be written by others \\(mode {mode:04o}\\)"):
        place.check_place(home / "a.state")
    monkeypatch.setattr(place, "HAS_MODES", False)
    place.check_place(home / "a.state")


def test_a_directory_that_is_none_is_found_elsewhere(mounts: Any, tmp_path: Path) -> None:
    mounts("dev / ext4 rw")
    (tmp_path / "file").touch(mode=0o666)
    (tmp_path / "file").chmod(0o666)
    place.check_place(tmp_path / "file" / "a.state")
    place.check_place(tmp_path / "nowhere" / "a.state")


@pytest.mark.parametrize(
    ("name", "members", "is_private"), [("ann", [], True), ("ann", ["ann"], True), ("ann", ["ann", "bob"], False), ("staff", [], False)]
)  # fmt: skip
def test_whose_group_it_is(
    name: str, members: list[str], is_private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grp
    import pwd

    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann"))
    assert place.is_private(7) is is_private


def test_a_group_without_a_name_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    import grp

    def unknown(_: int) -> Any:
        raise KeyError

    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert place.is_private(7) is False


def test_what_others_can_read_is_told(mounts: Any, tmp_path: Path) -> None:
    mounts("dev / ext4 rw")
    kept, open_ = tmp_path / "kept", tmp_path / "open"
    for path, mode in ((kept, 0o600), (open_, 0o640)):
        path.touch()
        path.chmod(mode)
    assert place.exposures(kept, open_, tmp_path / "nowhere") == [
        f"{open_} is open to others (mode 0640): chmod 600 {open_}"
    ]
    mounts("dev / vfat rw")
    assert place.exposures(open_) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SQLite format 3\x00 and more", ""),
        (b"", "it is empty"),
        (b"text", "it is not an SQLite file"),
        (b"a\n<<<<<<< HEAD\nb", "it holds the conflict markers of a merge, so it has been in Git, where no state belongs"),
        (b"<<<<<<<HEAD", "it is not an SQLite file"),
        (b"=======\n", "it holds the conflict markers of a merge, so it has been in Git, where no state belongs"),
    ],
)  # fmt: skip
def test_what_stands_in_its_place(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    assert place.what_stands_there(path) == ""
    path.write_bytes(data)
    assert place.what_stands_there(path) == said


def test_links_are_not_followed_beside_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    place.check_links(tmp_path, tmp_path / "nowhere")
    with pytest.raises(StateError, match=f"{tmp_path / 'link'} is a link"):
        place.check_links(tmp_path, tmp_path / "link")


# --- errors of the file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (sqlite3.OperationalError("database is locked"), StateLocked, "is in use by another process"),
        (sqlite3.OperationalError("database table is busy"), StateLocked, "is in use by another process"),
        (sqlite3.DatabaseError("locked"), Damaged, "is damaged: locked"),
        (sqlite3.OperationalError("disk I/O error"), StateError, "cannot be written or read: disk I/O error"),
        (sqlite3.OperationalError("no such table: meta"), Damaged, "is damaged: no such table: meta"),
        (sqlite3.OperationalError("malformed database schema"), Damaged, "is damaged: malformed"),
        (sqlite3.DatabaseError("file is not a database"), Damaged, "is damaged: file is not a database"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), Damaged, "it holds bytes that are no text"),
        (OSError(28, "No space left on device"), StateError, "cannot be written or read: No space left on device"),
        (OSError("odd"), StateError, "cannot be written or read: odd"),
        (damaged("a row"), Damaged, "is damaged: a row"),
    ],
)  # fmt: skip
def test_what_goes_wrong_with_the_file_is_said_with_its_path(
    problem: Exception, kind: type, said: str, tmp_path: Path
) -> None:
    def fail() -> None:
        raise problem

    with pytest.raises((StateError, StateLocked), match=f"{tmp_path / 'a.state'}.*{said}") as caught:
        database.guarded(tmp_path / "a.state", fail)
    assert type(caught.value) is kind
    (tmp_path / "a.state").write_bytes(b"text")
    if kind is Damaged and not isinstance(problem, UnicodeDecodeError):
        with pytest.raises(Damaged, match="it is not an SQLite file"):
            database.guarded(tmp_path / "a.state", fail)


def test_a_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    with pytest.raises(StateError, match="is no directory; nothing was done"):
        database.make_directory(tmp_path / "in" / "a.state")
    with pytest.raises(StateError, match="cannot be written or read: Not a directory"):
        database.make_directory(tmp_path / "in" / "deep" / "a.state")
    database.make_directory(tmp_path / "new" / "deep" / "a.state")
    assert (tmp_path / "new" / "deep").stat().st_mode & 0o777 == 0o700


def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x", isolation_level=None)
    with database.transaction(connection):
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
    with pytest.raises(KeyError), database.transaction(connection):
        connection.execute("insert into t values (2)")
        raise KeyError
    assert not connection.in_transaction
    assert connection.execute("select a from t").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError), database.transaction(connection):
        connection.execute("rollback")
        connection.execute("no sql")
    connection.close()


# --- whether it could be written -----------------------------------------------------------------------------------


def test_each_thing_that_is_in_the_way_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "in" / "a.state")
    (tmp_path / "in").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StateError, match="cannot be written"):
        condition.require_writable(store)
    (tmp_path / "in").unlink()
    (tmp_path / "in").mkdir(mode=0o700)
    condition.require_writable(store)
    store.lease.path.mkdir()
    with pytest.raises(StateError, match=f"the lock {store.lease.path} of the state cannot be taken"):
        condition.require_writable(store)
    store.lease.path.rmdir()
    store.path.touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != store.path)
    with pytest.raises(StateError, match=f"{store.path} cannot be written by this user"):
        condition.require_writable(store)
    assert [type(each) for each in condition.troubles(store)] == [StateError]


def test_a_state_in_memory_can_always_be_written() -> None:
    assert condition.troubles(MemoryStore()) == []
    assert condition.app_id_of(MemoryStore()) == ""


@pytest.mark.parametrize(("free", "is_fine"), [(1024 * 1024, True), (1024 * 1024 - 1, False)])
def test_a_megabyte_must_be_free(
    free: int, is_fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    store = LocalStore(tmp_path / "a.state")
    tmp_path.chmod(0o700)
    if is_fine:
        condition.require_writable(store)
    else:
        with pytest.raises(StateError, match=r"is full \(1023 KB are left\)"):
            condition.require_writable(store)


# --- small files ---------------------------------------------------------------------------------------------------


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert read_whole(path, 9) == b""
    replace_whole(path, b"12345")
    assert (read_whole(path, 5), read_whole(path, 4)) == (b"12345", b"")
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    assert (read_whole(tmp_path / "link", 9), read_whole(tmp_path, 9)) == (b"", b"")
    replace_whole(tmp_path / "new" / "b", b"x")
    assert read_whole(tmp_path / "new" / "b", 9) == b"x"
    replace_whole(path / "below", b"x")  # errors of the disk are ignored
    (tmp_path / "taken").mkdir()
    replace_whole(tmp_path / "taken", b"x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "link", "new", "taken"]


def test_a_directory_that_git_ignores(tmp_path: Path) -> None:
    make_ignored(tmp_path / "in")
    assert (tmp_path / "in" / ".gitignore").read_text() == "*\n"
    (tmp_path / "in" / ".gitignore").write_text("mine\n")
    make_ignored(tmp_path / "in")
    assert (tmp_path / "in" / ".gitignore").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (31, "31 bytes"),
        (32, ""),
        (1024, ""),
        (1025, "more than 1,024 bytes"),
        (9999, "more than 1,024 bytes"),
    ],
)
def test_how_long_a_key_is(size: int, said: str, tmp_path: Path) -> None:
    key = KeyFile(tmp_path / "secret.key")
    assert key.read() == b""
    key.path.write_bytes(b"k" * size)
    if not said:
        assert key.read() == b"k" * size
        key.create()
        assert key.read() == b"k" * size
    else:
        for act in (key.read, key.create):
            with pytest.raises(StateError, match=f"has {said}, and is no key"):
                act()


def test_a_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    key = KeyFile(tmp_path / "secret.key")
    key.create()
    made = key.read()
    assert len(made) == 64
    assert key.path.stat().st_mode & 0o777 == 0o600
    key.create()
    assert key.read() == made
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]


def test_a_file_is_replaced_from_its_start(tmp_path: Path) -> None:
    descriptor = files.create(tmp_path / "a")
    os.close(descriptor)
    descriptor = os.open(tmp_path / "a", os.O_RDWR)
    files.write_start(descriptor, b"123456")
    files.write_start(descriptor, b"ab")
    assert files.read_start(descriptor, 9) == b"ab"
    assert files.read_start(descriptor, 1) == b"a"
    os.close(descriptor)
    os.close(files.create(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b""


# --- what was seen -------------------------------------------------------------------------------------------------


def test_what_was_seen_is_kept_for_each_state(tmp_path: Path) -> None:
    kept = SeenFile(tmp_path / "seen", tmp_path / "a.state")
    assert kept.read() is None
    kept.write(Seen("l", 3))
    assert kept.read() == SeenFile(tmp_path / "seen", tmp_path / "a.state").read() == Seen("l", 3)
    assert SeenFile(tmp_path / "seen", tmp_path / "b.state").read() is None
    before = kept.path.stat().st_ino
    kept.write(Seen("l", 3))
    assert kept.path.stat().st_ino == before, "what is known is not written again"
    kept.write(Seen("l", 4))
    assert kept.read() == Seen("l", 4)
    kept.forget()
    kept.forget()
    assert kept.read() is None


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({}, None),
        ({"HOME": "/h"}, "/h/.local/state/reconciler/seen"),
        ({"HOME": "h"}, None),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/reconciler/seen"),
        ({"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/reconciler/seen"),
        ({"XDG_STATE_HOME": "", "HOME": ""}, None),
    ],
)
def test_where_it_is_kept(variables: dict[str, str], directory: str | None) -> None:
    assert seen_directory(variables) == (None if directory is None else Path(directory))


# --- the choice of a state -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "name"), [(None, "default.state"), ("prod", "prod.state"), ("default", "env-default.state"), ("", "default.state")]
)  # fmt: skip
def test_the_file_of_an_environment(environment: str | None, name: str) -> None:
    assert state_path(Path("f"), environment) == Path("f/.reconciler") / name


@pytest.mark.parametrize(
    ("url", "path"),
    [(None, "f/.reconciler/prod.state"), ("local", "f/.reconciler/prod.state"), ("a/b.state", "a/b.state"), ("C:/x", "C:/x"), ("./s3:x", "./s3:x")],
)  # fmt: skip
def test_a_state_in_a_file(url: str | None, path: str) -> None:
    store = open_state(url, Path("f"), "prod", OWNER, {})
    assert isinstance(store, LocalStore)
    assert (store.path, is_in_git(url), for_a_controller(url)) == (Path(path), False, "")


@pytest.mark.parametrize("url", ["", "s3://bucket", "https://x.example", "postgres:x"])
def test_what_names_no_state(url: str) -> None:
    with pytest.raises(UsageError, match="names no state that can be used"):
        open_state(url, Path("f"), None, OWNER, {})


def test_a_state_in_git_wants_a_checkout_a_remote_and_a_long_key(tmp_path: Path) -> None:
    assert is_in_git("git:origin") and for_a_controller("git:origin")
    with pytest.raises(UsageError, match="there is no directory"):
        open_state("git:origin", tmp_path / "nowhere", None, OWNER, {})
    with pytest.raises(StateError, match="is in no Git checkout"):
        open_state("git:origin", tmp_path, None, OWNER, {})
    for text, is_fine in (("k" * 15, False), ("k" * 16, True)):
        with pytest.raises(StateError if is_fine else UsageError):
            open_state("git:origin", tmp_path, None, OWNER, {"RECONCILER_KEY": text})
