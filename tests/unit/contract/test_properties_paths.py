"""Errors come back to the user's own path, with the keys that could have been meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.contract.agora.history import (
    DEPRECATED_PATHS,
    DEPRECATED_VALUES,
    REMOVED_PATHS,
    RUNTIME_TEMPLATE_PATHS,
    TOOL_TEMPLATE_PATHS,
    is_template,
)
from reconciler.contract.check import (
    UNKNOWN_KEY,
    UNKNOWN_VENDOR,
    VENDOR_NOT_TEXT,
    check,
    known_keys,
    user_path,
)


def first_error(tree: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        check(tree)
    return caught.value.errors()[0]


@pytest.mark.parametrize(
    ("tree", "path", "meant"),
    [
        ({"idle_timout": 5}, ("idle_timout",), "idle_timeout"),
        ({"tts": {"vendor": "elevenlabs", "params": {"kei": "x"}}}, ("tts", "params", "kei"), "key"),
        ({"asr": {"langage": "en"}}, ("asr", "langage"), "language"),
        ({"llm": {"ulr": "x"}}, ("llm", "ulr"), "url"),
        ({"llm": {"style": "gemini", "params": {"topk": 1}}}, ("llm", "params", "topk"), "top_k"),
        (
            {"llm": {"mcp_servers": [{"name": "a", "endpoint": "e", "header": {}}]}},
            ("llm", "mcp_servers", 0, "header"),
            "headers",
        ),
        (
            {"turn_detection": {"config": {"end_of_speech": {"vad_config": {"silence_ms": 1}}}}},
            ("turn_detection", "config", "end_of_speech", "vad_config", "silence_ms"),
            "silence_duration_ms",
        ),
        ({"mllm": {"turn_detection": {"modus": "x"}}}, ("mllm", "turn_detection", "modus"), "mode"),
        ({"avatar": {"vendor": "anam", "params": {"uid": "1"}}}, ("avatar", "params", "uid"), "agora_uid"),
    ],
)
def test_an_unknown_key_has_a_path_and_its_neighbours(tree: Any, path: Any, meant: str) -> None:
    error = first_error(tree)
    assert error["type"] == UNKNOWN_KEY
    assert user_path(error["loc"]) == path
    assert meant in known_keys(error["loc"])


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({"labels": {"a": 1}}, ("labels", "a")),
        ({"llm": {"headers": {"a": 1}}}, ("llm", "headers", "a")),
        ({"llm": {"style": "anthropic", "headers": {"a": 1}}}, ("llm", "headers", "a")),
        ({"llm": {"style": "anthropic", "headers": 5}}, ("llm", "headers")),
        ({"llm": {"system_messages": [1]}}, ("llm", "system_messages", 0)),
        ({"tts": {"vendor": "murf", "skip_patterns": [1, 9]}}, ("tts", "skip_patterns", 1)),
        ({"labels": {1: "a"}}, ("labels", 1)),
    ],
)
def test_an_error_is_where_the_user_wrote_it(tree: Any, path: Any) -> None:
    assert user_path(first_error(tree)["loc"]) == path


def test_errors_a_caller_treats_apart() -> None:
    assert first_error({"tts": {"vendor": "elevenlab"}})["type"] == UNKNOWN_VENDOR
    assert first_error({"tts": {"vendor": ["elevenlabs"]}})["type"] == VENDOR_NOT_TEXT


def test_the_neighbours_of_a_free_key_are_none() -> None:
    assert known_keys(("labels", "a")) == ()
    assert known_keys(("nowhere", "at", "all")) == ()


@pytest.mark.parametrize("path", DEPRECATED_PATHS)
def test_old_keys_are_still_known(path: tuple[str, ...]) -> None:
    assert path[-1] in known_keys(path)


@pytest.mark.parametrize(("path", "word"), DEPRECATED_VALUES)
def test_old_words_are_still_taken(path: tuple[str, ...], word: str) -> None:
    tree: Any = word
    for part in reversed(path):
        tree = {part: tree}
    check(tree)


@pytest.mark.parametrize("path", REMOVED_PATHS)
def test_removed_keys_are_unknown(path: tuple[str, ...]) -> None:
    tree: Any = 1
    for part in reversed(path):
        tree = {part: tree}
    error = first_error(tree)
    assert (error["type"], user_path(error["loc"])) == (UNKNOWN_KEY, path)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (("llm", "system_messages", 0, "content"), True),
        (("llm", "system_messages", 3, "content", 0, "text"), True),
        (("llm", "greeting_message"), True),
        (("llm", "failure_message"), True),
        (("parameters", "silence_config", "content"), True),
        (("llm", "system_messages", 0, "role"), False),
        (("llm", "url"), False),
        (("llm", "template_variables", "x"), False),
        (("mllm", "greeting_message"), False),
        (("llm",), False),
    ],
)
def test_where_the_service_fills_in_its_variables(path: Any, template: bool) -> None:
    assert is_template(path) is template


def test_tools_have_placeholders_of_their_own() -> None:
    assert is_template(("mllm", "tools", 0, "server", "body", "a", 1), TOOL_TEMPLATE_PATHS)
    assert not is_template(("llm", "tools", 0, "function", "name"), TOOL_TEMPLATE_PATHS)
    assert not RUNTIME_TEMPLATE_PATHS & TOOL_TEMPLATE_PATHS
