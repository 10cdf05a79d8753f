"""How far a state had come when this machine last saw it: so that an older copy put in its place is noticed.

Kept away from the fleet's directory, which is what gets restored. A courtesy, not a lock: where nothing can be
kept nothing is refused, and a fresh machine has seen nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from reconciler.state import files
from reconciler.values import dataclass

_LARGEST = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """The lineage and the highest serial of one state."""

    lineage: str
    serial: int


class SeenFile:
    """Where that is kept for one state."""

    def __init__(self, directory: Path, state: Path) -> None:
        place = os.path.realpath(state)
        name = hashlib.blake2b(os.fsencode(place), digest_size=16, person=b"seen").hexdigest()
        self._path = directory / f"{name}.json"
        self._place = place

    @property
    def path(self) -> Path:
        """The file, for people who want to delete it."""
        return self._path

    def read(self) -> Seen | None:
        """What was seen, or None where nothing is known."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            with self._path.open("rb") as file:
                found = orjson.loads(file.read(_LARGEST))
            return Seen(str(found["lineage"]), int(found["serial"]))
        return None

    def forget(self) -> None:
        """Take any state at this place from now on, until one is seen again."""
        with suppress(OSError):
            self._path.unlink()

    def write(self, seen: Seen) -> None:
        """Remember; silently nothing where it cannot be kept."""
        if self.read() == seen:
            return
        document = {
            "state": os.fsencode(self._place).decode(errors="replace"),
            "lineage": seen.lineage,
            "serial": seen.serial,
        }
        fresh = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(files.create(fresh), "wb") as file:
                file.write(orjson.dumps(document))
            fresh.replace(self._path)


def seen_directory(environment: Mapping[str, str]) -> Path | None:
    """The user's directory for such things; None where there is none."""
    base = environment.get("XDG_STATE_HOME", "")
    home = environment.get("HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "reconciler" / "seen"
    return (
        Path(home) / ".local" / "state" / "reconciler" / "seen" if home and Path(home).is_absolute() else None
    )
