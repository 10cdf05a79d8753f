"""Every credential is found, and so is the host it goes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.contract.agora.properties import PROPERTIES, SLOTS
from reconciler.contract.kinds import FieldType
from reconciler.contract.offers import VENDOR_HOSTS, VENDORS
from reconciler.contract.places import (
    CREDENTIAL_PATHS,
    HEADER_PATHS,
    URL_PATHS,
    credential_paths,
    is_credential_header,
    url_paths,
)
from reconciler.model.destinations import secret_destination


def all_fields(kind: FieldType = PROPERTIES, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path that our types know, `*` for keys and indexes."""
    for variant in kind.variants.values():
        yield from all_fields(variant, path)
    for key, field in kind.fields.items():
        yield from all_fields(field, (*path, key))
    if kind.inner is not None:
        yield from all_fields(kind.inner, (*path, "*"))
    elif not kind.variants and not kind.fields:
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


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("X-Api-Key", "x", True),
        ("Cookie", "x", True),
        ("X-Tenant", "x", False),
        ("X-Tenant", "sk-proj-0123456789abcdef", True),
        ("Authorization", "Bearer {{token}}", False),
        ("Authorization", "sk-proj-0123456789abcdef {{token}}", True),
        ("headers", "anthropic-version: 1", False),
        ("headers", "authorization: x", True),
    ],
)
def test_headers_that_hold_credentials(name: str, text: str, is_one: bool) -> None:
    assert is_credential_header(("llm", "headers", name), text) == is_one


def llm_with(**more: Any) -> dict[str, Any]:
    return {"llm": {"url": "https://api.openai.com/v1", "api_key": "ref+env://O", **more}}


MCP = {"type": "mcp", "headers": {"Authorization": "Bearer ref+env://MCP_KEY+"}}


@pytest.mark.parametrize(
    ("tree", "path", "host"),
    [
        # a server of its own: what it holds goes there and nowhere else, and the part's secrets do not
        (
            llm_with(params={"tools": [{**MCP, "server_url": "https://mcp.evil.example/sse"}]}),
            ("llm", "params", "tools", 0, "headers", "Authorization"),
            "mcp.evil.example",
        ),
        (
            llm_with(params={"tools": [{**MCP, "server_url": "https://mcp.evil.example/sse"}]}),
            ("llm", "api_key"),
            "api.openai.com",
        ),
        (
            {
                "llm": {
                    "style": "anthropic",
                    "params": {"mcp_servers": [{"url": "https://evil.example", "authorization_token": "x"}]},
                }
            },
            ("llm", "params", "mcp_servers", 0, "authorization_token"),
            "evil.example",
        ),
        (
            {"mllm": {"vendor": "openai", "params": {"tools": [{**MCP, "server_url": "//evil.example"}]}}},
            ("mllm", "params", "tools", 0, "headers", "Authorization"),
            "//evil.example",
        ),
        (llm_with(params={"tools": [MCP]}), ("llm", "params", "tools", 0, "headers", "x"), "api.openai.com"),
        # whatever is named or looks like an address, of a vendor that is known too
        (
            {"tts": {"vendor": "microsoft", "params": {"key": "x", "proxy_url": "evil.example:3128"}}},
            ("tts", "params", "key"),
            "evil.example:3128",
        ),
        (
            {"tts": {"vendor": "microsoft", "params": {"key": "x", "host": "evil.example"}}},
            ("tts", "params", "key"),
            "evil.example",
        ),
        (
            {"tts": {"vendor": "microsoft", "params": {"key": "x", "net": {"apiBase": "evil.example"}}}},
            ("tts", "params", "key"),
            "evil.example",
        ),
        (
            {"tts": {"vendor": "microsoft", "params": {"key": "x", "via": ["wss://evil.example"]}}},
            ("tts", "params", "key"),
            "evil.example",
        ),
        (llm_with(base_url="https://evil.example"), ("llm", "api_key"), "api.openai.com, evil.example"),
        (
            llm_with(params={"proxy": "ref+env://PROXY"}),
            ("llm", "api_key"),
            "api.openai.com, ref+env://PROXY",
        ),
        (
            llm_with(params={"x": "a ref+env://T+https://ref+env://H+/v1 b"}),
            ("llm", "api_key"),
            "api.openai.com, https://ref+env://H+/v1",
        ),
        # an address nearby is no screen for one further out
        (
            {
                "tts": {
                    "vendor": "microsoft",
                    "params": {
                        "auth": {"key": "x", "note": "https://good.example"},
                        "url": "https://evil.example",
                    },
                }
            },
            ("tts", "params", "auth", "key"),
            "evil.example, good.example",
        ),
        # headers lead gateways on
        (
            llm_with(headers={"Helicone-Target-URL": "https://evil.example", "X-Tenant": "t"}),
            ("llm", "api_key"),
            "api.openai.com, evil.example",
        ),
        (
            llm_with(headers={"X-Forwarded-Host": "evil.example"}),
            ("llm", "api_key"),
            "api.openai.com, evil.example",
        ),
        (
            {"llm": {"style": "anthropic", "headers": '{"Target": "https://evil.example/", "x": "y"}'}},
            ("llm", "api_key"),
            "evil.example",
        ),
        (
            llm_with(
                mcp_servers=[{"endpoint": "https://mcp.example", "headers": {"To": "https://evil.example"}}]
            ),
            ("llm", "mcp_servers", 0, "headers", "Authorization"),
            "evil.example, mcp.example",
        ),
        # what is spoken of, or only fetched, is no destination
        (
            {
                "mllm": {
                    "api_key": "x",
                    "vendor": "openai",
                    "params": {"instructions": "Say: see https://hotel.example", "voice": "a.b"},
                }
            },
            ("mllm", "api_key"),
            "api.openai.com",
        ),
        (
            llm_with(
                template_variables={"url": "https://hotel.example"},
                system_messages=[{"role": "system", "content": "https://hotel.example"}],
            ),
            ("llm", "api_key"),
            "api.openai.com",
        ),
        (
            llm_with(greeting_audio_url="https://cdn.example/a?k=x"),
            ("llm", "greeting_audio_url"),
            "cdn.example",
        ),
    ],
)
def test_whatever_may_be_an_address_is_a_destination(tree: Any, path: Any, host: str) -> None:
    assert secret_destination(path, tree) == host


@pytest.mark.parametrize(
    ("odd", "host"),
    [
        ("@evil.example/v1", "evil.example"),
        (".evil.example/v1", "api.openai.com.evil.example"),
        (":x@evil.example", "evil.example"),
        ("x.evil.example", "api.openai.comx.evil.example"),
        ("//evil.example/v1", "//evil.example/v1"),
        ("/\\evil.example/v1", "/\\evil.example/v1"),
        ("/\t/evil.example/v1", "/\t/evil.example/v1"),
        ("https://evil.example/v1", "evil.example"),
        ("ref+env://PATH", "ref+env://PATH"),
    ],
)
@pytest.mark.parametrize("params", [{"base_url": "wss://api.openai.com"}, {}])
def test_a_path_that_is_more_than_a_path_is_a_destination(
    odd: str, host: str, params: dict[str, str]
) -> None:
    tree = {"mllm": {"vendor": "openai", "params": {**params, "path": odd}}}
    assert host in secret_destination(("mllm", "api_key"), tree)


@pytest.mark.parametrize("path", ["", "/", "/v1/realtime", "/v1//x@y", "/?model=a:b"])
def test_an_ordinary_path_is_none(path: str) -> None:
    tree = {"mllm": {"vendor": "openai", "params": {"base_url": "wss://api.openai.com", "path": path}}}
    assert secret_destination(("mllm", "api_key"), tree) == "api.openai.com"


@given(
    slot=st.sampled_from(sorted(SLOTS)),
    data=st.data(),
    keys=st.lists(st.sampled_from(["x", "options", "proxy", "headers", "0", "auth"]), min_size=1, max_size=4),
)
def test_an_address_anywhere_below_params_shows(slot: str, data: st.DataObject, keys: list[str]) -> None:
    name = data.draw(st.sampled_from(sorted(VENDORS[slot])))
    below: Any = "wss://evil.example/v1"
    for key in keys:
        below = {key: below} if data.draw(st.booleans()) else {key: [below]}
    tree = {slot: {"vendor": name, "params": {"key": "ref+env://X", **below}}}
    assert "evil.example" in secret_destination((slot, "params", "key"), tree)


@given(
    slot=st.sampled_from(sorted(SLOTS)),
    data=st.data(),
    host=st.from_regex(r"[a-z]{3,9}\.example", fullmatch=True),
)
def test_a_new_address_always_shows(slot: str, data: st.DataObject, host: str) -> None:
    name = data.draw(st.sampled_from(sorted(VENDORS[slot])))
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
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(sorted(SLOTS)), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(tree=st.dictionaries(st.sampled_from([*SLOTS, "rtc", "filler_words", "", "*"]), json_trees))
def test_any_tree_can_be_asked(tree: Any) -> None:
    for path in (*credential_paths(tree), *url_paths(tree)):
        assert secret_destination(path, tree)
