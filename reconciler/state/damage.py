"""The error for a state that no run of ours has written: it is refused, and never taken for an empty one."""

from __future__ import annotations

from reconciler.errors import StateError, restore_hint
from reconciler.model.address import Address


class Damaged(StateError):
    """A state with other bytes than were written; `what` describes the damage."""

    def __init__(self, what: str, path: object = None) -> None:
        self.what = what
        super().__init__(
            f"the state{'' if path is None else f' {path}'} is damaged: {what}",
            hint=f"nothing was changed; {restore_hint('a good copy')}",
        )


def damaged(what: str) -> Damaged:
    """Return the error for a damaged state; a caller that knows the state's path adds it."""
    return Damaged(what)


def address_of(text: object) -> Address:
    """Return the address in a row; raise `StateError` when it is not one."""
    channel, _, name = text.rpartition("/") if isinstance(text, str) else ("", "", "")
    if not channel or not name:
        raise damaged(f"{str(text)[:80]!r} is not an address")
    return Address(channel, name)
