"""Read the values of `--var KEY=VALUE`: they are YAML scalars, refused by the same rules as in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.config.templates.compiler import is_free
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.scalars import scalar
from reconciler.diagnostics import Problem, Problems

# Characters that no file may contain unescaped: controls, invisible line separators, BOMs, single surrogates.
_RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def read_given(variables: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """Return the values by name; problems with them are added to `problems`."""
    values: dict[str, Any] = {}
    for name, text in variables.items():
        if is_free(name):
            values[name], found = _value(name, text)
            for each in found:
                problems.add(each)
        else:
            problems.error("variable-name", f'--var: a variable cannot be called "{name}"', None)
    return values


def _value(name: str, text: str) -> tuple[Any, list[Problem]]:
    """Return a value and its problems; a bad value becomes a text, so that its name does not count as undefined."""
    if found := _RAW.search(text):
        summary = f"--var {name} holds the character U+{ord(found[0]):04X}"
        return _RAW.sub("", text), [
            Problem("control-character", summary, None, help="remove it, or write it as an escape in quotes")
        ]
    if text[:1] in ("'", '"'):
        parsed = parse_yaml(text, inert=True)
        if isinstance(parsed.root, str) and not parsed.problems:
            return parsed.root, []
        told = (
            parsed.problems[0] if parsed.problems else Problem("yaml-syntax", "more follows the quotes", None)
        )
        return text, [Problem(told.rule, f"--var {name}: {told.summary}", None, help=told.help)]
    try:
        return scalar(text), []
    except ValueError as error:
        return text, [Problem("yaml-number", f"--var {name}: {error}", None, help="quote it for YAML too")]
