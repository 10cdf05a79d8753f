"""The messages of a controller about one fleet: changes as they happen, and every other condition once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.apply.events import Finished, Notice, Progress, Result, Started
from reconciler.cli.output import Output
from reconciler.cli.progress import log_watcher
from reconciler.cli.shown_errors import show_error
from reconciler.controller.loop import FilesRead, LeadChanged, TurnEnded, Woken
from reconciler.controller.turn import AgentEnd, Turned, TurnResult
from reconciler.diagnostics import plural
from reconciler.errors import InvalidConfig, ServiceError
from reconciler.model.address import Address, Owner
from reconciler.plan.change import Because, Hold
from reconciler.report.escape import visible


class StandingLog:
    """The log of one fleet. A condition that lasts over several turns is printed when it begins and when it ends."""

    def __init__(self, output: Output, owner: Owner) -> None:
        self._output = output
        self._owner = owner
        self._events = log_watcher(output)
        self._held: dict[Address, str] = {}
        self._trouble = ""

    def begin(self) -> None:
        """Put fleet and environment into the log records that follow."""
        if self._output.log is not None:
            self._output.log.about = {"fleet": self._owner.fleet, "environment": self._owner.environment}

    def tell(self, text: str) -> None:
        """Print a message about this fleet's service."""
        self.begin()
        self._output.say(text)

    def take(self, event: Any) -> None:
        """Print what an event says."""
        self.begin()
        match event:
            case Finished(result=Result.HELD | Result.SKIPPED):
                pass  # holds are printed with the turn; what was skipped is begun in the next turn
            case Started() | Progress() | Finished() | Notice():
                self._events(event)
            case TurnEnded(turned, seconds):
                self._turn(turned, seconds)
            case FilesRead():
                self._files(event)
            case LeadChanged(leads):
                self._say(
                    "this controller leads" if leads else "another controller leads; this one stands by"
                )
            case Woken(source):
                self._say(f"woken by a {source}")
            case _:
                pass

    def _say(self, text: str, *, level: str = "info", **fields: object) -> None:
        self._output.say(f"{self._owner}: {text}", level=level, fields=fields)

    def _turn(self, turned: Turned, seconds: float) -> None:
        for each in turned.ends:
            self._end(each)
        if turned.plan is not None:
            self._holds(turned)
        problem = turned.problem
        text = problem.message if problem is not None else "; ".join(turned.refused)
        if turned.result is TurnResult.LOCKED:
            self._output.detail(f"{self._owner}: {text}")
            return
        # The messages of a service that does not answer differ between calls, so the class of the error is compared.
        trouble = type(problem).__name__ if isinstance(problem, ServiceError) else text
        if trouble and trouble != self._trouble:
            hint = f" ({problem.hint})" if problem is not None and problem.hint else ""
            self._say(
                f"turn {turned.result}: {visible(text)}{hint}",
                level="error",
                type="turn",
                result=turned.result.value,
            )
        elif self._trouble and not trouble:
            self._say("all is well again", type="turn", result=turned.result.value)
        self._trouble = trouble
        self._output.detail(f"{self._owner}: turn {turned.result} in {seconds:.2f} s")

    def _end(self, end: AgentEnd) -> None:
        address = visible(str(end.address))
        self._say(
            f"{address}: agent {end.agent_id} had ended ({end.kind})",
            type="agent_ended",
            address=str(end.address),
            agent_id=end.agent_id,
            kind=end.kind.value,
        )

    def _holds(self, turned: Turned) -> None:
        assert turned.plan is not None, "asked for a turn that has one"
        # Held by `max_unavailable`: the next turns make these changes, so nothing is printed.
        passing = {
            each.address
            for each in turned.plan.pending
            if isinstance(each, Hold) and each.reason.because is Because.MAX_UNAVAILABLE
        }
        rows = (each for each in turned.changes if each.result is Result.HELD)
        held = {each.address: each for each in rows if each.address not in passing}
        new = [row for address, row in held.items() if self._held.get(address) != row.detail]
        for row in new:
            self._events(row)
        if not (self._output.verbose or self._output.log_format):  # which print each of them
            for action in dict.fromkeys(row.action for row in new):
                self._hold([row for row in new if row.action == action])
        self._held = {address: row.detail for address, row in held.items()}

    def _hold(self, rows: Sequence[Finished]) -> None:
        """Print one line for the holds of one kind of change; the first reason stands for all."""
        first, rest = rows[0], len(rows) - 1
        others = f" and {plural(rest, 'other', 'others')}" if rest else ""
        more = "; -v names each" if rest else ""
        self._say(f"held: {first.action} of {visible(str(first.address))}{others} ({first.detail}{more})")

    def _files(self, event: FilesRead) -> None:
        if event.problem is None:
            self._say(
                f"read the files again: {plural(len(event.fleet.agents), 'agent', 'agents')}",
                type="files_read",
            )
            return
        if isinstance(event.problem, InvalidConfig):
            show_error(event.problem)
        else:
            self._say(event.problem.with_hint, level="error")
        self._say(
            "the files cannot be used; the last good ones go on, with renewals, rotations and joins only",
            level="error",
            type="files_unusable",
        )
