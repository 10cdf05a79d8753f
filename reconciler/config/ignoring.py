"""`ignore` in fleet.yaml: warnings that the user accepts, by rule and path, with a reason.

Errors cannot be ignored: an entry for an error accepts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.config.expand.layout import Section
from reconciler.config.rules.catalogue import RULES
from reconciler.diagnostics import Problem, Problems, Severity, Span, did_you_mean
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class IgnoreEntry:
    """One entry of `ignore`; an empty path means everywhere."""

    rule: str
    path: str
    where: Span

    def accepts(self, problem: Problem) -> bool:
        """Return whether a problem is a warning of this rule, at this path or below it."""
        path = problem.path or ""
        is_below = not self.path or path == self.path or path.startswith((f"{self.path}.", f"{self.path}["))
        return problem.rule == self.rule and not problem.is_error and is_below


def read_entries(sections: Iterable[Section], problems: Problems) -> tuple[IgnoreEntry, ...]:
    """Return the entries of a fleet; problems of entries are added to `problems`."""
    entries = []
    for section in sections:
        rule, path, reason = (section.get(key) for key in ("rule", "path", "reason"))
        if not isinstance(rule, str):
            continue  # reported when the block was read
        where = section.document.value(section.tree, "rule")
        if rule not in RULES:
            help = (
                did_you_mean(rule, RULES) or "write the id that `reconciler validate` prints behind a warning"
            )
            problems.error("ignore-rule", f'no rule is called "{rule}"', where, help=help, path="ignore")
        if isinstance(reason, str) and not reason.strip():
            problems.error(
                "missing-key",
                f"the ignored {rule} has no reason",
                section.document.value(section.tree, "reason"),
                help="say why it is accepted, for whoever reads the files next",
                path="ignore",
            )
        entries.append(
            IgnoreEntry(rule, path.removeprefix("properties.") if isinstance(path, str) else "", where)
        )
    return tuple(entries)


def accept(
    problems: Problems, entries: Sequence[IgnoreEntry]
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Remove accepted warnings from the problems; return them, and a warning for each entry that accepts none."""
    accepted = []
    used = set()
    for key, problem in list(problems.found.items()):
        entry = next((each for each in entries if each.accepts(problem)), None)
        if entry is not None:
            used.add(entry)
            accepted.append(problems.found.pop(key))
    unused = [_unused(each) for each in dict.fromkeys(entries) if each not in used]
    return tuple(sorted(accepted, key=Problem.sort_key)), tuple(unused)


def _unused(entry: IgnoreEntry) -> Problem:
    where = f" at {entry.path}" if entry.path else ""
    return Problem(
        "ignore-unused",
        f"nothing warns of {entry.rule}{where}",
        entry.where,
        "remove the entry; errors cannot be ignored",
        severity=Severity.WARNING,
        path="ignore",
    )
