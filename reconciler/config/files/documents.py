"""The files of a fleet's directory: their text, and YAML documents with places.

Every read of a user's file goes through `Files`: confined to the directory, regular files only, bounded, and with its
digest kept, so that the fleet's digest covers all that was read. The meaning of a file is not known here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from reconciler.config.files.patterns import parts_of, walk
from reconciler.config.yaml.errors import in_text
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.tree import Parsed, YamlLimits
from reconciler.diagnostics import Problem, ProblemError, Problems, Span, nearest
from reconciler.directory import Directory, Hidden, LeadsOut
from reconciler.model.fleet import FLEET_FILE
from reconciler.secrets.sources import is_hidden
from reconciler.values import dataclass

DEFAULT_INCLUDE = ("agents/*.yaml", "agents/*.yml", "agents/*.yaml.j2")
TEMPLATE_SUFFIX = ".j2"

# In characters; no system opens a longer path.
_LONGEST_NAME = 4096
_WILD = re.compile(r"[*?\[]")
_FILE_NAME = re.compile(r"[\w .@+/-]+")
# Searched in bytes, which is many times faster: control characters, line breaks that only YAML knows, BOMs.
_CONTROL_BYTES = bytes(each for each in range(32) if each not in b"\t\n\r") + b"\x7f"
_FORBIDDEN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|\xef(?:\xbb\xbf|\xbf[\xbe\xbf])"
)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bounds on what may be read; set by the user who runs the command, never by the files."""

    file_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 1024 * 1024 * 1024
    files: int = 20_000
    entries: int = 200_000
    yaml: YamlLimits = field(default_factory=YamlLimits)


class Unreadable(ProblemError):
    """A file that may not or cannot be read; the problem has a place if it concerns a line of the file."""

    def __init__(self, rule: str, summary: str, help: str | None = None, at: Span | None = None) -> None:
        super().__init__(Problem(rule, summary, at, help))

    def placed(self, name: str, named_at: Span | None) -> Problem:
        """Return the problem at its line, else at the place that names the file."""
        return replace(self.problem, at=self.problem.at or named_at or Span(name))


class Files:
    """The files of one fleet's directory, each read at most once."""

    def __init__(self, directory: Path, limits: FileLimits | None = None) -> None:
        self.directory = directory
        self._directory = Directory(directory, is_hidden=is_hidden)
        self.limits = limits or FileLimits()
        self.texts: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self._total = 0

    def text(self, name: str) -> str:
        """Return the text of a file, by its path relative to the directory; raise `Unreadable`."""
        known = self.texts.get(name)
        if known is None:
            known = self.texts[name] = _decoded(self._bytes(name), name)
        return known

    def forget(self, name: str) -> None:
        """Drop the text of a file; if it is needed later, it is read again."""
        self.texts.pop(name, None)

    def exists(self, name: str) -> bool:
        return self._directory.exists(name)

    def matching(self, pattern: str) -> list[str]:
        """Return the files that a glob pattern matches, sorted; raise `Unreadable` if it leaves the directory."""
        _check_relative(pattern, "pattern")
        if not _WILD.search(pattern):
            return [pattern] if self.exists(pattern) else []
        try:
            found = walk(self._directory.entries, pattern, self.limits.entries)
        except OSError as error:
            raise Unreadable("file-unreadable", f"cannot read {error.filename}: {error.strerror}") from None
        except (LeadsOut, Hidden):  # a directory became a link since its folder was listed
            summary = (
                f'a directory that the pattern "{pattern}" leads through was exchanged for a link meanwhile'
            )
            raise Unreadable("file-unreadable", summary, "run the command again") from None
        if found.link is not None:
            raise Unreadable(
                "include-link",
                f'the pattern "{pattern}" leads through {found.link}, which is a link to a directory',
                "name the directory that it leads to: links to directories are not followed",
            )
        if not found.complete:
            raise Unreadable(
                "include-size",
                f'the pattern "{pattern}" leads through more than {self.limits.entries:,} files and directories',
                "name the directories that hold agents, as in agents/*.yaml",
            )
        return found.names

    def suggestion(self, name: str) -> str | None:
        """Return a did-you-mean for a path, with a similar name for its first part that does not exist, or None."""
        parts = parts_of(name)
        for index, part in enumerate(parts):
            if _WILD.search(part):
                return None
            try:
                with self._directory.entries("/".join(parts[:index]) or ".") as found:
                    present = sorted(each.name for each in islice(found, self.limits.entries))
            except (OSError, RuntimeError, LeadsOut, Hidden):
                return None
            if part not in present:
                meant = nearest(part, (each for each in present if not is_hidden(each)))
                return (
                    f'did you mean "{"/".join([*parts[:index], meant, *parts[index + 1 :]])}"?'
                    if meant
                    else None
                )
        return None

    def _bytes(self, name: str) -> bytes:
        _check_relative(name, "file name")
        try:
            data = self._read(name)
        except LeadsOut:
            summary = f"{name} leads out of the fleet's directory"
            raise Unreadable("file-outside", summary, "copy the file into the directory") from None
        except Hidden:
            summary = f"{name} is hidden, or leads to something hidden"
            raise Unreadable("file-hidden", summary, "name a file that is not hidden") from None
        except (OSError, RuntimeError) as error:  # a cycle of links is a RuntimeError in `resolve`
            number = error.errno if isinstance(error, OSError) else errno.ELOOP
            reason = "it leads back to itself" if number == errno.ELOOP else os.strerror(number or 0)
            summary = f"cannot read {name}: {reason}"
            raise Unreadable("file-unreadable", summary, self.suggestion(name)) from None
        self._total += len(data)
        if self._total > self.limits.total_bytes:
            raise Unreadable(
                "file-size", f"the fleet's files are larger than {self.limits.total_bytes:,} bytes together"
            )
        data = _normalised(data)
        self.digests.setdefault(name, _digest(data))
        return data

    def _read(self, name: str) -> bytes:
        """Return the bytes of a file; its kind and size are read from the descriptor, not by its name."""
        with self._directory.opened(name) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unreadable("file-kind", f"{name} is not a regular file", "name a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(self.limits.file_bytes + 1)
        if len(data) > self.limits.file_bytes:
            raise Unreadable(
                "file-size", f"{name} is larger than {self.limits.file_bytes:,} bytes", "split the file"
            )
        return data


def _check_relative(name: str, what: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise Unreadable(
            "file-name", f"the {what} is longer than {_LONGEST_NAME:,} characters", "write a shorter one"
        )
    shown = name.encode("unicode_escape").decode()
    if not name or name.startswith(("/", "~")) or "\\" in name or (len(name) > 1 and name[1] == ":"):
        raise Unreadable(
            "file-outside", f'the {what} "{shown}" is not relative', "write it relative to fleet.yaml"
        )
    if ".." in name.split("/"):
        raise Unreadable(
            "file-outside",
            f'the {what} "{shown}" leaves the fleet\'s directory',
            "keep all files beside fleet.yaml",
        )
    plain = name if what == "file name" else re.sub(r"[*?\[\]!]", "x", name)
    if not _FILE_NAME.fullmatch(plain) or not unicodedata.is_normalized("NFC", name):
        raise Unreadable(
            "file-name", f'the {what} "{shown}" holds a character that names may not have', "rename the file"
        )


def digest_of(data: bytes) -> str:
    """Return the digest of a file's bytes, as `Files` keeps it."""
    return _digest(_normalised(data))


def _digest(normalised: bytes) -> str:
    return hashlib.blake2b(normalised, digest_size=16).hexdigest()


def _normalised(data: bytes) -> bytes:
    """Return the bytes of a text without what a checkout may change: a BOM at the start, and the kind of line ends.

    This comes before the digest, so that two checkouts of one commit are the same fleet.
    """
    data = data.removeprefix(_BOM)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _decoded(data: bytes, name: str) -> str:
    """Return the text of normalised bytes, which must be UTF-8 without control characters."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise Unreadable("file-encoding", f"{name} is not UTF-8 (it looks like UTF-16)", "save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"{data[error.start]:#04x}"
        summary = f"{name} is not UTF-8: byte {byte} in line {line}"
        raise Unreadable("file-encoding", summary, "save it as UTF-8", Span(name, line)) from None
    if len(data.translate(None, _CONTROL_BYTES)) < len(data) or (
        not data.isascii() and _FORBIDDEN.search(data)
    ):
        _refuse_control(data, name)
    return text


def _refuse_control(data: bytes, name: str) -> None:
    found = _FORBIDDEN.search(data)
    assert found is not None
    line = data.count(b"\n", 0, found.start()) + 1
    column = len(data[data.rfind(b"\n", 0, found.start()) + 1 : found.start()].decode()) + 1
    code = ord(found[0].decode())
    raise Unreadable(
        "control-character",
        f"the character U+{code:04X} may not stand in {name}",
        "remove it; where a prompt needs it, write it as an escape in double quotes",
        Span(name, line, column),
    )


@dataclass(slots=True)
class Document:
    """One YAML file: its tree, and the place of everything in it."""

    file: str
    parsed: Parsed
    # For a rendered template: the template's line for each line of the text that was parsed.
    template_line: Callable[[int], int] | None = None

    @property
    def root(self) -> Any:
        return self.parsed.root

    def in_file(self, place: Span) -> Span:
        """Return a place of the parsed text as a place in the user's file."""
        if self.template_line is None:
            return Span(self.file, place.line, place.column)
        return Span(self.file, self.template_line(place.line), 1)

    def at(self, container: object) -> Span:
        """Return where a container begins."""
        return self.in_file(in_text(self.parsed.start(container)))

    def key(self, container: Any, key: str | int) -> Span:
        """Return the place of a key, or of an item of a list."""
        return self.in_file(in_text(self.parsed.key_place(container, key)))

    def value(self, container: Any, key: str | int) -> Span:
        """Return where the value of a key, or an item of a list, begins."""
        return self.in_file(in_text(self.parsed.place(container, key)))

    def placed(self, problem: Problem, rendered: str | None = None) -> Problem:
        """Return a problem of the YAML text as one of the user's file; for `rendered` text, its line is quoted."""
        at, why = problem.where, problem.why
        assert at is not None, "the YAML reader places every problem"
        if rendered is not None:
            lines = rendered.split("\n")
            shown = lines[at.line - 1].strip() if at.line <= len(lines) else ""
            place = f"line {at.line}, column {at.column} of the rendered text: {shown[:120]}"
            why = f"{why}; {place}" if why else place
        related = tuple((self.in_file(where), words) for where, words in problem.related)
        return replace(problem, at=self.in_file(at), why=why, related=related)


def read_document(
    files: Files,
    name: str,
    problems: Problems,
    *,
    inert: bool = False,
    rendered: str | None = None,
    template_line: Callable[[int], int] | None = None,
) -> Document | None:
    """Read and parse one file; problems are collected, and None is returned when there is no tree at all.

    For a whole-file template, `rendered` is its result and `template_line` maps lines back to the template.
    """
    text = files.text(name) if rendered is None else rendered
    parsed = parse_yaml(text, limits=files.limits.yaml, inert=inert)
    files.forget(name)
    document = Document(name, parsed, template_line)
    for each in parsed.problems:
        problems.add(document.placed(each, text if rendered is not None else None))
    return document if parsed.root is not None or not parsed.problems else None


def included(files: Files, patterns: Sequence[str]) -> list[str]:
    """Return the files of a list of patterns, sorted, each once, without `fleet.yaml` itself."""
    names = {name for pattern in patterns for name in files.matching(pattern)}
    return sorted(name for name in names if name != FLEET_FILE)


def clashes(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of names that would be one file on a system that ignores case."""
    seen: dict[str, str] = {}
    found = []
    for name in names:
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            found.append((seen[folded], name))
        seen.setdefault(folded, name)
    return found
