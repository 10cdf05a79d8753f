"""Turn a template's fault into a problem with a place: the included file's line, or the line within the value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from reconciler.config.expand.variables import TemplateFailure
from reconciler.config.files.documents import Files
from reconciler.diagnostics import Problem, Span
from reconciler.model.spec import describe

_BLOCK_SCALAR: Final = re.compile(r"(?:[&!]\S+\s+)*[|>]")


def problem_of(found: TemplateFailure, files: Files) -> Problem:
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
