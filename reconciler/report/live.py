"""Progress of an apply in a terminal: finished changes as lines, below them the running ones with their times.

Draws on the console that it is given. rich is imported only when it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reconciler.apply.events import Event, Finished, Notice, Progress, Result, Started, change_key
from reconciler.durations import rounded
from reconciler.model.address import Address
from reconciler.plan.change import Action
from reconciler.report.actions import WORDS
from reconciler.report.escape import visible
from reconciler.report.folding import folded
from reconciler.report.progress import outcome

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

# How many running changes have a line of their own; the rest is counted.
_MOST_LINES = 8


class LiveProgress:
    """Draws events as they come; a context manager that leaves only the finished lines behind."""

    def __init__(self, console: Console, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._total = total
        self._clock = clock
        self._running: dict[Address, tuple[str, float]] = {}
        # The latest result of each change: an agent that joined and ended at once has two results and counts once.
        self._ended: dict[tuple[Address, Action, str], Finished] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            get_renderable=self.renderable, console=self._console, refresh_per_second=4, transient=True
        )
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, problem, trace)
            self._live = None

    def handle(self, event: Event) -> None:
        """Record an event; a finished change is printed above the view."""
        match event:
            case Started(address, action):
                self._running[address] = (WORDS[action].doing, self._clock())
            case Progress(address, text):
                _, since = self._running.get(address, ("", self._clock()))
                self._running[address] = (visible(text), since)
            case Finished():
                key = change_key(event)
                if self._ended.get(key) != event:
                    self._ended[key] = event
                    self._finish(event)
            case Notice(text):
                self._above(f"notice: {visible(text)}", "yellow")

    def _finish(self, event: Finished) -> None:
        started = self._running.pop(event.address, None)
        is_done = event.result not in (Result.SKIPPED, Result.HELD, Result.DEFERRED)
        seconds = self._clock() - started[1] if started and is_done else 0.0
        took = f" after {rounded(seconds)}" if seconds >= 1 else ""
        styles = {Result.DONE: "green", Result.FAILED: "bold red", Result.UNKNOWN: "bold red"}
        if event.result is Result.HELD:
            return  # the plan and the end of the apply tell the reasons, once for many agents
        self._above(
            f"{visible(str(event.address))}: {outcome(event)}{took}", styles.get(event.result, "yellow")
        )

    def _above(self, text: str, style: str) -> None:
        from rich.text import Text

        self._console.print(Text(folded(text, self._console.width), style=style), soft_wrap=True)

    def renderable(self) -> RenderableType:
        """Return the view as it is now."""
        from rich.console import Group

        now = self._clock()
        oldest = sorted(self._running.items(), key=lambda item: (item[1][1], item[0]))
        lines = [
            self._line(f"  {visible(str(address))}: {text} ({rounded(now - since)})", "")
            for address, (text, since) in oldest[:_MOST_LINES]
        ]
        if len(oldest) > _MOST_LINES:
            lines.append(self._line(f"  … and {len(oldest) - _MOST_LINES:,} more", "dim"))
        return Group(*lines, self._line(self.counts(), "bold"))

    def counts(self) -> str:
        """Return `3 of 20 done, 1 failed, 2 running`, or what the apply does after its last change."""
        counts = dict.fromkeys(Result, 0)
        for each in self._ended.values():
            counts[each.result] += 1
        others = [f"{counts[each]:,} {each}" for each in Result if each is not Result.DONE and counts[each]]
        done = f"{counts[Result.DONE]:,} of {max(self._total, sum(counts.values())):,} done"
        is_over = not self._running and 0 < self._total <= sum(counts.values())
        now = "checking that all run" if is_over else f"{len(self._running):,} running"
        return ", ".join([done, *others, now])

    @staticmethod
    def _line(text: str, style: str) -> Text:
        from rich.text import Text

        return Text(text, style=style, no_wrap=True, overflow="ellipsis")
