"""A machine without POSIX: no fcntl, resource, pwd or grp, no fork, no such signals and flags, as on Windows.

A child process hides all of it before anything of ours is imported, and runs the commands on the embedded simulator. In
the place of `msvcrt` stands one with the same function, over the system's own locks: two processes really exclude each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHAIN = Path(__file__).parents[2] / "examples" / "hotel-chain"
WITHOUT = """
import asyncio, fcntl, importlib.abc, os, select, signal, sys, types

def locking(descriptor, mode, size, *, lockf=fcntl.lockf, ex=fcntl.LOCK_EX, nb=fcntl.LOCK_NB, un=fcntl.LOCK_UN):
    at = os.lseek(descriptor, 0, os.SEEK_CUR)
    lockf(descriptor, {0: un, 1: ex, 2: ex | nb}[mode], size, at)

class Hidden(importlib.abc.MetaPathFinder):
    names = {"fcntl", "resource", "pwd", "grp", "termios", "tty"}
    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

for name in Hidden.names:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
sys.modules["msvcrt"] = types.SimpleNamespace(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, locking=locking)
for module, names in {
    os: "fork forkpty pread pwrite geteuid getuid getgid getegid fchmod O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY "
        "sysconf killpg getpgid setsid waitstatus_to_exitcode",
    signal: "SIGHUP SIGKILL SIGALRM SIGXCPU SIGUSR1 SIGUSR2 setitimer alarm",
    select: "poll epoll",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
opened = os.open
def open_files_only(path, flags, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, flags, *rest, **more)
os.open = open_files_only

def no_handler(self, *_):
    raise NotImplementedError
asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = no_handler
"""
RUN = f"{WITHOUT}\nfrom reconciler.cli.main import main\nmain(sys.argv[1:])\n"


def start(*arguments: str | Path, program: str = RUN) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AGORA_")}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
    )


def run(*arguments: str | Path) -> tuple[int, str, str]:
    with start(*arguments) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(CHAIN, tmp_path / "fleet", ignore=shutil.ignore_patterns(".reconciler"))
    return tmp_path / "fleet"


def test_the_way_of_a_new_user(tmp_path: Path) -> None:
    home = tmp_path / "my-fleet"
    for words, code, said in (
        (("init", home), 0, "next: reconciler plan"),
        (("validate", home), 0, "my-fleet is valid"),
        (("plan", home, "--detailed-exitcode"), 2, "1 to join"),
        (("apply", home, "--auto-approve"), 0, "1 joined"),
        (("plan", home, "--detailed-exitcode"), 0, "No changes."),
        (("drift", home), 0, ""),
        (("status", home), 0, "lobby/greeter"),
        (("speak", "lobby/greeter", "Hello", "-C", home), 0, ""),
        (("destroy", home, "--auto-approve"), 0, "1 left"),
    ):
        found, out, err = run(*words)
        assert found == code, (words, out, err)
        assert said in out, words
        assert "Traceback" not in err


def test_what_does_not_work_is_said_in_one_line(fleet: Path) -> None:
    code, out, err = run("validate", fleet)
    assert (code, "12 agents" in out) == (0, True), err
    [line] = err.splitlines()
    assert line.startswith("warning: ")
    assert "templates" in line
    assert "without a limit of time and memory" in line


def test_a_template_without_end_is_still_refused_where_the_sandbox_can(fleet: Path) -> None:
    text = (fleet / "fleet.yaml").read_text()
    (fleet / "fleet.yaml").write_text(
        text.replace("variables:", 'variables:\n  big: "{{ range(10**9) | list }}"', 1).replace(
            "properties:", 'properties:\n    labels: {a: "{{ big }}"}', 1
        )
    )
    code, out, _ = run("validate", fleet)
    assert code == 1
    assert "[template-" in out


def test_one_run_keeps_the_other_out(fleet: Path) -> None:
    """A lock that is held by another process is a lock: exit 4, and the state is as it was."""
    assert run("apply", fleet, "--auto-approve")[0] == 0
    state = next((fleet / ".reconciler").glob("*.db"), None) or next((fleet / ".reconciler").iterdir())
    holder = (
        f"{WITHOUT}\nimport time\nfrom pathlib import Path\nfrom reconciler.state.lease import FileLease\n"
        "lease = FileLease(Path(sys.argv[1]))\nlease.take('the other run')\nprint('held', flush=True)\n"
        "[(time.sleep(0.2), lease.renew()) for _ in range(300)]\n"
    )
    lock = next((fleet / ".reconciler").glob("*.lock"), state.with_name(state.name + ".lock"))
    with start(lock, program=holder) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        (fleet / "prompts" / "concierge.md").write_text("Be brief.")
        code, out, err = run("apply", fleet, "--auto-approve", "--lock-timeout", "1s")
        assert code == 4, out + err
        assert "the other run" in err
        other.kill()
        other.communicate()
    deadline = time.monotonic() + 30
    while (code := run("apply", fleet, "--auto-approve")[0]) == 4 and time.monotonic() < deadline:
        pass
    assert code == 0
