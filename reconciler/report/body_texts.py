"""The bodies of a plan as JSON text, for plans with many: what bodies share is looked at once, and nothing is copied.

Only a body without anything to hide can be written as it is; `json_plan` makes a tree for each of the others.
"""

from __future__ import annotations

import orjson

from reconciler.contract.places import is_credential_path
from reconciler.model.spec import Body
from reconciler.model.tree import NON_TEXTS, Path, Tree
from reconciler.report.documents import in_ascii
from reconciler.report.masked_values import leaf, shows_every_text

# The most parts, and the most texts, that are remembered of one place.
_MOST_KNOWN = 256


class _Place(dict[str | int, "_Place"]):
    """A path in bodies, with the parts and texts there that are known to be written as they are.

    Its items are the places below; one that is missing is made when it is asked for.
    """

    __slots__ = ("is_credential", "parts", "path", "shows_every_text", "texts")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.is_credential = is_credential_path(path[1:])
        self.shows_every_text = shows_every_text(path)
        # By id; the parts themselves are kept so that their ids are not given to others.
        self.parts: dict[int, Tree] = {}
        self.texts: set[str] = set()

    def __missing__(self, key: str | int) -> _Place:
        place = self[key] = _Place((*self.path, key))
        return place


class BodyTexts:
    """Writes bodies of one plan as JSON text."""

    def __init__(self) -> None:
        self._root = _Place(())

    def text(self, body: Body | None) -> str:
        """Return a body as indented JSON in ASCII, keys sorted; empty without one, or if it cannot be written as it is."""
        if body is None:
            return ""
        tree = body.tree()
        try:
            if not _is_plain_part(tree, self._root):
                return ""
            data = orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        # As in `documents`, or a key that is no text.
        except (orjson.JSONEncodeError, TypeError, RecursionError):
            return ""
        return in_ascii(data.decode())


def _is_plain_text(text: str, place: _Place) -> bool:
    shown = leaf(place.path, text)
    is_plain = shown.__class__ is str and shown == text
    if is_plain:
        if len(place.texts) >= _MOST_KNOWN:
            place.texts.clear()
        place.texts.add(text)
    return is_plain


def _is_plain_part(part: Tree, place: _Place) -> bool:
    """Return whether a part has nothing to hide, and orjson writes it as the standard library does."""
    items = part.items() if isinstance(part, dict) else enumerate(part)  # type: ignore[arg-type]  # a list
    for key, value in items:
        below, kind = place[key], value.__class__
        if kind is str:
            if not (below.shows_every_text or value in below.texts or _is_plain_text(value, below)):  # type: ignore[arg-type]
                return False
        elif kind is dict or kind is list:
            if not (id(value) in below.parts or _is_plain_part(value, below)):
                return False
        # A float's exponent is written in two ways.
        elif below.is_credential or kind not in NON_TEXTS or (kind is float and "e" in repr(value)):
            return False
    if len(place.parts) >= _MOST_KNOWN:
        place.parts.clear()
    place.parts[id(part)] = part
    return True
