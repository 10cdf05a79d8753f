"""A module's source -> everything that a careless edit could make of it, one small change at a time."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
Change = Callable[[ast.AST], None]
_NOT_RUN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: in which module and function, at which line, what it does, and what makes the whole source of it.

    `key` names it as long as its function stays as it is, whatever moves its line; `number` tells equal ones apart.
    """

    module: str
    function: str
    line: int
    what: str
    number: int
    source: Callable[[], str]

    @property
    def key(self) -> str:
        nth = f" #{self.number}" if self.number else ""
        return f"{self.module} {self.function}: {self.what}{nth}"


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines. What only annotates, documents or asserts is left alone."""
    tree = ast.parse(source)
    functions = dict(_functions(tree))
    seen: Counter[tuple[str, str]] = Counter()
    for position, node in enumerate(_code(tree)):
        function = functions.get(node, "")
        for what, change in _changes(node):
            made = partial(_changed, source, position, change)
            yield Mutant(module, function, getattr(node, "lineno", 0), what, seen[function, what], made)
            seen[function, what] += 1


def _changed(source: str, position: int, change: Change) -> str:
    tree = ast.parse(source)
    change(next(each for index, each in enumerate(_code(tree)) if index == position))
    return ast.unparse(ast.fix_missing_locations(tree))


def _functions(tree: ast.AST, name: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Each node with the dotted name of the class and function that it is in."""
    for node in ast.iter_child_nodes(tree):
        yield node, name
        inner = f"{name}.{node.name}".lstrip(".") if isinstance(node, _NOT_RUN) else name
        yield from _functions(node, inner)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run, in a fixed order: no annotations, decorators, defaults, docstrings or assertions.

    `zip(…, strict=True)` asserts that lengths agree, and what type checkers alone read does not run.
    """
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "args", "type_params") and isinstance(
            tree, (*_NOT_RUN, ast.AnnAssign, ast.arg)
        ):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _is_left_alone(node):
                yield node
                yield from _code(node)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case (
            ast.Assert()
            | ast.JoinedStr()
            | ast.keyword(arg="strict")
            | ast.If(test=ast.Name("TYPE_CHECKING"))
        ):
            return True
    return False


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _SWAPPED:
            yield f"`{_short(node)}` compares otherwise", _compare
        case ast.BoolOp():
            yield f"`{_short(node)}`: and is or, or is and", _bool
            for index in range(len(node.values)):
                yield f"`{_short(node)}` without its part {index + 1}", _without(index)
        case ast.UnaryOp(op=ast.Not()):
            yield f"`{_short(node)}` without not", _no_not
        case ast.BinOp() if type(node.op) in _OTHER and not _is_text(node):
            yield f"`{_short(node)}` with another operator", _binary
        case ast.Constant(value=bool()):
            yield f"{node.value} is {not node.value}", _flip
        case ast.Constant(value=0 | 1 | 2):  # larger ones are settings, of which one more is as good
            yield f"{node.value} is {node.value + 1}", _one_more
        case ast.Name(id=name) if name in _NAMES and isinstance(node.ctx, ast.Load):
            yield f"{name} is {_NAMES[name]}", _renamed
        case ast.If() | ast.While():
            yield f"`if {_short(node.test)}` never", _never
            if not (isinstance(node, ast.While) and not node.orelse):
                yield f"`if {_short(node.test)}` always", _always
        case ast.IfExp():
            yield f"`{_short(node)}`: always the first", _always
            yield f"`{_short(node)}`: always the second", _never
        case ast.Expr(value=ast.Call() | ast.YieldFrom() | ast.Yield()):
            yield f"no `{_short(node)}`", _nothing
        case ast.Raise():
            yield f"no `{_short(node)}`", _no_raise
        case ast.Continue() | ast.Break():
            yield f"no {type(node).__name__.lower()}", _no_raise
        case _:
            pass


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else f"{text[:69]}…"


def _is_text(node: ast.BinOp) -> bool:
    """Whether texts are joined, as far as can be seen."""
    sides = (node.left, node.right)
    return any(
        isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in sides
    )


# --- changes, in place ---------------------------------------------------------------------------------------------


def _compare(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops = [_SWAPPED[type(node.ops[0])]()]


def _bool(node: ast.AST) -> None:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _without(index: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.BoolOp)
        del node.values[index]
        if len(node.values) == 1:
            node.values = [node.values[0], node.values[0]]

    return change


def _no_not(node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)


def _binary(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.op = _OTHER[type(node.op)]()


def _flip(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    node.value = not node.value


def _one_more(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
    node.value += 1


def _renamed(node: ast.AST) -> None:
    assert isinstance(node, ast.Name)
    node.id = _NAMES[node.id]


def _always(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.BoolOp(ast.Or(), [node.test, ast.Constant(True)])


def _never(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.BoolOp(ast.And(), [node.test, ast.Constant(False)])


def _nothing(node: ast.AST) -> None:
    assert isinstance(node, ast.Expr)
    # A generator stays one.
    node.value = ast.BoolOp(ast.And(), [ast.Constant(False), node.value])


def _no_raise(node: ast.AST) -> None:
    node.__class__ = ast.Pass  # type: ignore[assignment]  # whatever it was, it does nothing now
    node._fields = ()
