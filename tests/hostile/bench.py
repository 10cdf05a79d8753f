"""The command line inside this process: what it prints, how it ends, and every file that it leaves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.simulator import Simulator
from reconciler.state.local import LocalStore

EXIT_CODES = frozenset({0, 1, 2, 3, 4, 5, 6, 129, 130, 143})
LONG = bool(os.environ.get("RECONCILER_HOSTILE_LONG"))


@dataclass(frozen=True)
class Answer:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass
class Bench:
    """Runs commands. `environment` is set for every one of them."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    home: Path

    def run(self, *arguments: object, stdin: str | None = None, **environment: str) -> Answer:
        with self.patch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.capture.readouterr()
            code = main.run([str(each) for each in arguments])
            seen = self.capture.readouterr()
        answer = Answer(code, seen.out, seen.err)
        assert code in EXIT_CODES, answer
        assert "Traceback (most recent call last)" not in answer.said or "--debug" in arguments, answer
        assert "[internal]" not in answer.err, (arguments, answer)
        return answer


def files_under(directory: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def unpacked(state: Path) -> bytes:
    """Everything that a state says, past its packing."""
    store = LocalStore(state)
    try:
        whole = repr(store.read()).encode() + repr(store.history(None, 10_000)).encode()
    finally:
        store.close()
    return whole


def rows(database: Path) -> bytes:
    """Every cell of every table of a database, also of what is packed there as bytes."""
    connection = sqlite3.connect(database)
    try:
        tables = [
            name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
        ]
        return b"\n".join(
            cell if isinstance(cell, bytes) else str(cell).encode()
            for table in tables
            for row in connection.execute(f'select * from "{table}"')
            for cell in row
        )
    finally:
        connection.close()


def mutating(service: Simulator) -> Mapping[str, int]:
    """The calls that change something, as the service counts them."""
    return {name: count for name, count in service.tally().items() if name in {"join", "leave", "update"}}
