"""References to secrets, such as `ref+env://OPENAI_API_KEY`, and the type of the values behind them.

References are found in texts and replaced here; `driver.secrets` reads the values (`ports.Resolve`). The syntax is that
of the `vals` tool: `ref+scheme://path[?query][#fragment]`, closed by `+` where the reference is inside other text
(`Bearer ref+env://TOKEN+`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from posixpath import normpath

from reconciler.values import dataclass

# A reference ends at a closing '+', at white space, at a quote or at the end of the text.
_REFERENCE = re.compile(r"ref\+(?P<scheme>[a-z][a-z0-9]*)://(?P<path>[^\s+\"'<>]*)(?P<close>\+?)")
MARK = "ref+"
# What `import` prints where a value has to be put; no source of secrets takes it for one.
UNFILLED = "…"


class Secret:
    """The value of a secret. Printing, formatting and logging it show `MASK`; only `reveal` returns the value."""

    __slots__ = ("_value",)
    MASK = "(secret)"

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. Call this only where the value is sent or masked."""
        return self._value

    def __repr__(self) -> str:
        return self.MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self.MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce_ex__(self, protocol: object) -> str | tuple[object, ...]:
        raise TypeError("a secret's value is never pickled or copied")


@dataclass(frozen=True, slots=True, order=True)
class SecretRef:
    """One reference, as written, without its closing `+`."""

    text: str

    @property
    def scheme(self) -> str:
        return self.text[len(MARK) : self.text.index("://")]

    @property
    def path(self) -> str:
        return self.text[self.text.index("://") + 3 :]

    @property
    def source(self) -> str:
        """The secret itself in one spelling, so that two references to one secret can be compared.

        The path of a file is normalised. The query after a `?` is left out: it only chooses the version and the way of
        reading.
        """
        if self.scheme == "file":
            return f"{MARK}file://{written_path(self.path)}"
        where, mark, part = self.path.partition("#")
        return f"{MARK}{self.scheme}://{where.partition('?')[0]}{mark}{part.partition('?')[0]}"

    def __str__(self) -> str:
        return self.text


def written_path(path: str) -> str:
    """Return the path of a file without `.`, `..` and doubled slashes; links are not followed."""
    # normpath keeps two slashes at the start, which may have another meaning in POSIX, but not here.
    return normpath(f"/{path.lstrip('/')}" if path.startswith("/") else path)


def references(text: str) -> Iterator[SecretRef]:
    """Yield the references inside one text, in order."""
    if MARK in text:
        for match in _REFERENCE.finditer(text):
            yield SecretRef(f"ref+{match['scheme']}://{match['path']}")


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield a text in pieces, each with whether it is a reference; as written, a closing `+` included."""
    at = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > at:
            yield text[at : match.start()], False
        yield match[0], True
        at = match.end()
    if at < len(text):
        yield text[at:], False


def substitute(text: str, values: Mapping[SecretRef, Secret]) -> Secret:
    """Return the text with each reference replaced by its value, as one secret."""
    return Secret(
        _REFERENCE.sub(
            lambda match: values[SecretRef(f"ref+{match['scheme']}://{match['path']}")].reveal(), text
        )
    )
