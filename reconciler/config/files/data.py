"""Read data files of the fleet's directory, which are never rendered: YAML, JSON and CSV.

YAML and JSON give their values; CSV gives a list of mappings of texts.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from reconciler.config.files.documents import Files, read_document
from reconciler.config.yaml.scalars import CONTROL, number
from reconciler.diagnostics import Problems, Span

MAX_DEPTH = 50

# Files, name, problems -> the data; problems with it are added to the problems.
DataReader: TypeAlias = "Callable[[Files, str, Problems], Any]"


def reader_of(name: str) -> DataReader | None:
    """Return the reader for a file's name; None for a hidden name, or one without the suffix of a data file."""
    suffix = name[name.rfind(".") :] if "." in name else ""
    hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
    return None if hidden else _READERS.get(suffix)


def _yaml(files: Files, name: str, problems: Problems) -> Any:
    document = read_document(files, name, problems, inert=True)
    return None if document is None else document.root


def _json(files: Files, name: str, problems: Problems) -> Any:
    try:
        text = files.text(name)
        data = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_number,
            parse_float=_number,
        )
        _check(data, has_escapes="\\" in text)
    except json.JSONDecodeError as error:
        problems.error("data-file", f"this is not JSON: {error.msg}", Span(name, error.lineno, error.colno))
    except _AsInYaml as error:
        problems.error(error.rule, str(error), Span(name), help=error.help)
    except ValueError as error:
        problems.error("data-file", str(error), Span(name))
    except RecursionError:
        problems.error("data-file", f"nested more than {MAX_DEPTH} levels deep", Span(name))
    else:
        return data
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        found = Counter(key for key, _ in pairs)
        twice = next(name for name, count in found.items() if count > 1)
        raise ValueError(f'duplicate key "{twice}"')
    return made


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number that a service could take")


class _AsInYaml(ValueError):
    """A value in JSON that YAML may not hold either; it is refused by YAML's rule."""

    def __init__(self, rule: str, summary: str, help: str) -> None:
        super().__init__(summary)
        self.rule = rule
        self.help = help


def _number(text: str) -> Any:
    try:
        return number(text)
    except ValueError as error:
        raise _AsInYaml("yaml-number", str(error), "quote it if it is a text") from None


def _check(data: Any, *, has_escapes: bool) -> None:
    """Raise for data nested too deeply, and for a control character that an escape stands for."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += [*each, *each.values()] if has_escapes else each.values()
            elif isinstance(each, list):
                below += each
            elif has_escapes and isinstance(each, str) and (found := CONTROL.search(each)):
                summary = f"a text holds the control character U+{ord(found[0]):04X}"
                raise _AsInYaml("control-character", summary, "remove the escape")
        if not below:
            return
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _csv(files: Files, name: str, problems: Problems) -> Any:
    import csv  # most fleets have no such file

    rows = csv.reader(io.StringIO(files.text(name), newline=""), strict=True)
    found: list[dict[str, str]] = []
    try:
        header = [each.strip() for each in next(rows, [])]
        if not header or len(set(header)) < len(header) or not all(header):
            problems.error("data-file", "the first row must name every column, each once", Span(name))
            return None
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                summary = f"this row has {len(row)} cells, the header {len(header)}"
                problems.error(
                    "data-file", summary, Span(name, rows.line_num), help="quote cells that hold commas"
                )
                continue
            found.append(dict(zip(header, row, strict=True)))
    except csv.Error as error:
        problems.error("data-file", f"this is not CSV: {error}", Span(name, rows.line_num))
    return found


_READERS: Mapping[str, DataReader] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".csv": _csv,
}
SUFFIXES = tuple(_READERS)
