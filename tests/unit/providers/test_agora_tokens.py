"""Tokens: equal to the bytes that Agora's own builder makes, and refused where they would be useless or
unsafe.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.providers.agora.tokens import MAX_SALT, MAX_TTL, mint
from reconciler.secrets import Secret
from reconciler.simulator import auth

APP_ID = "0123456789abcdef0123456789ABCDEF"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
ISSUED = 1_790_000_000
# Made with agora-agents 2.12.0, its clock and its salt held fast.
COMBINED = (
    "007eJxTYKgNq2+aujui4f3K+v5I3pPbJnT4aczxDHrsuPOEh/EVo78KDAaGRsYmpmbmFpaJSckpqWkIvqOTs4urW4P1xiwBP"
    "gYGv8Q9DEwMjAwsQAziM4FJZjDJAiZZGXLyk5IqWRgMDQwMQUoZoZIgPgDisyBn"
)
RTC_ONLY = (
    "007eJxTYDii1WhtYf/npMzv3ex5Z5+9sZ3HfuuCc5PruWfG2wweeK1RYDAwNDI2MTUzt7BMTEpOSU1D8B2dnF1c3RqsN2YJ8"
    "DEw+CXuYWAEQhYgBvGZwCQzmGQBk6wMOflJSZUsDIYGBoYAHr4gFA=="
)


def make(**changes: Any) -> str:
    given: dict[str, Any] = {
        "app_id": APP_ID,
        "certificate": Secret(CERTIFICATE),
        "channel": "lobby",
        "uid": "1001",
        "ttl": 3600,
        "issued_at": ISSUED,
        "salt": 12_345_678,
    }
    return mint(**{**given, **changes}).reveal()


def test_a_combined_token_has_the_bytes_of_the_official_builder() -> None:
    assert make(rtm=True) == COMBINED


def test_a_token_without_messaging_has_the_bytes_of_the_official_builder() -> None:
    assert make() == RTC_ONLY


@given(
    channel=st.text("abcXYZ019 !#$%&()+-:;<=.>?@[]^_{}|~,", min_size=1, max_size=63),
    uid=st.one_of(
        st.integers(1, 2**32 - 1).map(str), st.text(min_size=1, max_size=40).filter(lambda u: u != "0")
    ),
    ttl=st.integers(1, MAX_TTL),
    salt=st.integers(1, MAX_SALT),
    rtm=st.booleans(),
)
def test_every_token_verifies_for_its_channel_and_uid_alone(
    channel: str, uid: str, ttl: int, salt: int, rtm: bool
) -> None:
    token = auth.decode(make(channel=channel, uid=uid, ttl=ttl, salt=salt, rtm=rtm))
    auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=ISSUED + ttl - 1, tolerance=0)
    auth.bind(token, channel=channel, uid=uid, needs_rtm=rtm)
    assert (token.issued_at, token.expires_at, token.salt) == (ISSUED, ISSUED + ttl, salt)
    with pytest.raises(auth.InvalidToken):
        auth.bind(token, channel=channel, uid=uid + "1", needs_rtm=False)
    with pytest.raises(auth.InvalidToken):
        auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=ISSUED + ttl, tolerance=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"app_id": "short"},
        {"app_id": "g" * 32},
        {"certificate": Secret("short")},
        {"certificate": Secret(CERTIFICATE + " ")},
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": MAX_TTL + 1},
        {"ttl": 86_400_000},
        {"uid": ""},
        {"uid": "0"},
        {"uid": "u" * 256},
        {"channel": ""},
        {"channel": "c" * 64},
        {"salt": 0},
        {"salt": MAX_SALT + 1},
        {"issued_at": -1},
        {"issued_at": 2**32},
    ],
    ids=str,
)
def test_a_token_that_would_be_useless_or_unsafe_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        make(**changes)
    assert CERTIFICATE not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("uid", ["", "0"])
def test_a_token_for_anybody_is_made_only_when_it_is_meant(uid: str) -> None:
    assert auth.decode(make(uid=uid, any_uid=True)).account == uid


def test_a_token_is_invisible() -> None:
    token = mint(APP_ID, Secret(CERTIFICATE), "lobby", "1", ttl=60, issued_at=ISSUED, salt=1)
    assert f"{token} {token!r}" == "(secret) (secret)"
