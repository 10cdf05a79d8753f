"""The table: what is measured, against what, and how much it may be. A goal without a figure was not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table. `key` is how measurements name it."""

    key: str
    work: str
    floor: str
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement of a goal: `case` where it has several, `ours` and `floor` as people read them."""

    key: str
    ours: str
    floor: str
    ratio: float | None
    met: bool
    case: str = ""


GOALS: tuple[Goal, ...] = (
    Goal("help", "`--help`, `version`, completion, one <TAB>", '`python -c "import click"`', "≤ 1.2 ×"),
    Goal(
        "start",
        "`plan` of ten agents, embedded simulator",
        "importing the packages that a plan needs",
        "≤ 2.25 ×",
    ),
    Goal(
        "for-each",
        "load, render, validate, digest: one `for_each`, 18 templates each",
        "one compiled function over the items, and the three other steps by hand",
        "≤ 1.6 ×",
    ),
    Goal(
        "spelled",
        "the same, spelled out in 100 files",
        "libyaml's events, and the four steps by hand",
        "≤ 2.25 ×",
    ),
    Goal("plan", "load and plan, 1 % changed, the state read from disk", "the load alone", "≤ 1.4 ×"),
    Goal(
        "read",
        "`plan` of as many joins, CPU of the command",
        "`validate` of the same fleet",
        "≤ 1.3 ×, ≤ 1 MB; JSON ≤ 1.6 ×",
    ),
    Goal(
        "read-memory", "the same, its peak of memory", "`validate` of the same fleet", "≤ 1.2 ×; JSON ≤ 1.6 ×"
    ),
    Goal("growth", "load, state and plan, from 1,000 to 100,000 agents", "linear", "exponent ≤ 1.05"),
    Goal("memory", "peak of that", "the rendered fleet as JSON, each distinct prompt once", "≤ 4.5 ×"),
    Goal("memory-100k", "peak of that, 100,000 agents", "–", "≤ 2.5 GiB"),
    Goal(
        "calls",
        "calls of a plan, counted by the simulator",
        "pages of the list, and ids never seen before",
        "exactly that",
    ),
    Goal(
        "strangers",
        "`plan` of ten agents beside foreign ones",
        "the same plan without them",
        "≤ 30 s the first time, ≤ 1.2 × afterwards",
    ),
    Goal(
        "sdk",
        "`apply` until the last change, default settings, `reconciler simulator`",
        "the vendor's SDK in ten threads, same joins",
        "≤ 0.6 ×",
    ),
    Goal("pace", "`apply` of new agents at a service that refuses what is too fast", "–", "≤ 5 s"),
    Goal("refused", "calls that such a service refuses", "–", "≤ 2 %"),
    Goal(
        "client",
        "CPU of the client a join, from the plan to the last change",
        "a bare httpx client per worker, same bodies",
        "≤ 1.0 ×",
    ),
    Goal(
        "latency",
        "apply after its plan, 50 ms of latency",
        "changes × latency ÷ parallelism + serial depth × latency",
        "≤ 1.3 ×",
    ),
    Goal(
        "durable",
        "making one change durable, 10,000 agents in the state",
        "one SQLite commit (WAL, FULL)",
        "≤ 2 ×",
    ),
    Goal("flat", "the same", "with 100 agents in the state", "flat (≤ 1.25 ×)"),
    Goal("size", "size of the state, 10,000 agents, one prompt of 4 KB", "–", "≤ 2 KB an agent"),
    Goal("diff", "the field differences of one changed agent", "–", "≤ 1.5 ms"),
    Goal("no-deepdiff", "a plan in which nothing changed", "–", "never imports deepdiff"),
    Goal("watch", "a turn of `watch` with nothing to do, 1,000 agents", "–", "≤ 0.15 s"),
    Goal("watch-memory", "peak of that", "–", "≤ 120 MB"),
    Goal(
        "octodns",
        "load from `for_each` and look, nothing changed, CPU",
        "`octodns-sync` of as many A records",
        "≤ 0.5 ×",
    ),
)


def table(figures: Sequence[Figure]) -> str:
    """Every goal with its figures, as Markdown."""
    lines = [
        "| work | floor, in the same run | ours | floor | ratio | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for goal in GOALS:
        found = [each for each in figures if each.key == goal.key]
        lines += [_line(goal, each) for each in found] or [
            _row(goal.work, goal.floor, "–", "–", "–", goal.text, "not measured")
        ]
    return "\n".join(lines) + "\n"


def _line(goal: Goal, figure: Figure) -> str:
    work = f"{goal.work}: {figure.case}" if figure.case else goal.work
    ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
    return _row(
        work, goal.floor, figure.ours, figure.floor, ratio, goal.text, "yes" if figure.met else "**no**"
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def missed(figures: Iterable[Figure]) -> list[str]:
    """The keys of the goals that were measured and not met."""
    return sorted({each.key for each in figures if not each.met})
