"""The plan as people read it in a terminal: Terraform's format, and what matters for voice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reconciler.plan.build import Plan
from reconciler.plan.steps import steps_of
from reconciler.report import sentences
from reconciler.report.escape import visible
from reconciler.report.fieldlines import FieldLines, Shown
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows

# Columns: signs end at the third, fields start at the seventh, the lines of a text at the eleventh.
_SIGN = 3
_FIELD = 6
_TEXT = 4
_PLACE = 72


def render_plan(plan: Plan, *, colour: bool, explain: bool = False) -> str:
    """A whole plan; `explain` adds the steps of each change."""
    style = Style(colour)
    blocks = [
        *_front(plan, style),
        *change_blocks(change_rows(plan), style, explain=explain),
        *_end(plan, style),
    ]
    return "\n\n".join(blocks) + "\n"


def render_brief(plan: Plan, *, colour: bool) -> str:
    """A plan without its changes: what must be seen before everything else, what refuses it, and the last line."""
    bare = replace(plan, unmanaged=(), elsewhere=0, warnings=())
    return "\n\n".join([*_front(plan, Style(colour)), *_end(bare, Style(colour))]) + "\n"


def _front(plan: Plan, style: Style) -> Iterator[str]:
    """What must be seen before everything else."""
    if plan.dangers:
        yield danger_lines(plan, style)
    if plan.ended:
        yield style.warning(sentences.conversations(plan))
    if plan.cost.passes_default_quota:
        yield style.warning(sentences.default_quota(plan))
    if plan.interrupted:
        yield style.warning(sentences.interrupted(plan))
    if plan.ignored:
        yield style.warning(visible(sentences.ignored(plan)))
    if plan.new_secrets:
        yield style.warning(visible(sentences.new_secrets(plan)))


def _end(plan: Plan, style: Style) -> Iterator[str]:
    """What must be seen last, where people look first."""
    if plan.unmanaged or plan.elsewhere:
        yield unmanaged_lines(plan, style)
    if plan.warnings:
        yield style.dim(sentences.warnings(plan))
    if plan.refusals:
        yield refusal_lines(plan, style)
    if plan.pending:
        yield f"{style.bold('Plan:')} {sentences.counts(plan)}. {sentences.running(plan.cost)}"
    else:
        yield f"{style.good(sentences.no_changes(plan))} {sentences.running(plan.cost)}"


def danger_lines(plan: Plan, style: Style) -> str:
    """Every danger on a line of its own."""
    loud, allowed = style.error("DANGER:"), style.warning("danger:")
    rows = [(allowed if each.allowed else loud, sentences.danger(each)) for each in plan.dangers]
    return "\n".join(f"{word} {visible(text)}" for word, text in rows)


def refusal_lines(plan: Plan, style: Style) -> str:
    """Every limit that refuses the apply, with how to raise it."""
    rows = [
        f"{style.error('error:')} {visible(each.text)} [{visible(_rule(each.limit))}]"
        for each in plan.refusals
    ]
    return "\n".join([*rows, "    apply refuses this plan as a whole until then"])


def _rule(limit: str) -> str:
    return f"limit-{limit}".replace("_", "-")


def unmanaged_lines(plan: Plan, style: Style) -> str:
    """Foreign agents: seen, listed, never touched."""
    lines = [style.dim("Unmanaged agents (seen, never touched):")] if plan.unmanaged else []
    lines += [f"    {visible(sentences.foreign(row))}" for row in plan.unmanaged]
    if plan.elsewhere:
        also = "    and " if plan.unmanaged else "Unmanaged: "
        lines.append(style.dim(f"{also}{sentences.elsewhere(plan)}"))
    return "\n".join(lines)


def change_blocks(rows: Iterable[ChangeRow], style: Style, *, explain: bool = False) -> Iterator[str]:
    """Each change: what happens, why, where that is written, and what differs."""
    fields = FieldLines(style)
    for row in rows:
        steps = _steps(row, style) if explain else ()
        yield "\n".join((*_heading(row, style), *_body(row, style, fields), *steps))


def _heading(row: ChangeRow, style: Style) -> Iterator[str]:
    address = visible(str(row.address))
    yield f"  # {style.bold(address)} {_loud(row, style)}"
    because = f"  #   because {visible(row.because.text)}"
    place = visible(f"{row.location.file}:{row.location.line}") if row.location else ""
    yield f"{because.ljust(_PLACE)}  {style.dim(place)}" if place else because
    if row.held is not None:
        yield f"  #   {style.paint('held', 35)} because {visible(row.held.text)}"
    yield f"{' ' * (_SIGN - len(row.symbol))}{style.sign(row.symbol)} {address}"


def _loud(row: ChangeRow, style: Style) -> str:
    """The headline, red where somebody is hung up on."""
    before, bracket, after = row.headline.partition(" (")
    note = f"{bracket}{after}"
    return before + (style.error(note) if row.ends_conversation else style.dim(note))


def _body(row: ChangeRow, style: Style, fields: FieldLines) -> Iterator[str]:
    if row.agent_id and not row.fields:
        name = f" {visible(row.agent_name)}" if row.agent_name else ""
        yield f"{' ' * (_FIELD + 2)}{style.dim(f'agent {visible(row.agent_id)}{name}')}"
    for field in row.fields:
        yield from (_line(each, style) for each in fields.of(field, str(row.address)))
    if row.unchanged:
        yield f"{' ' * (_FIELD + 2)}{style.dim(f'({row.unchanged} unchanged)')}"


def _line(shown: Shown, style: Style) -> str:
    text = f"{' ' * (_FIELD + _TEXT * shown.depth)}{style.sign(shown.sign)} {shown.text}"
    return text.rstrip(" ")


def _steps(row: ChangeRow, style: Style) -> Iterator[str]:
    indent = " " * (_FIELD + 2)
    steps = steps_of(row.change)
    if not steps:
        yield f"{indent}{style.dim('no steps: it is not done')}"
    for number, step in enumerate(steps, 1):
        yield f"{indent}{style.dim(f'{number}. {visible(sentences.step_words(step))}')}"
