"""What every state store must guarantee. A new backend is done when its test class passes this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, Foreign, Intent, Operation, Pins, Record
from reconciler.model.spec import Body
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropIntent,
    DropRecord,
    DropReleased,
    PutApplying,
    PutForeign,
    PutGeneration,
    PutIntent,
    PutPins,
    PutRecord,
    PutReleased,
    StateView,
    Write,
)
from reconciler.ports import Made, MovedOn, StateStore, Version
from reconciler.state.blocking import BlockingStore, behind_ports
from tests.fakes.stores import acquire

ADDRESS = Address("lobby", "greeter")
BODY = Body(
    {
        "llm": {"system_messages": [{"role": "system", "content": "long " * 400}], "params": {"model": "m"}},
        "idle_timeout": 0,
    },
    preset="p",
)
RECORD = Record(
    ADDRESS, "A1", "demo.-.x.0123456789.101234567.g1", 1, "7", BODY, 1.5, secrets={"ref+env://K": "aa"}
)
JOIN = Intent(Operation.JOIN, ADDRESS, RECORD.name, 1.0, generation=1, uid="7", body=BODY)
LEAVE = Intent(Operation.LEAVE, ADDRESS, RECORD.name, 2.0, agent_id="A1")

Open = Callable[[], BlockingStore]

# One store serves all examples, and each class that inherits runs the same test.
_SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)

_texts = st.text(max_size=300) | st.sampled_from(["$blob", "$$blob", "$"])
_trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


class StateStoreContract:
    """Inherit, and give a fixture `open_store` that opens the same stored state again and again."""

    @pytest.fixture
    def store(self, open_store: Open) -> BlockingStore:
        store = open_store()
        acquire(store, "a test", 1.0)
        return store

    def put(self, store: BlockingStore, *writes: Write) -> int:
        return store.commit(writes, expected=store.read().serial)

    def test_a_new_state_is_empty_and_reading_it_changes_nothing(self, open_store: Open) -> None:
        store = open_store()
        first, second = store.read(), store.read()
        assert (first.serial, dict(first.records), first.intents) == (0, {}, ())
        assert first == second

    def test_what_is_written_is_read_by_the_next_process(
        self, store: BlockingStore, open_store: Open
    ) -> None:
        pins = Pins("demo", None, "agora", "app")
        self.put(
            store,
            PutRecord(RECORD),
            PutIntent(JOIN),
            PutIntent(LEAVE),
            PutGeneration(ADDRESS, 3),
            PutForeign(Foreign("F1", "theirs", "lobby")),
            PutReleased("R1"),
            PutPins(pins),
            PutApplying("d" * 64),
            Append(Entry(1.0, ADDRESS, "join", "done", "A1")),
        )
        state = open_store().read()
        assert state.records == {ADDRESS: RECORD}
        assert sorted(state.intents, key=lambda each: each.key) == [JOIN, LEAVE]
        assert state.generations == {ADDRESS: 3}
        assert state.foreign == {"F1": Foreign("F1", "theirs", "lobby")}
        assert (state.released, state.pins, state.applying) == (frozenset({"R1"}), pins, "d" * 64)
        assert open_store().history(ADDRESS, 5)[0].change == "join"

    def test_what_is_dropped_is_gone(self, store: BlockingStore) -> None:
        self.put(store, PutRecord(RECORD), PutIntent(JOIN), PutForeign(Foreign("F1", "n")), PutReleased("R1"))
        self.put(
            store,
            DropRecord(ADDRESS),
            DropIntent(JOIN.key),
            DropForeign("F1"),
            DropReleased("R1"),
            PutApplying(None),
        )
        state = store.read()
        assert (dict(state.records), state.intents, dict(state.foreign)) == ({}, (), {})
        assert (state.released, state.applying) == (frozenset(), None)

    def test_dropping_what_is_not_there_is_no_error(self, store: BlockingStore) -> None:
        self.put(store, DropRecord(ADDRESS), DropIntent("join:x"), DropForeign("F"), DropReleased("R"))

    def test_the_serial_grows_by_one_with_each_commit(self, store: BlockingStore) -> None:
        before = store.read().serial
        assert self.put(store, PutRecord(RECORD), PutIntent(JOIN)) == before + 1
        assert store.read().serial == before + 1

    def test_a_writer_that_was_overtaken_writes_nothing(self, store: BlockingStore) -> None:
        serial = store.read().serial
        self.put(store, PutRecord(RECORD))
        with pytest.raises(StateLocked):
            store.commit([DropRecord(ADDRESS)], expected=serial)
        assert ADDRESS in store.read().records

    def test_a_generation_never_goes_back(self, store: BlockingStore) -> None:
        self.put(store, PutGeneration(ADDRESS, 5))
        self.put(store, PutGeneration(ADDRESS, 2))
        assert store.read().generations[ADDRESS] == 5

    def test_the_lineage_stays(self, store: BlockingStore, open_store: Open) -> None:
        lineage = store.read().lineage
        self.put(store, PutRecord(RECORD))
        assert open_store().read().lineage == lineage

    def test_only_one_holds_the_lock_and_the_other_is_told_who(
        self, store: BlockingStore, open_store: Open
    ) -> None:
        with pytest.raises(StateLocked, match="a test"):
            acquire(open_store(), "another", 0.0)
        store.release()
        other = open_store()
        acquire(other, "another", 0.0)
        other.release()

    def test_releasing_twice_is_harmless(self, store: BlockingStore) -> None:
        store.release()
        store.release()

    @settings(max_examples=40, deadline=None, suppress_health_check=_SHARED)
    @given(tree=st.dictionaries(_texts, _trees, max_size=5))
    def test_any_body_comes_back_as_it_was(self, store: BlockingStore, tree: dict[str, object]) -> None:
        record = replace(RECORD, body=Body(tree))  # type: ignore[arg-type]
        self.put(store, PutRecord(record))
        for likely in (None, {record.key: record.body}, {record.key: Body({**tree, "more": 1})}):  # type: ignore[dict-item]
            found = store.read(likely).records[ADDRESS].body.properties
            assert found == tree
            assert repr(dict(found)) == repr(tree)

    @settings(max_examples=30, deadline=None, suppress_health_check=_SHARED)
    @given(
        writes=st.lists(
            st.sampled_from(
                [
                    PutRecord(RECORD),
                    DropRecord(ADDRESS),
                    PutIntent(JOIN),
                    DropIntent(JOIN.key),
                    PutGeneration(ADDRESS, 4),
                    PutForeign(Foreign("F1", "n")),
                    DropForeign("F1"),
                ]
            ),
            max_size=8,
        )
    )
    def test_a_store_and_a_view_agree_on_what_writes_mean(
        self, store: BlockingStore, writes: list[Write]
    ) -> None:
        view = StateView.of(store.read())
        for write in writes:
            self.put(store, write)
            view.absorb([write])
        state, expected = store.read(), view.frozen()
        assert (state.records, state.intents, state.generations) == (
            expected.records,
            expected.intents,
            expected.generations,
        )
        assert state.foreign == expected.foreign

    # --- behind the asynchronous ports

    def test_the_ports_remember_and_say_how_a_commit_ended(self, open_store: Open) -> None:
        async def run(ports: StateStore) -> None:
            await ports.lease.take("a test")
            await ports.key.create()
            assert await ports.ledger.prepare() == ""
            serial = (await ports.ledger.read()).serial
            made = await ports.ledger.commit([PutRecord(RECORD)], expected=serial, nonce="first")
            assert made == Made(serial + 1)
            assert await ports.ledger.version() == Version(serial + 1, "first")
            late = await ports.ledger.commit([DropRecord(ADDRESS)], expected=serial, nonce="second")
            assert isinstance(late, MovedOn)
            assert await ports.ledger.version() == Version(serial + 1, "first")
            assert (await ports.ledger.read()).records == {ADDRESS: RECORD}
            assert await ports.key.read()
            await ports.lease.renew()
            await ports.lease.release()
            await ports.lease.release()

        asyncio.run(run(behind_ports(open_store())))

    def test_the_lease_of_the_ports_has_one_holder(self, open_store: Open) -> None:
        async def run(one: StateStore, other: StateStore) -> None:
            await one.lease.take("a test")
            with pytest.raises(StateLocked, match="a test"):
                await other.lease.take("another")
            await one.lease.release()
            await other.lease.take("another")
            await other.lease.release()

        asyncio.run(run(behind_ports(open_store()), behind_ports(open_store())))
