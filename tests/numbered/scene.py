"""A fleet of two agents, a service over a socket, and commands on them, as a user types them."""

from __future__ import annotations

import gc
import re
import shlex
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from reconciler.simulator import Simulator
from reconciler.simulator.messages import JSON_HEADERS, Headers, Request, Response
from reconciler.simulator.routes import identify
from reconciler.state import document
from tests.fakes.fleets import TWO_AGENTS
from tests.hostile.bench import Answer, Bench, mutating
from tests.numbered.book import Section

FLEET = "fleet: demo\nservice: {kind: agora}\nlimits: {hang_ups: 100%, leave: 100%}\n" + TWO_AGENTS
SECRETS: Mapping[str, str] = {"TTS_KEY": "tts-canary-0123", "OPENAI_API_KEY": "llm-canary-4567"}

# What differs from run to run.
_VOLATILE = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:<port>"),
    (re.compile(r"\S+@\S+ \(pid \d+"), "<user>@<host> (pid <pid>"),
    (re.compile(r"\d+ seconds in the future"), "<n> seconds in the future"),
    (re.compile(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "since <time>"),
)
_AGENT = re.compile(r"\bA42[A-Z0-9]{29}\b")


@dataclass
class Scene:
    """One fleet in `demo/`, and what its commands say; everything is told to the test's section."""

    bench: Bench
    service: Simulator
    section: Section
    _names: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.bench.home / "demo"

    @property
    def state(self) -> Path:
        return self.home / ".reconciler" / "default.state"

    # --- commands

    def run(self, *words: object, **environment: str) -> Answer:
        """A command, told to nobody."""
        self.bench.patch.setattr("sys.argv", ["reconciler", *map(str, words)])
        return self.bench.run(*words, **environment)

    def applied(self) -> None:
        """Two agents run, and the state knows them."""
        answer = self.run("apply", "demo", "--auto-approve")
        assert answer.code == 0, answer

    def settled(self) -> None:
        """Nothing is left to do, and everything runs as the files say."""
        answer = self.run("plan", "demo", "--detailed-exitcode")
        assert answer.code == 0, answer

    def shown(
        self,
        what: str,
        *words: object,
        code: int,
        says: str = "",
        since: str = "",
        **environment: str,
    ) -> Answer:
        """A command whose words stand in the book; of many lines of results, those from `since` on."""
        answer = self.run(*words, **environment)
        assert answer.code == code, (what, answer)
        assert says in answer.said, (what, answer)
        for value in (*SECRETS.values(), "csec+Hj3N6pYt"):
            assert value not in answer.said, what
        settings = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
        command = f"{settings}reconciler {shlex.join(map(str, words))}"
        told = answer.out[answer.out.index(f"\n{since}") + 1 :] if since else answer.err or answer.out
        self.section.case(what, self._steady(command), code, self._steady(told))
        return answer

    def refused(self, what: str, *words: object, code: int = 1, says: str = "", **environment: str) -> Answer:
        """A command that is refused as a whole: its words stand in the book, and nothing has changed."""
        before, state = self._world(), self._stored()
        answer = self.shown(what, *words, code=code, says=says, **environment)
        assert self._world() == before, (what, answer)
        assert state in (None, self._stored()), (what, answer)
        return answer

    def _world(self) -> object:
        """What the service has been told to change, and what runs."""
        live = {each.agent_id: each.properties for each in self.service.world.live()}
        return dict(mutating(self.service)), live

    def _stored(self) -> bytes | None:
        """The bytes of the state; None where there is none yet (a lock may make an empty one)."""
        return self.state.read_bytes() if self.state.is_file() else None

    def _steady(self, text: str) -> str:
        """The text as it is in every run."""
        text = text.replace(str(self.bench.home), "<home>")
        for pattern, name in _VOLATILE:
            text = pattern.sub(name, text)
        return _AGENT.sub(
            lambda match: self._names.setdefault(match[0], f"<agent {len(self._names) + 1}>"), text
        )

    # --- the files

    def edit(self, old: str, new: str) -> None:
        """Change the fleet's file."""
        path = self.home / "fleet.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    # --- the state

    def sql(self, statement: str, *values: object) -> None:
        """Edit the state as somebody does who knows SQLite."""
        connection = self._opened()
        connection.execute(statement, values)
        connection.commit()
        connection.close()

    def _opened(self) -> sqlite3.Connection:
        gc.collect()  # what a failed command has left open would keep the edit out of the file
        return sqlite3.connect(self.state)

    def rewritten(self, change: Callable[[dict[str, Any]], object], key: str = "lobby/desk") -> None:
        """Edit a record as somebody does who also knows how rows are summed up."""
        connection = self._opened()
        [row] = connection.execute("select record from records where address = ?", [key]).fetchone()
        tree = orjson.loads(row)
        change(tree)
        connection.close()
        self.recorded(orjson.dumps(tree).decode(), key)

    def recorded(self, row: str, key: str = "lobby/desk") -> None:
        """Put a text in the place of a record, with its checksum."""
        sql = "update records set record = ?, checksum = ? where address = ?"
        self.sql(sql, row, document.checksum(key, row), key)

    def intended(self, key: str, **tree: object) -> None:
        """Leave an open intent behind."""
        row = orjson.dumps(tree).decode()
        sql = "insert into intents (key, intent, checksum) values (?, ?, ?)"
        self.sql(sql, key, row, document.checksum(key, row))

    def restored(self, data: bytes) -> None:
        """Put these bytes in the state's place, and nothing beside them."""
        gc.collect()
        for each in self.state.parent.glob(f"{self.state.name}*"):
            each.unlink()
        self.state.write_bytes(data)
        self.state.chmod(0o600)

    # --- the service

    def script(self, *rules: Mapping[str, object]) -> None:
        """What is to happen to the next calls."""
        self.service.set_script(list(rules))

    def answers(self, on: str, change: Callable[[Response], Response]) -> None:
        """Change what the service answers to one kind of call; what it does stays as it is."""
        handle = Simulator.handle

        def changed(request: Request) -> Any:
            answer = handle(self.service, request)
            if isinstance(answer, Response) and identify(request).operation == on:
                return change(answer)
            return answer

        self.bench.patch.setattr(self.service, "handle", changed)

    def rows(self, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the rows of the list, and keep its count right."""

        def changed(answer: Response) -> Response:
            tree = orjson.loads(answer.body)
            change(tree["data"]["list"])
            tree["data"]["count"] = tree["meta"]["total"] = len(tree["data"]["list"])
            return Response(answer.status, answer.headers, orjson.dumps(tree))

        self.answers("list", changed)


def relabelled(kind: str) -> Callable[[Response], Response]:
    """The same answer under another content type."""

    def changed(answer: Response) -> Response:
        others: Headers = tuple(each for each in answer.headers if each not in JSON_HEADERS)
        return Response(answer.status, (*others, ("content-type", kind)), answer.body)

    return changed
