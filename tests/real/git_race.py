"""Four clones that apply at once, with the state in a Git ref behind `git http-backend`, and one of them killed.

Every round changes the fleet, starts the four, kills one at a random instant, loses the answer to a random push now and
then, and lets one clone go on. Then every entry of the log is there once, serials rise by one, no agent is there twice, and
the plan is empty.

    python -m tests.real.git_race --rounds 25
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.model.address import Owner
from reconciler.simulator import Credentials, Simulator, run_in_thread
from reconciler.state.log.snapshots import latest, ref_of
from tests.real.git_server import GitHost, serving
from tests.real.kill9 import APP, CERTIFICATE, COMMAND, FLEET, SWITCHES, agents_of, difference, environment_of

_CLONES = 4
_REF = ref_of(Owner("kill-nine"))
# The one that was killed, and whoever came first, second, or not at all.
_KILLED, _FINE = -9, {0, 4, 6}
# Pushes of all runs until one is killed: counted, not timed, so that a slow machine is killed at the same places.
_LONGEST = 25
_LAST_RUNS = 3


@dataclass(slots=True)
class Result:
    """What came of it."""

    rounds: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    entries: int = 0
    problems: list[str] = field(default_factory=list)


def run(rounds: int, *, seed: int = 0) -> Result:
    """So many rounds on one fleet."""
    chance, result = random.Random(seed), Result()
    simulator = Simulator(credentials=Credentials(APP, CERTIFICATE, "customer", "secret"))
    simulator.set_switches(SWITCHES)
    with (
        tempfile.TemporaryDirectory() as place,
        run_in_thread(simulator) as url,
        serving(Path(place)) as host,
    ):
        clones = _cloned(Path(place), host)
        environment = {
            **environment_of(url),
            "RECONCILER_KEY": "0123456789abcdef",
            "RECONCILER_STATE": "git:origin",
        }
        for number in range(rounds):
            agents = agents_of(chance)
            for clone in clones:
                (clone / "agents" / "all.yaml").write_text(agents)
            result.rounds += 1
            host.losing = chance.choice((0, 0, 1))
            problem = _race(clones, host, environment, chance, result) or _comes_home(
                simulator, clones[number % _CLONES], environment
            )
            if problem is not None:
                result.problems.append(f"round {number}: {problem}")
                break
            result.entries = len(_entries(clones[0]))
    return result


def _cloned(place: Path, host: GitHost) -> list[Path]:
    _git(place, "init", "--quiet", "--bare", "remote.git")
    _git(place / "remote.git", "config", "http.receivepack", "true")
    clones = []
    for number in range(_CLONES):
        clone = place / f"clone{number}"
        _git(place, "clone", "--quiet", f"{host.url}/remote.git", str(clone))
        (clone / "fleet.yaml").write_text(FLEET)
        (clone / "agents").mkdir()
        clones.append(clone)
    return clones


def _git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


def _race(
    clones: list[Path], host: GitHost, environment: dict[str, str], chance: random.Random, result: Result
) -> str | None:
    """Start one apply in each clone, and kill one of them; what is wrong with how they ended, if anything."""
    until = host.pushes + chance.randrange(1, _LONGEST)
    runs = [
        _start(clone, environment, "--lock-timeout", chance.choice(("0s", "3s", "1m"))) for clone in clones
    ]
    while host.pushes < until and any(each.poll() is None for each in runs):
        time.sleep(0.005)
    victim = chance.choice(runs)
    victim.kill()
    for each in runs:
        told, _ = each.communicate(timeout=180)
        result.codes[each.returncode] += 1
        if each.returncode not in _FINE and not (each is victim and each.returncode == _KILLED):
            return f"exit {each.returncode}: {told[-1500:]}"
    return None


def _start(clone: Path, environment: dict[str, str], *flags: str) -> subprocess.Popen[str]:
    command = [
        *COMMAND,
        "apply",
        ".",
        "--auto-approve",
        "--no-color",
        "--grace",
        "1s",
        "--wait",
        "1s",
        *flags,
    ]
    mine = {**environment, "XDG_STATE_HOME": str(clone.with_suffix(".seen"))}
    return subprocess.Popen(
        command, cwd=clone, env=mine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _comes_home(simulator: Simulator, clone: Path, environment: dict[str, str]) -> str | None:
    """One clone goes on alone until it is done; then what is wrong, if anything."""
    code, told = -1, ""
    for _ in range(_LAST_RUNS):
        process = _start(clone, environment)
        told, _ = process.communicate(timeout=180)
        code = process.returncode
        if code == 0:
            break
    if code != 0:
        return f"exit {code}: {told[-1500:]}"
    plan = [*COMMAND, "plan", ".", "--detailed-exitcode"]
    done = subprocess.run(plan, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"the plan is not empty: exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-500:]}"
    entries = _entries(clone)
    if entries != list(range(1, len(entries) + 1)):
        return f"the serials are {entries}"
    return difference(simulator, latest(clone, _REF).state)


def _entries(clone: Path) -> list[int]:
    """The serials of all entries in the history of the ref, oldest first."""
    _git(clone, "fetch", "--quiet", "origin", "+refs/reconciler/*:refs/reconciler/*")
    names = _git(clone, "log", "--reverse", "--format=%s", _REF).split()
    return [int(each.removeprefix("log/")) for each in names if each.startswith("log/")]


def main() -> int:
    """Run and report; 0 when nothing was lost, doubled or torn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    result = run(chosen.rounds, seed=chosen.seed)
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(result.codes.items()))
    sys.stdout.write(
        f"{result.rounds} rounds of {_CLONES} clones, {result.entries} entries; exit codes {codes}; "
        f"{len(result.problems)} problems\n"
    )
    for problem in result.problems:
        sys.stdout.write(f"  {problem}\n")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
