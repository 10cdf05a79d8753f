"""The key for digests of secret values, in its own file: from a copy of the state alone no secret can be guessed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from reconciler.errors import StateError
from reconciler.state import files

_SHORTEST, _LARGEST = 32, 1024


class KeyFile:
    """The key in the file `path`, created when a state is first written. Raises `OSError` for errors of the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        """Return the key; empty where there is none yet. Raises `StateError` when the file does not hold a key."""
        if not self.path.exists():
            return b""
        with os.fdopen(os.open(self.path, os.O_RDONLY | files.NO_LINK), "rb") as file:
            key = file.read(_LARGEST + 1)
        if not _SHORTEST <= len(key) <= _LARGEST:
            size = f"{len(key)} bytes" if len(key) <= _LARGEST else f"more than {_LARGEST:,} bytes"
            raise StateError(
                f"the key file {self.path} has {size}, and is no key",
                hint="remove it: a new one is made, and `plan --check-secrets` then calls every value new once",
            )
        return key

    def create(self) -> None:
        """Create a key if there is none, by a rename: digests made with a partial key could be guessed.

        Raises `StateError` when the file that exists does not hold a key.
        """
        if not self.path.exists():
            self._put()
        self.read()

    def _put(self) -> None:
        fresh = self.path.with_suffix(f".new-{os.getpid()}")
        key = files.create(fresh)
        try:
            os.write(key, secrets.token_hex(32).encode())
            os.fsync(key)
        finally:
            os.close(key)
        try:
            os.link(fresh, self.path)
        except FileExistsError:
            pass  # another process was faster, or something else is there: `create` reads it
        finally:
            fresh.unlink()
