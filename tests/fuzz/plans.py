"""Target `plan`: a saved plan that somebody has changed does what was approved, or nothing."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from reconciler import workflow
from reconciler.errors import Refused, StalePlan, UsageError
from reconciler.model.address import Owner
from reconciler.model.fingerprint import canonical, digest
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.planfile import load, save
from reconciler.plan.selection import Selection
from reconciler.simulator import Simulator, Store
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual
from tests.hostile.test_plan_files import apply

from .command import WORLD, Desk
from .mutate import bytes_mutant, json_bytes, json_odd, tree_mutant
from .target import Outcome, reason
from .worlds import interrupted, shared_with

_WORDS = (
    "format fleet environment digest files selection policy rows check targets excludes replaces allow allow_hosts "
    "only prune_unrecorded action address leave join quota"
).split()
# Of the plans that can be read, so many are also tried from the command line.
_COMMANDED = 0.1

World = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Situation:
    """What runs, what is wanted, and how the plan was made; `dies` ends its apply before that mutating call."""

    before: DesiredFleet
    wanted: DesiredFleet
    selection: Selection = Selection()
    policy: Policy = Policy()
    dies: int = 0

    def started(self) -> Virtual:
        """A world in which `before` runs, with an agent of somebody else, and one of ours that no file declares."""
        virtual = Virtual()
        shared_with(virtual, fleet(agent("lobby/theirs"), owner=Owner("other")), fleet(agent("bar/orphan")))
        virtual.run(workflow.apply(virtual.job(self.before, policy=_LENIENT), virtual.provider()))
        virtual.sent.clear()
        if self.dies:
            interrupted(virtual, self.dies, lambda: apply(virtual, self.wanted, load(self.saved())))
        return virtual

    def saved(self) -> bytes:
        virtual = replace(self, dies=0).started()
        job = virtual.job(self.wanted, selection=self.selection, policy=self.policy)
        return save(virtual.run(workflow.plan(job, virtual.provider())), self.selection, self.policy)


_LENIENT = Policy({"join": 99.0}, allow_beside=("*",))
_WHOLE = UNLIMITED
_ONE, _WAITER = agent("lobby/greeter"), agent("bar/waiter")
_ELSEWHERE = agent("lobby/greeter", llm={"url": "https://other.example/v1"})
_BEFORE = fleet(_ONE, _WAITER)
_AFTER = agent("lobby/greeter", idle_timeout=5), agent("spa/host")
SITUATIONS = (
    Situation(fleet(_ONE), fleet(_ONE, _WAITER, limits=replace(_WHOLE, quota=9))),
    Situation(_BEFORE, fleet(*_AFTER, limits=_WHOLE)),
    Situation(_BEFORE, fleet(*_AFTER, limits=_WHOLE), dies=3),
    Situation(_BEFORE, fleet(*_AFTER), Selection(excludes=("bar/*",), replaces=("lobby/*",))),
    Situation(fleet(_ONE), fleet(*_AFTER, limits=Limits(join=Limit(number=0), quota=1))),
    Situation(fleet(_ONE), fleet(*_AFTER), policy=Policy(only=frozenset({Action.JOIN}))),
    Situation(_BEFORE, fleet(_ELSEWHERE)),
)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan file for a situation; `commanded` is one for the desk, to be given to the command line."""

    situation: int
    data: bytes
    commanded: bool = False


class PlanFiles:
    """Changed plans: read, and applied where they can be read."""

    share = 2_000

    def __init__(self, home: Path) -> None:
        self._desk = Desk(home)
        self._saved = [each.saved() for each in SITUATIONS]
        self._planned = [self._done_in_full(number) for number in range(len(SITUATIONS))]
        with self._desk.fresh():
            self._untouched = _agents()
            self._desk.run(["apply", "demo", "--plan", "saved.plan"], code=0)
            self._done = _agents()

    def make(self, chance: random.Random) -> PlanFile:
        situation, commanded = chance.randrange(len(SITUATIONS)), chance.random() < _COMMANDED
        data = self._desk.plan if commanded else self._saved[situation]
        if chance.random() < 0.2:
            return PlanFile(situation, bytes_mutant(data, chance), commanded)
        tree = orjson.loads(data)
        if chance.random() < 0.7:
            tree = _edited(tree, chance)
        else:
            tree = tree_mutant(tree, chance, keys=_WORDS, odd=json_odd)
        if chance.random() < 0.8:
            tree = _resealed(tree)
        return PlanFile(situation, json_bytes(tree, chance), commanded)

    def check(self, made: PlanFile) -> Outcome:
        if made.commanded:
            return self._command(made.data)
        try:
            load(made.data)
        except UsageError as problem:
            return Outcome((reason(problem),), deep=False)
        virtual, refusal = SITUATIONS[made.situation].started(), ""
        untouched = _world(virtual)
        try:
            apply(virtual, SITUATIONS[made.situation].wanted, load(made.data))
        except (StalePlan, UsageError, Refused) as problem:
            refusal = reason(problem)
        done, whole = (_world(virtual), virtual.sent), self._planned[made.situation]
        assert done in ((untouched, {}), whole), "neither all that was planned, nor nothing"
        assert not refusal or not virtual.sent, "refused, and done all the same"
        return Outcome((refusal,) if refusal else ())

    def _done_in_full(self, number: int) -> tuple[World, dict[str, int]]:
        """The world, and the calls that made it, when the plan is carried out; of one that a limit refuses, none."""
        situation = SITUATIONS[number]
        virtual = situation.started()
        with suppress(Refused):
            apply(virtual, situation.wanted, load(self._saved[number]))
        return _world(virtual), virtual.sent

    def _command(self, data: bytes) -> Outcome:
        with self._desk.fresh():
            Path("changed.plan").write_bytes(data)
            answer = self._desk.run(["apply", "demo", "--plan", "changed.plan"])
            assert _agents() == (self._untouched if answer.code else self._done), answer
        return Outcome((f"exit code {answer.code}",) if answer.code else (), deep=answer.code != 1)


def _world(virtual: Virtual) -> World:
    return sorted(
        (each.name, each.agent_id, each.channel, each.uid, canonical(each.properties))
        for each in virtual.live()
    )


def _agents() -> list[str]:
    """The names of the agents that run in the desk's world."""
    simulator = Simulator(Store(Path("demo") / WORLD))
    return sorted(each.name for each in simulator.world.live())


_GLOBS: tuple[list[str], ...] = (
    [],
    ["*"],
    ["lobby/*"],
    ["bar/*", "spa/host"],
    ["[!a]*"],
    ["*" * 50 + "x"],
    [""],
)


def _edited(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """An edit that keeps the form: what somebody would change who wants more done than was approved."""
    policy, selection = tree["policy"], tree["selection"]
    for _ in range(chance.choice((1, 1, 2, 4))):
        match chance.randrange(6):
            case 0:
                name = chance.choice(("leave", "join", "replace", "quota", "usd_per_day", "x"))
                policy["allow"] = {**policy.get("allow", {}), name: chance.choice((0.0, 99.0, 1e300, -1.0))}
            case 1:
                policy["allow_hosts"] = chance.choice(([], ["*"], ["other.example"]))
            case 2:
                policy["only"] = chance.choice(
                    (None, [], ["join", "leave"], [chance.choice([*Action]).value])
                )
            case 3:
                policy["prune_unrecorded"] = not policy["prune_unrecorded"]
            case 4:
                selection[chance.choice(list(selection))] = chance.choice(_GLOBS)
            case _:
                address = chance.choice(("bar/waiter", "spa/host", "lobby/theirs", "x"))
                row = {"action": chance.choice([*Action]).value, "address": address}
                tree["rows"] = [*tree["rows"], row] if chance.random() < 0.5 else tree["rows"][1:]
    return tree


def _resealed(tree: Any) -> Any:
    """With the checksum that whoever edits a plan can make, too."""
    if not isinstance(tree, dict):
        return tree
    try:
        return {**tree, "check": digest({key: each for key, each in tree.items() if key != "check"}, size=16)}
    except (TypeError, RecursionError):  # numbers that are no JSON, or too deep
        return tree
