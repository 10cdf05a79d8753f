"""Whoever can change a fleet's files exchanges them for links while they are read: nothing from outside gets in."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.config.files.documents import Files, Unreadable

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


@contextmanager
def exchanged(fleet: Path, outside: Path) -> Iterator[None]:
    swapping = subprocess.Popen([sys.executable, "-c", SWAPS, fleet, outside], stdout=subprocess.PIPE)
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


@pytest.mark.skipif(os.name == "nt", reason="no descriptors of directories")
def test_no_byte_from_outside_is_read_while_links_are_exchanged(fleet: Path) -> None:
    read = {"inside": 0, "refused": 0}
    end = time.monotonic() + MOST_SECONDS
    with exchanged(fleet, fleet.parent / "outside"):
        for number in range(READS):
            files = Files(fleet)
            try:
                text = files.text("ring/hotels.yaml" if number % 2 else "data/hotels.yaml")
                assert "canary" not in text
                read["inside"] += 1
            except Unreadable:
                read["refused"] += 1
            if number % 10 == 0:
                try:
                    assert "only-there.yaml" not in " ".join(files.matching("data/*.yaml"))
                except Unreadable:
                    read["refused"] += 1
            if time.monotonic() > end:
                break
    assert read["inside"] > 100, read
    assert read["refused"] > 100, read


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
