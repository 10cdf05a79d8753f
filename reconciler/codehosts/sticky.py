"""Keeps exactly one text with a marker: found by the marker on its first line and by its author, posted if missing.

Texts of other authors are never changed, even if they quote the marker. Of several (two runs at once, or a late effect
of an unanswered call) the oldest stays.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from reconciler.codehosts import Posted, PostedTexts
from reconciler.errors import ServiceError
from reconciler.ports import Sleep, Steps

_TRIES = 4
# Seconds after which a text made by an unanswered call is usually listed.
_SETTLES = 0.5


class PostResult(StrEnum):
    """The result of posting or closing a text, in words for messages."""

    MADE = "posted"
    REWRITTEN = "updated"
    UNCHANGED = "unchanged"
    CLOSED = "closed"
    REOPENED = "reopened"
    NOTHING = "not needed"


def own(shelf: PostedTexts, author: str, marker: str) -> Steps[tuple[Posted, ...]]:
    """Return the texts of an author that begin with a marker, oldest first."""
    found = yield from shelf.posted(author)
    mine = [each for each in found if each.author.lower() == author.lower() and each.bears(marker)]
    return tuple(sorted(mine, key=lambda each: each.key))


def put(
    shelf: PostedTexts, author: str, marker: str, body: str, *, is_open: bool = True
) -> Steps[PostResult]:
    """Make the one text with the marker be `body`, open or closed; if it is to be closed, none is posted for it."""
    return (yield from put_with(shelf, author, marker, lambda _: body, is_open=is_open))


def put_with(
    shelf: PostedTexts,
    author: str,
    marker: str,
    body: Callable[[Posted | None], str],
    *,
    is_open: bool | None,
) -> Steps[PostResult]:
    """Do as `put`, with a body computed from the present text. `is_open` None keeps its state, and posts no new one."""
    why = ""
    for _ in range(_TRIES):
        mine = yield from own(shelf, author, marker)
        if mine:
            return (yield from _settle(shelf, mine, body(mine[0]), is_open, is_new=bool(why)))
        if not is_open:
            return PostResult.NOTHING
        unanswered = yield from shelf.post(body(None))
        if unanswered is None:
            # Another run may have posted one at the same time.
            mine = yield from own(shelf, author, marker)
            if len(mine) > 1:
                yield from _settle(shelf, mine, body(mine[0]), is_open, is_new=True)
            return PostResult.MADE
        # The call may have been executed, so the next round looks for its text before it posts again.
        why = unanswered.why
        yield Sleep(_SETTLES)
    raise ServiceError(
        f"nothing could be posted: {why}, {_TRIES} times, and it is not listed",
        hint="run the job again: what was made nevertheless is found by its marker",
    )


def _settle(
    shelf: PostedTexts, mine: tuple[Posted, ...], body: str, is_open: bool | None, *, is_new: bool
) -> Steps[PostResult]:
    kept, *extras = mine
    for each in extras:
        if each.is_open:
            yield from shelf.discard(each)
    wanted = kept.is_open if is_open is None else is_open
    if kept.body.replace("\r\n", "\n").rstrip() == body.rstrip() and kept.is_open == wanted:
        return PostResult.MADE if is_new else PostResult.UNCHANGED
    yield from shelf.rewrite(kept, body, is_open=wanted)
    if wanted != kept.is_open:
        return PostResult.REOPENED if wanted else PostResult.CLOSED
    return PostResult.REWRITTEN
