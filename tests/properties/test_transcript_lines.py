"""The lines of an archive: whatever the service's window shows, and whenever, each utterance stands in it once, in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.address import Address, Owner
from reconciler.model.transcript import ArchivedSession, Transcript, Utterance, new_lines

SESSION = ArchivedSession(Owner("demo"), Address("lobby", "desk"), "A1", "demo.-.x", 1_780_000_000.0)


def spoken(lines: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for each in lines if each["type"] == "utterance"]


@given(
    looks=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    window=st.integers(1, 8),
    numbered=st.booleans(),
)
def test_what_looks_come_often_enough_for_is_there_once_and_the_rest_is_a_gap(
    looks: list[int], window: int, numbered: bool
) -> None:
    conversation: list[Utterance] = []
    lines: list[Any] = []
    expected: list[str] = []
    gaps = 0
    for fresh in looks:
        for _ in range(fresh):
            number = len(conversation)
            conversation.append(Utterance("user", f"{number}", turn_id=number if numbered else None))
        if fresh >= window and len(conversation) > fresh:
            gaps += 1
        expected += [each.content for each in conversation[len(conversation) - min(fresh, window) :]]
        lines += new_lines(lines, Transcript(SESSION, 1.0, tuple(conversation[-window:])))
    assert spoken(lines) == expected
    assert [each["type"] for each in lines].count("gap") == gaps
    assert [each["type"] for each in lines].count("head") == 1


def test_a_turn_that_goes_on_is_corrected_in_place() -> None:
    lines: list[Any] = []
    for texts in (["hello"], ["hello there"], ["hello there", "yes"], ["hello there", "yes, sir"]):
        said = tuple(Utterance("user", text, turn_id=number) for number, text in enumerate(texts))
        lines += new_lines(lines, Transcript(SESSION, 1.0, said))
    assert [(each["content"], each.get("corrects", False)) for each in lines[1:]] == [
        ("hello", False),
        ("hello there", True),
        ("yes", False),
        ("yes, sir", True),
    ]
