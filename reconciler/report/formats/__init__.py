"""The output formats: one line each in `FORMATS`, one module each in this folder.

A module has one pure function for each kind of report that its format can render, named after the kind: from the value
and `RenderOptions` to text, or to an iterator of its pieces if the text may be too large for the memory. How the reports
of several fleets are joined is in `report.several`. The choices of `--format` are computed here, without importing a
module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeAlias

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


def no_rules(rule: str) -> tuple[str, str]:
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
    explain_rule: ExplainRule = no_rules


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `name` is its word for `--format` and its module here; `kinds` are the reports that it can render.

    A format that renders events makes a stream: everything of an apply, the plan included, is a result, line by line.
    """

    name: str
    kinds: frozenset[ReportKind]
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
        module = importlib.import_module(f"{__name__}.{self.name}")
        render: Callable[[object, RenderOptions], str | Iterable[str]] = getattr(module, kind.value)
        found = render(value, options)
        return (found,) if isinstance(found, str) else found


_K = ReportKind
TEXT = Format(
    "text",
    frozenset(
        {_K.PLAN, _K.MOVED, _K.DRIFT, _K.STATUS, _K.SURVEY, _K.LEDGER, _K.PROBLEMS, _K.CHECKUP, _K.RECORDS}
    ),
    is_for_terminals=True,
)
# In the order of help: the first format that can render a kind is its default.
FORMATS: tuple[Format, ...] = (
    TEXT,
    Format("yaml", frozenset({_K.TREE, _K.TRACE})),
    Format("json", frozenset(_K)),
    Format("markdown", frozenset({_K.PLAN, _K.MOVED, _K.DRIFT, _K.LEDGER, _K.PROBLEMS})),
    Format("html", frozenset({_K.PLAN, _K.DRIFT, _K.LEDGER, _K.PROBLEMS}), is_one_document=True),
    Format("github", frozenset({_K.PLAN, _K.DRIFT, _K.PROBLEMS}), is_workflow_commands=True),
    Format("sarif", frozenset({_K.PLAN, _K.PROBLEMS})),
    Format("junit", frozenset({_K.PLAN, _K.DRIFT, _K.PROBLEMS})),
    Format("codequality", frozenset({_K.PLAN, _K.PROBLEMS})),
    Format("terraform", frozenset({_K.PLAN}), is_numbers=True),
)


def formats_for(kind: ReportKind) -> tuple[Format, ...]:
    """Return the formats that can render a kind; the first is the default."""
    return tuple(each for each in FORMATS if kind in each.kinds)


def named(name: str) -> Format:
    """Return the format of a name that was chosen among `formats_for`."""
    return next(each for each in FORMATS if each.name == name)
