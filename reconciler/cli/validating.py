"""The problems that `validate` finds in one environment or in all of them, each reported once.

A fleet may need an environment: if every environment is valid, errors without one become warnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.cli.loading import counted, declared_environments, load_files
from reconciler.diagnostics import Problem, Severity
from reconciler.errors import InvalidConfig
from reconciler.model.address import Address
from reconciler.model.fleet import EMPTY
from reconciler.report.escape import visible
from reconciler.report.problems import Checked
from reconciler.values import dataclass


def check(directory: Path, environment: str | None, variables: Mapping[str, str]) -> Checked:
    """Check one environment; without one, the fleet without an environment and every environment that it declares."""
    names: list[str | None] = [environment]
    if environment is None:
        names += declared_environments(directory)
    loads = {name: _checked(directory, name, variables) for name in names}
    found = {name: each.problems for name, each in loads.items()}
    bare = found[None] if environment is None and len(names) > 1 else ()
    if not any(each.is_error for name in names if name is not None for each in found[name]) and bare:
        found[None] = tuple(replace(each, severity=Severity.WARNING) for each in bare)
    accepted = dict.fromkeys(each for load in loads.values() for each in load.accepted)
    verdicts = tuple(each.verdict for each in loads.values() if each.verdict)
    addresses = sorted({each for load in loads.values() for each in load.addresses})
    problems = (*_merged(found), *_unused(loads.values(), environment))
    return Checked(problems, verdicts, tuple(accepted), tuple(addresses))


@dataclass(frozen=True, slots=True)
class _Load:
    """The result of loading one environment; `unused` is None if the load failed and it is not known."""

    problems: tuple[Problem, ...]
    verdict: str = ""
    accepted: tuple[Problem, ...] = ()
    unused: tuple[Problem, ...] | None = None
    addresses: tuple[Address, ...] = ()


def _unused(loads: Iterable[_Load], environment: str | None) -> tuple[Problem, ...]:
    """Return the warnings for `ignore` entries that match nothing in any environment; none if that is not known."""
    lists = [each.unused for each in loads]
    if environment is not None or any(each is None for each in lists):
        return ()
    first, *others = (each or () for each in lists)
    return tuple(each for each in first if all(each in other for other in others))


def explain_rule(rule: str) -> tuple[str, str]:
    """Return a rule's summary and the text of `explain`; two empty texts for an unknown rule."""
    from reconciler.config.rules.catalogue import RULES, explain

    return (RULES[rule], explain(rule)) if rule in RULES else ("", "")


def _checked(directory: Path, environment: str | None, variables: Mapping[str, str]) -> _Load:
    """Return the problems of one environment, and its verdict if none of them is an error."""
    try:
        fleet = load_files(directory, environment, variables.items())
    except InvalidConfig as problem:
        return _Load(problem.diagnostics)
    if not fleet.agents:
        return _Load((*fleet.warnings, _EMPTY))
    which = f" ({environment})" if environment is not None else ""
    verdict = visible(f"{fleet.owner.fleet}{which} is valid: {counted(fleet)}.")
    return _Load(fleet.warnings, verdict, fleet.accepted, fleet.unused, tuple(fleet.agents))


_EMPTY = Problem(
    "empty-fleet",
    EMPTY,
    why="an empty fleet is taken for a mistake: plan and apply refuse it",
    help="declare an agent under channels; `reconciler destroy` leaves a whole fleet",
)


def _merged(found: Mapping[str | None, tuple[Problem, ...]]) -> tuple[Problem, ...]:
    """Return every problem once, with the environments that have it unless all do."""
    having: dict[Problem, list[str | None]] = {}
    for name, diagnostics in found.items():
        for each in dict.fromkeys(diagnostics):
            having.setdefault(each, []).append(name)
    named = (
        each if len(names) == len(found) else replace(each, summary=f"{each.summary} ({_listed(names)})")
        for each, names in having.items()
    )
    return tuple(sorted(named, key=Problem.sort_key))


def _listed(names: list[str | None]) -> str:
    known = ", ".join(each for each in names if each is not None)
    parts = ["without an environment"] if None in names else []
    return " and ".join([*parts, f"in {known}"] if known else parts)
