"""Laws of all renderings, whatever people write into names, prompts and messages."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.apply.events import Finished, Ledger, Notice, Result
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus
from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.report import documents, escape, json_plan, ledger, markdown, progress, text
from reconciler.report.formats import RenderOptions
from reconciler.report.line_diff import text_diff
from tests.unit.report.plans import NOW, World, properties

NASTY = [
    "`",
    "```",
    "````",
    "\n",
    "\r",
    "\x1b[31m",
    "\u202e",
    "\u200b",
    "\ufeff",
    "</details>",
    "<!--",
    "-->",
    "@team",
    "|",
    "{-",
    "+}",
    "\u2028",
    "\ufe0f",
    "\U000e0041",
    "\x7f",
    "\t",
    " ",
    "::error::",
    "# x",
    "~~~",
]
TEXTS = st.lists(
    st.sampled_from(NASTY) | st.text(max_size=8) | st.sampled_from(["word", "other"]), max_size=14
).map("".join)
_CODES = re.compile(r"\x1b\[[0-9;]*m")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_seen(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def hidden_in(shown: str) -> list[str]:
    return [each for each in shown if each != "\n" and not is_seen(each)]


def nasty_plan(before: str, after: str, message: str) -> Plan:
    """A plan into which foreign text gets by every way that there is."""
    world = World()
    prompts = [[{"role": "system", "content": each}] for each in (before, after)]
    world.wants("a/update", properties(llm__system_messages=prompts[1]))
    world.runs("a/update", properties(llm__system_messages=prompts[0]))
    world.wants("a/new", properties(llm__greeting_message=after, llm__headers={after: before}))
    world.wants("a/failed").runs("a/failed").foreign(message, "a")
    agent = world.live.pop(-2)
    basis = replace(
        world.basis(), ended={agent.agent_id: replace(agent, status=AgentStatus.FAILED, message=message)}
    )
    from reconciler.plan.build import build_plan
    from tests.unit.report.plans import ABLE

    return build_plan(world.fleet(), basis, ABLE)


@given(TEXTS, TEXTS, TEXTS)
@QUICK
def test_nothing_in_a_terminal_is_hidden(before: str, after: str, message: str) -> None:
    plan = nasty_plan(before, after, message)
    assert hidden_in(text.render_plan(plan, RenderOptions(explain=True))) == []
    assert hidden_in(_CODES.sub("", text.render_plan(plan, RenderOptions(colour=True)))) == []


@given(TEXTS, TEXTS, TEXTS)
@QUICK
def test_nothing_in_a_comment_is_hidden_or_breaks_out(before: str, after: str, message: str) -> None:
    plan = nasty_plan(before, after, message)
    shown = markdown.render_plan(plan)
    assert hidden_in(shown) == []
    tokens = MarkdownIt("commonmark").enable("table").parse(shown)
    # Exactly our own blocks, one a change and one for the unmanaged agent, and exactly our own HTML between them.
    assert sum(1 for token in tokens if token.type == "fence") == len(plan.pending) + 1
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert len(blocks) == 1 + 2 * (len(plan.pending) + 1)
    assert sum(1 for token in tokens if token.type == "heading_open") == 1


@given(TEXTS, TEXTS, TEXTS)
@QUICK
def test_nothing_in_json_is_hidden_or_lost(before: str, after: str, message: str) -> None:
    plan = nasty_plan(before, after, message)
    shown = "".join(json_plan.render_json(plan))
    assert hidden_in(shown) == []
    row = next(each for each in json.loads(shown)["resource_changes"] if each["address"] == "a/update")
    assert row["change"]["after"]["properties"]["llm"]["system_messages"][0]["content"] == after


@given(TEXTS, TEXTS, TEXTS)
@QUICK
def test_equal_plans_are_equal_bytes(before: str, after: str, message: str) -> None:
    one, two = (nasty_plan(before, after, message) for _ in range(2))
    assert text.render_plan(one, RenderOptions(colour=True)) == text.render_plan(
        two, RenderOptions(colour=True)
    )
    assert markdown.render_plan(one) == markdown.render_plan(two)
    assert "".join(json_plan.render_json(one)) == "".join(json_plan.render_json(two))


@given(st.lists(TEXTS, min_size=1, max_size=30), st.integers(6_000, 60_000))
@QUICK
def test_the_budget_is_kept_and_no_danger_lost(prompts: list[str], budget: int) -> None:
    world = World().wants("a/key", properties(llm__url="https://evil.example/v1")).runs("a/key")
    for number, prompt in enumerate(prompts):
        world.wants(f"b/{number}", properties(llm__greeting_message=prompt * 40))
    plan = world.plan()
    shown = markdown.render_plan(plan, RenderOptions(budget=budget))
    assert len(shown) <= budget
    assert all(escape.prose(each.host) in shown for each in plan.dangers)
    assert plan.dangers


@given(TEXTS, TEXTS)
@QUICK
def test_a_diff_of_texts_holds_both_texts(before: str, after: str) -> None:
    lines = text_diff(before, after)
    if any(line.mark == "@" or any("[…]" in piece.text for piece in line.pieces) for line in lines):
        return  # unchanged text was left out
    for kind, whole in (("-", before), ("+", after)):
        sides = [line for line in lines if line.mark in (" ", "~", kind)]
        shown = ["".join(each.text for each in line.pieces if each.kind in (" ", kind)) for line in sides]
        assert "\n".join(shown) == whole


@given(TEXTS, TEXTS)
@QUICK
def test_events_and_ledgers_hide_nothing(detail: str, agent_id: str) -> None:
    event = Finished(Address("a", "b"), Action.JOIN, Result.FAILED, detail, agent_id)
    found = Ledger()
    found.note(event)
    found.note(Notice(detail))
    outputs = [
        progress.line(event) or "",
        progress.render_json(event),
        ledger.render_text(ledger.Finish(found, "reconciler apply")),
        ledger.render_markdown(ledger.Finish(found, "reconciler apply")),
    ]
    assert [hidden_in(each) for each in outputs] == [[], [], [], []]
    assert "\n" not in outputs[0]
    assert "\n" not in outputs[1]


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(TREES.filter(lambda tree: "\ud800" not in repr(tree)))
@QUICK
def test_documents_come_back_as_they_were(tree: object) -> None:
    written = documents.to_yaml({"tree": tree})  # type: ignore[dict-item]
    assert hidden_in(written) == []
    assert yaml.safe_load(written) == {"tree": tree}
    assert json.loads(documents.to_json({"tree": tree})) == {"tree": tree}  # type: ignore[dict-item]


def test_the_clock_is_not_part_of_a_plan() -> None:
    shown = text.render_plan(World().wants("a/b").runs("a/b", age=3).wants("a/c").plan())
    assert str(int(NOW)) not in shown
