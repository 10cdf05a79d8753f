"""Problems of the files, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Callable

from reconciler.diagnostics import Problem, Severity, Span
from reconciler.errors import InvalidConfig, UsageError
from reconciler.report import problem_formats, problems
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

Golden = Callable[[str, str], None]

FLEET = """\
fleet: hotel-desk
defaults:
  properties:
    asr: {vendor: ares, langauge: en-US}
channels:
  - channel: lobby
    agents:
      - name: greeter
"""
FOUND = (
    Problem(
        "unknown-key",
        'asr has no key "langauge"',
        Span("fleet.yaml", 4, 25),
        help='did you mean "language"?',
        severity=Severity.WARNING,
    ),
    Problem(
        "missing-llm",
        "lobby/greeter has no llm",
        Span("fleet.yaml", 8, 9),
        why="an agent without a model cannot answer",
        help="give `llm`, or a profile that has it",
        related=((Span("fleet.yaml", 2, 1), "the defaults have none"),),
    ),
    Problem("no-file", "prompts/x.md is not there", Span("agents/gone.yaml", 1, 1)),
    Problem("no-agents", "the fleet declares no agent"),
)


def read(file: str) -> str | None:
    return FLEET if file == "fleet.yaml" else None


def test_text_with_code_frames(golden: Golden) -> None:
    golden("report/problems.txt", problems.problem_lines(FOUND, RenderOptions(read_source=read)))


def test_lines_of_files_are_cut_to_the_terminal_around_the_place() -> None:
    source = "fleet: a\n" + "x" * 60 + "HERE" + "y" * 60 + "\n" + "# " + "word " * 20 + "\n"
    found = Problem("unknown-key", "no such key", Span("fleet.yaml", 2, 61))
    lines = problems.problem_lines(
        [found], RenderOptions(width=40, read_source=lambda _: source)
    ).splitlines()
    frame = [line for line in lines if "|" in line]
    assert max(map(len, frame)) == 40
    at = next(line for line in frame if line.endswith("^")).index("^")
    assert [line[at : at + 4] for line in frame if "HERE" in line] == ["HERE"]


def test_text_in_colour(golden: Golden) -> None:
    golden(
        "report/problems-colour.txt",
        problems.problem_lines(FOUND, RenderOptions(colour=True, read_source=read)),
    )


def test_json(golden: Golden) -> None:
    text = problem_formats.render_json(Checked(FOUND))
    golden("report/problems.json", text)
    assert json.loads(text)["error_count"] == 3


def test_github(golden: Golden) -> None:
    golden("report/problems.github.txt", problem_formats.render_github(Checked(FOUND)))


def test_sarif(golden: Golden) -> None:
    text = problem_formats.render_sarif(Checked(FOUND))
    golden("report/problems.sarif.json", text)
    (run,) = json.loads(text)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])


def test_no_problem_is_counted_too() -> None:
    assert problems.problem_lines((), RenderOptions(read_source=read)) == "0 errors, 0 warnings\n"
    assert problem_formats.render_github(Checked(())) == ""
    assert json.loads(problem_formats.render_json(Checked(())))["valid"] is True


def test_an_annotation_cannot_start_another_command() -> None:
    evil = Problem(
        "r",
        "100%\r\n::set-env name=X::y\x1b[31m",
        Span("a,b:c.yaml", 1, 2),
        help="and\n::debug::z",
    )
    text = problem_formats.render_github(Checked((evil,)))
    assert text == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=2,title=r::"
        "100%25\\r%0A::set-env name=X::y\\u{1b}[31m%0Ahelp: and%0A::debug::z\n"
    )


def test_the_mark_stands_below_the_column_also_behind_what_is_spelled_out() -> None:
    found = Problem("r", "s", Span("x", 1, 5))
    lines = problems.problem_lines([found], RenderOptions(read_source=lambda _: "a\u202ebcdef")).splitlines()
    assert lines[2].index("d") == lines[3].index("^")


def test_a_very_long_line_is_shown_around_the_column() -> None:
    found = Problem("r", "s", Span("x", 1, 5_001))
    lines = problems.problem_lines(
        [found], RenderOptions(read_source=lambda _: "x" * 5_000 + "HERE" + "x" * 5_000)
    ).splitlines()
    assert max(map(len, lines)) < 200
    assert lines[2][lines[3].index("^") :].startswith("HERE")


def test_a_column_or_line_beyond_the_file_is_no_trouble() -> None:
    for span in (Span("x", 1, 99), Span("x", 99, 1)):
        assert "error: s [r]" in problems.problem_lines(
            [Problem("r", "s", span)], RenderOptions(read_source=read)
        )


def test_errors_say_what_and_what_to_do() -> None:
    error = UsageError("--target matches \x1b[2Jno agent", hint="an address is <channel>/<agent>")
    assert problems.render_error(error, colour=False) == (
        "error: --target matches \\u{1b}[2Jno agent [usage]\n    an address is <channel>/<agent>"
    )
    assert problems.render_error(InvalidConfig(FOUND), colour=False).endswith(
        "3 errors; nothing was done [invalid-config]"
    )


def test_machines_look_from_the_root_of_the_repository() -> None:
    found = [Problem("r", "s", Span("agents/x y.yaml", 1, 2))]
    assert "file=fleets/hotels/agents/x y.yaml," in problem_formats.render_github(
        Checked(found), RenderOptions(root="./fleets/hotels/")
    )
    assert '"uri": "fleets/hotels/agents/x%20y.yaml"' in problem_formats.render_sarif(
        Checked(found), RenderOptions(root="fleets/hotels")
    )
