"""Parse `service`, `limits`, `freeze` and `archive`; the environment's service and limits override the fleet's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from reconciler.config.expand.layers import Layer, deciding, merged
from reconciler.config.expand.layout import Section, names
from reconciler.config.keys import KEYS
from reconciler.config.words import InvalidValue
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problems
from reconciler.model.fleet import Archive, Freeze, Limits, Service
from reconciler.model.tree import Tree
from reconciler.plan.freeze import EVERYTHING, USUALLY_FROZEN


def parse_service(layers: Sequence[Layer], problems: Problems) -> Service:
    """Return the service of the fleet."""
    return Service(**_parsed("service", layers, problems))


def parse_limits(layers: Sequence[Layer], problems: Problems) -> Limits:
    """Return the limits of one apply."""
    return Limits(**_parsed("limits", layers, problems))


def limits_set(layers: Sequence[Layer], problems: Problems) -> dict[str, Any]:
    """Return only the limits that are set, by name."""
    return _parsed("limits", layers, problems)


def parse_freezes(sections: Iterable[Section], problems: Problems) -> tuple[Freeze, ...]:
    """Return the freezes; incomplete entries are reported and left out."""
    found = []
    for section in sections:
        values = _parsed("freeze", [Layer("freeze", section.document, section.tree)], problems)
        reason = str(values.get("reason", "")).strip()
        if "until" not in values or not reason:
            if "reason" in values and not reason:
                where = section.document.value(section.tree, "reason")
                summary, help = "the freeze has no reason", "say why, for whoever meets it in a plan"
                problems.error("missing-key", summary, where, help=help, path="freeze.reason")
            continue
        targets = tuple(names(values.get("targets", EVERYTHING)))
        kinds = values.get("kinds", USUALLY_FROZEN)
        found.append(
            Freeze(values["until"], reason, targets, kinds, section.document.value(section.tree, "until"))
        )
    return tuple(found)


def parse_archive(section: Section | None, problems: Problems) -> Archive | None:
    """Return where transcripts are kept; None if the fleet keeps none."""
    if section is None:
        return None
    values = _parsed("archive", [Layer("archive", section.document, section.tree)], problems)
    return Archive(**values) if "directory" in values else None


def _parsed(block: str, layers: Sequence[Layer], problems: Problems) -> dict[str, Any]:
    """Return a block's values by the names of the model's fields; unknown keys were reported when it was read."""
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
