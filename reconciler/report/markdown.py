"""The plan for a pull request's comment or a job's page: the most important parts first, within the room there is.

Every address, danger, refusal and count is in it, however many there are. If not everything fits into `budget`
characters, it is shortened in this order: addresses become shell braces (`addresses`), the texts of fields are cut, and
changes of one kind become one block. What was cut is counted at the top, because a reader of half a prompt would
approve the other half unseen. Ten thousand names without any order do not fit into a comment: then the result is a page
of a job, which may have a megabyte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace

from reconciler.diagnostics import plural
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.report import sentences
from reconciler.report.actions import RANK, WORDS, counted, legend
from reconciler.report.addresses import BRACES, WIDEST, braced, every
from reconciler.report.alike import grouped_by
from reconciler.report.escape import code, fenced, html, prose, visible
from reconciler.report.fieldlines import FieldLines, Shown, row_steps, row_texts
from reconciler.report.folding import folded, in_lines
from reconciler.report.formats import RenderOptions
from reconciler.report.markers import marker
from reconciler.report.risks import in_room, size
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows
from reconciler.values import dataclass

# GitHub refuses comments beyond 65,536 characters; text that a bot adds around ours needs room as well.
BUDGET = 60_000

# The limit of a GitHub job's page, less room for other texts there.
PAGE = 1_000_000
# Room for the notice at the top of a comment that was cut, and at the end of each change that was cut.
_NOTICES = 700
_SAYING_SO = 160
_LONGEST_SECRET = 100
# A line of a block does not wrap on a page: a longer reason is continued on the next line.
_LONGEST_REASON = 120

# GitHub colours diff lines that begin with `!`, but not with `~`.
_DIFF_SIGNS = {"~": "!"}


def render_plan(plan: Plan, options: RenderOptions = RenderOptions()) -> str:
    """Return a plan as a comment of at most `budget` characters, or as a page."""
    headline = f"Plan: {sentences.short_counts(plan)}" if plan.pending else sentences.no_changes(plan)

    def notes(form: _Form) -> list[str]:
        shown = sentences.notes(
            plan, lambda addresses: form.separator.join(form.words(addresses)), _LONGEST_SECRET
        )
        return [
            *map(_said, filter(None, shown)),
            f"Fleet {code(str(plan.owner))}, digest {code(plan.digest[:12])}.",
        ]

    return changes_document(
        plan, change_rows(plan, full=options.full), ("plan", headline), notes=notes, options=options
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of addresses: words with a separator; `by_kind` makes one list of all addresses with the same change."""

    words: Callable[[Sequence[Address]], Iterable[str]]
    separator: str
    by_kind: bool = False

    @property
    def is_plain(self) -> bool:
        return self.words is _plain

    def lines(self, addresses: Sequence[Address]) -> list[str]:
        return every(addresses) if self.is_plain else in_lines(self.words(addresses), WIDEST, " ")


def _plain(addresses: Sequence[Address]) -> Iterable[str]:
    return map(str, addresses)


# Each is shorter than the one before; a document uses the first that fits.
_FORMS = (_Form(_plain, ", "), _Form(braced, " "), _Form(braced, " ", by_kind=True))


def changes_document(
    plan: Plan,
    rows: Iterable[ChangeRow],
    title: tuple[str, str],
    *,
    notes: Callable[[_Form], Sequence[str]],
    options: RenderOptions,
) -> str:
    """Return the changes of a plan in Markdown: a title (kind and headline), ended conversations, a table, and notes.

    A bot finds its comment by the hidden first line, which is made from the kind. If no form fits into the budget of a
    comment, the result is a page; if the budget is a share of a comment, it is the shortest form.
    """
    rows = sorted(rows, key=lambda row: (RANK[row.action], row.address, row.agent_id))
    fields = FieldLines(Style(colour=False), two_sided=True)
    blocks = [_block(row, fields, options.explain) for row in rows]
    text, budget = "", options.budget or BUDGET
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
    """Return the document in a form; empty if its addresses leave no room for their changes and another form may."""
    if form.is_plain and sum(len(at.channel) + len(at.name) for each in blocks for at in each.named) > budget:
        return ""  # checked before the costly sort
    kind, headline = title
    first = [marker(kind, plan.owner), f"### {prose(headline)}"]
    signs = legend(each.row.symbol for each in blocks)
    meant = ["Signs: " + " · ".join(f"{code(sign)} {word}" for sign, word in signs)] if signs else []
    above = [
        *(f"**{_said(each)}**" for each in sentences.warned(plan) if each),
        *_table(plan),
        *notes,
        *meant,
    ]
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
    """Return one of our sentences with its quoted parts as code, and everything else as prose."""
    parts = re.split(r"`([^`]+)`", sentence)
    return "".join(code(each) if index % 2 else prose(each) for index, each in enumerate(parts) if each)


# --- always there -------------------------------------------------------------------------------------------


def _table(plan: Plan) -> Iterator[str]:
    rows = [f"| {action} | {count:,} | {becomes} |" for action, count, becomes in counted(plan)]
    if rows:
        yield "\n".join(["| change | agents | the conversation |", "|---|--:|---|", *rows])


# --- as far as there is room --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Details:
    """One folded block for each row, and the notice for the top if text was cut."""

    blocks: list[str]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """One row: a title in HTML, its reasons, the lines of its fields, and its addresses if there are several.

    It is open if it ends several conversations, so that these addresses are seen without unfolding.
    """

    row: ChangeRow
    named: tuple[Address, ...]
    title: str
    why: list[str]
    lines: list[str]
    is_open: bool
    addresses: list[str] = field(default_factory=list)

    def spelled(self, form: _Form) -> _Block:
        """Return the block with its addresses in a form."""
        return replace(self, addresses=form.lines(self.named)) if len(self.named) > 1 else self

    @property
    def size(self) -> int:
        """The number of characters of its lines."""
        return sum(len(line) + 1 for line in self.lines)

    @property
    def least(self) -> str:
        """The block without its lines, which is always shown."""
        return self.with_lines([])

    def with_lines(self, lines: list[str]) -> str:
        """Return the block with some of its lines."""
        named = f"\n\n{fenced(self.addresses)}" if self.addresses else ""
        return folded_block(self.title, f"{fenced([*self.why, *lines], 'diff')}{named}", is_open=self.is_open)


def _details(blocks: Sequence[_Block], room: int) -> _Details:
    """Return every row, complete if everything fits, else each within its share of the room."""
    sizes = [each.size for each in blocks]
    if sum(sizes) <= room:
        return _Details([each.with_lines(each.lines) for each in blocks])
    share = fair_share(sizes, room - _NOTICES)
    cut = [_cut(each.lines, share) for each in blocks]
    lost = [missing for _, missing in cut if missing]
    missing = f"{plural(sum(lost), 'character', 'characters')} of {plural(len(lost), 'change', 'changes')}"
    notice = (
        f"> [!WARNING]\n> **This comment is cut. Not shown: {missing}.** Read all of it before you approve: "
        "`reconciler plan` never cuts."
    )
    return _Details([each.with_lines(lines) for each, (lines, _) in zip(blocks, cut, strict=True)], notice)


def _by_kind(blocks: Sequence[_Block]) -> list[_Block]:
    """Return the blocks of each action as one block that names all their addresses."""
    found = grouped_by(blocks, lambda each: (each.row.action, each.row.symbol))
    return [_together(alike) if len(alike) > 1 else alike[0] for alike in found]


def _together(blocks: Sequence[_Block]) -> _Block:
    """Return several changes as one block: all addresses, then as much of the reasons and fields as fits."""
    row = blocks[0].row
    named = tuple(address for each in blocks for address in each.named)
    what = f"{row.action}: the conversation {WORDS[row.action].conversation}"
    title = f"<code>{html(row.symbol)}</code> <b>{len(named):,} agents</b> {html(what)}"
    lines = [line for each in blocks for line in (f"# {each.row.subject}:", *each.why, *each.lines)]
    why = [f"# {len(blocks):,} different changes"]
    return _Block(row, named, title, why, lines, any(each.is_open for each in blocks))


def fair_share(sizes: Sequence[int], room: int) -> int:
    """Return the most that each may use, if room that small ones leave is given to the large ones."""
    left = len(sizes)
    for each in sorted(sizes):
        if each * left > room:
            break
        room -= each
        left -= 1
    return max(0, room) // max(1, left)


def _cut(whole: list[str], share: int) -> tuple[list[str], int]:
    """Return lines within their share, and how many characters are missing."""
    if sum(len(line) + 1 for line in whole) <= share:
        return whole, 0
    lines: list[str] = []
    room = share - _SAYING_SO
    for line in whole:
        if len(line) + 1 > room:
            break
        lines.append(line)
        room -= len(line) + 1
    if room > _SAYING_SO:  # show a part of a long line rather than nothing
        lines.append(whole[len(lines)][:room])
    lost = sum(map(len, whole)) - sum(map(len, lines))
    more = plural(lost, "more character", "more characters")
    return ([*lines, f"# {more} not shown here"] if share > _SAYING_SO else lines), lost


def _block(row: ChangeRow, fields: FieldLines, explain: bool) -> _Block:
    place = row.place
    because = [f"because {text}" for text in row_texts(row.reasons)]
    because[0] += visible(f"   {place}") if place else ""
    because += [f"held because {text}" for text in row_texts(row.holds)]
    why = [f"# {line}" for text in because for line in folded(text, _LONGEST_REASON).split("\n")]
    why += [f"# agent {row.agent}"] if row.agent else []
    lines = [_diff_line(shown) for field in row.fields for shown in fields.of(field, str(row.address))]
    if row.unchanged:
        lines.append(f"# {row.unchanged}")
    lines += [f"# {step}" for step in row_steps(row)] if explain else []
    title = f"<code>{html(row.symbol)}</code> <b>{html(row.subject)}</b> {html(row.headline)}"
    is_open = len(row.addresses) > 1 and row.ends_conversation
    return _Block(row, row.addresses, title, why, lines, is_open)


def folded_block(title: str, content: str, *, is_open: bool = False) -> str:
    """Return a block that opens at a click; `title` is HTML."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{content}\n\n</details>"


def _diff_line(shown: Shown) -> str:
    sign = _DIFF_SIGNS.get(shown.sign, shown.sign)
    return f"{sign} {'    ' * shown.depth}{shown.text}".rstrip(" ")


def _unmanaged(plan: Plan, room: int) -> Iterator[str]:
    """Yield the foreign agents, which come last because they are never touched; only their number beyond `room`."""
    if plan.unmanaged:
        count = plural(len(plan.unmanaged), "unmanaged agent", "unmanaged agents")
        lines = [visible(sentences.foreign(each)) for each in plan.unmanaged]
        block = folded_block(f"{count} in these channels, never touched", fenced(lines))
        yield (
            block if len(block) <= room else f"{count} in these channels, never touched: `reconciler status`."
        )
