"""What a text holds is the same whether its words are looked at first or not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.rules.texts import TextTrait, examine
from reconciler.contract.literals import KEY_LIKE, KEY_PREFIXES, looks_random

_PIECES = st.sampled_from(
    [
        *KEY_PREFIXES,
        "sk-" + "a1B2" * 5,
        "xoxb-1234567890",
        "AKIA0123456789ABCDEF",
        "gT7" * 12,
        "a word",
        " ",
        "\n",
        "-----BEGIN RSA PRIVATE KEY-----",
        "https://example.com/",
        "?key=",
        "\u2028",
        "0123456789abcdef" * 2,
    ]
)


@given(st.lists(_PIECES | st.text(max_size=20), max_size=8).map("".join))
def test_a_credential_is_found_wherever_it_stands(text: str) -> None:
    holds = examine(text, frozenset())
    assert bool(holds & TextTrait.KEY) == (len(text) >= 20 and KEY_LIKE.search(text) is not None)
    assert bool(holds & TextTrait.RANDOM) == looks_random(text)
