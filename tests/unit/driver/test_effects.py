"""Each effect as the driver performs it, on a store in memory and a sender that answers at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from reconciler.apply.events import Notice
from reconciler.driver import loop as module
from reconciler.driver.http import _failure
from reconciler.driver.loop import Driver, NoService
from reconciler.driver.rehearsal import WithoutDate, fast_clock
from reconciler.driver.secrets import SecretSources, StandIns
from reconciler.errors import ArchiveFailed, ReconcilerError, SecretUnavailable, StateLocked
from reconciler.model.writes import PutApplying
from reconciler.ports import (
    Commit,
    Effect,
    Elapsed,
    Emit,
    Gather,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Knocked,
    Lead,
    Lock,
    Now,
    Preserve,
    Random,
    ReadState,
    Resolve,
    Sleep,
    Steps,
    Stopping,
    Unlock,
)
from reconciler.secrets import Secret, SecretRef
from reconciler.state.blocking import behind_ports
from reconciler.state.memory import MemoryStore

GET, POST = HttpRequest("GET", "http://x.example/a"), HttpRequest("POST", "http://x.example/a")
OK = HttpReply(200, {"date": "today", "x": "y"}, b"{}")
ENV, FILE = SecretRef("ref+env://K"), SecretRef("ref+file://k.txt")


class Answers:
    """A sender that answers at once, and notes how many requests there were at a time."""

    def __init__(self) -> None:
        self.present = self.most = 0

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        self.present += 1
        self.most = max(self.most, self.present)
        await asyncio.sleep(0)
        self.present -= 1
        return OK

    async def aclose(self) -> None:
        """Nothing is open."""


def one(effect: Effect) -> Steps[Any]:
    return (yield effect)


def run(effect: Effect, *, before: Callable[[Driver], None] = lambda _: None, **parts: Any) -> Any:
    """What one effect gives."""

    async def perform() -> Any:
        made = Driver(parts.pop("sender", Answers()), **parts)
        before(made)
        return await made.run(one(effect))

    return asyncio.run(perform())


def stopped(driver: Driver) -> None:
    driver.stop()


def test_what_is_told_at_once() -> None:
    events: list[object] = []
    assert run(Now(), clock=lambda: 7.0) == 7.0
    assert abs(run(Elapsed()) - time.monotonic()) < 5
    assert 0.0 <= run(Random()) < 1.0
    assert (run(Stopping()), run(Stopping(), before=stopped)) == (False, True)
    assert run(Emit("x"), on_event=events.append) is None
    assert run(Emit("x")) is None
    assert events == ["x"]
    assert run(Knocked()) is False
    with pytest.raises(ReconcilerError, match="Lead is an effect of the controller"):
        run(Lead())


@pytest.mark.parametrize("effect", [ReadState(), Commit(()), Lock(0.0), Unlock()])
def test_a_run_without_a_state_has_none(effect: Effect) -> None:
    with pytest.raises(ReconcilerError, match="works without a state"):
        run(effect)


@pytest.mark.parametrize(
    ("request_", "before", "found", "has_changed"),
    [
        (GET, None, OK, False),
        (POST, None, OK, True),
        (POST, stopped, HttpFailure(HttpTrouble.INTERRUPTED, sent=False), False),
        (HttpRequest("HEAD", "http://x.example/a"), None, OK, False),
    ],
)
def test_what_a_stopping_run_sends(request_: HttpRequest, before: Any, found: Any, has_changed: bool) -> None:
    async def perform() -> Any:
        driver = Driver(Answers())
        if before is not None:
            before(driver)
        result = await driver.run(one(Http(request_)))
        return result, driver.has_changed, driver.stopped

    assert asyncio.run(perform()) == (found, has_changed, before is not None)


def test_nobody_is_called_without_a_service() -> None:
    assert run(Http(POST), sender=NoService()) == HttpFailure(HttpTrouble.CONNECT, sent=False)


def test_a_sleep_is_cut_short_by_a_stop() -> None:
    begun = time.monotonic()
    run(Sleep(60.0), before=stopped)
    run(Sleep(0.0))
    run(Sleep(-1.0))
    assert time.monotonic() - begun < 5
    begun = time.monotonic()
    run(Sleep(0.05))
    assert time.monotonic() - begun >= 0.04


def test_no_more_tasks_run_at_a_time_than_allowed_and_an_error_is_a_result() -> None:
    sender, order = Answers(), []

    def task(number: int) -> Callable[[], Steps[Any]]:
        def steps() -> Steps[Any]:
            order.append(number)
            yield Http(GET)
            if number == 1:
                raise KeyError(number)
            return number

        return steps

    results = run(Gather([task(each) for each in range(5)], 2), sender=sender)
    assert [each if isinstance(each, int) else type(each) for each in results] == [0, KeyError, 2, 3, 4]
    assert order == sorted(order)
    assert sender.most == 2
    few = Answers()
    run(Gather([task(7)], 9), sender=few)
    assert few.most == 1
    assert run(Gather([], 3)) == []


# --- secrets and the archive ---------------------------------------------------------------------------------------


class Sources:
    """A source of secrets that may take its time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.asked: list[frozenset[SecretRef]] = []

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        self.asked.append(references)
        time.sleep(self.seconds)
        return {each: Secret("v") for each in references}


def test_only_who_asks_for_secrets_gets_any() -> None:
    sources = Sources()
    assert run(Resolve(frozenset())) == run(Resolve(frozenset({ENV}))) == {}
    assert run(Resolve(frozenset()), secrets=sources) == {}
    assert sources.asked == []
    for wanted in (frozenset({ENV}), frozenset({ENV, FILE})):
        assert set(run(Resolve(wanted), secrets=sources)) == wanted


def test_a_stop_does_not_wait_for_a_slow_source() -> None:
    with pytest.raises(SecretUnavailable, match="interrupted while the values of secrets were asked for"):
        run(Resolve(frozenset({FILE})), secrets=Sources(0.2), before=stopped)
    assert len(run(Resolve(frozenset({ENV})), secrets=Sources(), before=stopped)) == 1, "nothing to wait for"


def test_an_archive_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    transcript: Any = object()
    run(Preserve(transcript), archive=SimpleNamespace(preserve=kept.append))
    assert kept == [transcript]
    with pytest.raises(ArchiveFailed, match="this run has no archive"):
        run(Preserve(transcript))
    monkeypatch.setattr(module, "_ARCHIVE_SECONDS", 0.01)
    slow = SimpleNamespace(preserve=lambda _: time.sleep(0.1))
    with pytest.raises(ArchiveFailed, match="the archive gave no answer in 0 s"):
        run(Preserve(transcript), archive=slow)


@pytest.mark.parametrize(
    ("environment", "reference", "found"),
    [
        ({"K": "v"}, ENV, "v"),
        ({"K": " v "}, ENV, " v "),
        ({"K": " "}, ENV, "the environment variable is empty"),
        ({}, ENV, "the environment variable is not set"),
        ({}, FILE, "from a file"),
        ({}, SecretRef("ref+file://empty.txt"), "the file is empty"),
        ({}, SecretRef("ref+file://none.txt"), "the file cannot be read (FileNotFoundError)"),
        ({}, SecretRef("ref+file://zero.txt"), "the file holds bytes that are no text"),
        ({}, SecretRef("ref+file://large.txt"), "the file is too large for a secret"),
        ({}, SecretRef("ref+file://fits.txt"), "x" * 65_536),
        ({}, SecretRef("ref+file://latin.txt"), "the file cannot be read (UnicodeDecodeError)"),
        ({}, SecretRef("ref+file://folder"), "the file cannot be read (IsADirectoryError)"),
    ],
)  # fmt: skip
def test_a_secret_is_read_or_it_is_said_why_not(
    environment: dict[str, str], reference: SecretRef, found: str, tmp_path: Path
) -> None:
    for name, data in (("k", b"from a file\r\n\n"), ("empty", b" \n"), ("zero", b"a\0b"), ("large", b"x" * 65_537), ("fits", b"x" * 65_536), ("latin", b"\xe4")):  # fmt: skip
        (tmp_path / f"{name}.txt").write_bytes(data)
    (tmp_path / "folder").mkdir()
    sources = SecretSources(environment, tmp_path)
    try:
        values = sources.resolve(frozenset({reference}))
    except SecretUnavailable as problem:
        why = problem.missing[reference.text]
        assert why == found or (
            reference.path == "folder" and why.startswith(("the file cannot", "it is not"))
        )
        assert problem.message == f"secrets without a value: {reference.text}: {why}"
        assert (
            StandIns(sources).resolve(frozenset({reference}))[reference].reveal()
            == f"stand-in for {reference.path}"
        )
    else:
        assert values[reference].reveal() == found
        assert StandIns(sources).resolve(frozenset({reference})) == values


# --- the lock ------------------------------------------------------------------------------------------------------


def locked(
    timeout: float, *, free_after: float | None = None, stop: bool = False
) -> tuple[list[str], float, bool]:
    """What is told while somebody has the lock, how long it took, and whether the lock was had in the end."""
    store, events = MemoryStore(), []
    store.take("bob")

    async def perform() -> bool:
        driver = Driver(Answers(), store=behind_ports(store), holder="ann", on_event=events.append)
        if stop:
            driver.stop()
        if free_after is not None:
            asyncio.get_running_loop().call_later(free_after, store.release)
        try:
            await driver.run(one(Lock(timeout)))
        except StateLocked as problem:
            events.append(problem.message)
            return False
        return True

    begun = time.monotonic()
    had = asyncio.run(perform())
    assert store.holder() == ("ann" if had else "bob") or store.holder() is None
    return (
        [each.text if isinstance(each, Notice) else str(each) for each in events],
        time.monotonic() - begun,
        had,
    )


def test_a_lock_is_waited_for_and_its_holder_is_named_once() -> None:
    told, seconds, had = locked(0.0)
    assert (told, had) == (["the state is held by bob; waited 0s"], False)
    told, seconds, had = locked(30.0, free_after=0.05)
    assert (told, had) == (["waiting up to 30s: the state is held by bob"], True)
    assert seconds < 25
    told, _, had = locked(30.0, stop=True)
    assert (told, had) == (["the state is held by bob; waited 30s"], False)


def test_a_commit_is_a_change_and_is_durable() -> None:
    store = MemoryStore()

    async def perform() -> tuple[Any, bool]:
        driver = Driver(Answers(), store=behind_ports(store), holder="ann")
        for effect in (Lock(0.0), ReadState()):
            await driver.run(one(effect))
        before = driver.has_changed
        await driver.run(one(Commit((PutApplying("d"),))))
        state = await driver.run(one(ReadState()))
        await driver.run(one(Unlock()))
        return state, before is False and driver.has_changed

    state, has_changed = asyncio.run(perform())
    assert (state.applying, state.serial, state.secret_key, has_changed, store.holder()) == ("d", 1, b"memory", True, None)  # fmt: skip


# --- failures of HTTP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize(
    ("error", "trouble", "detail"),
    [
        (httpx.ConnectError("refused"), HttpTrouble.CONNECT, "refused"),
        (httpx.ConnectTimeout(""), HttpTrouble.CONNECT, "no connection in 5s"),
        (httpx.PoolTimeout("x"), HttpTrouble.CONNECT, "x"),
        (httpx.ReadTimeout("x"), HttpTrouble.TIMEOUT, "ReadTimeout"),
        (httpx.WriteTimeout("x"), HttpTrouble.TIMEOUT, "WriteTimeout"),
        (httpx.ReadError("cut"), HttpTrouble.BROKEN, "cut"),
        (httpx.ReadError(""), HttpTrouble.BROKEN, "ReadError"),
        (httpx.WriteError("cut"), HttpTrouble.BROKEN, "cut"),
        (httpx.RemoteProtocolError("odd"), HttpTrouble.BROKEN, "odd"),
        (httpx.LocalProtocolError("a secret header"), None, "LocalProtocolError"),
        (ValueError("a secret"), None, "ValueError"),
    ],
)
def test_what_an_exception_of_sending_means(
    error: Exception, trouble: HttpTrouble | None, detail: str, started: bool
) -> None:
    otherwise = HttpTrouble.BROKEN if started else HttpTrouble.CONNECT
    assert _failure(error, started=started) == HttpFailure(trouble or otherwise, started, detail)


def test_a_reply_without_its_date() -> None:
    assert run(Http(GET), sender=WithoutDate(Answers())) == HttpReply(200, {"x": "y"}, b"{}")
    assert run(Http(GET), sender=WithoutDate(NoService())) == HttpFailure(HttpTrouble.CONNECT, sent=False)


@pytest.mark.parametrize(
    ("status", "body", "is_fast"),
    [(200, b'{"speed": 60, "now": 5}', True), (200, b'{"speed": 1, "now": 5}', False), (404, b'{"speed": 60, "now": 5}', False), (200, b"[]", False), (200, b"{}", False), (200, b"x", False)],
)  # fmt: skip
def test_the_clock_of_a_fast_simulator(
    status: int, body: bytes, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.driver import rehearsal

    async def asked(_: HttpRequest) -> HttpReply:
        return HttpReply(status, {}, body)

    monkeypatch.setattr(rehearsal, "_asked", asked)
    clock = fast_clock("127.0.0.1:1")
    assert (clock is not None) is is_fast
    if clock is not None:
        assert (clock.speed, clock.told) == (60.0, 5.0)
        assert 5.0 <= clock() < 5.0 + 60 * 30
