"""Who may call, and that the vendor's tokens are read as the vendor writes them."""

from __future__ import annotations

import base64
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator import Credentials
from reconciler.simulator.auth import InvalidToken, decode

from .harness import APP_ID, CERTIFICATE, NOON, Service, basic, token

CREDENTIALS = Credentials(APP_ID, CERTIFICATE, "customer", "secret")


@pytest.fixture
def guarded() -> Service:
    return Service(credentials=CREDENTIALS)


def asked(service: Service, authorization: str, **options: str) -> int:
    return service.call("GET", "agents", authorization=authorization, **options).status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic(), 200),
        (basic().replace("Basic", "basic"), 200),
        (f"agora token={token()}", 200),
        (f'agora token="{token()}"', 200),
        (f"Agora token={token()}", 200),
        ("", 401),
        ("Basic", 401),
        ("Basic !!!", 401),
        ("Basic " + base64.b64encode(b"customer").decode(), 401),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
        (basic("somebody"), 401),
        (basic(secret="wrong"), 401),
        (f"Bearer {token()}", 401),
        (f"agora {token()}", 401),
        ("agora token=", 401),
        ("agora token=006abc", 401),
        ("agora token=007abc", 401),
        (f"agora token={token()[:-12]}", 401),
        (f"agora token={token(certificate='0' * 32)}", 401),
        (f"agora token={token(app_id='f' * 32)}", 401),
        (f"agora token={token(issued=NOON - 4000)}", 401),
        (f"agora token={token(lives=90000)}", 401),
        (f"agora token={token(issued=NOON + 600)}", 401),
    ],
)
def test_credentials(guarded: Service, authorization: str, status: int) -> None:
    assert asked(guarded, authorization) == status


def test_refusals_do_nothing_and_tell_no_secret(guarded: Service) -> None:
    answer = guarded.call("GET", "agents", authorization=basic(secret="not-this"))
    assert answer.reason == "InvalidPermission"
    assert b"secret" not in answer.raw.replace(b"customer id or secret", b"")
    assert CERTIFICATE not in repr(CREDENTIALS)


def test_another_app_id_is_forbidden(guarded: Service) -> None:
    assert asked(guarded, basic(), app_id="f" * 32) == 403


def test_without_expectations_anything_well_formed_is_taken(service: Service) -> None:
    assert asked(service, basic("anybody", "at-all"), app_id="any-app") == 200
    assert asked(service, f"agora token={token(certificate='x' * 32)}") == 200
    assert asked(service, "") == 401
    assert asked(service, basic(), app_id="no%20app") == 403
    assert asked(service, f"agora token={token(app_id='f' * 32)}") == 401


def test_credentials_of_the_environment() -> None:
    environment = {"AGORA_APP_ID": APP_ID, "AGORA_CUSTOMER_ID": "c", "AGORA_CUSTOMER_SECRET": "", "HOME": "/"}
    assert Credentials.from_environment(environment) == Credentials(APP_ID, None, "c", None)


@pytest.mark.parametrize("wrong", [token("foyer"), token(uid="1002")])
def test_a_header_token_must_fit_the_join(guarded: Service, wrong: str) -> None:
    guarded.authorization = f"agora token={wrong}"
    assert guarded.join(token=token()).status == 401
    assert guarded.world.agents() == ()


def test_one_token_may_serve_in_header_and_body(guarded: Service) -> None:
    guarded.authorization = f"agora token={token()}"
    agent_id = guarded.started(token=token())
    assert guarded.status(agent_id) == "RUNNING"


def test_header_names_have_no_case(service: Service) -> None:
    assert asked(service, basic()) == 200  # the harness writes Authorization, servers write authorization


def test_a_decoded_token() -> None:
    decoded = decode(token("lobby", "1001", lives=600, rtm="1001", joins=60))
    assert (decoded.app_id, decoded.channel, decoded.account, decoded.rtm_user) == (
        APP_ID,
        "lobby",
        "1001",
        "1001",
    )
    assert (decoded.expires_at, decoded.usable_until) == (NOON + 600, NOON + 60)
    assert decoded.signature.hex() not in repr(decoded)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_any_text_is_a_token_or_is_refused(junk: bytes, position: int, byte: int) -> None:
    good = bytearray(base64.b64decode(token()[3:]))
    good[position % len(good)] = byte
    for content in (junk, bytes(good)):
        with suppress(InvalidToken):
            decode("007" + base64.b64encode(content).decode())


def test_a_token_that_inflates_without_end_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(b"\xff" * 5_000_000)).decode()
    assert len(bomb) < 8192
    with pytest.raises(InvalidToken):
        decode("007" + bomb)
