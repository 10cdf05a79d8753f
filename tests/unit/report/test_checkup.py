"""What `doctor` found, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.diagnostics import Problem, Severity, Span
from reconciler.ports import Passed
from reconciler.report.checkup import Examined
from reconciler.report.formats import RenderOptions, ReportKind, named
from reconciler.workflow import Checkup

CHECKUP = Checkup(
    (
        Passed("files", "12 agents in 12 channels"),
        Problem(
            "credentials", "a call with X failed: HTTP 401", help="copy X anew", severity=Severity.WARNING
        ),
        Problem("state", "the state is \u202eread-only\nhere", help="chown it"),
        Passed("hosts", "api.example.com gets ref+env://" + "LONG_" * 60),
        Problem("quota", "30 would run " + "and more " * 30),
    )
)
FILES = (
    Problem("missing-property", "llm.url is missing", Span("fleet.yaml", 2, 3), help="write llm.url"),
    Problem("unknown-key", "no such key", Span("fleet.yaml", 1, 1), severity=Severity.WARNING),
)
EXAMINED = Examined("hotel", "prod", CHECKUP, FILES)


def rendered(form: str, value: Examined, *, colour: bool = False) -> str:
    options = RenderOptions(colour=colour, read_source=lambda _: "fleet: hotel\nchannels: []\n")
    return named(form).render(ReportKind.CHECKUP, value, options)


def test_as_text(golden: Callable[[str, str], None]) -> None:
    golden("report/checkup.txt", rendered("text", EXAMINED))


@pytest.mark.parametrize("width", [80, 40])
def test_lines_fit_the_terminal_and_no_word_is_broken(width: int) -> None:
    options = RenderOptions(width=width, wraps=True)
    text = named("text").render(ReportKind.CHECKUP, replace(EXAMINED, files=()), options)
    assert [line for line in text.splitlines() if len(line) > width and " " in line.strip()] == []
    assert "ref+env://" + "LONG_" * 60 in text.split()
    assert "".join(text.split()) == "".join(rendered("text", replace(EXAMINED, files=())).split())


def test_in_colour(golden: Callable[[str, str], None]) -> None:
    golden("report/checkup-colour.txt", rendered("text", EXAMINED, colour=True))


def test_as_json(golden: Callable[[str, str], None]) -> None:
    golden("report/checkup.json", rendered("json", EXAMINED))


def test_a_warning_of_the_files_is_no_finding() -> None:
    sound = replace(EXAMINED, checkup=Checkup((Passed("files", "one"),)), files=FILES[1:])
    assert json.loads(rendered("json", sound))["ready"] is True
    assert rendered("text", sound).endswith("hotel (prod): an apply has all that it needs.\n")


def test_without_a_single_row() -> None:
    text = rendered("text", Examined("", None, Checkup(()), FILES[:1]))
    assert text.endswith("1 error, 0 warnings\n\n1 finding.\n")
    named_only = rendered("text", Examined("", "prod", Checkup(()), FILES[:1]))
    assert named_only.endswith("\n\n(prod): 1 finding.\n")
