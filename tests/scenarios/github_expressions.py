"""The expressions of GitHub's workflows, as far as ours use them: paths, comparisons, `&&`, `||`, and four functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOKENS = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<path>[A-Za-z_][\w.-]*)|(?P<number>\d+)|(?P<sign>&&|\|\||==|!=|>|[(),!\[\]]|\.)|(?P<space>\s+)"
)
_SIGNS = {"&&": " and ", "||": " or ", "!": " not "}
_FUNCTIONS = ("always", "success", "contains", "fromJSON")
_WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class _Json:
    """A value of `fromJSON`, whose members are read by name or number; None for what it does not have."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def at(self, key: str | int) -> Any:
        try:
            return _Json(self.value[key])
        except (KeyError, IndexError, TypeError):
            return None


def _text(value: Any) -> str:
    """A value as GitHub writes it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Expressions:
    """Evaluates expressions in a context; `failed` says whether something before has failed."""

    context: Mapping[str, Any]
    failed: bool = False

    def value(self, text: str) -> Any:
        """What a whole `${{ … }}` is."""
        match = _WHOLE.fullmatch(text.strip())
        found = self._eval(match[1] if match else text)
        return found.value if isinstance(found, _Json) else found

    def text(self, text: Any) -> str:
        """A text with its expressions replaced."""
        return _WHOLE.sub(lambda match: _text(self.value(match[0])), str(text))

    def all_of(self, values: Mapping[str, Any]) -> dict[str, str]:
        return {key: self.text(value) for key, value in values.items()}

    def holds(self, condition: str) -> bool:
        """Whether a job or a step runs: without a status function, only where nothing has failed."""
        named = re.search(r"\b(always|success|failure)\(\)", condition)
        if named is None and self.failed:
            return False
        return bool(self.value(condition))

    def _eval(self, source: str) -> Any:
        code, names, at = [], [], 0
        source = source.strip()
        while at < len(source):
            match = _TOKENS.match(source, at)
            assert match is not None, f"no expression we know: {source}"
            at = match.end()
            match match.lastgroup:
                case "text":
                    code.append(repr(match[0][1:-1].replace("''", "'")))
                case "number":
                    code.append(match[0])
                case "sign":
                    code.append(_SIGNS.get(match[0], match[0]))
                case "path" if match[0] == "null":
                    code.append("None")
                case "path" if match[0] in _FUNCTIONS and source[at : at + 1] == "(":
                    code.append(match[0])
                case "path" if code and code[-1] == ".":
                    code[-1] = "".join(f".at({each!r})" for each in match[0].split("."))
                case "path":
                    names.append(match[0])
                    code.append(f"path({match[0]!r})")
                case _:
                    code.append(" ")
        program = re.sub(r"(?<=[)\w'])\[(\d+)\]", r".at(\1)", "".join(code))
        return eval(program, {"__builtins__": {}}, self._names())

    def _names(self) -> dict[str, Any]:
        return {
            "path": self._path,
            "always": lambda: True,
            "success": lambda: not self.failed,
            "contains": lambda where, what: what in (where.value if isinstance(where, _Json) else where),
            "fromJSON": lambda text: _Json(json.loads(text)),
        }

    def _path(self, path: str) -> Any:
        found: Any = self.context
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(found, str) and re.fullmatch(r"[1-9]\d{0,8}|0", found):
            return int(found)  # numbers and their texts are equal there
        return "" if found is None else found
