"""Whoever can change a fleet's files exchanges them for links while they are used: nothing gets in from outside, or out."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.config.files.documents import Files, Unreadable
from reconciler.config.templates.worker import CONFINES, Worker, WorkerLimits
from reconciler.driver.secrets import SecretSources
from reconciler.errors import ArchiveFailed, SecretUnavailable
from reconciler.model.address import Address, Owner
from reconciler.model.transcript import ArchivedSession, Transcript
from reconciler.secrets import SecretRef
from reconciler.state.archive import TranscriptFiles

READS = 10_000
MOST_SECONDS = 6.0

# Exchanges the last component, and the directory above it, for links that lead out, and back.
SWAPS = """
import os, sys
fleet, outside = sys.argv[1:]
os.chdir(fleet)
print("on", flush=True)
while True:
    os.symlink(outside + "/data/hotels.yaml", "data/new")
    os.replace("data/new", "data/hotels.yaml")
    with open("data/new", "w") as file:
        file.write("inside: true\\n")
    os.replace("data/new", "data/hotels.yaml")
    os.symlink(outside + "/data", "link")
    os.rename("data", "kept")
    os.rename("link", "data")
    os.rename("data", "link")
    os.rename("kept", "data")
    os.unlink("link")
"""

# Exchanges a directory that is made anew where it is missing for a link that leads out.
SWAPS_OF_WHAT_IS_MADE = """
import itertools, os, sys
from contextlib import suppress
fleet, outside = sys.argv[1:]
os.chdir(fleet)
print("on", flush=True)
for number in itertools.count():
    with suppress(FileNotFoundError):
        os.rename("data", f"kept-{number}")
    with suppress(FileExistsError):
        os.symlink(outside + "/data", "data")
        os.unlink("data")
"""


@contextmanager
def exchanged(fleet: Path, outside: Path, swaps: str = SWAPS) -> Iterator[None]:
    swapping = subprocess.Popen([sys.executable, "-c", swaps, fleet, outside], stdout=subprocess.PIPE)
    try:
        assert swapping.stdout is not None
        assert swapping.stdout.readline() == b"on\n"
        yield
        assert swapping.poll() is None, "it was exchanging all the while"
    finally:
        swapping.kill()
        swapping.wait()
        if swapping.stdout is not None:
            swapping.stdout.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    for place, content in (("fleet", "inside: true\n"), ("outside", "canary: outside\n")):
        (tmp_path / place / "data").mkdir(parents=True)
        (tmp_path / place / "data" / "hotels.yaml").write_text(content)
    (tmp_path / "outside" / "data" / "only-there.yaml").write_text("canary: outside\n")
    (tmp_path / "fleet" / "ring").symlink_to("data")
    return tmp_path / "fleet"


def attempted(
    fleet: Path, attempt: Callable[[int], None], refusal: type[Exception], *, least: int, swaps: str = SWAPS
) -> None:
    """Attempt something again and again while links are exchanged: it succeeds, and is refused, `least` times and more."""
    done = {"inside": 0, "refused": 0}
    end = time.monotonic() + MOST_SECONDS
    with exchanged(fleet, fleet.parent / "outside", swaps):
        for number in range(READS):
            try:
                attempt(number)
                done["inside"] += 1
            except refusal:
                done["refused"] += 1
            if time.monotonic() > end:
                break
    assert min(done.values()) > least, done


@pytest.mark.skipif(os.name == "nt", reason="no descriptors of directories")
def test_no_byte_from_outside_is_read_while_links_are_exchanged(fleet: Path) -> None:
    def read(number: int) -> None:
        files = Files(fleet)
        if number % 10 == 0:
            with suppress(Unreadable):
                assert "only-there.yaml" not in " ".join(files.matching("data/*.yaml"))
        text = files.text("ring/hotels.yaml" if number % 2 else "data/hotels.yaml")
        assert "canary" not in text

    attempted(fleet, read, Unreadable, least=100)


@pytest.mark.skipif(os.name == "nt", reason="no descriptors of directories")
def test_no_secret_from_outside_is_read_while_links_are_exchanged(fleet: Path) -> None:
    (fleet / "ring").unlink()
    wanted = SecretRef("ref+file://data/hotels.yaml")

    def read(_: int) -> None:
        assert "canary" not in SecretSources({}, fleet).resolve(frozenset({wanted}))[wanted].reveal()

    attempted(fleet, read, SecretUnavailable, least=100)


@pytest.mark.skipif(os.name == "nt", reason="no descriptors of directories")
def test_nothing_is_archived_outside_while_links_are_exchanged(fleet: Path) -> None:
    def archive(number: int) -> None:
        address = Address("lobby", f"desk-{number % 50}")
        session = ArchivedSession(Owner("f", None), address, f"A{number}", "n", 1.0)
        TranscriptFiles(fleet, "data").preserve(Transcript(session, 1.0))

    attempted(fleet, archive, ArchiveFailed, least=10, swaps=SWAPS_OF_WHAT_IS_MADE)
    outside = fleet.parent / "outside" / "data"
    assert sorted(each.name for each in outside.iterdir()) == ["hotels.yaml", "only-there.yaml"]


@pytest.mark.skipif(not CONFINES, reason="no process of its own")
def test_templates_do_not_read_from_what_was_put_in_the_place_of_the_fleet(fleet: Path) -> None:
    files = Files(fleet)
    assert "inside" in files.text("data/hotels.yaml")
    fleet.rename(fleet.parent / "kept")
    (fleet.parent / "outside").rename(fleet)

    def work() -> Iterator[str]:
        try:
            yield files.text("data/only-there.yaml")
        except Unreadable as refused:
            yield refused.problem.rule

    assert [*Worker(WorkerLimits(), ()).run(work)] == ["file-outside"]
    fleet.rename(fleet.parent / "outside")
    fleet.symlink_to(fleet.parent / "outside")
    assert [*Worker(WorkerLimits(), ()).run(work)] == ["file-unreadable"]


def test_links_inside_the_directory_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.yaml").write_text("x: 1\n")
    (tmp_path / "up").symlink_to("a/b/../b")
    (tmp_path / "whole").symlink_to(tmp_path / "a" / "b" / "c.yaml")
    files = Files(tmp_path)
    assert files.text("up/c.yaml") == files.text("whole") == "x: 1\n"


@pytest.mark.parametrize("target", ["..", "a/../..", "/", "/etc", "../fleet-of-another", "a/../../x/y"])
def test_links_that_lead_out_are_refused(tmp_path: Path, target: str) -> None:
    fleet = tmp_path / "fleet"
    (fleet / "a").mkdir(parents=True)
    (fleet / "link").symlink_to(target)
    with pytest.raises(Unreadable) as raised:
        Files(fleet).text("link/hotels.yaml")
    assert raised.value.problem.rule in ("file-outside", "file-unreadable")
    assert "outside" in raised.value.problem.rule or "No such file" in raised.value.problem.summary


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f.yaml").write_text("x: 1\n")
    (tmp_path / "out").symlink_to("/")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(100):
        files = Files(tmp_path)
        files.text("a/f.yaml")
        files.matching("a/*.yaml")
        for name in ("out/etc/passwd", "a/none.yaml", "a"):
            with pytest.raises(Unreadable):
                files.text(name)
        del files
    gc.collect()
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after <= before + 1
