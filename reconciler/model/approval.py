"""The token of a reviewed change, `<tree>.<snapshot>`: the files and the state that a plan was made from.

The same files and the same state give the same offline plan, so the token stands for a plan that need not be stored.
"""

from __future__ import annotations

import re
from typing import Final, Self

from reconciler.errors import UsageError
from reconciler.values import dataclass

_TOKEN: Final = re.compile(r"([0-9a-f]{40})\.([0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval: `tree` is the Git tree of the fleet's directory, `snapshot` the commit of the state's ref."""

    tree: str
    snapshot: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the approval of a token of 81 characters; raise `UsageError` for any other text."""
        found = _TOKEN.fullmatch(text.strip())
        if found is None:
            said = f'"{text.strip()[:81]}" is no token of a review' if text.strip() else "the token is empty"
            raise UsageError(
                f"{said}; nothing was done",
                hint="a token is <tree>.<snapshot>, 81 characters, as `plan --offline` shows it in the pull request",
            )
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.tree}.{self.snapshot}"
