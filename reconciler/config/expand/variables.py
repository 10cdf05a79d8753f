"""Variables: levels of names, each evaluated only when it is needed, and only once.

A level belongs to the fleet (with environment and `--var`), a file, a channel or an agent; it sees itself and the
levels around it. A loop's item, the channel's and the agent's name are names of their levels too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from jinja2.runtime import Context

from reconciler.config.expand.programs import Origin, Program
from reconciler.config.templates.compiler import Template, Templates, is_free
from reconciler.config.templates.errors import TemplateFault, offer
from reconciler.config.templates.sandbox import Missing
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.scalars import scalar
from reconciler.diagnostics import Problem, Problems
from reconciler.model.tree import Path
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """One name of a level, and its program."""

    name: str
    program: Program
    origin: Origin


Level = Mapping[str, Variable]
EMPTY: Level = {}


@dataclass(slots=True)
class TemplateFailure:
    """A fault met while rendering, with the origin and the path of its template."""

    origin: Origin
    path: Path
    fault: TemplateFault
    subject: str


@dataclass(slots=True)
class Shared:
    """The data that all scopes of one rendering share: faults, each once, and long texts, each once."""

    templates: Templates
    faults: list[TemplateFailure] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    repeated: int = 0
    seen: set[tuple[object, ...]] = field(default_factory=set)

    @property
    def count(self) -> int:
        """The number of faults, repeated ones included."""
        return len(self.faults) + self.repeated


class VariableScope:
    """The names of one level at one moment (one item of a loop), over those of the levels around it."""

    __slots__ = ("_context", "_evaluating", "_level", "_outer", "names", "shared", "subject", "texts")

    def __init__(
        self, shared: Shared, level: Level, outer: VariableScope | None, own: Mapping[str, Any]
    ) -> None:
        self.shared = shared
        self.texts = shared.texts
        self.subject: str = outer.subject if outer is not None else ""
        self._level = level
        self._outer = outer
        self._evaluating: list[str] = []
        self.names: dict[str, Any] = (
            {**outer.names, **own} if outer is not None else {**shared.templates.globals, **own}
        )
        if outer is not None:
            # A name of this level hides the same name of the levels around it, also before it is evaluated.
            for name in level:
                self.names.pop(name, None)
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """Jinja's context with the names; made when the first template needs it."""
        if self._context is None:
            self._context = self.shared.templates.context(self.names)
        return self._context

    def ensure(self, wanted: Iterable[str]) -> None:
        """Evaluate the wanted names that exist."""
        names = self.names
        for name in wanted:
            if name not in names:
                self._find(name)

    def render(self, program: Program) -> Any:
        """Return the value of a program with the names of this scope."""
        self.ensure(program.needs)
        return program.render(self)

    def knows(self, name: str) -> bool:
        """Return whether a template can use a name here."""
        return (
            name in self.names or name in self._level or (self._outer is not None and self._outer.knows(name))
        )

    def visible(self) -> set[str]:
        """Return every name that a template can use here."""
        outer = self._outer.visible() if self._outer is not None else set()
        return (outer | self.names.keys() | self._level.keys()) - self.shared.templates.globals.keys()

    def fail(self) -> None:
        """Count a template that does not compile; its problem was reported when it was compiled."""
        self.shared.repeated += 1

    def record(self, origin: Origin, path: Path, fault: TemplateFault, template: Template | None) -> None:
        """Keep a fault, unless it follows from one that is known or was reported before; then only count it."""
        shared = self.shared
        if fault.reported or (template is not None and template.names & shared.failed):
            shared.repeated += 1
            return
        key = (id(origin), path, fault.problem.rule, fault.problem.summary)
        if key in shared.seen:
            # The same fault for another agent of the loop: it is counted, and reported once.
            shared.repeated += 1
            return
        shared.seen.add(key)
        if fault.missing:
            fault.explain(offer(fault.missing, self.visible(), template.text if template is not None else ""))
        shared.faults.append(TemplateFailure(origin, path, fault, self.subject))

    def _find(self, name: str) -> None:
        variable = self._level.get(name)
        if variable is not None:
            self.names[name] = self._evaluated(variable)
        elif self._outer is not None:
            self._outer.ensure((name,))
            if name in self._outer.names:
                self.names[name] = self._outer.names[name]

    def _evaluated(self, variable: Variable) -> Any:
        if variable.name in self._evaluating:
            cycle = " -> ".join((*self._evaluating[self._evaluating.index(variable.name) :], variable.name))
            fault = TemplateFault(
                "variable-cycle",
                f"variables need each other: {cycle}",
                help="give one of them a value of its own",
            )
            return self._failed(variable, fault)
        faults = self.shared.count
        self._evaluating.append(variable.name)
        self.ensure(variable.program.needs)
        self._evaluating.pop()
        value = variable.program.render(self)
        if self.shared.count > faults or variable.program.needs & self.shared.failed:
            return self._failed(variable, None)
        return value

    def _failed(self, variable: Variable, fault: TemplateFault | None) -> Any:
        if fault is not None:
            self.record(variable.origin, (), fault, None)
        self.shared.failed.add(variable.name)
        return Missing(name=variable.name)


# --- `--var`

# Characters that no file may contain unescaped: controls, invisible line separators, BOMs, single surrogates.
_RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def read_given(variables: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """Return the values of `--var KEY=VALUE` by name: YAML scalars, refused by the same rules as in a file."""
    values: dict[str, Any] = {}
    for name, text in variables.items():
        if is_free(name):
            values[name], found = _given_value(name, text)
            for each in found:
                problems.add(each)
        else:
            problems.error("variable-name", f'--var: a variable cannot be called "{name}"', None)
    return values


def _given_value(name: str, text: str) -> tuple[Any, list[Problem]]:
    """Return a value and its problems; a bad value becomes a text, so that its name does not count as undefined."""
    if found := _RAW.search(text):
        summary = f"--var {name} holds the character U+{ord(found[0]):04X}"
        return _RAW.sub("", text), [
            Problem("control-character", summary, None, help="remove it, or write it as an escape in quotes")
        ]
    if text[:1] in ("'", '"'):
        parsed = parse_yaml(text, inert=True)
        if isinstance(parsed.root, str) and not parsed.problems:
            return parsed.root, []
        told = (
            parsed.problems[0] if parsed.problems else Problem("yaml-syntax", "more follows the quotes", None)
        )
        return text, [Problem(told.rule, f"--var {name}: {told.summary}", None, help=told.help)]
    try:
        return scalar(text), []
    except ValueError as error:
        return text, [Problem("yaml-number", f"--var {name}: {error}", None, help="quote it for YAML too")]
