"""The end of an apply: what was done, what was not and why, and how to go on. Always complete, no guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.plan.change import Action
from reconciler.report.escape import code, prose, visible
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.problems import render_error
from reconciler.report.progress import DONE, finished_tree, outcome
from reconciler.report.style import Style

# What needs a person comes first.
_OPEN = (Result.FAILED, Result.UNKNOWN, Result.HELD, Result.SKIPPED)
_WORDS = {
    Result.FAILED: "failed",
    Result.UNKNOWN: "of unknown outcome",
    Result.HELD: "held",
    Result.SKIPPED: "skipped",
}
_TITLES = {
    Result.FAILED: "Failed",
    Result.UNKNOWN: "Of unknown outcome (the next apply finds out)",
    Result.HELD: "Held",
    Result.SKIPPED: "Skipped",
}


def render(ledger: Ledger, *, colour: bool, resume: str) -> str:
    """The final summary. `resume` is the command that goes on where this run ended."""
    style = Style(colour)
    blocks = ["\n".join(_section(result, rows, style)) for result, rows in _groups(ledger)]
    if ledger.broken is not None:
        blocks.append(render_error(ledger.broken, colour=colour))
    if notices := _notices(ledger):
        blocks.append("\n".join(f"{style.warning('notice:')} {visible(each)}" for each in notices))
    done = _done(ledger)
    if done and not ledger.is_complete:
        blocks.append("\n".join([style.bold("Done"), *(f"  {style.good(each)}" for each in done)]))
    paint = style.good if ledger.is_complete else style.error
    last = paint(f"{_verdict(ledger)}:") + f" {tally(ledger)}."
    if not ledger.is_complete and resume:
        last += f"\nTo go on: {visible(resume)}"
    return "\n\n".join([*blocks, last]) + "\n"


def render_markdown(ledger: Ledger, *, resume: str) -> str:
    """The final summary for a job's page or a comment."""
    mark = "✅" if ledger.is_complete else "❌"
    lines = [f"### {mark} {_verdict(ledger)}: {tally(ledger)}", ""]
    for result, rows in _groups(ledger):
        lines += [f"**{_TITLES[result]}**", ""]
        lines += [f"- {code(str(row.address))}: {prose(outcome(row))}" for row in rows]
        lines.append("")
    if ledger.broken is not None:
        lines += [
            f"> [!WARNING]\n> {prose(ledger.broken.message)} {prose(ledger.broken.hint or '')}".rstrip(),
            "",
        ]
    lines += [f"> {prose(each)}\n" for each in _notices(ledger)]
    if done := _done(ledger):
        lines += [
            f"<details><summary>{len(done)} done</summary>",
            "",
            *(f"- {prose(each)}" for each in done),
            "",
        ]
        lines += ["</details>", ""]
    if not ledger.is_complete and resume:
        lines.append(f"To go on: {code(resume)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def tree(ledger: Ledger) -> dict[str, Any]:
    """The final summary as a plain tree."""
    broken = ledger.broken
    return {
        "format_version": FORMAT_VERSION,
        "type": "apply_finished",
        "complete": ledger.is_complete,
        "interrupted": ledger.interrupted,
        "error": None
        if broken is None
        else {"rule": broken.rule, "message": broken.message, "hint": broken.hint},
        "summary": {result.value: count for result, count in ledger.counts().items()},
        "changes": [finished_tree(each) for each in ledger.finished],
        "notices": list(ledger.notices),
    }


def tally(ledger: Ledger) -> str:
    """`2 joined, 1 updated; 1 failed`, in the order of the plan's summary."""
    done = Counter(row.action for row in ledger.finished if row.result is Result.DONE)
    good = [f"{done[action]} {DONE[action]}" for action in Action if done[action]]
    counts = ledger.counts()
    bad = [f"{counts[result]} {_WORDS[result]}" for result in _OPEN if counts[result]]
    return "; ".join(part for part in (", ".join(good), ", ".join(bad)) if part) or "nothing was done"


def _verdict(ledger: Ledger) -> str:
    if ledger.interrupted:
        return "Apply interrupted"
    return "Apply complete" if ledger.is_complete else "Apply incomplete"


def _groups(ledger: Ledger) -> Iterator[tuple[Result, list[Finished]]]:
    for result in _OPEN:
        rows = [each for each in ledger.finished if each.result is result]
        if rows:
            yield result, rows


def _notices(ledger: Ledger) -> list[str]:
    """The notices, without the one that repeats what broke the run."""
    broken = ledger.broken
    return [each for each in ledger.notices if broken is None or broken.message not in each]


def _section(result: Result, rows: list[Finished], style: Style) -> Iterator[str]:
    paint = style.error if result in (Result.FAILED, Result.UNKNOWN) else style.warning
    yield paint(_TITLES[result])
    for row in rows:
        yield f"  {style.bold(visible(str(row.address)))}: {outcome(row)}"


def _done(ledger: Ledger) -> list[str]:
    """What was done, as `joined: a, b, c` for each kind."""
    lines = []
    for action in Action:
        rows = [row for row in ledger.finished if row.result is Result.DONE and row.action is action]
        if rows:
            lines.append(f"{DONE[action]}: " + ", ".join(visible(str(row.address)) for row in rows))
    return lines
