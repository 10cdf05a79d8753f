"""A loaded fleet with the data to find the places of its values in the files, when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from reconciler.config.expand.blocks import CompiledAgent
from reconciler.config.expand.composer import Composer
from reconciler.config.expand.layers import Layer, deciding, removing
from reconciler.config.expand.loops import RenderedAgent
from reconciler.config.expand.programs import filled
from reconciler.config.words import template_help
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problem, Span
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import describe
from reconciler.model.tree import Path, Tree
from reconciler.values import dataclass


@dataclass(slots=True)
class Loaded:
    """A loaded fleet with the data to find the places of its values."""

    fleet: DesiredFleet
    instances: dict[Address, RenderedAgent]
    blocks: list[CompiledAgent]
    composer: Composer

    def tree(self, instance: RenderedAgent) -> Mapping[str, Tree]:
        """Return the tree of a rendered agent without its channel and name, not validated; constant parts are shared."""
        outline, _ = self.composer.outline(self.blocks[instance.block], instance.profiles)
        return cast("Mapping[str, Tree]", filled(outline, instance.values))

    def layers(self, instance: RenderedAgent) -> tuple[Layer, ...]:
        return self.composer.layers(self.blocks[instance.block], instance.profiles)

    def locate(self, address: Address, path: Path) -> Span | None:
        """Return the place that decided the value at a path of an agent's body; for the empty path the agent's own."""
        instance = self.instances.get(address)
        return self.place(instance, path) if instance is not None else None

    def placed(self, instance: RenderedAgent, problem: Problem) -> Problem:
        """Return a problem at a path of a rendered agent with its place in the files."""
        assert isinstance(problem.at, tuple), "only problems of agents have paths"
        path = describe(problem.at) or None
        null = removing(self.layers(instance), problem.missing) if problem.missing is not None else None
        if null is not None:
            why = f"the null here, in {null.layer.name}, removes it"
            return replace(problem, at=null.span, path=path, why=why, missing=None)
        template = self._template(instance, problem.at) if problem.wants_quotes else ""
        help = template_help(template) if template else problem.help
        where = self.place(instance, problem.at, at_value=problem.at_value)
        return replace(
            problem, at=where, path=path, help=help, wants_quotes=False, at_value=False, missing=None
        )

    def _template(self, instance: RenderedAgent, path: Path) -> str:
        """Return the template that gives the value at a path; empty if the files write the value itself."""
        place = deciding(self.layers(instance), path)
        tree = self.blocks[instance.block].channel.tree
        source = tree.get("channel") if path == ("channel",) else place.source if place is not None else None
        return source if isinstance(source, Templated) else ""

    def place(self, instance: RenderedAgent, path: Path, *, at_value: bool = False) -> Span:
        """Return the place of a path of a rendered agent: of its key, or with `at_value` of its value.

        `channel` and `name` have the places in the blocks that give them.
        """
        block = self.blocks[instance.block]
        if path == ("channel",):
            return block.channel.document.value(block.channel.tree, "channel")
        layers, whole = self.layers(instance) if path else (), path
        while path:
            place = deciding(layers, path)
            if place is not None:
                return place.value_span if at_value and path == whole else place.span
            path = path[:-1]  # a missing key has the place of the mapping that lacks it
        return block.section.document.at(block.section.tree)
