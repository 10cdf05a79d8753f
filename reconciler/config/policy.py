"""Read a team's policy for the plans of its fleets from a text: `.reconciler/policy.yaml` of a commit.

A policy only tightens what a fleet's own files say. It is read by the same reader, so that its problems have places.
"""

from __future__ import annotations

from typing import Final

from reconciler.config.expand.layers import Layer
from reconciler.config.expand.layout import Section, names, read_policy
from reconciler.config.expand.settings import limits_set, parse_freezes
from reconciler.config.files.documents import Document
from reconciler.config.schema import DIALECT, policy_definitions
from reconciler.config.value_types import Schema
from reconciler.config.yaml.reader import parse_yaml
from reconciler.diagnostics import Problems, Span
from reconciler.errors import InvalidConfig
from reconciler.model.policy import TeamPolicy

POLICY_FILE: Final = ".reconciler/policy.yaml"


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
            limits_set(layers, problems),
            tuple(names(section.get("protect"))),
            parse_freezes(freezes, problems),
        )
    if problems.has_errors:
        raise InvalidConfig(problems.sorted())
    return found


def policy_schema() -> Schema:
    """Return the JSON Schema of a policy's file."""
    return {
        "$schema": DIALECT,
        "title": "A policy for fleets of voice agents",
        "$ref": "#/$defs/policy",
        "$defs": policy_definitions(),
    }
