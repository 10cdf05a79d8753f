"""Reports as pages of HTML: without scripts and requests, in the reader's dark or light scheme."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from reconciler.apply.events import Result
from reconciler.diagnostics import plural
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.report import sentences
from reconciler.report.actions import RANK, WORDS, counted, legend
from reconciler.report.addresses import in_order
from reconciler.report.drift import besides, classes, drift_rows
from reconciler.report.drift import headline as drift_headline
from reconciler.report.escape import visible
from reconciler.report.fieldlines import FieldLines, Shown, row_steps, row_texts
from reconciler.report.formats import RenderOptions
from reconciler.report.ledger import Finish, done_by_kind, sections, tally
from reconciler.report.problems import Block, Checked, blocks, summary
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows
from reconciler.values import dataclass
from reconciler.workflow import Drift

_CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --dim: #59636e; --line: #d1d9e0; --block: #f6f8fa;
  --red: #b3141d; --green: #116329; --amber: #7d4e00; --violet: #6639ba; --red-paper: #ffebe9; --green-paper: #dafbe1;
  --amber-paper: #fff8c5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --dim: #9198a1; --line: #3d444d;
  --block: #151b23; --red: #ff7b72; --green: #7ee787; --amber: #e3b341; --violet: #d2a8ff; --red-paper: #3c1618;
  --green-paper: #12301d; --amber-paper: #352a06; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 1rem; }
code, pre, .lines, .names { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .86em; }
.danger, .warning, .ends { padding: .6rem .9rem; margin: .5rem 0; border-left: .3rem solid; overflow-wrap: anywhere; }
.danger { border-color: var(--red); background: var(--red-paper); }
.warning { border-color: var(--amber); background: var(--amber-paper); }
.ends { border-color: var(--red); font-weight: 600; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem; border: 1px solid var(--line); text-align: left; }
td.number { text-align: right; }
p.note { margin: .35rem 0; color: var(--dim); overflow-wrap: anywhere; }
details.change { border: 1px solid var(--line); border-radius: .4rem; margin: .7rem 0; }
details.change > summary { padding: .5rem .8rem; cursor: pointer; overflow-wrap: anywhere; }
details.change[open] > summary { border-bottom: 1px solid var(--line); background: var(--block); }
.inside { padding: .5rem .8rem; }
.names { columns: 18rem; margin: .4rem 0 .8rem; padding: 0; list-style: none; overflow-wrap: anywhere; }
.lines { white-space: pre-wrap; overflow-wrap: anywhere; }
.lines div { padding: 0 .4rem 0 calc(var(--in) + 1.6rem); text-indent: -1.6rem; min-height: 1.5em; }
.d0 { --in: 0rem } .d1 { --in: 2rem }
.code { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--block); padding: .4rem .8rem; margin: .3rem 0 1rem; }
.add { background: var(--green-paper); } .del { background: var(--red-paper); }
.green { color: var(--green) } .red { color: var(--red) } .amber { color: var(--amber) } .violet { color: var(--violet) }
.dim { color: var(--dim); font-weight: 400 } .hangs { color: var(--red); font-weight: 600 }
ins { color: var(--green); } del { color: var(--red); } mark { color: inherit; background: var(--amber-paper); }
"""
_CSP = f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()}'"

_SIGNS = {"+": "add", "-": "del"}
_CLASSES = {31: "red", 32: "green", 33: "amber", 35: "violet", 2: "dim"}


@dataclass(frozen=True, slots=True)
class HtmlStyle(Style):
    """Paints with HTML elements instead of terminal codes."""

    colour: bool = True

    def text(self, text: str) -> str:
        return escape(text)

    def paint(self, text: str, *codes: int) -> str:
        return f'<span class="{_CLASSES[codes[-1]]}">{text}</span>' if text else ""

    def marked(self, kind: str, text: str) -> str:
        name = {"+": "ins", "-": "del", "~": "mark"}[kind]
        return f"<{name}>{text}</{name}>"


def render_plan(plan: Plan, options: RenderOptions = RenderOptions()) -> str:
    """Return a plan as a page with its changes folded, except those that end conversations."""
    headline = f"Plan: {sentences.short_counts(plan)}" if plan.pending else sentences.no_changes(plan)
    rows = change_rows(plan, full=options.full)
    *shown, approval = sentences.notes(plan, lambda addresses: ", ".join(map(str, addresses)))
    told = filter(None, (*shown, approval.replace("`", "")))
    notes = [*told, f"Fleet {plan.owner}, digest {plan.digest[:12]}."]
    body = _changes(plan, headline, rows, notes, explain=options.explain)
    return page(f"Plan of {plan.owner}", body)


def render_drift(drift: Drift, options: RenderOptions) -> str:
    """Return drift as a page with the changes that undo it."""
    rows = drift_rows(drift, options.full)
    told = [
        f"{plural(count, 'agent', 'agents')} {happened} ({word})" for word, happened, count in classes(drift)
    ]
    notes = filter(None, [*told, besides(drift)])
    return page(f"Drift of {drift.plan.owner}", _changes(drift.plan, drift_headline(drift), rows, notes))


def page(title: str, body: Iterable[str]) -> str:
    """Return a page with a title; `body` holds elements, one a line."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{plain(title)}</title>\n<style>{_CSS}</style>\n</head>\n{_BEGIN}",
            *body,
            f"{_END}\n</html>\n",
        ]
    )


_BEGIN, _END = "<body>", "</body>"


def joined(parts: Iterable[tuple[str, str]], end: Iterable[str]) -> str:
    """Return several pages as one, each below its heading."""
    bodies = [f"<h1>{plain(label)}</h1>\n{body_of(each)}" for label, each in parts]
    return page("Several fleets", [*bodies, *end])


def body_of(whole: str) -> str:
    """Return the elements of a page, for use in another page; foreign text holds no `<`, so it cannot end them."""
    return whole.partition(f"\n{_BEGIN}\n")[2].rpartition(f"\n{_END}\n")[0].replace("h1>", "h2>")


def _changes(
    plan: Plan, headline: str, rows: Iterable[ChangeRow], notes: Iterable[str], *, explain: bool = False
) -> Iterator[str]:
    rows = sorted(rows, key=lambda row: (RANK[row.action], row.address, row.agent_id))
    fields = FieldLines(HtmlStyle(), two_sided=True)
    yield f"<h1>{plain(headline)}</h1>"
    yield from _front(plan)
    yield from _table(plan)
    yield from (f'<p class="note">{plain(each)}</p>' for each in notes)
    yield from _signs(rows)
    yield from (_change(row, fields, explain) for row in rows)
    yield from _unmanaged(plan)


def plain(text: str) -> str:
    """Return foreign text as the text of an element, with invisible characters escaped."""
    return escape(visible(text))


def _front(plan: Plan) -> Iterator[str]:
    """Yield what must be seen first; it is never folded."""
    for danger in plan.dangers:
        word = "Allowed" if danger.allowed else "DANGER"
        yield f'<p class="danger"><b>{word}:</b> {plain(sentences.danger(danger))}</p>'
    for refusal in plan.refusals:
        yield f'<p class="warning"><b>Refused:</b> {plain(refusal.text)}</p>'
    for kind, text in zip(("ends", "warning", "warning"), sentences.warned(plan), strict=True):
        yield from [f'<p class="{kind}">{plain(text)}</p>'] if text else []


def _table(plan: Plan) -> Iterator[str]:
    rows = [
        f'<tr><td>{action}</td><td class="number">{count:,}</td><td>{becomes}</td></tr>'
        for action, count, becomes in counted(plan)
    ]
    if rows:
        head = "<tr><th>change</th><th>agents</th><th>the conversation</th></tr>"
        yield "\n".join(["<table>", head, *rows, "</table>"])


def _signs(rows: Sequence[ChangeRow]) -> Iterator[str]:
    signs = legend(row.symbol for row in rows)
    if signs:
        words = " · ".join(f"<code>{escape(sign)}</code> {word}" for sign, word in signs)
        yield f'<p class="note">Signs: {words}</p>'


def _change(row: ChangeRow, fields: FieldLines, explain: bool) -> str:
    """Return one row, folded if it ends no conversation."""
    before, bracket, after = row.headline.partition(" (")
    kind = "hangs" if row.ends_conversation else "dim"
    note = f'<span class="{kind}">{escape(bracket + after)}</span>' if after else ""
    is_open = " open" if row.ends_conversation else ""
    title = f"<code>{escape(row.symbol)}</code> <b>{escape(row.subject)}</b> {escape(before)}{note}"
    steps = [f'<p class="note">{escape(each)}</p>' for each in row_steps(row)] if explain else []
    inside = [*_why(row), *_lines(row, fields), *steps, *name_list(row.addresses)]
    return (
        f'<details class="change"{is_open}><summary>{title}</summary>\n<div class="inside">\n'
        + "\n".join(inside)
        + "\n</div></details>"
    )


def name_list(addresses: Sequence[Address]) -> Iterator[str]:
    """Yield all addresses in columns, if there are several."""
    if len(addresses) > 1:
        yield (
            '<ul class="names">'
            + "\n".join(f"<li>{plain(str(each))}" for each in in_order(addresses))
            + "</ul>"
        )


def _why(row: ChangeRow) -> Iterator[str]:
    place = row.place
    for number, text in enumerate(row_texts(row.reasons)):
        where = f" <code>{plain(place)}</code>" if place and not number else ""
        yield f'<p class="note">because {escape(text)}{where}</p>'
    yield from (f'<p class="note"><b>held</b> because {escape(text)}</p>' for text in row_texts(row.holds))
    if row.agent:
        yield f'<p class="note">agent {escape(row.agent)}</p>'
    if row.unchanged:
        yield f'<p class="note">{row.unchanged}</p>'


def _lines(row: ChangeRow, fields: FieldLines) -> Iterator[str]:
    lines = [_line(shown) for field in row.fields for shown in fields.of(field, str(row.address))]
    if lines:
        yield f'<div class="lines">{"".join(lines)}</div>'


def _line(shown: Shown) -> str:
    kind = f"d{shown.depth} {_SIGNS.get(shown.sign, '')}".rstrip()
    return f'<div class="{kind}">{escape(shown.sign)} {shown.text}</div>'


def _unmanaged(plan: Plan) -> Iterator[str]:
    """Yield the foreign agents, which come last because they are never touched."""
    if plan.unmanaged:
        count = plural(len(plan.unmanaged), "unmanaged agent", "unmanaged agents")
        rows = "\n".join(f"<li>{plain(sentences.foreign(each))}" for each in plan.unmanaged)
        title = f"{count} in these channels, never touched"
        yield f'<details class="change"><summary>{title}</summary>\n<ul>{rows}</ul></details>'
    if plan.elsewhere:
        yield f'<p class="note">{plain(sentences.elsewhere(plan))}</p>'


_BAD = frozenset({Result.FAILED, Result.UNKNOWN})


def render_ledger(finish: Finish, options: RenderOptions) -> str:
    """Return a page with the result of every address, unfolded and first if it needs a person; then the plan."""
    title = f"{finish.verdict}: {tally(finish.ledger)}"
    planned = body_of(render_plan(finish.plan, options)) if finish.plan is not None else ""
    return page(title, [f"<h1>{plain(title)}</h1>", *_results(finish, options.full), planned])


def _results(finish: Finish, full: bool) -> Iterator[str]:
    ledger, broken = finish.ledger, finish.error
    if broken is not None:
        yield f'<p class="danger"><b>error:</b> {plain(broken.message)} [{plain(broken.rule)}]</p>'
        yield from (f'<p class="note">{plain(each)}</p>' for each in (broken.hint or "").split("\n") if each)
    for section in sections(ledger, full=full):
        kind = "danger" if section.result in _BAD else "warning"
        yield f'<p class="{kind}"><b>{plain(section.title)}</b></p>'
        yield from (_group(addresses, outcomes, is_open=True) for addresses, outcomes in section.groups)
    yield from (f'<p class="warning">{plain(each)}</p>' for each in finish.notices)
    yield from (
        _group(addresses, [WORDS[action].done], is_open=False) for action, addresses in done_by_kind(ledger)
    )
    yield from (f'<p class="note">{plain(each)}</p>' for each in finish.afterwards)
    if finish.resume:
        yield f'<p class="note">To go on: <code>{plain(finish.resume)}</code></p>'


def _group(addresses: Sequence[Address], outcomes: Sequence[str], *, is_open: bool) -> str:
    """Return addresses with their outcomes, which are escaped already except for HTML."""
    subject = str(addresses[0]) if len(addresses) == 1 else plural(len(addresses), "agent", "agents")
    title = f"<b>{plain(subject)}</b> {plain(outcomes[0])}"
    more = [f'<p class="note">{plain(each)}</p>' for each in outcomes[1:]]
    inside = "\n".join([*more, *name_list(addresses)])
    if not inside:
        return f"<p>{title}</p>"
    opened = " open" if is_open else ""
    return f'<details class="change"{opened}><summary>{title}</summary>\n<div class="inside">\n{inside}\n</div></details>'


def render_problems(checked: Checked, options: RenderOptions) -> str:
    """Return a page with every problem and its lines of the files."""
    title = summary(checked.diagnostics)
    body = [f"<h1>{plain(title)}</h1>", *map(_problem, blocks(checked.diagnostics, options.read_source))]
    return page(title, [*body, *(f'<p class="note">{plain(each)}</p>' for each in checked.last_lines)])


def _problem(block: Block) -> str:
    found = block.problem
    kind = "danger" if found.is_error else "warning"
    head = f'<p class="{kind}"><b>{found.severity}:</b> {plain(found.summary)} <code>[{plain(found.rule)}]</code></p>'
    lines = "\n".join(plain(each) for each in block.lines)
    return f'{head}\n<div class="lines code">{lines}</div>' if lines else head
