"""The output formats: one line each in `FORMATS`, one module each in this folder.

A module has one pure function for each kind of report that its format can render, with the kind's name: from the
value and `RenderOptions` to text. How several fleets are one report in it is in `report.several`. What a command offers under `--format` is read here, without importing a module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from reconciler.values import dataclass

# Path of a file of the fleet -> its text, or None where it cannot be shown.
ReadSource: TypeAlias = Callable[[str], "str | None"]
# Id of a rule -> what it is about in a line, and all that is to be said of it; empty where it is none of the files'.
ExplainRule: TypeAlias = Callable[[str], tuple[str, str]]


class ReportKind(StrEnum):
    """What can be reported, with the value that is rendered."""

    PLAN = "plan"  # plan.build.Plan
    MOVED = "moved"  # report.moved.Moved
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
    """Nothing to say of any rule."""
    return "", ""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How to render; a format ignores what it has no use for.

    `explain` adds the steps of each change, `full` shows each by itself. `root` is the fleet's directory as seen from the
    repository's. `quiet` leaves problems and the last line, for people. `width` is the columns that there are, None for
    as many as it takes. `budget` is the characters that a document for a comment may have, None for all of a comment. `head` says whose document it is, where that does not say it itself and stands in a list.
    """

    colour: bool = False
    explain: bool = False
    full: bool = False
    root: str = ""
    quiet: bool = False
    width: int | None = None
    budget: int | None = None
    head: tuple[tuple[str, str | None], ...] = ()
    read_source: ReadSource = _no_source
    explain_rule: ExplainRule = no_rules


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `name` is its word for `--format` and its module here; `kinds` are what it can render.

    A format that renders events makes a stream: all of an apply, the plan included, is results, line by line.
    """

    name: str
    kinds: frozenset[ReportKind]
    is_for_terminals: bool = False  # progress may redraw lines
    is_workflow_commands: bool = False  # GitHub's runner is meant to obey it
    is_one_document: bool = False  # the end of an apply holds its plan, too

    def render(self, kind: ReportKind, value: object, options: RenderOptions = RenderOptions()) -> str:
        """A value of a kind as text."""
        module = importlib.import_module(f"{__name__}.{self.name}")
        render: Callable[[object, RenderOptions], str] = getattr(module, kind.value)
        return render(value, options)


_K = ReportKind
TEXT = Format(
    "text",
    frozenset(
        {_K.PLAN, _K.MOVED, _K.DRIFT, _K.STATUS, _K.SURVEY, _K.LEDGER, _K.PROBLEMS, _K.CHECKUP, _K.RECORDS}
    ),
    is_for_terminals=True,
)
# In the order in which help lists them: the first that can render a kind is its default.
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
    Format("terraform", frozenset({_K.PLAN})),
)


def formats_for(kind: ReportKind) -> tuple[Format, ...]:
    """The formats that can render a kind; the first is the default."""
    return tuple(each for each in FORMATS if kind in each.kinds)


def named(name: str) -> Format:
    """The format of a name that was chosen among `formats_for`."""
    return next(each for each in FORMATS if each.name == name)
