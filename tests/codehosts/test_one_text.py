"""One text with a marker, of one author: made, rewritten, closed, and the others put away."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.codehosts import Posted, UnknownOutcome, sticky
from tests.codehosts.calls import Answers, in_virtual_time, reply

MARKER = "<!-- reconciler plan: a.- -->"


class Shelf:
    """Texts in memory; a post may get no answer, and is then listed after so many looks."""

    def __init__(self, *texts: Posted, unknown: int = 0, listed: bool = True) -> None:
        self.texts = list(texts)
        self.unknown, self.listed = unknown, listed

    def posted(self, author: str) -> Any:
        yield from ()
        return tuple(reversed(self.texts))

    def post(self, body: str) -> Any:
        yield from ()
        if self.listed:
            self.texts.append(Posted(len(self.texts) + 1, "Bot", body))
        self.unknown -= 1
        return UnknownOutcome("no answer") if self.unknown >= 0 else None

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Any:
        yield from ()
        self.texts[self.texts.index(old)] = Posted(old.key, old.author, body, is_open)

    def discard(self, extra: Posted) -> Any:
        yield from ()
        assert extra.is_open, "what is closed already is not discarded"
        self.texts[self.texts.index(extra)] = Posted(extra.key, extra.author, "discarded", False)


def ours(key: int, text: str = "x", *, is_open: bool = True) -> Posted:
    return Posted(key, "bot", f"{MARKER}\r\n{text}  \n", is_open)


@pytest.mark.parametrize(
    ("shelf", "is_open", "result", "left"),
    [
        (Shelf(), True, sticky.PostResult.MADE, [(1, True)]),
        (Shelf(), False, sticky.PostResult.NOTHING, []),
        (Shelf(), None, sticky.PostResult.NOTHING, []),
        (Shelf(ours(1)), True, sticky.PostResult.UNCHANGED, [(1, True)]),
        (Shelf(ours(1, "old")), True, sticky.PostResult.REWRITTEN, [(1, True)]),
        (Shelf(ours(1)), False, sticky.PostResult.CLOSED, [(1, False)]),
        (Shelf(ours(1, is_open=False)), True, sticky.PostResult.REOPENED, [(1, True)]),
        (Shelf(ours(1, is_open=False)), None, sticky.PostResult.UNCHANGED, [(1, False)]),
        (Shelf(ours(1, "old", is_open=False)), None, sticky.PostResult.REWRITTEN, [(1, False)]),
        (Shelf(Posted(1, "eve", f"{MARKER}\nx"), Posted(2, "bot", f"x\n{MARKER}")), False, sticky.PostResult.NOTHING, [(1, True), (2, True)]),
        (Shelf(ours(1), ours(2), ours(3, is_open=False)), True, sticky.PostResult.UNCHANGED, [(1, True), (2, False), (3, False)]),
        (Shelf(unknown=1), True, sticky.PostResult.MADE, [(1, True)]),
        (Shelf(unknown=3, listed=False), True, sticky.PostResult.MADE, []),
    ],
)  # fmt: skip
def test_what_is_done_about_the_one_text(
    shelf: Shelf, is_open: bool | None, result: sticky.PostResult, left: list[tuple[int, bool]]
) -> None:
    steps = sticky.put_with(shelf, "BOT", MARKER, lambda _: f"{MARKER}\nx", is_open=is_open)
    did, _ = in_virtual_time(steps, Answers(reply(500)))
    assert did is result
    assert [(each.key, each.is_open) for each in shelf.texts] == left


def test_an_unanswered_post_is_given_half_a_second_to_be_listed() -> None:
    _, took = in_virtual_time(sticky.put(Shelf(unknown=1), "bot", MARKER, MARKER), Answers(reply(500)))
    assert took == 0.5


def test_of_two_runs_that_post_at_once_the_older_text_stays() -> None:
    shelf = Shelf()
    post = shelf.post

    def both(body: str) -> Any:
        shelf.texts.append(Posted(1, "bot", f"{MARKER}\nof the other run"))
        return (yield from post(body))

    shelf.post = both  # type: ignore[method-assign]
    steps = sticky.put_with(
        shelf, "bot", MARKER, lambda old: f"{MARKER}\n{old.body[-3:] if old else 'first'}", is_open=True
    )
    assert in_virtual_time(steps, Answers(reply(500)))[0] is sticky.PostResult.MADE
    assert [(each.body.partition("\n")[2], each.is_open) for each in shelf.texts] == [
        ("run", True),
        ("", False),
    ]
