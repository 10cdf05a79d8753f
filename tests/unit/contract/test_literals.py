"""A credential that is written out is refused wherever it stands; ordinary words are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.config.rules import Rules
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.literals import names_a_credential
from reconciler.contract.offers import VENDORS
from reconciler.model.address import Address, Owner
from reconciler.model.spec import AgentSpec, Body, Lifecycle
from reconciler.report.masked_values import masked

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def refused(properties: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """Where `validate` finds a literal."""
    rules = Rules(Owner("acme", None), None)
    spec = AgentSpec(Address("lobby", "desk"), Body(properties), Lifecycle())
    return [each.at for each in rules.agent(spec) if each.rule == "literal-secret"]


def harmless() -> Iterator[tuple[str, str]]:
    field = ""
    for line in (HERE / "harmless.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and ": " in line and line.endswith("]"):
            field = line.rsplit(": ", 1)[1][:-1]
        elif line and not line.startswith("# "):
            yield field, line


HARMLESS = list(harmless())


def test_the_corpus_is_large() -> None:
    assert len({value for _, value in HARMLESS}) >= 200


@pytest.mark.parametrize(("field", "value"), HARMLESS)
def test_an_ordinary_value_is_not_refused(field: str, value: str) -> None:
    for vendor in ("newcomer", "elevenlabs", "openai"):
        tree: dict[str, Any] = {
            "tts": {"vendor": vendor, "params": {field: value, "options": {field: [value]}}}
        }
        assert refused(tree) == []
        assert masked(tree) == (tree, ()), "and it is shown"
    assert refused({"llm": {"url": "https://a.example", "params": {field: value}}}) == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=str)
def test_no_value_of_an_example_is_refused(path: Path) -> None:
    for tree in parts(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert (
            refused({key: value for key, value in tree.items() if key in SLOTS and isinstance(value, dict)})
            == []
        )


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping that is `properties` of something."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "properties" and isinstance(value, dict):
                yield value
            yield from parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from parts(value)


KEYS = [
    "sk-proj-Zx8Lm2Qp0Vt6Rk4Yw9Bn3Hc7",
    "sk_live_51HxYzAbCdEfGhIjKlMn",
    "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "xoxb-123456789012-abcdefGHIJKL",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
    "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1T",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "gsk_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
]
RANDOM = "8Jq2vXc0Lr7TzYw4Mb9Kd1Hs6Fp3Gn5Q"
NAMES = [
    *("api_key", "apiKey", "apikey", "password", "client_secret", "auth_token", "access_token", "x-api-key"),
    *(
        "Authorization",
        "subscription_key",
        "secretKey",
        "private_key",
        "credentials",
        "passphrase",
        "zyx_api_key",
    ),
]


def below_params(slot: str, vendor: str, below: dict[str, Any]) -> dict[str, Any]:
    return {slot: {"vendor": vendor, "params": below}}


PLACES = [(slot, vendor) for slot in SLOTS for vendor in ("newcomer", min(VENDORS[slot]))]


def assert_never_seen(tree: dict[str, Any], value: str) -> None:
    """Refused by `validate`, and shown by no report, not even of what an older version recorded."""
    assert refused(tree)
    assert value not in repr(masked(tree)[0])


@pytest.mark.parametrize(("slot", "vendor"), PLACES)
@pytest.mark.parametrize("value", [*KEYS, RANDOM])
def test_a_credential_is_known_by_its_looks(slot: str, vendor: str, value: str) -> None:
    for below in ({"zap": value}, {"a": {"b": [{"zap": value}]}}):
        assert_never_seen(below_params(slot, vendor, below), value)


@pytest.mark.parametrize(("slot", "vendor"), PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_credential_is_known_by_the_name_of_its_key(slot: str, vendor: str, name: str) -> None:
    for below in ({name: "plain"}, {"a": {"b": [{name: "plain"}]}}, {"a": {name: ["plain"]}}):
        assert_never_seen(below_params(slot, vendor, below), "plain")
        reference = yaml.safe_load(yaml.safe_dump(below).replace("plain", "ref+env://ZAP"))
        assert refused(below_params(slot, vendor, reference)) == []


def test_what_stands_in_a_mapping_of_credentials_is_one() -> None:
    tree = below_params("tts", "newcomer", {"credentials": {"type": "basic", "first": "swordfish"}})
    assert refused(tree) == [("properties", "tts", "params", "credentials", "first")]


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/v1?key=swordfish",
        "https://a.example/v1?x=1&api_key=swordfish",
        "https://a.example/v1?access_token=swordfish",
        f"https://a.example/v1?zap={RANDOM}",
        "https://a.example/v1?zap=sk-proj-Zx8Lm2Qp0Vt6Rk4Yw9Bn3Hc7",
        "https://store.example/a.pcm?X-Amz-Signature=0123456789abcdef",
    ],
)
def test_an_address_holds_no_credential(url: str) -> None:
    secret = url.rsplit("=", 1)[1]
    assert_never_seen({"llm": {"url": url}}, secret)
    assert_never_seen(below_params("tts", "elevenlabs", {"base_url": url}), secret)
    assert_never_seen(below_params("tts", "newcomer", {"zap": url}), secret)
    assert refused({"llm": {"url": "https://a.example", "headers": {"X-Zap": url}}})


def test_a_password_in_an_address_is_refused_anywhere() -> None:
    assert_never_seen(below_params("tts", "newcomer", {"zap": "wss://me:swordfish@a.example"}), "swordfish")


@pytest.mark.parametrize("value", [*KEYS, RANDOM])
@pytest.mark.parametrize("name", ["Authorization", "X-Zap"])
def test_headers_hold_no_credential(name: str, value: str) -> None:
    headers = {name: f"Bearer {value}"}
    for tree in (
        {"llm": {"headers": headers}},
        {"tts": {"vendor": "generic_http", "headers": headers}},
        {"llm": {"mcp_servers": [{"name": "a", "endpoint": "https://a.example", "headers": headers}]}},
        {"llm": {"tools": [{"server": {"url": "https://a.example", "headers": headers}}]}},
    ):
        assert refused(tree)


def test_a_literal_beside_a_reference_is_refused() -> None:
    assert refused({"llm": {"api_key": f"{KEYS[0]} ref+env://KEY"}})


def test_a_tools_body_holds_no_credential() -> None:
    body = {"auth": {"api_key": "plain"}, "filled_in": "{{args.token}}", "token": "{{template_variables.t}}"}
    tree = {"llm": {"tools": [{"server": {"url": "https://a.example", "body": body}}]}}
    assert refused(tree) == [("properties", "llm", "tools", 0, "server", "body", "auth", "api_key")]


@pytest.mark.parametrize("value", [*KEYS, RANDOM, "my password is swordfish"])
def test_prose_is_never_refused(value: str) -> None:
    tree: dict[str, Any] = {
        "llm": {
            "system_messages": [{"role": "system", "content": value}],
            "greeting_message": value,
            "template_variables": {"door_key": value},
            "tools": [{"function": {"parameters": {"properties": {"api_key": {"description": value}}}}}],
        },
        "labels": {"token": value},
        "mllm": {"vendor": "openai", "params": {"instructions": value}},
    }
    assert refused(tree) == []


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "credential_mode", "keywords", "keyboard", "token_type", "key_phrase", "monkey", "turkey"],
)
def test_a_name_that_only_sounds_like_one(name: str) -> None:
    assert not names_a_credential(name)
