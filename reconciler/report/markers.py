"""Parts of our Markdown that a bot finds again: the marker of each report, and the token of a review.

A marker is on a line of its own outside code blocks, where no text of a fleet can begin a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from reconciler.model.approval import Approval
from reconciler.values import dataclass

PLAN: Final = "plan"
DRIFT: Final = "drift"
APPLY: Final = "apply"
# The report of `plan --check`, which `ci comment` does not post.
CHECK: Final = "check"

_OWNER = r"[a-z][a-z0-9-]{0,19}\.(?:-|[a-z][a-z0-9-]{0,7})"
_MARKER = re.compile(rf"<!-- reconciler ({PLAN}|{DRIFT}|{APPLY}): ({_OWNER}) -->")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_TOKEN = re.compile(r"Approval: `([0-9a-f]{40}\.[0-9a-f]{40})`")


def marker(kind: str, owner: object) -> str:
    """Return the hidden first line of a report on a fleet and environment."""
    return f"<!-- reconciler {kind}: {owner} -->"


def is_owner(text: str) -> bool:
    """Return whether a text names a fleet and environment as markers do: `hotel-desk.prod`, `hotel-desk.-`."""
    return re.fullmatch(_OWNER, text) is not None


@dataclass(frozen=True, slots=True)
class Marked:
    """One report; its marker is the first line of `text`."""

    kind: str
    owner: str
    text: str

    def of_kind(self, kind: str) -> Marked:
        """Return the same report under the marker of another kind."""
        rest = self.text.split("\n", 1)[1]
        return Marked(kind, self.owner, f"{marker(kind, self.owner)}\n{rest}")

    def without_plan(self) -> str:
        """Return the marker and the last part of an apply's report, its results, for use without room for the plan."""
        lines = self.text.split("\n")
        last = max((place for place, line in _outside_code(lines) if line.startswith("### ")), default=0)
        return "\n".join([lines[0], "", *lines[last:]])


def split(text: str) -> tuple[Marked, ...]:
    """Return the reports in a document: one, or those of several fleets. Text without a marker is left out."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.split("\n")
    starts = [place for place, line in _outside_code(lines) if _MARKER.fullmatch(line.rstrip())]
    found = []
    for start, end in pairwise([*starts, len(lines)]):
        kind, owner = _MARKER.fullmatch(lines[start].rstrip()).groups()  # type: ignore[union-attr]  # only matching lines are in `starts`
        body = lines[start:end]
        if len(starts) > 1 or start:
            body = body[: _own_part(body)]
        found.append(Marked(kind, owner, "\n".join(body).rstrip("\n") + "\n"))
    return tuple(found)


def _own_part(lines: list[str]) -> int:
    """Return how many lines belong to the first of several reports: it ends at the next heading or at the table."""
    for place, line in _outside_code(lines):
        if line.startswith("## ") or line == "| fleet | result |":
            return place
    return len(lines)


def approval_in(text: str) -> Approval | None:
    """Return the token that a report shows on a line of its own (`sentences.approval`); None without exactly one."""
    found = {
        match[1] for _, line in _outside_code(text.split("\n")) if (match := _TOKEN.fullmatch(line.rstrip()))
    }
    return Approval.parse(found.pop()) if len(found) == 1 else None


def _outside_code(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines outside code blocks, with their numbers."""
    fence = ""
    for place, line in enumerate(lines):
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif match and (match[1][0] == "~" or "`" not in match[2]):
            fence = match[1]
        else:
            yield place, line
