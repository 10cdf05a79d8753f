"""What a state of many agents costs in a Git ref: milliseconds a commit, bytes of a clone, seconds to read it.

    python -m tests.benchmarks.git_state --agents 10000

Agents are joined twenty at a time, two commits each time, as an apply does; the remote is a bare repository on this disk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler import config
from reconciler.git import Git
from reconciler.model.address import AgentName, Owner
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.spec import AgentSpec
from reconciler.model.writes import Append, DropIntent, PutGeneration, PutIntent, PutRecord, Write
from reconciler.state.log.git_ref import GitDrawer
from reconciler.state.log.ref_lease import RefLease
from reconciler.state.log.snapshots import latest, lease_ref_of, ref_of
from reconciler.state.log.store import LogStore
from tests.benchmarks import fleets
from tests.fakes.stores import acquire

_WAVE = 20
_OWNER = Owner("bench")
_REF = ref_of(_OWNER)


def waves(agents: Sequence[AgentSpec]) -> Iterator[list[Write]]:
    """The commits of an apply that joins them all."""
    for start in range(0, len(agents), _WAVE):
        intents, outcomes = [], []
        for place, spec in enumerate(agents[start : start + _WAVE], start):
            name = str(AgentName(_OWNER, "x", "0123456789", f"1{place:08x}", 1))
            intent = Intent(Operation.JOIN, spec.address, name, 1e9, generation=1, uid="7", body=spec.body)
            record = Record(spec.address, f"A{place:031}", name, 1, "7", spec.body, 1e9, token_expires_at=1e9)
            intents += [PutIntent(intent), PutGeneration(spec.address, 1)]
            done = Append(Entry(1e9, spec.address, "join", "done", record.agent_id))
            outcomes += [PutRecord(record), DropIntent(intent.key), done]
        yield intents
        yield outcomes


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured: seconds of each commit, bytes that a clone of the ref fetches, seconds of one reading."""

    commits: list[float]
    bytes: int
    reading: float

    def __str__(self) -> str:
        times = sorted(self.commits)
        late = times[int(len(times) * 0.99)]
        return (
            f"{len(times)} commits: median {statistics.median(times) * 1000:.0f} ms, 99 % below {late * 1000:.0f} ms, "
            f"longest {times[-1] * 1000:.0f} ms; a clone fetches {self.bytes / 1e6:.1f} MB; read in {self.reading:.2f} s"
        )


def measure(count: int) -> Cost:
    """Join so many agents; then fetch what that made into an empty clone."""
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        fleets.write_for_each(place / "fleet", count)
        agents = list(config.load(place / "fleet").agents.values())
        for arguments in (("init", "--bare", "remote.git"), ("init", "mine"), ("init", "clone")):
            Git(place).run(*arguments)
        remote = str(place / "remote.git")
        git = Git(place / "mine")
        store = LogStore(GitDrawer(git, remote, _REF), RefLease(git, remote, lease_ref_of(_OWNER)), name=_REF)
        acquire(store, "the benchmark", 0.0)
        times = []
        for serial, writes in enumerate(waves(agents)):
            begun = time.perf_counter()
            store.commit(writes, expected=serial)
            times.append(time.perf_counter() - begun)
        store.close()
        clone = Git(place / "clone", seconds=600)
        clone.run("-c", "fetch.unpackLimit=1", "fetch", remote, f"{_REF}:{_REF}")
        packs = sum(each.stat().st_size for each in (place / "clone").rglob("*.pack"))
        begun = time.perf_counter()
        found = latest(place / "clone", _REF)
        assert len(found.state.records) == count, "every agent is there"
        return Cost(times, packs, time.perf_counter() - begun)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    sys.stdout.write(f"{measure(parser.parse_args().agents)}\n")


if __name__ == "__main__":
    main()
