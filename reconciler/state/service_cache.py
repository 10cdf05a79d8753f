"""A cache of what runs learn of a service: its pace, and the names of foreign agents. One file per App ID.

It is stored beside the states of the fleets in that App ID. No plan depends on it, so it may be lost: the pace is
found again, and each foreign agent costs one more query. It holds no secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path

import orjson

from reconciler.model.record import Foreign
from reconciler.observe import ForeignMemory
from reconciler.ports import Pace
from reconciler.state.files import make_ignored, read_whole, replace_whole

_VERSION = 1
_LARGEST = 64 * 1024 * 1024


class ServiceCache:
    """The cache of one App ID at one host, in a directory; `save` writes it if anything in it has changed.

    With `is_ignored`, `save` creates the directory with a `.gitignore`.
    """

    def __init__(self, directory: Path, host: str, project: str, *, is_ignored: bool = False) -> None:
        self._is_ignored = is_ignored
        name = hashlib.blake2b(f"{host}\0{project}".encode(), digest_size=8).hexdigest()
        self._path = directory / f"service-{name}.cache"
        self.pace: Pace | None = None
        self.memory = ForeignMemory()
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            document = orjson.loads(read_whole(self._path, _LARGEST))
            if document["version"] == _VERSION:
                self.pace, self.memory = _pace(document["pace"]), _memory(document)
        self._saved = (self.pace, self.memory)

    def save(self) -> None:
        """Write the cache for the next run if it has changed; errors of the disk are ignored."""
        if (self.pace, self.memory) == self._saved:
            return
        pace, memory = self.pace, self.memory
        if not memory.agents and not self._path.parent.is_dir():
            return  # a run that only reads creates no directory; the pace alone is soon found again
        document = {
            "version": _VERSION,
            "pace": None if pace is None else [pace.per_second, pace.refused_near],
            "searched": sorted(memory.searched),
            "agents": [
                [each.agent_id, each.name, each.channel, started_at]
                for each, started_at in memory.agents.values()
            ],
        }
        if self._is_ignored:
            make_ignored(self._path.parent)
        replace_whole(self._path, orjson.dumps(document))
        self._saved = (pace, memory)


def _pace(row: list[float | None] | None) -> Pace | None:
    if row is None:
        return None
    per_second, near = row
    if per_second is None or not isfinite(per_second) or not (near is None or isfinite(near)):
        return None
    return Pace(float(per_second), None if near is None else float(near))


def _memory(document: Mapping[str, list[list[str]]]) -> ForeignMemory:
    agents = {
        str(agent_id): (Foreign(str(agent_id), str(name), channel and str(channel)), float(started_at))
        for agent_id, name, channel, started_at in document["agents"]
    }
    return ForeignMemory(agents, frozenset(map(str, document["searched"])))
