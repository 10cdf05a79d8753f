"""The real port: what an outage is on a socket, that it is loopback, and that it starts and stops cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.simulator import Simulator, run_in_thread, serve

from .harness import APP_ID, BASES, basic, join_body

JOIN = f"{BASES['global']}/v2/projects/{APP_ID}/join"
LIST = f"{BASES['global']}/v2/projects/{APP_ID}/agents"
HEADERS = {"Authorization": basic()}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator()
    with run_in_thread(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(running: tuple[Simulator, str]) -> Simulator:
    running[0].reset()
    return running[0]


@pytest.fixture
def client(running: tuple[Simulator, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running[1], headers=HEADERS, timeout=5, trust_env=False) as client:
        yield client


def scripted(simulator: Simulator, fate: str, **parameters: Any) -> None:
    simulator.set_script([{"fate": fate, **parameters}])


def test_requests_and_control_over_one_connection(simulator: Simulator, client: httpx.Client) -> None:
    joined = client.post(JOIN, json=join_body())
    assert joined.status_code == 200
    assert joined.headers["content-type"] == "application/json"
    assert len([name for name, _ in joined.headers.multi_items() if name == "date"]) == 1
    agent = simulator.world.agent(joined.json()["agent_id"])
    left = client.post(f"{LIST}/{agent.agent_id}/leave")
    assert (left.status_code, left.content) == (200, b"")
    assert client.get("/simulator/log").json()["operations"] == {"join": 1, "leave": 1}
    assert client.get(LIST, params={"state": "0,1,2,3"}).json()["meta"]["total"] == 1
    assert client.get("/nowhere").status_code == 404
    assert joined.extensions["network_stream"].get_extra_info("client_addr")[0] == "127.0.0.1"


def test_connections_are_kept_alive(simulator: Simulator, client: httpx.Client) -> None:
    streams = {client.get(LIST).extensions["network_stream"].get_extra_info("client_addr") for _ in range(3)}
    assert len(streams) == 1
    assert simulator.tally() == {"list": 3}


def test_answers_do_not_wait_for_acknowledgements(client: httpx.Client) -> None:
    client.get(LIST)
    started = time.monotonic()
    for _ in range(20):
        client.get(LIST)
    assert time.monotonic() - started < 20 * 0.04


def test_a_lost_response_is_silence(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "lose_response")
    with pytest.raises(httpx.ReadTimeout):
        client.post(JOIN, json=join_body(), timeout=0.2)
    assert len(simulator.world.agents()) == 1


def test_a_dropped_request_is_silence_too(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "drop_request")
    with pytest.raises(httpx.ReadTimeout):
        client.post(JOIN, json=join_body(), timeout=0.2)
    assert simulator.world.agents() == ()


@pytest.mark.parametrize("fate", ["reset", "unreachable"])
def test_a_reset_is_a_reset(simulator: Simulator, client: httpx.Client, fate: str) -> None:
    scripted(simulator, fate)
    with pytest.raises(httpx.ReadError) as caught:
        client.post(JOIN, json=join_body())
    assert "reset" in str(caught.value).lower()
    assert client.post(JOIN, json=join_body()).status_code == 200


def test_a_slow_answer_comes_after_its_time(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "slow", seconds=0.2)
    response = client.post(JOIN, json=join_body())
    assert response.status_code == 200
    assert response.elapsed.total_seconds() >= 0.2


def test_a_drip_comes_byte_by_byte(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "drip", seconds=0.002)
    response = client.get(LIST)
    assert response.json()["meta"] == {"total": 0, "cursor": ""}
    assert response.elapsed.total_seconds() >= 0.002 * len(response.content)


def test_a_cut_body_ends_in_the_middle(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "cut")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(LIST)
    assert client.get(LIST).status_code == 200


def test_malformed_answers_pass_as_they_are(simulator: Simulator, client: httpx.Client) -> None:
    scripted(simulator, "malformed", form="html")
    assert client.get(LIST).text.startswith("<!DOCTYPE html>")
    scripted(simulator, "no_content")
    assert client.get(LIST).status_code == 204
    scripted(simulator, "redirect")
    assert client.get(LIST).headers["location"] == "https://elsewhere.invalid/"
    scripted(simulator, "oversize", size=200_000)
    assert len(client.get(LIST).content) == 200_000


def test_latency_and_requests_in_flight(simulator: Simulator, client: httpx.Client) -> None:
    simulator.set_switches(latency_seconds=0.2)
    simulator.in_flight.maximum = 0
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: client.get(LIST), range(4)))
    assert [response.status_code for response in responses] == [200] * 4
    assert simulator.in_flight.maximum == 4


def test_a_body_beyond_reason_is_refused(simulator: Simulator, client: httpx.Client) -> None:
    assert client.post(JOIN, content=b"x" * (8 * 1024 * 1024 + 1)).status_code == 413
    assert simulator.tally() == {}


def test_a_world_that_cannot_be_used_is_an_internal_error() -> None:
    simulator = Simulator()
    with run_in_thread(simulator) as url:
        simulator.close()
        for _ in range(2):
            assert httpx.get(url + LIST, headers=HEADERS, trust_env=False).status_code == 500


def test_an_answer_to_head_has_no_body(client: httpx.Client) -> None:
    assert client.head("/simulator/nowhere").content == b""
    assert client.get(LIST).status_code == 200, "the same connection goes on"


def test_what_is_no_http_is_refused(running: tuple[Simulator, str]) -> None:
    with socket.create_connection(("127.0.0.1", int(running[1].rpartition(":")[2])), timeout=5) as stranger:
        stranger.sendall(b"hello\r\n\r\n")
        assert stranger.recv(1000).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_control_refuses_web_pages(simulator: Simulator, client: httpx.Client) -> None:
    simulator.set_switches(quota=1)
    assert client.post("/simulator/reset", headers={"origin": "https://page.invalid"}).status_code == 403
    assert client.post("/simulator/reset", headers={"host": "rebound.invalid"}).status_code == 403
    assert simulator.switches.quota == 1


def test_only_loopback_is_served(running: tuple[Simulator, str]) -> None:
    port = int(running[1].rpartition(":")[2])
    for line in Path("/proc/net/tcp").read_text().splitlines() if Path("/proc/net/tcp").exists() else []:
        address = line.split()[1]
        if address.endswith(f":{port:04X}") and " 0A " in line:
            assert address.startswith("0100007F")


def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            serve(Simulator(), taken.getsockname()[1])


def test_hanging_connections_do_not_hold_up_the_end() -> None:
    simulator = Simulator()
    scripted(simulator, "drop_request")
    with run_in_thread(simulator) as url:
        hanging = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5)
        hanging.sendall(f"GET {LIST} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while simulator.in_flight.current == 0:
            time.sleep(0.01)
    with hanging, pytest.raises(ConnectionResetError):
        hanging.recv(1)


PROGRAM = """
from reconciler.simulator import Simulator, serve
serve(Simulator(), on_listening=lambda port: print(f"listening on http://127.0.0.1:{port}", flush=True))
print("bye", flush=True)
"""


def test_the_port_is_told_before_the_first_answer_and_ctrl_c_is_clean() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = child.stdout.readline().split()[-1]
    with httpx.Client(base_url=url, headers=HEADERS, trust_env=False) as client:
        assert client.get(LIST).status_code == 200
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=10)
    assert (stdout, stderr, child.returncode) == ("bye\n", "", 0)


def test_the_command_serves_a_faster_clock() -> None:
    command = [sys.executable, "-m", "reconciler", "simulator", "--speed", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("listening on ").strip()
            times = []
            for _ in range(2):
                times.append(httpx.get(f"{url}/simulator/clock").json()["now"])
                time.sleep(0.1)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(10)
    assert 10_000 < times[1] - times[0] < 3_000_000
