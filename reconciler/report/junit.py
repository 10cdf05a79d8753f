"""Reports as JUnit XML: suites of test cases, one case for each address, for viewers of a job's tests.

Follows Jenkins' `junit-10.xsd` and GitLab's parser. Neither knows a place in a file, so the text of a case names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from reconciler.diagnostics import Problem
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Hold, Keep, act_of
from reconciler.report import findings, sentences
from reconciler.report.alike import grouped_by
from reconciler.report.escape import xml
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked
from reconciler.report.view import location_of
from reconciler.values import dataclass
from reconciler.workflow import Drift


class Outcome(StrEnum):
    """The outcome of a test case; except for `passed` it is the name of its element."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failure"
    BROKEN = "error"


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: `summary` is its message on one line, `text` the details; both are foreign text."""

    name: str
    outcome: Outcome = Outcome.PASSED
    summary: str = ""
    text: str = ""
    kind: str = ""


def suites(parts: Iterable[str]) -> str:
    """Return suites as one document."""
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *parts, "</testsuites>\n"])


def joined(documents: Iterable[str]) -> str:
    """Return the suites of several documents made by `suites` as one document."""
    return suites(line for each in documents for line in each.rstrip("\n").split("\n")[2:-1])


def suite(name: str, cases: Sequence[Case]) -> str:
    """Return one suite, with one case a line."""
    counts = {each: sum(1 for case in cases if case.outcome is each) for each in Outcome}
    head = (
        f'<testsuite name="{xml(name)}" tests="{len(cases)}" failures="{counts[Outcome.FAILED]}" '
        f'errors="{counts[Outcome.BROKEN]}" skipped="{counts[Outcome.SKIPPED]}">'
    )
    return "\n".join([head, *(_case(name, each) for each in cases), "</testsuite>"])


def _case(suite_name: str, case: Case) -> str:
    head = f'<testcase classname="{xml(suite_name)}" name="{xml(case.name)}"'
    text = "\n".join(part for part in (case.summary, case.text) if part)
    if case.outcome is Outcome.PASSED:
        return f"{head}><system-out>{xml(text)}</system-out></testcase>" if text else f"{head}/>"
    kind = f' type="{xml(case.kind)}"' if case.kind else ""
    message = f'{kind} message="{xml(case.summary)}"'
    return f"{head}><{case.outcome}{message}>{xml(text)}</{case.outcome}></testcase>"


# --- what the cases are ---------------------------------------------------------------------------------------


def render_plan(plan: Plan, options: RenderOptions) -> str:
    """Return a plan as a suite: dangers and refusals fail, holds are skipped, other addresses pass."""
    risks = [each for each in findings.of_plan(plan) if each.is_error]
    cases = [*map(_problem, risks), *_addresses(plan, Outcome.PASSED)]
    return suites([suite(f"plan {plan.owner}", cases)])


def render_drift(drift: Drift, options: RenderOptions) -> str:
    """Return drift as a suite: every address that drifted fails. Without drift it has one case that passes."""
    cases = list(_addresses(drift.plan, Outcome.FAILED)) or [Case("no drift")]
    return suites([suite(f"drift {drift.plan.owner}", cases)])


def render_problems(checked: Checked, options: RenderOptions) -> str:
    """Return a check of the files as a suite: errors fail, warnings and the addresses of valid files pass."""
    found = sorted(checked.diagnostics, key=Problem.sort_key)
    cases = [*map(_problem, found), *(Case(str(each)) for each in checked.addresses)]
    return suites([suite(f"validate {options.root or '.'}", cases)])


def broken(label: str, message: str) -> str:
    """Return the suite of a fleet that could not be reported."""
    return suites([suite(label, [Case(label, Outcome.BROKEN, message, kind="error")])])


def _problem(found: Problem) -> Case:
    where = f"{found.where}: " if found.where is not None else ""
    outcome = Outcome.FAILED if found.is_error else Outcome.PASSED
    text = "\n".join(part for part in (found.why, found.help) if part)
    return Case(f"{where}{found.summary}", outcome, f"{found.summary} [{found.rule}]", text, found.rule)


def _addresses(plan: Plan, pending: Outcome) -> Iterator[Case]:
    """Yield one case for each address; `pending` is the outcome of a change that is not made yet."""
    for changes in grouped_by(plan.changes, lambda each: each.address):
        open_ones = [each for each in changes if not isinstance(each, Keep)]
        if not open_ones:
            yield Case(str(changes[0].address))
            continue
        outcome = pending
        if pending is Outcome.PASSED and all(isinstance(each, Hold) for each in open_ones):
            outcome = Outcome.SKIPPED
        [first, *others] = [_told(plan, each.address, each) for each in open_ones]
        kind = act_of(open_ones[0]).reason.because.value
        yield Case(str(changes[0].address), outcome, first, "\n".join(others), kind)


def _told(plan: Plan, address: Address, change: Change) -> str:
    """Return what happens to an address, why, and the place in the files."""
    act = act_of(change)
    held = f", held because {change.reason.text}" if isinstance(change, Hold) else ""
    where = location_of(plan, change)
    place = f" ({where.file}:{where.line})" if where is not None else ""
    headline = sentences.headline(act, held=isinstance(change, Hold))
    return f"{address} {headline} because {act.reason.text}{held}{place}"
