"""A run that is told to stop: reads are cut at once where nothing was changed, else calls have a last moment."""

from __future__ import annotations

import asyncio

from reconciler.driver.loop import Driver
from reconciler.ports import Http, HttpFailure, HttpReply, HttpRequest, HttpTrouble, Steps

# Less than calls in flight are given once something was changed.
AT_ONCE = 1.0


class NeverAnswers:
    """`ports.HttpSender`: changes are answered, reads are not."""

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        if request.method == "GET":
            await asyncio.Event().wait()
        return HttpReply(200, {}, b"")

    async def aclose(self) -> None:
        """Nothing is open."""


def steps(*methods: str) -> Steps[HttpReply | HttpFailure]:
    result: HttpReply | HttpFailure
    for method in methods:
        result = yield Http(HttpRequest(method, "http://127.0.0.1/agents"))
    return result


def stopped_while(*methods: str) -> tuple[bool, HttpReply | HttpFailure]:
    """Whether the last of some calls was cut at once, and what came of it in the end."""

    async def run() -> tuple[bool, HttpReply | HttpFailure]:
        driver = Driver(NeverAnswers())
        task = asyncio.ensure_future(driver.run(steps(*methods)))
        await asyncio.sleep(0.01)
        driver.stop()
        done, _ = await asyncio.wait({task}, timeout=AT_ONCE)
        return bool(done), await task

    return asyncio.run(run())


def test_a_read_is_cut_at_once_where_nothing_was_changed() -> None:
    cut, result = stopped_while("GET")
    assert cut
    assert result == HttpFailure(HttpTrouble.INTERRUPTED, sent=True)


def test_a_read_after_a_change_has_a_last_moment() -> None:
    cut, result = stopped_while("POST", "GET")
    assert not cut
    assert result == HttpFailure(HttpTrouble.INTERRUPTED, sent=True)
