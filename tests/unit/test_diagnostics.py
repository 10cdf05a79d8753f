"""A suggestion is the word that was meant, or none: a beginning that many words share is no likeness."""

from __future__ import annotations

import pytest

from reconciler.diagnostics import nearest

SWITCHES = (
    "enable_metrics",
    "enable_error_message",
    "enable_rtm",
    "enable_sal",
    "data_channel",
    "audio_scenario",
)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("enable_metric", "enable_metrics"),
        ("enabel_rtm", "enable_rtm"),
        ("enable_srl", "enable_sal"),
        ("data_chanel", "data_channel"),
        ("dataChannel", "data_channel"),
        ("enable_lsa", "enable_sal"),
    ],
)
def test_a_slip_is_found(word: str, meant: str) -> None:
    assert nearest(word, SWITCHES) == meant


@pytest.mark.parametrize(
    "word", ["enable_dump", "enable_bhvs", "enable_aivad", "enable_tools", "audio_codec"]
)
def test_another_feature_is_not_offered(word: str) -> None:
    assert nearest(word, SWITCHES) is None


def test_a_very_long_word_is_like_none() -> None:
    assert nearest("enable_rtm" * 1000, SWITCHES) is None
