"""One report from those of several fleets and environments, and the worst of their exit codes.

Each format joins in its own way: texts one below the other with headings and a table at the end, documents in a list,
annotations as they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reconciler.errors import InvalidConfig, ReconcilerError
from reconciler.report.documents import as_json, as_json_line
from reconciler.report.escape import code, prose, visible
from reconciler.report.folding import LONGEST, folded
from reconciler.report.style import Style
from reconciler.report.table import Column, table
from reconciler.values import dataclass

# From best to worst exit code: an error is worse than a change, because it may hide changes.
_BADNESS = (0, 2, 1)


@dataclass(frozen=True, slots=True)
class FleetPart:
    """The report on one fleet and environment: its `text`, a short `verdict`, and its exit code.

    `is_fine` says that nothing needs attention. `error` is the error that prevented the report. `within` renders it
    again in at most so many characters, if that is possible.
    """

    directory: str
    environment: str | None
    verdict: str
    code: int = 0
    is_fine: bool = False
    text: str = ""
    error: Exception | None = None
    within: Callable[[int], str] | None = None

    @property
    def label(self) -> str:
        """The directory and environment: `hotels (prod)`."""
        return visible(self.directory + (f" ({self.environment})" if self.environment is not None else ""))


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a report: 1 for any error, else 2 for any change, else 0."""
    return max(codes, key=_BADNESS.index, default=0)


def as_text(parts: Sequence[FleetPart], *, colour: bool, quiet: bool, width: int | None) -> str:
    """Return every part below its heading, then a table and a line; with `quiet` only the parts that need attention."""
    style = Style(colour)
    shown = [each for each in parts if not (quiet and each.is_fine)]
    room = width or LONGEST
    blocks = [
        f"{style.bold(f'== {each.label} ==')}\n\n{folded(_error_line(each, style), room) or each.text}".rstrip(
            "\n"
        )
        + "\n"
        for each in shown
    ]
    if shown:
        cells = [(each.label, visible(each.verdict)) for each in shown]
        blocks.append(table((Column("FLEET"), Column("RESULT", wraps=True)), cells, width) + "\n")
    return "\n".join([*blocks, folded(f"{summary(parts)}\n", room)])


def as_markdown(parts: Sequence[FleetPart], **_: object) -> str:
    """Return every part below its heading, then a table and a line, in the room of one comment.

    If that is too long, parts that need no attention are in the table alone, and the others share the room; if even
    that is too long, the result is a page.
    """
    from reconciler.report.markdown import BUDGET, PAGE, fair_share

    text = _markdown([(each, each.text) for each in parts], parts)
    open_ones = [each for each in parts if not each.is_fine]
    for budget in (BUDGET, PAGE) if len(text) > BUDGET else ():
        room = budget - len(_markdown([(each, "") for each in open_ones], parts))
        share = fair_share([len(each.text) for each in open_ones], room)
        texts = [
            each.text if len(each.text) <= share or each.within is None else each.within(share)
            for each in open_ones
        ]
        text = _markdown(list(zip(open_ones, texts, strict=True)), parts)
        if len(text) <= budget:
            break
    return text


def _markdown(shown: Iterable[tuple[FleetPart, str]], parts: Sequence[FleetPart]) -> str:
    blocks = [f"## {prose(each.label)}\n\n{_markdown_error(each) or text}" for each, text in shown]
    rows = [f"| {prose(each.label)} | {prose(each.verdict)} |" for each in parts]
    end = "\n".join(["| fleet | result |", "|---|---|", *rows])
    return "\n".join([*blocks, f"{end}\n", f"{summary(parts)}\n"])


def as_html(parts: Sequence[FleetPart], **_: object) -> str:
    """Return one page: every part below its heading, then a line."""
    from reconciler.report.html import joined, page, plain

    shown = [
        (each.label, each.text or page("", [f'<p class="danger"><b>error:</b> {plain(_message(each))}</p>']))
        for each in parts
    ]
    return joined(shown, [f"<p>{plain(summary(parts))}</p>"])


def as_json_list(parts: Sequence[FleetPart], **_: object) -> str:
    """Return a list with one document for each part."""
    documents = [each.text.rstrip("\n") or as_json(_error_tree(each)) for each in parts]
    return "[\n" + ",\n".join(documents) + "\n]\n"


def as_annotations(parts: Sequence[FleetPart], **_: object) -> str:
    """Return the annotations of all parts."""
    from reconciler.report.problem_formats import joined_annotations

    return joined_annotations(each.text for each in parts)


def as_junit(parts: Sequence[FleetPart], **_: object) -> str:
    """Return the suites of all parts; a part that could not be reported is an error."""
    from reconciler.report import junit

    return junit.joined(each.text or junit.broken(each.label, _message(each)) for each in parts)


def as_code_quality(parts: Sequence[FleetPart], **_: object) -> str:
    """Return the findings of all parts; those of several environments once."""
    found = {each["fingerprint"]: each for part in parts if part.text for each in json.loads(part.text)}
    return as_json(list(found.values())) + "\n"


def as_terraform(parts: Sequence[FleetPart], **_: object) -> str:
    """Return the sums of all parts."""
    counts = Counter({"create": 0, "update": 0, "delete": 0})
    for each in parts:
        counts.update(json.loads(each.text) if each.text else {})
    return as_json_line(dict(counts)) + "\n"


def as_sarif(parts: Sequence[FleetPart], **_: object) -> str:
    """Return one run with the results of all parts, because code scanning accepts one run of a tool."""
    documents: list[dict[str, Any]] = [json.loads(each.text) for each in parts if each.text]
    if not documents:
        return ""
    whole, runs = documents[0], [each["runs"][0] for each in documents]
    rules = {rule["id"]: rule for run in runs for rule in run["tool"]["driver"]["rules"]}
    places = {rule: place for place, rule in enumerate(sorted(rules))}
    found = {as_json_line(each): each for run in runs for each in run["results"]}
    results = [{**each, "ruleIndex": places[each["ruleId"]]} for each in found.values()]
    driver = {**runs[0]["tool"]["driver"], "rules": [rules[rule] for rule in places]}
    return as_json({**whole, "runs": [{**runs[0], "tool": {"driver": driver}, "results": results}]}) + "\n"


JOINS: Mapping[str, Callable[..., str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "html": as_html,
    "json": as_json_list,
    "github": as_annotations,
    "sarif": as_sarif,
    "junit": as_junit,
    "codequality": as_code_quality,
    "terraform": as_terraform,
}


def summary(parts: Sequence[FleetPart]) -> str:
    """Return `3 fleets and environments: 1 with an error, 2 in order.`, the worst first."""
    errors = sum(1 for each in parts if each.code == 1)
    changes = sum(1 for each in parts if not each.is_fine) - errors
    counts = (
        (errors, "with an error"),
        (changes, "with something to look at"),
        (len(parts) - errors - changes, "in order"),
    )
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    return (
        f"{len(parts):,} {'fleet or environment' if len(parts) == 1 else 'fleets and environments'}: {told}."
    )


def _message(part: FleetPart) -> str:
    """Return the error that prevented a part's report, in one line; empty if there was none."""
    if isinstance(part.error, ReconcilerError):
        return f"{part.error.message} [{part.error.rule}]"
    return part.verdict.removeprefix("error: ") if part.error is not None else ""


def _error_line(part: FleetPart, style: Style) -> str:
    message = _message(part)
    return f"{style.error('error:')} {visible(message)}\n" if message else ""


def _markdown_error(part: FleetPart) -> str:
    message = _message(part)
    return f"> [!CAUTION]\n> **Error:** {code(message)}\n" if message else ""


def _error_tree(part: FleetPart) -> dict[str, Any]:
    """Return the document of a part that could not be reported."""
    from reconciler.report.json_plan import FORMAT_VERSION, diagnostic_tree

    problem = part.error
    tree: dict[str, Any] = {
        "rule": problem.rule if isinstance(problem, ReconcilerError) else "system",
        "message": problem.message if isinstance(problem, ReconcilerError) else _message(part),
        "hint": problem.hint if isinstance(problem, ReconcilerError) else None,
    }
    if isinstance(problem, InvalidConfig):
        tree["diagnostics"] = [diagnostic_tree(each) for each in problem.diagnostics]
    return {
        "format_version": FORMAT_VERSION,
        "directory": part.directory,
        "environment": part.environment,
        "error": tree,
    }
