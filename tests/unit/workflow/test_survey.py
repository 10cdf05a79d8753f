"""Everything that runs under an App ID, for whoever has no fleet: names, ages and channels, as far as reads tell them."""

from __future__ import annotations

import pytest

from reconciler import workflow
from reconciler.errors import AuthenticationFailed, ServiceError
from reconciler.workflow import Surveyed
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual


@pytest.fixture
def service() -> Virtual:
    """Two agents that run, the one in the lobby for a minute longer."""
    made = Virtual()
    for address in ("lobby/desk", "yard/desk"):
        made.run(workflow.apply(made.job(fleet(agent("lobby/desk"), agent(address))), made.provider()))
        made.now += 60
    return made


def surveyed(service: Virtual, **channels: str) -> list[Surveyed]:
    return list(service.run(workflow.survey(service.provider(), parallelism=2, channels=channels or None)))


def test_the_turns_tell_the_channels_and_ages_are_the_services(service: Virtual) -> None:
    service.ahead = 1000.0
    found = surveyed(service)
    assert [each.channel for each in found] == ["lobby", "yard"]
    started = [each.created_at for each in service.live()]
    assert [each.age for each in found] == [pytest.approx(service.now - at, abs=2) for at in started]
    assert {each.agent.name for each in found} == {each.name for each in service.live()}


def test_a_service_that_names_nobody_in_a_query_names_them_in_their_turns(service: Virtual) -> None:
    service.service.set_switches(get_returns_name="no")
    assert {each.agent.name for each in surveyed(service)} == {each.name for each in service.live()}


def test_where_neither_tells_a_name_there_is_none(service: Virtual) -> None:
    service.service.set_switches(get_returns_name="no", turns_of_live="404")
    assert [(each.agent.name, each.channel) for each in surveyed(service)] == [(None, None)] * 2


def test_turns_that_cannot_be_read_leave_a_channel_unknown_unless_it_is_told(service: Virtual) -> None:
    lobby, yard = service.live()
    service.service.set_script([{"on": "turns", "count": 0, "fate": "refuse", "status": 404}])
    found = {each.agent.agent_id: each.channel for each in surveyed(service, **{yard.agent_id: "yard"})}
    assert found == {lobby.agent_id: None, yard.agent_id: "yard"}


@pytest.mark.parametrize("told", ["stopped", "404"])
def test_an_agent_that_has_ended_since_the_list_is_none_that_runs(service: Virtual, told: str) -> None:
    service.service.set_switches(get_exited=told)
    lobby, yard = service.live()

    def ends(request: object) -> None:
        if lobby.agent_id in request.url:  # type: ignore[attr-defined]
            service.service.end(lobby.agent_id)

    service.on_request = ends
    assert [each.agent.agent_id for each in surveyed(service)] == [yard.agent_id]


@pytest.mark.parametrize("call", ["query", "turns"])
def test_a_refused_credential_ends_it(service: Virtual, call: str) -> None:
    service.service.set_script([{"on": call, "count": 0, "fate": "refuse", "status": 401}])
    with pytest.raises(AuthenticationFailed):
        surveyed(service)


def test_an_agent_that_cannot_be_asked_for_ends_it(service: Virtual) -> None:
    service.service.set_script([{"on": "query", "count": 0, "fate": "refuse", "status": 500}])
    with pytest.raises(ServiceError):
        surveyed(service)


def test_where_nothing_runs_there_is_nothing() -> None:
    assert surveyed(Virtual()) == []
