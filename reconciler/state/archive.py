"""The archive of transcripts: one file of JSON lines for each session, to which lines are only added.

Files are readable by their user only, and durable when `preserve` returns. Transcripts are personal data, so the
directory has a `.gitignore` that keeps them out of Git.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import orjson

from reconciler.errors import ArchiveFailed
from reconciler.model.address import Address
from reconciler.model.transcript import Line, Transcript, new_lines
from reconciler.state import files

_LARGEST = 512 * 1024 * 1024


class TranscriptFiles:
    """A `ports.TranscriptArchive` in a directory, with files `<channel>/<name>/<start>-<agent id>.jsonl`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def preserve(self, transcript: Transcript) -> None:
        """Add the lines of a transcript that its file lacks. Raises `ArchiveFailed` if they cannot be made durable."""
        path = self._path(transcript)
        try:
            self._prepare(path.parent)
            with _opened(path) as file:
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
            files.sync_directory(path.parent)
        except OSError as problem:
            raise ArchiveFailed(
                f"{path} cannot be written: {problem.strerror or problem}",
                hint="make room, or give the directory back to this user; `archive` in fleet.yaml names it",
            ) from None

    def sessions(self, address: Address) -> tuple[Path, ...]:
        """Return the files of an address, the oldest session first."""
        return tuple(sorted(self._place(address).glob("*.jsonl")))

    def session(self, agent_id: str) -> Path | None:
        """Return the file of one agent, in any channel, or None."""
        return next(iter(self.directory.glob(f"*/*/*-{quote(agent_id, safe='')}.jsonl")), None)

    def _place(self, address: Address) -> Path:
        return self.directory / file_name(address.channel) / file_name(address.name)

    def _path(self, transcript: Transcript) -> Path:
        session = transcript.session
        place, ending = self._place(session.address), f"-{quote(session.agent_id, safe='')}.jsonl"
        with suppress(OSError):
            for each in place.iterdir():
                if each.name.endswith(ending):
                    return each  # also if the service gave another start when the file was created
        began = datetime.fromtimestamp(session.started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        return place / f"{began}{ending}"

    def _prepare(self, place: Path) -> None:
        is_new = not self.directory.exists()
        for each in (self.directory, place.parent, place):
            if each.is_symlink():
                raise OSError(None, f"{each} is a link")
            each.mkdir(mode=0o700, parents=each == self.directory, exist_ok=True)
        if is_new:
            (self.directory / ".gitignore").write_text("*\n", encoding="ascii")


def read_session(path: Path) -> tuple[Line, ...]:
    """Return the lines of one file. Raises `ArchiveFailed` where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as problem:
        raise ArchiveFailed(f"{path} cannot be read: {problem.strerror or problem}") from None
    return tuple(_lines(data)[0])


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


def _opened(path: Path):  # type: ignore[no-untyped-def]  # an open binary file
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | files.NO_LINK, 0o600), "r+b")


def _lines(data: bytes) -> tuple[list[Line], int]:
    """Return the lines of a file, and how many bytes they take; a last line that was cut short is left out."""
    found: list[Line] = []
    end = 0
    for raw in _whole(data):
        with suppress(orjson.JSONDecodeError):
            line = orjson.loads(raw)
            if isinstance(line, dict):
                found.append(line)
        end += len(raw)
    return found, end


def _whole(data: bytes) -> Iterator[bytes]:
    return (each for each in data.splitlines(keepends=True) if each.endswith(b"\n"))
