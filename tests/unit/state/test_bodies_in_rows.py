"""The rows of records and intents: what is written is read, and nothing else is."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import orjson
import pytest

from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.state.document import Bodies, RowReader, checksum
from reconciler.state.statements import intent_row, record_row

DESK = Address("lobby", "desk")
PROMPT = "You stand at the front desk. " * 10
BODIES = (
    Body({}),
    Body(
        {"llm": {"system_messages": [{"role": "system", "content": PROMPT}], "max_history": 3}}, "preset", "p"
    ),
    Body({"labels": MappingProxyType({"a": (1, 2.5, None, PROMPT)}), "note": PROMPT}),
    Body({"$text": "a user's key", "$$text": [{"$text": "another"}], "$other": {"$text": PROMPT}}),
)


def record(body: Body, **more: Any) -> Record:
    return Record(DESK, "1NT29X10YHxxxxxWJOXLYHNYB", "name", 1, "1001", body, 1_700_000_000.0, **more)


def intent(body: Body | None) -> Intent:
    return Intent(Operation.JOIN, DESK, "name", 1_700_000_000.0, generation=1, uid="1001", body=body)


def plain(tree: Any) -> Any:
    """The tree as JSON has it: lists and dicts only."""
    return orjson.loads(orjson.dumps(tree, default=dict))


@pytest.mark.parametrize("body", BODIES)
def test_what_is_written_is_read(body: Body) -> None:
    texts: dict[str, str] = {}
    rows = [
        record_row(record(body), texts),
        record_row(record(body, protect=True, secrets={"ref+env://A": "d"}, stops=(1.0, 2.5)), texts),
    ]
    found = [RowReader(texts).record(*row) for row in rows]
    assert [plain(each.body.tree()) for each in found] == [plain(body.tree())] * 2
    assert (found[1].protect, found[1].secrets, found[1].stops) == (True, {"ref+env://A": "d"}, (1.0, 2.5))
    read = RowReader(texts).intent(*intent_row(intent(body), texts))
    assert read.body is not None
    assert plain(read.body.tree()) == plain(body.tree())
    assert RowReader(texts).intent(*intent_row(intent(None), texts)) == intent(None)


@pytest.mark.parametrize("body", BODIES)
def test_a_record_after_its_intent_is_written_like_one_alone(body: Body) -> None:
    alone: dict[str, str] = {}
    expected = [intent_row(intent(body), alone), record_row(record(body), alone)]
    bodies = Bodies()
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    assert [intent_row(intent(body), first, bodies), record_row(record(body), second, bodies)] == expected
    # The second commit names its texts too: none of them may be swept from the store.
    assert first == second == alone


def test_many_intents_without_a_record_are_written_right() -> None:
    bodies, texts = Bodies(), dict[str, str]()
    for number in range(2500):
        body = Body({"note": f"{number} {PROMPT}"})
        assert intent_row(intent(body), texts, bodies) == intent_row(intent(body), texts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generation", "1"),
        ("generation", 1.0),
        ("generation", True),
        ("uid", 1001),
        ("agent_id", None),
        ("started_at", "1700000000"),
        ("started_at", True),
        ("protect", 1),
        ("protect", "true"),
        ("stops", ["1.0"]),
        ("stops", 1.0),
        ("secrets", {"ref": 1}),
        ("secrets", []),
        ("address", "lobby/desk"),
        ("address", {"channel": "lobby"}),
        ("address", {"channel": "lobby", "name": "desk", "more": ""}),
        ("address", {"channel": "lobby", "name": "other"}),
        ("body", None),
        ("body", {"properties": []}),
        ("body", {"properties": {}, "preset": 1}),
        ("unknown", ""),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    key, text, _ = record_row(record(Body({})), {})
    other = orjson.dumps({**orjson.loads(text), name: value}).decode()
    with pytest.raises(StateError):
        RowReader({}).record(key, other, checksum(key, other))


@pytest.mark.parametrize(("name", "value"), [("operation", "dance"), ("operation", 1), ("attempt", "2")])
def test_a_value_of_an_intent_of_another_type_is_refused(name: str, value: object) -> None:
    key, text, _ = intent_row(intent(Body({})), {})
    other = orjson.dumps({**orjson.loads(text), name: value}).decode()
    with pytest.raises(StateError):
        RowReader({}).intent(key, other, checksum(key, other))
