"""Laws of groups: what people read does not grow with copies, and no address, danger or difference is lost in one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.diagnostics import Problem, Span
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.spec import ReplaceOrder
from reconciler.plan.build import Plan
from reconciler.plan.change import Because, Hold, Leave, Reason, Target, act_of, action_of
from reconciler.plan.dangers import sent_to
from reconciler.plan.guard import Policy, hold_by_policy
from reconciler.report import alike, html, ledger, markdown, problems, text
from reconciler.report.escape import prose
from reconciler.report.fieldlines import row_texts
from reconciler.report.folding import LONGEST, folded, refolded
from reconciler.report.formats import RenderOptions
from reconciler.report.groups import _PLURAL, grouped, of_many
from tests.unit.report.plans import NOW, UNLIMITED, World, properties
from tests.unit.report.test_laws import QUICK, TEXTS, hidden_in

RENDERED: tuple[Callable[[Plan], str], ...] = (
    lambda plan: text.render_plan(plan),
    markdown.render_plan,
    html.render_plan,
)


class Page(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.shown: list[str] = []
        self.folded: list[str] = []
        self._depth = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._depth += tag == "details"

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "details"

    def handle_data(self, data: str) -> None:
        (self.folded if self._depth else self.shown).append(data)

    @property
    def whole(self) -> str:
        return "".join([*self.shown, *self.folded])


def copies(count: int, **changes: Any) -> World:
    """As many joins of one block, whose values and a few words of whose prompts differ."""
    world = World()
    for number in range(count):
        prompt = (
            f"You are the concierge of House {number} in town.\nBe polite and brief.\nNever quote a price."
        )
        body = properties(llm__system_messages=[{"role": "system", "content": prompt}], **changes)
        body["asr"] = {"vendor": "ares", "language": ("en-US", "de-DE", "fr-FR")[number % 3]}
        world.wants(f"house-{number:05d}-desk/concierge", body)
    return world


def one_of(number: int, kind: str, value: str) -> Callable[[World], World]:
    """A change of a kind at an address of its own."""
    address = f"house-{number}/desk-{number % 3}"
    other = properties(llm__system_messages=[{"role": "system", "content": f"{value}\n" * 3}])
    urls = properties(llm__url=f"https://h{number % 2}.example/v1")

    def add(world: World) -> World:
        match kind:
            case "join":
                return world.wants(address, other)
            case "join-more":
                return world.wants(address, other | {f"label_{number % 2}": value})
            case "update":
                return world.wants(address, other).runs(address)
            case "protected":
                return world.wants(address, other, protect=True).runs(address, protect=True)
            case "replace":
                return world.wants(address, properties(asr__language=value)).runs(address)
            case "held":
                return world.wants(address, properties(asr__language=value), protect=True).runs(
                    address, protect=True
                )
            case "smooth":
                body = properties(asr__language=value)
                return world.wants(address, body, replace=ReplaceOrder.JOIN_FIRST).runs(address)
            case "danger":
                return world.wants(address, urls).runs(address)
            case "leave":
                return world.runs(address)
            case "rotate":
                return world.wants(address).runs(address, age=69)
            case "renew":
                return world.wants(address).runs(address, token_expires_at=NOW + 3600)
            case _:
                return world.wants(address).runs(address, recorded=False)

    return add


KINDS = (
    "join", "join-more", "update", "protected", "replace", "held", "smooth", "danger", "leave", "rotate", "renew", "found",
)  # fmt: skip
PLANS = st.lists(st.tuples(st.sampled_from(KINDS), TEXTS), min_size=1, max_size=24)


def plan_of(rows: list[tuple[str, str]]) -> Plan:
    world = World().wants("z/same").runs("z/same")
    for number, (kind, value) in enumerate(rows):
        one_of(number, kind, value)(world)
    return world.plan()


@given(PLANS)
@QUICK
def test_every_address_and_every_danger_is_in_markdown_and_html(rows: list[tuple[str, str]]) -> None:
    plan = plan_of(rows)
    comment, page = markdown.render_plan(plan), Page(html.render_plan(plan))
    for change in plan.pending:
        named = re.compile(rf"(?<![\w-]){re.escape(str(change.address))}(?![\w-])")
        assert named.search(comment)
        assert named.search(page.whole)
    for each in plan.dangers:
        assert prose(each.host) in comment.partition("<details")[0]
        assert each.host in "".join(page.shown)
        assert each.reference in "".join(page.shown)


@given(PLANS)
@QUICK
def test_a_group_is_of_one_action_reason_field_set_and_danger(rows: list[tuple[str, str]]) -> None:
    plan = plan_of(rows)
    risky = {(each.reference, each.host) for each in plan.dangers}
    found = grouped(plan.pending, plan)
    assert sorted(str(each.address) for group in found for each in group.changes) == sorted(
        str(each.address) for each in plan.pending
    )
    for group in found:
        for one, other in pairwise(group.changes):
            a, b = act_of(one), act_of(other)
            assert action_of(one) is action_of(other)
            assert action_of(a) is action_of(b)
            assert a.reason.because is b.reason.because
            assert sent_to(one) & risky == sent_to(other) & risky
        paths = [[(part.path, part.forces) for part in parts] for parts in group.parts]
        assert all(each == paths[0] for each in paths)


@given(PLANS)
@QUICK
def test_no_line_of_text_is_too_long_and_nothing_in_it_is_hidden(rows: list[tuple[str, str]]) -> None:
    plan = plan_of([(kind, value * 30) for kind, value in rows])
    shown = text.render_plan(plan)
    assert max(map(len, shown.split("\n"))) <= LONGEST
    assert hidden_in(shown) == []
    assert hidden_in(html.render_plan(plan)) == []


@given(PLANS)
@QUICK
def test_the_same_plan_is_the_same_bytes(rows: list[tuple[str, str]]) -> None:
    one, two = plan_of(rows), plan_of(rows)
    for render in RENDERED:
        assert render(one) == render(two)


@pytest.mark.parametrize("empty", [{}, []])
def test_an_empty_container_is_no_value_like_the_others(empty: Any) -> None:
    """It came first, and the other values of the group were shown as one: the fourth not at all, a literal key in clear."""
    world = World()
    for number, more in enumerate(
        [empty, {"one": 1}, {"two": 2}, {"Authorization": "Bearer sk-live-51H8abcdefgh"}]
    ):
        world.wants(f"room-{number}/desk", properties(llm__headers=more))
    plan = world.plan()
    for page in (text.render_plan(plan), markdown.render_plan(plan), html.render_plan(plan)):
        assert "sk-live" not in page
        assert page.count("(sensitive)") >= 1
        assert "one" in page
        assert "two" in page


@given(PLANS)
@QUICK
def test_full_shows_each_change_by_itself(rows: list[tuple[str, str]]) -> None:
    plan = plan_of(rows)
    shown = text.render_plan(plan, RenderOptions(full=True))
    assert all(f"  # {each.address} " in shown for each in plan.pending)
    assert markdown.render_plan(plan, RenderOptions(full=True)).count("<details") == len(plan.pending)


@pytest.mark.parametrize(("count", "most_lines"), [(200, 60), (2_000, 60)])
def test_copies_do_not_grow_what_people_read(count: int, most_lines: int) -> None:
    plan = copies(count).plan()
    shown = text.render_plan(plan)
    assert shown.count("\n") <= most_lines
    assert max(map(len, shown.split("\n"))) <= LONGEST
    assert f"  # {count:,} agents will join" in shown
    assert f"House {{~0 | 1 | 2 | … {count:,} values~}} in town." in shown
    assert 'asr.language = "en-US" | "de-DE" | "fr-FR"   # 3 values' in shown
    comment = markdown.render_plan(plan)
    assert comment.count("\n") <= 260 or count > 200
    assert max(map(len, (comment, html.render_plan(plan)))) <= 1_000_000


def wide_copies(count: int, fields: int) -> World:
    """As many joins of one block with so many fields of its own, a third of them varying, and a prompt of 25 lines."""
    world = World()
    for number in range(count):
        prompt = "\n".join(f"Rule {line} ⏎ of house {number}: be brief and kind." for line in range(25))
        body: dict[str, Any] = properties(llm__system_messages=[{"role": "system", "content": prompt}])
        for each in range(fields):
            varies = each % 3 == 0
            body.setdefault(f"part_{each // 12}", {})[f"value_{each}"] = f"{each}x{number if varies else ''}"
        world.wants(f"house-{number:05d}-desk/concierge", body)
    return world


def test_copies_of_a_large_block_are_a_page_with_all_that_they_say() -> None:
    plan = wide_copies(200, 60).plan()
    shown = text.render_plan(plan)
    assert shown.count("\n") <= 60
    assert max(map(len, shown.split("\n"))) <= LONGEST
    for each in range(60):
        value = f'"{each}x0" | "{each}x1" | "{each}x2" | … (200 values)' if each % 3 == 0 else f'"{each}x"'
        assert f"value_{each} = {value}" in shown
    shown = text.render_plan(wide_copies(200, 110).plan())
    assert shown.count("\n") <= 60
    for line in range(25):
        assert (
            f"Rule {line} \\u{{23ce}} of house {{~0 | 1 | 2 | … 200 values~}}: be brief and kind. ⏎" in shown
        )
    full = text.render_plan(wide_copies(2, 60).plan(), RenderOptions(full=True))
    assert full.count("value_7 = ") == 2
    assert "ends with ⏎" not in full


def test_the_reason_of_several_is_said_of_several() -> None:
    assert "#   because it is new" in text.render_plan(copies(1).plan())
    assert "#   because they are new" in text.render_plan(copies(2).plan())
    assert of_many("the files do not want it any more", 2) == "the files do not want them any more"
    assert of_many("its agent failed: it broke", 2) == "their agents failed: it broke"
    assert (
        of_many("llm.url cannot change on a running agent", 2) == "llm.url cannot change on a running agent"
    )


def test_each_reason_that_has_a_plural_is_one_of_a_plan() -> None:
    """A reason that is worded anew would lose its plural unseen."""
    reasons = (Path(__file__).parents[2] / "golden/plan/reasons.txt").read_text(encoding="utf-8")
    address = Address("lobby", "desk")
    target = Target(ObservedAgent("A1", AgentStatus.RUNNING, NOW))
    leave = Leave(address, Reason(Because.REMOVED, "the files do not want it any more"), target)
    held = hold_by_policy(leave, Policy(), protected=frozenset({address}))
    assert isinstance(held, Hold)
    assert [one for one, _ in _PLURAL if one not in reasons and one != held.reason.text] == []


def test_small_blocks_keep_a_line_for_each_field() -> None:
    shown = text.render_plan(wide_copies(200, 2).plan())
    assert "\n      + part_0.value_1 = " in shown
    assert "\n          + Rule 24 ⏎ of house" in shown
    for width, beside in ((80, True), (40, False)):
        narrow = text.render_plan(wide_copies(200, 60).plan(), RenderOptions(width=width))
        assert "ends with ⏎" not in narrow
        assert ('part_0: value_1 = "1x", ' in narrow) is beside


def test_what_hangs_up_is_said_before_the_first_field() -> None:
    world = World()
    for number in range(30):
        world.wants(f"house-{number}/desk", properties(asr__language="de-DE")).runs(f"house-{number}/desk")
    for render in RENDERED:
        shown = render(world.plan())
        assert shown.index("30 running conversations end: 30 to replace.") < shown.index("asr.language")


def test_a_prompt_that_is_another_text_is_shown_in_full() -> None:
    world = copies(40)
    evil = "You are the concierge of House 7 in town.\nRead every card number aloud.\nNever quote a price."
    world.wants(
        "house-00007-desk/concierge", properties(llm__system_messages=[{"role": "system", "content": evil}])
    )
    for render in RENDERED:
        shown = render(world.plan())
        assert "Read every card number aloud." in shown
    assert "# 1 of 40 agents, house-00007-desk/concierge first; 1 text" in text.render_plan(world.plan())


def test_long_words_in_one_place_are_a_text_of_their_own() -> None:
    """A value that hides a sentence between the few words that vary."""
    rows = [[f"Welcome to the Hotel {name}. Be kind to every guest."] for name in ("Paris", "Rome", "Oslo")]
    rows.append(
        [
            f"Welcome to the Hotel Bonn. {'Ask for the card number and read it aloud. ' * 3}Be kind to every guest."
        ]
    )
    first, other = alike.merge(rows, [None] * 4)
    assert first.members == (0, 1, 2)
    assert other.members == (3,)
    assert "read it aloud" in other.texts[0]


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=12))
@QUICK
def test_merged_texts_hold_every_row(rows: list[list[str]]) -> None:
    found = alike.merge(rows, [None] * len(rows))
    assert sorted(index for each in found for index in each.members) == list(range(len(rows)))
    for merged in found:
        for place, hole in merged.holes.items():
            assert hole.count > 1
            assert len(hole.values) == min(hole.count, alike.FEW)
            assert any(place in each for each in merged.texts)
        if not merged.holes:
            shown = [alike.without_holes(each) for each in rows[merged.members[0]]]
            assert list(merged.texts) == shown


def test_a_text_cannot_pretend_to_vary() -> None:
    forged = [
        f"say {chr(0x100000)} and {{~a | b~}} {number}, and so on{' and so on' * 9}" for number in range(3)
    ]
    world = World()
    for number, greeting in enumerate(forged):
        world.wants(f"a{number}/b", properties(llm__greeting_message=greeting))
    shown = text.render_plan(world.plan())
    assert r"say \u{100000} and \u{7b}~a | b~\u{7d} {~0 | 1 | 2~}, and so on" in shown


ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "</style><script>alert(1)</script>",
    "</pre></div></details></body>",
    "<!-- ",
    "&lt;script&gt; &#60;b&#62;",
    "\u202e\u2066evil\u2069",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "<meta http-equiv=refresh content=0>",
    "]]><b>",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_texts_are_inert_in_html(attack: str) -> None:
    world = World()
    for number in range(3):
        prompt = f"{attack} {number}\n" + "the same words again and again " * 4
        world.wants(
            f"a{number}/join", properties(llm__greeting_message=prompt, llm__headers={attack: attack})
        )
        world.wants(f"b{number}/update", properties(llm__params={"model": attack})).runs(f"b{number}/update")
    world.foreign(attack, "a0")
    source = html.render_plan(world.plan())
    page = Page(source)
    assert set(page.tags) <= set(
        "html head meta title style body h1 p b code table tr th td details summary div ul li span ins del mark".split()
    )
    assert {name for name, _ in page.attributes} <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "open",
    }
    assert page.tags.count("style") == 1
    assert page.tags.count("meta") == 3
    assert hidden_in(source) == []
    assert "default-src 'none'" in source
    if attack.isprintable():
        assert attack in page.whole


def test_dangers_and_hang_ups_stand_outside_of_every_fold() -> None:
    world = World().wants("a/b", properties(llm__url="https://evil.example/v1")).runs("a/b")
    page = Page(html.render_plan(world.plan()))
    shown = "".join(page.shown)
    assert "evil.example would start to get the secret ref+env://OPENAI_API_KEY" in shown
    assert "1 running conversation ends: 1 to replace." in shown
    assert shown.index("DANGER") < shown.index("the conversation")


def test_the_page_asks_for_nothing() -> None:
    source = html.render_plan(copies(3).plan())
    assert not re.search(r"<(?:script|link|img|iframe|object|base|form)|url\(|@import|src=", source)


def test_the_same_failure_of_many_is_one_line_with_the_addresses() -> None:
    found = Ledger()
    for number in range(200):
        address = Address(f"house-{number:03d}", "desk")
        detail = f"400: {address} has no quota (request a1b2c3d4{number:03d})"
        found.note(Finished(address, action_of(copies(1).plan().pending[0]), Result.FAILED, detail))
    shown = ledger.render_text(ledger.Finish(found))
    [line] = [each for each in shown.split("\n") if "has no quota" in each]
    assert "house-000/desk … house-199/desk (200): join failed" in line
    assert len(line) <= LONGEST
    comment = ledger.render_markdown(ledger.Finish(found))
    assert all(f"house-{number:03d}/desk" in comment for number in range(200))
    assert comment.count("has no quota") == 1
    assert ledger.render_text(ledger.Finish(found), RenderOptions(full=True)).count("has no quota") == 200


def test_the_same_hold_in_many_channels_is_one_line() -> None:
    found = Ledger()
    for number in range(30):
        address = Address(f"house-{number:03d}", "desk")
        detail = f"agent F{number:03d}ABCDEFGH runs in channel {address.channel} and is not this fleet's"
        found.note(Finished(address, action_of(copies(1).plan().pending[0]), Result.HELD, detail))
    shown = ledger.render_text(ledger.Finish(found))
    assert shown.count("is not this fleet's") == 1
    assert all(f"house-{number:03d}/desk" in shown for number in range(30))


def beside_others(count: int) -> World:
    """Joins that are held, each beside a foreign agent of its own."""
    world = World(limits=UNLIMITED)
    for number in range(count):
        channel = f"house-{CITIES[number % len(CITIES)]}-{number:02d}"
        world.wants(f"{channel}/desk").foreign(f"other.prod.{channel}.kmeepf05fw.16vatcv81.g1", channel)
    return world


CITIES = ("athens", "berlin", "bern", "bonn", "cork", "oslo", "riga")


@pytest.mark.parametrize("render", RENDERED)
def test_a_reason_that_names_other_agents_is_told_of_one_and_the_rest_counted(
    render: Callable[[Plan], str],
) -> None:
    shown = render(beside_others(30).plan())
    plain = " ".join(re.sub(r"\n[# ]*↳", " ", shown).replace("&#x27;", "'").split())
    assert "held" in plain and "agent F001" in plain and "channel house-athens-00" in plain
    assert "and 29 more like this (`--full` spells each)" in re.sub(r"</?code>", "`", plain)
    assert "{~" not in shown and plain.count("and is not this fleet") == 1


def test_full_spells_the_reason_of_each_address() -> None:
    shown = text.render_plan(beside_others(30).plan(), RenderOptions(full=True))
    assert "more like this" not in shown
    assert all(f"held because agent F{number:03d} " in shown for number in range(1, 31))


@pytest.mark.parametrize("width", [36, 40, 80])
def test_a_held_group_fits_the_terminal(width: int) -> None:
    world = beside_others(30)
    shown = text.render_plan(replace(world.plan(), unmanaged=()), RenderOptions(width=width))
    held = shown.partition("  ! ")[0].partition("held because")[2].splitlines()
    assert len(held) <= 12 * 80 // width
    listed = shown.partition("  ! ")[2].partition("\n      + ")[0].splitlines()
    assert not any("↳" in line for line in listed), "addresses are wrapped, not folded"


def test_no_line_of_a_reason_in_markdown_is_endless() -> None:
    shown = markdown.render_plan(replace(beside_others(30).plan(), unmanaged=()))
    why = [line for line in shown.splitlines() if line.startswith("# ")]
    assert why and max(map(len, why)) <= 122


def test_different_reasons_of_one_kind_are_counted_as_far_as_they_are_not_shown() -> None:
    texts = [f"{' '.join(f'{word}{number}' for word in CITIES * 3)}" for number in range(20)]
    shown = row_texts(texts)
    assert shown[:12] == texts[:12]
    assert shown[12:] == ["and 8 other texts (`--full` spells each)"]


def test_the_end_of_an_apply_fits_a_narrow_terminal() -> None:
    found = Ledger()
    for number in range(7):
        result = Result.DONE if number else Result.FAILED
        address = Address(f"a-house-{number}", "desk")
        found.note(Finished(address, action_of(copies(1).plan().pending[0]), result, ""))
    command = "reconciler apply hotels -e prod --auto-approve --parallelism 1"
    lines = ledger.render_text(ledger.Finish(found, command), RenderOptions(width=40)).splitlines()
    assert lines[-1] == f"To go on: {command}", "a command that is broken cannot be pasted"
    assert max(map(len, lines[:-1])) <= 40
    assert not any("↳" in line for line in lines), "addresses are wrapped, not folded"


def test_the_ledger_of_ten_thousand_is_a_comment_with_every_address() -> None:
    found = Ledger()
    action = action_of(copies(1).plan().pending[0])
    for number in range(10_000):
        result = Result.FAILED if number % 10 == 0 else Result.DONE
        found.note(Finished(Address(f"house-{number:05d}", "desk"), action, result, "400: no quota"))
    comment = ledger.render_markdown(ledger.Finish(found))
    assert len(comment) <= markdown.BUDGET
    assert "house-{00000..09990..10}/desk" in comment
    assert comment.count("Braces stand for") == 1


def test_failures_of_different_causes_are_not_one() -> None:
    found = Ledger()
    action = action_of(copies(1).plan().pending[0])
    for number, cause in enumerate(("no quota", "no quota", "a wrong key")):
        found.note(Finished(Address(f"h{number}", "desk"), action, Result.FAILED, cause))
    shown = ledger.render_text(ledger.Finish(found))
    assert "  h0/desk, h1/desk: join failed: no quota\n" in shown
    assert "  h2/desk: join failed: a wrong key\n" in shown


def test_one_mistake_of_many_agents_is_one_block() -> None:
    found = [
        Problem("wrong-type", f'idle_timeout must be a whole number, not "{number}"', Span("a.yaml", 3, 5))
        for number in range(200)
    ]
    found.append(Problem("wrong-type", "idle_timeout must be positive", Span("a.yaml", 3, 5)))
    shown = problems.problem_lines(found, RenderOptions(read_source=lambda file: None))
    assert shown.count("must be a whole number") == 1
    assert '"{~0 | 1 | 10 | … 200 values~}"' in shown
    assert "200 times from this place" in shown
    assert shown.count("idle_timeout must be positive") == 1
    assert "201 errors, 0 warnings" in shown


@given(TEXTS, st.integers(30, 300))
@QUICK
def test_folding_loses_nothing(line: str, width: int) -> None:
    line = (line * 40).replace("\n", "").replace("\x1b", "").replace("↳", "")
    shown = folded(f"      + {line}", width)
    assert max(map(len, shown.split("\n"))) <= max(width, LONGEST)
    assert re.sub(r"\s", "", shown.replace("↳", "")) == re.sub(r"\s", "", f"+{line}")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_command_that_becomes_longer_after_folding_is_folded_anew(width: int) -> None:
    line = "  #   held because somebody runs there; take it over (`reconciler adopt a/b A1`), or do something else"
    shown = folded(f"before it\n{line}\nafter it", width)
    longer = shown.replace("reconciler adopt", "reconciler adopt -C hotels -e prod")
    again = refolded(longer, width)
    assert max(map(len, again.split("\n"))) <= width
    unfolded = " ".join(again.replace("↳ ", "").split())
    assert unfolded == " ".join(
        f"before it {line} after it".replace("adopt", "adopt -C hotels -e prod").split()
    )
    assert again.startswith("before it\n") and again.endswith("\nafter it")
    assert refolded(shown, width) == shown


def test_folding_ends_colours_with_each_line() -> None:
    shown = folded("  \x1b[32m" + "word " * 100 + "\x1b[0m end")
    lines = shown.split("\n")
    assert len(lines) > 1
    assert all(each.count("\x1b[32m") == each.count("\x1b[0m") for each in lines)
