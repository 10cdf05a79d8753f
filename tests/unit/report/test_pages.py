"""Pages of HTML and comments for what is no plan: drift, the end of an apply, problems; hostile texts in each."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reconciler.apply.events import Finished, Ledger, Notice, Result
from reconciler.diagnostics import Problem, Severity, Span
from reconciler.errors import InvalidConfig, UsageError
from reconciler.model.address import Address
from reconciler.plan.change import Action
from reconciler.report import formats, html
from reconciler.report.formats import RenderOptions, ReportKind, named
from reconciler.report.ledger import Finish
from reconciler.report.markdown import BUDGET
from reconciler.report.problems import Checked
from reconciler.report.several import JOINS, FleetPart
from reconciler.workflow import Drift
from tests.unit.report.plans import World, properties, rich_world
from tests.unit.report.test_groups import ATTACKS, Page
from tests.unit.report.test_laws import hidden_in
from tests.unit.report.test_markdown import fences, html_of

TAGS = set(
    "html head meta title style body h1 h2 p b code table tr th td details summary div ul li span ins del mark".split()
)


def finish(text: str, count: int = 3) -> Finish:
    """An apply in which something of everything came of the changes."""
    ledger = Ledger()
    for number in range(count):
        ledger.note(
            Finished(Address(f"house-{number:03d}", "desk"), Action.JOIN, Result.FAILED, f"400: {text}")
        )
        ledger.note(Finished(Address(f"done-{number:03d}", "desk"), Action.REPLACE, Result.DONE, "", "A1"))
    ledger.note(Finished(Address("held", "desk"), Action.LEAVE, Result.HELD, text))
    ledger.note(Notice(text or "x"))
    ledger.broken = UsageError(text or "x", hint=text)
    return Finish(ledger, "reconciler apply -- '-x y'", ("so",))


def checked(text: str) -> Checked:
    found = [
        Problem("wrong-type", f'{text} "{number}"', Span("a.yaml", 2, 3), help=text, why=text)
        for number in range(200)
    ]
    return Checked((*found, Problem("no-agents", text or "x", severity=Severity.WARNING)))


def drift(text: str) -> Drift:
    world = World().wants("a/b", properties(llm__greeting_message=text))
    world.wants("a/c", properties(llm__url=f"https://evil.example/{text}")).runs("a/c")
    world.foreign(text or "bot", "a")
    return Drift(world.plan(), 2)


def shown(form: str, kind: ReportKind, value: object) -> str:
    return named(form).render(
        kind, value, RenderOptions(read_source=lambda file: "one\n<b>two</b> [[x]]\nthree\n")
    )


MAKERS = {ReportKind.LEDGER: finish, ReportKind.PROBLEMS: checked, ReportKind.DRIFT: drift}


@pytest.mark.parametrize("attack", [*ATTACKS, "", "```\n# x\n@team </details>"])
@pytest.mark.parametrize("kind", MAKERS)
def test_hostile_texts_are_inert(kind: ReportKind, attack: str) -> None:
    value = MAKERS[kind](attack)
    source = shown("html", kind, value)
    page = Page(source)
    assert set(page.tags) <= TAGS
    assert page.tags.count("style") == 1
    assert hidden_in(source) == []
    assert "default-src 'none'" in source
    comment = shown("markdown", kind, value)
    outside = comment
    for block in fences(comment):
        outside = outside.replace(block, "")
    assert not re.search(r"<(?:script|img|svg|meta)", outside)
    assert "@team" not in outside
    assert "<h1>" not in html_of(comment)


def test_the_page_of_an_apply_says_what_needs_a_person_first() -> None:
    page = Page(shown("html", ReportKind.LEDGER, finish("no quota")))
    whole = page.whole
    assert "Apply incomplete: 3 replaced; 3 failed, 1 held" in whole
    assert whole.index("no quota") < whole.index("house-000/desk") < whole.index("done-000/desk")
    assert whole.count("join failed: 400: no quota") == 1
    planned = Page(
        named("html").render(ReportKind.LEDGER, replace(finish("no quota"), plan=rich_world().plan()))
    )
    assert (planned.tags.count("h1"), planned.tags.count("h2"), planned.tags.count("body")) == (1, 1, 1)
    assert planned.whole.index("Apply incomplete") < planned.whole.index("Plan: 1 to join")
    assert "To go on: reconciler apply -- '-x y'" in whole
    assert all(f"{name}-{number:03d}/desk" in whole for name in ("house", "done") for number in range(3))


def test_one_mistake_of_many_agents_is_one_block_on_every_page() -> None:
    for form in ("html", "markdown"):
        text = shown(form, ReportKind.PROBLEMS, checked("must be a number, not"))
        assert text.count("200 times from this place") == 1
        assert "200 errors, 1 warning" in text
    valid = shown("markdown", ReportKind.PROBLEMS, Checked((), ("hotel is valid: 3 agents in 2 channels.",)))
    assert "### 0 errors, 0 warnings\n\nhotel is valid: 3 agents" in valid


def test_ten_thousand_problems_are_a_comment_that_counts_what_it_has_no_room_for() -> None:
    found = tuple(Problem("r", f"mistake {number}", Span(f"f{number}.yaml", 1)) for number in range(10_000))
    text = shown("markdown", ReportKind.PROBLEMS, Checked(found))
    listed = len(re.findall(r"mistake \d+", text))
    assert 0.7 * BUDGET < len(text) <= BUDGET
    assert f"… and {10_000 - listed:,} more" in text


def test_the_page_of_drift_has_its_changes_and_what_the_files_ask_for_besides() -> None:
    page = Page(shown("html", ReportKind.DRIFT, drift("hello")))
    assert "Drift: 2 addresses are not as last applied; an apply would replace 1, hold 1." in page.whole
    assert "1 agent not as it was applied (fields)" in page.whole
    assert "2 changes in the files are not drift; see plan." in page.whole
    assert "evil.example would start to get the secret" in "".join(page.shown)


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_steps_are_explained_on_pages_and_comments(form: str) -> None:
    plan = rich_world().plan()
    told = named(form).render(ReportKind.PLAN, plan, RenderOptions(explain=True))
    assert "1. leave agent A001" in told
    assert "2. wait until agent A001 has ended" in told
    assert "leave agent A001" not in named(form).render(ReportKind.PLAN, plan, RenderOptions())


def test_pages_of_several_fleets_are_one_page() -> None:
    pages = [html.render_plan(World().wants(f"a/{name}").plan()) for name in ("one", "two")]
    broken = FleetPart("<b>", "prod", "error: gone", 1, error=InvalidConfig((Problem("r", "<i>"),)))
    source = JOINS["html"]([*(FleetPart("d", None, "", text=each) for each in pages), broken])
    page = Page(source)
    assert (page.tags.count("body"), page.tags.count("h1"), page.tags.count("h2")) == (1, 3, 2)
    assert "a/one" in page.whole and "a/two" in page.whole and "<b> (prod)" in page.whole
    assert "i" not in page.tags


def test_every_page_joins_and_every_code_host_format_does() -> None:
    for form in formats.FORMATS:
        if form.kinds.keys() & {ReportKind.PLAN, ReportKind.DRIFT, ReportKind.PROBLEMS}:
            assert form.name in JOINS
