"""Fault scripts: their language, and each fate. A fate without a test of its name fails the first test
here."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import orjson
import pytest

from reconciler.simulator import FateKind, FaultError, FaultScript, Outage, OutageKind, Response, fate
from reconciler.simulator.faults import LIST_DEFECTS, MALFORMED_FORMS, PARAMETERS, RETRY_AFTER_FORMS

from .harness import EXITS, NOON, Answer, Service, join_body, read


def joined(service: Service, kind: str, **parameters: Any) -> Response | Outage:
    return service.send("POST", "join", join_body(), fate=fate(kind, **parameters))


def outage(service: Service, kind: str, **parameters: Any) -> Outage:
    outcome = joined(service, kind, **parameters)
    assert isinstance(outcome, Outage)
    return outcome


def answer(service: Service, kind: str, **parameters: Any) -> Answer:
    outcome = joined(service, kind, **parameters)
    assert isinstance(outcome, Response)
    return read(outcome)


def names(service: Service) -> list[str]:
    return [agent.name for agent in service.world.agents()]


def test_every_fate_is_tested() -> None:
    tests = dict(inspect.getmembers(sys.modules[__name__], inspect.isfunction))
    assert [kind for kind in FateKind if f"test_fate_{kind}" not in tests] == []


# --- the language


def test_a_rule_reads_and_writes() -> None:
    rules = [
        {
            "on": "join,update",
            "name": "hotel.*",
            "nth": 2,
            "count": 3,
            "fate": "refuse",
            "status": 500,
            "executed": True,
        },
        {"on": ["list"], "page": "next", "count": 0, "fate": "list_defect", "defect": "short"},
        {"fate": "merge", "patch": {"status": "HIBERNATING", "agent_id": None}},
    ]
    script = FaultScript.parse(rules)
    assert FaultScript.parse(script.as_json()) == script
    assert FaultScript.parse(orjson.loads(orjson.dumps(script.as_json()))) == script


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "is a list of rules"),
        (["drop"], 'rule 1: a rule is an object with a "fate"'),
        ([{"fate": "late"}, {"on": "join"}], "rule 2: a rule is an object"),
        ([{"fate": "explode"}], "unknown fate 'explode'; the fates are refuse, rate_limit"),
        ([{"fate": "late", "status": 500}], "late takes seconds, not 'status'"),
        ([{"fate": "drop_request", "seconds": 5}], "drop_request takes no parameters"),
        ([{"fate": "late", "seconds": -1}], "seconds cannot be -1"),
        ([{"fate": "late", "seconds": True}], "seconds cannot be True"),
        ([{"fate": "refuse", "status": 99}], "status cannot be 99"),
        ([{"fate": "redirect", "location": "https://a.invalid/\nx: y"}], "location cannot be"),
        ([{"fate": "redirect", "location": "https://ä.invalid/"}], "location cannot be"),
        ([{"fate": "refuse", "status": "500"}], "status cannot be '500'"),
        ([{"fate": "malformed", "form": "odd"}], "form takes html, empty"),
        ([{"fate": "list_defect", "defect": []}], "defect takes short"),
        ([{"fate": "merge", "patch": []}], "patch cannot be"),
        ([{"fate": "cut", "on": "dance"}], '"on" takes \\* or operations'),
        ([{"fate": "cut", "on": 5}], '"on" takes'),
        ([{"fate": "cut", "on": [5]}], '"on" takes'),
        ([{"fate": "cut", "name": 5}], "name takes a glob"),
        ([{"fate": "cut", "nth": 0}], "nth takes a whole number of at least 1"),
        ([{"fate": "cut", "count": -1}], "count takes a whole number of at least 0"),
        ([{"fate": "cut", "page": []}], "page takes any, first or next"),
        ([{"fate": "cut", "pgae": "next"}], "cut takes no parameters, not 'pgae'"),
    ],
)
def test_rules_that_are_none(rules: Any, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        FaultScript.parse(rules)


def statuses(service: Service, count: int) -> list[int]:
    return [service.list().status for _ in range(count)]


def test_nth_and_count_choose_calls() -> None:
    service = Service(script=[{"on": "list", "nth": 2, "count": 2, "fate": "refuse"}])
    assert statuses(service, 5) == [200, 503, 503, 200, 200]


def test_count_zero_is_for_ever() -> None:
    service = Service(script=[{"nth": 2, "count": 0, "fate": "refuse"}])
    assert statuses(service, 5) == [200, 503, 503, 503, 503]


def test_rules_are_tried_in_order_and_the_first_that_fires_decides() -> None:
    service = Service(
        script=[
            {"on": "list", "nth": 2, "fate": "refuse", "status": 500},
            {"on": "list", "nth": 2, "fate": "refuse", "status": 502},
        ]
    )
    assert statuses(service, 4) == [200, 500, 502, 200]


def test_a_new_script_begins_anew() -> None:
    service = Service(script=[{"fate": "refuse"}])
    assert statuses(service, 2) == [503, 200]
    service.simulator.set_script([{"fate": "refuse"}])
    assert statuses(service, 2) == [503, 200]
    service.simulator.set_script([])
    assert statuses(service, 1) == [200]


def test_a_switch_turned_meanwhile_does_not_rewind_the_script() -> None:
    service = Service(script=[{"nth": 2, "fate": "refuse"}])
    assert statuses(service, 1) == [200]
    service.simulator.set_switches(quota=5)
    assert statuses(service, 2) == [503, 200]


def test_rules_choose_by_name_channel_id_and_page() -> None:
    service = Service()
    ids = {
        name: service.started(name, channel, uid)
        for name, channel, uid in (("a.1", "x", "1"), ("b.1", "y", "2"))
    }
    service.simulator.set_script(
        [
            {"on": "join", "name": "a.*", "fate": "refuse", "status": 500},
            {"on": "query", "name": "b.*", "fate": "refuse", "status": 501},
            {"on": "leave", "agent_id": ids["a.1"], "fate": "refuse", "status": 502},
            {"on": "list", "channel": "y", "fate": "refuse", "status": 503},
            {"on": "list", "page": "next", "fate": "refuse", "status": 504},
        ]
    )
    assert (service.join("c", uid="3").status, service.join("a.2", uid="4").status) == (200, 500)
    assert (service.query(ids["a.1"]).status, service.query(ids["b.1"]).status) == (200, 501)
    assert (service.leave(ids["b.1"]).status, service.leave(ids["a.1"]).status) == (200, 502)
    assert (service.list(channel="x").status, service.list(channel="y").status) == (200, 503)
    first = service.list(limit=1, state="1,2,3")
    cursor = first.body["meta"]["cursor"]
    assert (first.status, service.list(limit=1, state="1,2,3", cursor=cursor).status) == (200, 504)


def test_a_body_that_is_none_still_meets_its_fate() -> None:
    service = Service(script=[{"on": "join", "fate": "refuse", "count": 0}])
    for body in (b"{", b"[]", b'{"properties":[]}', b"", b'{"name":1}'):
        assert service.call("POST", "join", body).status == 503


# --- the fates


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("executed", [False, True])
def test_fate_refuse(service: Service, status: int, *, executed: bool) -> None:
    refused = answer(service, "refuse", status=status, executed=executed)
    assert refused.status == status
    assert refused.body.keys() == {"detail", "reason"}
    assert names(service) == (["greeter"] if executed else [])


def test_a_refusal_may_have_its_own_words(service: Service) -> None:
    refused = answer(service, "refuse", status=403, reason="AccountSuspended", detail="pay first")
    assert refused.body == {"detail": "pay first", "reason": "AccountSuspended"}


@pytest.mark.parametrize("form", RETRY_AFTER_FORMS)
def test_fate_rate_limit(service: Service, form: str) -> None:
    limited = answer(service, "rate_limit", retry_after=form, seconds=30)
    expected = {
        "none": None,
        "seconds": "30",
        "date": "Fri, 15 Jan 2027 08:00:30 GMT",
        "garbage": "soon",
        "negative": "-30",
        "huge": "99999999999",
    }
    assert (limited.status, limited.headers.get("retry-after")) == (429, expected[form])
    assert names(service) == []


def test_fate_drop_request(service: Service) -> None:
    assert outage(service, "drop_request") == Outage(OutageKind.SILENCE, executed=False)
    assert names(service) == []


def test_fate_lose_response(service: Service) -> None:
    assert outage(service, "lose_response") == Outage(OutageKind.SILENCE, executed=True)
    assert names(service) == ["greeter"]


def test_fate_late(service: Service) -> None:
    assert outage(service, "late", seconds=90) == Outage(OutageKind.SILENCE, executed=False)
    assert service.simulator.next_due() == NOON + 90
    service.wait(89)
    assert names(service) == []
    service.wait(200)
    (agent,) = service.world.agents()
    assert agent.created_at == NOON + 90
    assert service.simulator.next_due() is None


def test_late_requests_are_executed_in_the_order_of_their_time(service: Service) -> None:
    for name, seconds in (("slow", 30), ("quick", 10)):
        service.send("POST", "join", join_body(name), fate=fate("late", seconds=seconds))
    service.wait(60)
    assert names(service) == ["quick", "slow"]
    assert [entry.outcome for entry in service.simulator.log()] == ["silence", "silence", "200", "200"]


def test_a_late_request_may_meet_its_own_repetition(service: Service) -> None:
    outage(service, "late", seconds=5)
    service.wait(1)
    assert service.join().status == 200
    service.wait(10)
    assert names(service) == ["greeter"]  # the late one was refused with 409
    assert service.simulator.log()[-1].outcome == "409"


def test_late_requests_happen_when_the_clock_is_advanced(service: Service) -> None:
    outage(service, "late", seconds=5)
    service.simulator.advance(5)
    assert service.simulator.next_due() is None


@pytest.mark.parametrize(("which", "status"), [("first", 200), ("second", 409)])
def test_fate_twice(service: Service, which: str, status: int) -> None:
    assert answer(service, "twice", answer=which).status == status
    assert names(service) == ["greeter"]


def test_a_second_delivery_may_come_later(service: Service) -> None:
    agent_id = answer(service, "twice", seconds=60).agent_id
    service.leave(agent_id)
    service.wait(60)
    assert names(service) == ["greeter", "greeter"]


def test_fate_unreachable(service: Service) -> None:
    assert outage(service, "unreachable") == Outage(OutageKind.UNREACHABLE, executed=False)
    assert names(service) == []


@pytest.mark.parametrize("executed", [False, True])
def test_fate_reset(service: Service, *, executed: bool) -> None:
    assert outage(service, "reset", executed=executed) == Outage(OutageKind.RESET, executed=executed)
    assert names(service) == ["greeter"] * executed


def held_back(service: Service, kind: str) -> None:
    parameters = {} if kind == "cut" else {"seconds": 7}
    outcome = outage(service, kind, **parameters)
    assert (outcome.kind, outcome.executed, outcome.seconds) == (
        OutageKind(kind),
        True,
        parameters.get("seconds", 0),
    )
    assert outcome.response is not None
    assert read(outcome.response).agent_id == service.world.agents()[0].agent_id
    assert "date" in read(outcome.response).headers


def test_fate_slow(service: Service) -> None:
    held_back(service, "slow")


def test_fate_drip(service: Service) -> None:
    held_back(service, "drip")


def test_fate_cut(service: Service) -> None:
    held_back(service, "cut")


@pytest.mark.parametrize("form", MALFORMED_FORMS)
@pytest.mark.parametrize("executed", [False, True])
def test_fate_malformed(service: Service, form: str, *, executed: bool) -> None:
    outcome = joined(service, "malformed", form=form, executed=executed)
    assert isinstance(outcome, Response)
    assert outcome.status == 200
    assert names(service) == ["greeter"] * executed
    try:
        body = orjson.loads(outcome.body)
    except orjson.JSONDecodeError:
        assert form in {"html", "empty", "cut", "not_utf8", "deep"}
    else:
        assert not isinstance(body, dict) or not isinstance(body.get("agent_id"), str)
        assert form in {"empty_object", "null", "array", "wrong_types"}


def test_fate_no_content(service: Service) -> None:
    assert answer(service, "no_content").status == 204
    assert names(service) == ["greeter"]


def test_fate_redirect(service: Service) -> None:
    redirected = answer(service, "redirect", status=307)
    assert (redirected.status, redirected.headers["location"]) == (307, "https://elsewhere.invalid/")
    assert names(service) == []


def test_fate_oversize(service: Service) -> None:
    assert len(answer(service, "oversize", size=100_000).raw) == 100_000
    assert names(service) == ["greeter"]


@pytest.mark.parametrize("defect", LIST_DEFECTS)
def test_fate_list_defect(service: Service, defect: str) -> None:
    ids = [service.started("a"), service.started("b", uid="2")][::-1]
    outcome = service.send("GET", "agents", fate=fate("list_defect", defect=defect))
    assert isinstance(outcome, Response)
    body = orjson.loads(outcome.body)
    listed = [item["agent_id"] for item in (body["data"] or {"list": []})["list"]]
    total, cursor = body.get("meta", {}).get("total"), body.get("meta", {}).get("cursor")
    assert (listed, total, cursor) == {
        "short": (ids[1:], 2, ""),
        "omission": (ids[1:], 1, ""),
        "wrong_total": (ids, 3, ""),
        "cursor_loop": (ids, 2, ids[0]),
        "duplicates": ([*ids, ids[0]], 2, ""),
        "data_null": ([], 2, ""),
        "empty": ([], 0, ""),
        "no_meta": (ids, None, None),
    }[defect]


def test_a_defect_needs_a_list(service: Service) -> None:
    assert answer(service, "list_defect").status == 200
    outcome = service.send("GET", "agents", query="limit=0", fate=fate("list_defect"))
    assert isinstance(outcome, Response)
    assert outcome.status == 400


def test_fate_merge(service: Service) -> None:
    merged = answer(service, "merge", patch={"status": "HIBERNATING", "create_ts": None, "deep": {"er": 1}})
    assert merged.body == {
        "agent_id": service.world.agents()[0].agent_id,
        "status": "HIBERNATING",
        "deep": {"er": 1},
    }


def test_fate_doom(service: Service) -> None:
    agent_id = answer(service, "doom", seconds=2).agent_id
    service.wait(2)
    body = service.query(agent_id).body
    assert (body["status"], body["message"]) == ("FAILED", f"{EXITS}Connecting for too long")


def test_doom_needs_an_agent(service: Service) -> None:
    service.join()
    assert answer(service, "doom").status == 409
    assert len(service.world.live()) == 1


@pytest.mark.parametrize("kind", list(FateKind))
@pytest.mark.parametrize("path", ["join", "agents", "agents/nobody/leave", "agents/nobody", "nowhere"])
def test_every_fate_suits_every_call(service: Service, kind: FateKind, path: str) -> None:
    for method in ("GET", "POST"):
        outcome = service.send(method, path, fate=fate(kind))
        assert isinstance(outcome, Response | Outage)


def test_parameters_name_fields_of_a_fate() -> None:
    fields = set(fate("refuse").__slots__)
    assert all(fields >= set(names) for names in PARAMETERS.values())
