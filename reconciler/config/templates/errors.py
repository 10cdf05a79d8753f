"""The faults of a template, and the translation of Jinja's exceptions to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType

from jinja2 import TemplateNotFound, TemplateSyntaxError
from jinja2.environment import Template as JinjaTemplate
from jinja2.exceptions import SecurityError, UndefinedError

from reconciler.config.files.documents import Unreadable
from reconciler.config.templates.data import DataDamaged
from reconciler.config.templates.progress import TooLong
from reconciler.config.templates.sandbox import Forbidden, NotThere
from reconciler.config.templates.worker import WorkerLimits
from reconciler.diagnostics import Problem, ProblemError, Span, did_you_mean

# Python's text for an object without a form of its own; it contains a memory address that differs in each run.
_ADDRESS = re.compile(r"\A([^<]*)<.* at 0x[0-9a-f]+>+")
# Names that other tools have for the environment, and the expressions that read a variable from it.
_ENVIRONMENT = frozenset({"env", "environ", "getenv", "os"})
_ASKED = re.compile(r"\b(?:env|environ|getenv)(?:\.get)?\W{1,3}([A-Za-z_][A-Za-z0-9_]*)")


class TemplateFault(ProblemError):
    """A fault of a template; the problem's place is a line of its text, or of a file that it includes.

    `missing` are names that do not exist; a `reported` fault is among the problems already.
    """

    def __init__(
        self,
        rule: str,
        summary: str,
        *,
        line: int = 1,
        help: str | None = None,
        missing: tuple[str, ...] = (),
        reported: bool = False,
    ) -> None:
        super().__init__(Problem(rule, summary, Span("", line), help))
        self.missing = missing
        self.reported = reported

    @property
    def file(self) -> str:
        """The included file that has the fault; empty for the template's own text."""
        return self._at.file

    @property
    def line(self) -> int:
        return self._at.line

    @property
    def _at(self) -> Span:
        assert self.problem.where is not None, "every fault is in some line"
        return self.problem.where

    def locate(self, file: str | None, line: int | None = None) -> None:
        """Set the file, if it is not known yet, and the line."""
        at = self._at
        self.problem = replace(self.problem, at=Span(at.file or file or "", line or at.line))

    def explain(self, help: str) -> None:
        """Set the help."""
        self.problem = replace(self.problem, help=help)


def fault_of(error: BaseException, *, missing: Iterable[str] = ()) -> TemplateFault:
    """Return the fault for any exception of Jinja or of a template's own expressions.

    `missing` are names that the template needs and that do not exist, so that all are reported at once.
    """
    fault = _explained(error, sorted(missing))
    fault.locate(*_place(error))
    return fault


def _explained(error: BaseException, missing: list[str]) -> TemplateFault:
    match error:
        case TemplateFault():
            return error
        case DataDamaged():
            return TemplateFault("data-file", f"{error} has problems", reported=True)
        case Unreadable():
            return TemplateFault(error.problem.rule, error.problem.summary, help=error.problem.help)
        case Forbidden() | SecurityError():
            return _forbidden(str(error))
        case NotThere():
            return _not_there(error, missing)
        case UndefinedError():
            return TemplateFault("undefined-variable", str(error))
        case TemplateNotFound():
            return TemplateFault("template-include", error.message or f"no file {error}")
        case TemplateSyntaxError():
            message = (error.message or "").rstrip(".")
            fault = TemplateFault("template-syntax", f"not a template: {message}", line=error.lineno)
            fault.locate(error.name)
            return fault
        case TooLong():
            summary = f"the template takes longer than {WorkerLimits().template_seconds:g} s"
            return TemplateFault(
                "template-time", summary, help="repeat less: a loop within a loop multiplies"
            )
        case RecursionError() | MemoryError():
            return TemplateFault("template-size", "the template nests too deeply or needs too much memory")
        case _:
            message = _ADDRESS.sub(r"\1a function", str(error).split("\n")[0]) or type(error).__name__
            return TemplateFault("template-failed", f"the expression fails: {message}")


def _forbidden(message: str) -> TemplateFault:
    what, _, help = message.partition("; ")
    if "is not safely callable" in what:
        what = "the template calls something that is not for templates"
    return TemplateFault("template-forbidden", f"not possible in a template: {what}", help=help or None)


def _not_there(error: NotThere, missing: list[str]) -> TemplateFault:
    if isinstance(error.owner, dict):
        keys = [each for each in error.owner if isinstance(each, str)]
        help = did_you_mean(str(error.name), keys) or f"it has: {', '.join(sorted(keys)[:12]) or 'nothing'}"
        return TemplateFault("undefined-variable", f'there is no "{error.name}" in this mapping', help=help)
    if missing:
        quoted = ", ".join(f'"{each}"' for each in missing)
        verb = "is not defined" if len(missing) == 1 else "are not defined"
        return TemplateFault("undefined-variable", f"{quoted} {verb}", missing=tuple(missing))
    return TemplateFault("undefined-variable", str(error))


def offer(missing: Sequence[str], known: Iterable[str], text: str) -> str:
    """Return what to do about names that do not exist, from the known names and the text of the template."""
    if _ENVIRONMENT.intersection(missing):
        asked = _ASKED.search(text)
        name = asked[1] if asked else "NAME"
        return f"write ref+env://{name}, without braces: templates do not see the environment"
    known = sorted(known)
    hints = [(each, hint) for each in missing if (hint := did_you_mean(each, known))]
    if hints:
        return "; ".join(hint if len(missing) == 1 else f"{each}: {hint}" for each, hint in hints)
    return (
        f"defined here: {', '.join(known[:16])}"
        " (a run-time variable of the service must be declared in llm.template_variables)"
    )


def _place(error: BaseException) -> tuple[str | None, int | None]:
    """Return the innermost template line in the traceback, and its file if it is an included one."""
    found: tuple[str | None, int | None] = (None, None)
    step: TracebackType | None = error.__traceback__
    while step is not None:
        template = step.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, JinjaTemplate):
            found = (template.name, template.get_corresponding_lineno(step.tb_lineno))
        step = step.tb_next
    return found
