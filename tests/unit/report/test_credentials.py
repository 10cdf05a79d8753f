"""What of a credential, a header or an address is shown: every reference and every address, and no secret."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.tree import Path
from reconciler.report.credentials import SENSITIVE, address, credential
from reconciler.secrets import references

HEADERS: Path = ("llm", "headers")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Helicone-Target-URL", "https://evil.example", "https://evil.example"),
        ("X-Tenant", "hotels", "hotels"),
        ("X-Retries", 3, 3),
        ("X-Tenant", "hotels-ref+env://T+", "hotels-ref+env://T+"),
        (
            "Referer",
            "https://u:hush@x.example/?token=hush",
            "https://(sensitive)@x.example/?token=(sensitive)",
        ),
        ("X-Tenant", "sk-proj-0123456789abcdef", SENSITIVE),
        ("X-Api-Key", "hunter2", SENSITIVE),
        ("X-Api-Key", 4711, SENSITIVE),
        ("Authorization", "Bearer {{token}}", "Bearer {{token}}"),
        ("Authorization", "Bearer ref+env://T+", "Bearer ref+env://T+"),
        ("Authorization", "Bearer hunter2 ref+env://T+", "(sensitive) (sensitive) ref+env://T+"),
        ("Cookie", "session=ref+env://GW_SESSION+; x", "session=ref+env://GW_SESSION+; x"),
        ("Cookie", "a=ref+env://A+; sid=hunter2; b=1", "a=ref+env://A+; sid=(sensitive); b=1"),
        ("Cookie", "a=ref+env://A+; domain=evil.example", "a=ref+env://A+; domain=evil.example"),
        ("Cookie", "a=ref+env://A+;to=https://evil.example/x", "a=ref+env://A+;to=https://evil.example/x"),
        ("X-Auth", "hunter2ref+env://A+hunter2", "(sensitive)ref+env://A+(sensitive)"),
    ],
)
def test_a_header_shows_all_but_secrets(name: str, value: object, shown: object) -> None:
    assert credential((*HEADERS, name), value) == shown  # type: ignore[arg-type]


def test_headers_in_one_text_are_looked_at_one_by_one() -> None:
    text = (
        '{"anthropic-version": "2023-06-01", "Authorization": "Bearer ref+env://T+", '
        '"x-api-key": "hunter2", "Helicone-Target-URL": "https://evil.example"}'
    )
    assert credential(HEADERS, text) == text.replace("hunter2", "(sensitive)")
    assert credential(HEADERS, "anthropic-version: 1") == "anthropic-version: 1"
    assert credential(HEADERS, "authorization: hunter2") is SENSITIVE
    assert credential(HEADERS, "authorization: hunter2, cookie: ref+env://T") == (
        "authorization: (sensitive), cookie: ref+env://T"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hunter2", SENSITIVE),
        ("ref+env://KEY", "ref+env://KEY"),
        ("id:ref+env://KEY+", "id:ref+env://KEY+"),
        ('{"type": "x", "private_key": "ref+file://k"}', '{"type": "x", "private_key": "ref+file://k"}'),
    ],
)
def test_a_credential_shows_its_references_only(value: str, shown: str) -> None:
    assert credential(("llm", "api_key"), value) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/v1?author=jo&authority=evil.example", None),
        ("https://x.example/v1?auth_url=https://evil.example&token_endpoint=evil.example", None),
        ("https://x.example/v1?auth=https%3A%2F%2Fevil.example", None),
        ("https://x.example/v1?key=ref+env://K+&auth=ref+env://A", None),
        ("https://ref+env://U+:ref+env://P+@x.example/v1", None),
        (
            "https://u:pw@x.example/v1?api_key=hush&v=1",
            "https://(sensitive)@x.example/v1?api_key=(sensitive)&v=1",
        ),
        ("https://x.example/?accessToken=hush?more", "https://x.example/?accessToken=(sensitive)"),
        ("https://x.example/?auth=hush-ref+env://A+", "https://x.example/?auth=(sensitive)ref+env://A+"),
        (
            "https://x.example/?to=https://y.example/?sig=hush",
            "https://x.example/?to=https://y.example/?sig=(sensitive)",
        ),
        ("https://x.example/?q=sk-proj-0123456789abcdef", "https://x.example/?q=(sensitive)"),
    ],
)
def test_an_address_shows_all_but_secrets(url: str, shown: str | None) -> None:
    assert address(url) == (url if shown is None else shown)


@given(
    st.sampled_from(["Cookie", "X-Tenant", "Authorization"]),
    st.lists(
        st.sampled_from(["ref+env://A+", "ref+file://b/c ", '"', "{", "=", ";", "://", "?key=", "x"])
        | st.text()
    ),
)
def test_no_reference_is_ever_hidden(name: str, parts: list[str]) -> None:
    text = "".join(parts)
    shown = credential((*HEADERS, name), text)
    assert isinstance(shown, str)
    if shown != SENSITIVE:
        assert [each.text for each in references(shown)] == [each.text for each in references(text)]
    else:
        assert not list(references(text)) or text == SENSITIVE


@pytest.mark.parametrize(
    "piece", ["a", "?", "?a=", "?key=", "://", '"', "a=", "ref+env://A+", "&", "\\", "x:"]
)
def test_long_texts_are_quick(piece: str) -> None:
    started = time.process_time()
    for text in (f"ref+env://A+ {piece * 20_000}", f'{{"a": "{piece * 20_000} ref+env://A"}}'):
        credential((*HEADERS, "Cookie"), text)
        credential(HEADERS, text)
        address(text)
    assert time.process_time() - started < 5
