"""A world in a file is the one in memory; it survives its processes and serves several at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator import Simulator, Status, Store, UnreadableWorld, fate
from tests.fakes.worlds import updates_of

from .harness import LIVE, NOON, Service, join_body, token

ROOT = Path(__file__).parent.parent.parent

# --- equivalence: any sequence of steps has the same answers from a file and from memory


@dataclass(frozen=True)
class Act:
    """One step on one service: what is done, with which number and how many seconds."""

    service: Service
    agent_id: str
    number: int
    seconds: float

    def join(self, kind: str = "", **parameters: float) -> object:
        number = self.number
        properties = {"idle_timeout": 30, "token": token(lives=9000)}
        body = join_body(f"n{number % 3}", f"c{number % 2}", str(number), **properties)
        return self.service.send("POST", "join", body, fate=fate(kind, **parameters) if kind else None)

    def list_all(self) -> list[object]:
        pages: list[object] = []
        cursor: str | None = None
        while cursor != "":
            page = self.service.list(state="0,1,2,3,4,6", from_time=int(NOON), limit=2, cursor=cursor)
            pages.append(page)
            cursor = (
                page.body["meta"]["cursor"] if page.status == 200 else ""
            )  # the rate limit may refuse one
        return pages

    def meddle(self, act: Callable[[Simulator, str], None]) -> bool:
        try:
            act(self.service.simulator, self.agent_id)
        except KeyError:
            return False
        return True


ACTS: dict[str, Callable[[Act], object]] = {
    "join": lambda act: act.join(),
    "join again": lambda act: act.join(),
    "join once more": lambda act: act.join(),
    "late": lambda act: act.join("late", seconds=act.seconds),
    "twice": lambda act: act.join("twice", seconds=act.seconds),
    "doom": lambda act: act.join("doom", seconds=act.seconds),
    "leave": lambda act: act.service.leave(act.agent_id),
    "update": lambda act: act.service.update(act.agent_id, llm={"params": {"temperature": act.number}}),
    "renew": lambda act: act.service.update(act.agent_id, token=token(issued=act.service.time)),
    "speak": lambda act: act.service.send("POST", f"agents/{act.agent_id}/speak", {"text": str(act.number)}),
    "query": lambda act: act.service.query(act.agent_id),
    "history": lambda act: act.service.send("GET", f"agents/{act.agent_id}/history"),
    "list": lambda act: act.service.list(limit=act.number or None),
    "list a channel": lambda act: act.service.list(channel=f"c{act.number % 2}", state=LIVE),
    "list all": lambda act: act.list_all(),
    "end": lambda act: act.meddle(lambda simulator, agent_id: simulator.end(agent_id)),
    "show": lambda act: act.meddle(lambda simulator, agent_id: simulator.show(agent_id, Status.RECOVERING)),
    "users left": lambda act: act.service.simulator.users_left(f"c{act.number % 2}"),
    "users joined": lambda act: act.service.simulator.users_joined(f"c{act.number % 2}"),
    "wait": lambda act: act.service.wait(act.seconds),
    "rate": lambda act: act.service.simulator.set_switches(requests_per_second=act.number * 10),
    "quota": lambda act: act.service.simulator.set_switches(quota=act.number + 1),
    "lag": lambda act: act.service.simulator.set_switches(list_lag_seconds=act.seconds),
}

Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(list(ACTS)), st.integers(0, 5), st.sampled_from([0.0, 0.1, 0.3, 5.0, 40.0, 8000.0])
    ),
    max_size=40,
)


def take(service: Service, step: Step) -> object:
    kind, number, seconds = step
    agents = service.world.agents()
    agent_id = agents[number % len(agents)].agent_id if agents else "nobody"
    return ACTS[kind](Act(service, agent_id, number, seconds))


@pytest.mark.parametrize("uid_conflict", ["accepted", "kicks"])
@given(steps=STEPS)
def test_two_connections_to_a_file_keep_the_same_world_as_memory(
    uid_conflict: str, steps: list[Step]
) -> None:
    switches = {"quota": 3, "uid_conflict": uid_conflict}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "world.db"
        memory = Service(Store(), **switches)
        file = Service(Store(path), **switches)
        # each step goes over another connection: what one has read must not hold once the other has written
        connections = [file.simulator, Simulator(Store(path), clock=lambda: file.time)]
        for number, step in enumerate(steps):
            file.simulator = connections[number % 2]
            assert take(memory, step) == take(file, step)
        assert [replace(agent, body=b"") for agent in memory.world.agents()] == [
            replace(agent, body=b"")
            for agent in file.world.agents()  # what may be a credential is masked there
        ]
        assert memory.simulator.log() == file.simulator.log()
        assert memory.simulator.tally() == file.simulator.tally()
        assert memory.simulator.next_due() == file.simulator.next_due()
        for agent in memory.world.agents():
            notes, kept = memory.world.notes(agent.agent_id), file.world.notes(agent.agent_id)
            assert [(note.at, note.kind) for note in notes] == [(note.at, note.kind) for note in kept]
        for connection in connections:
            connection.close()


@given(STEPS)
def test_the_same_steps_give_the_same_bytes(steps: list[Step]) -> None:
    first, second = Service(), Service()
    assert [take(first, step) for step in steps] == [take(second, step) for step in steps]


# --- one file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


def test_a_world_outlives_its_process(path: Path) -> None:
    before = Service(Store(path, seed="mine"), quota=7, script=[{"on": "list", "nth": 2, "fate": "refuse"}])
    agent_id = before.started()
    before.update(agent_id, llm={"params": {"temperature": 0.5}})
    before.simulator.advance(100)
    before.list()
    before.send("POST", "join", join_body("late"), fate=fate("late", seconds=50))
    before.simulator.close()

    after = Service(Store(path, seed="another counts for new files only"))
    after.time = before.time
    assert after.simulator.now == before.time + 100
    assert after.simulator.switches.quota == 7
    assert after.query(agent_id).body["name"] == "greeter"
    assert after.world.agent(agent_id).properties["llm"]["params"] == {"temperature": 0.5}
    assert len(updates_of(after.world, agent_id)) == 1
    assert after.list().status == 503
    after.wait(50)
    assert [agent.name for agent in after.world.agents()] == ["greeter", "late"]
    assert after.simulator.tally() == {"join": 3, "list": 2, "query": 1, "update": 1}
    after.simulator.close()


def test_credentials_are_not_written_to_the_disk(path: Path) -> None:
    canary = "c4n4ry"
    service = Service(Store(path))
    secrets = {
        "url": f"https://{canary}:x@llm.invalid/v1?key={canary}",
        "api_key": canary,
        "headers": {"name": canary},
    }
    agent_id = service.started(
        llm={**secrets, "params": {"model": "m"}, "style": "openai"},
        tts={
            "vendor": "microsoft",
            "params": {"voice_name": canary, "base_url": f"https://x.invalid/{canary}"},
        },
        token=canary,
    )
    params = {"key": canary, "model": canary, "metadata": {"name": canary, "labels": [canary]}, "top_k": 3}
    service.update(agent_id, token=canary, llm={"params": params})
    service.leave(agent_id)
    llm = service.world.agent(agent_id).properties["llm"]
    assert (llm["url"], llm["style"]) == ("https://llm.invalid/v1", "openai")
    assert llm["params"] == {
        "key": "***",
        "model": "***",
        "metadata": {"name": "***", "labels": ["***"]},
        "top_k": 3,
    }
    service.simulator.close()
    for file in path.parent.iterdir():
        assert canary.encode() not in file.read_bytes()


def test_seeds_decide_the_ids(path: Path) -> None:
    ids = {Service(store).join().agent_id for store in (Store(), Store(seed="1"), Store(path))}
    assert len(ids) == 2


@pytest.mark.parametrize("in_file", [False, True])
def test_reset_forgets_everything_but_the_seed(path: Path, *, in_file: bool) -> None:
    service = Service(Store(path if in_file else None), quota=1, script=[{"on": "list", "fate": "refuse"}])
    service.send("POST", "join", join_body(), fate=fate("late", seconds=1))
    first = service.started()
    service.simulator.advance(5)
    service.simulator.reset()
    assert (service.world.agents(), service.simulator.log(), service.simulator.tally()) == ((), [], {})
    assert (service.simulator.now, service.simulator.next_due()) == (service.time, None)
    assert service.simulator.switches.quota == 20
    assert service.started() == first


def test_the_log_is_bounded_and_the_tally_is_not() -> None:
    service = Service(Store(log_length=10))
    for _ in range(300):
        service.list()
    assert len(service.simulator.log()) == 10
    assert service.simulator.tally() == {"list": 300}


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 30, None])
def test_a_file_that_is_no_world_is_refused(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
    before = path.read_bytes()
    with pytest.raises(UnreadableWorld, match=r"world\.db"):
        Store(path)
    assert path.read_bytes() == before or content is None


def run(path: Path, script: str) -> subprocess.Popen[str]:
    program = f"""
import sys
from reconciler.simulator import Store
from tests.simulator.harness import Service
service = Service(Store({str(path)!r}))
{script}
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_one_world(path: Path) -> None:
    # neither finds a file: both make it
    race = """
service.simulator.set_switches(quota=1000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    print(service.join(f"agent-{number}", uid=str(number + 1)).status)
"""
    racers = [run(path, race) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outcomes = [racer.communicate(timeout=30)[0].split() for racer in racers]
    for number, pair in enumerate(zip(*outcomes, strict=True)):
        assert sorted(pair) == ["200", "409"], number
    assert len(Service(Store(path)).world.agents()) == 200


def test_a_killed_process_loses_nothing_that_it_answered(path: Path) -> None:
    Service(Store(path), quota=100_000).simulator.close()
    told: list[str] = []
    for generation in range(3):
        endless = f"""
number = 0
while True:
    number += 1
    print(service.join(f"agent-{generation}-{{number}}", uid=str(number)).agent_id, flush=True)
"""
        child = run(path, endless)
        assert child.stdout is not None
        told += [child.stdout.readline().strip() for _ in range(40)]
        child.send_signal(signal.SIGKILL)
        told += child.communicate()[0].split("\n")[:-1]
    assert child.returncode == -signal.SIGKILL
    kept = {agent.agent_id for agent in Service(Store(path)).world.agents()}
    assert {agent_id for agent_id in told if len(agent_id) == 32} <= kept
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_world_of_another_version_is_refused(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE world SET switches = ?", (b'{"a_switch_of_tomorrow": 1}',))
    with pytest.raises(UnreadableWorld, match="another version"):
        Service(Store(path)).list()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UnreadableWorld, match="its format is 99"):
        Store(path)


def test_a_world_of_an_earlier_release_opens(path: Path) -> None:
    with sqlite3.connect(path) as database:  # its tables and rows as the earlier release wrote them
        database.executescript((Path(__file__).parent / "world_format_1.sql").read_text())
    database.close()
    service = Service(Store(path))
    service.wait(0.6)
    running, gone = service.world.agents()
    assert (service.status(running.agent_id), service.status(gone.agent_id)) == ("RUNNING", "STOPPING")
    assert (service.simulator.switches.quota, service.simulator.now) == (7, NOON + 100.6)
    (update,) = updates_of(service.world, running.agent_id)
    assert update["properties"]["llm"] == {"params": {"temperature": 0.5}}
    service.wait(50)
    assert [agent.name for agent in service.world.live()] == ["greeter", "late"]
    service.simulator.close()


def test_a_place_where_nothing_can_be_kept_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Store(tmp_path / "nowhere" / "world.db")


def test_a_block_that_raises_is_undone(path: Path) -> None:
    store: Any = Store(path)
    with pytest.raises(RuntimeError), store.open() as opened:
        opened.take_number()
        raise RuntimeError
    with store.open() as opened:
        assert opened.take_number() == 1
    store.close()
