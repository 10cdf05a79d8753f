"""Rows and entries, value by value: what is written, what is read back, and what is refused as damage."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import orjson
import pytest

from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.record import Entry, Foreign, Intent, Operation, Pins, Record, State
from reconciler.model.spec import Body
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropIntent,
    DropRecord,
    DropReleased,
    PutApplying,
    PutForeign,
    PutGeneration,
    PutIntent,
    PutMoved,
    PutPins,
    PutRecord,
    PutReleased,
    SetLineage,
    Write,
)
from reconciler.state import checks, document, statements, tables, whole
from reconciler.state.adapter import Adapter
from reconciler.state.damage import Damaged, address_of
from reconciler.state.document import RowReader, checksum, text_digest
from reconciler.state.log.entries import Header, decoded, encoded
from tests.contracts.state_store import ADDRESS, JOIN, LEAVE, RECORD

LONG = "x" * 160
NOTED = Intent(Operation.REFUSED, ADDRESS, "", 3.0, body=Body({}), attempt=2, sent_at=3.0)


# --- addresses, numbers and times ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [("a/b", Address("a", "b")), ("a/b/c", Address("a/b", "c")), ("a/", None), ("/b", None), ("ab", None), ("", None), (7, None), (None, None)],
)  # fmt: skip
def test_the_address_of_a_row(text: object, address: Address | None) -> None:
    if address is not None:
        assert address_of(text) == address
        return
    with pytest.raises(Damaged, match="is not an address"):
        address_of(text)


@pytest.mark.parametrize(
    ("text", "is_one"), [("0", True), ("9" * 16, True), ("9" * 17, False), ("", False), ("-1", False), ("1.5", False), ("٣", False), ("1 ", False)]
)  # fmt: skip
def test_which_texts_are_numbers(text: str, is_one: bool) -> None:
    assert tables._is_number(text) is is_one
    if is_one:
        assert statements.read_offset(text) == int(text)
    else:
        with pytest.raises(Damaged, match="offset is no number"):
            statements.read_offset(text)
    assert not tables._is_number(7)


@pytest.mark.parametrize(
    ("stamp", "is_one"),
    [(None, True), (0, True), (1.5, True), (253_402_300_799, True), (253_402_300_800, False), (-0.1, False), ("1", False)],
)  # fmt: skip
def test_which_values_are_times(stamp: object, is_one: bool) -> None:
    assert checks.is_time(stamp) is is_one


@pytest.mark.parametrize(
    ("number", "is_one"), [(0, True), (10**9, True), (10**9 + 1, False), (-1, False), ("1", False), (1.5, False)]
)  # fmt: skip
def test_which_numbers_are_generations(number: object, is_one: bool) -> None:
    if is_one:
        assert tables.generation("a/b", number) == number
    else:
        with pytest.raises(Damaged, match="generation of 'a/b' is not a number"):
            tables.generation("a/b", number)


def test_rows_of_the_small_tables() -> None:
    assert tables.foreign(("F", "n", None)) == Foreign("F", "n")
    assert tables.foreign(("F", "n", "c")) == Foreign("F", "n", "c")
    assert tables.entry((1, "a/b", "join", "done", "A", "d")) == Entry(
        1.0, Address("a", "b"), "join", "done", "A", "d"
    )
    for wrong in ((7, "n", None), ("F", None, None), ("F", "n", 7)):
        with pytest.raises(Damaged):
            tables.foreign(wrong)
    for stamp in ("1", None, -1, 10**12):
        with pytest.raises(Damaged):
            tables.entry((stamp, "a/b", "join", "done", "A", "d"))


# --- a state as a whole --------------------------------------------------------------------------------------------

OTHER = Address("lobby", "other")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"serial": -1}, "its serial is -1"),
        ({"offset": -1}, "its serial is"),
        ({"serial": 2**53}, None),
        ({"serial": 2**53, "offset": 1}, "its serial is"),
        ({"records": {ADDRESS: replace(RECORD, agent_id="a/b")}}, "for an agent's id"),
        ({"records": {ADDRESS: replace(RECORD, generation=0)}}, None),
        ({"records": {ADDRESS: replace(RECORD, generation=10**9)}}, None),
        ({"records": {ADDRESS: replace(RECORD, generation=10**9 + 1)}}, "has the generation"),
        ({"records": {ADDRESS: replace(RECORD, generation=-1)}}, "has the generation"),
        ({"records": {ADDRESS: replace(RECORD, started_at=-1.0)}}, "has a time that is none"),
        ({"records": {ADDRESS: replace(RECORD, token_expires_at=-1.0)}}, "has a time that is none"),
        ({"records": {ADDRESS: replace(RECORD, retry_at=-1.0)}}, "has a time that is none"),
        ({"records": {ADDRESS: replace(RECORD, stops=(1.0, -1.0))}}, "has a time that is none"),
        ({"records": {ADDRESS: RECORD, OTHER: replace(RECORD, address=OTHER)}}, "is recorded at lobby/greeter and at lobby/other"),
        ({"intents": (JOIN, LEAVE, NOTED)}, None),
        ({"intents": (replace(JOIN, created_at=-1.0),)}, "has a time that is none"),
        ({"intents": (replace(JOIN, unknown_since=-1.0),)}, "has a time that is none"),
        ({"intents": (replace(JOIN, refused_since=-1.0),)}, "has a time that is none"),
        ({"intents": (replace(JOIN, sent_at=-1.0),)}, "has a time that is none"),
        ({"intents": (replace(NOTED, body=None),)}, "does not say what was refused"),
        ({"intents": (replace(NOTED, attempt=0),)}, "does not say what was refused"),
        ({"intents": (replace(NOTED, attempt=1),)}, None),
        ({"intents": (replace(LEAVE, agent_id="a/b"),)}, "for an agent's id"),
        ({"intents": (replace(LEAVE, name="any"),)}, None),
        ({"intents": (replace(JOIN, name="any"),)}, "for an agent's name"),
        ({"intents": (replace(JOIN, generation=0),)}, "has the generation 0"),
        ({"intents": (replace(JOIN, generation=10**9),)}, None),
        ({"intents": (replace(JOIN, generation=10**9 + 1),)}, "has the generation"),
        ({"intents": (replace(JOIN, body=None),)}, "has no body to send"),
    ],
)  # fmt: skip
def test_which_states_no_run_of_ours_has_written(changes: dict[str, Any], said: str | None) -> None:
    state = State(**{"lineage": "l", "serial": 1, "secret_key": b"", **changes})
    if said is None:
        checks.check(state)
    else:
        with pytest.raises(Damaged, match=said):
            checks.check(state)


# --- bodies and their long texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "stored", "texts"),
    [
        ({"a": "x" * 159}, {"a": "x" * 159}, 0),
        ({"a": LONG}, {"a": {"$text": text_digest(LONG)}}, 1),
        ({"a": [LONG, {"b": LONG}, 1, None]}, {"a": [{"$text": text_digest(LONG)}, {"b": {"$text": text_digest(LONG)}}, 1, None]}, 1),
        ({"$text": "x"}, {"$$text": "x"}, 0),
        ({"$$text": "x"}, {"$$$text": "x"}, 0),
        ({"$other": 1, "text": 2}, {"$other": 1, "text": 2}, 0),
        ({"a": {"$text": "0" * 24}}, {"a": {"$$text": "0" * 24}}, 0),
        ({"a": {"$texts": 1, "$$other": 2}}, {"a": {"$texts": 1, "$$other": 2}}, 0),
    ],
)  # fmt: skip
def test_a_body_is_stored_and_comes_back(properties: Any, stored: Any, texts: int) -> None:
    found: dict[str, str] = {}
    text = document.record_json(replace(RECORD, body=Body(properties)), found)
    assert orjson.loads(text)["body"]["properties"] == stored
    assert len(found) == texts
    row = [str(ADDRESS), text, checksum(str(ADDRESS), text)]
    reader = RowReader({**found, "unused": "y"})
    assert reader.record(*row).body.properties == properties
    assert reader.unused == {"unused"}


def test_equal_parts_of_bodies_are_one_object() -> None:
    text = document.record_json(replace(RECORD, body=Body({"llm": {"a": [1]}})), {})
    row = [str(ADDRESS), text, checksum(str(ADDRESS), text)]
    reader = RowReader({})
    assert reader.record(*row).body.properties["llm"] is reader.record(*row).body.properties["llm"]


def sealed(key: str, tree: Any) -> list[Any]:
    text = orjson.dumps(tree).decode()
    return [key, text, checksum(key, text)]


ROW = orjson.loads(document.record_json(replace(RECORD, body=Body({})), {}))


# What a body with a long text could be taken for: each likely body, and what the row has instead.
NEARLY = [
    ({"a": 1}, {"a": True}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": LONG}, {"a": LONG + "x"}),
    ({"a": {"$text": text_digest(LONG)}}, {"a": LONG}),
    ({"a": LONG}, {"a": {"$text": text_digest(LONG)}}),
    ({"a": {"$$text": 1}}, {"a": {"$text": 1}}),
]


@pytest.mark.parametrize(("likely", "stored"), NEARLY)
def test_a_record_shares_its_likely_body_only_if_it_has_exactly_that(likely: Any, stored: Any) -> None:
    for properties, is_it in ((stored, False), (likely, "$" not in str(likely))):
        texts: dict[str, str] = {}
        expected = Body(likely, preset="p")
        record = replace(RECORD, body=Body(properties, preset="p"), protect=True)
        text = document.record_json(record, texts)
        reader = RowReader(texts, {str(ADDRESS): expected})
        found = reader.record(str(ADDRESS), text, checksum(str(ADDRESS), text))
        assert found == record
        assert repr(found) == repr(record)
        assert (found.body is expected) is is_it
        assert not reader.unused


def test_a_row_with_a_second_body_behind_the_likely_one_has_that() -> None:
    text = '{"body":{"properties":{}},' + orjson.dumps({**ROW, "body": {"properties": {"a": 1}}}).decode()[1:]
    reader = RowReader({}, {str(ADDRESS): Body({})})
    assert reader.record(str(ADDRESS), text, checksum(str(ADDRESS), text)).body == Body({"a": 1})


def test_a_long_text_of_a_likely_body_is_checked() -> None:
    row = sealed(str(ADDRESS), {**ROW, "body": {"properties": {"a": {"$text": "0" * 24}}}})
    with pytest.raises(Damaged, match="does not match its digest"):
        RowReader({"0" * 24: LONG}, {str(ADDRESS): Body({"a": LONG})}).record(*row)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([7, "{}", ""], "a row is not of this format"),
        (["k", 7, ""], "a row is not of this format"),
        (["k", "{}", "0"], "the row of k does not match its checksum"),
        (sealed("lobby/other", ROW), "the row of lobby/other is about lobby/greeter"),
        (sealed("lobby/greeter", {**ROW, "more": 1}), "not of this format, at more"),
        (sealed("lobby/greeter", {**ROW, "generation": "1"}), "not of this format, at generation"),
        (sealed("lobby/greeter", {**ROW, "generation": True}), "not of this format"),
        (sealed("lobby/greeter", []), "the row of lobby/greeter is not of this format$"),
        (sealed("a/", {**ROW, "address": {"channel": "a", "name": ""}}), "is not an address"),
        (sealed("lobby/greeter", {**ROW, "body": {"properties": {"a": {"$text": "0"}}}}), "text 0 is missing"),
        (sealed("lobby/greeter", {**ROW, "body": {"properties": {"a": {"$text": "bad"}}}}), "text bad does not match its digest"),
        (sealed("lobby/greeter", {**ROW, "body": {"properties": {"a": {"$text": "seven"}}}}), "text seven is missing"),
    ],
)  # fmt: skip
def test_which_rows_are_refused(row: list[Any], said: str) -> None:
    with pytest.raises(Damaged, match=said):
        RowReader({"bad": "text", "seven": 7}).record(*row)


@pytest.mark.parametrize("odd", [{"$text": 7}, {"$text": "x", "more": 1}])
def test_what_only_looks_like_a_reference_to_a_text_is_left_alone(odd: Any) -> None:
    row = sealed("lobby/greeter", {**ROW, "body": {"properties": {"a": odd}}})
    assert RowReader({}).record(*row).body.properties["a"] == odd


def test_an_operation_that_nobody_knows_is_named() -> None:
    tree = orjson.loads(document.intent_json(LEAVE, {}))
    with pytest.raises(Damaged, match="intent leave:A1 is about an unknown operation 'fly'"):
        RowReader({}).intent(*sealed(LEAVE.key, {**tree, "operation": "fly"}))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "it is not JSON"),
        ("NaN", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (nested(122), "it is nested deeper than 120 levels"),
        (nested(122).encode(), "it is nested deeper than 120 levels"),
    ],
)
def test_which_json_is_refused(data: str | bytes, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        document.loads(data, "it")


def test_json_of_many_brackets_is_not_deep() -> None:
    assert document.loads("[" + ",".join(["{}"] * 300) + "]", "it") == [{}] * 300
    assert document.loads(nested(120), "it") is not None


def test_no_row_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_LARGEST", 4)
    assert document.loads("1234", "it") == 1234
    with pytest.raises(Damaged, match="larger than any that is written"):
        document.loads("12345", "it")


# --- the adapter ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    number: int
    text: str = "x"
    many: tuple[float, ...] = dataclasses.field(default_factory=lambda: (1.0,))
    maybe: int | None = None


def test_fields_without_a_value_get_their_defaults_and_those_without_a_default_are_missed() -> None:
    adapter = Adapter(Sample)
    assert adapter.read('{"number": 1}') == Sample(1)
    assert adapter.read(b'{"number": 1, "text": "y", "many": [2.5], "maybe": 3}') == Sample(1, "y", (2.5,), 3)
    assert adapter.write(Sample(1)) == '{"number":1,"text":"x","many":[1.0],"maybe":null}'
    assert adapter.changed(Sample(1)) == {"number": 1}
    for wrong in ("{}", '{"number": "1"}', '{"number": 1, "other": 2}', '{"number": null}'):
        with pytest.raises(ValueError):
            adapter.read(wrong)


# --- entries of a log ----------------------------------------------------------------------------------------------

HEADER = Header("l", 7, "n", "w")
WRITES: list[Write] = [
    PutRecord(RECORD),
    DropRecord(ADDRESS),
    PutIntent(JOIN),
    DropIntent("k"),
    PutGeneration(ADDRESS, 3),
    PutForeign(Foreign("F", "n")),
    PutForeign(Foreign("F", "n", "c")),
    DropForeign("F"),
    PutReleased("R"),
    DropReleased("R"),
    PutPins(Pins("demo", None, "agora", "app")),
    PutApplying("d"),
    PutApplying(None),
    PutMoved("there"),
    PutMoved(None),
    SetLineage("m", 4),
    Append(Entry(1.5, ADDRESS, "join", "done", "A", "d")),
]


def test_every_write_comes_back_and_known_texts_are_not_repeated() -> None:
    texts: dict[str, str] = {}
    data = encoded(HEADER, WRITES, texts, ())
    found = decoded(data, "log/7", "the log")
    assert found.header == HEADER
    assert found.texts == texts != {}
    assert found.writes(RowReader(texts)) == WRITES
    assert found.history() == [Entry(1.5, ADDRESS, "join", "done", "A", "d")]
    again = decoded(encoded(HEADER, WRITES, {}, texts.keys()), "log/7", "the log")
    assert again.texts == {}
    assert again.writes(RowReader(texts)) == WRITES
    assert data.count(b"\n") == len(texts) + 1 + len(WRITES) + 1 + 1, "one text and one write a line"
    assert decoded(encoded(HEADER, [], {}, ()), "log/7", "the log").rows == ()


def entry_with(**changes: Any) -> bytes:
    tree = {"format": 2, "lineage": "l", "nonce": "n", "serial": 7, "texts": {}, "writer": "w", "writes": []}
    return orjson.dumps({name: each for name, each in {**tree, **changes}.items() if each is not ...})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "k is no entry of a state"),
        (b"{}", "k is no entry of a state"),
        (entry_with(format="2"), "k is no entry of a state"),
        (entry_with(format=3), "the state S has format 3, and this reconciler knows 2"),
        (entry_with(texts=[]), "k is not of this format"),
        (entry_with(texts={"a": 1}), "k is not of this format"),
        (entry_with(writes={}), "k is not of this format"),
        (entry_with(writes=[1]), "k is not of this format"),
        (entry_with(writes=[{}]), "k is not of this format"),
        (entry_with(writes=[{"a": 1, "b": 2}]), "k is not of this format"),
        (entry_with(serial="7"), "k is not of this format"),
        (entry_with(lineage=""), "k does not say which state it is of"),
        (entry_with(nonce=""), "k does not say which state it is of"),
        (entry_with(lineage=...), "a row is not of this format"),
        (entry_with(writer=7), "a row is not of this format"),
    ],
)
def test_which_entries_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(StateError, match=said):
        decoded(data, "k", "S")


LINE = {"at": 1.0, "address": "a/b", "change": "c", "result": "r", "agent_id": "", "detail": ""}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        ({"fly": 1}, "it has a write 'fly', which nobody knows"),
        ({"drop_record": "x"}, "is not an address"),
        ({"drop_intent": 7}, "a row is not of this format"),
        ({"put_generation": ["a/b"]}, "a write put_generation is not of this format"),
        ({"put_generation": ["a/b", -1]}, "is not a number"),
        ({"put_generation": 7}, "a write put_generation is not of this format"),
        ({"put_foreign": ["F", "n"]}, "a write put_foreign is not of this format"),
        ({"put_foreign": ["F", 7, None]}, "a row is not of this format"),
        ({"put_pins": {"fleet": 7}}, "its pins are not of this format"),
        ({"put_applying": 7}, "a row is not of this format"),
        ({"put_moved": 7}, "a row is not of this format"),
        ({"go_on_as": ["l", "4"]}, "its offset is no number"),
        ({"go_on_as": [7, 4]}, "a row is not of this format"),
        ({"append": 7}, "a line of its history is not of this format"),
        ({"append": {**LINE, "more": 1}}, "a line of its history is not of this format"),
        ({"append": {**LINE, "at": "now"}}, "a row is not of this format"),
        ({"put_record": {}}, "not of this format"),
    ],
)
def test_which_writes_of_an_entry_are_refused(write: dict[str, Any], said: str) -> None:
    found = decoded(entry_with(writes=[write]), "k", "S")
    with pytest.raises(Damaged, match=said):
        found.writes(RowReader({}))


# --- a whole state in one document ---------------------------------------------------------------------------------

KEY = b"k" * 32
STATE = State(
    "l",
    7,
    KEY,
    pins=Pins("demo", None, "agora", "app"),
    records={ADDRESS: RECORD},
    intents=(JOIN, LEAVE),
    generations={ADDRESS: 3},
    foreign={"F": Foreign("F", "n")},
    released=frozenset({"R"}),
    applying="d",
)


def test_a_whole_state_comes_back_and_without_its_key_it_loses_the_digests_of_secrets() -> None:
    data = whole.to_document(STATE)
    found = whole.of_document(data, "stdin", key=KEY)
    assert found == replace(STATE, intents=tuple(sorted(STATE.intents, key=lambda each: each.key)))
    for key in (b"other" * 8, b""):
        other = whole.of_document(data, "stdin", key=key)
        assert (other.secret_key, other.records[ADDRESS].secrets) == (key, {})
    assert whole.to_document(found) == data
    assert (whole.key_mark(b""), whole.key_mark(KEY) != whole.key_mark(b"x" * 32)) == ("", True)
    moved = whole.to_document(replace(STATE, serial=3, offset=4))
    assert orjson.loads(moved)["serial"] == 7


def edited(**changes: Any) -> bytes:
    tree = orjson.loads(whole.to_document(STATE)) | changes
    return orjson.dumps({name: each for name, each in tree.items() if each is not ...})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"[]", "it is not a JSON object"),
        (b"<<<<<<< ours\n{}", "the conflict markers of a merge"),
        (b'{"format": 2, "format": 2}', "the key 'format' stands twice in one object"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' stands twice"),
        (edited(format=1), "its format is not 2"),
        (edited(format="2"), "its format is not 2"),
        (edited(format=3), "has format 3, and this reconciler knows 2"),
        (edited(lineage="m"), "does not match its checksum"),
        (edited(checksum=..., lineage=""), "it has no lineage"),
        (edited(checksum=..., serial="7"), "not of this format, at serial"),
        (edited(checksum=..., serial=-1), "its serial is -1"),
        (edited(checksum=..., generations={"a": 1}), "is not an address"),
    ],
)
def test_which_documents_are_no_whole_state(data: bytes, said: str) -> None:
    with pytest.raises(StateError, match=said):
        whole.of_document(data, "stdin", key=KEY)


def test_who_edits_a_document_takes_its_checksum_out() -> None:
    found = whole.of_document(edited(checksum=..., applying=None), "stdin", key=KEY)
    assert found.applying is None
    assert isinstance(found.records[ADDRESS], Record)
