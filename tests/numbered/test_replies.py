"""9.6: what the service answers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
import pytest

from reconciler.driver.loop import Driver
from reconciler.providers.agora import connectors
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.simulator.messages import JSON_HEADERS, Response
from tests.hostile.bench import mutating
from tests.numbered.scene import FLEET, Scene, relabelled

PLAN = ("plan", "demo")
APPLY = ("apply", "demo", "--auto-approve")
INCOMPLETE = 6


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long as a run does: pauses are short, and a read that keeps failing ends at once."""
    limits = CallLimits(calls_per_second=1e6, burst=1e6, read_seconds=0.5, longest_hold=0.2)

    def provider(settings: Any, _: CallLimits | None = None) -> AgoraProvider:
        return AgoraProvider(settings, limits)

    async def sleep(_: Driver, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))

    monkeypatch.setattr(connectors, "AgoraProvider", provider)
    monkeypatch.setattr(Driver, "_sleep", sleep)


def unread(scene: Scene, what: str, says: str, **fate: object) -> None:
    """A list that cannot be trusted: nothing is planned, nothing is applied."""
    if fate:
        scene.script({"on": "list", "count": 0, **fate})
    told = scene.refused(what, *PLAN, says=says)
    assert told.out == ""
    before = mutating(scene.service)
    assert scene.run(*APPLY).code == 1
    assert mutating(scene.service) == before
    scene.script()


def unsure(scene: Scene, what: str, says: str, **fate: object) -> None:
    """A join of which nobody can say what became: it stays open, and the next apply finds out."""
    scene.script({"on": "join", "name": "*desk*", "count": 0, **fate})
    scene.shown(what, *APPLY, code=INCOMPLETE, says=says, since="Of unknown outcome")
    scene.script()
    assert scene.run(*APPLY).code == 0
    scene.settled()
    live = [each.name.split(".")[2] for each in scene.service.world.live()]
    assert sorted(live) == ["lobby-desk", "lobby-door"]
    # What nobody answered may still be executed: without a grace, nothing is waited for.
    assert scene.run("destroy", "demo", "--auto-approve", "--grace", "0s").code == 0


def test_9_6_01_wrong_content_type(scene: Scene) -> None:
    unread(scene, "A proxy's page in place of the list", "a page (text/html)", fate="malformed", form="html")
    scene.answers("list", relabelled("text/html; charset=utf-8"))
    unread(scene, "The list itself, as a page", "a page (text/html)")
    scene.answers("list", relabelled("text/plain"))
    assert scene.run(*PLAN).code == 0
    scene.answers("list", lambda answer: answer)
    unsure(
        scene, "A proxy's page in place of a join's answer", "a page (text/html)",
        fate="malformed", form="html", executed=False,
    )  # fmt: skip
    scene.section.note(
        "Other labels, or none, are taken: the service documents none, and what is read has to make sense in any case."
    )


def test_9_6_02_cut_and_oversized(scene: Scene) -> None:
    unread(scene, "A list that was cut", "not JSON", fate="malformed", form="cut")
    unread(scene, "A list of 16 MiB", "too large", fate="oversize")
    unread(scene, "A flood of brackets", "reply", fate="malformed", form="deep")
    unsure(scene, "A join's answer that was cut", "not JSON", fate="malformed", form="cut", executed=False)
    unsure(scene, "A join's answer of 16 MiB", "too large", fate="oversize", executed=False)


def test_9_6_03_wrong_types(scene: Scene) -> None:
    scene.applied()
    for what, says, fate in (
        ("Every value of another type", "list", {"fate": "malformed", "form": "wrong_types"}),
        ("An empty object", "data: it is missing", {"fate": "malformed", "form": "empty_object"}),
        ("null", "the reply", {"fate": "malformed", "form": "null"}),
        ("`data` is null", "data", {"fate": "list_defect", "defect": "data_null"}),
        ("`meta` is missing", "meta: it is missing", {"fate": "list_defect", "defect": "no_meta"}),
    ):
        unread(scene, what, says, **fate)


def test_9_6_04_total(scene: Scene) -> None:
    scene.applied()
    unread(scene, "One more than there are", "counts 3 but shows 2", fate="list_defect", defect="wrong_total")
    unread(scene, "One row is left out", "shows 1", fate="list_defect", defect="short")


def test_9_6_05_cursors(scene: Scene) -> None:
    scene.applied()
    unread(
        scene, "A cursor that the service itself refuses", "cursor", fate="list_defect", defect="cursor_loop"
    )
    pages = iter(range(10**9))
    for what, says, period in (
        ("A cursor that comes again", "in a circle", 3),
        ("No end", "1000 pages", 10**9),
    ):

        def another(answer: Response, period: int = period) -> Response:
            cursor = f"A{next(pages) % period}"
            tree = {"data": {"list": []}, "meta": {"total": 0, "cursor": cursor}}
            return Response(200, JSON_HEADERS, orjson.dumps(tree))

        scene.answers("list", another)
        scene.refused(what, *PLAN, says=says)


def test_9_6_06_duplicates(scene: Scene) -> None:
    scene.applied()
    scene.rows(lambda rows: rows.append(rows[0] | {"status": "STOPPING"}))
    unread(scene, "One agent, two statuses", "twice, differently")
    scene.rows(lambda rows: rows.append(rows[0] | {"start_ts": rows[0]["start_ts"] - 9}))
    unread(scene, "One agent, two starts", "twice, differently")
    scene.rows(lambda rows: rows.append(dict(rows[0])))
    unread(scene, "One agent, twice the same, and counted twice", "counts 3 but shows 2")


def test_9_6_07_ids_and_names(scene: Scene) -> None:
    scene.applied()
    for what, bad in (("An id that would be a path", "../../v1/projects"), ("No id", ""), ("A number", 7)):
        scene.rows(lambda rows, bad=bad: rows[0].update(agent_id=bad))
        unread(scene, what, "data.list.0.agent_id")
    scene.rows(lambda rows: None)
    _foreign(scene)
    scene.script({"on": "query", "count": 0, "fate": "merge", "patch": {"name": 7}})
    scene.refused("A name that is a number", *PLAN, says="name")
    scene.script({"on": "query", "count": 0, "fate": "merge", "patch": {"agent_id": "A42"}})
    scene.refused("An answer about another agent", *PLAN, says="answered with A42")
    scene.script({"on": "query", "count": 0, "fate": "merge", "patch": {"name": "\x1b[2J demo.-.x\u202e"}})
    scene.refused(
        "A name that nobody of ours can have: foreign, and nothing of it moves a cursor",
        *PLAN,
        code=0,
        says="\\u{1b}[2J demo.-.x\\u{202e}",
    )


def _foreign(scene: Scene) -> None:
    """Somebody else's agent in a channel of ours."""
    other = scene.bench.home / "annex"
    other.mkdir()
    files = FLEET.replace("fleet: demo", "fleet: annex").replace(", {name: door}", "")
    (other / "fleet.yaml").write_text(files, encoding="utf-8")
    assert scene.run("apply", "annex", "--auto-approve", "--allow", "beside=*").code == 0


def test_9_6_08_an_unknown_status(scene: Scene) -> None:
    scene.applied()
    scene.rows(lambda rows: rows[0].update(status="DREAMING"))
    scene.refused("An agent that is DREAMING counts as live: nothing is joined beside it", *APPLY, code=0)
    status = scene.run("status", "demo", "--format", "json")
    assert sorted(each["status"] for each in orjson.loads(status.out)["agents"]) == ["RUNNING", "UNKNOWN"]
    scene.section.note("`status` calls it UNKNOWN.")


def test_9_6_09_times(scene: Scene) -> None:
    scene.applied()
    scene.rows(lambda rows: rows[0].update(start_ts=rows[0]["start_ts"] + 10 * 365 * 86400))
    unread(scene, "An agent that starts in ten years", "in the future")
    for what, bad in (
        ("Before the epoch", -1),
        ("Not a time", "yesterday"),
        ("Beyond every calendar", 1e300),
    ):
        scene.rows(lambda rows, bad=bad: rows[0].update(start_ts=bad))
        unread(scene, what, "data.list.0.start_ts")


def test_9_6_10_redirects(scene: Scene) -> None:
    unread(scene, "The list has moved", "never followed", fate="redirect")
    unread(scene, "For a while", "never followed", fate="redirect", status=307)
    unsure(
        scene, "A join is sent elsewhere, to where its secrets would go", "never followed", fate="redirect"
    )


def test_9_6_11_other_successes(scene: Scene) -> None:
    unread(scene, "204 for a list", "HTTP 204", fate="no_content")
    scene.answers("list", lambda answer: Response(206, answer.headers, answer.body))
    unread(scene, "206 for a list, however good it looks", "HTTP 206")
    scene.answers("list", lambda answer: answer)
    unsure(scene, "204 for a join", "HTTP 204", fate="no_content", executed=False)
    unsure(scene, "202 for a join", "HTTP 202", fate="refuse", status=202)
    scene.applied()
    scene.edit("hello", "good evening")
    for verb, words in (("update", APPLY), ("leave", ("destroy", "demo", "--auto-approve"))):
        scene.script({"on": verb, "count": 0, "fate": "no_content", "executed": False})
        what = f"204 for {'an' if verb == 'update' else 'a'} {verb}"
        scene.shown(what, *words, code=INCOMPLETE, says="HTTP 204", since="Of unknown outcome")
        scene.script()
        assert scene.run(*words).code == 0
    assert scene.service.world.live() == ()


def test_9_6_12_retry_after(scene: Scene) -> None:
    limited = partial(unread, scene, fate="rate_limit")
    limited("Garbage", says="makes no sense", retry_after="garbage")
    limited("Less than nothing", says="makes no sense", retry_after="negative")
    limited("3,000 years", says="makes no sense", retry_after="huge")
    limited("Two hours", says="a pause of 2h", retry_after="seconds", seconds=7200)
    scene.section.note(
        "No pause is longer than 20 s (shortened here), and a read that keeps failing ends within half a minute."
    )


def test_9_6_13_control_characters(scene: Scene) -> None:
    words = {
        "detail": "no\x1b[2J\x1b]0;owned\x07 such\r\n::error:: \u202eagent\u200b",
        "reason": "Bad\x1b[31m",
    }
    unread(scene, "In the refusal of a list", "\\u{1b}", fate="refuse", status=403, **words)
    scene.script({"on": "join", "count": 0, "fate": "refuse", "status": 400, **words})
    told = scene.shown("In the refusal of a join", *APPLY, code=INCOMPLETE, says="\\u{1b}", since="Failed")
    assert not {"\x1b", "\x07", "\u202e", "\u200b", "\r"} & set(told.said)
    assert scene.service.world.live() == ()
