"""Run the templates of a load in a `worker`: whole files, and the agents of compiled blocks.

Everything else that rendering finds (problems, the files that it read, the names that it used) is sent at its end. No
template runs in this process itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from reconciler.config.expand.blocks import CompiledFile, agent_blocks
from reconciler.config.expand.loops import Expansion, RenderedAgent
from reconciler.config.expand.variables import TemplateFailure, VariableScope
from reconciler.config.files.documents import Files, Unreadable
from reconciler.config.templates.errors import TemplateFault, offer
from reconciler.config.templates.whole_files import FileTemplate, RenderedFile
from reconciler.config.templates.worker import Ended, Worker, WorkerLimits
from reconciler.diagnostics import Problem, Problems, Severity, Span
from reconciler.model.fleet import FLEET_FILE
from reconciler.model.spec import describe
from reconciler.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a rendering besides its result: problems, digests of files, names used."""

    problems: tuple[Problem, ...]
    digests: dict[str, str]
    names: frozenset[str]


_PARTS = (RenderedAgent, RenderedFile, Findings, Problem, Severity, Span)


class Rendering:
    """The rendering of one load. `names` are the variables that anything rendered so far has used."""

    def __init__(self, files: Files, problems: Problems, limits: WorkerLimits) -> None:
        self.files = files
        self.problems = problems
        self.worker = Worker(limits, _PARTS)
        self.names: set[str] = set()

    def file(self, name: str, named_at: Span | None, root: VariableScope) -> RenderedFile | None:
        """Return a rendered whole-file template; None if it cannot be rendered, which is reported."""
        made = list(self._run(lambda: self._file(name, named_at, root), root, lambda _number: Span(name)))
        return made[0] if made else None

    def agents(self, expansion: Expansion, files: Sequence[CompiledFile]) -> Iterator[RenderedAgent]:
        """Yield every agent that could be rendered, as it comes."""
        blocks = agent_blocks(files)

        def at(number: int) -> Span:
            if not 0 <= number < len(blocks):
                return Span(FLEET_FILE)
            section = blocks[number].section
            return section.document.at(section.tree)

        texts: dict[str, str] = {}  # equal texts of all batches are one object
        for batch in self._run(lambda: expansion.run(files), expansion.root, at):
            for agent in batch:
                values = agent.values
                values[:] = [
                    texts.setdefault(each, each) if each.__class__ is str else each for each in values
                ]
                yield agent

    def _run(
        self, work: Callable[[], Iterator[T]], root: VariableScope, place: Callable[[int], Span]
    ) -> Iterator[T]:
        """Run work in the worker and yield its results; keep its findings, and report if it ended early."""
        parts: Iterator[T | Findings] = self.worker.run(lambda: self._with_findings(work, root))
        try:
            for part in parts:
                if isinstance(part, Findings):
                    self._take_over(part)
                else:
                    yield part
        except Ended as ended:
            self.problems.add(replace(ended.problem, at=place(ended.number)))

    def _take_over(self, findings: Findings) -> None:
        for each in findings.problems:
            self.problems.add(each)
        self.files.digests.update(findings.digests)
        self.names |= findings.names

    # --- in the worker

    def _with_findings(self, work: Callable[[], Iterator[T]], root: VariableScope) -> Iterator[T | Findings]:
        yield from work()
        for found in root.shared.faults:
            self.problems.add(_problem_of(found, self.files))
        names = root.shared.templates.names_used() | self.names
        yield Findings(tuple(self.problems.found.values()), self.files.digests, frozenset(names))

    def _file(self, name: str, named_at: Span | None, root: VariableScope) -> Iterator[RenderedFile]:
        try:
            template = FileTemplate(self.files, root.shared.templates.globals, name, self.worker.progress)
            self.names |= template.needs
            root.ensure(template.needs)
            yield template.render(root.names)
        except Unreadable as error:
            self.problems.add(error.placed(name, named_at))
        except TemplateFault as fault:
            if not fault.reported:
                fault.locate(name)
                if fault.missing:
                    fault.explain(offer(fault.missing, root.visible(), ""))
                self.problems.add(fault.problem)


_BLOCK_SCALAR: Final = re.compile(r"(?:[&!]\S+\s+)*[|>]")


def _problem_of(found: TemplateFailure, files: Files) -> Problem:
    """Return the problem for a template's fault, placed in the included file or in the line of the value."""
    fault = found.fault
    place = found.origin.place(found.path)
    here = place.value_span if place is not None else None
    related: tuple[tuple[Span, str], ...] = ()
    where = here
    if fault.file:
        where = Span(fault.file, fault.line)
        related = ((here, "included from here"),) if here is not None else ()
    elif here is not None and place is not None and place.layer.document.template_line is None:
        where = _line_inside(here, fault.line, files)
    path = describe(found.path) or None
    return replace(fault.problem, at=where, why=found.subject or None, path=path, related=related)


def _line_inside(here: Span, line: int, files: Files) -> Span:
    """Return the file's line for a line of a value: the text of a block scalar begins in the line below its mark."""
    lines = files.text(here.file).split("\n")
    opening = lines[here.line - 1][here.column - 1 :] if here.line <= len(lines) else ""
    if _BLOCK_SCALAR.match(opening) is not None:
        number = here.line + line
        text = lines[number - 1] if number <= len(lines) else ""
        return Span(here.file, number, len(text) - len(text.lstrip()) + 1)
    return Span(here.file, here.line + line - 1, 1) if line > 1 else here
