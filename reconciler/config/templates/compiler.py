"""Compile Jinja templates in values: a text is compiled once, rendered many times, and its result never rendered again.

A value that is exactly one `{{ expression }}` keeps its type; all others are text. Where the service has variables of
its own, a bare `{{name}}` that the agent declares must stay in the text: it is protected before Jinja parses the text,
also in included prompts. What a template may do is in `sandbox`.
"""

from __future__ import annotations

import keyword
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import BaseLoader, TemplateNotFound, nodes
from jinja2.runtime import Context

from reconciler.config.files.documents import Files, Unreadable
from reconciler.config.templates.checks import check_includes, optional_names, parse
from reconciler.config.templates.data import DataFiles, plain
from reconciler.config.templates.errors import TemplateFault, fault_of
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import GLOBALS, MAX_TEXT, NativeSandbox, Sandbox, as_text
from reconciler.diagnostics import Problems

RESERVED = frozenset(
    {"fleet", "environment", "channel", "agent", "range", "load", "loop", "self", "super", "caller"}
)

_KEEPS_NAMES: tuple[type[nodes.Node], ...] = (
    nodes.Assign,
    nodes.AssignBlock,
    nodes.Macro,
    nodes.Import,
    nodes.FromImport,
    nodes.Block,
    nodes.Extends,
)
_REPEATS: tuple[type[nodes.Node], ...] = (nodes.For, nodes.Include, nodes.CallBlock, nodes.Call, nodes.Block)
_EXACT = frozenset({str, int, float, bool, type(None), dict, list})
_FROM_DATA = (nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const)


def is_free(name: str) -> bool:
    """Return whether a name can be used for a variable or a loop's item."""
    usable = name.isidentifier() and not name.startswith("_") and not keyword.iskeyword(name)
    return usable and name not in RESERVED


class Template:
    """One compiled text. `names` are the variables that it may need, `bare` the variable that it only repeats."""

    __slots__ = (
        "_from_data",
        "_jinja",
        "_keys",
        "_optional",
        "_own_names",
        "_progress",
        "_repeats",
        "_run",
        "bare",
        "names",
        "native",
        "text",
    )

    def __init__(
        self,
        text: str,
        jinja: jinja2.Template,
        tree: nodes.Template,
        names: frozenset[str],
        native: bool,
        progress: WorkProgress,
    ) -> None:
        self.text = text
        self.names = names
        self.native = native
        self._jinja = jinja
        self._progress = progress
        self._run = jinja.root_render_func
        self._optional = optional_names(tree)
        self._own_names = _has(tree, _KEEPS_NAMES)
        self._repeats = _has(tree, _REPEATS)
        expression = _single_expression(tree) if native else None
        self.bare = expression.name if isinstance(expression, nodes.Name) else None
        self._from_data = _is_from_data(expression)
        self._keys = _keys(expression)

    def render(self, context: Context) -> Any:
        """Return the value in a context; raise `TemplateFault`."""
        if self._own_names:
            context = self._jinja.new_context(context.parent, shared=True)
        if (
            self._keys
        ):  # most values only repeat a part of the data; what is unusual about one is left to Jinja
            value: Any = context.parent
            for key in self._keys:
                value = value.get(key) if value.__class__ is dict else None
            if value is not None and value.__class__ in _EXACT:
                return value
        try:
            if self._from_data:
                [value] = self._run(context)
                return value if value.__class__ in _EXACT else plain(value)
            if self.native:
                with self._progress.template():
                    [value] = self._run(context)
                    return plain(value)
            if self._repeats:
                with self._progress.template():
                    return "".join(bounded(self._run(context)))
            text = "".join(self._run(context))
        except TemplateFault:
            raise
        except Exception as error:  # noqa: BLE001  # an expression may raise anything
            missing = self.names - self._optional - context.parent.keys()
            raise fault_of(error, missing=missing) from None
        if len(text) > MAX_TEXT:
            raise TemplateFault("template-size", f"the text is longer than {MAX_TEXT:,} characters")
        return text


class Templates:
    """Compiles texts, each once for each set of protected names."""

    def __init__(self, files: Files, problems: Problems, progress: WorkProgress) -> None:
        self._files = files
        self.progress = progress
        data = DataFiles(files, problems, progress)
        self.globals: dict[str, Callable[..., Any]] = {**GLOBALS, "load": data.load}
        self._compilers: dict[frozenset[str], _Compiler] = {}

    def compile(self, text: str, protected: frozenset[str] = frozenset()) -> Template:
        """Return the compiled text; raise `TemplateFault`. `protected` are the service's own run-time variables."""
        return self._compiler(protected).compile(text)

    def context(self, names: dict[str, Any]) -> Context:
        """Return a context over names, for any number of templates; names may be added later."""
        return Context(self._compiler(frozenset()).text, names, None, {})

    def names_used(self) -> set[str]:
        """Return every variable that a template compiled so far may need."""
        return {name for compiler in self._compilers.values() for name in compiler.names_used()}

    def _compiler(self, protected: frozenset[str]) -> _Compiler:
        known = self._compilers.get(protected)
        if known is None:
            known = _Compiler(self._files, self.globals, protected, self.progress)
            self._compilers[protected] = known
        return known


class _Compiler:
    """The two environments for one set of protected names, and the templates compiled in them."""

    def __init__(
        self, files: Files, globals: Mapping[str, Any], protected: frozenset[str], progress: WorkProgress
    ) -> None:
        loader = Loader(files)
        self._progress = progress
        self.text = _Protecting(globals, protected, loader=loader, finalize=as_text)
        self.native = _NativeProtecting(globals, protected, loader=loader)
        self._files = files
        self._known: dict[str, Template | TemplateFault] = {}

    def compile(self, text: str) -> Template:
        known = self._known.get(text)
        if known is None:
            try:
                known = self._compile(text)
            except TemplateFault as fault:
                known = fault
            self._known[text] = known
        if isinstance(known, TemplateFault):
            raise known
        return known

    def names_used(self) -> Iterator[str]:
        for known in self._known.values():
            if isinstance(known, Template):
                yield from known.names

    def _compile(self, text: str) -> Template:
        tree, names = parse(self.native, text)
        names |= check_includes(self._files, self.text, tree)
        native = _single_expression(tree) is not None
        environment = self.native if native else self.text
        tree.set_environment(environment)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # Python's, about generated code
                return Template(text, environment.from_string(tree), tree, names, native, self._progress)
        except Exception as error:  # noqa: BLE001  # an expression may raise anything
            raise fault_of(error) from None


class Loader(BaseLoader):
    """Loads included templates from the fleet's directory; `Files` keeps their digests."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, None]:
        try:
            # As Jinja does: the line break at the end of a file is not part of the text.
            return self._files.text(template).removesuffix("\n"), template, None
        except Unreadable as error:
            raise TemplateNotFound(template, error.problem.summary) from None


class _Protecting(Sandbox):
    """A sandbox that does not render the service's own `{{name}}`, in every text that it parses."""

    def __init__(self, globals: Mapping[str, Any], protected: frozenset[str], **options: Any) -> None:
        super().__init__(globals, **options)
        self.protected = protected

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        return _protect(self, source, self.protected) if self.protected else source


class _NativeProtecting(NativeSandbox, _Protecting):
    """The same sandbox for values that keep their type."""


def _protect(environment: jinja2.Environment, source: str, names: frozenset[str]) -> str:
    """Return the text with every bare `{{name}}` of these names made raw."""
    pieces: list[str] = []
    tokens = list(environment.lexer.tokeniter(source, None))
    index = 0
    while index < len(tokens):
        kind, text = tokens[index][1], tokens[index][2]
        if kind == "variable_begin" and text == "{{":
            end = index + 1
            while end < len(tokens) and tokens[end][1] != "variable_end":
                end += 1
            inside = "".join(token[2] for token in tokens[index + 1 : end]).strip()
            own = inside in names or f"{inside.partition('.')[0]}.*" in names
            if own and end < len(tokens) and tokens[end][2] == "}}":
                whole = "".join(token[2] for token in tokens[index : end + 1])
                pieces.append(f"{{% raw %}}{whole}{{% endraw %}}")
                index = end + 1
                continue
        pieces.append(text)
        index += 1
    return "".join(pieces)


def _single_expression(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression of a template that is exactly one expression, else None."""
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) and len(tree.body[0].nodes) == 1:
        [only] = tree.body[0].nodes
        return None if isinstance(only, nodes.TemplateData) else only
    return None


def _has(tree: nodes.Template, kinds: tuple[type[nodes.Node], ...]) -> bool:
    return any(isinstance(node, kinds) for node in tree.find_all(nodes.Node))


def _is_from_data(expression: nodes.Expr | None) -> bool:
    """Return whether a value can only be a part of the variables, which are plain data already."""
    if not isinstance(expression, _FROM_DATA) or isinstance(expression, nodes.Const):
        return False
    return all(isinstance(node, _FROM_DATA) for node in expression.find_all(nodes.Expr))


def _keys(expression: nodes.Expr | None) -> tuple[str, ...]:
    """Return the name and the keys of an expression such as `hotel.address.city`; nothing for any other."""
    keys: list[str] = []
    while isinstance(expression, nodes.Getattr):
        keys.insert(0, expression.attr)
        expression = expression.node
    return (expression.name, *keys) if isinstance(expression, nodes.Name) else ()


def bounded(pieces: Iterator[str], most: int = MAX_TEXT) -> Iterator[str]:
    """Yield the pieces of a text; raise `TemplateFault` when they are too many characters together."""
    room = most
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise TemplateFault("template-size", f"the text is longer than {most:,} characters")
        yield piece
