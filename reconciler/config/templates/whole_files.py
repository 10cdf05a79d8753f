"""Render a `*.yaml.j2` as text before it is read, with places that lead back to the template.

A variable's text could add structure to the file here, so a text that YAML might read as structure must be written with
`| tojson`. To find places, the file is rendered a second time with a mark before each line of the template; the marks
are used only if the text is the same otherwise. The result is plain data (see `worker`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import yaml
from jinja2 import nodes
from jinja2.lexer import Token, TokenStream

from reconciler.config.files.data import MAX_DEPTH
from reconciler.config.files.documents import Files
from reconciler.config.templates.checks import check_includes, optional_names, parse
from reconciler.config.templates.compiler import Loader, bounded
from reconciler.config.templates.errors import TemplateFault, fault_of
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import Forbidden, Json, Sandbox, as_text, tojson
from reconciler.config.yaml.reader import event_source
from reconciler.config.yaml.scalars import scalar
from reconciler.values import dataclass

_OPEN, _CLOSE = "\ue000", "\ue001"
# Marks around a text that YAML would read as a number, a boolean or null, if it is a whole scalar.
_ALONE = re.compile("\ue002(.*)\ue003")
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
# Opens a Jinja tag, so a rendered value containing it would be rendered again.
_BRACE = re.compile(r"\{(?=[{%#])")
# What YAML would not read as plain text, in at least one context.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f{}\[\],\"'\\]|:(?:\s|$)|\s#|^[\s\-?:#&*!|>%@`]|\s$")


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """The text of a rendered file, and the origin of its lines: at each of `starts` begins one of `lines`."""

    text: str
    starts: tuple[int, ...]
    lines: tuple[int, ...]

    def template_line(self, line: int) -> int:
        """Return the template's line for a line of the text."""
        index = bisect_right(self.starts, line) - 1
        return self.lines[index] if index >= 0 else line


def as_yaml(value: Any) -> str:
    """Return a value as text inside YAML; raise `Forbidden` for a text that could add structure."""
    text = as_text(value)
    if isinstance(value, str) and not isinstance(value, Json) and _UNSAFE.search(text):
        raise Forbidden(
            "a text that YAML could read as structure; write {{ … | tojson }}, without quotes around it"
        )
    return text


def _tojson(value: Any) -> Json:
    """Return JSON whose texts stay unchanged when the values of the rendered file are rendered."""
    return Json(_BRACE.sub("{{ '{' }}", tojson(value)))


def _between_marks(value: Any) -> str:
    text = as_yaml(value)
    return f"\ue002{text}\ue003" if _is_retyped(value) else text


def _is_retyped(value: Any) -> bool:
    """Return whether a value is a text that YAML would read as another type."""
    if not isinstance(value, str) or isinstance(value, Json):
        return False
    try:
        return not isinstance(scalar(value), str)
    except ValueError:  # a number, and too large
        return True


def _first_retyped(text: str) -> tuple[str, int] | None:
    """Return the first marked text that is a whole plain scalar, and its line; None if there is none."""
    if "\ue002" not in text:
        return None
    source, depth = event_source(text), 0
    try:
        while not isinstance(event := source.get_event(), yaml.StreamEndEvent) and depth <= MAX_DEPTH:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if (
                isinstance(event, yaml.ScalarEvent)
                and not event.style
                and (found := _ALONE.fullmatch(event.value))
            ):
                return found[1], event.start_mark.line + 1  # type: ignore[union-attr]  # every event has one
    except yaml.YAMLError:
        pass  # reported when the file is parsed
    return None


class _FileSandbox(Sandbox):
    """Text templates whose values are checked for YAML; with `marked`, every line of the template is marked."""

    marked = False

    def __init__(self, globals: Mapping[str, Any], **options: Any) -> None:
        super().__init__(globals, **options)
        self.filters["tojson"] = _tojson

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        stream = super()._tokenize(source, name, filename, state)
        return TokenStream(_mark(stream), name, filename) if self.marked else stream


class _MarkedSandbox(_FileSandbox):
    marked = True


def _mark(stream: Iterable[Token]) -> Iterator[Token]:
    for token in stream:
        if token.type == "data":
            lines = enumerate(token.value.split("\n"), start=token.lineno)
            yield Token(
                token.lineno, "data", "\n".join(f"{_OPEN}{number}{_CLOSE}{line}" for number, line in lines)
            )
        else:
            yield token


def _check_quotes(tree: nodes.Template) -> None:
    """Raise for `"{{ … | tojson }}"`: JSON's own quotes end the surrounding ones, and the rest would be structure."""
    for output in tree.find_all(nodes.Output):
        before: nodes.Node | None = None
        for node in output.nodes:
            quoted = isinstance(before, nodes.TemplateData) and before.data.endswith(('"', "'"))
            if quoted and isinstance(node, nodes.Filter) and node.name == "tojson":
                raise TemplateFault(
                    "template-forbidden",
                    "tojson inside quotes: it brings its own",
                    line=node.lineno,
                    help="write {{ … | tojson }}, without quotes around it",
                )
            before = node


class FileTemplate:
    """One parsed `*.yaml.j2`; `needs` are the variables that it uses."""

    def __init__(self, files: Files, globals: Mapping[str, Any], name: str, progress: WorkProgress) -> None:
        self.name = name
        self._files = files
        self._progress = progress
        self._globals = globals
        self._source = files.text(name)
        tree, names = parse(self._sandbox(_FileSandbox), self._source)
        _check_quotes(tree)
        self.needs = names | check_includes(files, self._sandbox(_FileSandbox), tree)
        self._optional = optional_names(tree)

    def render(self, names: Mapping[str, Any]) -> RenderedFile:
        """Return the rendered text with these names; raise `TemplateFault`."""
        with self._progress.template():
            text = self._render(_FileSandbox, names)
        try:
            with self._progress.template():
                marked = self._render(_MarkedSandbox, names)
        except TemplateFault:
            marked = ""
        file = (
            RenderedFile(text, *_lines(marked))
            if _MARK.sub("", marked) == text
            else RenderedFile(text, (), ())
        )
        self._check_types(file, names)
        return file

    def _check_types(self, file: RenderedFile, names: Mapping[str, Any]) -> None:
        """Raise `TemplateFault` where a variable's text would be read as a value of another type."""
        with self._progress.template():
            retyped = _first_retyped(self._render(_FileSandbox, names, _between_marks))
        if retyped is not None:
            raise TemplateFault(
                "template-forbidden",
                f'the text "{retyped[0]}" would be read as a value of another type',
                line=file.template_line(retyped[1]) or 1,
                help="write {{ … | tojson }}, without quotes around it",
            )

    def _render(
        self, kind: type[_FileSandbox], names: Mapping[str, Any], finalize: Callable[[Any], str] = as_yaml
    ) -> str:
        try:
            template = self._sandbox(kind, finalize).from_string(self._source)
            context = template.new_context(dict(names), shared=True)
            return "".join(bounded(template.root_render_func(context), self._files.limits.file_bytes))
        except Exception as error:  # noqa: BLE001  # an expression may raise anything
            missing = self.needs - self._optional - names.keys()
            raise fault_of(error, missing=missing) from None

    def _sandbox(self, kind: type[_FileSandbox], finalize: Callable[[Any], str] = as_yaml) -> _FileSandbox:
        return kind(self._globals, loader=Loader(self._files), finalize=finalize)


def _lines(marked: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the lines of a rendered text that have a mark, and the template's lines in the marks."""
    found = [
        (number, int(mark[1]))
        for number, line in enumerate(marked.split("\n"), start=1)
        if (mark := _MARK.search(line))
    ]
    return tuple(number for number, _ in found), tuple(line for _, line in found)


__all__ = ["FileTemplate", "Json", "RenderedFile"]
