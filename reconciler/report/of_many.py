"""Reasons of a group of changes, in the plural: "they are new" where the reason of one change is "it is new"."""

from __future__ import annotations

# The beginnings of reasons (`plan.decide`, `plan.join_reasons`, `plan.holds`) for one agent and for several.
_PLURAL = (
    ("it bears our mark but is not in the state; another checkout may want it (--prune-unrecorded leaves it)",
     "they bear our mark but are not in the state; another checkout may want them (--prune-unrecorded leaves them)"),
    ("it runs but is not in the state", "they run but are not in the state"),
    ("it runs, is not in the state, and was started", "they run, are not in the state, and were started"),
    ("it is ", "they are "),
    ("its agent is gone, and the files do not want it", "their agents are gone, and the files do not want them"),
    ("its agent is ", "their agents are "),
    ("its agent has ", "their agents have "),
    ("its agent was ", "their agents were "),
    ("its agent ended because nobody was in the channel", "their agents ended because nobody was in the channels"),
    ("its agent ", "their agents "),
    ("its replacement was not finished: its agent has left, and none has come in its place",
     "their replacements were not finished: their agents have left, and none have come in their place"),
    ("the service ends it within ", "the service ends them within "),
    ("its token ends within ", "their tokens end within "),
    ("its token is past half of its life", "their tokens are past half of their lives"),
    ("the service does not know its agent any more", "the service does not know their agents any more"),
    ("the files do not want it any more", "the files do not want them any more"),
    ("the team's policy protects it", "the team's policy protects them"),
    ("only its record changes", "only their records change"),
    ("--replace asks for it", "--replace asks for them"),
    ("another agent of ours runs at this address", "other agents of ours run at these addresses"),
)  # fmt: skip


def of_many(reason: str, count: int) -> str:
    """Return a reason as that of `count` changes; one without such words stays as it is."""
    for one, many in _PLURAL if count > 1 else ():
        if reason.startswith(one):
            return many + reason.removeprefix(one)
    return reason
