"""The summary at the end of an apply as a page of HTML, for the artifact of a job or an e-mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.apply.events import Ledger, Result
from reconciler.diagnostics import plural
from reconciler.model.address import Address
from reconciler.report.html import body_of, name_list, page, plain, render_plan
from reconciler.report.ledger import (
    Ending,
    Finish,
    afterwards,
    done_by_kind,
    is_cut_short,
    notices,
    sections,
    tally,
    verdict,
)
from reconciler.report.progress import DONE

_BAD = frozenset({Result.FAILED, Result.UNKNOWN})


def render(finish: Finish, *, full: bool = False) -> str:
    """Return a page with the result of every address, unfolded and first if it needs a person; then the plan."""
    ledger, ending = finish.ledger, finish.ending
    title = f"{verdict(ledger, ending)}: {tally(ledger)}"
    planned = body_of(render_plan(finish.plan, full=full)) if finish.plan is not None else ""
    return page(title, [f"<h1>{plain(title)}</h1>", *_body(ledger, ending, full), planned])


def _body(ledger: Ledger, ending: Ending, full: bool) -> Iterator[str]:
    broken = ledger.broken
    if broken is not None and not is_cut_short(ledger):
        yield f'<p class="danger"><b>error:</b> {plain(broken.message)} [{plain(broken.rule)}]</p>'
        yield from (f'<p class="note">{plain(each)}</p>' for each in (broken.hint or "").split("\n") if each)
    for section in sections(ledger, full=full):
        kind = "danger" if section.result in _BAD else "warning"
        yield f'<p class="{kind}"><b>{plain(section.title)}</b></p>'
        yield from (_group(addresses, outcomes, is_open=True) for addresses, outcomes in section.groups)
    yield from (f'<p class="warning">{plain(each)}</p>' for each in notices(ledger))
    yield from (
        _group(addresses, [DONE[action]], is_open=False) for action, addresses in done_by_kind(ledger)
    )
    yield from (f'<p class="note">{plain(each)}</p>' for each in afterwards(ledger, ending))
    if not ledger.is_complete and ending.resume:
        yield f'<p class="note">To go on: <code>{plain(ending.resume)}</code></p>'


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
