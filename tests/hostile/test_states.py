"""A state that somebody has damaged, edited, swapped or put back: a message that says what to do, no foreign harm."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from reconciler import workflow
from reconciler.errors import ReconcilerError, StateError
from reconciler.model.address import Address, Owner
from reconciler.model.record import Entry, Intent, Operation, Record, State
from reconciler.model.spec import Body
from reconciler.model.writes import Append, PutApplying, PutGeneration, PutRecord
from reconciler.state import document, statements
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from tests.contracts.state_store import RECORD
from tests.fakes.fleets import agent, fleet, properties
from tests.fakes.stores import acquire
from tests.fakes.virtual import Virtual
from tests.hostile.bench import LONG, Bench

DAMAGES = 10_000 if LONG else 400
ROW = {
    "address": {"channel": "lobby", "name": "greeter"},
    "agent_id": "A1",
    "name": RECORD.name,
    "generation": 1,
    "uid": "7",
    "body": {"properties": {}},
    "started_at": 1.5,
}


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".reconciler" / "default.state"


def run(path: Path, seen: Path | None, *writes: Append | PutRecord | PutGeneration) -> None:
    """One run: take the lock, write, give it back."""
    store = LocalStore(path, seen=seen)
    acquire(store, "a test", 0)
    serial = store.read().serial
    for write in writes:
        serial = store.commit([write], expected=serial)
    store.close()


def backup(path: Path, to: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    shutil.copy(path, to)


def restore(copy: Path, path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    shutil.copy(copy, path)


# --- older than seen, other than seen ---------------------------------------------------------------------------


def test_an_older_copy_put_back_is_refused_by_plan_and_apply(path: Path, seen: Path, tmp_path: Path) -> None:
    run(path, seen, PutRecord(RECORD))
    backup(path, tmp_path / "copy")
    run(path, seen, PutGeneration(RECORD.address, 2), PutGeneration(RECORD.address, 3))
    restore(tmp_path / "copy", path)
    for act in (lambda store: store.read(), lambda store: acquire(store, "we", 0)):
        store = LocalStore(path, seen=seen)
        with pytest.raises(StateError, match="older than it was") as refusal:
            act(store)
        assert refusal.value.hint is not None
        assert "move the file away" in refusal.value.hint
        store.close()
    path.unlink()
    run(path, seen)
    assert LocalStore(path, seen=seen).read().records == {}


def test_another_state_in_its_place_is_refused(path: Path, seen: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "default.state"
    run(other, None, PutRecord(RECORD))
    run(path, seen)
    backup(other, tmp_path / "copy")
    restore(tmp_path / "copy", path)
    with pytest.raises(StateError, match="not the one"):
        LocalStore(path, seen=seen).read()


def test_a_fresh_machine_takes_any_state_and_nothing_is_kept_where_nothing_can_be(
    path: Path, tmp_path: Path
) -> None:
    run(path, None, PutRecord(RECORD))
    assert LocalStore(path, seen=tmp_path / "new").read().records
    assert not (tmp_path / "new").exists()
    blocked = tmp_path / "blocked"
    blocked.write_text("", encoding="utf-8")
    run(path, blocked, PutGeneration(RECORD.address, 2))
    assert LocalStore(path, seen=blocked).read().serial == 2


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b'{"lineage": 1, "serial": "x"}', b"\xff", b"{" * 5000])
def test_a_damaged_note_of_what_was_seen_refuses_nothing(path: Path, seen: Path, junk: bytes) -> None:
    run(path, seen, PutRecord(RECORD))
    (note,) = seen.iterdir()
    note.write_bytes(junk)
    assert LocalStore(path, seen=seen).read().records


def test_the_same_at_the_command_line(bench: Bench) -> None:
    home = bench.home / "demo"
    assert bench.run("init", home).code == 0
    assert bench.run("apply", home, "--auto-approve").code == 0
    state = home / ".reconciler" / "default.state"
    backup(state, bench.home / "copy")
    assert bench.run("apply", home, "--auto-approve", "--replace", "*").code == 0
    restore(bench.home / "copy", state)
    for command in (["plan"], ["apply", "--auto-approve"], ["destroy", "--auto-approve"], ["status"]):
        answer = bench.run(*command, home)
        assert answer.code == 1
        assert "older than it was" in answer.err
    for each in state.parent.glob("default.state*"):
        each.unlink()
    assert "1 to adopt" in bench.run("plan", home).out
    assert bench.run("apply", home, "--auto-approve").code == 0
    assert bench.run("plan", home, "--detailed-exitcode").code == 0


# --- damaged and edited ------------------------------------------------------------------------------------------


def test_whatever_byte_is_damaged_the_state_is_the_old_one_or_a_message(path: Path, tmp_path: Path) -> None:
    run(path, None, PutRecord(RECORD), PutGeneration(RECORD.address, 3))
    backup(path, tmp_path / "copy")
    good = LocalStore(path).read()
    data = (tmp_path / "copy").read_bytes()
    chance = random.Random(7)
    told = 0
    for _ in range(DAMAGES):
        at = chance.randrange(len(data))
        cut = data[: at + 1] if chance.random() < 0.1 else data
        mutant = cut[:at] + bytes([cut[at] ^ 1 << chance.randrange(8)]) + cut[at + 1 :]
        for each in path.parent.glob("default.state*"):
            each.unlink()
        path.write_bytes(mutant)
        store = LocalStore(path)
        try:
            found = store.read()
            assert found.records == good.records
        except ReconcilerError:
            told += 1
        finally:
            store.close()
    assert told


RECORDS = "insert into records (address, record, checksum) values (?, ?, ?)"
INTENTS = "insert into intents (key, intent, checksum) values (?, ?, ?)"


def sql(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "edit",
    [
        "update meta set value = '99999999999999999999' where key = 'serial'",
        "update meta set value = '-4' where key = 'serial'",
        "update meta set value = '²' where key = 'serial'",
        "update meta set value = '²' where key = 'format'",
        "update meta set value = x'ff' where key = 'lineage'",
        "insert or replace into meta values ('pins', '7')",
        "insert or replace into meta values ('pins', '[1, 2]')",
        "insert or replace into meta values ('pins', '{')",
        "insert into generations values ('no address', 1)",
        "insert into generations values ('lobby/x', 'many')",
        "insert into generations values ('lobby/x', -5)",
        "update records set record = 'text'",
        "update records set record = x''",
        "update records set record = 7",
        "update records set record = record || ' '",
        "update records set checksum = x'00'",
        "update records set address = x'00'",
        "insert or replace into meta values ('pins', '[1, 2, 3, 4]')",
        'insert or replace into meta values (\'pins\', \'{"fleet": 1, "environment": null, "service": "x", "app_id": null}\')',
        "update texts set text = 'other'",
        "update texts set text = x'00'",
        "delete from texts",
        "insert or replace into meta values ('applying', x'00')",
        "insert into generations values (x'00', 1)",
        "insert into generations values ('lobby/x', 9223372036854775807)",
        "insert into foreign_agents values ('A9', x'ff', null)",
        "insert into foreign_agents values ('A9', 'name', x'07')",
        "insert into released values (x'00')",
        "create trigger t after update on meta begin delete from records; end",
        "create view v as select * from records",
        "drop table records",
        "drop table meta",
        "drop table intents",
    ],
)
def test_an_edited_state_is_called_damaged(path: Path, edit: str) -> None:
    run(path, None, PutRecord(RECORD))
    sql(path, edit)
    with pytest.raises(StateError, match="damaged") as refusal:
        LocalStore(path).read()
    assert refusal.value.hint is not None
    assert "move the file away" in refusal.value.hint


def _record(**changes: object) -> Record:
    return replace(RECORD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("records", "intents"),
    [
        ([_record(address=Address("lobby", "a")), _record(address=Address("lobby", "b"))], []),
        ([_record(agent_id="../../v1/projects/x")], []),
        ([_record(agent_id="")], []),
        ([_record(agent_id="A" * 200)], []),
        ([_record(generation=-1)], []),
        ([_record(generation=10**12)], []),
        ([_record(started_at=1e300)], []),
        ([_record(token_expires_at=-1.0)], []),
        ([_record(address=Address("", "greeter"))], []),
        ([], [Intent(Operation.JOIN, RECORD.address, "not ours", 1.0, generation=1, uid="7", body=Body({}))]),
        (
            [],
            [Intent(Operation.JOIN, RECORD.address, RECORD.name, 1.0, generation=0, uid="7", body=Body({}))],
        ),
        ([], [Intent(Operation.JOIN, RECORD.address, RECORD.name, 1.0, generation=1, uid="7")]),
        ([], [Intent(Operation.LEAVE, RECORD.address, RECORD.name, 1.0, agent_id="a/../b")]),
        ([], [Intent(Operation.LEAVE, RECORD.address, RECORD.name, 1e18, agent_id="A1")]),
    ],
)
def test_a_state_edited_with_its_checksums_is_called_damaged(
    path: Path, records: list[Record], intents: list[Intent]
) -> None:
    run(path, None)
    texts: dict[str, str] = {}
    for record in records:
        sql(path, RECORDS, *statements.record_row(record, texts))
    for intent in intents:
        sql(path, INTENTS, *statements.intent_row(intent, texts))
    for digest, text in texts.items():
        sql(path, "insert or ignore into texts values (?, ?)", digest, text)
    with pytest.raises(StateError, match="damaged"):
        LocalStore(path).read()


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"$text": "no digest"}, "missing"),
        ({"$text": "00" * 12}, "missing"),
        ({"system": [{"$text": "00" * 12}]}, "missing"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1e999}', "not JSON"),
        (b"[" * 200 + b"]" * 200, "nested deeper"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b"{", "not JSON"),
    ],
)
def test_a_part_that_nobody_has_written_is_called_damaged(path: Path, part: object, says: str) -> None:
    run(path, None)
    data = part if isinstance(part, bytes) else orjson.dumps(part)
    row = orjson.dumps(ROW | {"body": {"properties": {"llm": "here"}}}).replace(b'"here"', data).decode()
    key = str(RECORD.address)
    sql(path, RECORDS, key, row, document.checksum(key, row))
    with pytest.raises(StateError, match=f"damaged: .*{says}"):
        LocalStore(path).read()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": "1"},
        {"generation": 1.5},
        {"protect": 1},
        {"started_at": "now"},
        {"more": 1},
        {"body": {"properties": {}, "more": 1}},
        {"body": {"properties": []}},
        {"address": "lobby/greeter"},
        {"address": {"channel": "lobby", "name": "greeter", "more": 1}},
        {"secrets": {"a": 1}},
    ],
)
def test_a_row_of_another_form_is_called_damaged(path: Path, change: dict[str, object]) -> None:
    run(path, None)
    key, row = str(RECORD.address), orjson.dumps(ROW | change).decode()
    sql(path, RECORDS, key, row, document.checksum(key, row))
    with pytest.raises(StateError, match="not of this format, at "):
        LocalStore(path).read()


def test_a_row_under_the_key_of_another_is_called_damaged(path: Path) -> None:
    run(path, None)
    row = orjson.dumps(ROW).decode()
    sql(path, RECORDS, "bar/x", row, document.checksum("bar/x", row))
    with pytest.raises(StateError, match="is about lobby/greeter"):
        LocalStore(path).read()


@pytest.mark.parametrize(
    "edit", ["at = 1e300", "at = 'x'", "address = x'00'", "address = 'x'", "change = x'00'"]
)
def test_an_edited_history_is_called_damaged(path: Path, edit: str) -> None:
    run(path, None, Append(Entry(1.0, RECORD.address, "join", "done")))
    sql(path, f"update history set {edit}")
    with pytest.raises(StateError, match="damaged"):
        LocalStore(path).history(None, 10)


def test_a_row_that_is_larger_than_anybody_writes_is_called_damaged(path: Path) -> None:
    run(path, None)
    row = '{"address": "' + "a" * 80_000_000 + '"}'
    sql(path, RECORDS, "lobby/a", row, document.checksum("lobby/a", row))
    with pytest.raises(StateError, match="larger than any"):
        LocalStore(path).read()


def test_a_key_that_is_none_is_refused_and_no_unkeyed_digest_is_made(path: Path) -> None:
    run(path, None)
    key = path.parent / "secret.key"
    for junk in (b"", b"short", b"x" * 5000):
        key.write_bytes(junk)
        with pytest.raises(StateError, match="is no key"):
            acquire(LocalStore(path), "we", 0)
    key.unlink()
    key.mkdir()
    with pytest.raises(StateError):
        acquire(LocalStore(path), "we", 0)
    assert not list(path.parent.glob("*.new-*"))


def test_a_link_in_the_place_of_the_lock_does_not_lead_us_to_another_file(path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious", encoding="utf-8")
    path.parent.mkdir()
    path.with_suffix(".lock").symlink_to(precious)
    with pytest.raises(StateError):
        acquire(LocalStore(path), "we", 0)
    assert precious.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("link", [".reconciler", ".reconciler/default.state", ".reconciler/secret.key"])
def test_a_state_beside_a_fleet_is_not_looked_for_where_a_link_leads(tmp_path: Path, link: str) -> None:
    (tmp_path / "fleet").mkdir()
    outside = tmp_path / "outside" / "default.state"
    run(outside, None)
    before = {each.name: each.read_bytes() for each in outside.parent.iterdir()}
    store = LocalStore(tmp_path / "fleet" / ".reconciler" / "default.state", is_beside_fleet=True)
    place = tmp_path / "fleet" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "outside" / Path(link).name if "/" in link else tmp_path / "outside")
    for action in (store.read, store.read_key, lambda: acquire(store, "we", 0)):
        with pytest.raises(StateError, match=f"{link} is a link"):
            action()
    assert {each.name: each.read_bytes() for each in outside.parent.iterdir()} == before


def test_a_link_that_is_put_there_while_the_state_is_held_ends_the_run(tmp_path: Path) -> None:
    here = tmp_path / "fleet" / ".reconciler"
    outside = tmp_path / "outside" / "default.state"
    run(outside, None)
    before = {each.name: each.read_bytes() for each in outside.parent.iterdir()}
    store = LocalStore(here / "default.state", is_beside_fleet=True)
    acquire(store, "we", 0)
    store.commit([PutApplying("d")], expected=0)
    here.rename(tmp_path / "fleet" / "kept")
    here.symlink_to(outside.parent)
    with pytest.raises(StateError, match="is a link"):
        store.commit([PutApplying("e")], expected=1)
    assert {each.name: each.read_bytes() for each in outside.parent.iterdir()} == before
    store.close()


def test_a_lock_that_was_taken_for_a_bad_state_is_given_back(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("<<<<<<< HEAD\n", encoding="utf-8")
    first = LocalStore(path)
    with pytest.raises(StateError):
        acquire(first, "we", 0)
    path.unlink()
    run(path, None)


def test_a_directory_in_its_place_is_a_message(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateError):
        LocalStore(path).read()
    os.rmdir(path)
    run(path, None)


# --- a state that lies about agents --------------------------------------------------------------------------------


def lied_to(change: Callable[[State, Virtual], State]) -> tuple[Virtual, set[str]]:
    """A service with an agent of ours and one of somebody else, and a state that somebody has edited."""
    virtual = Virtual()
    stranger = Virtual()
    stranger.service = virtual.service
    stranger.run(
        workflow.apply(stranger.job(fleet(agent("lobby/theirs"), owner=Owner("other"))), stranger.provider())
    )
    foreign = {each.agent_id for each in virtual.live()}
    virtual.run(
        workflow.apply(virtual.job(fleet(agent("lobby/greeter"), agent("bar/waiter"))), virtual.provider())
    )
    virtual.state = MemoryStore(change(virtual.state.read(), virtual))
    return virtual, foreign


def _foreign(virtual: Virtual) -> str:
    return next(each.agent_id for each in virtual.live() if each.name.startswith("other."))


LIES: dict[str, Callable[[State, Virtual], State]] = {
    "no records": lambda state, _: replace(state, records={}),
    "half the records": lambda state, _: replace(state, records=dict(list(state.records.items())[:1])),
    "a foreign id in our record": lambda state, virtual: replace(
        state,
        records={
            key: replace(each, agent_id=_foreign(virtual)) for key, each in list(state.records.items())[:1]
        },
    ),
    "a foreign id under an address that nobody wants": lambda state, virtual: replace(
        state,
        records={
            **state.records,
            Address("lobby", "gone"): replace(
                next(iter(state.records.values())),
                address=Address("lobby", "gone"),
                agent_id=_foreign(virtual),
            ),
        },
    ),
    "a leave intent for a foreign agent": lambda state, virtual: replace(
        state,
        intents=(Intent(Operation.LEAVE, Address("lobby", "gone"), "x", 1.0, agent_id=_foreign(virtual)),),
    ),
    "an update intent for a foreign agent": lambda state, virtual: replace(
        state,
        intents=(
            Intent(Operation.UPDATE, Address("lobby", "greeter"), "x", 1.0, agent_id=_foreign(virtual)),
        ),
    ),
    "a join intent with a foreign name": lambda state, virtual: replace(
        state,
        intents=(
            Intent(
                Operation.JOIN,
                Address("lobby", "gone"),
                next(each.name for each in virtual.live() if each.name.startswith("other.")),
                1.0,
                generation=1,
                uid="7",
                body=Body(properties()),
            ),
        ),
    ),
    "other names": lambda state, _: replace(
        state,
        records={
            key: replace(each, name="other.-.x.0123456789.101234567.g1")
            for key, each in state.records.items()
        },
    ),
    "ids that nobody has": lambda state, _: replace(
        state,
        records={
            key: replace(each, agent_id=f"A{number}")
            for number, (key, each) in enumerate(state.records.items())
        },
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_of_a_state_harms_a_foreign_agent(lie: str) -> None:
    virtual, foreign = lied_to(LIES[lie])
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    before = {each.agent_id: each.properties for each in virtual.live() if each.agent_id in foreign}
    for destroying in (False, False, True):
        try:
            virtual.run(workflow.apply(virtual.job(wanted, destroying=destroying), virtual.provider()))
        except ReconcilerError:
            virtual.state.release()
        left = {each.agent_id: each.properties for each in virtual.live() if each.agent_id in foreign}
        assert left == before
    ours = [each for each in virtual.live() if each.agent_id not in foreign]
    assert len({(each.channel, each.uid) for each in ours}) == len(ours)


def test_the_note_of_what_was_seen_names_no_secret_and_is_ours_alone(path: Path, seen: Path) -> None:
    run(path, seen, PutRecord(RECORD))
    (note,) = seen.iterdir()
    assert sorted(orjson.loads(note.read_bytes())) == ["lineage", "serial", "state"]
    assert note.stat().st_mode & 0o077 == 0
