"""`service` and `limits`: the fleet's own, with the environment's over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reconciler.config.expand.layers import Layer, deciding, merged
from reconciler.config.keys import KEYS
from reconciler.config.words import InvalidValue
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problems
from reconciler.model.fleet import Limits, Service
from reconciler.model.tree import Tree


def parse_service(layers: Sequence[Layer], problems: Problems) -> Service:
    """Whom the fleet talks to."""
    return Service(**_parsed("service", layers, problems))


def parse_limits(layers: Sequence[Layer], problems: Problems) -> Limits:
    """How much one apply may do."""
    return Limits(**_parsed("limits", layers, problems))


def _parsed(block: str, layers: Sequence[Layer], problems: Problems) -> dict[str, Any]:
    """The values of a block by the names of the model's fields; unknown keys were reported when it was read."""
    tree: Tree = {}
    for layer in layers:
        tree = merged(tree, layer.tree)
    values: dict[str, Any] = {}
    for name, value in tree.items() if isinstance(tree, dict) else ():
        key = KEYS[block].get(name)
        if value is None or key is None or isinstance(value, Templated):
            continue
        try:
            values[name] = key.type.read(value)
        except InvalidValue as error:
            place = deciding(layers, (name,))
            where = place.value_span if place is not None else None
            path = f"{block}.{name}"
            summary = f"{path}: {error.problem.summary}"
            problems.add(replace(error.problem, summary=summary, at=where, path=path))
    return values
