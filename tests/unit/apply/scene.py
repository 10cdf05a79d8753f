"""One address on a simulated service, applies to it, and a process that dies at a chosen call.

Everything runs in virtual time. What is asserted is the state and the service's own account of its agents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.apply.events import Ledger, Result
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Intent, Operation, Record
from reconciler.plan.build import Plan
from reconciler.plan.intents import failed_again
from reconciler.ports import HttpRequest
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual

# What a copy of a join that got no answer is remembered by, once its agent is known.
LATE_COPY = Operation.LATE_COPY
DESK = Address("lobby", "desk")
GRACE = Settings().grace
CERTAIN_AFTER = 2 * GRACE

__all__ = [
    "CERTAIN_AFTER",
    "DESK",
    "GRACE",
    "LATE_COPY",
    "Operation",
    "Result",
    "Scene",
    "desk",
    "failed_again",
]


class ProcessDied(BaseException):
    """The process ended at this instant; nothing in it could react."""


def desk(**changes: Any) -> DesiredFleet:
    """The fleet of one agent, `lobby/desk`."""
    return fleet(agent("lobby/desk", **changes))


class Scene(Virtual):
    """A service, a state and a clock, with one fleet of one agent on them."""

    def apply(self, wanted: DesiredFleet, **settings: Any) -> Ledger:
        """One apply by a process of its own."""
        return self.run(workflow.apply(self.job(wanted, **settings), self.provider()))

    def plan(self, wanted: DesiredFleet) -> Plan:
        return self.run(workflow.plan(self.job(wanted), self.provider()))

    def result(self, wanted: DesiredFleet, **settings: Any) -> Result:
        """What an apply says of its one change."""
        (finished,) = {each.result for each in self.apply(wanted, **settings).finished}
        return finished

    def script(self, *rules: dict[str, Any]) -> None:
        """What happens to calls from now on; without a rule, nothing."""
        self.service.set_script(list(rules))

    def dies(self, wanted: DesiredFleet, at: Callable[[HttpRequest], bool]) -> None:
        """An apply whose process dies before it sends the request that `at` accepts; its lock dies with it."""

        def die(request: HttpRequest) -> None:
            if at(request):
                raise ProcessDied

        self.on_request = die
        try:
            self.apply(wanted)
        except ProcessDied:
            pass
        else:
            raise AssertionError("the process was to die and lived")
        finally:
            self.on_request = None
        self.state.release()

    def dies_before(self, verb: str, wanted: DesiredFleet) -> None:
        """The process dies before its first call of a verb."""
        self.dies(wanted, lambda request: _is(request, verb))

    def dies_after(self, verb: str, wanted: DesiredFleet) -> None:
        """The process dies when its first call of a verb has been executed, before it knows."""
        sent: list[HttpRequest] = []

        def next_call(request: HttpRequest) -> bool:
            if sent:
                return True
            if _is(request, verb):
                sent.append(request)
                # The answer never comes: the process dies at whatever it does next.
                self.script({"on": verb, "fate": "lose_response"})
            return False

        self.dies(wanted, next_call)
        self.script()

    def record(self) -> Record | None:
        """The record of the desk."""
        return self.state.read().records.get(DESK)

    def intents(self) -> dict[Operation, Intent]:
        """The open intents by their operation; there is at most one of each here."""
        return {each.operation: each for each in self.state.read().intents}

    def running(self) -> Any:
        """The one agent that runs, by the service's own account."""
        (found,) = self.live()
        return found

    def prompt(self) -> str:
        return str(self.running().properties["llm"]["system_messages"][0]["content"])


def _is(request: HttpRequest, verb: str) -> bool:
    return request.method == "POST" and request.url.rsplit("/", 1)[-1] == verb
