"""The limits of templates: closed lists of names, methods, filters and tests, and bounds on operators.

A template is written by the author of a pull request, who need not be trusted. It can use plain data and what is in the
tables below, and nothing else: no environment, clock, randomness, network, or file outside the fleet.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateModule
from jinja2.exceptions import UndefinedError
from jinja2.filters import FILTERS
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import BlockReference, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import missing

from reconciler.contract.literals import word_set

MAX_TEXT = 1024 * 1024
MAX_RANGE = 10_000
MAX_BITS = 128

# The methods of data that change nothing, and whose result is not much larger than their input.
METHODS: Mapping[type, frozenset[str]] = {
    str: word_set(
        "capitalize casefold count endswith find isalnum isalpha isdigit islower isnumeric isspace isupper "
        "lower lstrip partition removeprefix removesuffix rpartition rsplit rstrip split splitlines startswith "
        "strip swapcase title upper"
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
}
_LOOP = word_set(
    "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0"
)
_KEPT_FILTERS = word_set(
    "abs capitalize count d default dictsort first float groupby int items last length list lower map max min "
    "reject rejectattr replace reverse round select selectattr sort string sum title trim truncate unique upper "
    "urlencode wordcount"
)
_TEXT_FILTERS = word_set("capitalize lower string title trim upper urlencode wordcount")
_KEPT_TESTS = word_set(
    "boolean defined divisibleby eq equalto even false float ge gt greaterthan in integer iterable le lessthan "
    "lower lt mapping ne none number odd sameas sequence string true undefined upper != < <= == > >="
)

# Well-known names that are absent on purpose, with the reason for the message.
ABSENT: Mapping[str, str] = {
    "random": "a plan must be the same each time it is made",
    "now": "templates have no clock",
    "lipsum": "a plan must be the same each time it is made",
    "env": "templates see no environment variables; pass values with --var",
    "attr": "use the dot",
    "format": "write the text with {{ … }} in it",
    "safe": "nothing is escaped here",
    "namespace": "use a filter instead of a mutable variable",
    "center": "padding is not needed in a fleet",
    "pprint": "use tojson",
}


class Forbidden(Exception):
    """A template used something that it may not use; the message says what, and what to do instead."""


class NotThere(UndefinedError):
    """A name or a key does not exist; `owner` is the object that was searched."""

    def __init__(self, owner: object, name: object, message: str | None) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class Missing(StrictUndefined):
    """Jinja's strict undefined, which raises `NotThere` so that the message can list what exists."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None
    ) -> None:
        super().__init__(hint, obj, name, partial(NotThere, obj, name))  # type: ignore[arg-type]  # makes the exception


class Json(str):
    """A text that is complete JSON, and so complete YAML: it may be unquoted in a rendered file."""

    __slots__ = ()


class _Code(CodeGenerator):
    """Jinja's code generator: `~` goes through the sandbox like all other operators; compiling evaluates nothing."""

    def _output_child_to_const(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> str:
        if isinstance(node, nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise nodes.Impossible

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  # found by this name
        self.write("environment.joined((")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))")


class _NativeCode(NativeCodeGenerator, _Code):
    """The same generator for native values: a single expression's value is returned unchanged."""

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        [only] = group
        return repr(only)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of templates whose result is text."""

    code_generator_class = _Code
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, globals: Mapping[str, Any], **options: Any) -> None:
        super().__init__(
            undefined=Missing,
            auto_reload=False,
            cache_size=-1,
            keep_trailing_newline=True,
            autoescape=False,
            optimized=False,
            **options,
        )
        self.globals = dict(globals)
        self.filters = {
            **{name: FILTERS[name] for name in _KEPT_FILTERS},
            **{name: _of_text(FILTERS[name]) for name in _TEXT_FILTERS},
            **_OWN_FILTERS,
        }
        self.tests = {name: TESTS[name] for name in _KEPT_TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `a.b`: the key of a mapping first, then one of the allowed methods of data."""
        kind = obj.__class__
        if kind is dict and attribute in obj:
            return obj[attribute]
        if attribute in METHODS.get(kind, ()) or (kind is LoopContext and attribute in _LOOP):
            return getattr(obj, attribute)
        if isinstance(obj, TemplateModule) and not attribute.startswith("_") and attribute in obj.__dict__:
            return obj.__dict__[attribute]
        if attribute.startswith("_"):
            raise Forbidden(
                f'the name "{attribute}" is not for templates: names that begin with _ are Python\'s own'
            )
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `a[b]` of mappings, lists and texts."""
        if not isinstance(argument, _KEYS):
            raise Forbidden(f"a {type(argument).__name__} as a key; use a text or a number")
        try:
            return obj[argument]
        except (KeyError, IndexError, TypeError):
            return (
                self.getattr(obj, argument)
                if isinstance(argument, str)
                else self.undefined(obj=obj, name=argument)  # type: ignore[arg-type]  # Jinja's own takes any key
            )

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, types.BuiltinMethodType):
            return obj.__name__ in METHODS.get(obj.__self__.__class__, ())
        if isinstance(obj, types.MethodType) and obj.__self__.__class__ is LoopContext:
            return obj.__name__ in _LOOP
        return isinstance(obj, (Macro, LoopContext, BlockReference)) or obj in self.globals.values()

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return _OPERATORS[operator](left, right)

    def joined(self, parts: Sequence[Any]) -> str:
        """Return `a ~ b`; raise `Forbidden` if it is too long."""
        texts = [as_text(part) for part in parts]
        _bound(sum(map(len, texts)))
        return "".join(texts)


class NativeSandbox(Sandbox):
    """The environment of values that are exactly one expression: they keep their type."""

    code_generator_class = _NativeCode


def as_text(value: Any) -> str:
    """Return a value's text inside a text; raise `Forbidden` for a value without an obvious text form."""
    if value.__class__ is str or value.__class__ is Json:
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, StrictUndefined)):
        return str(value)
    if value is None:
        raise Forbidden(
            "null inside a text; give a value with | default('…', true), also for `environment`, which is null without -e"
        )
    if isinstance(value, (dict, list, tuple)):
        kind = "mapping" if isinstance(value, dict) else "list"
        raise Forbidden(f"a {kind} inside a text; take a part of it, or write | tojson")
    if isinstance(value, types.GeneratorType):
        raise Forbidden("a sequence inside a text; write | join(', ')")
    raise Forbidden(f"a {type(value).__name__} inside a text")


def _of_text(filter: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that accepts only values with an obvious text form; that of a function has its memory address."""
    return lambda value, *rest, **named: filter(as_text(value), *rest, **named)


def _bound(size: int) -> None:
    if size > MAX_TEXT:
        raise Forbidden(f"a text or list of more than {MAX_TEXT:,} items")


def _plus(left: Any, right: Any) -> Any:
    if isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        _bound(len(left) + len(right))
    return left + right


def _times(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, (str, list, tuple)) and isinstance(other, int):
            _bound(len(one) * max(other, 0))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
        raise Forbidden("a number of more than 128 bits")
    return left * right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        raise Forbidden("% on a text; write the text with {{ … }} in it, or join pieces with ~")
    return left % right


def _power(left: Any, right: Any) -> NoReturn:
    raise Forbidden("the operator ** is not available")


_KEYS: tuple[type, ...] = (str, int, float, slice, Undefined, types.NoneType)
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {"+": _plus, "*": _times, "%": _modulo, "**": _power}


def tojson(value: Any) -> Json:
    """Return a value as complete JSON."""
    if isinstance(value, types.GeneratorType):
        value = list(value)
    return Json(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _join(values: Any, separator: str = "", attribute: str | int | None = None) -> str:
    """Join values to a text; raise `Forbidden` if it is too long or a value has no obvious text form."""
    if attribute is not None:
        values = [each[attribute] for each in values]
    texts = [as_text(each) for each in values]
    _bound(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _replace(text: str, old: str, new: str) -> str:
    text = as_text(text)
    _bound(len(text) + text.count(old) * max(len(new) - len(old), 0))
    return text.replace(old, new)


def _indent(text: str, width: int = 4, first: bool = False, blank: bool = False) -> str:
    _bound(len(text) + (text.count("\n") + 1) * max(width, 0))
    lines = text.split("\n")
    pad = " " * width
    padded = [
        pad + line if (line or blank) and (number or first) else line for number, line in enumerate(lines)
    ]
    return "\n".join(padded)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MAX_RANGE:
        raise Forbidden(f"range() of more than {MAX_RANGE:,} numbers")
    return made


_OWN_FILTERS: Mapping[str, Callable[..., Any]] = {
    "tojson": tojson,
    "join": _join,
    "replace": _replace,
    "indent": _indent,
}
GLOBALS: Mapping[str, Callable[..., Any]] = {"range": _range}
