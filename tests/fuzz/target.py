"""What a target is: it makes an input from a number, hands it to the product, and says what became of it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reconciler.errors import InvalidConfig, ReconcilerError

ROOT = Path(__file__).parents[2]
_VARYING = re.compile(r"'.*'|\".*\"|/\S+|\S*\d\S*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an input was taken: without reasons it was accepted. `deep` is what came past the first look."""

    reasons: tuple[str, ...] = ()
    deep: bool = True


class Target(Protocol):
    """One parser. An object serves many numbers in one process, and nothing of one may reach the next."""

    # How many inputs a pull request gets.
    share: int

    def __init__(self, home: Path) -> None:
        """`home` is an empty directory of its own."""

    def make(self, chance: random.Random) -> Any:
        """An input. `chance` is all that it may depend on, besides the files of this repository."""
        ...

    def check(self, made: Any) -> Outcome:
        """Hand it over. Whatever this raises is a failure: what may be raised is caught here."""
        ...


def chance_of(target: str, number: int) -> random.Random:
    return random.Random(f"{target} {number}")


def reason(problem: ReconcilerError) -> str:
    """An error as what kind of error it is: its rule, and its words without what varies."""
    assert not isinstance(problem, InvalidConfig), "that has diagnostics"
    assert problem.message.strip(), "an error says what happened"
    return f"{problem.rule}: {skeleton(problem.message).partition(': HTTP')[0]}"


def skeleton(text: str) -> str:
    """The words of a message without what varies."""
    return " ".join(_VARYING.sub("…", text[:300]).split())[:60]
