"""No secret that went out comes back in a text, in whatever form a service quotes it."""

from __future__ import annotations

import time
from base64 import b64encode
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import LONGEST, RunSecrets, SentSecrets, clean, redact

CANARY = 'sk-"Canary"/9f+8\\e7=äöü'
TOKEN = "007eJxTYKgNq2+aujui4f3K+v5I3pPbJnT4aczxDHrsuPOEh/EVo78KDAaGRsYmpmbmFpaJSckpqWkIvqOTs4u"
FORMS = {
    "raw": CANARY,
    "json": orjson.dumps(CANARY)[1:-1].decode(),
    "url": quote(CANARY, safe=""),
    "base64": b64encode(CANARY.encode()).decode(),
    "base64 cut": b64encode(CANARY.encode()).decode().rstrip("="),
    "beginning": CANARY[:14],
    "end": CANARY[-12:],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_blanked_out_in_every_form(form: str) -> None:
    text = clean(f'the key "{form}" was refused', [Secret(CANARY)])
    assert form not in text
    assert text.startswith("the key ")
    assert text.endswith(" was refused")


def test_a_secret_that_straddles_the_cut_is_blanked_out() -> None:
    text = clean("x" * (LONGEST - 10) + CANARY, [Secret(CANARY)])
    assert CANARY[:5] not in text
    assert len(text) <= LONGEST


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"properties.token={TOKEN} is wrong",
        "authorization: Basic Y3VzdG9tZXI6c2VjcmV0",
        "authorization: bearer abc.def-ghi_jkl",
        f'agora token="{TOKEN}"',
    ],
)
def test_what_looks_like_a_credential_is_blanked_out_even_if_nobody_knows_it(text: str) -> None:
    shown = clean(text, ())
    assert Secret.MASK in shown
    assert TOKEN[:20] not in shown
    assert "Y3VzdG9t" not in shown
    assert "abc.def" not in shown


@pytest.mark.parametrize("text", ["agent 007", "basic voices only", "the token has expired", "token = short"])
def test_ordinary_words_stay(text: str) -> None:
    assert clean(text, ()) == text


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert redact("abcdefgh", [Secret("abcd"), Secret("abcdefgh")]) == Secret.MASK


@given(st.text(min_size=4, max_size=60), st.text(max_size=80), st.text(max_size=80))
def test_no_secret_survives_in_any_text(secret: str, before: str, after: str) -> None:
    hidden = redact(before + secret + after, [Secret(secret)])
    # What is left can only hold the secret where the mask itself spells it.
    assert secret not in hidden.replace(Secret.MASK, "\0")


@given(st.text(max_size=3000))
def test_what_is_shown_is_short_and_printable(text: str) -> None:
    shown = clean(text, [Secret("canary-canary")])
    assert len(shown) <= LONGEST
    assert shown.isprintable()


def test_hostile_texts_cost_little() -> None:
    secret = Secret("a" * 40)
    started = time.perf_counter()
    for text in ("a" * 100_000, "token=" * 20_000, "Basic " * 20_000, "007" * 30_000, "aaaaaaaab" * 10_000):
        clean(text, [secret])
    assert time.perf_counter() - started < 5


def test_the_mask_is_not_masked() -> None:
    known = [Secret(each) for each in ("customer", "secret", "(secret)")]
    assert redact("invalid customer id or secret", known) == "invalid (secret) id or (secret)"


@pytest.mark.parametrize("value", [f"{Secret.MASK}{'x' * 30}", f"{'x' * 30}{Secret.MASK}", Secret.MASK * 5])
def test_a_secret_that_looks_like_its_own_mask_ends_nobody_s_patience(value: str) -> None:
    text = f"no {value[:20]} and no {value[-20:]}, nor {value}"
    assert value not in redact(text, [Secret(value)]) or set(value) <= set(Secret.MASK)


def test_what_a_run_knows_is_masked_from_then_on_with_what_its_request_has_sent() -> None:
    run = RunSecrets()
    token = Secret("007eJxTYBAJlXmrXzX3mZcT2xtYh5Vxd8p")
    sent = SentSecrets(run, lambda: [token, Secret("first-canary")])
    run.hold(iter([Secret("held-canary")]))
    run.add([Secret("first-canary")])
    text = f"first-canary held-canary later-canary {token.reveal()[-12:]} plain"
    assert clean(text, SentSecrets(run)) == f"(secret) (secret) later-canary {token.reveal()[-12:]} plain"
    run.add([Secret("later-canary")])
    assert clean(text, sent) == "(secret) (secret) (secret) (secret) plain"
    assert {each.reveal() for each in sent} == {"first-canary", "held-canary", "later-canary", token.reveal()}


def test_a_secret_of_the_run_within_one_of_the_request_leaves_no_rest() -> None:
    run = RunSecrets()
    run.add([Secret("canary-within")])
    sent = SentSecrets(run, lambda: [Secret("a-b-canary-within-c-d-e-f-g")])
    assert clean("key a-b-canary-within-c-d-e-f-g refused", sent) == "key (secret) refused"
