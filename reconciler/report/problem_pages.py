"""Problems of the files as Markdown for a comment and as a page of HTML; one block for repeated problems."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.report.escape import code, fenced, prose
from reconciler.report.formats import ReadSource
from reconciler.report.html import page, plain
from reconciler.report.markdown import BUDGET
from reconciler.report.problems import Block, Checked, accepted_line, blocks, summary


def render_markdown(checked: Checked, read_source: ReadSource, *, budget: int | None = None) -> str:
    """Return every problem with its lines of the files; if that is too long, as many headlines as fit."""
    room = budget or BUDGET
    found = blocks(checked.diagnostics, read_source)
    ends = [prose(each) for each in _ends(checked)]
    whole = _document(checked, [_markdown(each) for each in found], ends)
    if len(whole) <= room:
        return whole
    short = [f"- {_headline(each)}" for each in found]
    count = len(short)
    more = [f"- … and {len(short):,} more: `reconciler validate` shows all."]
    while count and len(_document(checked, ["\n".join([*short[:count], *more])], ends)) > room:
        count = count * 9 // 10
    more = (
        [f"- … and {len(short) - count:,} more: `reconciler validate` shows all."]
        if count < len(short)
        else []
    )
    return _document(checked, ["\n".join([*short[:count], *more])], ends)


def render_html(checked: Checked, read_source: ReadSource) -> str:
    """Return a page with every problem and its lines of the files."""
    title = summary(checked.diagnostics)
    body = [f"<h1>{plain(title)}</h1>", *map(_html, blocks(checked.diagnostics, read_source))]
    return page(title, [*body, *(f'<p class="note">{plain(each)}</p>' for each in _ends(checked))])


def _ends(checked: Checked) -> Iterator[str]:
    yield from () if checked.has_errors else checked.verdicts
    yield from filter(None, [accepted_line(checked.accepted)])


def _document(checked: Checked, shown: list[str], ends: list[str]) -> str:
    return "\n\n".join([f"### {prose(summary(checked.diagnostics))}", *shown, *ends]) + "\n"


def _headline(block: Block) -> str:
    found = block.problem
    place = f" at {code(str(found.where))}" if found.where is not None else ""
    return f"**{found.severity}:** {prose(found.summary)} {code(found.rule)}{place}"


def _markdown(block: Block) -> str:
    return f"{_headline(block)}\n\n{fenced(block.lines, 'text')}" if block.lines else _headline(block)


def _html(block: Block) -> str:
    found = block.problem
    kind = "danger" if found.is_error else "warning"
    head = f'<p class="{kind}"><b>{found.severity}:</b> {plain(found.summary)} <code>[{plain(found.rule)}]</code></p>'
    lines = "\n".join(plain(each) for each in block.lines)
    return f'{head}\n<div class="lines code">{lines}</div>' if lines else head
