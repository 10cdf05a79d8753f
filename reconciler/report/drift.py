"""Drift as text, Markdown and a tree: the changes of a plan that undo what was changed outside the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from reconciler.diagnostics import plural
from reconciler.plan.change import Action, Because, act_of, order_of
from reconciler.report import json_plan, markdown, sentences
from reconciler.report.documents import as_json
from reconciler.report.escape import code
from reconciler.report.folding import folded
from reconciler.report.formats import RenderOptions
from reconciler.report.style import Style
from reconciler.report.text import change_blocks, front, unmanaged_lines
from reconciler.report.view import ChangeRow, change_rows
from reconciler.workflow import Drift


def render_text(drift: Drift, options: RenderOptions = RenderOptions()) -> str:
    """Return drift for a terminal or a cron mail; `quiet` leaves one line, with how many addresses differ for each reason."""
    style, width = Style(options.colour), options.columns
    plan = drift.plan
    if options.quiet:
        kinds = "; ".join(f"{happened} ({count:,})" for _, happened, count in classes(drift))
        last = _last_line(drift, style) + (f" What has happened: {kinds}." if kinds else "")
        return folded(last + "\n", width)
    blocks = [*front(plan, style), *change_blocks(drift_rows(drift, options.full), style, width)]
    if plan.unmanaged or plan.elsewhere:
        blocks.append(unmanaged_lines(plan, style))
    return folded("\n\n".join([*blocks, _last_line(drift, style)]) + "\n", width)


def _last_line(drift: Drift, style: Style) -> str:
    paint = style.warning if drift.plan.pending else style.good
    return " ".join(filter(None, (paint(headline(drift)), besides(drift))))


def render_markdown(drift: Drift, options: RenderOptions = RenderOptions()) -> str:
    """Return drift for an issue, a comment or a job's page."""
    return markdown.changes_document(
        drift.plan,
        drift_rows(drift, options.full),
        ("drift", headline(drift)),
        notes=lambda _: [*_class_table(drift), *filter(None, [besides(drift)])],
        options=options,
    )


# What has happened, by the reason of the change that would undo it; the keys are the words of the JSON.
_HAPPENED: Mapping[Because, str] = {
    Because.NEW: "declared, and never joined",
    Because.STOPPED_OUTSIDE: "stopped, and not by this tool",
    Because.VANISHED: "gone, and the service does not say why",
    Because.EXPIRED: "ended at the age limit",
    Because.EXPIRING: "ends before the next run",
    Because.IDLE: "ended because nobody was there",
    Because.ENDED: "ended by the service",
    Because.FAILED: "failed",
    Because.UNFINISHED: "left in the middle by a run of this tool",
    Because.DUPLICATE: "a second agent at one address",
    Because.STATE_LOST: "runs, and the state does not know it",
    Because.OTHER_REVISION: "runs, and was started as something else",
    Because.REMOVED: "runs, and is recorded nowhere",
    Because.ALREADY_GONE: "gone, and not wanted any more",
    Because.FIELDS: "not as it was applied",
}


def classes(drift: Drift) -> list[tuple[str, str, int]]:
    """Return how many addresses drifted for each reason: its word, what has happened, the count; largest first."""
    found = Counter(act_of(each).reason.because for each in drift.plan.pending)
    return [
        (because.value, _HAPPENED.get(because, because.value.replace("_", " ")), count)
        for because, count in sorted(found.items(), key=lambda each: (-each[1], each[0]))
    ]


def _class_table(drift: Drift) -> list[str]:
    rows = [f"| {code(word)} | {happened} | {count:,} |" for word, happened, count in classes(drift)]
    return (
        ["\n".join(["| difference | what has happened | agents |", "|---|---|--:|", *rows])] if rows else []
    )


def render_json(drift: Drift, options: RenderOptions = RenderOptions()) -> Iterator[str]:
    """Return drift as JSON in pieces, change by change; the changes are under Terraform's key `resource_drift`."""
    plan = drift.plan
    document = {
        "format_version": json_plan.FORMAT_VERSION,
        "fleet": plan.owner.fleet,
        "environment": plan.owner.environment,
        "drifted": bool(plan.pending),
        "summary": {action.value: plan.count(action) for action in Action if action is not Action.NONE},
        "resource_drift": [],
        "file_changes": drift.file_changes,
        "unmanaged": [json_plan.unmanaged_tree(each) for each in plan.unmanaged],
        "unmanaged_elsewhere": plan.elsewhere,
    }
    changes = sorted(plan.changes, key=order_of)
    texts = (as_json(json_plan.change_tree(plan, each)).replace("\n", "\n    ") for each in changes)
    return json_plan.with_changes(as_json(document), "resource_drift", texts, len(changes))


def drift_rows(drift: Drift, full: bool) -> tuple[ChangeRow, ...]:
    """Return the changes, without the fields of agents that would join again: these are as they were applied."""
    return change_rows(drift.plan, full=full, bare=frozenset({Action.JOIN}))


def headline(drift: Drift) -> str:
    """Return the sentence that says whether there is drift, and how much."""
    plan = drift.plan
    addresses = len({each.address for each in plan.pending})
    if not addresses:
        return "No drift."
    ending = {each.address for each in plan.pending if act_of(each).reason.because is Because.EXPIRING}
    subject = plural(addresses, "address is", "addresses are")
    what = "not as last applied, or about to end" if ending else "not as last applied"
    if len(ending) == addresses:
        what = "about to end"
    apply = "an apply with the same --horizon" if ending else "an apply"
    return f"Drift: {subject} {what}; {apply} would {sentences.would(plan)}."


def besides(drift: Drift) -> str:
    """Return the sentence that counts the changes of the files, which are no drift; empty if there are none."""
    count = drift.file_changes
    if not count:
        return ""
    return plural(count, "change in the files is", "changes in the files are") + " not drift; see plan."
