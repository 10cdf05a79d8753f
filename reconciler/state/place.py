"""Checks of the place of a local state: a disk of this machine, in a directory that no other user can write.

SQLite's WAL is memory that the processes of one machine share; over a network two runs would both believe that they
have the lock. A user who can write the directory can replace the state.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from reconciler.errors import StateError
from reconciler.state.files import HAS_MODES

# Linux's list of mounted file systems; other systems do not have this file, and the kind stays unknown there.
MOUNTS = Path("/proc/self/mounts")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"})
# File systems that show all files as writable by everybody, even after a chmod.
_WITHOUT_MODES = frozenset({"9p", "drvfs", "vfat", "exfat", "ntfs", "ntfs3", "fuseblk"})
_MAGIC = b"SQLite format 3\x00"
_CONFLICT = re.compile(rb"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)


def check_place(path: Path) -> None:
    """Raise `StateError` for a state on a network file system, or in a directory that others can write."""
    kind = _file_system(path.parent)
    if kind in _NETWORK:
        raise StateError(
            f"the state {path} lies on a network file system ({kind}), where two runs can both believe that they hold "
            "it; nothing was done",
            hint="keep the fleet's directory on a local disk of the one machine that applies it",
        )
    if not HAS_MODES:
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        found = path.parent.stat()
        mode = found.st_mode
        others = stat.S_IWOTH if is_private(found.st_gid) else stat.S_IWOTH | stat.S_IWGRP
        if mode & others and stat.S_ISDIR(mode) and kind not in _WITHOUT_MODES:
            raise StateError(
                f"the directory {path.parent} can be written by others (mode {stat.S_IMODE(mode):04o}), who could put "
                "another state there; nothing was done",
                hint=f"chmod 700 {path.parent}, and look at the next plan before you apply it",
            )


def check_links(*places: Path) -> None:
    """Raise `StateError` if one of the paths, a state's directory and its files, is a symbolic link.

    A person who can change the fleet's files could put a link there; the state would be read and written at its target.
    SQLite opens files by path, and turns `/proc/self/fd/N` back into one, so this is checked before and after each use of
    a state; a link that is there only in between is not noticed (SECURITY.md: "What is not promised").
    """
    led = next((each for each in places if each.is_symlink()), None)
    if led is not None:
        raise StateError(
            f"{led} is a link, and the state beside a fleet is not read or written through links",
            hint="remove the link; `--state PATH` names a state that lies elsewhere",
        )


def is_private(group: int) -> bool:
    """Return whether a group has only this user as a member, as most systems create one for each user."""
    import grp  # neither module exists on Windows
    import pwd

    try:
        found, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def check_writable(path: Path, *places: Path) -> None:
    """Raise `StateError` if this user cannot write all of `places`, by default the file and its directory."""
    locked = next((each for each in places or (path.parent, path) if not os.access(each, os.W_OK)), None)
    if locked is not None:
        raise StateError(
            f"the state {path} is read-only here: {locked} cannot be written by this user; nothing was done",
            hint="run as the user who owns it, or give it back to this one (chown)",
        )


def exposures(*files: Path) -> list[str]:
    """Return messages for the user about files that others can read or write."""
    found = []
    for path in files:
        with suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if HAS_MODES and mode & 0o077 and _file_system(path.parent) not in _WITHOUT_MODES:
                found.append(f"{path} is open to others (mode {mode:04o}): chmod 600 {path}")
    return found


def what_stands_there(path: Path) -> str:
    """Return what a file that is not an SQLite database is; empty if it is one."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(65_536)
        if head.startswith(_MAGIC):
            return ""
        if has_conflict(head):
            return "it holds the conflict markers of a merge, so it has been in Git, where no state belongs"
        return "it is empty" if not head else "it is not an SQLite file"
    return ""


def has_conflict(data: bytes) -> bool:
    """Return whether a text holds the conflict markers of a merge."""
    return _CONFLICT.search(data) is not None


def _file_system(directory: Path) -> str:
    """Return the kind of a directory's file system; empty where it cannot be found out."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, best, kind = os.path.realpath(directory), "", ""
    for line in lines:
        _, point, found, *_ = [*line.split(" "), "", "", ""]
        point = _unescaped(point)
        is_above = place == point or place.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= len(best):  # of two mounts at one place, the later one is visible
            best, kind = point, found
    return kind


def _unescaped(text: str) -> str:
    for escaped, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escaped, character)
    return text
