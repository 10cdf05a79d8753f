"""Compile a merged tree: constant parts are shared by all agents, templates are rendered for each.

A tree is compiled to its outline, in which each value to render has a number, and to the programs of these values.
Rendering gives plain data of exact types and never renders its own output again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from jinja2.runtime import Context

from reconciler.config.expand.layers import FAILED, Place, Stack, merged, without_nulls
from reconciler.config.templates.compiler import Template, Templates
from reconciler.config.templates.errors import TemplateFault
from reconciler.config.yaml.scalars import Templated
from reconciler.config.yaml.tree import OpenList, OpenMap
from reconciler.model.tree import Path, Tree
from reconciler.values import dataclass

# Equal texts longer than this are kept and sent once: this concerns prompts, not names.
_SHARED_FROM = 64


class Origin(Protocol):
    """The owner of a tree, which finds the place of a path in the files."""

    def place(self, path: Path) -> Place | None: ...


class RenderScope(Protocol):
    """The data for rendering one agent: the names in scope, long texts seen before, and methods to report faults."""

    @property
    def context(self) -> Context: ...
    @property
    def texts(self) -> dict[str, str]: ...
    def fail(self) -> None: ...
    def record(self, origin: Origin, path: Path, fault: TemplateFault, template: Template | None) -> None: ...


# --- outlines


class OpenValue(int):
    """The number of a value that has to be rendered."""


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A mapping or a list with its constant values; its other keys have open `values` or open `parts`."""

    constant: Any
    values: tuple[tuple[Any, OpenValue], ...]
    parts: tuple[tuple[Any, OpenPart], ...]
    keep_null: bool


Outline: TypeAlias = (
    "OpenValue | OpenPart | Tree"  # a tree in which nothing has to be rendered is its own outline
)


@dataclass(frozen=True, slots=True)
class Unrendered:
    """A value to render as the files write it, and whether the nulls in its result stay."""

    value: Tree
    path: Path
    keep_null: bool


def outline(tree: Tree, path: Path, keep_null: bool, unrendered: list[Unrendered]) -> Outline:
    """Return the outline of a tree; the values to render are added to `unrendered`, whose indexes are their numbers."""
    if isinstance(tree, (Templated, Stack)):
        unrendered.append(Unrendered(tree, path, keep_null))
        return OpenValue(len(unrendered) - 1)
    constant: Any
    if isinstance(tree, OpenMap):
        constant = {
            key: outline(value, (*path, key), keep_null, unrendered)
            for key, value in tree.items()
            if value is not None or keep_null
        }
        below = list(constant.items())
    elif isinstance(tree, OpenList):
        keep_null = True
        constant = [outline(value, (*path, index), True, unrendered) for index, value in enumerate(tree)]
        below = list(enumerate(constant))
    else:
        return tree
    values = tuple((key, each) for key, each in below if isinstance(each, OpenValue))
    parts = tuple((key, each) for key, each in below if isinstance(each, OpenPart))
    return OpenPart(constant, values, parts, keep_null) if values or parts else constant


def filled(outline: Outline, values: Sequence[Tree]) -> Tree:
    """Return the tree of an outline with the rendered values; a null removes its key where nulls do not stay."""
    if isinstance(outline, OpenPart):
        return _filled_part(outline, values)
    return values[outline] if isinstance(outline, OpenValue) else outline


def _filled_part(part: OpenPart, values: Sequence[Tree]) -> Tree:
    made: dict[Any, Tree] = part.constant.copy()  # or a list
    for key, number in part.values:
        value = values[number]
        if value is None and not part.keep_null:
            del made[key]
        else:
            made[key] = value
    for key, below in part.parts:
        made[key] = _filled_part(below, values)
    return made


# --- programs


class Part(Protocol):
    """The program of one value; `needs` are the names that its templates may need."""

    @property
    def needs(self) -> frozenset[str]: ...
    def render(self, rendering: RenderScope) -> Tree: ...


@dataclass(frozen=True, slots=True)
class TextPart:
    """One template."""

    template: Template
    origin: Origin
    path: Path
    keep_null: bool

    @property
    def needs(self) -> frozenset[str]:
        return self.template.names

    def render(self, rendering: RenderScope) -> Tree:
        try:
            value: Tree = self.template.render(rendering.context)
        except TemplateFault as fault:
            rendering.record(self.origin, self.path, fault, self.template)
            return FAILED
        if value.__class__ is str and len(value) > _SHARED_FROM:
            return rendering.texts.setdefault(value, value)
        return value if self.keep_null or value.__class__ is not dict else without_nulls(value)


@dataclass(frozen=True, slots=True)
class BrokenPart:
    """A template that does not compile, which was reported; each value that contains it fails."""

    needs: frozenset[str] = frozenset()

    def render(self, rendering: RenderScope) -> Tree:
        rendering.fail()
        return FAILED


@dataclass(frozen=True, slots=True)
class StackPart:
    """Layers that can be merged only after they are rendered."""

    layers: tuple[Program, ...]
    keep_null: bool

    @property
    def needs(self) -> frozenset[str]:
        return _needs(self.layers)

    def render(self, rendering: RenderScope) -> Tree:
        result: Tree = None
        for layer in self.layers:
            value = layer.render(rendering)
            result = merged(result, value) if value is not None else None
        return result if self.keep_null else without_nulls(result)


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled tree: its outline, the part and the path for each open value, and the names that these may need."""

    outline: Outline = None
    parts: tuple[Part, ...] = ()
    paths: tuple[Path, ...] = ()
    needs: frozenset[str] = frozenset()

    def values(self, rendering: RenderScope) -> list[Tree]:
        """Return the rendered open values."""
        return [part.render(rendering) for part in self.parts]

    def without_failed(self, values: list[Tree], failed: list[Path]) -> list[Tree]:
        """Return the open values without what has failed; the paths of that are added to `failed`."""
        found = zip(values, self.paths, strict=True)
        return [_without_failed(value, path, failed) for value, path in found]

    def render(self, rendering: RenderScope) -> Tree:
        """Return the tree as plain data."""
        return filled(self.outline, self.values(rendering))


NOTHING = Program()


def _without_failed(tree: Any, path: Path, failed: list[Path]) -> Any:
    """Return a rendered tree without the values that have failed, nulls in lists; their paths are added to `failed`."""
    if tree is FAILED:
        failed.append(path)
        return None
    if tree.__class__ is list:
        return [_without_failed(value, (*path, index), failed) for index, value in enumerate(tree)]
    if tree.__class__ is not dict:
        return tree
    kept = {key: _without_failed(value, (*path, key), failed) for key, value in tree.items()}
    return {key: value for key, value in kept.items() if tree[key] is not FAILED}


def _needs(parts: Iterable[Part | Program]) -> frozenset[str]:
    return frozenset().union(*(each.needs for each in parts))


def _nothing_protected(path: Path) -> frozenset[str]:
    return frozenset()


@dataclass(slots=True)
class Compiler:
    """Compiles the trees of one origin.

    `protected` returns the names at a path that are the service's own; `fault` is called with each fault of a template.
    """

    templates: Templates
    origin: Origin
    fault: Callable[[Origin, Path, TemplateFault], None]
    protected: Callable[[Path], frozenset[str]] = _nothing_protected
    keep_null: bool = False

    def compile(self, tree: Tree, path: Path = ()) -> Program:
        """Return the program of a tree."""
        return self._compile(tree, path, self.keep_null)

    def _compile(self, tree: Tree, path: Path, keep_null: bool) -> Program:
        unrendered: list[Unrendered] = []
        made = outline(tree, path, keep_null, unrendered)
        parts = tuple(map(self._part, unrendered))
        return Program(made, parts, tuple(each.path for each in unrendered), _needs(parts))

    def _part(self, found: Unrendered) -> Part:
        if isinstance(found.value, Stack):
            layers = tuple(self._compile(each, found.path, True) for each in found.value)
            return StackPart(layers, found.keep_null)
        try:
            template = self.templates.compile(str(found.value), self.protected(found.path))
        except TemplateFault as fault:
            self.fault(self.origin, found.path, fault)
            return BrokenPart()
        return TextPart(template, self.origin, found.path, found.keep_null)
