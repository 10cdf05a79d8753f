"""The lock and its lease: one holder at a time, no lock that outlives its process, and none that needs a hand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.writes import PutGeneration
from reconciler.state.lease import FileLease
from reconciler.state.local import LocalStore
from tests.fakes.stores import acquire

SHORT = 0.3
WRITE = PutGeneration(Address("lobby", "greeter"), 3)


def waited(lease: FileLease, holder: str, seconds: float = 5.0) -> float:
    """Try until the lease is had; how long that took."""
    started = time.monotonic()
    while True:
        try:
            lease.take(holder)
        except StateLocked:
            assert time.monotonic() - started < seconds
            time.sleep(0.01)
        else:
            return time.monotonic() - started


def test_one_holder_at_a_time_and_the_message_says_who_and_until_when(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "x.lock"), FileLease(tmp_path / "x.lock")
    one.take("ada@laptop (pid 7, since 12:00)")
    with pytest.raises(StateLocked) as caught:
        other.take("bob")
    assert "held by ada@laptop (pid 7, since 12:00)" in caught.value.message
    assert (
        "its lease ends after 60 s without a sign of life, and 0 s of silence were seen"
        in caught.value.message
    )
    one.release()
    other.take("bob")
    assert other.is_in_place


@pytest.mark.parametrize(
    ("told", "holder"),
    [
        (b'{"holder":"ada"}', "ada"),
        (b'{"holder":""}', "another process"),
        (b'{"holder":7}', "another process"),
        (b'["ada"]', "another process"),
        (b"ada (pid 7)\n", "ada (pid 7)"),
        (b"", "another process"),
        (b"\xff", "\ufffd"),
    ],
)
def test_a_lock_file_that_is_half_written_or_of_an_older_version_still_names_somebody(
    tmp_path: Path, told: bytes, holder: str
) -> None:
    one, other = FileLease(tmp_path / "x.lock"), FileLease(tmp_path / "x.lock")
    one.take("ada")
    (tmp_path / "x.lock").write_bytes(told)
    with pytest.raises(StateLocked, match=f"held by {re.escape(holder)};"):
        other.take("bob")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_who_waits_for_it_leaves_no_file_open(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "x.lock"), FileLease(tmp_path / "x.lock")
    one.take("ada")
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(StateLocked):
            other.take("bob")
        assert other.holder() == "ada"
    assert len(os.listdir("/proc/self/fd")) <= opened + 1


def test_who_gives_signs_of_life_keeps_it(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "x.lock", SHORT), FileLease(tmp_path / "x.lock", SHORT)
    one.take("ada")
    until = time.monotonic() + 4 * SHORT
    while time.monotonic() < until:
        one.renew()
        with pytest.raises(StateLocked):
            other.take("bob")
        time.sleep(SHORT / 6)
    one.check()


def test_silence_for_a_whole_lease_is_taken_over_and_the_silent_one_is_told(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "x.lock", SHORT), FileLease(tmp_path / "x.lock", SHORT)
    one.take("ada")
    assert waited(other, "bob") >= SHORT
    with pytest.raises(StateLocked, match="taken over by bob"):
        one.check()
    with pytest.raises(StateLocked):
        one.renew()
    one.release()
    assert other.is_in_place  # what the silent one gives back is not what bob has


def test_a_watch_starts_at_the_first_look(tmp_path: Path) -> None:
    """A lease is observed, never computed from a clock of somebody else's."""
    one, other = FileLease(tmp_path / "x.lock", SHORT), FileLease(tmp_path / "x.lock", SHORT)
    one.take("ada")
    time.sleep(2 * SHORT)
    with pytest.raises(StateLocked):
        other.take("bob")


def test_of_many_takers_one_has_it(tmp_path: Path) -> None:
    silent = FileLease(tmp_path / "x.lock", SHORT)
    silent.take("ada")
    takers = [FileLease(tmp_path / "x.lock", SHORT) for _ in range(6)]
    holding = 0
    most = 0
    guard = threading.Lock()

    def run(lease: FileLease) -> None:
        nonlocal holding, most
        waited(lease, "taker", 20.0)
        with guard:
            holding += 1
            most = max(most, holding)
        assert lease.is_in_place
        time.sleep(0.02)
        with guard:
            holding -= 1
        lease.release()

    threads = [threading.Thread(target=run, args=(each,)) for each in takers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (most, holding) == (1, 0)


@pytest.mark.parametrize(
    "left", [b"", b"{", b"ada@laptop, an older version", b"[1]", b'{"holder": 5}', b"\xff\xfe"]
)
def test_whatever_stands_in_the_file_is_no_reason_to_fail(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(left)
    lease = FileLease(path)
    lease.take("we")
    path.write_bytes(left)
    with pytest.raises(StateLocked, match="held by"):
        FileLease(path).take("they")


def test_a_stopped_process_is_taken_over_from_and_writes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    """SIGSTOP is what a sleeping laptop or a frozen container looks like."""
    path = tmp_path / ".reconciler" / "default.state"
    script = (
        "import sys, threading, time\nfrom pathlib import Path\nfrom reconciler.state.local import LocalStore\n"
        "from reconciler.model.writes import PutGeneration\nfrom reconciler.model.address import Address\n"
        f"store = LocalStore(Path(sys.argv[1]), lease={SHORT})\nstore.take('the stopped one')\nstore.prepare()\n"
        "serial = store.commit([PutGeneration(Address('a', 'b'), 1)], expected=0)\nprint('held', flush=True)\n"
        "for line in sys.stdin:\n"
        "    try:\n        store.commit([PutGeneration(Address('a', 'b'), 9)], expected=serial)\n"
        "    except Exception as error:\n        print(type(error).__name__, flush=True)\n"
        "    else:\n        print('written', flush=True)\n"
    )
    stopped = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert stopped.stdin is not None
    assert stopped.stdout is not None
    try:
        assert stopped.stdout.readline() == "held\n"
        os.kill(stopped.pid, signal.SIGSTOP)
        store = LocalStore(path, lease=SHORT)
        acquire(store, "we", 10.0)
        # Before we have written anything the serial could not tell: the lease does.
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.stdin.write("go on\n")
        stopped.stdin.flush()
        assert stopped.stdout.readline() == "StateLocked\n"
        assert store.commit([WRITE], expected=1) == 2
        assert store.read().generations[Address("a", "b")] == 1
        store.close()
    finally:
        stopped.kill()
        stopped.wait()
        stopped.stdin.close()
        stopped.stdout.close()


def test_who_holds_it_is_told_without_taking_or_making_anything(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "x.lock"), FileLease(tmp_path / "x.lock")
    assert other.holder() is None
    assert list(tmp_path.iterdir()) == []
    one.take("ada@laptop")
    assert other.holder() == "ada@laptop"
    assert one.holder() == "ada@laptop"
    assert one.is_in_place
    one.release()
    assert other.holder() is None
    # What a process that died has left in the file.
    (tmp_path / "x.lock").write_text('{"holder": "bob", "signs": 2}', encoding="utf-8")
    assert other.holder() is None
    one.take("ada@laptop")
    assert other.holder() == "ada@laptop"
