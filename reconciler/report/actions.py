"""The words and the sign of each kind of change, a row each, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.values import dataclass

# Terraform's words, for tools that read Terraform's plans.
TerraformAction = Literal["create", "update", "delete", "no-op", "forget"]


@dataclass(frozen=True, slots=True)
class ActionWords:
    """The words for a change that is being made, is made, and would be made; and what becomes of the conversation."""

    sign: str
    doing: str
    done: str
    would: str
    conversation: str
    terraform: tuple[TerraformAction, ...]


_W = ActionWords
# In the order of tables and of details: what ends conversations comes first.
WORDS: Mapping[Action, ActionWords] = {
    Action.REPLACE: _W("-/+", "replacing", "replaced", "would be replaced", "ends", ("delete", "create")),
    Action.LEAVE: _W("-", "leaving", "left", "would leave", "ends", ("delete",)),
    Action.ROTATE: _W("-/+", "rotating", "rotated", "would be rotated", "ends", ("delete", "create")),
    Action.HOLD: _W("!", "held", "held", "is held", "goes on (not done)", ("no-op",)),
    Action.UPDATE: _W("~", "updating", "updated", "would be updated in place", "goes on", ("update",)),
    Action.JOIN: _W("+", "joining", "joined", "would join", "begins", ("create",)),
    Action.ADOPT: _W("<=", "adopting", "adopted", "would be adopted", "goes on", ("no-op",)),
    Action.FORGET: _W(".", "forgetting", "forgotten", "would be forgotten", "is over already", ("forget",)),
    Action.RENEW: _W("~", "renewing the token", "renewed", "would get a new token", "goes on", ("update",)),
    Action.NONE: _W("", "nothing to do", "in sync", "stays as it is", "goes on", ("no-op",)),
}
RANK = {action: rank for rank, action in enumerate(WORDS)}


def counted(plan: Plan) -> list[tuple[Action, int, str]]:
    """Return each kind of pending change that a plan has, with their number and what becomes of the conversations."""
    rows = ((action, plan.count(action), words.conversation) for action, words in WORDS.items())
    return [row for row in rows if row[1] and row[0] is not Action.NONE]


def legend(symbols: Iterable[str]) -> list[tuple[str, str]]:
    """Return the meanings of the signs that occur; empty for a single sign, which needs no explanation."""
    found = set(symbols)
    return [(sign, word) for sign, word in _MEANINGS.items() if sign in found] if len(found) > 1 else []


_MEANINGS = {
    "-/+": "is replaced",
    "+/-": "is replaced, the new agent first",
    "-": "leaves",
    "!": "is held, not done",
    "~": "goes on, with changes in place or a new token",
    "+": "joins",
    "<=": "is adopted",
    ".": "is forgotten",
}
