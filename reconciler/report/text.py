"""The plan for people at a terminal: Terraform's format, with what matters for voice agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reconciler.plan.build import Plan
from reconciler.report import sentences
from reconciler.report.actions import legend
from reconciler.report.addresses import WIDEST, shortened
from reconciler.report.escape import visible
from reconciler.report.fieldlines import FieldLines, Shown, row_steps, row_texts
from reconciler.report.folding import folded, in_lines
from reconciler.report.formats import RenderOptions
from reconciler.report.packing import packed
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows

# Columns: signs end at the third, fields start at the seventh, the lines of a text at the eleventh.
_SIGN = 3
_FIELD = 6
_TEXT = 4
_PLACE = 72
_NARROW = 72


def render_plan(plan: Plan, options: RenderOptions = RenderOptions()) -> str:
    """Return a whole plan; `quiet` leaves the most important lines, the refusals, and the last line."""
    style, width = Style(options.colour), options.columns
    if options.quiet:
        bare = replace(plan, unmanaged=(), elsewhere=0, warnings=())
        return folded("\n\n".join([*front(plan, style), *_end(bare, style)]) + "\n", width)
    rows = change_rows(plan, full=options.full)
    blocks = [
        *front(plan, style),
        *_signs(rows, style),
        *change_blocks(rows, style, width, explain=options.explain),
        *_end(plan, style),
    ]
    return folded("\n\n".join(blocks) + "\n", width)


def front(plan: Plan, style: Style) -> Iterator[str]:
    """Yield what must be seen before everything else."""
    if plan.dangers:
        yield danger_lines(plan, style)
    told = (
        *sentences.warned(plan),
        sentences.interrupted(plan),
        sentences.ignored(plan, lambda addresses: " ".join(shortened(addresses))),
        sentences.new_secrets(plan),
    )
    yield from (style.warning(visible(each)) for each in told if each)


def _signs(rows: Sequence[ChangeRow], style: Style) -> Iterator[str]:
    """Yield the meaning of the signs that occur, in lines for any terminal."""
    signs = legend(row.symbol for row in rows)
    if lines := in_lines((f"{sign} {word}" for sign, word in signs), _NARROW - 1, "   "):
        yield style.dim("Signs:  " + "\n        ".join(lines))


def _end(plan: Plan, style: Style) -> Iterator[str]:
    """Yield what comes last, because people look at the end first."""
    if plan.unmanaged or plan.elsewhere:
        yield unmanaged_lines(plan, style)
    if plan.warnings:
        yield style.dim(visible(sentences.warnings(plan)))
    if plan.refusals:
        yield refusal_lines(plan, style)
    if said := sentences.approval(plan):
        yield style.dim(visible(said.replace("`", "")))
    if plan.pending:
        yield f"{style.bold('Plan:')} {sentences.counts(plan)}. {sentences.running(plan.cost)}"
    else:
        yield f"{style.good(sentences.no_changes(plan))} {sentences.running(plan.cost)}"


def danger_lines(plan: Plan, style: Style) -> str:
    """Return every danger on a line of its own."""
    loud, allowed = style.error("DANGER:"), style.warning("danger:")
    rows = [(allowed if each.allowed else loud, sentences.danger(each)) for each in plan.dangers]
    return "\n".join(f"{word} {visible(text)}" for word, text in rows)


def refusal_lines(plan: Plan, style: Style) -> str:
    """Return every limit that refuses the apply, with how to raise it."""
    rows = [
        f"{style.error('error:')} {visible(each.text)} [{visible(sentences.refusal_rule(each.limit))}]"
        for each in plan.refusals
    ]
    return "\n".join([*rows, "    apply refuses this plan as a whole until then"])


def unmanaged_lines(plan: Plan, style: Style) -> str:
    """Return the foreign agents, which are listed and never touched."""
    lines = [style.dim("Unmanaged agents (seen, never touched):")] if plan.unmanaged else []
    lines += [f"    {visible(sentences.foreign(row))}" for row in plan.unmanaged]
    if plan.elsewhere:
        also = "    and " if plan.unmanaged else "Unmanaged: "
        lines.append(style.dim(f"{also}{sentences.elsewhere(plan)}"))
    return "\n".join(lines)


def change_blocks(
    rows: Iterable[ChangeRow], style: Style, width: int, *, explain: bool = False
) -> Iterator[str]:
    """Yield a block for each row: the change, its agents, the reason and place, and the fields that differ."""
    fields = FieldLines(style)
    for row in rows:
        steps = [f"{' ' * (_FIELD + 2)}{style.dim(each)}" for each in row_steps(row)] if explain else []
        yield "\n".join((*_heading(row, style, width), *_body(row, style, fields, width), *steps))


def _heading(row: ChangeRow, style: Style, width: int) -> Iterator[str]:
    yield f"  # {style.bold(row.subject)} {_loud(row, style)}"
    place = visible(row.place)
    for number, text in enumerate(row_texts(row.reasons)):
        because = f"  #   because {text}"
        if place and not number and max(len(because), _PLACE) + len(place) + 2 <= width:
            because = f"{because.ljust(_PLACE)}  {style.dim(place)}"
            place = ""
        yield because
    if place:
        yield f"  #   {style.dim(f'at {place}')}"
    for text in row_texts(row.holds):
        yield f"  #   {style.paint('held', 35)} because {text}"
    sign = f"{' ' * (_SIGN - len(row.symbol))}{style.sign(row.symbol)} "
    lines = shortened(row.addresses, min(WIDEST, width - _SIGN - 1))
    yield from (f"{' ' * (_SIGN + 1) if number else sign}{line}" for number, line in enumerate(lines))


def _loud(row: ChangeRow, style: Style) -> str:
    """Return the headline, with its note in red if a conversation ends."""
    before, bracket, after = row.headline.partition(" (")
    note = f"{bracket}{after}"
    return before + (style.error(note) if row.ends_conversation else style.dim(note))


def _body(row: ChangeRow, style: Style, fields: FieldLines, width: int) -> Iterator[str]:
    if row.agent:
        yield f"{' ' * (_FIELD + 2)}{style.dim(f'agent {row.agent}')}"
    shown = [(field, list(fields.of(field, str(row.address)))) for field in row.fields]
    lines = packed(shown, width) if len(row.addresses) > 1 else [line for _, each in shown for line in each]
    yield from (_line(each, style) for each in lines)
    if row.unchanged:
        yield f"{' ' * (_FIELD + 2)}{style.dim(f'({row.unchanged})')}"


def _line(shown: Shown, style: Style) -> str:
    text = f"{' ' * (_FIELD + _TEXT * shown.depth)}{style.sign(shown.sign)} {shown.text}"
    return text.rstrip(" ")
