"""Compile a merged tree: constant parts are shared by all agents, templates are rendered for each.

A block is compiled once and rendered once for each agent; rendering gives plain data of exact types and never renders
its own output again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, Protocol, TypeAlias, cast

from jinja2.runtime import Context

from reconciler.config.expand.layers import Place, Stack, merged, without_nulls
from reconciler.config.templates.compiler import Template, Templates
from reconciler.config.templates.errors import TemplateFault
from reconciler.config.yaml.scalars import Templated
from reconciler.config.yaml.tree import OpenList, OpenMap
from reconciler.model.tree import Path, Tree
from reconciler.values import dataclass

# Equal texts longer than this are kept once: this concerns prompts, not names.
_SHARED_FROM = 64


# Stands in a rendered tree for each value whose template has failed.
FAILED: Final = cast("Tree", object())


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


class Part(Protocol):
    """A part of a tree that must be rendered."""

    def render(self, rendering: RenderScope) -> Tree: ...


@dataclass(frozen=True, slots=True)
class TextPart:
    """One template."""

    template: Template
    origin: Origin
    path: Path

    def render(self, rendering: RenderScope) -> Tree:
        try:
            value: Tree = self.template.render(rendering.context)
        except TemplateFault as fault:
            rendering.record(self.origin, self.path, fault, self.template)
            return FAILED
        if value.__class__ is str and len(value) > _SHARED_FROM:
            return rendering.texts.setdefault(value, value)
        return value


@dataclass(frozen=True, slots=True)
class CleanPart:
    """A template whose result may be a mapping with nulls, which are removed."""

    part: TextPart

    def render(self, rendering: RenderScope) -> Tree:
        value = self.part.render(rendering)
        return without_nulls(value) if value.__class__ is dict else value


@dataclass(frozen=True, slots=True)
class BrokenPart:
    """A template that does not compile, which was reported; each value that contains it fails."""

    def render(self, rendering: RenderScope) -> Tree:
        rendering.fail()
        return FAILED


@dataclass(frozen=True, slots=True)
class MapPart:
    """A mapping with its constant values, and the parts to render, in the files' order."""

    constant: dict[str, Tree]
    parts: tuple[tuple[str, Part], ...]
    keep_null: bool

    def render(self, rendering: RenderScope) -> Tree:
        made = self.constant.copy()
        for key, part in self.parts:
            value = part.render(rendering)
            if value is None and not self.keep_null:
                del made[key]
            else:
                made[key] = value
        return made


@dataclass(frozen=True, slots=True)
class ListPart:
    """A list with parts to render."""

    constant: list[Tree]
    parts: tuple[tuple[int, Part], ...]

    def render(self, rendering: RenderScope) -> Tree:
        made = self.constant.copy()
        for index, part in self.parts:
            made[index] = part.render(rendering)
        return made


@dataclass(frozen=True, slots=True)
class StackPart:
    """Layers that can be merged only after they are rendered."""

    layers: tuple[Program, ...]
    keep_null: bool

    def render(self, rendering: RenderScope) -> Tree:
        result: Tree = None
        for layer in self.layers:
            value = layer.render(rendering) if isinstance(layer, PARTS) else layer
            result = merged(result, value) if value is not None else None
        return result if self.keep_null else without_nulls(result)


AnyPart: TypeAlias = "TextPart | CleanPart | BrokenPart | MapPart | ListPart | StackPart"
PARTS = (TextPart, CleanPart, BrokenPart, MapPart, ListPart, StackPart)

Program: TypeAlias = "AnyPart | Tree"  # a part to render, or the constant itself


def render(program: Program, rendering: RenderScope) -> Tree:
    """Return the plain data of a program."""
    return program.render(rendering) if isinstance(program, PARTS) else program


def without_failed(tree: Any, path: Path, failed: list[Path]) -> Any:
    """Return a rendered tree without the values that have failed, nulls in lists; their paths are added to `failed`."""
    if tree is FAILED:
        failed.append(path)
        return None
    if tree.__class__ is list:
        return [without_failed(value, (*path, index), failed) for index, value in enumerate(tree)]
    if tree.__class__ is not dict:
        return tree
    kept = {key: without_failed(value, (*path, key), failed) for key, value in tree.items()}
    return {key: value for key, value in kept.items() if tree[key] is not FAILED}


def _nothing_protected(path: Path) -> frozenset[str]:
    return frozenset()


@dataclass(slots=True)
class Compiler:
    """Compiles the trees of one origin and collects the names that they need.

    `protected` returns the names at a path that are the service's own; `fault` is called with each fault of a template.
    """

    templates: Templates
    origin: Origin
    fault: Callable[[Origin, Path, TemplateFault], None]
    protected: Callable[[Path], frozenset[str]] = _nothing_protected
    keep_null: bool = False
    needs: set[str] = field(default_factory=set)

    def compile(self, tree: Tree, path: Path = ()) -> Program:
        """Return a tree as a program; the tree itself when nothing in it must be rendered."""
        return self._compile(tree, path, self.keep_null)

    def _compile(self, tree: Tree, path: Path, keep_null: bool) -> Program:
        if isinstance(tree, Templated):
            return self._text(tree, path, keep_null)
        if isinstance(tree, OpenMap):
            return self._mapping(tree, path, keep_null)
        if isinstance(tree, OpenList):
            return self._list(tree, path)
        if isinstance(tree, Stack):
            layers = tuple(self._compile(each, path, True) for each in tree)
            return StackPart(layers, keep_null)
        return tree

    def _text(self, text: str, path: Path, keep_null: bool) -> Program:
        try:
            template = self.templates.compile(str(text), self.protected(path))
        except TemplateFault as fault:
            self.fault(self.origin, path, fault)
            return BrokenPart()
        self.needs |= template.names
        part = TextPart(template, self.origin, path)
        return CleanPart(part) if template.native and not keep_null else part

    def _mapping(self, tree: Mapping[str, Tree], path: Path, keep_null: bool) -> Program:
        constant: dict[str, Tree] = {}
        parts: list[tuple[str, Part]] = []
        for key, value in tree.items():
            if value is None and not keep_null:
                continue
            made = self._compile(value, (*path, key), keep_null)
            if isinstance(made, PARTS):
                parts.append((key, made))
                made = None
            constant[key] = made
        return MapPart(constant, tuple(parts), keep_null) if parts else constant

    def _list(self, tree: list[Tree], path: Path) -> Program:
        constant: list[Tree] = []
        parts: list[tuple[int, Part]] = []
        for index, value in enumerate(tree):
            made = self._compile(value, (*path, index), True)
            if isinstance(made, PARTS):
                parts.append((index, made))
                made = None
            constant.append(made)
        return ListPart(constant, tuple(parts)) if parts else constant
