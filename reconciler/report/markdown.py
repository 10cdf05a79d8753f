"""The plan for a pull request's comment or a job's page: what matters first, within the room there is.

Whatever a plan holds, the result has at most `budget` characters, with every danger, refusal and count in it;
details go by risk until the room is used up, and the result says how many are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.report import sentences
from reconciler.report.escape import code, fenced, html, prose, visible
from reconciler.report.fieldlines import FieldLines, Shown
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows

# GitHub refuses comments beyond 65,536 characters; what a bot puts around ours needs room as well.
BUDGET = 60_000

# One change may use a quarter of the room, so that one long prompt does not push all others out.
_SHARE = 4
_LONGEST_LINE = 1_500
_LONGEST_NOTE = 600
_MOST_UNMANAGED = 20

# The order of the table and of the details, and what becomes of the conversation.
_KINDS = {
    Action.REPLACE: "ends",
    Action.LEAVE: "ends",
    Action.ROTATE: "ends",
    Action.HOLD: "goes on (not done)",
    Action.UPDATE: "goes on",
    Action.JOIN: "begins",
    Action.ADOPT: "goes on",
    Action.FORGET: "is over already",
    Action.RENEW: "goes on",
}
_RANK = {action: rank for rank, action in enumerate(_KINDS)}
# GitHub colours lines that begin with `!`, and knows nothing of `~`.
_DIFF_SIGNS = {"~": "!"}


def render_plan(plan: Plan, *, budget: int = BUDGET) -> str:
    """A plan as a comment of at most `budget` characters."""
    headline = f"Plan: {sentences.short_counts(plan)}" if plan.pending else sentences.no_changes(plan)
    notes = (
        sentences.running(plan.cost),
        sentences.interrupted(plan),
        sentences.new_secrets(plan),
        sentences.warnings(plan),
    )
    last = f"Fleet {code(str(plan.owner))}, digest {code(plan.digest[:12])}."
    shown = [*map(prose, filter(None, notes)), last]
    return render_changes(plan, change_rows(plan), title=("plan", headline), notes=shown, budget=budget)


def render_changes(
    plan: Plan,
    rows: Iterable[ChangeRow],
    *,
    title: tuple[str, str],
    notes: Sequence[str],
    budget: int = BUDGET,
) -> str:
    """The changes of a plan below a title (its kind and its headline) and before notes in Markdown.

    The hidden first line, made from the kind, lets a bot find its comment again.
    """
    kind, headline = title
    rows = sorted(rows, key=lambda row: (_RANK[row.action], row.address, row.agent_id))
    first = [f"<!-- reconciler {kind}: {plan.owner} -->", f"### {prose(headline)}"]
    last = [*_table(plan), *notes]
    room = budget - _size(first) - _size(last) - len(_omitted(len(rows)))
    risks = _risks(plan, room)
    details = _details(rows, room - _size(risks), budget // _SHARE)
    spare = room - _size(risks) - _size(details)
    return "\n\n".join([*first, *risks, *last, *details, *_unmanaged(plan, spare)]) + "\n"


def _size(parts: Sequence[str]) -> int:
    return sum(len(each) + 2 for each in parts)


# --- always there -------------------------------------------------------------------------------------------


def _risks(plan: Plan, room: int) -> list[str]:
    """Every danger and every refusal; shorter where there are so many that they would not fit."""
    dangers = [
        f"> [!CAUTION]\n> **{'Allowed' if each.allowed else 'DANGER'}:** {prose(sentences.danger(each))}"
        for each in plan.dangers
    ]
    refusals = [f"> [!WARNING]\n> **Refused:** {prose(_clipped(each.text))}" for each in plan.refusals]
    if _size(dangers) + _size(refusals) <= room:
        return [*dangers, *refusals]
    hosts = sorted({each.host for each in plan.dangers})
    brief = [f"DANGER: {len(plan.dangers):,} secrets would start to go to {len(hosts):,} other hosts:"]
    brief += [f"{each.reference} -> {each.host}" for each in plan.dangers]
    return [*refusals, _cut_block(list(map(visible, brief)), max(0, room - _size(refusals)))]


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_NOTE else f"{text[:_LONGEST_NOTE]} […]"


def _table(plan: Plan) -> Iterator[str]:
    counted = [(action, plan.count(action)) for action in _KINDS]
    rows = [f"| {action} | {count} | {_KINDS[action]} |" for action, count in counted if count]
    if rows:
        yield "\n".join(["| change | agents | the conversation |", "|---|--:|---|", *rows])


# --- as far as there is room --------------------------------------------------------------------------------


def _details(rows: Sequence[ChangeRow], room: int, share: int) -> list[str]:
    """One folded block a change, those that hang up first."""
    fields = FieldLines(Style(colour=False), two_sided=True)
    blocks: list[str] = []
    used = 0
    for number, row in enumerate(rows):
        block = _block(row, fields, share)
        if used + len(block) + 2 > room:
            return [*blocks, _omitted(len(rows) - number)]
        blocks.append(block)
        used += len(block) + 2
    return blocks


def _omitted(count: int) -> str:
    subject = "1 more change is" if count == 1 else f"{count:,} more changes are"
    return f"**{subject} not shown here: this comment is full.** `reconciler plan` shows all of them."


def _block(row: ChangeRow, fields: FieldLines, share: int) -> str:
    place = f"   {row.location.file}:{row.location.line}" if row.location else ""
    lines = [visible(f"# because {row.because.text}{place}")]
    if row.held is not None:
        lines.append(visible(f"# held because {row.held.text}"))
    if row.agent_id and not row.fields:
        lines.append(visible(f"# agent {row.agent_id} {row.agent_name}".rstrip()))
    lines += [_diff_line(shown) for field in row.fields for shown in fields.of(field, str(row.address))]
    if row.unchanged:
        lines.append(f"# {row.unchanged} unchanged")
    title = f"<code>{html(row.symbol)}</code> <b>{html(str(row.address))}</b> {html(row.headline)}"
    return _folded(title, _cut_block(lines, share, "diff"))


def _folded(title: str, content: str) -> str:
    """A block that opens at a click; `title` is HTML."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _diff_line(shown: Shown) -> str:
    sign = _DIFF_SIGNS.get(shown.sign, shown.sign)
    return f"{sign} {'    ' * shown.depth}{shown.text}".rstrip(" ")


def _cut_block(lines: Sequence[str], room: int, language: str = "") -> str:
    """Lines in a fence, as many as the room allows; says what is missing."""
    shown: list[str] = []
    used = 0
    for number, line in enumerate(lines):
        rest = len(line) - _LONGEST_LINE
        cut = f"{line[:_LONGEST_LINE]} […{rest:,} more characters]" if rest > 0 else line
        if used + len(cut) > room and number > 0:
            shown.append(f"# {len(lines) - number:,} more lines are not shown here")
            break
        shown.append(cut)
        used += len(cut) + 1
    return fenced(shown, language)


def _unmanaged(plan: Plan, room: int) -> Iterator[str]:
    """Foreign agents, last: they are never touched."""
    if not plan.unmanaged:
        return
    count = sentences.plural(len(plan.unmanaged), "unmanaged agent", "unmanaged agents")
    lines = [visible(sentences.foreign(each)) for each in plan.unmanaged[:_MOST_UNMANAGED]]
    if len(plan.unmanaged) > _MOST_UNMANAGED:
        lines.append(f"and {len(plan.unmanaged) - _MOST_UNMANAGED:,} more")
    block = _folded(f"{count} in these channels, never touched", fenced(lines))
    if len(block) + 2 <= room:
        yield block
