"""The formats that code hosts read, held against what is published of them; hostile texts in each."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.cli import several_fleets
from reconciler.diagnostics import Problem, Severity, Span
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.report import findings
from reconciler.report.formats import RenderOptions, ReportKind, named
from reconciler.report.problems import Checked
from reconciler.report.several import JOINS, FleetPart
from reconciler.workflow import Drift
from tests.unit.report.plans import World, properties, rich_world, risky_world
from tests.unit.report.test_laws import QUICK, TEXTS, hidden_in

PUBLISHED = Path(__file__).parent / "published"
ATTACKS = st.lists(
    st.sampled_from(
        ["]]>", "<![CDATA[", "&amp;", "&#0;", "\x00", "\x0b", "\ufffe", "\ud800", "::add-mask::x", "%0A::error::x", "\n::x::",
         "\r", "[[ATTACHMENT|/etc/passwd]]", "##[group]", "<!ENTITY x>", '" onclick="', "'", "word"]
    )
    | TEXTS,
    max_size=6,
).map("".join)  # fmt: skip


def shown(form: str, kind: ReportKind, value: object, root: str = "fleets/hotels") -> str:
    return named(form).render(
        kind, value, RenderOptions(root=root, explain_rule=lambda rule: (f"about {rule}", "All.\n\nMore.\n"))
    )


def hostile_plan(text: str) -> Plan:
    """A plan into which foreign text gets by every way that a code host is told of."""
    world = World().wants("a/replace", properties(tts__vendor=text or "x")).runs("a/replace")
    world.wants("a/url", properties(llm__url=f"https://evil.example/{text}")).runs("a/url")
    world.wants("a/held", properties(asr__language=text or "x"), protect=True).runs("a/held", protect=True)
    world.runs("a/gone").runs("b/gone")
    return world.plan()


def hostile_check(text: str) -> Checked:
    found = [
        Problem("unknown-key", text or "x", Span("a.yaml", 3, 5), help=text, why=text),
        Problem("unknown-key", text or "x", Span("a.yaml", 4, 5), severity=Severity.WARNING),
        Problem("no-agents", "nothing", related=((Span("b.yaml", 1, 1), text),)),
    ]
    return Checked(tuple(found), addresses=(Address("a", "b"),))


def obeyed(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands that GitHub's runner makes of a log: name, properties, message."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::([a-z-]+) ([^:]*)::(.*)", line)
        assert match is not None, line
        pairs = (each.split("=", 1) for each in match[2].split(","))
        found.append((match[1], {key: unquote(value) for key, value in pairs}, unquote(match[3])))
    return found


def suites_of(text: str) -> list[tuple[str, str, dict[str, str]]]:
    """Every element of a JUnit document below its suites, held against the schema: tag, text, attributes."""
    grammar = json.loads((PUBLISHED / "junit-10.json").read_text())
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    for each in root.iter():
        allowed = {name.rstrip("!") for name in grammar[each.tag]["attributes"]}
        needed = {name.rstrip("!") for name in grammar[each.tag]["attributes"] if name.endswith("!")}
        assert needed <= set(each.attrib) <= allowed
        assert {child.tag for child in each} <= set(grammar[each.tag]["children"])
    for suite in root:
        counts = Counter(child.tag for case in suite for child in case)
        assert [int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")] == [
            len(suite), counts["failure"], counts["error"], counts["skipped"],
        ]  # fmt: skip
    return [(each.tag, each.text or "", dict(each.attrib)) for each in root.iter()]


def require(form: str, text: str) -> Any:
    """A document that its published schema takes."""
    tree = json.loads(text)
    schema = json.loads((PUBLISHED / form).read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(tree)
    return tree


@given(ATTACKS)
@settings(QUICK, max_examples=25)
def test_whatever_the_texts_say_every_document_is_what_its_readers_publish(text: str) -> None:
    plan, checked = hostile_plan(text), hostile_check(text)
    drift = Drift(plan, 0)
    for kind, value in ((ReportKind.PLAN, plan), (ReportKind.PROBLEMS, checked), (ReportKind.DRIFT, drift)):
        document = shown("junit", kind, value)
        suites_of(document)
        assert hidden_in(document) == []
        assert "[[ATTACHMENT" not in document
        for name, head, _ in obeyed(shown("github", kind, value)):
            assert name in ("error", "warning", "notice")
            assert set(head) <= {"file", "line", "col", "title"}
        if kind is not ReportKind.DRIFT:
            require("sarif-2.1.0.json", shown("sarif", kind, value))
            found = require("codequality.json", shown("codequality", kind, value))
            assert len({each["fingerprint"] for each in found}) == len(found) > 0
    require("terraform.json", shown("terraform", ReportKind.PLAN, plan))


def test_a_hang_up_stands_on_the_line_that_causes_it_with_the_field_that_forces_it() -> None:
    found = obeyed(shown("github", ReportKind.PLAN, rich_world().plan()))
    [said] = [each for each in found if each[2].startswith("paris/concierge ")]
    assert said[:2] == (
        "warning",
        {"file": "fleets/hotels/agents/desks.yaml", "line": "12", "col": "30", "title": "ends-conversation"},
    )
    assert 'tts.params.voice_name = "en-US-AvaNeural" -> "en-US-EmmaNeural"   # forces' in said[2]
    assert found[0][0] == "notice"
    assert "4 running conversations end" in found[0][2]
    [gone] = [each for each in found if each[2].startswith("bonn/gone ")]
    assert gone[1]["file"] == "fleets/hotels/fleet.yaml"  # nothing of the files asks for it any more


def test_changes_that_different_lines_ask_for_stand_on_each() -> None:
    world = World()
    for number in range(4):
        address = f"h{number % 2}/a{number}"
        world.wants(address, properties(asr__language="de-DE")).runs(address)
        world.places[(Address.parse(address), ())] = Span("a.yaml", 5 + number % 2)
    found = obeyed(shown("github", ReportKind.PLAN, world.plan()))
    assert [(each[1].get("line"), each[2].split(" must")[0]) for each in found[1:]] == [
        ("5", "2 agents"),
        ("6", "2 agents"),
    ]
    assert "h0/a0, h0/a2" in found[1][2]


def test_dangers_come_first_and_what_a_code_host_cuts_is_counted() -> None:
    world = World()
    for number in range(40):
        body = (
            properties(llm__url="https://evil.example/v1") if number == 39 else properties(asr__language="de")
        )
        world.wants(f"h{number}/a", body).runs(f"h{number}/a")
    for number in range(12):
        world.runs(f"gone{number}/x", properties(asr__language=f"l{number}"))
    found = obeyed(shown("github", ReportKind.PLAN, world.plan()))
    kinds = Counter(name for name, _, _ in found)
    assert kinds["warning"] > 10
    first = next(each for each in found if each[0] == "warning")
    assert first[1]["title"] == "reconciler has more of them"
    assert f"9 of {kinds['warning'] - 1:,} are shown here" in first[2]
    errors = [each for each in found if each[0] == "error"]
    assert errors[0][1]["title"] == "secret-host"
    assert "evil.example" in errors[0][2]


def test_a_danger_stands_on_the_line_of_the_address() -> None:
    world = World().wants("a/b", properties(llm__url="https://evil.example/v1")).runs("a/b")
    world.places[(Address("a", "b"), ("properties", "llm", "url"))] = Span("agents/a.yaml", 77, 3)
    [danger, *_] = findings.of_plan(world.plan())
    assert (danger.rule, danger.where, danger.is_error) == ("secret-host", Span("agents/a.yaml", 77, 3), True)


def test_the_annotations_of_several_fleets_are_those_of_one_step() -> None:
    texts = []
    for fleet in range(3):
        found = tuple(Problem(f"r{fleet}", f"s{number}", Span("a.yaml", number + 1)) for number in range(11))
        texts.append(shown("github", ReportKind.PROBLEMS, Checked(found)))
        assert len(obeyed(texts[-1])) == 12
    joined = obeyed(JOINS["github"]([FleetPart("d", None, "", text=text) for text in texts]))
    assert len(joined) == 34
    assert "9 of 33 are shown here" in joined[0][2]


def test_junit_has_a_case_for_each_address_and_only_drift_makes_changes_fail() -> None:
    plan = rich_world().plan()
    addresses = {str(each.address) for each in plan.changes}
    planned = suites_of(shown("junit", ReportKind.PLAN, plan))
    drifted = suites_of(shown("junit", ReportKind.DRIFT, Drift(plan, 0)))
    for found in (planned, drifted):
        assert {head["name"] for tag, _, head in found if tag == "testcase"} == addresses
    assert [tag for tag, _, _ in planned if tag in ("failure", "error")] == []
    assert sum(tag == "skipped" for tag, _, _ in planned) == 2  # two holds
    assert sum(tag == "failure" for tag, _, _ in drifted) == len({each.address for each in plan.pending})
    risky = suites_of(shown("junit", ReportKind.PLAN, risky_world().plan()))
    kinds = [head.get("type") for tag, _, head in risky if tag == "failure"]
    assert kinds[0] == "secret-host"
    assert "limit-leave" in kinds
    valid = suites_of(shown("junit", ReportKind.PROBLEMS, Checked((), addresses=(Address("a", "b"),))))
    assert [head["name"] for tag, _, head in valid if tag == "testcase"] == ["a/b"]


def test_reports_of_several_fleets_are_one_document() -> None:
    plan = rich_world().plan()
    for form in ("junit", "codequality", "terraform"):
        text = shown(form, ReportKind.PLAN, plan)
        broken = FleetPart("<x>", None, "error: gone", 1, error=RuntimeError())
        joined = JOINS[form](
            [FleetPart("a", None, "", text=text), FleetPart("b", None, "", text=text), broken]
        )
        if form == "junit":
            assert sum(tag == "testsuite" for tag, _, _ in suites_of(joined)) == 3
            assert sum(tag == "error" for tag, _, _ in suites_of(joined)) == 1
        elif form == "terraform":
            assert require("terraform.json", joined)["create"] == 2 * json.loads(text)["create"] > 0
        else:
            assert require("codequality.json", joined) == json.loads(text)


def test_a_finding_of_code_quality_keeps_its_fingerprint_when_lines_move() -> None:
    def prints(line: int) -> list[str]:
        found = Checked(tuple(Problem("r", "s", Span("a.yaml", line + each)) for each in range(2)))
        return [each["fingerprint"] for each in json.loads(shown("codequality", ReportKind.PROBLEMS, found))]

    assert prints(3) == prints(90)
    assert len(set(prints(3))) == 2


def test_every_rule_of_a_plan_says_what_it_means() -> None:
    for world in (rich_world(), risky_world()):
        [run] = require("sarif-2.1.0.json", shown("sarif", ReportKind.PLAN, world.plan()))["runs"]
        for rule in run["tool"]["driver"]["rules"]:
            assert len(rule["help"]["text"]) > len(rule["fullDescription"]["text"]) > 20


@pytest.mark.parametrize("name", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_paths_count_from_the_checkout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = tmp_path / "deep" / "fleet"
    fleet.mkdir(parents=True)
    for each in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.chdir(tmp_path / "deep")
    assert several_fleets.root_of("fleet") == "fleet"
    assert several_fleets.root_of(".") == several_fleets.root_of(str(fleet)) == ""
    monkeypatch.setenv(name, str(tmp_path))
    assert several_fleets.root_of("fleet") == several_fleets.root_of(str(fleet)) == "deep/fleet"
    assert several_fleets.root_of(".") == "deep"
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert several_fleets.root_of("fleet") == "fleet"
