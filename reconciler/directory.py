"""A directory that is held open; everything below it is opened component by component.

Resolving a path first and opening it later is a race: a person who can change the files can replace a directory by a
link in between. So the system follows no component: links are read here and walked the same way, and none may lead
outside.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Where the system cannot open relative to a descriptor (Windows), paths are resolved and then opened.
_BY_DESCRIPTOR = hasattr(os, "O_NOFOLLOW") and {os.open, os.stat, os.readlink, os.mkdir} <= os.supports_dir_fd
# O_NONBLOCK: opening a FIFO must not wait for a writer before fstat can refuse it.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = _FLAGS | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = _FLAGS | getattr(os, "O_DIRECTORY", 0)
# For a folder that is only passed through: O_PATH needs no right to list it.
_ON_THE_WAY = _FOLDER | _NO_LINK | getattr(os, "O_PATH", 0)
# The errors with which systems refuse to open a link.
_IS_LINK = frozenset({errno.ELOOP, errno.EMLINK, getattr(errno, "EFTYPE", errno.ELOOP)})
_MOST_LINKS = 40


class LeadsOut(Exception):
    """A name leads outside of the directory."""


class Hidden(Exception):
    """A name leads to something that the directory does not show: Git's files, the state, or credentials."""


class Directory:
    """The directory, held open by each process that uses it. `is_hidden` says which parts of a name it does not show."""

    def __init__(self, path: Path, *, is_hidden: Callable[[str], bool] = lambda _: False) -> None:
        self.root = path.resolve()
        self._is_hidden = is_hidden
        self._held: int | None = None
        self._process = 0
        self._identity: tuple[int, int] | None = None

    def open(self, name: str) -> int:
        """Return a descriptor of what a relative name leads to; raise `LeadsOut`, `Hidden` or OSError."""
        if not _BY_DESCRIPTOR:
            return self._open_by_path(name)
        parts, folders = name.split("/")[::-1], [self._root()]
        links = 0
        try:
            while parts:
                part = parts.pop()
                if part in ("", "."):
                    continue
                if part == "..":
                    if len(folders) == 1:
                        raise LeadsOut
                    os.close(folders.pop())
                    continue
                if self._is_hidden(part):
                    raise Hidden
                try:
                    folders.append(os.open(part, _NO_LINK, dir_fd=folders[-1]))
                except OSError as error:
                    target = self._link(part, folders[-1], error)
                    links += 1
                    if links > _MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
                    if target.startswith("/"):
                        target = self._below_root(target)
                        _close(folders[1:])
                        del folders[1:]
                    parts += target.split("/")[::-1]
            return folders.pop() if len(folders) > 1 else os.dup(folders[0])
        finally:
            _close(folders[1:])

    def plain(self, name: str, flags: int = os.O_RDONLY, *, make: bool = False) -> int:
        """Return a descriptor of a file or folder by a relative name, no part of which may be a link.

        With `make`, missing folders and the file are created, readable by their user only. Raises OSError, and
        `LeadsOut` for a name with `..`.
        """
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise LeadsOut
        flags |= _NO_LINK | (os.O_CREAT if make else 0)
        if not _BY_DESCRIPTOR:
            path = self.root.joinpath(*parts)
            if make:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)
        folder = os.dup(self._root())
        try:
            for part in parts[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=folder)
                below = os.open(part, _ON_THE_WAY, dir_fd=folder)
                os.close(folder)
                folder = below
            return os.open(parts[-1], flags, 0o600, dir_fd=folder)
        finally:
            os.close(folder)

    def make_durable(self, folder: str) -> None:
        """Sync a folder, so that files created in it survive a crash; no part of its name may be a link."""
        if _BY_DESCRIPTOR:
            descriptor = self.plain(folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def exists(self, name: str) -> bool:
        """Return whether the name exists, also as a link that leads nowhere or outside."""
        if not _BY_DESCRIPTOR:
            return os.path.lexists(self.root / name)
        folder, _, last = name.rpartition("/")
        try:
            with self.opened(folder or ".") as descriptor:
                os.stat(last, dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            return False
        except (LeadsOut, Hidden, NotImplementedError):
            return os.path.lexists(self.root / name)
        return True

    @contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """Open as `open` does, and close at the end of the block."""
        descriptor = self.open(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def entries(self, folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        """Give the entries of a folder; no part of its name may be a link."""
        if not _BY_DESCRIPTOR:
            with os.scandir(self.root / folder) as found:
                yield found
            return
        with self.opened(folder) as descriptor, os.scandir(descriptor) as found:
            yield found

    def _link(self, part: str, folder: int, error: OSError) -> str:
        """Return the target of a link that was not opened; raise the error if it is not a link."""
        if error.errno in _IS_LINK or error.errno == errno.ENOTDIR:
            try:
                return os.readlink(part, dir_fd=folder)
            except OSError:  # replaced meanwhile, or not a link
                pass
        raise error

    def _below_root(self, target: str) -> str:
        """Return an absolute link as a name below the directory; only its text is checked, the rest is opened again."""
        root = str(self.root).rstrip("/")
        if target != root and not target.startswith(f"{root}/"):
            raise LeadsOut
        return target[len(root) + 1 :]

    def _root(self) -> int:
        """Return the held descriptor; a forked process opens the directory again and closes only its own."""
        if self._held is None or self._process != os.getpid():
            held = os.open(self.root, _FOLDER | _NO_LINK)
            found = os.fstat(held)
            identity = (found.st_dev, found.st_ino)
            if self._identity not in (None, identity):
                os.close(held)
                raise LeadsOut
            self._held, self._process, self._identity = held, os.getpid(), identity
            weakref.finalize(self, _close_in, self._process, held)
        return self._held

    def _open_by_path(self, name: str) -> int:
        real = (self.root / name).resolve()
        if not real.is_relative_to(self.root):
            raise LeadsOut
        if any(map(self._is_hidden, real.relative_to(self.root).parts)):
            raise Hidden
        return os.open(real, _FLAGS)


def _close(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)


def _close_in(process: int, descriptor: int) -> None:
    if os.getpid() == process:
        os.close(descriptor)
