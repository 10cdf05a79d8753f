"""The plan for a pull request's comment or a job's page: what matters first, within the room there is.

Every address, danger, refusal and count is in it, however many there are. What does not fit into a comment of `budget`
characters gives way in this order: addresses are spelled as a shell's braces (`compact`), the texts of fields are cut, and
changes of one kind are one block. What is cut is counted at the top, because who reads half a prompt has
approved the other half. Ten thousand names without any order fit into no comment: they make it a page of a job, which
takes a megabyte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace

from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.report import sentences
from reconciler.report.addresses import WIDEST, every
from reconciler.report.alike import same
from reconciler.report.compact import RULE as BRACES
from reconciler.report.compact import braced, lines_of
from reconciler.report.ended import conversations
from reconciler.report.escape import code, fenced, html, prose, visible
from reconciler.report.fieldlines import (
    FieldLines,
    Shown,
    row_place,
    row_steps,
    row_subject,
    row_texts,
    row_unchanged,
)
from reconciler.report.markers import marker
from reconciler.report.risks import in_room, size
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows
from reconciler.values import dataclass

# GitHub refuses comments beyond 65,536 characters; what a bot puts around ours needs room as well.
BUDGET = 60_000

# What the page of a GitHub job takes, less what else stands there.
PAGE = 1_000_000
# Room for what is said at the top of a comment that is cut, and at the end of each change that is.
_NOTICES = 700
_SAYING_SO = 160
_LONGEST_SECRET = 100

# The order of the table and of the details, and what becomes of the conversation.
CONVERSATIONS = {
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
RANK = {action: rank for rank, action in enumerate(CONVERSATIONS)}
# GitHub colours lines that begin with `!`, and knows nothing of `~`.
_DIFF_SIGNS = {"~": "!"}


def render_plan(plan: Plan, *, budget: int = BUDGET, full: bool = False, explain: bool = False) -> str:
    """A plan as a comment of at most `budget` characters, or as a page.

    `full` shows each change by itself, `explain` adds the steps of each.
    """
    headline = f"Plan: {sentences.short_counts(plan)}" if plan.pending else sentences.no_changes(plan)

    def notes(form: _Form) -> list[str]:
        shown = (
            sentences.running(plan.cost),
            sentences.ignored(plan, lambda addresses: form.separator.join(form.words(addresses))),
            sentences.interrupted(plan),
            sentences.new_secrets(plan, _LONGEST_SECRET),
            sentences.warnings(plan),
            sentences.approval(plan),
        )
        last = f"Fleet {code(str(plan.owner))}, digest {code(plan.digest[:12])}."
        return [*map(_said, filter(None, shown)), last]

    rows = change_rows(plan, full=full)
    title = ("plan", headline)
    return render_changes(plan, rows, title=title, notes=notes, budget=budget, explain=explain)


@dataclass(frozen=True, slots=True)
class _Form:
    """How addresses are spelled, as words with a separator; `by_kind` makes one list of all that one thing happens to."""

    words: Callable[[Sequence[Address]], Iterable[str]]
    separator: str
    by_kind: bool = False

    @property
    def is_plain(self) -> bool:
        return self.words is _plain

    def lines(self, addresses: Sequence[Address]) -> list[str]:
        return every(addresses) if self.is_plain else lines_of(self.words(addresses), WIDEST)


def _plain(addresses: Sequence[Address]) -> Iterable[str]:
    return map(str, addresses)


# Each shorter than the one before: a document has the first that fits.
_FORMS = (_Form(_plain, ", "), _Form(braced, " "), _Form(braced, " ", by_kind=True))


def render_changes(
    plan: Plan,
    rows: Iterable[ChangeRow],
    *,
    title: tuple[str, str],
    notes: Callable[[_Form], Sequence[str]],
    budget: int = BUDGET,
    explain: bool = False,
) -> str:
    """The changes of a plan in Markdown: a title (its kind and its headline), what they end, a table, and notes.

    The hidden first line, made from the kind, lets a bot find its comment again. What no form brings into the budget of
    a comment is a page, or, where the budget is a share of one, the shortest that there is.
    """
    rows = sorted(rows, key=lambda row: (RANK[row.action], row.address, row.agent_id))
    fields = FieldLines(Style(colour=False), two_sided=True)
    blocks = [_block(row, fields, explain) for row in rows]
    text = ""
    for room in (budget, PAGE) if budget >= BUDGET else (budget,):
        for form in _FORMS:
            text = _document(plan, blocks, title, notes(form), form, room)
            if text and len(text) <= room:
                return text
    return text


def _document(
    plan: Plan,
    blocks: Sequence[_Block],
    title: tuple[str, str],
    notes: Sequence[str],
    form: _Form,
    budget: int,
) -> str:
    """The document in a form; empty where its addresses leave no room for what happens to them, and another form may."""
    if form.is_plain and sum(len(at.channel) + len(at.name) for each in blocks for at in each.named) > budget:
        return ""  # seen before they are put in order
    kind, headline = title
    first = [marker(kind, plan.owner), f"### {prose(headline)}"]
    told = (conversations(plan), sentences.offline(plan), sentences.default_quota(plan))
    signs = sentences.legend(each.row.symbol for each in blocks)
    legend = ["Signs: " + " · ".join(f"{code(sign)} {word}" for sign, word in signs)] if signs else []
    above = [*(f"**{_said(each)}**" for each in told if each), *_table(plan), *notes, *legend]
    room = budget if form.is_plain else budget // 8
    below = [*([] if form.is_plain else [_said(BRACES)]), *_unmanaged(plan, room)]
    shown = [each.spelled(form) for each in (_by_kind(blocks) if form.by_kind else blocks)]
    needed = size([*first, *above, *below, *(each.least for each in shown)])
    if form.is_plain and needed > budget // 2 and needed + sum(each.size for each in shown) > budget:
        return ""
    risks = in_room(plan, min(BUDGET, budget - needed - _NOTICES))
    details = _details(shown, budget - needed - size(risks))
    parts = [*first, *([details.missing] if details.missing else []), *risks, *above, *details.blocks, *below]
    return "\n\n".join(parts) + "\n"


def _said(sentence: str) -> str:
    """One of our sentences, what it quotes as code; whatever else is in it stays prose."""
    parts = re.split(r"`([^`]+)`", sentence)
    return "".join(code(each) if index % 2 else prose(each) for index, each in enumerate(parts) if each)


# --- always there -------------------------------------------------------------------------------------------


def _table(plan: Plan) -> Iterator[str]:
    counted = [(action, plan.count(action)) for action in CONVERSATIONS]
    rows = [f"| {action} | {count} | {CONVERSATIONS[action]} |" for action, count in counted if count]
    if rows:
        yield "\n".join(["| change | agents | the conversation |", "|---|--:|---|", *rows])


# --- as far as there is room --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Details:
    """One folded block a row, and what to say at the top where not all is in them."""

    blocks: list[str]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """One row: a title in HTML, why, the lines of its fields, and the addresses where there are several.

    It is open where it hangs up on several: nobody has to unfold who that is.
    """

    row: ChangeRow
    named: tuple[Address, ...]
    title: str
    why: list[str]
    lines: list[str]
    is_open: bool
    addresses: list[str] = field(default_factory=list)

    def spelled(self, form: _Form) -> _Block:
        """The block with its addresses in a form."""
        return replace(self, addresses=form.lines(self.named)) if len(self.named) > 1 else self

    @property
    def size(self) -> int:
        """How much room its lines take."""
        return sum(len(line) + 1 for line in self.lines)

    @property
    def least(self) -> str:
        """What is there in any case."""
        return self.with_lines([])

    def with_lines(self, lines: list[str]) -> str:
        """The block with some of its lines."""
        named = f"\n\n{fenced(self.addresses)}" if self.addresses else ""
        return folded_block(self.title, f"{fenced([*self.why, *lines], 'diff')}{named}", is_open=self.is_open)


def _details(blocks: Sequence[_Block], room: int) -> _Details:
    """Every row, in full where all of it fits, else each within the same share of the room that there is for fields."""
    sizes = [each.size for each in blocks]
    if sum(sizes) <= room:
        return _Details([each.with_lines(each.lines) for each in blocks])
    share = fair_share(sizes, room - _NOTICES)
    cut = [_cut(each.lines, share) for each in blocks]
    lost = [missing for _, missing in cut if missing]
    missing = f"{sentences.plural(sum(lost), 'character', 'characters')} of {sentences.plural(len(lost), 'change', 'changes')}"
    notice = (
        f"> [!WARNING]\n> **This comment is cut. Not shown: {missing}.** Read all of it before you approve: "
        "`reconciler plan` never cuts."
    )
    return _Details([each.with_lines(lines) for each, (lines, _) in zip(blocks, cut, strict=True)], notice)


def _by_kind(blocks: Sequence[_Block]) -> list[_Block]:
    """The blocks of each action as one that names whom it is about."""
    found = same(blocks, lambda each: (each.row.action, each.row.symbol))
    return [_together(alike) if len(alike) > 1 else alike[0] for alike in found]


def _together(blocks: Sequence[_Block]) -> _Block:
    """Several changes as one: all their addresses, and below a line each, as far as there is room, why and what differs."""
    row = blocks[0].row
    named = tuple(address for each in blocks for address in each.named)
    what = f"{row.action}: the conversation {CONVERSATIONS[row.action]}"
    title = f"<code>{html(row.symbol)}</code> <b>{len(named):,} agents</b> {html(what)}"
    lines = [line for each in blocks for line in (f"# {row_subject(each.row)}:", *each.why, *each.lines)]
    why = [f"# {len(blocks):,} different changes"]
    return _Block(row, named, title, why, lines, any(each.is_open for each in blocks))


def fair_share(sizes: Sequence[int], room: int) -> int:
    """The most that each may use, where what the small ones leave goes to the large ones."""
    left = len(sizes)
    for each in sorted(sizes):
        if each * left > room:
            break
        room -= each
        left -= 1
    return max(0, room) // max(1, left)


def _cut(whole: list[str], share: int) -> tuple[list[str], int]:
    """Lines within their share, and how many characters are missing."""
    if sum(len(line) + 1 for line in whole) <= share:
        return whole, 0
    lines: list[str] = []
    room = share - _SAYING_SO
    for line in whole:
        if len(line) + 1 > room:
            break
        lines.append(line)
        room -= len(line) + 1
    if room > _SAYING_SO:  # a part of a long line is better than nothing of it
        lines.append(whole[len(lines)][:room])
    lost = sum(map(len, whole)) - sum(map(len, lines))
    more = sentences.plural(lost, "more character", "more characters")
    return ([*lines, f"# {more} not shown here"] if share > _SAYING_SO else lines), lost


def _block(row: ChangeRow, fields: FieldLines, explain: bool) -> _Block:
    place = row_place(row)
    why = [f"# because {text}" for text in row_texts(row.reasons)]
    why[0] += visible(f"   {place}") if place else ""
    why += [f"# held because {text}" for text in row_texts(row.holds)]
    if row.agent_id and not row.fields:
        why.append(visible(f"# agent {row.agent_id} {row.agent_name}".rstrip()))
    lines = [_diff_line(shown) for field in row.fields for shown in fields.of(field, str(row.address))]
    if unchanged := row_unchanged(row):
        lines.append(f"# {unchanged}")
    lines += [f"# {step}" for step in row_steps(row)] if explain else []
    title = f"<code>{html(row.symbol)}</code> <b>{html(row_subject(row))}</b> {html(row.headline)}"
    is_open = len(row.addresses) > 1 and row.ends_conversation
    return _Block(row, row.addresses, title, why, lines, is_open)


def folded_block(title: str, content: str, *, is_open: bool = False) -> str:
    """A block that opens at a click; `title` is HTML."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{content}\n\n</details>"


def _diff_line(shown: Shown) -> str:
    sign = _DIFF_SIGNS.get(shown.sign, shown.sign)
    return f"{sign} {'    ' * shown.depth}{shown.text}".rstrip(" ")


def _unmanaged(plan: Plan, room: int) -> Iterator[str]:
    """Foreign agents, last: they are never touched. Where they take more room, `status` has to show them."""
    if plan.unmanaged:
        count = sentences.plural(len(plan.unmanaged), "unmanaged agent", "unmanaged agents")
        lines = [visible(sentences.foreign(each)) for each in plan.unmanaged]
        block = folded_block(f"{count} in these channels, never touched", fenced(lines))
        yield (
            block if len(block) <= room else f"{count} in these channels, never touched: `reconciler status`."
        )
