"""Check a template's tree before it is compiled: its names, its includes, and what it may not use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import nodes
from jinja2.meta import TrackingCodeGenerator

from reconciler.config.files.documents import Files, Unreadable
from reconciler.config.templates.errors import TemplateFault, fault_of
from reconciler.config.templates.sandbox import ABSENT, Sandbox
from reconciler.config.yaml.scalars import CONTROL
from reconciler.diagnostics import did_you_mean
from reconciler.secrets import MARK

MAX_SOURCE: Final = 256 * 1024
MAX_INCLUDES: Final = 10

_INCLUDE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]*(?:/[A-Za-z0-9_][A-Za-z0-9._ -]*)*")


def parse(environment: Sandbox, text: str) -> tuple[nodes.Template, frozenset[str]]:
    """Parse a template and check its names; return its tree and the variables that it may need.

    Raises `TemplateFault`, also for what Jinja's compiler would refuse.
    """
    if len(text) > MAX_SOURCE:
        raise TemplateFault("template-size", f"a template of more than {MAX_SOURCE:,} characters")
    try:
        tree = environment.parse(text)
        for node in tree.find_all(nodes.Node):
            _check(environment, node)
        return tree, _names_in(tree)
    except Exception as error:  # noqa: BLE001  # Jinja's compiler fails in as many ways as Python's
        raise fault_of(error) from None


class _Names(TrackingCodeGenerator):
    """Jinja's search for names, without its evaluation of constants."""

    def __init__(self, tree: nodes.Template) -> None:
        assert tree.environment is not None, "a parsed tree knows its environment"
        super().__init__(tree.environment)
        self.optimizer = None
        self.name = None


def _names_in(tree: nodes.Template) -> frozenset[str]:
    search = _Names(tree)
    search.visit(tree)
    return frozenset(search.undeclared_identifiers)


def _check(environment: Sandbox, node: nodes.Node) -> None:
    if isinstance(node, nodes.Filter) and node.name not in environment.filters:
        raise _absent("filter", node.name, environment.filters, node.lineno)
    if isinstance(node, nodes.Test) and node.name not in environment.tests:
        raise _absent("test", node.name, environment.tests, node.lineno)
    if isinstance(node, nodes.Name) and node.name == "self":
        raise TemplateFault("template-forbidden", 'the name "self" is not for templates', line=node.lineno)
    if isinstance(node, nodes.EvalContextModifier):
        raise TemplateFault(
            "template-forbidden", "nothing is escaped here", line=node.lineno, help="remove the tag"
        )
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise TemplateFault(
            "template-forbidden",
            f'the name "{node.attr}" is not for templates',
            line=node.lineno,
            help="use data only",
        )
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and MARK in node.value:
        raise TemplateFault(
            "template-secret",
            "a secret reference inside a template expression",
            line=node.lineno,
            help="write the reference outside of {{ }}, or keep it in a variable",
        )
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and CONTROL.search(node.value):
        raise TemplateFault(
            "control-character", "a control character in a template", line=node.lineno, help="remove it"
        )
    if isinstance(node, (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        _static_name(node)


def _absent(what: str, name: str, known: Mapping[str, Any], line: int) -> TemplateFault:
    help = ABSENT.get(name) or did_you_mean(name, known) or f"known: {', '.join(sorted(known))}"
    return TemplateFault("template-forbidden", f'no {what} named "{name}"', line=line, help=help)


def _static_name(node: Any) -> str:
    name = node.template.value if isinstance(node.template, nodes.Const) else None
    if not isinstance(name, str) or not _INCLUDE_NAME.fullmatch(name):
        raise TemplateFault(
            "template-include",
            "a template may be included only by a plain name"
            + (f': "{name}" is none' if isinstance(name, str) else ""),
            line=node.lineno,
            help="write {% include 'prompts/name.md' %}, with a path inside the fleet's directory",
        )
    return name


def optional_names(tree: nodes.Template) -> frozenset[str]:
    """Return the names that the template itself allows to be missing."""
    guards = [
        node.node
        for node in tree.find_all((nodes.Test, nodes.Filter))
        if node.name in ("defined", "undefined", "default", "d")
    ]
    return frozenset(guard.name for guard in guards if isinstance(guard, nodes.Name))


def check_includes(
    files: Files, environment: Sandbox, tree: nodes.Template, path: tuple[str, ...] = ()
) -> frozenset[str]:
    """Return the variables that a template's includes need; raise `TemplateFault` if one cannot be included."""
    needs: set[str] = set()
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        name = _static_name(node)
        if name in path or len(path) >= MAX_INCLUDES:
            chain = " -> ".join((*path, name))
            summary = (
                f"templates include each other: {chain}"
                if name in path
                else f"includes nest too deeply: {chain}"
            )
            raise TemplateFault("template-include", summary, line=node.lineno)
        try:
            text = files.text(name).removesuffix("\n")
        except Unreadable as error:
            if (
                isinstance(node, nodes.Include)
                and node.ignore_missing
                and error.problem.rule == "file-unreadable"
            ):
                continue
            raise TemplateFault(
                "template-include", error.problem.summary, line=node.lineno, help=error.problem.help
            ) from None
        try:
            included, names = parse(environment, text)
            needs |= names
            needs |= check_includes(files, environment, included, (*path, name))
        except TemplateFault as fault:
            fault.locate(name)
            raise
    return frozenset(needs)
