"""kill -9 at random instants of the real command line, with the real state file, against a service on a socket.

Every cycle edits the fleet, starts `reconciler apply` and kills it after a random time; then it is left alone, twice,
and must have come home: no agent twice, none forgotten, the state readable, nothing left to do.

    python -m tests.real.kill9 --cycles 1000
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.model.address import AgentName
from reconciler.model.record import Operation, State
from reconciler.simulator import Agent, Credentials, Simulator, run_in_thread
from reconciler.state.local import LocalStore
from tests.fakes.worlds import overlaps

ROOT = Path(__file__).parents[2]
APP = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
COMMAND = (sys.executable, "-c", "import sys; from reconciler.cli.main import main; sys.exit(main())")
# Requests of one apply; a few more, so that some runs get to their end.
_LONGEST = 60
SWITCHES = {"quota": 100, "start_seconds": 0.02, "stop_seconds": 0.02, "latency_seconds": 0.01}
FLEET = """\
fleet: kill-nine
service: {kind: agora}
limits: {hang_ups: 100%, leave: 100%}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
"""


@dataclass(slots=True)
class Result:
    """What came of it."""

    cycles: int = 0
    killed: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def run(cycles: int, *, seed: int = 0) -> Result:
    """So many cycles on one fleet."""
    chance, result = random.Random(seed), Result()
    simulator = Simulator(credentials=Credentials(APP, CERTIFICATE, "customer", "secret"))
    simulator.set_switches(SWITCHES)
    with tempfile.TemporaryDirectory() as place, run_in_thread(simulator) as url:
        directory = Path(place)
        environment = environment_of(url)
        (directory / "fleet.yaml").write_text(FLEET)
        (directory / "agents").mkdir()
        for cycle in range(cycles):
            (directory / "agents" / "all.yaml").write_text(agents_of(chance))
            result.cycles += 1
            result.killed += _killed(simulator, directory, environment, chance)
            problem = _comes_home(simulator, directory, environment, result)
            if problem is not None:
                result.problems.append(f"cycle {cycle}: {problem}")
    return result


def environment_of(url: str) -> dict[str, str]:
    """The environment of a command that talks to this service."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGORA_")},
        "PYTHONPATH": str(ROOT),
        "AGORA_APP_ID": APP,
        "AGORA_APP_CERTIFICATE": CERTIFICATE,
        "AGORA_CUSTOMER_ID": "customer",
        "AGORA_CUSTOMER_SECRET": "secret",
        "AGORA_AGENTS_API_BASE_URL": url,
        "TTS_KEY": "k",
        "LLM_KEY": "k",
    }


def agents_of(chance: random.Random) -> str:
    """Some agents in three channels, with in-place and join-only values that differ from cycle to cycle."""
    lines = ["channels:"]
    for channel in ("lobby", "desk", "bar"):
        names = [name for name in ("one", "two", "three") if chance.random() < 0.8] or ["one"]
        lines += [f"  - channel: {channel}", "    agents:"]
        for name in names:
            prompt, language = chance.randrange(3), chance.choice(("en-US", "de-DE"))
            lines += [
                f"      - name: {name}",
                "        properties:",
                f"          asr: {{vendor: ares, language: {language}}}",
                "          llm:",
                "            url: https://llm.example.com/v1/chat/completions",
                "            api_key: ref+env://LLM_KEY",
                f"            system_messages: [{{role: system, content: 'prompt {prompt}'}}]",
            ]
    return "\n".join(lines) + "\n"


def _killed(
    simulator: Simulator, directory: Path, environment: dict[str, str], chance: random.Random
) -> bool:
    """Start an apply and kill it some instant after its so-manieth request; False when it had ended by then.

    Counting requests and not seconds, so that a slow machine is killed at the same places as a fast one.
    """
    until = sum(simulator.tally().values()) + chance.randrange(_LONGEST)
    after = chance.uniform(0.0, 0.02)
    process = _start(directory, environment)
    while process.poll() is None and sum(simulator.tally().values()) < until:
        time.sleep(0.001)
    time.sleep(after)
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return was_running


def _start(directory: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    # This service executes what reaches it at once: whatever it is told later than that comes from nobody.
    command = [
        *COMMAND,
        "apply",
        str(directory),
        "--auto-approve",
        "--no-color",
        "--grace",
        "1s",
        "--wait",
        "1s",
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _comes_home(
    simulator: Simulator, directory: Path, environment: dict[str, str], result: Result
) -> str | None:
    """Two runs that nobody kills; then what is wrong, if anything."""
    try:
        store = _store(directory)
        result.resumed += bool(store.read().intents)
        store.close()
    except Exception as problem:
        return f"the state cannot be read: {problem}"
    code, told = _finished(directory, environment)
    if code != 0:
        code, told = _finished(directory, environment)
    if code != 0:
        return f"exit {code}: {told[-800:]}"
    time.sleep(0.03)  # what was told to stop has stopped
    store = _store(directory)
    try:
        return difference(simulator, store.read())
    finally:
        store.close()


def _finished(directory: Path, environment: dict[str, str]) -> tuple[int, str]:
    """An apply that is left alone: its exit code, and what it said."""
    process = _start(directory, environment)
    told, _ = process.communicate(timeout=120)
    return process.returncode, told


def _store(directory: Path) -> LocalStore:
    """The state that the command line keeps beside the fleet."""
    found = sorted((directory / ".reconciler").glob("*.state"))
    return LocalStore(found[0] if found else directory / ".reconciler" / "none.state")


def difference(simulator: Simulator, state: State) -> str | None:
    """What a state and the service do not agree on, or who lives twice; None where all is well."""
    live: tuple[Agent, ...] = simulator.world.live()
    slots = Counter(name.address_digest for each in live if (name := AgentName.parse(each.name)) is not None)
    twice = [slot for slot, count in slots.items() if count > 1]
    forgotten = {each.agent_id for each in live} - {each.agent_id for each in state.records.values()}
    missing = {each.agent_id for each in state.records.values()} - {each.agent_id for each in live}
    # What was sent twice is remembered for a while after it has come home.
    unsettled = [each.key for each in state.intents if each.operation is not Operation.LATE_COPY]
    if twice or forgotten or missing or unsettled:
        return f"twice {twice}, forgotten {forgotten}, missing {missing}, open intents {unsettled}"
    found = [each for each in overlaps(simulator.world) if each.since > 0]
    return f"two lived under one uid: {found[0]}" if found else None


def main() -> int:
    """Run and report; 0 when nothing was lost, doubled or torn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=25)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    result = run(arguments.cycles, seed=arguments.seed)
    print(
        f"{result.cycles} cycles, {result.killed} killed, {result.resumed} with open intents (seed {arguments.seed})"
    )
    print("\n".join(result.problems) or "nothing lost, nothing doubled, nothing torn")
    return 1 if result.problems or not result.killed else 0


if __name__ == "__main__":
    sys.exit(main())
