"""What Git's answers mean: pushes, fetches, trees and objects; by a git that says what a test writes down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.git import Ran
from reconciler.model.address import Address
from reconciler.model.record import Entry
from reconciler.model.writes import Append, PutGeneration, SetLineage
from reconciler.ports import Version
from reconciler.state.damage import Damaged
from reconciler.state.lease import FileLease
from reconciler.state.log import ref_door
from reconciler.state.log.drawer import Creation, entry_key, is_entry, serial_of, snapshot_key
from reconciler.state.log.git_objects import KeyTree, blobs, tip_of
from reconciler.state.log.git_ref import GitDrawer, Pushed, push
from reconciler.state.log.ref_door import RefDoor
from reconciler.state.log.ref_lease import RefLease
from reconciler.state.log.store import LogStore
from reconciler.state.seen import Seen, SeenFile
from tests.contracts.state_store import ADDRESS
from tests.fakes.directory_drawer import DirectoryDrawer
from tests.fakes.stores import acquire

REF = "refs/reconciler/demo.-"
ONE, TWO = "1" * 40, "2" * 40
OTHER = Address("lobby", "other")


class Told:
    """A git whose answers are written down by the first word of its command; without one it has nothing to say."""

    directory = Path("checkout")

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            name.replace("_", "-"): list(each) if isinstance(each, list) else each
            for name, each in answers.items()
        }
        self.asked: list[tuple[str, ...]] = []

    def run(self, *words: str, **_: Any) -> Ran:
        named = [each for each in words if not each.startswith("-") and "=" not in each]
        self.asked.append(words)
        answer = self.answers.get(named[0], Ran(0, b"", ""))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Ran)
        return answer


def line(flag: str, summary: str, ref: str = REF) -> bytes:
    return f"To remote\n{flag}\t{ONE}:{ref}\t{summary}\nDone\n".encode()


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "serial", "entry"),
    [
        (entry_key(7), 7, True),
        (snapshot_key(7), 7, False),
        ("log/7", None, True),
        ("log/" + "0" * 13, None, True),
        ("log/00000000000x", None, True),
        ("snapshot/" + "٣" * 12, None, False),
        ("other", None, False),
    ],
)
def test_the_serial_of_a_key(key: str, serial: int | None, entry: bool) -> None:
    assert (serial_of(key), is_entry(key)) == (serial, entry)


# --- pushes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Ran(0, line("*", "[new reference]"), ""), Pushed.DONE),
        (Ran(0, line(" ", "1..2"), ""), Pushed.DONE),
        (Ran(1, line(" ", "1..2"), ""), Pushed.UNKNOWN),
        (Ran(1, b"", "fatal: the remote hung up"), Pushed.UNKNOWN),
        (Ran(0, line("*", "[new reference]", ref=f"{REF}-more"), ""), Pushed.UNKNOWN),
        (Ran(1, line("!", "[remote failure] (x)"), ""), Pushed.UNKNOWN),
        (Ran(1, line("!", "[rejected] (stale info)"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[rejected] (fetch first)"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[rejected] (non-fast-forward)"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[remote rejected] (cannot lock ref 'x')"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[remote rejected] (failed to update ref)"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[remote rejected] (Incorrect old value)"), ""), Pushed.OVERTAKEN),
        (Ran(1, line("!", "[remote rejected] (reference already exists)"), ""), Pushed.OVERTAKEN),
        (StateError("no answer in time"), Pushed.UNKNOWN),
    ],
)  # fmt: skip
def test_what_a_push_says(answer: Any, outcome: Pushed) -> None:
    git = Told(push=answer)
    assert push(git, "origin", REF, ONE, TWO) is outcome  # type: ignore[arg-type]
    assert f"--force-with-lease={REF}:{TWO}" in git.asked[0]
    push(git, "origin", REF, ONE, None)  # type: ignore[arg-type]
    assert f"--force-with-lease={REF}:" in git.asked[1]


def test_a_push_that_is_refused_for_good_is_an_error() -> None:
    git = Told(push=Ran(1, line("!", "[remote rejected] (protected ref)"), ""))
    with pytest.raises(
        StateError, match=r"the remote origin does not take .*: \[remote rejected\] \(protected ref\)"
    ):
        push(git, "origin", REF, ONE, None)  # type: ignore[arg-type]


# --- fetches -------------------------------------------------------------------------------------------------------


def drawer(**answers: Any) -> GitDrawer:
    nothing = Ran(1, b"", "")
    return GitDrawer(Told(rev_parse=nothing, **answers), "origin", REF)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        (Ran(1, b"", "! [rejected] x"), "was rewound or replaced"),
        (Ran(1, b"", "x (non-fast-forward)"), "was rewound or replaced"),
        (Ran(128, b"", "fatal: no such remote"), "cannot be read: no such remote"),
        (Ran(128, b"", "fatal: couldn't find remote ref x"), None),
    ],
)
def test_what_a_fetch_says(ran: Ran, said: str | None) -> None:
    found = drawer(fetch=ran)
    if said is None:
        assert found.list("") == []
        return
    with pytest.raises(StateError, match=said):
        found.list("")


def test_a_remote_that_would_refuse_a_push_is_found_by_a_rehearsal() -> None:
    missing = Ran(128, b"", "fatal: couldn't find remote ref x")
    made = Ran(0, f"{ONE}\n".encode(), "")
    fine = drawer(fetch=missing, mktree=made, commit_tree=made, push=Ran(0, b"", ""))
    fine.probe()
    rehearsed = fine._git.asked[-1]  # type: ignore[attr-defined]
    assert "--dry-run" in rehearsed and f"{ONE}:{REF}" in rehearsed
    refused = drawer(fetch=missing, mktree=made, commit_tree=made, push=Ran(1, b"", "fatal: no right"))
    with pytest.raises(StateError, match="cannot be written: no right"):
        refused.probe()


def test_the_tip_of_a_ref_is_that_of_its_whole_name() -> None:
    out = f"{ONE}\t{REF}-more\n{TWO}\t{REF}\n".encode()
    assert tip_of(Told(ls_remote=Ran(0, out, "")), "origin", REF) == TWO  # type: ignore[arg-type]
    assert tip_of(Told(), "origin", REF) is None  # type: ignore[arg-type]
    with pytest.raises(StateError, match="cannot be read: gone"):
        tip_of(Told(ls_remote=Ran(2, b"", "fatal: gone")), "origin", REF)  # type: ignore[arg-type]


# --- trees and objects ---------------------------------------------------------------------------------------------


def row(path: str, kind: str = "100644 blob", blob: str = ONE) -> bytes:
    return f"{kind} {blob}\t{path}\0".encode()


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        (Ran(0, row(entry_key(1)) + row(snapshot_key(2), blob=TWO), ""), None),
        (Ran(1, b"", "fatal: not a tree"), r"the tree of 111111111111 cannot be read \(not a tree\)"),
        (Ran(0, b"", ""), "it holds nothing"),
        (Ran(0, row("README"), ""), "it holds 'README'"),
        (Ran(0, row(entry_key(1), kind="120000 blob"), ""), "it holds 'log/"),
        (Ran(0, row(entry_key(1)) + row("x"), ""), "it holds 'x'"),
    ],
)
def test_which_trees_are_of_a_state(ran: Ran, said: str | None) -> None:
    git: Any = Told(ls_tree=ran)
    if said is None:
        tree = KeyTree.of(git, ONE)
        assert tree.keys == {entry_key(1): ONE, snapshot_key(2): TWO}
        assert tree.list(entry_key(1)) == [snapshot_key(2)]
        assert KeyTree.of(git, None).keys == {}
        return
    with pytest.raises(Damaged, match=said):
        KeyTree.of(git, ONE)


def test_contents_are_read_once_and_all_together() -> None:
    batch = b"%b blob 3\nabc\n%b blob 1\nx\n" % (ONE.encode(), TWO.encode())
    git: Any = Told(
        ls_tree=Ran(0, row(entry_key(1)) + row(entry_key(2), blob=TWO), ""), cat_file=Ran(0, batch, "")
    )
    tree = KeyTree.of(git, ONE)
    assert (tree.get(entry_key(2)), tree.get(entry_key(1)), tree.get(entry_key(3))) == (b"x", b"abc", None)
    assert len([each for each in git.asked if "cat-file" in each]) == 1
    again = KeyTree.of(git, TWO, tree)
    assert again.get(entry_key(1)) == b"abc"
    assert len([each for each in git.asked if "cat-file" in each]) == 1, "what was read before is known"


def test_a_snapshot_takes_the_place_of_all_keys_up_to_its_serial() -> None:
    git: Any = Told(
        hash_object=Ran(0, b"new\n", ""), mktree=Ran(0, b"tree\n", ""), commit_tree=Ran(0, b"made\n", "")
    )
    before = KeyTree(
        git, ONE, {entry_key(1): "a", entry_key(2): "b", entry_key(3): "c", snapshot_key(1): "d"}
    )
    after = before.with_key(snapshot_key(2), b"whole")
    assert (after.commit, after.keys) == ("made", {entry_key(3): "c", snapshot_key(2): "new"})
    assert after.get(snapshot_key(2)) == b"whole"
    more = before.with_key(entry_key(4), b"line")
    assert set(more.keys) == {*before.keys, entry_key(4)}


def test_objects_that_are_not_there_are_left_out() -> None:
    batch = b"a missing\nb blob 2\nhi\nc tree 1\nx\n"
    assert blobs(Told(cat_file=Ran(0, batch[:22], "")), ["a", "b"]) == {"b": b"hi"}  # type: ignore[arg-type]
    broken: Any = Told(cat_file=Ran(128, b"", "fatal: bad object"))
    assert blobs(broken, ["a"], is_offline=True) == {}
    with pytest.raises(Damaged, match=r"its objects cannot be read \(bad object\)"):
        blobs(broken, ["a"])
    partial = KeyTree.of(
        Told(ls_tree=Ran(0, row(entry_key(1)), ""), cat_file=Ran(0, b"x missing\n", "")), ONE
    )  # type: ignore[arg-type]
    with pytest.raises(StateError, match=r"is not in this checkout, a partial clone perhaps"):
        partial.get(entry_key(1))


# --- the door ------------------------------------------------------------------------------------------------------


def test_a_knock_is_heard_until_it_is_old_and_a_remote_that_is_away_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(ref_door.time, "monotonic", lambda: now[0])

    def at(*commits: str | None) -> Any:
        return [Ran(0, b"" if each is None else f"{each}\t{REF}\n".encode(), "") for each in commits]

    git: Any = Told(
        ls_remote=at(None, TWO), mktree=Ran(0, b"t\n", ""), commit_tree=Ran(0, f"{ONE}\n".encode(), "")
    )
    door = RefDoor(git, "origin", REF, look=2.0, heard=10.0)
    assert not door.is_knocked()
    now[0] = 101.9
    assert not door.is_knocked()
    assert len([each for each in git.asked if "ls-remote" in each]) == 1, "asked at most every two seconds"
    now[0] = 102.0
    assert door.is_knocked()
    now[0] = 111.9
    assert door.is_knocked()
    now[0] = 112.0
    assert not door.is_knocked(), "whoever has knocked is gone"
    git.answers["ls-remote"] = at(ONE)
    now[0] = 120.0
    assert not door.is_knocked(), "that is the commit of a free door"
    git.answers["ls-remote"] = Ran(1, b"", "fatal: away")
    now[0] = 130.0
    assert not door.is_knocked()


def test_one_knock_is_enough_and_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(ref_door.time, "monotonic", lambda: now[0])
    git: Any = Told(
        push=Ran(0, line("*", "x"), ""),
        mktree=Ran(0, b"t\n", ""),
        commit_tree=Ran(0, f"{ONE}\n".encode(), ""),
    )

    def pushes() -> int:
        return len([each for each in git.asked if "push" in each])

    door = RefDoor(git, "origin", REF)
    door.leave()
    assert pushes() == 0
    door.knock()
    door.knock()
    assert pushes() == 1
    door.leave()
    door.leave()
    assert pushes() == 2
    door.knock()
    assert pushes() == 3
    git.answers["push"] = Ran(1, line("!", "(stale info)"), "")
    now[0] += 1000
    other = RefDoor(git, "origin", REF)
    other.knock()
    other.leave()
    assert pushes() == 4, "somebody else's knock is not ours to take back"


def test_who_is_overtaken_on_the_way_to_a_lease_does_not_have_it() -> None:
    told = b"tree t\n\n" + b'{"holder": "bob"}'
    git: Any = Told(
        ls_remote=[Ran(0, b"", ""), Ran(0, f"{TWO}\t{REF}\n".encode(), "")],
        push=Ran(1, line("!", "[rejected] (stale info)"), ""),
        mktree=Ran(0, b"t\n", ""),
        commit_tree=Ran(0, f"{ONE}\n".encode(), ""),
        cat_file=Ran(0, told, ""),
    )
    lease = RefLease(git, "origin", REF)
    with pytest.raises(StateLocked, match="the state is held by bob; its lease ends after"):
        lease.take("ann")
    assert not lease.is_held
    git.answers["push"] = Ran(0, line("*", "x"), "")
    git.answers["ls-remote"] = Ran(0, b"", "")
    free = RefLease(git, "origin", REF)
    free.take("ann")
    assert free.is_held


# --- the log -------------------------------------------------------------------------------------------------------


def entry(number: int, address: Address = ADDRESS) -> Append:
    return Append(Entry(float(number), address, "join", "done", f"A{number}"))


def log(tmp_path: Path, **settings: Any) -> LogStore:
    return LogStore(
        DirectoryDrawer(tmp_path / "state"), FileLease(tmp_path / "lease"), name="the log", **settings
    )


def test_the_history_of_a_log_is_newest_first(tmp_path: Path) -> None:
    store = log(tmp_path)
    assert store.history(None, 9) == ()
    store.commit([entry(1), entry(2, OTHER)], expected=0, nonce="n")
    store.commit([entry(3)], expected=1, nonce="m")

    def agents(address: Address | None, limit: int) -> list[str]:
        return [each.agent_id for each in store.history(address, limit)]

    assert agents(None, 9) == ["A3", "A2", "A1"]
    assert agents(ADDRESS, 9) == ["A3", "A1"]
    assert agents(None, 1) == ["A3"]
    assert store.version() == Version(2, "m")
    (tmp_path / "state" / entry_key(1)).unlink()
    assert agents(None, 9) == ["A3"], "earlier entries were deleted"


def test_a_log_refuses_a_writer_that_is_behind_or_ahead(tmp_path: Path) -> None:
    store, other = log(tmp_path), log(tmp_path)
    acquire(other, "bob", 0)
    other.commit([PutGeneration(ADDRESS, 1)], expected=0)
    for serial, said in (
        (0, "its serial is 1, not 0; another writer is at work, by bob"),
        (5, "its serial is 1, not 5"),
    ):
        with pytest.raises(StateLocked, match=said):
            store.commit([PutGeneration(ADDRESS, 2)], expected=serial)
    assert store.commit([PutGeneration(ADDRESS, 2)], expected=1) == 2


class Odd(DirectoryDrawer):
    """A drawer that answers a create in this way, and does nothing."""

    answer = Creation.UNKNOWN

    def create(self, key: str, data: bytes) -> Creation:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Creation.UNKNOWN, "gave no answer, and log/000000000001 is not there"), (Creation.EXISTS, "says that log/000000000001 is there, and does not show it")],
)  # fmt: skip
def test_a_commit_that_is_not_there_was_not_made(answer: Creation, said: str, tmp_path: Path) -> None:
    odd = Odd(tmp_path / "state")
    odd.answer = answer
    store = LogStore(odd, FileLease(tmp_path / "lease"), name="the log")
    with pytest.raises(StateError, match=said):
        store.commit([entry(1)], expected=0)


def test_what_this_machine_has_seen_of_a_log(tmp_path: Path) -> None:
    note = SeenFile(tmp_path / "seen", tmp_path / "place")
    store = log(tmp_path, seen=note)
    acquire(store, "ann", 0)
    lineage = store._replay.view.lineage
    store.release()
    assert note.read() is None, "nothing was stored"
    acquire(store, "ann", 0)
    store.commit([entry(1)], expected=0)
    store.close()
    assert note.read() == Seen(lineage, 1)
    store.release()
    for seen, said in (
        (Seen(lineage, 2), "its serial is 1, and this machine has seen 2"),
        (Seen("another", 1), "it is not the one that this machine has seen at this place"),
    ):
        note.write(seen)
        with pytest.raises(StateError, match=said):
            log(tmp_path, seen=note).read()
    note.write(Seen("another", 3))
    with pytest.raises(StateError, match="its serial is 0, and this machine has seen 3"):
        log(tmp_path / "empty", seen=note).read()
    note.write(Seen(lineage, 1))
    writer = log(tmp_path, seen=note)
    writer.commit([SetLineage("other", 4)], expected=1)
    assert note.read() is None, "the new lineage is accepted"
    assert log(tmp_path, seen=note).read().lineage == "other"


def test_the_key_of_a_log_is_that_of_the_environment(tmp_path: Path) -> None:
    bare, keyed = log(tmp_path), log(tmp_path, key=b"k")
    assert bare.prepare() != "" and keyed.prepare() == ""
    assert (bare.read_key(), keyed.read_key(), bare.exposures()) == (b"", b"k", [])
    assert bare._replay.view.lineage != ""


def test_a_holder_of_a_log_gives_signs_of_life(tmp_path: Path) -> None:
    store = log(tmp_path)
    store.take("ann")
    before = store.lease.path.read_bytes()  # type: ignore[attr-defined]
    store.renew()
    assert store.lease.path.read_bytes() != before  # type: ignore[attr-defined]
    assert log(tmp_path).holder() == "ann"
    store.close()
    assert log(tmp_path).holder() is None
