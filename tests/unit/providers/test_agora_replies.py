"""Whatever the service answers, a read ends in a value that makes sense or in one of our errors."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import IncompleteRead, ReconcilerError
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.ports import Conflict, Declined, HttpReply, Joined
from reconciler.providers.agora import AgoraProvider, AgoraSettings, replies
from reconciler.providers.agora.errors import join_outcome, leave_outcome, update_outcome
from reconciler.secrets import Secret
from tests.unit.providers.hand import START, Hand

AGENT = "A42KB20JB10CG53VV33ML62CL46UT72C"
ROW = {"start_ts": int(START) - 10, "status": "RUNNING", "agent_id": AGENT}
PAGE = {"data": {"count": 1, "list": [ROW]}, "meta": {"cursor": "", "total": 1}, "status": "ok"}
QUERIED = {**ROW, "message": "", "stop_ts": 0, "name": "demo.-.x.g1"}
SETTINGS = AgoraSettings("a" * 32, Secret("b" * 32), Secret("id"), Secret("canary-secret"))


def encoded(tree: object) -> bytes:
    return orjson.dumps(tree)


def changed(tree: dict[str, Any], **changes: object) -> bytes:
    return encoded({**tree, **changes})


def replaced(tree: Any, keys: tuple[str | int, ...], value: object) -> Any:
    """Return the tree with another value at the place to which the keys lead."""
    if not keys:
        return value
    key, *rest = keys
    pairs = enumerate(tree) if isinstance(tree, list) else tree.items()
    items = {name: replaced(each, tuple(rest), value) if name == key else each for name, each in pairs}
    return list(items.values()) if isinstance(tree, list) else items


def test_a_page_is_read() -> None:
    assert replies.page(encoded(PAGE), START) == replies.Page(
        (ListedAgent(AGENT, AgentStatus.RUNNING, START - 10),), 1, ""
    )


def test_unknown_keys_pass_and_an_unknown_status_is_unknown() -> None:
    row = {**ROW, "status": "DREAMING", "channel": "lobby"}
    page = replies.page(changed(PAGE, data={"list": [row], "next": 1}, new={"x": [1]}), START)
    assert page.rows[0].status is AgentStatus.UNKNOWN
    assert page.rows[0].status.is_live


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        encoded(PAGE)[:-3],
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        changed(PAGE, data=None),
        changed(PAGE, meta=None),
        changed(PAGE, data={"list": None}),
        changed(PAGE, data={"list": {}}),
        changed(PAGE, data={"list": [ROW], "count": 2}),
        changed(PAGE, meta={"cursor": ""}),
        changed(PAGE, meta={"cursor": "", "total": "1"}),
        changed(PAGE, meta={"cursor": "", "total": -1}),
        changed(PAGE, meta={"cursor": "", "total": True}),
        changed(PAGE, meta={"cursor": 5, "total": 1}),
        changed(PAGE, meta={"cursor": "x" * 2000, "total": 1}),
        changed(PAGE, status="error"),
        *(
            changed(PAGE, data={"list": [{**ROW, **change}]})
            for change in (
                {"agent_id": ""},
                {"agent_id": "../x"},
                {"agent_id": "x\n"},
                {"agent_id": "x" * 129},
                {"agent_id": "é"},
                {"agent_id": None},
                {"agent_id": 7},
                {"status": 2},
                {"status": None},
                {"start_ts": -1},
                {"start_ts": "1"},
                {"start_ts": True},
                {"start_ts": START + 3700},
                {"start_ts": None},
            )
        ),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(IncompleteRead):
        replies.page(body, START)


def test_a_query_is_read() -> None:
    assert replies.agent(encoded(QUERIED), AGENT, START) == ObservedAgent(
        AGENT, AgentStatus.RUNNING, START - 10, "demo.-.x.g1"
    )


def test_an_ended_agent_tells_when_and_why() -> None:
    body = changed(QUERIED, status="STOPPED", stop_ts=int(START), message="Idle for \x1b too long")
    agent = replies.agent(body, AGENT, START)
    assert (agent.stopped_at, agent.message) == (START, "Idle for \\u{1b} too long")


@pytest.mark.parametrize("change", [{"name": None}, {"name": ""}, {"stop_ts": None}, {"message": None}])
def test_what_a_query_may_leave_out_may_be_null(change: dict[str, object]) -> None:
    agent = replies.agent(changed(QUERIED, **change), AGENT, START)
    assert agent.stopped_at is None
    assert (agent.name is None) is ("name" in change)


@pytest.mark.parametrize(
    "change", [{"agent_id": "B1"}, {"name": 7}, {"stop_ts": -5}, {"stop_ts": START + 9999}, {"message": []}]
)
def test_a_query_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(IncompleteRead):
        replies.agent(changed(QUERIED, **change), AGENT, START)


def test_a_refusal_never_quotes_the_reply() -> None:
    with pytest.raises(IncompleteRead) as caught:
        replies.page(changed(PAGE, data={"list": [{**ROW, "start_ts": "canary"}]}), START)
    assert "canary" not in caught.value.message
    assert "data.list.0.start_ts" in caught.value.message


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        ((), [], "the reply: it is not an object"),
        (("data",), [], "data: it is not an object"),
        (("data", "list"), {}, "data.list: it is not a list"),
        (("data", "list", 0), 1, "data.list.0: it is not an object"),
        (("data", "list", 0, "agent_id"), "x/y", "data.list.0.agent_id: it is not an id"),
        (("data", "list", 0, "agent_id"), 7, "data.list.0.agent_id: it is not a text"),
        (("data", "list", 0, "status"), None, "data.list.0.status: it is not a text"),
        (("data", "list", 0, "start_ts"), True, "data.list.0.start_ts: it is not a number"),
        (("data", "list", 0, "start_ts"), "1", "data.list.0.start_ts: it is not a number"),
        (("data", "list", 0, "start_ts"), -0.5, "data.list.0.start_ts: it is less than nothing"),
        (("data", "list", 0, "start_ts"), 2**53, "data.list.0.start_ts: it is beyond every calendar"),
        (("data", "count"), True, "data.count: it is not a number"),
        (("data", "count"), "1", "data.count: it is not a number"),
        (("data", "count"), 1.0, "data.count: it is not a number"),
        (("data", "count"), -1, "data.count: it is less than nothing"),
        (("meta",), None, "meta: it is not an object"),
        (("meta",), {}, "meta.total: it is missing"),
        (("meta", "total"), 1.0, "meta.total: it is not a number"),
        (("meta", "cursor"), 5, "meta.cursor: it is not a text"),
        (("meta", "cursor"), "x" * 1025, "meta.cursor: string should have at most 1024 characters"),
        (("status",), 5, "status: it is not a text"),
    ],
)
def test_no_field_of_a_page_is_coerced(keys: tuple[str | int, ...], value: object, says: str) -> None:
    with pytest.raises(IncompleteRead) as caught:
        replies.page(encoded(replaced(PAGE, keys, value)), START)
    assert caught.value.message == f"the service's reply makes no sense at {says}"


@pytest.mark.parametrize("change", [{"data": {"list": [ROW], "count": None}}, {"status": None}])
def test_what_a_page_may_leave_out_may_be_null(change: dict[str, object]) -> None:
    assert replies.page(changed(PAGE, meta={"total": 1, "cursor": None}, **change), START).cursor == ""


def test_a_cursor_may_have_1024_characters() -> None:
    assert replies.page(changed(PAGE, meta={"total": 1, "cursor": "é" * 1024}), START).cursor == "é" * 1024


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agent_id": "../x"}, "agent_id: it is not an id"),
        ({"status": 1}, "status: it is not a text"),
        ({"start_ts": None}, "start_ts: it is not a number"),
        ({"stop_ts": True}, "stop_ts: it is not a number"),
        ({"stop_ts": "5"}, "stop_ts: it is not a number"),
        ({"stop_ts": -0.5}, "stop_ts: it is less than nothing"),
        ({"stop_ts": 2**53}, "stop_ts: it is beyond every calendar"),
        ({"name": 7}, "name: it is not a text"),
        ({"message": False}, "message: it is not a text"),
    ],
)
def test_no_field_of_a_query_is_coerced(change: dict[str, object], says: str) -> None:
    with pytest.raises(IncompleteRead) as caught:
        replies.agent(changed(QUERIED, **change), AGENT, START)
    assert caught.value.message == f"the service's reply makes no sense at {says}"


@pytest.mark.parametrize("status", [None, 1, ["RUNNING"], "DREAMING"])
@pytest.mark.parametrize("created", [None, True, "1", -1, 0, START + 3700, {}])
def test_an_agent_is_not_lost_for_a_strange_status_or_time(status: object, created: object) -> None:
    body = encoded({"agent_id": AGENT, "status": status, "create_ts": created})
    assert replies.joined(body, START) == Joined(AGENT, AgentStatus.UNKNOWN, START)
    assert replies.joined(encoded({"agent_id": AGENT}), START) == Joined(AGENT, AgentStatus.UNKNOWN, START)


@pytest.mark.parametrize("reply", [[], {}, {"agent_id": None}, {"agent_id": 7}, {"agent_id": "../x"}])
def test_a_join_without_an_id_is_refused(reply: object) -> None:
    with pytest.raises(IncompleteRead):
        replies.joined(encoded(reply), START)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": "RUNNING"},
        {"state": "RUNNING"},
        {"status": None},
        {"state": None},
        {"status": "RUNNING", "state": 5},  # with a status, nobody looks at the state
        {"status": None, "state": 5},
    ],
)
def test_an_update_may_say_status_or_state_or_neither(fields: dict[str, object]) -> None:
    replies.check_updated(encoded({"agent_id": AGENT, **fields}), AGENT)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"agent_id": "canary/"}, "agent_id: it is not an id"),
        ({"agent_id": None}, "agent_id: it is not a text"),
        ({"status": 5}, "status: it is not a text"),
        ({"state": 5}, "state: it is not a text"),
        ({"status": [], "state": ""}, "status: it is not a text"),
    ],
)
def test_no_field_of_an_update_is_coerced(fields: dict[str, object], says: str) -> None:
    with pytest.raises(IncompleteRead) as caught:
        replies.check_updated(encoded({"agent_id": AGENT, **fields}), AGENT)
    assert caught.value.message == f"the service's reply makes no sense at {says}"


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"agent_id": 5}'])
def test_a_leave_may_answer_with_nothing_or_any_object(body: bytes) -> None:
    replies.check_left(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{"])
def test_another_answer_to_a_leave_is_refused(body: bytes) -> None:
    with pytest.raises(IncompleteRead):
        replies.check_left(body)


def test_nesting_is_bounded_at_fifty() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"1" + b"]" * depth

    assert replies.read_json(nested(50))
    with pytest.raises(IncompleteRead, match="deeper than 50"):
        replies.read_json(nested(51))


def test_an_error_of_any_depth_is_an_outcome() -> None:
    got = HttpReply(400, {}, b'{"detail": ' + b"[" * 500 + b"]" * 500 + b"}")
    assert isinstance(join_outcome(got, START, ()), Declined)
    assert isinstance(leave_outcome(got, ()), Declined)


# --- fuzz ---------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.just(AGENT),
)
KEYS = st.sampled_from(
    "agent_id taskId status state start_ts create_ts stop_ts name message detail reason data list meta "
    "cursor total count contents turns pagination page_index is_last_page".split()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=20,
)


def mutated(tree: Any, path: list[int], value: object) -> Any:
    """The tree with one value, found by walking along some numbers, replaced."""
    if not path or not isinstance(tree, (dict, list)) or not tree:
        return value
    if isinstance(tree, list):
        at = path[0] % len(tree)
        return [mutated(each, path[1:], value) if place == at else each for place, each in enumerate(tree)]
    key = sorted(tree)[path[0] % len(tree)]
    return {name: mutated(each, path[1:], value) if name == key else each for name, each in tree.items()}


GOOD = st.sampled_from([PAGE, QUERIED, {"agent_id": AGENT, "create_ts": int(START), "status": "RUNNING"}])
BODIES = st.one_of(
    st.binary(max_size=200),
    TREES.map(encoded),
    st.builds(mutated, GOOD, st.lists(st.integers(0, 9), max_size=5), TREES).map(encoded),
    st.builds(lambda tree, cut: encoded(tree)[:cut], GOOD, st.integers(0, 200)),
)
REPLIES = st.builds(
    HttpReply,
    st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503]),
    st.dictionaries(st.sampled_from(["retry-after", "date", "age"]), st.text(max_size=40), max_size=3),
    BODIES,
)


@settings(max_examples=1500, deadline=None)
@given(REPLIES)
def test_no_reply_to_a_mutating_call_is_ever_a_crash_or_a_malformed_id(got: HttpReply) -> None:
    joined = join_outcome(got, START, (Secret("canary"),))
    update_outcome(got, AGENT, ())
    leave_outcome(got, ())
    if isinstance(joined, (Joined, Conflict)) and joined.agent_id is not None:
        assert replies.is_agent_id(joined.agent_id)


@settings(max_examples=1000, deadline=None)
@given(REPLIES)
def test_no_reply_to_a_read_is_ever_anything_but_a_value_or_our_error(got: HttpReply) -> None:
    provider = AgoraProvider(SETTINGS)
    for steps in (
        provider.live_agents(),
        provider.query(AGENT),
        provider.history(AGENT),
        provider.turns(AGENT),
    ):
        try:
            found = Hand(lambda _: got).run(steps)
        except ReconcilerError:
            continue
        for agent in found if isinstance(found, tuple) else ():
            assert replies.is_agent_id(agent.agent_id)
        if isinstance(found, ObservedAgent):
            assert found.agent_id == AGENT
