"""The plan for a pull request's comment or a job's page: what matters first, within the room there is.

Whatever a plan holds, the result has at most `budget` characters, with every danger, refusal and count in it. All
details are there in full while they fit; then they are cut by risk, and the result says at its top how much is
missing, because who reads half a prompt has approved the other half.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.report import sentences
from reconciler.report.escape import code, fenced, html, prose, visible
from reconciler.report.fieldlines import FieldLines, Shown
from reconciler.report.risks import in_room, not_named, size
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows

# GitHub refuses comments beyond 65,536 characters; what a bot puts around ours needs room as well.
BUDGET = 60_000

# Where not all details fit, one change may use a quarter of the room before the others have got theirs; half of
# that is left to each before a change finds no room at all.
_SHARE = 4
# Room for what is said at the top of a comment that is cut.
_NOTICES = 700
# What a line that is said to be cut needs for saying so.
_SAYING_SO = 160
_MOST_UNMANAGED = 20
_MOST_SECRETS = 20

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
        sentences.ignored(plan),
        sentences.interrupted(plan),
        sentences.new_secrets(plan, most=_MOST_SECRETS),
        sentences.warnings(plan),
    )
    last = f"Fleet {code(str(plan.owner))}, digest {code(plan.digest[:12])}."
    shown = [*map(_said, filter(None, notes)), last]
    above = [
        f"**{_said(each)}**"
        for each in (sentences.conversations(plan), sentences.default_quota(plan))
        if each
    ]
    return render_changes(
        plan, change_rows(plan), title=("plan", headline), above=above, notes=shown, budget=budget
    )


def render_changes(
    plan: Plan,
    rows: Iterable[ChangeRow],
    *,
    title: tuple[str, str],
    above: Sequence[str] = (),
    notes: Sequence[str],
    budget: int = BUDGET,
) -> str:
    """The changes of a plan in Markdown: a title (its kind and its headline), lines `above` the table, and notes.

    The hidden first line, made from the kind, lets a bot find its comment again.
    """
    kind, headline = title
    rows = sorted(rows, key=lambda row: (_RANK[row.action], row.address, row.agent_id))
    first = [f"<!-- reconciler {kind}: {plan.owner} -->", f"### {prose(headline)}"]
    last = [*above, *_table(plan), *notes]
    room = budget - size(first) - size(last)
    risks, hosts = in_room(plan, room - _NOTICES)
    if hosts:
        first.append(not_named(hosts))
    details = _details(rows, room - size(risks) - size(first[2:]), budget // _SHARE)
    if details.missing:
        first.append(details.missing)
    spare = room - size(risks) - size(first[2:]) - size(details.blocks)
    return "\n\n".join([*first, *risks, *last, *details.blocks, *_unmanaged(plan, spare)]) + "\n"


def _said(sentence: str) -> str:
    """One of our sentences, what it quotes as code; whatever else is in it stays prose."""
    parts = re.split(r"`([^`]+)`", sentence)
    return "".join(code(each) if index % 2 else prose(each) for index, each in enumerate(parts) if each)


# --- always there -------------------------------------------------------------------------------------------


def _table(plan: Plan) -> Iterator[str]:
    counted = [(action, plan.count(action)) for action in _KINDS]
    rows = [f"| {action} | {count} | {_KINDS[action]} |" for action, count in counted if count]
    if rows:
        yield "\n".join(["| change | agents | the conversation |", "|---|--:|---|", *rows])


# --- as far as there is room --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Details:
    """One folded block a change, and what to say at the top where not all is in them."""

    blocks: list[str]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """One change: a title in HTML, and the lines below it."""

    title: str
    lines: list[str]

    @property
    def whole(self) -> str:
        return _folded(self.title, fenced(self.lines, "diff"))


def _details(rows: Sequence[ChangeRow], room: int, share: int) -> _Details:
    """What changes, those that hang up first: in full where all of it fits, else as much as possible."""
    fields = FieldLines(Style(colour=False), two_sided=True)
    blocks: list[_Block] = []
    sizes: list[int] = []
    for row in rows:
        block = _block(row, fields)
        blocks.append(block)
        sizes.append(len(block.whole) + 2)
        if sum(min(each, share) for each in sizes) > room:
            break
    if len(blocks) == len(rows) and sum(sizes) <= room:
        return _Details([each.whole for each in blocks])
    room -= _NOTICES + len(_omitted(len(rows)))
    return _cut(blocks, len(rows), room, max(share // 2, _fair_share(sizes, room)))


def _fair_share(sizes: Sequence[int], room: int) -> int:
    """The most that each may use, where what the small ones leave goes to the large ones."""
    left = len(sizes)
    for each in sorted(sizes):
        if each * left > room:
            break
        room -= each
        left -= 1
    return max(0, room) // max(1, left)


def _cut(blocks: Sequence[_Block], count: int, room: int, share: int) -> _Details:
    """Of `count` changes those that fit, none longer than its share."""
    shown: list[str] = []
    cut = missing = 0
    for block in blocks:
        text, lost = block.whole, 0
        if len(text) + 2 > share:
            text, lost = _shorter(block, share)
        if len(text) + 2 > room:
            continue
        shown.append(text)
        room -= len(text) + 2
        cut += bool(lost)
        missing += lost
    omitted = count - len(shown)
    parts = [sentences.plural(omitted, "change", "changes")] if omitted else []
    if cut:
        characters = sentences.plural(missing, "character", "characters")
        other = " other" if omitted else ""
        parts.append(
            f"{characters} of {sentences.plural(cut, f'{other} change'.strip(), f'{other} changes'.strip())}"
        )
    notice = (
        f"> [!WARNING]\n> **This comment is cut. Not shown: {' and '.join(parts)}.** Read all of it before you "
        "approve: `reconciler plan` never cuts."
    )
    return _Details([*shown, _omitted(omitted)] if omitted else shown, notice)


def _shorter(block: _Block, share: int) -> tuple[str, int]:
    """A change within its share, and how many characters of it are missing."""
    whole = sum(map(len, block.lines))
    lines: list[str] = []
    room = share - len(_folded(block.title, fenced([], "diff"))) - _SAYING_SO
    for line in block.lines:
        if len(line) + 1 > room:
            break
        lines.append(line)
        room -= len(line) + 1
    lost = whole - sum(map(len, lines))
    rest = len(block.lines) - len(lines)
    if room > _SAYING_SO:  # a part of a long line is better than nothing of it
        lines.append(block.lines[-rest][:room])
        lost -= len(lines[-1])
    lines.append(f"# {sentences.plural(lost, 'more character', 'more characters')} not shown here")
    return _folded(block.title, fenced(lines, "diff")), lost


def _omitted(count: int) -> str:
    subject = "1 more change is" if count == 1 else f"{count:,} more changes are"
    return f"**{subject} not shown here: this comment is full.** `reconciler plan` shows all of them."


def _block(row: ChangeRow, fields: FieldLines) -> _Block:
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
    return _Block(title, lines)


def _folded(title: str, content: str) -> str:
    """A block that opens at a click; `title` is HTML."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _diff_line(shown: Shown) -> str:
    sign = _DIFF_SIGNS.get(shown.sign, shown.sign)
    return f"{sign} {'    ' * shown.depth}{shown.text}".rstrip(" ")


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
