"""What it costs to start: processes by the clock, many short turns."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import command_seconds, in_turns, interpreter, ours
from tests.benchmarks.scale import Scale

# What a plan needs of other people's code and of the heavier half of the standard library.
NEEDED = ("asyncio", "click", "jinja2", "orjson", "pydantic", "sqlite3", "yaml")
_TURNS = 3


def help_rows(scale: Scale) -> Iterator[Figure]:
    """Commands that need click alone."""
    for case in (["--help"], ["version"], ["completion", "bash"]):
        yield _figure("help", scale, case, ("click",), 1.2, case=f"`{case[0]}`")


def start_row(scale: Scale) -> Iterator[Figure]:
    """The shortest whole plan."""
    yield _figure("start", scale, ["plan", str(scale.for_each(10))], NEEDED, 2.25)


def _figure(
    key: str, scale: Scale, arguments: list[str], floor: tuple[str, ...], most: float, *, case: str = ""
) -> Figure:
    command = (ours(), *arguments)
    command_seconds(*command)  # compiles what was never compiled
    pair = in_turns(
        lambda: command_seconds(*command), lambda: command_seconds(*interpreter(*floor)), _TURNS * scale.turns
    )
    return Figure(
        key, f"{pair.work * 1000:.0f} ms", f"{pair.floor * 1000:.0f} ms", pair.ratio, pair.ratio <= most, case
    )
