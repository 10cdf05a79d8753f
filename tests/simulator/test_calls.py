"""The calls on one agent, and the doors: leave, update, speak, interrupt, think, history, turns, unknown
paths."""

from __future__ import annotations

import pytest

from tests.fakes.worlds import updates_of

from .harness import APP_ID, NOON, Service

GHOST = "A42" + "X" * 29


@pytest.mark.parametrize("call", ["update", "leave", "speak", "interrupt", "think", "history", "turns"])
def test_an_unknown_agent_is_not_found(service: Service, call: str) -> None:
    method = "GET" if call in {"history", "turns"} else "POST"
    answer = service.call(method, f"agents/{GHOST}/{call}", {"text": "x"} if method == "POST" else None)
    assert (answer.status, answer.reason) == (404, "TaskNotFound")


@pytest.mark.parametrize("call", ["update", "leave", "speak", "interrupt", "think", "history"])
def test_an_ended_agent_is_not_found(service: Service, call: str) -> None:
    agent_id = service.started()
    service.simulator.end(agent_id)
    method = "GET" if call == "history" else "POST"
    answer = service.call(method, f"agents/{agent_id}/{call}", {"text": "x"} if method == "POST" else None)
    assert (answer.status, answer.reason) == (404, "TaskNotFound")


def test_agents_of_another_project_are_not_found(service: Service) -> None:
    agent_id = service.started()
    assert service.call("GET", f"agents/{agent_id}", app_id="f" * 32).status == 404
    assert service.call("GET", f"agents/{agent_id}", area="cn").status == 404


def test_llm_params_are_replaced_whole(service: Service) -> None:
    agent_id = service.started()
    answer = service.update(agent_id, llm={"params": {"temperature": 0.9}})
    assert answer.body == {"agent_id": agent_id, "create_ts": int(NOON), "status": "RUNNING"}
    llm = service.world.agent(agent_id).properties["llm"]
    assert llm["params"] == {"temperature": 0.9}
    assert llm["system_messages"] == [{"role": "system", "content": "Be brief."}]


def test_system_messages_are_replaced_as_a_list(service: Service) -> None:
    agent_id = service.started()
    service.update(agent_id, llm={"system_messages": []})
    assert service.world.agent(agent_id).properties["llm"]["system_messages"] == []


def test_an_update_needs_no_body(service: Service) -> None:
    agent_id = service.started()
    before = service.world.agent(agent_id).properties
    assert service.call("POST", f"agents/{agent_id}/update").status == 200
    assert service.call("POST", f"agents/{agent_id}/update", {}).status == 200
    assert service.world.agent(agent_id).properties == before


def test_updates_are_remembered_in_order(service: Service) -> None:
    agent_id = service.started()
    for temperature in (1, 2):
        service.update(agent_id, llm={"params": {"temperature": temperature}})
        service.wait(1)
    assert [
        patch["properties"]["llm"]["params"]["temperature"] for patch in updates_of(service.world, agent_id)
    ] == [1, 2]
    assert [note.at for note in service.world.notes(agent_id)] == [NOON + 0.3, NOON + 1.3]


@pytest.mark.parametrize(
    "properties",
    [
        {"token": 1},
        {"llm": []},
        {"llm": {"params": "x"}},
        {"llm": {"system_messages": {}}},
        {"mllm": {"params": 1}},
    ],
)
def test_an_update_of_the_wrong_type_is_refused(service: Service, properties: dict[str, object]) -> None:
    agent_id = service.started()
    answer = service.update(agent_id, **properties)
    assert (answer.status, answer.reason) == (400, "InvalidFieldValue")
    assert updates_of(service.world, agent_id) == ()


def test_mllm_params_are_not_updatable_in_china(service: Service) -> None:
    service.area = "cn"
    agent_id = service.started(mllm={"enable": True, "api_key": "k", "params": {"model": "a"}})
    assert service.update(agent_id, mllm={"params": {"model": "b"}}).body["state"] == "RUNNING"
    assert service.world.agent(agent_id).properties["mllm"]["params"] == {"model": "a"}


@pytest.mark.parametrize("call", ["speak", "interrupt", "think"])
def test_telling_an_agent_tells_its_channel(service: Service, call: str) -> None:
    agent_id = service.started()
    answer = service.call(
        "POST", f"agents/{agent_id}/{call}", {} if call == "interrupt" else {"text": "Hello"}
    )
    assert answer.body == {"agent_id": agent_id, "channel": "lobby", "start_ts": int(NOON)}


def test_interrupt_needs_no_body(service: Service) -> None:
    assert service.call("POST", f"agents/{service.started()}/interrupt").status == 200


@pytest.mark.parametrize(
    ("call", "body", "reason"),
    [
        ("speak", {}, "MissingRequiredField"),
        ("speak", {"text": "ä" * 257}, "InvalidFieldValue"),
        ("speak", {"text": "x", "priority": "LOUD"}, "InvalidFieldValue"),
        ("speak", {"text": 1}, "InvalidFieldValue"),
        ("speak", None, "InvalidRequestBody"),
        ("speak", b"{", "InvalidRequestBody"),
        ("speak", [], "InvalidRequestBody"),
        ("think", {"text": "x", "on_listening_action": "sing"}, "InvalidFieldValue"),
        ("think", {"text": "x", "metadata": []}, "InvalidFieldValue"),
        ("interrupt", [], "InvalidRequestBody"),
    ],
)
def test_what_cannot_be_told(service: Service, call: str, body: object, reason: str) -> None:
    answer = service.call("POST", f"agents/{service.started()}/{call}", body)
    assert (answer.status, answer.reason) == (400, reason)


def test_speech_is_at_most_512_bytes(service: Service) -> None:
    assert service.call("POST", f"agents/{service.started()}/speak", {"text": "ä" * 256}).status == 200


def test_speak_is_not_for_mllm(service: Service) -> None:
    agent_id = service.started(mllm={"enable": True, "api_key": "k"}, llm=None, tts=None)
    assert service.call("POST", f"agents/{agent_id}/speak", {"text": "x"}).status == 400


def test_history_is_what_was_said_up_to_max_history(service: Service) -> None:
    agent_id = service.started(llm={"url": "https://llm.invalid/", "max_history": 2})
    for call, text in (("speak", "one"), ("think", "two"), ("speak", "three")):
        service.call("POST", f"agents/{agent_id}/{call}", {"text": text})
    answer = service.call("GET", f"agents/{agent_id}/history")
    assert answer.body == {
        "agent_id": agent_id,
        "start_ts": int(NOON),
        "status": "RUNNING",
        "contents": [{"role": "user", "content": "two"}, {"role": "assistant", "content": "three"}],
    }


def test_history_is_for_running_agents_only(service: Service) -> None:
    agent_id = service.join().agent_id
    assert service.call("GET", f"agents/{agent_id}/history").status == 404


def test_turns_come_in_pages_and_outlive_the_agent(service: Service) -> None:
    agent_id = service.started()
    for number in range(25):
        service.call("POST", f"agents/{agent_id}/think", {"text": str(number)})
    service.simulator.end(agent_id)
    answer = service.call("GET", f"agents/{agent_id}/turns", query={"page_size": 10, "page_index": 3})
    assert answer.body["total_turn_count"] == 25
    assert answer.body["pagination"] == {"page_index": 3, "total_pages": 3, "is_last_page": True}
    assert [turn["turn_id"] for turn in answer.body["turns"]] == [21, 22, 23, 24, 25]
    service.wait(7 * 86400)
    assert service.call("GET", f"agents/{agent_id}/turns").status == 404


@pytest.mark.parametrize(
    "query", ["page_size=9", "page_size=201", "page_index=0", "page_index=x", "page_size=-1"]
)
def test_turns_refuse_a_page_that_is_none(service: Service, query: str) -> None:
    assert service.call("GET", f"agents/{service.started()}/turns", query=query).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "join", 405),
        ("POST", "agents", 405),
        ("DELETE", f"agents/{GHOST}", 405),
        ("GET", f"agents/{GHOST}/leave", 405),
        ("GET", "nowhere", 404),
        ("GET", "agents/", 404),
        ("POST", "call", 501),
        ("GET", f"calls/{GHOST}", 501),
        ("POST", f"calls/{GHOST}/hangup", 501),
    ],
)
def test_other_doors(service: Service, method: str, path: str, status: int) -> None:
    answer = service.call(method, path)
    assert (answer.status, answer.reason) == (status, "NotImplemented")


def test_errors_are_detail_and_reason(service: Service) -> None:
    answer = service.join(channel=None)  # type: ignore[arg-type]
    assert answer.body == {
        "detail": "create agent failed, code: 400, msg: properties: channel not found",
        "reason": "MissingRequiredField",
    }


def test_every_response_carries_the_worlds_date(service: Service) -> None:
    service.simulator.advance(60)
    assert service.list().headers["date"] == "Fri, 15 Jan 2027 08:01:00 GMT"


def test_the_two_areas_are_two_services(service: Service) -> None:
    here = service.started()
    there = service.call("POST", "join", {"name": "greeter", **_body()}, area="cn").agent_id
    assert [agent.project for agent in service.world.agents()] == [APP_ID, f"cn/{APP_ID}"]
    assert service.list(state="0,1,2").listed == [here]
    service.wait(1)
    assert service.call("GET", "agents", area="cn").listed == [there]


def _body() -> dict[str, object]:
    llm, tts = {"url": "https://llm.invalid/"}, {"vendor": "tencent", "params": {}}
    # no token: mainland China does not need one without an App Certificate
    return {
        "properties": {
            "channel": "lobby",
            "agent_rtc_uid": "1",
            "remote_rtc_uids": ["*"],
            "llm": llm,
            "tts": tts,
        }
    }
