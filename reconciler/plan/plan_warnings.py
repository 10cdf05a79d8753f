"""The warnings that only a plan can find, by what runs or what is selected; `validate` asks no service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Rule -> its meaning, and what to do.
WARNINGS_OF_PLANS: Final[Mapping[str, tuple[str, str]]] = {
    "adopt-over": (
        "the agent that `adopt` names does not run any more",
        "remove the line `adopt`; if its ID is misspelt, correct it before an apply, which joins an agent of its own",
    ),
    "freeze-nothing": (
        "a freeze names an address that is neither declared nor running",
        "correct the address among the `targets` of the freeze, or remove it",
    ),
    "freeze-offline": (
        "a plan that asks no service knows no time, and shows frozen changes as if they were not",
        "nothing: an apply holds them",
    ),
}
