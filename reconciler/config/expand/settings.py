"""Parse `service`, `limits`, `freeze` and `archive`; the environment's service and limits override the fleet's.

Also a team's policy for the plans of its fleets, `.reconciler/policy.yaml` of a commit: it only tightens what a fleet's
own files say, and is read by the same reader, so that its problems have places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.config.expand.layers import Layer, deciding, merged
from reconciler.config.expand.layout import Section, names, read_policy
from reconciler.config.files.documents import Document
from reconciler.config.keys import KEYS
from reconciler.config.words import InvalidValue
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problems, Span
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import Archive, Freeze, Limits, Service
from reconciler.model.policy import TeamPolicy
from reconciler.model.tree import Tree
from reconciler.plan.freeze import EVERYTHING, USUALLY_FROZEN

POLICY_FILE: Final = ".reconciler/policy.yaml"


def parse_service(layers: Sequence[Layer], problems: Problems) -> Service:
    """Return the service of the fleet."""
    return Service(**_parsed("service", layers, problems))


def parse_limits(layers: Sequence[Layer], problems: Problems) -> Limits:
    """Return the limits of one apply."""
    return Limits(**_parsed("limits", layers, problems))


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


def load_policy(text: str, name: str) -> TeamPolicy:
    """Return the policy in a text; raise `InvalidConfig` with all problems. `name` is the file's, for messages."""
    problems = Problems()
    parsed = parse_yaml(text)
    document = Document(name, parsed)
    for each in parsed.problems:
        problems.add(document.placed(each))
    if not parsed.problems and not isinstance(parsed.root, dict):
        problems.error("wrong-type", "a policy must be a mapping", Span(name, 1, 1))
    found = TeamPolicy()
    if isinstance(parsed.root, dict):
        section = Section(document, parsed.root)
        freezes = read_policy(section, problems)
        limits = section.sub("limits")
        layers = [Layer("limits", document, limits.tree)] if limits is not None else []
        hosts = section.get("secret_hosts")
        found = TeamPolicy(
            None if hosts is None else tuple(names(hosts)),
            _parsed("limits", layers, problems),
            tuple(names(section.get("protect"))),
            parse_freezes(freezes, problems),
        )
    if problems.has_errors:
        raise InvalidConfig(problems.sorted())
    return found


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
