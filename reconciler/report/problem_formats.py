"""Problems of the files for machines: JSON, GitHub workflow commands, and SARIF 2.1.0 for code scanning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from reconciler import __version__
from reconciler.diagnostics import Problem, Span
from reconciler.report.documents import as_json
from reconciler.report.escape import github_message, github_property, visible
from reconciler.report.formats import ExplainRule, no_rules
from reconciler.report.json_plan import diagnostic_tree

FORMAT_VERSION = "1.0"
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_json(
    diagnostics: Iterable[Problem], head: Iterable[tuple[str, str | None]] = (), *, ignored: int = 0
) -> str:
    """Problems as JSON, in the order of the files; `head` are keys that say whose they are.

    `ignored` is how many warnings the files accept.
    """
    found = _sorted(diagnostics)
    errors = sum(1 for each in found if each.is_error)
    tree = {
        "format_version": FORMAT_VERSION,
        **dict(head),
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": len(found) - errors,
        "ignored_count": ignored,
        "diagnostics": [diagnostic_tree(each) for each in found],
    }
    return as_json(tree) + "\n"


def render_github(diagnostics: Iterable[Problem], *, root: str = "") -> str:
    """Problems as annotations on the lines of a pull request; one command a line.

    `root` is the fleet's directory as seen from the repository's: that is where readers start to look.
    """
    return "".join(_annotation(each, root) + "\n" for each in _sorted(diagnostics))


def _annotation(found: Problem, root: str) -> str:
    properties = {}
    if found.where is not None:
        properties = {
            "file": _below(root, found.where.file),
            "line": str(found.where.line),
            "col": str(found.where.column),
        }
    properties["title"] = found.rule
    head = ",".join(f"{key}={github_property(_seen(value))}" for key, value in properties.items())
    parts = [found.summary, found.why, f"help: {found.help}" if found.help else None]
    message = "\n".join(_seen(part) for part in parts if part)
    return f"::{found.severity.value} {head}::{github_message(message)}"


def _seen(text: str) -> str:
    """Everything visible, lines kept."""
    return "\n".join(visible(line) for line in text.split("\n"))


def render_sarif(
    diagnostics: Iterable[Problem], *, root: str = "", explain_rule: ExplainRule = no_rules
) -> str:
    """Problems as one SARIF run; `root` as for `render_github`. What a rule means stands with the rule."""
    found = _sorted(diagnostics)
    rules = sorted({each.rule for each in found})
    driver = {
        "name": "reconciler",
        "semanticVersion": __version__,
        "rules": [_rule(rule, *explain_rule(rule)) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, rules.index(each.rule), root) for each in found],
    }
    return as_json({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _rule(rule: str, about: str, explained: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": rule,
        "name": rule,
        "shortDescription": {"text": about or rule.replace("-", " ")},
    }
    if explained:
        made["help"] = {"text": explained, "markdown": f"```text\n{explained}```\n"}
    return made


def _result(found: Problem, rule_index: int, root: str) -> dict[str, Any]:
    text = "\n".join(part for part in (found.summary, found.why, found.help) if part)
    result: dict[str, Any] = {
        "ruleId": found.rule,
        "ruleIndex": rule_index,
        "level": found.severity.value,
        "message": {"text": text},
        "locations": [_location(found.where, root)] if found.where else [],
    }
    if found.related:
        result["relatedLocations"] = [
            {**_location(where, root), "message": {"text": note}} for where, note in found.related
        ]
    return result


def _location(where: Span, root: str) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(_below(root, where.file))},
            "region": {"startLine": max(where.line, 1), "startColumn": max(where.column, 1)},
        }
    }


def _below(root: str, file: str) -> str:
    parts = [part for part in f"{root}/{file}".replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _sorted(diagnostics: Iterable[Problem]) -> list[Problem]:
    return sorted(diagnostics, key=Problem.sort_key)
