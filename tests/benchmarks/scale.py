"""How much is measured, and where: what every group of rows is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import fleets


@dataclass(frozen=True, slots=True)
class Scale:
    """`agents` of an ordinary row, `turns` of a pair."""

    directory: Path
    agents: int = 10_000
    turns: int = 5

    def for_each(self, agents: int) -> Path:
        """A fleet from one `for_each`."""
        path = self.directory / f"for-each-{agents}"
        if not path.exists():
            fleets.write_for_each(path, agents)
        return path

    def spelled(self, agents: int, files: int = 100) -> Path:
        """A fleet that is spelled out."""
        path = self.directory / f"spelled-{agents}"
        if not path.exists():
            fleets.write_spelled(path, agents, files)
        return path

    def calm(self, agents: int) -> Path:
        """Another fleet from one `for_each`, for what must not have changed."""
        path = self.directory / f"calm-{agents}"
        if not path.exists():
            fleets.write_for_each(path, agents)
        return path
