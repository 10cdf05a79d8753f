"""The output of `render`: the final agents as plain data, and the origin of each of their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from reconciler.config.expand.layers import Layer, Place, deciding
from reconciler.config.expand.loops import RenderedAgent
from reconciler.config.expand.origins import Loaded
from reconciler.config.keys import KEYS
from reconciler.config.load import LoadLimits, load_all
from reconciler.config.templates.errors import TemplateFault
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Span
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import AgentSpec, Lifecycle
from reconciler.model.tree import Path, Tree, leaves
from reconciler.values import dataclass

RENDERED_VERSION = 1


@dataclass(frozen=True, slots=True)
class Traced:
    """One value of one agent: its path, the place where it is written, and the layer that wrote it.

    `variable` is the variable that the value only repeats (`"{{ model }}"`), with the place of its definition.
    """

    address: Address
    path: Path
    value: Tree
    where: Span
    layer: str
    variable: str | None = None
    variable_where: Span | None = None


def rendered(fleet: DesiredFleet) -> dict[str, Tree]:
    """Return the fleet as plain data, references as text: what `render` prints and `rendered.schema.json` describes."""
    return {
        "version": RENDERED_VERSION,
        "fleet": fleet.owner.fleet,
        "environment": fleet.owner.environment,
        "agents": {str(address): _agent(spec) for address, spec in sorted(fleet.agents.items())},
    }


def trace(
    directory: FilePath,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    limits: LoadLimits | None = None,
) -> tuple[Traced, ...]:
    """Return every value of every agent with its origin; raise `InvalidConfig` as `load` does."""
    loaded = load_all(directory, environment=environment, variables=variables, limits=limits)
    found: list[Traced] = []
    for address in sorted(loaded.instances):
        instance = loaded.instances[address]
        layers = loaded.layers(instance)
        for path, value in leaves(loaded.tree(instance)):
            found.append(_traced(loaded, instance, layers, address, path, value))
    return tuple(found)


def _traced(
    loaded: Loaded,
    instance: RenderedAgent,
    layers: tuple[Layer, ...],
    address: Address,
    path: Path,
    value: Tree,
) -> Traced:
    place = deciding(layers, path)
    if place is None:
        return Traced(address, path, value, loaded.place(instance, ()), "agent")
    variable = _repeated(loaded, place)
    if variable is None:
        return Traced(address, path, value, place.span, place.layer.name)
    where = _defined(loaded, instance, variable)
    return Traced(address, path, value, place.span, place.layer.name, variable, where)


def _repeated(loaded: Loaded, place: Place) -> str | None:
    """Return the variable that a value only repeats, or None."""
    if not isinstance(place.source, Templated):
        return None
    try:
        return loaded.composer.templates.compile(str(place.source)).bare
    except TemplateFault:
        return None


def _defined(loaded: Loaded, instance: RenderedAgent, name: str) -> Span | None:
    """Return where a variable that an agent uses is defined; None for `--var`, a loop's item and built-in names."""
    block = loaded.blocks[instance.block]
    for level in (block.level, block.outer_level, block.file_level, loaded.composer.globals):
        if name in level:
            place = level[name].origin.place(())
            return place.span if place is not None else None
    return None


def _agent(spec: AgentSpec) -> dict[str, Tree]:
    tree = spec.body.tree()
    tree["lifecycle"] = lifecycle_tree(spec.lifecycle)
    if spec.previously:
        tree["previously"] = [str(each) for each in spec.previously]
    if spec.adopt is not None:
        tree["adopt"] = spec.adopt
    return tree


def lifecycle_tree(lifecycle: Lifecycle) -> dict[str, Tree]:
    """Return a lifecycle as the files write it, every default filled in."""
    return {name: key.type.written(getattr(lifecycle, name)) for name, key in KEYS["lifecycle"].items()}
