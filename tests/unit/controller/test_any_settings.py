"""A controller under any kinds, limits, freezes and edits: no address is left down, or with two agents, by its own doing."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.fleet import DesiredFleet, Freeze, Limit, Limits
from reconciler.model.spec import HOUR, AgentSpec, Lifecycle, ReplaceOrder
from reconciler.plan.change import Action
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.unit.controller.test_standing import World

KINDS = [each for each in Action if each not in (Action.HOLD, Action.NONE)]
KEEP_ALIVE = frozenset({Action.RENEW, Action.JOIN})
# Beyond the longest time that an agent needs to stop and another one to start, seconds.
LONGEST = 260.0


class Chance(random.Random):
    """The fleet and the settings of one controller, by chance."""

    def limit(self) -> Limit | None:
        return self.choice(
            [None, Limit(number=self.choice([0, 1, 2])), Limit(percent=self.choice([10, 30, 100]))]
        )

    def limits(self, agents: int) -> Limits:
        return replace(
            UNLIMITED,
            join=self.limit(),
            replace=self.limit(),
            leave=self.limit() or UNLIMITED.leave,
            hang_ups=self.limit() or UNLIMITED.hang_ups,
            max_unavailable=self.limit() or UNLIMITED.max_unavailable,
            quota=self.choice([None, agents, 1, 20]),
        )

    def kinds(self) -> frozenset[Action] | None:
        some = frozenset({Action.RENEW, *(each for each in KINDS if self.random() < 0.5)})
        return None if self.random() < 0.3 else some

    def freezes(self, now: float) -> tuple[Freeze, ...]:
        kinds = frozenset(each.value for each in KINDS if each is not Action.RENEW and self.random() < 0.5)
        until = now + self.choice([0.2, 3, 50]) * HOUR
        freeze = Freeze(until, "a busy day", (self.choice(["*", "room0/*"]),), kinds)
        return (freeze,) if self.random() < 0.5 else ()

    def agents(self) -> list[tuple[AgentSpec, AgentSpec]]:
        """Some agents, each as it is at first and as it is edited later."""
        count = self.randint(1, 4)
        uids = [str(100 + number) for number in range(count)]
        return [
            self._agent(number, uids[number], uids[number - 2 if count == 4 else number])
            for number in range(count)
        ]

    def _agent(self, number: int, uid: str, other: str) -> tuple[AgentSpec, AgentSpec]:
        order, protect = self.choice(list(ReplaceOrder)), self.choice([None, None, True])
        life = Lifecycle(rotate_after=48 * HOUR, rotate_spread=0.0, replace=order, protect=protect)
        before: dict[str, Any] = self.choice([{}, {"agent_rtc_uid": uid}])
        after = {**before, **self.choice([{}, {"asr": {"language": "de-DE"}}])}
        if before and other != uid:
            after["agent_rtc_uid"] = other  # the two agents of its channel exchange their uids
        where = f"room{number % 2}/a{number}"
        return agent(where, lifecycle=life, **before), agent(where, lifecycle=life, **after)


def begun(world: World, chance: Chance) -> DesiredFleet:
    """Let the first fleet run for a time, and return the fleet of the later files."""
    agents = chance.agents()
    world.service.set_switches(
        stop_seconds=chance.choice([0.2, 5, 40]),
        start_seconds=chance.choice([0.3, 3, 8]),
        token_expiry="ignored",
    )
    world.stand(60, fleet(*(first for first, _ in agents)))
    world.now += chance.choice([0, 1, 47.9, 60]) * HOUR
    later = fleet(*(second for _, second in agents), limits=chance.limits(len(agents)))
    return replace(later, freezes=chance.freezes(world.now))


@pytest.mark.parametrize("seed", range(20))
def test_every_address_has_its_one_agent(seed: int) -> None:
    world, chance = World(), Chance(seed)
    wanted = begun(world, chance)
    before, away, longest = world.addresses(), {}, 0.0

    def look(_: object) -> None:
        nonlocal longest
        for address in before:
            if world.addresses().get(address) == 1:
                away.pop(address, None)
            else:
                longest = max(longest, world.now - away.setdefault(address, world.now))

    world.on_request = look
    only, interval = chance.kinds(), chance.choice([5.0, 30.0])
    for _ in range(2):  # the second controller finds what the first has left
        world.stand(1200, wanted, only=only, interval=interval)
    assert world.addresses() == before
    assert longest < LONGEST
