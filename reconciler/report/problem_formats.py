"""Problems for machines: JSON, GitHub's annotations, SARIF 2.1.0 for code scanning, GitLab's code quality report.

The findings of a plan at lines of the files have the same form: `findings` makes problems of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reconciler import __version__
from reconciler.diagnostics import Problem, Span
from reconciler.model.fleet import FLEET_FILE
from reconciler.report.documents import as_json
from reconciler.report.escape import github_message, github_property, visible
from reconciler.report.formats import RenderOptions
from reconciler.report.json_plan import diagnostic_tree
from reconciler.report.problems import Checked

FORMAT_VERSION = "1.0"
# The place of a problem without one: every fleet has this file.
FLEET_PLACE = Span(FLEET_FILE)
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_json(checked: Checked, options: RenderOptions = RenderOptions()) -> str:
    """Return problems as JSON, in the order of the files."""
    found = _sorted(checked)
    errors = sum(1 for each in found if each.is_error)
    tree = {
        "format_version": FORMAT_VERSION,
        **dict(options.head),
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": len(found) - errors,
        "ignored_count": len(checked.accepted),
        "diagnostics": [diagnostic_tree(each) for each in found],
    }
    return as_json(tree) + "\n"


def render_github(checked: Checked, options: RenderOptions = RenderOptions()) -> str:
    """Return problems as annotations on the lines of a pull request, one workflow command a line."""
    return as_annotations(_sorted(checked), root=options.root)


def as_annotations(found: Iterable[Problem], *, root: str = "", notice: tuple[str, str] | None = None) -> str:
    """Return problems as annotations in their order, after a notice (title and text) without a place."""
    first = [] if notice is None else [_command("notice", {"title": notice[0]}, notice[1])]
    return _lines(limited([*first, *(_annotation(each, root) for each in found)]))


def joined_annotations(texts: Iterable[str]) -> str:
    """Return the annotations of several reports as those of one step."""
    lines = (line for text in texts for line in text.split("\n") if line and _MORE not in line)
    return _lines(limited(list(lines)))


# GitHub shows only the first so many annotations of a kind in a step; the job's log has all of them.
MOST_ANNOTATIONS = 10
_MORE = " title=reconciler has more of them::"


def limited(lines: Sequence[str]) -> Iterator[str]:
    """Yield the annotations, after one that gives the count for each kind with more than GitHub shows."""
    counts = Counter(line.split(" ", 1)[0] for line in lines)
    for kind, count in counts.items():
        if count > MOST_ANNOTATIONS:
            shown = (
                f"{MOST_ANNOTATIONS - 1} of {count:,} are shown here: all of them are in the log of this step"
            )
            yield f"{kind}{_MORE}{shown}"
    yield from lines


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _annotation(found: Problem, root: str) -> str:
    properties = {}
    if found.where is not None:
        properties = {
            "file": _below(root, found.where.file),
            "line": str(found.where.line),
            "col": str(found.where.column),
        }
    properties["title"] = found.rule
    parts = [found.summary, found.why, f"help: {found.help}" if found.help else None]
    return _command(found.severity.value, properties, "\n".join(part for part in parts if part))


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    head = ",".join(f"{key}={github_property(_seen(value))}" for key, value in properties.items())
    return f"::{name} {head}::{github_message(_seen(text))}"


def _seen(text: str) -> str:
    """Return a text with invisible characters escaped, lines kept."""
    return "\n".join(visible(line) for line in text.split("\n"))


def render_sarif(checked: Checked, options: RenderOptions = RenderOptions()) -> str:
    """Return problems as one SARIF run with explanations of their rules."""
    found = _sorted(checked)
    rules = sorted({each.rule for each in found})
    driver = {
        "name": "reconciler",
        "semanticVersion": __version__,
        "rules": [_rule(rule, *options.explain_rule(rule)) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, rules.index(each.rule), options.root) for each in found],
    }
    return as_json({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _rule(rule: str, about: str, explained: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": rule,
        "name": rule,
        "shortDescription": {"text": about or rule.replace("-", " ")},
    }
    if explained:
        made["fullDescription"] = {
            "text": explained.partition("\n\n")[0].strip() or made["shortDescription"]["text"]
        }
        made["help"] = {"text": explained, "markdown": f"```text\n{explained}```\n"}
    return made


def _result(found: Problem, rule_index: int, root: str) -> dict[str, Any]:
    text = "\n".join(part for part in (found.summary, found.why, found.help) if part)
    result: dict[str, Any] = {
        "ruleId": found.rule,
        "ruleIndex": rule_index,
        "level": found.severity.value,
        "message": {"text": text},
        # Code scanning rejects a result without a place.
        "locations": [_location(found.where or FLEET_PLACE, root)],
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


_QUALITY = {True: "critical", False: "minor"}


def render_code_quality(checked: Checked, options: RenderOptions = RenderOptions()) -> str:
    """Return problems as GitLab's code quality report.

    A fingerprint does not depend on line numbers; repeated problems of one file are numbered.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    tree = []
    for each in _sorted(checked):
        where = each.where or FLEET_PLACE
        key = (each.rule, _below(options.root, where.file), each.summary)
        seen[key] += 1
        parts = [each.summary, each.why, f"help: {each.help}" if each.help else None]
        tree.append(
            {
                "description": "\n".join(_seen(part) for part in parts if part),
                "check_name": each.rule,
                "fingerprint": hashlib.sha256(repr((*key, seen[key])).encode()).hexdigest(),
                "severity": _QUALITY[each.is_error],
                "location": {"path": key[1], "lines": {"begin": max(where.line, 1)}},
            }
        )
    return as_json(tree) + "\n"


def _below(root: str, file: str) -> str:
    parts = [part for part in f"{root}/{file}".replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _sorted(checked: Checked) -> list[Problem]:
    return sorted(checked.diagnostics, key=Problem.sort_key)
