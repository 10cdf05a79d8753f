"""What goes out: complete bodies, secrets filled in and still invisible."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler.errors import UsageError
from reconciler.model.spec import Body
from reconciler.model.tree import Path, Tree, references_in
from reconciler.ports import HttpRequest, JoinOrder, UpdateOrder
from reconciler.providers import secrets_in
from reconciler.providers.agora import wire
from reconciler.secrets import Secret, SecretRef
from tests.unit.providers.hand import reveal

REF = SecretRef("ref+env://KEY")
OTHER = SecretRef("ref+file:///run/token")
VALUES = {REF: Secret("sk-canary"), OTHER: Secret("t0ken")}
ABLE = wire.capabilities(mainland_china=False)


def order(properties: dict[str, Tree], **body: Any) -> JoinOrder:
    return JoinOrder("demo.-.x.g1", "lobby", "1001", Body(properties, **body), 3600.0)


def sent(body: wire.Filled) -> Any:
    return orjson.loads(orjson.dumps(body, default=reveal))


def test_a_join_carries_name_channel_uid_token_and_what_the_files_write() -> None:
    properties: dict[str, Tree] = {
        "llm": {"url": "https://x.example", "params": {"n": 1}},
        "remote_rtc_uids": ["*"],
    }
    assert sent(wire.join_body(order(properties), Secret("007x"))) == {
        "name": "demo.-.x.g1",
        "properties": {"channel": "lobby", "token": "007x", "agent_rtc_uid": "1001", **properties},
    }


def test_preset_and_pipeline_are_sent_only_where_they_are_written() -> None:
    body = sent(wire.join_body(order({}, preset="deepgram_nova_3", pipeline_id="p1"), ""))
    assert body["preset"] == "deepgram_nova_3"
    assert body["pipeline_id"] == "p1"
    assert sent(wire.join_body(order({}), "")).keys() == {"name", "properties"}


def test_channel_token_and_uid_of_the_order_win_over_the_files() -> None:
    written: dict[str, Tree] = {"channel": "elsewhere", "token": "theirs", "agent_rtc_uid": "7"}
    properties = sent(wire.join_body(order(written), Secret("ours")))["properties"]
    assert properties == {"channel": "lobby", "token": "ours", "agent_rtc_uid": "1001"}


def test_references_are_filled_in_anywhere_and_stay_invisible() -> None:
    properties: dict[str, Tree] = {
        "llm": {"api_key": "ref+env://KEY", "headers": {"authorization": "Bearer ref+env://KEY+ x"}},
        "mcp": [{"headers": {"t": "ref+file:///run/token"}}],
    }
    assert references_in(properties) == {REF, OTHER}
    body = wire.join_body(order(properties), "", VALUES)
    assert "sk-canary" not in repr(body)
    assert sent(body)["properties"]["llm"] == {
        "api_key": "sk-canary",
        "headers": {"authorization": "Bearer sk-canary x"},
    }
    assert sent(body)["properties"]["mcp"] == [{"headers": {"t": "t0ken"}}]
    request = HttpRequest(
        "POST", "https://x.example", headers={"a": Secret("basic"), "b": "plain"}, body=body
    )
    assert {secret.reveal() for secret in secrets_in(request)} == {
        "basic",
        "sk-canary",
        "Bearer sk-canary x",
        "t0ken",
    }


def test_a_join_leaves_the_files_tree_as_it_was() -> None:
    properties: dict[str, Tree] = {"llm": {"api_key": "ref+env://KEY"}}
    wire.join_body(order(properties), "", VALUES)
    assert properties == {"llm": {"api_key": "ref+env://KEY"}}


def update(values: dict[Path, Tree], token: Secret | None = None) -> Any:
    return sent(wire.update_body(UpdateOrder("A1", "lobby", "1", values, None), ABLE, token, VALUES))


def test_an_update_sends_whole_values_below_properties() -> None:
    assert update(
        {
            ("llm", "params"): {"model": "m", "key": "ref+env://KEY"},
            ("llm", "system_messages"): [],
            ("mllm", "params"): {},
        },
        Secret("007x"),
    ) == {
        "properties": {
            "token": "007x",
            "llm": {"params": {"model": "m", "key": "sk-canary"}, "system_messages": []},
            "mllm": {"params": {}},
        }
    }


def test_a_renewal_sends_the_token_alone() -> None:
    assert update({}, Secret("007x")) == {"properties": {"token": "007x"}}


@pytest.mark.parametrize(
    "path", [("tts", "params"), ("llm",), ("llm", "params", "model"), ("llm", "url"), ()]
)
def test_what_only_a_join_can_set_is_never_sent_in_an_update(path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be changed on a running agent"):
        update({path: "x"})


def test_an_update_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="change nothing"):
        update({})


def test_mainland_china_cannot_update_multimodal_params() -> None:
    able = wire.capabilities(mainland_china=True)
    assert ABLE.updatable - able.updatable == {("mllm", "params")}
    assert (able.max_lifetime, able.max_token_ttl, able.usd_per_minute) == (72 * 3600, 24 * 3600, 0.10)


@pytest.mark.parametrize(
    ("features", "wanted"),
    [({"enable_rtm": True}, True), ({"enable_rtm": False}, False), ({}, False), (None, False)],
)
def test_messaging_is_wanted_only_where_it_is_enabled(features: Tree, wanted: bool) -> None:
    assert wire.wants_rtm(order({"advanced_features": features})) is wanted
