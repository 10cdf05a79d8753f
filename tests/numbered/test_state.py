"""9.4: the state's file."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import orjson
import pytest

from reconciler.simulator.messages import Response
from reconciler.state import place
from tests.hostile.bench import mutating
from tests.hostile.test_states import backup
from tests.numbered.scene import Scene

APPLY = ("apply", "demo", "--auto-approve")
PLAN = ("plan", "demo")
NAME = "demo.-.lobby-desk.amgkgh7kqv.10jsq6qpz.g2"


@pytest.fixture(autouse=True)
def two_agents(scene: Scene) -> None:
    """Every state of these tests has two records."""
    scene.applied()


def damaged(scene: Scene, what: str, says: str) -> None:
    """Refused by what reads and by what would write; the book shows one of them."""
    told = scene.refused(what, *APPLY, says=says)
    assert "damaged" in told.err
    read = scene.run(*PLAN)
    assert (read.code, read.err) == (1, told.err)


def test_9_4_01_no_state(scene: Scene) -> None:
    data = scene.state.read_bytes()
    for what, bad, says in (
        ("Text", b"fleet: demo\n", "not an SQLite file"),
        ("JSON", b'{"serial": 7, "records": {}}', "not an SQLite file"),
        ("Nothing", b"", "empty"),
        ("Cut short", data[: len(data) // 2], "damaged"),
        ("Cut after the first page", data[:4096], "damaged"),
        ("Another database", _database(), "its tables"),
    ):
        scene.restored(bad)
        damaged(scene, what, says)
    scene.restored(data + b"<trailing bytes>" * 9)
    scene.settled()
    scene.section.note(
        "Trailing bytes are not read: SQLite counts its pages in the head of the file. What is read is what was written."
    )


def _database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table meta (key text, value text)")
    return connection.serialize()


def test_9_4_02_the_same_key_twice(scene: Scene) -> None:
    scene.section.note(
        "Not applicable as written: every row has a checksum, so no merge and no editor leaves two keys in one, "
        "and one parser reads them. The nearest thing is two rows that claim to be one address."
    )
    scene.sql("update records set address = 'lobby/other' where address = 'lobby/door'")
    damaged(scene, "A row under another key", "checksum")
    scene.sql("update records set address = 'lobby/door' where address = 'lobby/other'")
    scene.rewritten(lambda tree: tree["address"].update(name="desk"), key="lobby/door")
    damaged(scene, "A second row about one address, with its checksum", "is about lobby/desk")


def test_9_4_03_nan(scene: Scene) -> None:
    for what, text in (("Not a number", "NaN"), ("Beyond every number", "1e999")):
        scene.recorded(f'{{"started_at": {text}}}')
        damaged(scene, what, "not JSON")


def test_9_4_04_a_wrong_checksum(scene: Scene) -> None:
    scene.edit("{{ greeting }}", "{{ greeting }} " + "Be kind. " * 20)
    assert scene.run(*APPLY).code == 0
    [row] = _one(scene, "select record from records where address = 'lobby/desk'")
    edited = row.replace('"generation":1', '"generation":2')
    scene.sql("update records set record = ? where address = 'lobby/desk'", edited)
    damaged(scene, "One character of a record", "checksum")
    scene.sql("update records set record = ? where address = 'lobby/desk'", row)
    digest, text = _one(scene, "select digest, text from texts limit 1")
    scene.sql("update texts set text = 'another prompt' where digest = ?", digest)
    damaged(scene, "A prompt that is not the one that its digest names", "digest")
    scene.sql("delete from texts where digest = ?", digest)
    damaged(scene, "A prompt that is gone", "missing")
    scene.sql("insert into texts values (?, ?)", digest, text)
    scene.settled()
    scene.section.note(
        "A MAC is not applicable: its key would lie beside the file, readable by whoever can write it. What an edit with "
        "right checksums can do is held by 9.4.8 and 9.4.9, and no record is acted upon before the service has shown its "
        "agent to be ours."
    )


def _one(scene: Scene, statement: str) -> tuple[Any, ...]:
    connection = sqlite3.connect(scene.state)
    try:
        found: tuple[Any, ...] = connection.execute(statement).fetchone()
        return found
    finally:
        connection.close()


def test_9_4_05_a_newer_format(scene: Scene) -> None:
    scene.sql("update meta set value = '3' where key = 'format'")
    scene.refused("A state that a newer release has written, to plan", *PLAN, says="newer")
    scene.refused("To apply: nothing is written back in the older format", *APPLY, says="newer")


def test_9_4_06_another_history(scene: Scene) -> None:
    old = scene.bench.home / "old"
    backup(scene.state, old)
    assert scene.run(*APPLY, "--replace", "*").code == 0
    new = scene.state.read_bytes()
    scene.restored(old.read_bytes())
    scene.refused("An older copy put back: its serial is lower than last seen", *APPLY, says="older")
    scene.restored(new)
    scene.sql("update meta set value = '0b54e0d2-0000-4000-8000-000000000000' where key = 'lineage'")
    scene.refused("Another state in its place: an unknown lineage", *APPLY, says="not the one")
    for what, serial in (("A negative serial", "-4"), ("A serial beyond 2^53", "9007199254740993")):
        scene.restored(new)
        scene.sql("update meta set value = ? where key = 'serial'", serial)
        damaged(scene, what, "damaged")
    scene.restored(new)
    _jumps_when_listed(scene)
    scene.edit("hello", "good evening")
    told = "Of unknown outcome"
    scene.shown(
        "A serial that jumps while an apply is at work", *APPLY, code=4, says="another writer", since=told
    )
    assert "update" not in mutating(scene.service)
    scene.section.note(
        "A serial that has jumped between two runs cannot be told from another user's work in between, and is taken: "
        "what the service shows decides, not the number."
    )


def _jumps_when_listed(scene: Scene) -> None:
    def jump(answer: Response) -> Response:
        scene.sql("update meta set value = value + 7 where key = 'serial'")
        return answer

    scene.answers("list", jump)


def test_9_4_07_another_owner(scene: Scene) -> None:
    other = scene.state.with_name("test.state")
    other.write_bytes(scene.state.read_bytes())
    other.chmod(0o600)
    scene.refused("Another environment's state", *APPLY, "-e", "test", says="environment")
    scene.edit("fleet: demo", "fleet: annex")
    scene.refused("Another fleet's state", *APPLY, says="fleet demo")
    scene.edit("fleet: annex\nservice: {kind: agora}", "fleet: demo\nservice: {kind: simulator}")
    scene.refused("Another service's state", *APPLY, says="service agora")
    scene.section.note("Another App ID: 9.3.13.")


def test_9_4_08_agents(scene: Scene) -> None:
    good = scene.state.read_bytes()
    door = scene.run("show", "lobby/door", "-C", "demo", "--format", "json")
    agent_id = orjson.loads(door.out)["state"]["agent_id"]
    for what, bad, says in (
        ("An id that would be a path", "../../v1/projects/x", "for an agent's id"),
        ("No id", "", "for an agent's id"),
        ("An id of 200 letters", "A" * 200, "for an agent's id"),
        ("One id at two addresses", agent_id, "is recorded at"),
    ):
        scene.restored(good)
        scene.rewritten(lambda tree, bad=bad: tree.update(agent_id=bad))
        damaged(scene, what, says)
    scene.restored(good)
    names = {each.name for each in scene.service.world.live()}
    scene.rewritten(lambda tree: tree.update(name=next(each for each in names if "door" in each)))
    scene.settled()
    scene.section.note(
        "One name twice is not refused: after a rename and a lost state an honest run can leave it. Agents are told by "
        "their ids, and no agent is touched before the service has shown its name."
    )


def test_9_4_09_intents(scene: Scene) -> None:
    good = scene.state.read_bytes()
    now = time.time()
    body = {"properties": {}}
    desk = {"channel": "lobby", "name": "desk"}
    join = {"address": desk, "created_at": now, "uid": "7", "body": body, "operation": "join"}
    leave = {"operation": "leave", "address": desk, "name": NAME, "created_at": now}
    for what, key, tree, says in (
        ("A join without a name", "join:", {**join, "name": "", "generation": 2}, "for an agent's name"),
        ("A join without a generation", f"join:{NAME}", {**join, "name": NAME}, "generation 0"),
        ("A leave without an agent", "leave:", leave, "for an agent's id"),
        ("An unknown operation", "explode:A1", {**leave, "operation": "explode"}, "unknown operation"),
        (
            "A row under another key",
            "leave:A1",
            {**leave, "agent_id": "A2"},
            "is about",
        ),
    ):
        scene.restored(good)
        scene.intended(key, **tree)
        damaged(scene, what, says)
    scene.restored(good)
    foreign = "other.-.lobby-desk.amgkgh7kqv.10jsq6qpz.g2"
    scene.intended(f"join:{foreign}", **{**join, "name": foreign, "generation": 2})
    scene.refused("A join under a name that is not ours", *APPLY, says="edited")
    scene.restored(good)
    scene.intended(
        f"join:{NAME}", **{**join, "name": NAME, "generation": 2, "created_at": now + 48 * 3600 + 60}
    )
    scene.refused("An intent from the future", *APPLY, says="48h in the future")
    scene.refused("The same, to plan", *PLAN, says="48h in the future")


def test_9_4_10_readable_by_others(scene: Scene) -> None:
    scene.state.chmod(0o644)
    told = scene.run(*PLAN)
    assert "chmod 600" in told.err
    scene.refused("A state that others can read: a warning", *PLAN, code=0, says="warning")
    scene.state.chmod(0o600)
    (scene.state.parent / "secret.key").chmod(0o640)
    scene.refused("The key for digests of secrets", *PLAN, code=0, says="warning")
    scene.section.note(
        "Nothing is refused: there is no strict mode, and the state holds no secret. What we make ourselves has mode "
        "0600, whatever the umask."
    )


def test_9_4_11_a_directory_that_others_can_write(scene: Scene) -> None:
    for what, mode in (("Everybody", 0o777), ("With a sticky bit", 0o1777)):
        scene.state.parent.chmod(mode)
        scene.refused(what, *APPLY, says="chmod 700")
    scene.state.parent.chmod(0o770)
    with scene.bench.patch.context() as patch:
        patch.setattr(place, "is_private", lambda group: False)
        scene.refused("A group that others are in", *APPLY, says="chmod 700")
        scene.refused("To plan", *PLAN, says="chmod 700")
        patch.setattr(place, "is_private", lambda group: True)
        scene.settled()
    scene.section.note(
        "A group that has the user's name and nobody else in it is no other, as most systems make one for each user. "
        "Disks that have no modes of their own, such as Windows' in a Linux, are not looked at."
    )
    scene.state.parent.chmod(0o755)
    scene.settled()


def test_9_4_12_plaintext(scene: Scene) -> None:
    data = scene.state.read_bytes()
    assert not [each for each in ("tts-canary-0123", "llm-canary-4567") if each.encode() in data]
    scene.section.note(
        "Not applicable: no backend encrypts, so none requires it. The state holds no secret value and no token: what "
        "went out is kept as digests under a key that lies in a file of its own (`tests/hostile/test_secrets.py`)."
    )


def test_9_4_13_size_and_depth(scene: Scene) -> None:
    scene.recorded('{"address": "' + "a" * 80_000_000 + '"}')
    damaged(scene, "A row of 80 MB", "larger than any")
    deep = '{"body": {"properties": {"llm": %s}}}'
    scene.recorded(deep % ("[" * 900 + "]" * 900))
    damaged(scene, "A row that is nested 900 levels deep", "nested deeper")
    scene.recorded('{"address": ' + "[" * 100_000 + "}")
    damaged(scene, "A row that is nested 100,000 levels deep", "not JSON")
    scene.section.note(
        "The size of the whole file is not bounded: 100,000 agents are a legitimate state, and it is read row by row, each "
        "of 64 MiB at most."
    )


def test_9_4_14_conflict_markers(scene: Scene) -> None:
    scene.restored(b"<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> main\n")
    damaged(scene, "A state that was committed to Git and merged", "conflict markers")


def test_9_4_15_two_backends(scene: Scene) -> None:
    answer = scene.run("migrate", "demo")
    assert (answer.code, "There is no command" in answer.err) == (1, True)
    scene.section.note(
        "Not applicable: there is one backend, beside the fleet, and nothing that moves a state from one to another."
    )
