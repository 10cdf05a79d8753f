"""The output formats: one line each in `FORMATS`, which names the function that renders each kind of report.

These functions are pure: from the value and `RenderOptions` to text, or to an iterator of its pieces if the text may be
too large for the memory. One that is called `tree` makes a tree of the value alone, which is written as JSON. How the
reports of several fleets are joined is in `report.several`. The choices of `--format` are computed here: a module is
imported when one of its functions renders.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias

from reconciler.report.folding import LONGEST
from reconciler.values import dataclass

# Path of a file of the fleet -> its text, or None if it cannot be shown.
ReadSource: TypeAlias = Callable[[str], "str | None"]
# Id of a rule -> its summary in one line and its whole explanation; empty texts for an unknown rule.
ExplainRule: TypeAlias = Callable[[str], tuple[str, str]]


class ReportKind(StrEnum):
    """The kinds of reports, each with the type of the value that is rendered."""

    PLAN = "plan"  # plan.build.Plan
    MOVED = "moved"  # report.moved.ReviewDifference
    DRIFT = "drift"  # workflow.Drift
    STATUS = "status"  # report.status.StatusReport
    SURVEY = "survey"  # report.survey.SurveyReport
    EVENT = "event"  # apply.events.Event, or workflow.Planned
    LEDGER = "ledger"  # report.ledger.Finish
    PROBLEMS = "problems"  # report.problems.Checked
    CHECKUP = "checkup"  # report.checkup.Examined
    RECORDS = "records"  # report.records.StateReport
    TREE = "tree"  # model.tree.Tree
    TRACE = "trace"  # a list of report.traced.TracedValue


def _no_source(file: str) -> str | None:
    return None


def _no_rules(rule: str) -> tuple[str, str]:
    """Return two empty texts: no rule is explained."""
    return "", ""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """The options of rendering; a format ignores those that it does not use.

    `explain` adds the steps of each change, `full` shows each by itself. `root` is the fleet's directory relative to
    the repository's. `quiet` leaves problems and the last line. `width` is the number of columns, None for unlimited.
    `wraps` also breaks the lines of `doctor` at that width; without it each finding is one line, for programs that read it.
    `budget` is the number of characters that a document for a comment may have, None for a whole comment. `head` names
    the fleet of a document that is one of a list and does not name it itself.
    """

    colour: bool = False
    explain: bool = False
    full: bool = False
    root: str = ""
    quiet: bool = False
    width: int | None = None
    wraps: bool = False
    budget: int | None = None
    head: tuple[tuple[str, str | None], ...] = ()
    read_source: ReadSource = _no_source
    explain_rule: ExplainRule = _no_rules

    @property
    def columns(self) -> int:
        """The columns of a line, at most `LONGEST` of an unlimited one."""
        return self.width or LONGEST


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `name` is its word for `--format`; `kinds` are the reports that it can render.

    With each kind it has the function that renders it, as `MODULE.FUNCTION` of `report`. A format that renders events
    makes a stream: everything of an apply, the plan included, is a result, line by line.
    """

    name: str
    kinds: Mapping[ReportKind, str]
    is_for_terminals: bool = False  # progress may redraw lines
    is_workflow_commands: bool = False  # its output is commands for GitHub's runner
    is_one_document: bool = False  # the report at the end of an apply also holds its plan
    is_numbers: bool = False  # its readers know too few numbers to learn how many conversations end

    def render(self, kind: ReportKind, value: object, options: RenderOptions = RenderOptions()) -> str:
        """Return a value of a kind as text."""
        return "".join(self.pieces(kind, value, options))

    def pieces(
        self, kind: ReportKind, value: object, options: RenderOptions = RenderOptions()
    ) -> Iterable[str]:
        """Return the same text in pieces, each rendered when it is asked for; mostly it is one."""
        module, _, name = self.kinds[kind].partition(".")
        function = getattr(importlib.import_module(f"reconciler.report.{module}"), name)
        if name == "tree":
            from reconciler.report.documents import to_json

            return (to_json(function(value)),)
        found: str | Iterable[str] = function(value, options)
        return (found,) if isinstance(found, str) else found


_K = ReportKind
TEXT = Format(
    "text",
    {
        _K.PLAN: "text.render_plan",
        _K.MOVED: "moved.render_text",
        _K.DRIFT: "drift.render_text",
        _K.STATUS: "status.render_text",
        _K.SURVEY: "survey.render_text",
        _K.LEDGER: "ledger.render_text",
        _K.PROBLEMS: "problems.render_text",
        _K.CHECKUP: "checkup.render_text",
        _K.RECORDS: "records.render_text",
    },
    is_for_terminals=True,
)
# In the order of help: the first format that can render a kind is its default.
FORMATS: tuple[Format, ...] = (
    TEXT,
    Format("yaml", {_K.TREE: "documents.to_yaml", _K.TRACE: "traced.render_yaml"}),
    Format(
        "json",
        {
            _K.PLAN: "json_plan.render_json",
            _K.MOVED: "moved.tree",
            _K.DRIFT: "drift.render_json",
            _K.STATUS: "status.tree",
            _K.SURVEY: "survey.tree",
            _K.EVENT: "progress.render_json",
            _K.LEDGER: "ledger.render_json",
            _K.PROBLEMS: "problem_formats.render_json",
            _K.CHECKUP: "checkup.tree",
            _K.RECORDS: "records.tree",
            _K.TREE: "documents.to_json",
            _K.TRACE: "traced.tree",
        },
    ),
    Format(
        "markdown",
        {
            _K.PLAN: "markdown.render_plan",
            _K.MOVED: "moved.render_markdown",
            _K.DRIFT: "drift.render_markdown",
            _K.LEDGER: "ledger.render_markdown",
            _K.PROBLEMS: "problems.render_markdown",
        },
    ),
    Format(
        "html",
        {
            _K.PLAN: "html.render_plan",
            _K.DRIFT: "html.render_drift",
            _K.LEDGER: "html.render_ledger",
            _K.PROBLEMS: "html.render_problems",
        },
        is_one_document=True,
    ),
    Format(
        "github",
        {
            _K.PLAN: "findings.render_github",
            _K.DRIFT: "findings.render_drift",
            _K.PROBLEMS: "problem_formats.render_github",
        },
        is_workflow_commands=True,
    ),
    Format("sarif", {_K.PLAN: "findings.render_sarif", _K.PROBLEMS: "problem_formats.render_sarif"}),
    Format(
        "junit",
        {_K.PLAN: "junit.render_plan", _K.DRIFT: "junit.render_drift", _K.PROBLEMS: "junit.render_problems"},
    ),
    Format(
        "codequality",
        {_K.PLAN: "findings.render_code_quality", _K.PROBLEMS: "problem_formats.render_code_quality"},
    ),
    Format("terraform", {_K.PLAN: "json_plan.render_numbers"}, is_numbers=True),
)


def formats_for(kind: ReportKind) -> tuple[Format, ...]:
    """Return the formats that can render a kind; the first is the default."""
    return tuple(each for each in FORMATS if kind in each.kinds)


def named(name: str) -> Format:
    """Return the format of a name that was chosen among `formats_for`."""
    return next(each for each in FORMATS if each.name == name)
