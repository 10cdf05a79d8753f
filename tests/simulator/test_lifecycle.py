"""An agent's life: documented states, ends and their words (v2 API reference: lifecycle)."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.simulator import Credentials, Simulator, Status, Store
from reconciler.simulator.messages import http_date

from .harness import APP_ID, CERTIFICATE, EXITS, NOON, Service, token

DAY = 86400


def test_join_tells_id_creation_and_status(service: Service) -> None:
    answer = service.join()
    assert answer.body == {"agent_id": answer.agent_id, "create_ts": int(NOON), "status": "RUNNING"}
    assert len(answer.agent_id) == 32
    assert answer.agent_id.isalnum()
    assert answer.agent_id == answer.agent_id.upper()


def test_starting_becomes_running(service: Service) -> None:
    agent_id = service.join().agent_id
    assert service.status(agent_id) == "STARTING"
    service.wait(0.3)
    assert service.status(agent_id) == "RUNNING"


def test_query_tells_name_but_neither_channel_nor_properties(service: Service) -> None:
    agent_id = service.started("hotel.prod.desk")
    assert service.query(agent_id).body == {
        "message": "",
        "start_ts": int(NOON),
        "stop_ts": 0,
        "status": "RUNNING",
        "name": "hotel.prod.desk",
        "agent_id": agent_id,
    }


def test_leave_is_asynchronous(service: Service) -> None:
    agent_id = service.started()
    assert service.leave(agent_id).status == 200
    assert service.status(agent_id) == "STOPPING"
    assert [agent.agent_id for agent in service.world.live()] == [agent_id]
    service.wait(0.2)
    assert service.query(agent_id).body == {
        "message": f"{EXITS}OK",
        "start_ts": int(NOON),
        "stop_ts": int(service.time),
        "status": "STOPPED",
        "name": "greeter",
        "agent_id": agent_id,
    }
    assert service.world.live() == ()


def test_a_graceful_farewell_is_idle_first() -> None:
    service = Service(farewell_seconds=10)
    farewell = {"farewell_config": {"graceful_enabled": True, "graceful_timeout_seconds": 5}}
    agent_id = service.started(parameters=farewell)
    service.leave(agent_id)
    assert service.status(agent_id) == "IDLE"
    service.wait(5)
    assert service.status(agent_id) == "STOPPING"
    service.wait(0.2)
    assert service.status(agent_id) == "STOPPED"


def test_no_farewell_unless_enabled(service: Service) -> None:
    agent_id = service.started(parameters={"farewell_config": {"graceful_enabled": False}})
    service.leave(agent_id)
    assert service.status(agent_id) == "STOPPING"


def test_seventy_two_hours_end_every_agent(service: Service) -> None:
    agent_id = service.started(idle_timeout=0)
    service.wait(3 * DAY - 1)
    assert service.status(agent_id) == "RUNNING"
    service.wait(1)
    answer = service.query(agent_id).body
    assert (answer["status"], answer["message"]) == ("STOPPED", f"{EXITS}Task lifetime limit exceeded")
    assert answer["stop_ts"] == int(NOON) + 3 * DAY


def test_the_idle_clock_runs_when_all_users_have_left(service: Service) -> None:
    agent_id = service.started(idle_timeout=30)
    service.wait(1000)
    service.simulator.users_left("lobby")
    service.wait(29)
    service.simulator.users_joined("lobby")
    service.wait(100)
    assert service.status(agent_id) == "RUNNING"
    service.simulator.users_left("lobby")
    service.wait(30)
    answer = service.query(agent_id).body
    assert (answer["status"], answer["message"]) == ("STOPPED", f"{EXITS}Idle for too long")


def test_idle_timeout_zero_never_idles(service: Service) -> None:
    agent_id = service.started(idle_timeout=0)
    service.simulator.users_left("lobby")
    service.wait(DAY)
    assert service.status(agent_id) == "RUNNING"


def test_users_of_another_channel_do_not_matter(service: Service) -> None:
    agent_id = service.started(idle_timeout=30)
    service.simulator.users_left("foyer")
    service.wait(DAY)
    assert service.status(agent_id) == "RUNNING"


def test_an_agent_that_is_stopping_does_not_come_back_to_life_with_its_users(service: Service) -> None:
    agent_id = service.started(idle_timeout=30)
    service.leave(agent_id)
    service.simulator.users_joined("lobby")
    service.wait(0.2)
    assert service.status(agent_id) == "STOPPED"


def guarded() -> Service:
    return Service(credentials=Credentials(app_id=APP_ID, app_certificate=CERTIFICATE))


def test_an_expired_token_ends_the_agent() -> None:
    service = guarded()
    agent_id = service.started(token=token(lives=600))
    service.wait(599)
    assert service.status(agent_id) == "RUNNING"
    service.wait(1)
    answer = service.query(agent_id).body
    assert (answer["status"], answer["message"]) == ("FAILED", f"{EXITS}RTC connection error")


def test_the_privilege_to_join_ends_a_token_too() -> None:
    service = guarded()
    agent_id = service.started(token=token(lives=3600, joins=60))
    service.wait(60)
    assert service.status(agent_id) == "FAILED"


def test_a_renewed_token_counts_from_its_own_issue() -> None:
    service = guarded()
    agent_id = service.started(token=token(lives=600))
    service.wait(500)
    assert service.update(agent_id, token=token(issued=service.time, lives=600)).status == 200
    service.wait(599)
    assert service.status(agent_id) == "RUNNING"
    service.wait(1)
    assert service.status(agent_id) == "FAILED"


def test_a_bad_renewal_renews_nothing() -> None:
    service = guarded()
    agent_id = service.started(token=token(lives=600))
    assert service.update(agent_id, token=token("elsewhere", issued=service.time, lives=6000)).status == 200
    service.wait(600)
    assert service.status(agent_id) == "FAILED"


def test_a_renewal_does_not_undo_a_leave() -> None:
    service = guarded()
    agent_id = service.started(token=token(lives=600))
    service.leave(agent_id)
    service.update(agent_id, token=token(issued=service.time, lives=6000))
    service.wait(0.2)
    assert service.status(agent_id) == "STOPPED"


@pytest.mark.parametrize(
    "wrong",
    [
        token(channel="foyer"),
        token(uid="1002"),
        token(certificate="0" * 32),
        token(app_id="f" * 32),
        token(issued=NOON - 7200),
        token(lives=86401),
        token(issued=NOON + 301),
        token()[:-9],
        "006" + token()[3:],
        "",
    ],
    ids=["channel", "uid", "certificate", "app", "expired", "long", "future", "cut", "old", "empty"],
)
def test_a_token_that_lets_nobody_in_fails_the_agent(wrong: str) -> None:
    service = guarded()
    joined = service.join(token=wrong)
    assert joined.body["status"] == "RUNNING"  # as it was seen of the live service: 200, RUNNING, and the end
    agent_id = joined.agent_id
    service.wait(0.7)
    assert service.status(agent_id) == "RUNNING"
    service.wait(2.3)
    answer = service.query(agent_id).body
    assert (answer["status"], answer["message"]) == ("FAILED", f"{EXITS}RTC connection error")


@pytest.mark.parametrize(("rtm", "status"), [(None, "FAILED"), ("1002", "FAILED"), ("1001", "RUNNING")])
def test_enable_rtm_needs_the_rtm_service(rtm: str | None, status: str) -> None:
    service = guarded()
    agent_id = service.started(token=token(rtm=rtm), advanced_features={"enable_rtm": True})
    service.wait(3)
    assert service.status(agent_id) == status


def test_a_token_without_account_fits_every_uid() -> None:
    service = guarded()
    assert service.status(service.started(token=token(uid=""))) == "RUNNING"


def test_an_agent_can_be_ended_behind_everybodys_back(service: Service) -> None:
    agent_id = service.started()
    service.simulator.end(agent_id, message="OK", failed=False)
    assert service.query(agent_id).body["status"] == "STOPPED"
    with pytest.raises(KeyError):
        service.simulator.end(agent_id)


def test_a_status_can_be_shown_while_the_agent_lives(service: Service) -> None:
    agent_id = service.started()
    service.simulator.show(agent_id, Status.RECOVERING)
    assert service.status(agent_id) == "RECOVERING"
    service.simulator.show(agent_id, None)
    assert service.status(agent_id) == "RUNNING"
    service.simulator.show(agent_id, Status.RECOVERING)
    service.leave(agent_id)
    assert service.status(agent_id) == "STOPPING"


def test_the_clock_of_the_world_moves_forward_only(service: Service) -> None:
    agent_id = service.join().agent_id
    assert service.simulator.advance(10) == NOON + 10
    assert service.status(agent_id) == "RUNNING"
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="forward"):
            service.simulator.advance(seconds)


def test_a_faster_clock_ages_the_agents_and_dates_the_replies(tmp_path: Path) -> None:
    path, time = tmp_path / "world.db", [NOON]
    service = Service()
    service.simulator = Simulator(Store(path), clock=lambda: time[0], speed=3600)
    agent_id = service.join().agent_id
    time[0] += 10
    answer = service.query(agent_id)
    assert (answer.body["status"], answer.headers["date"]) == ("RUNNING", http_date(NOON + 36_000))
    assert service.simulator.advance(3600) == NOON + 39_600
    service.simulator.close()

    # its time is kept: a slower one goes on from there
    service.simulator = Simulator(Store(path), clock=lambda: time[0])
    assert service.simulator.now == NOON + 39_600
    time[0] += 10
    assert service.simulator.now == NOON + 39_610
    service.simulator.close()

    service.simulator = Simulator(Store(path), clock=lambda: time[0], speed=3600)
    time[0] += 62  # over 72 h in all
    assert service.query(agent_id).body["message"] == f"{EXITS}Task lifetime limit exceeded"
    time[0] -= 30  # a machine's clock that is set back gains nothing
    before = service.simulator.now
    time[0] += 20
    assert before <= service.simulator.now <= before + 20
    service.simulator.close()


def test_ids_depend_on_the_order_alone() -> None:
    first, second = (
        [service.join(f"agent-{number}", uid=str(number)).agent_id for number in range(5)]
        for service in (Service(), Service())
    )
    assert first == second
    assert len(set(first)) == 5
