"""What a review covers of a live plan, and the token that stands for the review."""

from __future__ import annotations

import pytest

from reconciler.errors import UsageError
from reconciler.model.approval import Approval

TREE, SNAPSHOT = "a1" * 20, "0f" * 20


def test_a_token_is_the_tree_and_the_snapshot() -> None:
    token = f"{TREE}.{SNAPSHOT}"
    assert len(token) == 81
    assert Approval.parse(f"{token}\n") == Approval(TREE, SNAPSHOT)
    assert str(Approval.parse(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "null",
        TREE,
        f"{TREE}.{SNAPSHOT[:-1]}",
        f"{TREE}.{SNAPSHOT}0",
        f"{TREE.upper()}.{SNAPSHOT}",
        f"{TREE} {SNAPSHOT}",
        f"--all{TREE[5:]}.{SNAPSHOT}",
        f"{TREE}.{SNAPSHOT[:-1]}\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_token_is_refused_and_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="nothing was done") as refused:
        Approval.parse(text)
    assert "81 characters" in (refused.value.hint or "")
