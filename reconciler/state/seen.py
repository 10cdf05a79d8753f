"""The highest serial of a state that this machine has seen, by which an older copy in its place is noticed.

It is kept outside the fleet's directory, since that is what a backup restores. It is a help, not a guarantee: where
nothing can be kept nothing is refused, and a new machine has seen nothing.
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
    """The file that keeps the lineage and serial seen of one state."""

    def __init__(self, directory: Path, state: Path) -> None:
        place = os.path.realpath(state)
        name = hashlib.blake2b(os.fsencode(place), digest_size=16, person=b"seen").hexdigest()
        self._path = directory / f"{name}.json"
        self._place = place

    @property
    def path(self) -> Path:
        """The path of the file, for users who want to delete it."""
        return self._path

    def read(self) -> Seen | None:
        """Return the lineage and serial seen, or None if none are known."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            with self._path.open("rb") as file:
                found = orjson.loads(file.read(_LARGEST))
            return Seen(str(found["lineage"]), int(found["serial"]))
        return None

    def forget(self) -> None:
        """Delete the file, so that any state at this place is accepted until one is seen again."""
        with suppress(OSError):
            self._path.unlink()

    def write(self, seen: Seen) -> None:
        """Store lineage and serial; errors of the disk are ignored."""
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
    """Return the user's directory for these files; None where there is none."""
    base = environment.get("XDG_STATE_HOME", "")
    home = environment.get("HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "reconciler" / "seen"
    return (
        Path(home) / ".local" / "state" / "reconciler" / "seen" if home and Path(home).is_absolute() else None
    )
