"""What the tests of the examples share: copies of an example, the command, and a served simulator."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES = tuple(sorted(each.name for each in EXAMPLES.iterdir() if each.is_dir()))
# Of the examples that have no fleet one makes one, and the other is about any.
NAMES = tuple(each for each in PAGES if each not in ("from-curl-to-git", "observability"))
# Where the fleet lies below an example, and where a command of its README runs.
FLEETS = {name: "fleet" if name == "pull-requests" else "." for name in NAMES}

SERVICE = {
    "AGORA_APP_ID": "0123456789abcdef0123456789abcdef",
    "AGORA_APP_CERTIFICATE": "fedcba9876543210fedcba9876543210",
    "AGORA_CUSTOMER_ID": "customer",
    "AGORA_CUSTOMER_SECRET": "a-customer-secret",
}
VENDORS = {"OPENAI_API_KEY": "a-key-of-openai", "AZURE_TTS_KEY": "a-key-of-azure"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


def copied(name: str, directory: Path) -> Path:
    """A copy of an example, to work in; its fleet's directory lies below."""
    shutil.copytree(
        EXAMPLES / name,
        directory,
        ignore=shutil.ignore_patterns(".reconciler", "secrets"),
        dirs_exist_ok=True,
    )
    return directory


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a document in one language."""
    return [body for kind, body in _FENCE.findall(document.read_text(encoding="utf-8")) if kind == language]


def commands(document: Path) -> Iterator[list[str]]:
    """The `reconciler` commands of a document's shell blocks, without the command's own name."""
    for block in blocks(document, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "reconciler":
                yield words[1:]


def environment(**more: str) -> dict[str, str]:
    """An environment for a child: this interpreter's commands first, nothing of Agora's but what is given.

    Nor the width that pytest-xdist sets: what is recorded is not wrapped.
    """
    others = ("AGORA_", "GITHUB_", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", **more}


@dataclass(slots=True)
class Command:
    """The command line, run in this process: an exit code and both streams."""

    capture: Any
    done: list[Done] = field(default_factory=list)

    def __call__(self, *arguments: str | Path) -> Done:
        self.capture.readouterr()
        code = main.run([str(each) for each in arguments])
        streams = self.capture.readouterr()
        self.done.append(Done(code, streams.out, streams.err))
        return self.done[-1]

    def well(self, *arguments: str | Path) -> str:
        """What a command prints that must succeed."""
        done = self(*arguments)
        assert done.code == 0, done
        return done.out


@contextmanager
def served(*switches: str, credentials: Mapping[str, str] = SERVICE) -> Iterator[str]:
    """`reconciler simulator` on a free port of this machine, for the length of the block; its URL."""
    arguments = [word for switch in switches for word in ("--switch", switch)]
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "simulator", *arguments],
        env=environment(**credentials),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("listening on http://127.0.0.1:"), first
        yield first.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def control(url: str, path: str, body: object | None = None) -> Any:
    """Ask, or with a body tell, the simulator's control path."""
    request = urllib.request.Request(f"{url}/simulator/{path}", method="GET" if body is None else "POST")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, data, timeout=10
    ) as reply:
        return json.load(reply)


def live(url: str) -> dict[str, str]:
    """The names and ids of the agents that live in a served world."""
    return {each["name"]: each["agent_id"] for each in control(url, "world")["agents"] if each["live"]}
