"""The compiled blocks of the files: what is known of them before any agent is rendered. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from reconciler.config.expand.layers import Layer, Place, deciding
from reconciler.config.expand.layout import Section
from reconciler.config.expand.programs import NOTHING, Outline, Program
from reconciler.config.expand.variables import Level
from reconciler.model.tree import Path
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class CompiledBody:
    """An agent's body for one choice of profiles: its program, and the layers that it was compiled from.

    If `declares` is set, it computes the names of the service's own variables, and the body must be compiled with them.
    """

    layers: tuple[Layer, ...]
    program: Program = NOTHING
    protected: frozenset[str] = frozenset()
    declares: Program | None = None

    def place(self, path: Path) -> Place | None:
        return deciding(self.layers, path)


@dataclass(slots=True)
class Loop:
    """The `for_each`, `as` and `when` of a block; programs are None where a block has none."""

    section: Section | None = None
    items: Program | None = None
    name: str = ""
    when: Program | None = None

    @property
    def repeats(self) -> bool:
        return self.items is not None


ONCE = Loop()


@dataclass(slots=True)
class CompiledAgent:
    """An agent block; `bodies` are compiled and `outlines` made when a choice of profiles first occurs."""

    section: Section
    channel: Section
    file_level: Level
    outer_level: Level
    loop: Loop
    level: Level
    name: str | None
    profile: Program
    bodies: dict[tuple[Any, ...], CompiledBody] = field(default_factory=dict)
    outlines: dict[tuple[str, ...], tuple[Outline, list[Path]]] = field(default_factory=dict)


@dataclass(slots=True)
class CompiledChannel:
    """A channel block; `name` is None when it has to be rendered."""

    section: Section
    loop: Loop
    level: Level
    name: str | None
    agents: list[CompiledAgent]


@dataclass(slots=True)
class CompiledFile:
    """The channels of one file, and its variables."""

    section: Section
    level: Level
    channels: list[CompiledChannel]


@dataclass(frozen=True, slots=True)
class Under:
    """Finds the places of paths below one path of a section."""

    section: Section
    path: Path

    def place(self, path: Path) -> Place | None:
        return self.section.place((*self.path, *path))


def agent_blocks(files: Iterable[CompiledFile]) -> list[CompiledAgent]:
    """Return every agent block in the order of the files; an agent refers to its block by the index in this list."""
    return [agent for file in files for channel in file.channels for agent in channel.agents]
