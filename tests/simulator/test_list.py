"""The list and its awkward defaults (v2 API reference: list)."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator import Store

from .harness import LIVE, NOON, Service

HOUR, DAY = 3600, 86400


def fleet(service: Service, count: int, spacing: float = 1.0) -> list[str]:
    """Agents started one after the other, oldest first."""
    ids = []
    for number in range(count):
        ids.append(service.join(f"agent-{number}", f"room-{number % 2}", str(number + 1)).agent_id)
        service.wait(spacing)
    return ids


@pytest.fixture(params=["memory", "sqlite"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Service:
    memory = request.param == "memory"
    store = Store(None if memory else tmp_path_factory.mktemp("world") / "world.db")
    return Service(store, quota=1000)


def test_an_empty_list(service: Service) -> None:
    assert service.list().body == {
        "data": {"count": 0, "list": []},
        "meta": {"cursor": "", "total": 0},
        "status": "ok",
    }


def test_items_tell_three_things_only(service: Service) -> None:
    agent_id = service.started()
    assert service.list().body["data"] == {
        "count": 1,
        "list": [{"start_ts": int(NOON), "status": "RUNNING", "agent_id": agent_id}],
    }


def test_by_default_only_running_agents_are_listed(crowd: Service) -> None:
    running = crowd.started("running")
    stopping = crowd.started("stopping", uid="2")
    crowd.leave(stopping)
    starting = crowd.join("starting", uid="3").agent_id
    assert crowd.list().listed == [running]
    assert crowd.list(state="1").listed == [starting]
    assert crowd.list(state="3").listed == [stopping]
    assert crowd.list(state=LIVE).listed == [starting, stopping, running]
    crowd.wait(1)
    assert crowd.list(state="4").listed == [stopping]
    assert crowd.list(state="4,6").listed == [stopping]


def test_by_default_agents_older_than_two_hours_are_unlisted(crowd: Service) -> None:
    agent_id = crowd.started()
    crowd.wait(2 * HOUR - 1)
    assert crowd.list().listed == [agent_id]
    crowd.wait(2)
    assert crowd.list().listed == []
    assert crowd.list(from_time=int(NOON) - 1).listed == [agent_id]


def test_in_china_the_default_is_one_day_and_the_end_is_seven(service: Service) -> None:
    service.area = "cn"
    service.simulator.set_switches(lifetime_seconds=30 * DAY)
    agent_id = service.started()
    service.wait(DAY - 1)
    assert service.list().listed == [agent_id]
    service.wait(2)
    assert service.list().listed == []
    assert service.list(from_time=0).listed == [agent_id]
    service.wait(6 * DAY)
    assert service.list(from_time=0).listed == []
    assert service.status(agent_id) == "RUNNING"


def test_in_china_a_single_state_is_expected(service: Service) -> None:
    service.area = "cn"
    answer = service.list(state="1,2")
    assert (answer.status, answer.reason) == (400, "InvalidRequest")
    assert service.list(state="2").status == 200


def test_the_channel_filter(crowd: Service) -> None:
    ids = fleet(crowd, 6)
    assert crowd.list(channel="room-1").listed == [ids[5], ids[3], ids[1]]
    assert crowd.list(channel="room-2").listed == []


def test_windows_of_whole_seconds_add_up(crowd: Service) -> None:
    ids = fleet(crowd, 12, spacing=0.25)
    crowd.wait(1)
    start = int(NOON)
    windows = [crowd.list(from_time=second, to_time=second).listed for second in range(start, start + 3)]
    assert [len(window) for window in windows] == [4, 4, 4]
    assert sorted(chain(*windows)) == sorted(ids)
    assert crowd.list(from_time=start + 0.5, to_time=start + 1.9).listed == windows[1]


def test_pages_of_twenty_by_default(crowd: Service) -> None:
    ids = fleet(crowd, 45)
    pages = crowd.pages()
    assert [len(page) for page in pages] == [20, 20, 5]
    assert list(chain(*pages)) == ids[::-1]
    assert crowd.list().body["meta"]["total"] == 45


def test_pages_stay_in_step_while_agents_come_and_go(crowd: Service) -> None:
    ids = fleet(crowd, 10)
    first = crowd.list(limit=4, to_time=int(crowd.time))
    crowd.leave(ids[6])  # the cursor itself goes
    crowd.join("late", "room-0", "99")
    crowd.wait(1)
    second = crowd.list(limit=4, cursor=first.body["meta"]["cursor"])
    assert first.listed + second.listed == [ids[position] for position in (9, 8, 7, 6, 5, 4, 3, 2)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=%00", "limit=99999999999",
        "state=7", "state=x", "state=2,,1", "state=%20", "state=-1", "state=02", "state=2;1",
        "from_time=x", "from_time=nan", "to_time=inf", "to_time=-inf", "cursor=nobody",
    ],
)  # fmt: skip
def test_queries_that_mean_nothing(service: Service, query: str) -> None:
    empty = query == "limit="  # an empty field counts as absent
    assert service.call("GET", "agents", query=query).status == (200 if empty else 400)


def test_the_comma_may_be_encoded_and_times_may_be_fractions(service: Service) -> None:
    agent_id = service.started()
    assert service.call("GET", "agents", query="from_time=1.0&state=0%2C1%2C2").listed == [agent_id]


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("cursor", ["exclusive", "inclusive"])
@given(count=st.integers(0, 12), limit=st.integers(1, 5), gone=st.sets(st.integers(0, 11)))
def test_every_agent_is_on_exactly_one_page(
    order: str, cursor: str, count: int, limit: int, gone: set[int]
) -> None:
    service = Service(list_order=order, list_cursor=cursor)
    ids = fleet(service, count)
    for position in gone & set(range(count)):
        service.simulator.end(ids[position])
    kept = [agent_id for position, agent_id in enumerate(ids) if position not in gone]
    pages = service.pages(limit=limit)
    assert list(chain(*pages)) == (kept if order == "oldest" else kept[::-1])
    assert all(len(page) == limit for page in pages[:-1])
    service.simulator.close()
