"""The weather of one seed: which fates befall calls, and how often. Rates differ from seed to seed (VOPR style).

Only what an honest but troubled service does is here. A service that lies about an agent (404 for one that runs) can
make any client start a second one; such lies are directed cases (`rows.py`), with what can be asked of us then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

from reconciler.simulator import Fate, ServiceCall, fate
from reconciler.simulator.faults import MALFORMED_FORMS, RETRY_AFTER_FORMS

Maker = Callable[[random.Random], Fate]

# The longest time between our giving up on a call and its execution: what `Settings.grace` is for.
LATEST = 300.0


def _refusal(*statuses: int, executed: bool | None = False) -> Maker:
    def make(chance: random.Random) -> Fate:
        ran = chance.random() < 0.5 if executed is None else executed
        return fate("refuse", status=chance.choice(statuses), executed=ran)

    return make


def _malformed(chance: random.Random) -> Fate:
    return fate("malformed", form=chance.choice(MALFORMED_FORMS), executed=chance.random() < 0.6)


def _rate_limit(chance: random.Random) -> Fate:
    form = chance.choice(RETRY_AFTER_FORMS)
    return fate("rate_limit", retry_after=form, seconds=float(chance.choice((0, 1, 7, 60))))


def _plain(kind: str) -> Maker:
    made = fate(kind)
    return lambda _chance: made


# --- what can happen to any call
_ANYTHING: dict[str, Maker] = {
    "request_lost": _plain("drop_request"),
    "response_lost": _plain("lose_response"),
    "5xx": _refusal(500, 502, 503, 504, executed=None),
    "unreachable": _plain("unreachable"),
    "reset": lambda chance: fate("reset", executed=chance.random() < 0.5),
    "slow": lambda chance: fate("slow", seconds=chance.choice((0.5, 5.0, 40.0))),
    "drip": _plain("drip"),
    "cut": _plain("cut"),
    "malformed": _malformed,
    "no_content": lambda chance: fate("no_content", executed=chance.random() < 0.5),
    "redirect": lambda chance: fate(
        "redirect", status=chance.choice((301, 302, 307)), executed=chance.random() < 0.3
    ),
    "429": _rate_limit,
    "refused": _refusal(400, 401, 403),
}
# --- and to one operation
_JOIN: dict[str, Maker] = {
    "late": lambda chance: fate("late", seconds=chance.uniform(0.0, LATEST)),
    "twice": lambda chance: fate("twice", answer=chance.choice(("first", "second"))),
    "quota": _refusal(422),
    "conflict_without_holder": _refusal(409),
    "dies_at_once": lambda chance: fate("doom", seconds=chance.choice((0.0, 0.5, 20.0))),
}
_LEAVE: dict[str, Maker] = {
    "late": lambda chance: fate("late", seconds=chance.uniform(0.0, LATEST)),
    "twice": _plain("twice"),
}
# An update that is executed after a newer one cannot be told from outside (the service returns no configuration):
# here it comes before its sender has given up on it.
_UPDATE: dict[str, Maker] = {
    "late": lambda chance: fate("late", seconds=chance.uniform(0.0, 25.0)),
    "twice": _plain("twice"),
}
_LIST: dict[str, Maker] = {
    "short": lambda chance: fate("list_defect", defect="short"),
    "wrong_total": lambda chance: fate("list_defect", defect="wrong_total"),
    "cursor_loop": lambda chance: fate("list_defect", defect="cursor_loop"),
    "duplicates": lambda chance: fate("list_defect", defect="duplicates"),
    "data_null": lambda chance: fate("list_defect", defect="data_null"),
    "no_meta": lambda chance: fate("list_defect", defect="no_meta"),
}
KINDS: dict[ServiceCall, dict[str, Maker]] = {
    ServiceCall.JOIN: _ANYTHING | _JOIN,
    ServiceCall.LEAVE: _ANYTHING | _LEAVE,
    ServiceCall.UPDATE: _ANYTHING | _UPDATE,
    ServiceCall.QUERY: _ANYTHING,
    ServiceCall.LIST: _ANYTHING | _LIST,
}


@dataclass(slots=True)
class Weather:
    """How likely each fate is for each operation; calm when `rates` is empty."""

    rates: dict[ServiceCall, tuple[float, list[str], list[float]]] = field(default_factory=dict)

    def fate(self, operation: ServiceCall, chance: random.Random) -> tuple[str, Fate] | None:
        """What befalls a call, or None when nothing does."""
        rate = self.rates.get(operation)
        if rate is None or chance.random() >= rate[0]:
            return None
        [name] = chance.choices(rate[1], cum_weights=rate[2])
        return name, KINDS[operation][name](chance)


def random_weather(chance: random.Random, worst: float) -> Weather:
    """Rates for one seed: up to `worst` for each operation, shared by a random choice of kinds."""
    rates: dict[ServiceCall, tuple[float, list[str], list[float]]] = {}
    for operation, kinds in KINDS.items():
        names = [name for name in kinds if chance.random() < 0.5]
        if names:
            weights = [chance.random() ** 2 + 0.05 for _ in names]
            rates[operation] = (chance.random() * worst, names, list(accumulate(weights)))
    return Weather(rates)
