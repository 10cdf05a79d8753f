"""`reconciler watch` as processes, against a served simulator: two controllers, a person, and what happens to them."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.examples.harness import SERVICE, VENDORS, control, environment, served
from tests.real.git_server import GitHost, serving

FLEET = """\
fleet: night-desk
service: {kind: agora}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    asr: {vendor: ares, language: en-US}
    tts: {vendor: microsoft, params: {key: ref+env://AZURE_TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
    llm: {url: "https://api.openai.com/v1/chat/completions", api_key: ref+env://OPENAI_API_KEY, params: {model: m}}
channels:
  - {channel: lobby, agents: [{name: desk}, {name: door}, {name: bell}]}
"""
# A busy machine is slow; what is waited for comes within two seconds on an idle one.
PATIENCE = 60.0


class Place:
    """A fleet's directory, a served simulator, and the processes that work on both."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.url = directory, url
        self.environment = environment(**SERVICE, **VENDORS, AGORA_AGENTS_API_BASE_URL=url)
        self.processes: list[subprocess.Popen[str]] = []
        (directory / "fleet.yaml").write_text(FLEET, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "reconciler", *words]

    def watch(self, *options: str) -> subprocess.Popen[str]:
        command = self.command("watch", str(self.directory), "--interval", "1s", *options)
        with (self.directory.parent / f"log-{len(self.processes)}").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, text=True)
        self.processes.append(process)
        return process

    def log(self, number: int = 0) -> str:
        return (self.directory.parent / f"log-{number}").read_text(encoding="utf-8")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, check=False
        )

    def metrics(self) -> str:
        """What the first controller shows to Prometheus."""
        (address,) = re.findall(r"health and metrics at (\S+)", self.log())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as reply:
            return str(reply.read().decode())

    def live(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = control(self.url, "world?live=1")["agents"]
        return found

    def names(self) -> list[str]:
        return sorted(each["name"].split(".")[2] for each in self.live())

    def all_stand(self) -> bool:
        return self.names() == ["lobby-bell", "lobby-desk", "lobby-door"]

    def end_one(self) -> str:
        agent_id: str = self.live()[0]["agent_id"]
        control(self.url, f"agents/{agent_id}", {"end": "RTC connection error"})
        return agent_id


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    directory = tmp_path / "fleet"
    directory.mkdir()
    with served() as url, ended(Place(directory, url)) as found:
        yield found


@contextmanager
def ended(place: Place) -> Iterator[Place]:
    try:
        yield place
    finally:
        for each in place.processes:
            each.kill()
            each.wait()


def test_a_controller_heals_goes_on_without_its_files_and_ends_by_a_signal(place: Place) -> None:
    watch = place.watch("--listen", "0")
    until(place.all_stand, "the first turn joins all")
    gone = place.end_one()
    until(lambda: place.all_stand() and gone not in str(place.live()), "what has ended is joined again")
    until(lambda: 'reconciler_gone_total{class="never_started"' in place.metrics(), "and counted")
    names = {each.name for each in text_string_to_metric_families(place.metrics())}
    assert {"reconciler_agents", "reconciler_revision", "reconciler_service_requests"} <= {
        each.removesuffix("_info") for each in names
    }
    if promtool := shutil.which("promtool"):
        text = place.metrics().encode()
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    ids = sorted(each["agent_id"] for each in place.live())
    (place.directory / "fleet.yaml").write_text("fleet: [", encoding="utf-8")
    until(lambda: "the last good ones go on" in place.log(), "a file that does not load is told of")
    gone = place.end_one()
    until(lambda: place.all_stand() and gone not in str(place.live()), "and heals go on")
    kept = sorted(each["agent_id"] for each in place.live())
    assert len(set(ids) & set(kept)) == 2
    (place.directory / "fleet.yaml").write_text(FLEET.replace("name: bell", "name: gong"), encoding="utf-8")
    until(lambda: "lobby-gong" in place.names(), "files that load again are read")
    assert len(place.live()) == 4, "a leave is no kind that is allowed"
    watch.send_signal(signal.SIGTERM)
    assert watch.wait(PATIENCE) == 0
    assert len(place.live()) == 4
    assert "stopped; the agents run on" in place.log()


def test_who_stands_by_takes_over_from_a_leader_that_is_killed_and_a_person_comes_first(place: Place) -> None:
    leader = place.watch()
    until(place.all_stand, "the first turn joins all")
    place.watch()
    until(lambda: "this one stands by" in place.log(1), "the second one stands by")
    place.end_one()
    done = place.run("apply", str(place.directory), "--auto-approve", "--lock-timeout", "20s")
    assert done.returncode == 0, done.stdout + done.stderr
    until(place.all_stand, "the two of them and a person make no double")
    leader.kill()
    leader.wait()
    place.end_one()
    until(lambda: "this controller leads" in place.log(1), "the other one leads")
    until(place.all_stand, "and heals")


def git(directory: Path, *words: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *words], cwd=directory, capture_output=True, check=True)


@contextmanager
def in_git(place: Place) -> Iterator[tuple[Path, GitHost]]:
    """The fleet in a repository whose remote is served; a clone of its author, and the host."""
    root = place.directory.parent
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(root / "remote.git", "config", "http.receivepack", "true")
    with serving(root) as host:
        git(place.directory, "init", "--quiet", "--initial-branch=main")
        git(place.directory, "remote", "add", "origin", f"{host.url}/remote.git")
        git(place.directory, "add", "fleet.yaml")
        git(place.directory, "commit", "--quiet", "--message", "the fleet")
        git(place.directory, "push", "--quiet", "origin", "main")
        git(root, "clone", "--quiet", "remote.git", "author")
        yield root / "author", host


def test_a_merge_is_the_approval_a_rewritten_branch_is_none_and_a_silent_host_holds_nothing_up(
    place: Place,
) -> None:
    (place.directory / "fleet.yaml").write_text(f"{FLEET}limits: {{hang_ups: 100%}}\n", encoding="utf-8")
    with in_git(place) as (author, host):
        watch = place.watch("--git", "origin/main", "--allow-kinds", "all")
        until(place.all_stand, "the first turn joins all")
        text = (author / "fleet.yaml").read_text(encoding="utf-8")
        (author / "fleet.yaml").write_text(text.replace("bell", "gong"), encoding="utf-8")
        git(author, "commit", "--quiet", "--all", "--message", "a gong")
        git(author, "push", "--quiet")
        until(lambda: place.names() == ["lobby-desk", "lobby-door", "lobby-gong"], "a merge is applied")
        (author / "fleet.yaml").write_text(text.replace("bell", "horn"), encoding="utf-8")
        git(author, "commit", "--quiet", "--all", "--amend", "--message", "a horn")
        git(author, "push", "--quiet", "--force")
        until(lambda: "origin/main was rewritten" in place.log(), "a rewritten branch is refused")
        host.is_silent.set()
        gone = place.end_one()
        until(lambda: len(place.live()) == 3 and gone not in str(place.live()), "heals go on meanwhile")
        assert place.names() == ["lobby-desk", "lobby-door", "lobby-gong"]
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(PATIENCE) == 0


def test_who_is_told_to_stop_waits_for_no_git_host(place: Place) -> None:
    with in_git(place) as (_, host):
        watch = place.watch("--state", "git:origin")
        until(place.all_stand, "the first turn joins all")
        host.is_silent.set()
        seen = host.requests
        until(lambda: host.requests > seen, "something waits for the host")
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(PATIENCE) == 0
        assert len(place.live()) == 3


def test_who_waits_for_a_state_in_git_is_let_in_in_the_middle_of_a_turn(place: Place) -> None:
    desks = ", ".join(f"{{name: desk-{number}}}" for number in range(18))
    text = FLEET.replace("{name: desk}, {name: door}, {name: bell}", desks)
    (place.directory / "fleet.yaml").write_text(text, encoding="utf-8")
    with in_git(place) as (author, _):
        place.watch("--state", "git:origin", "--rate", "0.5", "--parallelism", "1")
        until(lambda: len(place.live()) >= 1, "a long turn has begun")
        done = place.run("apply", str(author), "--state", "git:origin", "--auto-approve")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(place.live()) == 18
        # A turn goes on for half a minute, a call every other second: it was not waited for.
        assert place.log().count(": joined (agent") < 15


def test_a_turn_for_a_scheduler_of_ones_own(place: Place) -> None:
    done = place.run("turn", str(place.directory), "--json")
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert (told["result"], [each["action"] for each in told["changes"]]) == ("done", ["join"] * 3)
    done = place.run("turn", str(place.directory), "--json")
    told = orjson.loads(done.stdout)
    assert (done.returncode, told["result"], told["changes"], told["due"]["why"]) == (
        0,
        "unchanged",
        [],
        "token",
    )
