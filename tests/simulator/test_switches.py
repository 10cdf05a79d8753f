"""Each switch, in each of its positions. A switch without a test of its name fails the first test here."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.simulator import Credentials, Outage, OutageKind, SwitchError, Switches
from reconciler.simulator.switches import declarations
from tests.fakes.worlds import overlaps

from .harness import APP_ID, CERTIFICATE, EXITS, LIVE, NOON, Service, join_body, token

HOUR, DAY = 3600, 86400


def test_every_switch_is_tested_in_every_position() -> None:
    tests = dict(inspect.getmembers(sys.modules[__name__], inspect.isfunction))
    for name, switch in declarations().items():
        source = inspect.getsource(tests[f"test_switch_{name}"])
        for choice in switch.choices:
            assert re.search(rf"\b{choice}\b", source), (name, choice)


def test_switches_are_documented_and_their_defaults_are_allowed() -> None:
    for name, switch in declarations().items():
        assert switch.meaning.endswith("."), name
        assert switch.parse(str(switch.default)) == switch.default
        assert switch.parse(switch.default) == switch.default


def test_switches_from_text() -> None:
    switches = Switches().with_settings(
        {"name_scope": "channel", "start_seconds": "1.5", "quota_status": "429", "quota": "8"}
    )
    assert (switches.quota, switches.name_scope, switches.start_seconds) == (8, "channel", 1.5)
    assert switches.quota_status == 429
    assert Switches().with_settings(switches.as_dict()) == switches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name_scop=channel", "did you mean 'name_scope'?"),
        ("retry-after=1", "did you mean 'retry_after'?"),
        ("zzz=1", "unknown switch 'zzz'"),
        ("name_scope=galaxy", "takes project, channel, not 'galaxy'"),
        ("quota=many", "takes a whole number, not 'many'"),
        ("quota=1.5", "takes a whole number"),
        ("quota=-1", "of at least 0"),
        ("list_limit_max=0", "of at least 1"),
        ("stop_seconds=nan", "of at least 0"),
        ("stop_seconds=inf", "of at least 0"),
        ("quota_status=418", "takes 422, 429"),
    ],
)
def test_switches_that_are_none(text: str, message: str) -> None:
    with pytest.raises(SwitchError, match=message.replace("?", r"\?")):
        Switches().with_settings(dict([text.split("=")]))


def test_a_switch_without_a_value_is_refused_by_the_command() -> None:
    done = CliRunner().invoke(cli, ["simulator", "--switch", "name_scope", "--list-switches"])
    assert done.exit_code != 0
    assert '"name_scope" is not of the form NAME=VALUE' in done.output


@pytest.mark.parametrize("value", [None, True, [], {}, 1.5])
def test_a_number_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(SwitchError):
        Switches().with_settings({"quota": value})


# --- where


@pytest.mark.parametrize(
    ("value", "served"), [("any", ["global", "cn"]), ("global", ["global"]), ("cn", ["cn"])]
)
def test_switch_area(value: str, served: list[str]) -> None:
    service = Service(area=value)
    for area in ("global", "cn"):
        answer = service.call("POST", "join", join_body(), area=area)
        assert (answer.status == 200) == (area in served)
        if area not in served:
            assert answer.body["detail"] == "allocate failed, please check if the appid is valid"


# --- names and conflicts


def test_switch_name_scope() -> None:
    project, channel = Service(name_scope="project"), Service(name_scope="channel")
    for service in (project, channel):
        service.started("desk", "lobby")
        assert service.join("desk", "lobby", "2").status == 409
        assert service.call("POST", "join", join_body("desk"), app_id="f" * 32).status == 200
    answer = project.join("desk", "foyer", "3")
    assert answer.body == {
        "detail": "create agent failed, code: 409, msg: task conflict",
        "reason": "TaskConflict",
    }
    assert channel.join("desk", "foyer", "3").status == 200


def test_a_name_is_held_until_the_agent_has_stopped(service: Service) -> None:
    agent_id = service.started()
    service.leave(agent_id)
    assert service.join().status == 409
    service.wait(0.2)
    assert service.join().status == 200
    assert [each.name for each in service.world.agents()].count("greeter") == 2


@pytest.mark.parametrize(
    ("value", "statuses"),
    [("immediately", [200, 200, 200]), ("after_seconds", [409, 200, 200]), ("never", [409, 409, 409])],
)
def test_switch_name_reuse(value: str, statuses: list[int]) -> None:
    service = Service(name_reuse=value)
    for status, seconds in zip(statuses, (0, 60, DAY), strict=True):
        service.simulator.reset()
        service.simulator.set_switches(name_reuse=value)
        service.simulator.end(service.started())
        service.wait(seconds)
        assert service.join().status == status


def test_switch_name_reuse_seconds() -> None:
    service = Service(name_reuse="after_seconds", name_reuse_seconds=5)
    service.simulator.end(service.started())
    service.wait(4.9)
    assert service.join().status == 409
    service.wait(0.1)
    assert service.join().status == 200


@pytest.mark.parametrize(("value", "key"), [("none", None), ("agent_id", "agent_id"), ("task_id", "taskId")])
def test_switch_conflict_body(value: str, key: str | None) -> None:
    service = Service(conflict_body=value)
    agent_id = service.started()
    body = service.join().body
    assert body.pop("detail")
    assert body.pop("reason") == "TaskConflict"
    assert body == ({} if key is None else {key: agent_id})


def test_switch_uid_conflict() -> None:
    for value in ("accepted", "refused", "kicks"):
        service = Service(uid_conflict=value)
        first = service.started("first")
        status = service.join("second").status
        assert status == (409 if value == "refused" else 200)
        assert service.status(first) == ("FAILED" if value == "kicks" else "RUNNING")
        assert len(overlaps(service.world)) == (1 if value == "accepted" else 0)
        assert service.join("third", "foyer").status == 200  # another channel
        assert service.join("fourth", uid="0").status == service.join("fifth", uid="0").status == 200


# --- quota and rate


def test_switch_quota() -> None:
    service = Service(quota=2)
    first = service.started("a", uid="1")
    assert service.join("b", uid="2").status == 200
    answer = service.join("c", uid="3")
    assert (answer.status, answer.reason) == (422, "ResourceQuotaLimitExceeded")
    service.leave(first)
    assert service.join("c", uid="3").status == 422  # STOPPING still counts
    service.wait(0.2)
    assert service.join("c", uid="3").status == 200
    assert service.call("POST", "join", join_body(), app_id="f" * 32).status == 200
    assert Switches().quota == 20


@pytest.mark.parametrize("value", [422, 429])
def test_switch_quota_status(value: int) -> None:
    answer = Service(quota=0, quota_status=value).join()
    reasons = {422: "ResourceQuotaLimitExceeded", 429: "ConcurrencyLimitExceeded"}
    assert (answer.status, answer.reason) == (value, reasons[value])
    assert answer.body["detail"] == "Too many concurrent requests, exceeding the quota limit"


def test_switch_requests_per_second() -> None:
    service = Service(requests_per_second=5)
    assert [service.list().status for _ in range(7)] == [200] * 5 + [429] * 2
    service.wait(0.2)
    assert [service.list().status for _ in range(2)] == [200, 429]
    service.wait(10)
    assert [service.list().status for _ in range(6)] == [200] * 5 + [429]
    slow = Service(requests_per_second=0.5)
    assert [slow.list().status for _ in range(2)] == [200, 429]
    slow.wait(2)
    assert slow.list().status == 200


@pytest.mark.parametrize(
    ("value", "header"), [("none", None), ("seconds", "1"), ("date", "Fri, 15 Jan 2027 08:00:01 GMT")]
)
def test_switch_retry_after(value: str, header: str | None) -> None:
    service = Service(requests_per_second=1, retry_after=value)
    service.list()
    assert service.list().headers.get("retry-after") == header


# --- the list


def test_switch_list_lag_seconds() -> None:
    service = Service(list_lag_seconds=10)
    agent_id = service.started()
    assert service.list(state=LIVE).listed == []
    service.wait(10)
    assert service.list().listed == [agent_id]
    service.leave(agent_id)
    service.wait(9)
    assert service.status(agent_id) == "STOPPED"
    assert service.list().listed == [agent_id]
    service.wait(1)
    assert service.list().listed == []


@pytest.mark.parametrize(
    ("value", "statuses"), [("area", (200, 400)), ("accepted", (200, 200)), ("refused", (400, 400))]
)
def test_switch_list_state_comma(value: str, statuses: tuple[int, int]) -> None:
    service = Service(list_state_comma=value)
    for area, status in zip(("global", "cn"), statuses, strict=True):
        assert service.call("GET", "agents", query="state=1,2", area=area).status == status


@pytest.mark.parametrize(("value", "status"), [("accepted", 200), ("refused", 400)])
def test_switch_list_state5(value: str, status: int) -> None:
    service = Service(list_state5=value)
    assert service.list(state="0,1,2,3,5").status == status
    assert service.list(state="0,1,2,3").status == 200


def test_switch_list_limit_max() -> None:
    service = Service(list_limit_max=3)
    for number in range(5):
        service.started(f"agent-{number}", uid=str(number + 1))
    assert len(service.list().listed) == len(service.list(limit=50).listed) == 3


@pytest.mark.parametrize(("value", "status"), [("clamp", 200), ("refuse", 400)])
def test_switch_list_limit_over(value: str, status: int) -> None:
    service = Service(list_limit_over=value)
    assert service.list(limit=100).status == 200
    assert service.list(limit=101).status == status


@pytest.mark.parametrize(
    ("value", "totals"), [("matching", [5, 5, 5]), ("page", [2, 2, 1]), ("remaining", [3, 1, 0])]
)
def test_switch_list_total(value: str, totals: list[int]) -> None:
    service = Service(list_total=value)
    for number in range(5):
        service.started(f"agent-{number}", uid=str(number + 1))
    cursor, seen = None, []
    for _ in totals:
        meta = service.list(limit=2, cursor=cursor).body["meta"]
        cursor = meta["cursor"]
        seen.append(meta["total"])
    assert seen == totals


@pytest.mark.parametrize(
    ("value", "pages"),
    [
        ("exclusive", [["4", "3"], ["2", "1"], ["0"]]),
        ("inclusive", [["4", "3"], ["2", "1"], ["0"]]),
        ("overlapping", [["4", "3"], ["3", "2"], ["2", "1"], ["1", "0"]]),
    ],
)
def test_switch_list_cursor(value: str, pages: list[list[str]]) -> None:
    service = Service(list_cursor=value)
    names = {service.started(str(number), uid=str(number + 1)): str(number) for number in range(5)}
    assert [[names[agent_id] for agent_id in page] for page in service.pages(limit=2)] == pages
    cursor = service.list(limit=2).body["meta"]["cursor"]
    assert names[cursor] == ("2" if value == "inclusive" else "3")


def test_switch_list_last_cursor() -> None:
    for value, expected in (
        ("empty", {"cursor": "", "total": 1}),
        ("absent", {"total": 1}),
        ("always", None),
    ):
        service = Service(list_last_cursor=value)
        agent_id = service.started()
        assert service.list().body["meta"] == (expected or {"cursor": agent_id, "total": 1})
        assert service.pages() == ([[agent_id], []] if value == "always" else [[agent_id]])


@pytest.mark.parametrize("value", ["newest", "oldest"])
def test_switch_list_order(value: str) -> None:
    service = Service(list_order=value)
    ids = [service.started("a"), service.started("b", uid="2")]
    assert service.list().listed == (ids if value == "oldest" else ids[::-1])


@pytest.mark.parametrize(
    ("value", "hours"),
    [("area", {"global": 2, "cn": 24}), ("2h", {"global": 2, "cn": 2}), ("1d", {"global": 24, "cn": 24})],
)
def test_switch_list_window(value: str, hours: dict[str, int]) -> None:
    for area, window in hours.items():
        service = Service(list_window=value)
        service.area = area
        agent_id = service.started()
        service.wait(window * HOUR - 1)
        assert service.list().listed == [agent_id]
        service.wait(2)
        assert service.list().listed == []


@pytest.mark.parametrize(("value", "hidden"), [("area", {"cn"}), ("on", {"global", "cn"}), ("off", set())])
def test_switch_list_seven_days(value: str, hidden: set[str]) -> None:
    for area in ("global", "cn"):
        service = Service(list_seven_days=value, lifetime_seconds=30 * DAY)
        service.area = area
        agent_id = service.started()
        service.wait(7 * DAY)
        assert service.list(from_time=0).listed == ([] if area in hidden else [agent_id])


@pytest.mark.parametrize("value", ["created", "active"])
def test_switch_list_time(value: str) -> None:
    service = Service(list_time=value)
    agent_id = service.started()
    service.wait(5 * HOUR)
    assert service.list().listed == ([agent_id] if value == "active" else [])
    assert service.list(from_time=0, to_time=int(NOON) - 1).listed == []


# --- life


@pytest.mark.parametrize("value", ["RUNNING", "STARTING", "IDLE"])
def test_switch_join_status(value: str) -> None:
    assert Service(join_status=value).join().body["status"] == value


def test_switch_start_seconds() -> None:
    service = Service(start_seconds=5)
    agent_id = service.join().agent_id
    service.wait(4.9)
    assert service.status(agent_id) == "STARTING"
    service.wait(0.1)
    assert service.status(agent_id) == "RUNNING"
    instant = Service(start_seconds=0)
    assert instant.status(instant.join().agent_id) == "RUNNING"


def test_switch_stop_seconds() -> None:
    service = Service(stop_seconds=5)
    agent_id = service.started()
    service.leave(agent_id)
    service.wait(4.9)
    assert service.status(agent_id) == "STOPPING"
    service.wait(0.1)
    assert service.status(agent_id) == "STOPPED"


def test_switch_farewell_seconds() -> None:
    service = Service(farewell_seconds=3)
    agent_id = service.started(parameters={"farewell_config": {"graceful_enabled": True}})
    service.leave(agent_id)
    service.wait(2.9)
    assert service.status(agent_id) == "IDLE"
    service.wait(0.1)
    assert service.status(agent_id) == "STOPPING"


def test_switch_connecting_timeout_seconds() -> None:
    service = Service(start_seconds=100, connecting_timeout_seconds=20)
    agent_id = service.join().agent_id
    service.wait(20)
    answer = service.query(agent_id).body
    assert (answer["status"], answer["message"]) == ("FAILED", f"{EXITS}Connecting for too long")


def test_switch_lifetime_seconds() -> None:
    service = Service(lifetime_seconds=60)
    agent_id = service.started()
    service.wait(60)
    assert service.query(agent_id).body["message"] == f"{EXITS}Task lifetime limit exceeded"


@pytest.mark.parametrize(("value", "status"), [("waits", "RUNNING"), ("runs", "STOPPED")])
def test_switch_idle_before_first_join(value: str, status: str) -> None:
    service = Service(idle_before_first_join=value)
    idling, patient = service.started(idle_timeout=30), service.started("patient", uid="2", idle_timeout=0)
    service.wait(30)
    assert service.status(idling) == status
    assert service.status(patient) == "RUNNING"


@pytest.mark.parametrize(("value", "status"), [("fails", "FAILED"), ("ignored", "RUNNING")])
def test_switch_token_expiry(value: str, status: str) -> None:
    service = Service(token_expiry=value)
    agent_id = service.started(token=token(lives=60))
    service.wait(60)
    assert service.status(agent_id) == status


def test_switch_rtc_token() -> None:
    for value, joined, status in (
        ("fails", 200, "FAILED"),
        ("refused", 400, None),
        ("ignored", 200, "RUNNING"),
    ):
        service = Service(rtc_token=value, credentials=Credentials(APP_ID, CERTIFICATE))
        answer = service.join(token="no token")
        assert answer.status == joined
        service.wait(3)
        if status is not None:
            assert service.status(answer.agent_id) == status
        agent_id = service.started("good", uid="2", token=token(uid="2"))
        assert service.update(agent_id, token="no token").status == joined


def guarded(**switches: object) -> Service:
    return Service(credentials=Credentials(APP_ID, CERTIFICATE), **switches)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"agora_uid": "9", "agora_token": token(uid="9")}, "RUNNING"),
        ({"agora_uid": "9"}, "FAILED"),
        ({"agora_uid": "9", "agora_token": token(uid="8")}, "FAILED"),
        ({"agora_uid": "9", "agora_token": token(uid="9", channel="elsewhere")}, "FAILED"),
        ({}, "RUNNING"),  # this vendor's builder in the SDK knows no uid of its own
    ],
)
def test_an_avatar_enters_with_a_token_of_its_own(given: dict[str, str], status: str) -> None:
    service = guarded()
    avatar = {"enable": True, "vendor": "akool", "params": {"api_key": "k", **given}}
    agent_id = service.started(token=token(), avatar=avatar)
    service.wait(5)
    assert service.status(agent_id) == status


def test_the_token_of_an_avatar_ends_its_agent() -> None:
    service = guarded()
    params = {"api_key": "k", "agora_uid": "9", "agora_token": token(uid="9", lives=60)}
    agent_id = service.started(token=token(), avatar={"enable": True, "vendor": "akool", "params": params})
    service.wait(59)
    assert service.status(agent_id) == "RUNNING"
    service.update(agent_id, token=token())
    service.wait(1)
    assert service.status(agent_id) == "FAILED", "renewing the agent's own does not help"


def test_switch_rtc_token_seconds() -> None:
    service = guarded(rtc_token_seconds=1)
    agent_id = service.join(token="").agent_id
    service.wait(0.9)
    assert service.status(agent_id) == "RUNNING"
    service.wait(0.1)
    assert service.status(agent_id) == "FAILED"
    assert 0.7 < Switches().rtc_token_seconds < 3.1


@pytest.mark.parametrize(("value", "cn"), [("area", {"cn"}), ("global", set()), ("cn", {"global", "cn"})])
def test_switch_rtc_failure(value: str, cn: set[str]) -> None:
    for area in ("global", "cn"):
        service = guarded(rtc_failure=value)
        service.area = area
        agent_id = service.join(token="no token").agent_id
        service.wait(3)
        body = service.query(agent_id).body
        told = (body["status"], body["message"].removeprefix(EXITS))
        failed, stopped = ("FAILED", "RTC connection error"), ("STOPPED", "RTC connection failed")
        assert told == (stopped if area in cn else failed)


@pytest.mark.parametrize(("value", "prefix"), [("on", "agent exits with reason: "), ("off", "")])
def test_switch_message_prefix(value: str, prefix: str) -> None:
    service = Service(message_prefix=value)
    agent_id = service.started()
    assert service.query(agent_id).body["message"] == ""
    service.leave(agent_id)
    service.wait(1)
    assert service.query(agent_id).body["message"] == f"{prefix}OK"


# --- query


@pytest.mark.parametrize("value", ["stopped", "404"])
def test_switch_get_exited(value: str) -> None:
    service = Service(get_exited=value)
    agent_id = service.started()
    service.simulator.end(agent_id)
    assert service.query(agent_id).status == (200 if value == "stopped" else 404)


def test_switch_retention_seconds() -> None:
    service = Service(retention_seconds=60)
    agent_id = service.started()
    service.simulator.end(agent_id)
    service.wait(59)
    assert service.query(agent_id).status == 200
    service.wait(1)
    assert service.query(agent_id).status == 404


@pytest.mark.parametrize("value", ["yes", "no"])
def test_switch_get_returns_name(value: str) -> None:
    service = Service(get_returns_name=value)
    assert ("name" in service.query(service.started()).body) == (value == "yes")


def test_switch_live_stop_ts() -> None:
    for value, expected in (("zero", {"stop_ts": 0}), ("absent", {}), ("null", {"stop_ts": None})):
        service = Service(live_stop_ts=value)
        body = service.query(service.started()).body
        assert {key: item for key, item in body.items() if key == "stop_ts"} == expected


@pytest.mark.parametrize("value", ["shown", "404"])
def test_switch_turns_of_live(value: str) -> None:
    service = Service(turns_of_live=value)
    agent_id = service.started()
    assert service.call("GET", f"agents/{agent_id}/turns").status == (200 if value == "shown" else 404)
    service.simulator.end(agent_id)
    assert service.call("GET", f"agents/{agent_id}/turns").status == 200


# --- leave and update


@pytest.mark.parametrize("value", ["404", "200"])
def test_switch_leave_unknown(value: str) -> None:
    service = Service(leave_unknown=value)
    agent_id = service.started()
    service.simulator.end(agent_id)
    assert service.leave(agent_id).status == service.leave("nobody").status == int(value)


@pytest.mark.parametrize("value", ["200", "404", "409"])
def test_switch_leave_stopping(value: str) -> None:
    service = Service(leave_stopping=value)
    agent_id = service.started()
    assert service.leave(agent_id).status == 200
    before = service.world.agent(agent_id)
    assert service.leave(agent_id).status == int(value)
    assert service.world.agent(agent_id) == before


@pytest.mark.parametrize(("value", "body"), [("empty", b""), ("object", b"{}")])
def test_switch_leave_body(value: str, body: bytes) -> None:
    service = Service(leave_body=value)
    assert service.leave(service.started()).raw == body


@pytest.mark.parametrize(
    ("value", "keys"),
    [("area", ("status", "state")), ("status", ("status", "status")), ("state", ("state", "state"))],
)
def test_switch_update_reply(value: str, keys: tuple[str, str]) -> None:
    for area, key in zip(("global", "cn"), keys, strict=True):
        service = Service(update_reply=value)
        service.area = area
        agent_id = service.started()
        assert service.update(agent_id).body == {"agent_id": agent_id, "create_ts": int(NOON), key: "RUNNING"}


def test_switch_update_unknown_keys() -> None:
    patch = {
        "idle_timeout": 7,
        "tts": {"vendor": "murf"},
        "llm": {"url": "https://b.invalid/", "params": {"a": 1}},
    }
    for value in ("ignore", "400", "apply"):
        service = Service(update_unknown_keys=value)
        agent_id = service.started()
        before = service.world.agent(agent_id).properties
        assert service.update(agent_id, **patch).status == (400 if value == "400" else 200)
        assert service.call("POST", f"agents/{agent_id}/update", {"token": "t"}).status == (
            400 if value == "400" else 200
        )
        after = service.world.agent(agent_id).properties
        applied = before | {
            "idle_timeout": 7,
            "tts": {**before["tts"], "vendor": "murf"},
            "llm": {**before["llm"], "url": "https://b.invalid/", "params": {"a": 1}},
        }
        ignored = before | {"llm": {**before["llm"], "params": {"a": 1}}}
        assert after == {"ignore": ignored, "400": before, "apply": applied}[value]


def test_an_update_that_would_ruin_the_agent_is_refused() -> None:
    service = Service(update_unknown_keys="apply")
    agent_id = service.started()
    assert service.update(agent_id, idle_timeout="soon").status == 400
    assert service.world.agent(agent_id).properties["idle_timeout"] == 0


@pytest.mark.parametrize(("value", "params"), [("replace", {"b": 2}), ("merge", {"a": 1, "b": 2})])
def test_switch_mllm_params(value: str, params: dict[str, int]) -> None:
    service = Service(mllm_params=value)
    agent_id = service.started(mllm={"enable": True, "params": {"a": 1}})
    service.update(agent_id, mllm={"params": {"b": 2}})
    assert service.world.agent(agent_id).properties["mllm"]["params"] == params


@pytest.mark.parametrize(("value", "statuses"), [("accepted", (200, 200)), ("refused", (409, 404))])
def test_switch_update_outside_running(value: str, statuses: tuple[int, int]) -> None:
    service = Service(update_outside_running=value)
    agent_id = service.join().agent_id
    assert service.update(agent_id).status == statuses[0]
    service.wait(1)
    assert service.update(agent_id).status == 200
    service.leave(agent_id)
    assert service.update(agent_id).status == statuses[1]


# --- checks and errors


@pytest.mark.parametrize("value", ["accepted", "refused"])
def test_switch_unknown_fields(value: str) -> None:
    service = Service(unknown_fields=value)
    answer = service.join(idle_timeot=3)
    assert answer.status == (200 if value == "accepted" else 400)
    if value == "refused":
        assert answer.body["detail"].endswith("properties.idle_timeot: unknown field")
    assert service.join("b", uid="2", labels={"free": "form"}).status == 200


@pytest.mark.parametrize("value", ["refused", "accepted"])
def test_switch_unknown_enums(value: str) -> None:
    service = Service(unknown_enums=value)
    geofence = {"area": "MOON"}
    assert service.join(geofence=geofence).status == (200 if value == "accepted" else 400)
    assert service.join("b", uid="2", geofence={"area": 1}).status == 400


@pytest.mark.parametrize("value", ["off", "on"])
def test_switch_strict_vendors(value: str) -> None:
    for number, block in enumerate(("asr", "tts", "mllm", "avatar"), 1):
        service = Service(strict_vendors=value, unknown_enums="refused" if number % 2 else "accepted")
        answer = service.join(str(number), uid=str(number), **{block: {"vendor": "newcomer", "params": {}}})
        assert answer.status == (400 if value == "on" else 200), block
        if value == "on":
            assert f"properties.{block}.vendor: must be one of" in answer.body["detail"]
        else:
            assert f"{block}.vendor 'newcomer'" in answer.headers["x-simulator-warning"]


@pytest.mark.parametrize(("value", "status"), [("checked", 400), ("unchecked", 200)])
def test_switch_managed_credentials(value: str, status: int) -> None:
    asr = {"credential_mode": "managed", "vendor": "microsoft"}
    assert Service(managed_credentials=value).join(asr=asr).status == status


@pytest.mark.parametrize("value", [400, 500])
def test_switch_missing_parts(value: int) -> None:
    service = Service(missing_parts=value)
    for part in ("llm", "tts"):
        answer = service.join(**{part: None})
        assert answer.status == value
        if value == 500:
            assert answer.body == {
                "detail": "core: edge failed, reason: 'NoneType' object has no attribute 'output_modalities'",
                "reason": "InternalServerError",
            }
        else:
            assert (answer.reason, f"{part} not found" in answer.body["detail"]) == (
                "MissingRequiredField",
                True,
            )
    assert service.world.agents() == ()
    assert service.join(channel=None).status == 400


@pytest.mark.parametrize(("value", "status"), [("absent", 200), ("refused", 400)])
def test_switch_nulls(value: str, status: int) -> None:
    assert Service(nulls=value).call("POST", "join", join_body() | {"preset": None}).status == status


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("area", ("MissingRequiredField", "InvalidRequest")),
        ("current", ("MissingRequiredField", "MissingRequiredField")),
        ("legacy", ("InvalidRequest", "InvalidRequest")),
    ],
)
def test_switch_reasons(value: str, reasons: tuple[str, str]) -> None:
    service = Service(reasons=value)
    for area, reason in zip(("global", "cn"), reasons, strict=True):
        assert service.call("POST", "join", {"name": "x"}, area=area).reason == reason
        assert service.call("GET", "agents/nobody", area=area).reason == "TaskNotFound"


@pytest.mark.parametrize("value", ["reason", "gateway"])
def test_switch_unauthorized_body(value: str) -> None:
    body = Service(unauthorized_body=value).call("GET", "agents", authorization="").body
    assert body.keys() == ({"message"} if value == "gateway" else {"detail", "reason"})


@pytest.mark.parametrize(
    ("value", "statuses"), [("join", (401, 200, 200)), ("every", (401, 401, 401)), ("never", (200, 200, 200))]
)
def test_switch_header_token_scope(value: str, statuses: tuple[int, int, int]) -> None:
    service = Service(header_token_scope=value)
    agent_id = service.started("other", uid="2")
    service.authorization = f"agora token={token('stop', '0')}"
    assert (service.join().status, service.leave(agent_id).status, service.list().status) == statuses
    service.authorization = f"agora token={token('lobby', '2')}"
    assert service.query(agent_id).status == service.list(channel="lobby").status == 200


def test_switch_clock_tolerance_seconds() -> None:
    service = Service(clock_tolerance_seconds=10)
    assert service.call("GET", "agents", authorization=f"agora token={token(issued=NOON + 10)}").status == 200
    assert service.call("GET", "agents", authorization=f"agora token={token(issued=NOON + 11)}").status == 401


# --- the line


def test_switch_latency_seconds() -> None:
    service = Service(latency_seconds=0.05)
    outcome = service.send("GET", "agents")
    assert isinstance(outcome, Outage)
    assert (outcome.kind, outcome.executed, outcome.seconds) == (OutageKind.SLOW, True, 0.05)
    assert outcome.response is not None
    assert outcome.response.status == 200
