"""A fleet that already runs: its state, and the service's list of it, without applying anything.

The list lies in files, one page each, so that a plan can be measured against a service that costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from reconciler import config
from reconciler.model.address import Address, AgentName
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Entry, Pins, Record
from reconciler.model.spec import AgentSpec, Body
from reconciler.model.writes import Append, PutGeneration, PutPins, PutRecord, Write
from reconciler.ports import HttpFailure, HttpReply, HttpRequest
from reconciler.providers.agora import wire
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.secrets import Secret
from reconciler.state.local import LocalStore
from tests.fakes.stores import acquire

PAGE = 100
_PAGES = ".benchmark"
_AT_ONCE = 1000

ABLE: Capabilities = wire.capabilities(mainland_china=False)
ACCOUNT = AgoraSettings(
    app_id="0" * 32,
    certificate=Secret("0" * 32),
    customer_id=Secret("customer"),
    customer_secret=Secret("secret"),
)


class CannedService:
    """`driver.loop.Sender` that reads the pages of a list from files; `calls` counts them."""

    def __init__(self, directory: Path) -> None:
        self._pages = directory / _PAGES
        self.calls = 0

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        self.calls += 1
        cursor = dict(request.query).get("cursor", "0")
        return HttpReply(200, {}, (self._pages / cursor).read_bytes())

    async def aclose(self) -> None:
        """Nothing to close."""


def store_of(directory: Path) -> LocalStore:
    """The state of a settled fleet."""
    return LocalStore(directory / ".reconciler" / "default.state")


def settle(directory: Path, *, changed: float = 0.0) -> DesiredFleet:
    """Write the state and the list of a fleet as if it ran since an hour; a share of it was applied differently."""
    fleet = config.load(directory)
    started = float(int(time.time()) - 3600)
    records = list(_records(fleet, started, changed))
    _write_pages(directory / _PAGES, records)
    store = store_of(directory)
    serial = 0
    acquire(store, "benchmark", 1.0)
    for writes in _batches(_writes(fleet, records)):
        serial = store.commit(writes, expected=serial)
    store.close()
    return fleet


def record_of(fleet: DesiredFleet, spec: AgentSpec, number: int, started: float) -> Record:
    """What the state says of an agent that was joined as the files want it."""
    return Record(
        address=spec.address,
        agent_id=f"A42AC37NR64PA{number:08d}",
        name=str(AgentName.make(fleet.owner, spec.address, spec.revision(ABLE), 1)),
        generation=1,
        uid=spec.uid(fleet.owner),
        body=spec.body,
        started_at=started,
        token_expires_at=started + 86_400,
    )


def _records(fleet: DesiredFleet, started: float, changed: float) -> Iterator[Record]:
    every = round(1 / changed) if changed else 0
    for number, spec in enumerate(fleet.agents.values()):
        record = record_of(fleet, spec, number, started)
        yield replace(record, body=otherwise(spec.body)) if every and number % every == 0 else record


def otherwise(body: Body) -> Body:
    """The body as it was before two values of it were edited."""
    llm: Mapping[str, Any] = body.properties["llm"]  # type: ignore[assignment]  # a mapping, as the fleet writes it
    params = {**llm["params"], "temperature": 2.0}
    return replace(body, properties={**body.properties, "llm": {**llm, "params": params, "max_history": 99}})


def _writes(fleet: DesiredFleet, records: Iterable[Record]) -> Iterator[Write]:
    yield PutPins(Pins(fleet.owner.fleet, fleet.owner.environment, fleet.service.kind, ACCOUNT.app_id))
    for record in records:
        yield PutRecord(record)
        yield PutGeneration(record.address, record.generation)
        yield Append(Entry(record.started_at, record.address, "join", "done", record.agent_id))


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    batch: list[Write] = []
    for write in writes:
        batch.append(write)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    yield batch


def _write_pages(directory: Path, records: list[Record]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(records), PAGE):
        rows = [
            {"agent_id": each.agent_id, "status": "RUNNING", "start_ts": int(each.started_at)}
            for each in records[start : start + PAGE]
        ]
        rest = str(start + PAGE) if start + PAGE < len(records) else ""
        page = {
            "data": {"count": len(rows), "list": rows},
            "meta": {"cursor": rest, "total": len(records)},
            "status": "ok",
        }
        (directory / str(start)).write_bytes(orjson.dumps(page))


def first_address(fleet: DesiredFleet) -> Address:
    """Some address of a fleet."""
    return next(iter(fleet.agents))
