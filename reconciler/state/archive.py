"""The archive of transcripts: one file of JSON lines for each session, to which lines are only added.

Files are readable by their user only, and durable when `preserve` returns. Transcripts are personal data, so the
directory has a `.gitignore` that keeps them out of Git. No part of a file's name below the fleet's directory may be a
link: the transcripts would be written to where it leads.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import orjson

from reconciler.directory import Directory, LeadsOut
from reconciler.errors import ArchiveFailed
from reconciler.model.address import Address
from reconciler.model.transcript import Line, Transcript, new_lines

_LARGEST = 512 * 1024 * 1024


class TranscriptFiles:
    """A `ports.TranscriptArchive` in a folder below a directory: `<channel>/<name>/<start>-<agent id>.jsonl`."""

    def __init__(self, root: Path, folder: str) -> None:
        self.place = root / folder
        self._below = Directory(root)
        self._folder = folder

    def preserve(self, transcript: Transcript) -> None:
        """Add the lines of a transcript that its file lacks. Raises `ArchiveFailed` if they cannot be made durable."""
        name = self._name(transcript)
        try:
            self._tell_git()
            with os.fdopen(self._below.plain(name, os.O_RDWR, make=True), "r+b") as file:
                archived, whole = _lines(file.read())
                added = [orjson.dumps(each) + b"\n" for each in new_lines(archived, transcript)]
                if not added:
                    return
                # A line that a crash cut short is overwritten: the new lines begin where it began.
                file.truncate(whole)
                file.seek(whole)
                file.write(b"".join(added))
                file.flush()
                os.fsync(file.fileno())
            self._below.make_durable(name.rpartition("/")[0])
        except (OSError, LeadsOut) as problem:
            raise ArchiveFailed(
                f"{self._below.root / name} cannot be written: {_why(problem)}",
                hint="make room, or give the directory back to this user; `archive` in fleet.yaml names it",
            ) from None

    def sessions(self, address: Address) -> tuple[str, ...]:
        """Return the names of the files of an address, the oldest session first."""
        return tuple(sorted(name for name in self._names(self._of(address)) if name.endswith(".jsonl")))

    def session(self, agent_id: str) -> str | None:
        """Return the name of the file of one agent, in any channel, or None."""
        ending = f"-{quote(agent_id, safe='')}.jsonl"
        agents = (agent for channel in self._names(self._folder) for agent in self._names(channel))
        found = (name for agent in agents for name in self._names(agent) if name.endswith(ending))
        return next(found, None)

    def read(self, name: str) -> tuple[Line, ...]:
        """Return the lines of one file. Raises `ArchiveFailed` if it cannot be read."""
        try:
            with os.fdopen(self._below.plain(name), "rb") as file:
                data = file.read(_LARGEST + 1)
        except (OSError, LeadsOut) as problem:
            raise ArchiveFailed(f"{self._below.root / name} cannot be read: {_why(problem)}") from None
        return tuple(_lines(data)[0])

    def _of(self, address: Address) -> str:
        return f"{self._folder}/{file_name(address.channel)}/{file_name(address.name)}"

    def _name(self, transcript: Transcript) -> str:
        session = transcript.session
        place, ending = self._of(session.address), f"-{quote(session.agent_id, safe='')}.jsonl"
        for each in self._names(place):
            if each.endswith(ending):
                return each  # also if the service gave another start when the file was created
        began = datetime.fromtimestamp(session.started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{place}/{began}{ending}"

    def _names(self, folder: str) -> list[str]:
        """Return the names below the root of a folder's entries; empty if the folder cannot be read."""
        with suppress(OSError, LeadsOut), self._below.entries(folder) as found:
            return [f"{folder}/{each.name}" for each in found]
        return []

    def _tell_git(self) -> None:
        """Create the `.gitignore` of a new archive."""
        if not self._below.exists(self._folder):
            with os.fdopen(
                self._below.plain(f"{self._folder}/.gitignore", os.O_WRONLY, make=True), "wb"
            ) as file:
                file.write(b"*\n")


def file_name(text: str) -> str:
    """Return a text as one part of a path on any system: letters, digits, `-` and `_`; all others as %XX."""
    name = quote(text, safe="").replace(".", "%2E").replace("~", "%7E")
    return f"%{ord(name[0]):02X}{name[1:]}" if name.upper() in _RESERVED else name


# Names that are devices on Windows, in any directory.
_RESERVED = frozenset(
    {
        "CON",
        "PRN",
        "AUX",
        "NUL",
        *(f"{device}{number}" for device in ("COM", "LPT") for number in range(1, 10)),
    }
)


def _why(problem: OSError | LeadsOut) -> str:
    if isinstance(problem, LeadsOut):
        return "it leads out of the fleet's directory"
    if problem.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a part of it is a link, or no directory"
    return problem.strerror or str(problem)


def _lines(data: bytes) -> tuple[list[Line], int]:
    """Return the lines of a file, and how many bytes they take; a last line that was cut short is left out."""
    found: list[Line] = []
    end = 0
    for raw in data.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            continue
        with suppress(orjson.JSONDecodeError):
            line = orjson.loads(raw)
            if isinstance(line, dict):
                found.append(line)
        end += len(raw)
    return found, end
