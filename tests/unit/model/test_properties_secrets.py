"""Every credential is found, and so is the host it goes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.properties import (
    CREDENTIAL_PATHS,
    HEADER_PATHS,
    SLOTS,
    URL_PATHS,
    VENDOR_HOSTS,
    VENDORS,
    credential_paths,
    secret_destination,
    url_paths,
)
from reconciler.model.properties.paths import bare, fields_of, variants_of
from reconciler.model.properties.shape import PropertiesTree


def all_fields(shape: Any = PropertiesTree, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path that our shapes know, `*` for keys and indexes."""
    variants = variants_of(shape)
    if variants:
        for member in variants.values():
            yield from all_fields(member, path)
        return
    plain = bare(shape)
    if get_origin(plain) in (list, dict):
        yield from all_fields(get_args(plain)[-1], (*path, "*"))
    elif fields := fields_of(plain):
        for key, field in fields.items():
            yield from all_fields(field, (*path, key))
    else:
        yield path


KNOWN = sorted(set(all_fields()))
LOOKS_SECRET = re.compile(
    r"(^|_)(key|token|secret|credentials?|salt|password)(_|$)|secret|credentials", re.IGNORECASE
)
LOOKS_ADDRESS = re.compile(r"(^|_)(url|uri|urls|endpoint|host)($|_)", re.IGNORECASE)
HARMLESS = {"credential_mode"}  # names of modes, not of credentials


def named(path: tuple[str, ...]) -> str:
    return [part for part in path if part != "*"][-1]


def test_every_field_that_sounds_like_a_credential_is_listed() -> None:
    sounding = {path for path in KNOWN if LOOKS_SECRET.search(named(path)) and named(path) not in HARMLESS}
    assert len(sounding) >= 30
    assert {path for path in sounding if path not in CREDENTIAL_PATHS} == set()


def test_every_field_of_headers_is_listed() -> None:
    assert {path for path in KNOWN if "headers" in path} <= HEADER_PATHS <= CREDENTIAL_PATHS


def test_every_field_that_sounds_like_an_address_is_listed() -> None:
    sounding = {path for path in KNOWN if LOOKS_ADDRESS.search(named(path))}
    assert {path for path in sounding if path not in URL_PATHS} == set()


def test_whatever_is_listed_outside_params_is_a_field() -> None:
    assert {path for path in CREDENTIAL_PATHS | URL_PATHS if path[1:2] != ("params",)} - set(KNOWN) == set()


TREE: dict[str, Any] = {
    "asr": {"vendor": "deepgram", "params": {"key": "ref+env://DG", "url": "wss://dg.example/v1"}},
    "llm": {
        "url": "https://api.openai.com/v1/chat/completions",
        "api_key": "ref+env://O",
        "headers": {"X-Tenant": "t"},
        "params": {"model": "m", "api_key": "ref+env://P"},
        "mcp_servers": [
            {
                "name": "a",
                "endpoint": "https://mcp.example:8443/x",
                "headers": {"Authorization": "ref+env://M"},
            }
        ],
        "tools": [{"server": {"url": "https://tool.example/{{args.x}}", "headers": {"K": "ref+env://T"}}}],
        "greeting_audio_url": "https://cdn.example/hi.mp3",
    },
    "tts": {
        "vendor": "generic_http",
        "url": "https://voice.example",
        "headers": {"Authorization": "ref+env://V"},
        "params": {"api_key": "ref+env://W"},
    },
    "avatar": {
        "vendor": "generic",
        "params": {
            "api_key": "ref+env://A",
            "api_base_url": "https://face.example",
            "agora_token": "ref+env://B",
        },
    },
    "sal": {"sample_urls": {"anna": "https://prints.example/a.pcm"}},
    "rtc": {"encryption_key": "ref+env://E", "encryption_salt": "ref+env://S", "encryption_mode": 8},
    "filler_words": {
        "content": {
            "generated_config": {"llm_provider": {"url": "https://fill.example/v1", "api_key": "ref+env://F"}}
        }
    },
}
GOES_TO = {
    ("asr", "params", "key"): "dg.example",
    ("llm", "api_key"): "api.openai.com",
    ("llm", "headers", "X-Tenant"): "api.openai.com",
    ("llm", "params", "api_key"): "api.openai.com",
    ("llm", "mcp_servers", 0, "headers", "Authorization"): "mcp.example:8443",
    ("llm", "tools", 0, "server", "headers", "K"): "tool.example",
    ("tts", "headers", "Authorization"): "voice.example",
    ("tts", "params", "api_key"): "voice.example",
    ("avatar", "params", "api_key"): "face.example",
    ("avatar", "params", "agora_token"): "face.example",
    ("rtc", "encryption_key"): "vendor:agora",
    ("rtc", "encryption_salt"): "vendor:agora",
    ("filler_words", "content", "generated_config", "llm_provider", "api_key"): "fill.example",
}


def test_credentials_are_found_in_the_order_of_the_tree() -> None:
    assert list(credential_paths(TREE)) == list(GOES_TO)


def test_addresses_are_found() -> None:
    assert [path[-1] for path in url_paths(TREE)] == [
        *("url", "url", "endpoint", "url", "greeting_audio_url", "url", "api_base_url", "anna", "url")
    ]


@pytest.mark.parametrize(("path", "host"), GOES_TO.items())
def test_a_credential_goes_where_its_address_points(path: Any, host: str) -> None:
    assert secret_destination(path, TREE) == host


@pytest.mark.parametrize(
    ("tree", "path", "host"),
    [
        (
            {"asr": {"vendor": "deepgram", "params": {"key": "x"}}},
            ("asr", "params", "key"),
            "api.deepgram.com",
        ),
        (
            {"tts": {"vendor": "elevenlabs", "params": {"key": "x"}}},
            ("tts", "params", "key"),
            "api.elevenlabs.io",
        ),
        (
            {"tts": {"vendor": "microsoft", "params": {"key": "x"}}},
            ("tts", "params", "key"),
            "vendor:microsoft",
        ),
        (
            {"tts": {"vendor": "newcomer", "params": {"key": "x"}}},
            ("tts", "params", "key"),
            "vendor:newcomer",
        ),
        ({"tts": {"params": {"key": "x"}}}, ("tts", "params", "key"), "vendor:tts"),
        ({"llm": {"api_key": "x"}}, ("llm", "api_key"), "api.openai.com"),
        ({"llm": {"api_key": "x", "vendor": "azure"}}, ("llm", "api_key"), "vendor:azure"),
        ({"llm": {"style": "anthropic", "headers": "x"}}, ("llm", "headers"), "api.anthropic.com"),
        ({"llm": {"style": "bedrock", "secret_key": "x"}}, ("llm", "secret_key"), "vendor:bedrock"),
        ({"mllm": {"vendor": "xai", "api_key": "x"}}, ("mllm", "api_key"), "api.x.ai"),
        ({"labels": {"a": "ref+env://X"}}, ("labels", "a"), "vendor:agora"),
    ],
)
def test_without_an_address_it_goes_to_the_vendor(tree: Any, path: Any, host: str) -> None:
    assert secret_destination(path, tree) == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://API.OpenAI.com/v1", "api.openai.com"),
        ("wss://a.example:443/x", "a.example:443"),
        ("a.example/v1", "a.example"),
        ("https://api.openai.com@evil.example/v1", "evil.example"),
        ("https://evil.example\\@api.openai.com/v1", "https://evil.example\\@api.openai.com/v1"),
        ("https://evil.example\t.openai.com", "https://evil.example\t.openai.com"),
        ("ref+env://LLM_URL", "ref+env://LLM_URL"),
        ("https://ref+env://HOST+/v1", "https://ref+env://HOST+/v1"),
        ("https://g.example/?key=ref+env://G", "g.example"),
        ("https://[::1/v1", "https://[::1/v1"),
        ("https://a.example:port/v1", "https://a.example:port/v1"),
        ("https:///v1", "https:///v1"),
    ],
)
def test_hosts_are_read_with_suspicion(url: str, host: str) -> None:
    assert secret_destination(("llm", "api_key"), {"llm": {"url": url}}) == host
    assert secret_destination(("llm", "url"), {"llm": {"url": url}}) == host


def test_no_address_hides_behind_another() -> None:
    tree = {
        "tts": {
            "vendor": "murf",
            "url": "https://global.api.murf.ai",
            "params": {"base_url": "wss://evil.example"},
        }
    }
    assert secret_destination(("tts", "params", "api_key"), tree) == "evil.example, global.api.murf.ai"


def test_an_unknown_vendor_is_asked_for_any_address() -> None:
    tree = {
        "tts": {
            "vendor": "newcomer",
            "params": {"token": "ref+env://T", "ws": {"server": "wss://evil.example/x"}},
        }
    }
    assert secret_destination(("tts", "params", "token"), tree) == "evil.example"


@given(
    slot=st.sampled_from(SLOTS), data=st.data(), host=st.from_regex(r"[a-z]{3,9}\.example", fullmatch=True)
)
def test_a_new_address_always_shows(slot: str, data: st.DataObject, host: str) -> None:
    name = data.draw(st.sampled_from(sorted(VENDORS[slot])))  # type: ignore[index]
    key = data.draw(
        st.sampled_from(sorted(p[-1] for p in URL_PATHS if p[:2] == (slot, "params") and len(p) == 3))
    )
    path = (slot, "params", "api_key")
    before: Any = {slot: {"vendor": name, "params": {"api_key": "ref+env://X"}}}
    after: Any = {slot: {"vendor": name, "params": {"api_key": "ref+env://X", key: f"wss://{host}/v1"}}}
    assert secret_destination(path, before) == VENDOR_HOSTS[slot, name]
    assert secret_destination(path, after) == host


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(SLOTS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(tree=st.dictionaries(st.sampled_from([*SLOTS, "rtc", "filler_words", "", "*"]), json_trees))
def test_any_tree_can_be_asked(tree: Any) -> None:
    for path in (*credential_paths(tree), *url_paths(tree)):
        assert secret_destination(path, tree)
