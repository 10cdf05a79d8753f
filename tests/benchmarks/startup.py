"""What it costs to start, in instructions: the same on every run, so that one turn is enough."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import COUNTS, command_use, in_turns, interpreter, ours, start_cost, start_text
from tests.benchmarks.scale import Scale

# What a plan needs of other people's code and of the heavier half of the standard library.
NEEDED = ("asyncio", "click", "jinja2", "orjson", "pydantic_core", "sqlite3", "yaml")
# What a shell runs for one <TAB> after `reconciler pl`.
_TAB = ("env", "_RECONCILER_COMPLETE=bash_complete", "COMP_WORDS=reconciler pl", "COMP_CWORD=1")


def help_rows(scale: Scale) -> Iterator[Figure]:
    """Commands that need click alone."""
    for words in (["--help"], ["version"], ["completion", "bash"]):
        yield _figure("help", scale, (ours(), *words), ("click",), 1.2, case=f"`{words[0]}`")
    yield _figure("help", scale, (*_TAB, ours()), ("click",), 1.2, case="one <TAB>")


def start_row(scale: Scale) -> Iterator[Figure]:
    """The shortest whole plan."""
    yield _figure("start", scale, (ours(), "plan", str(scale.for_each(10))), NEEDED, 2.25)


def _figure(
    key: str, scale: Scale, command: tuple[str, ...], floor: tuple[str, ...], most: float, *, case: str = ""
) -> Figure:
    command_use(*command)  # compiles what was never compiled
    pair = in_turns(lambda: start_cost(*command), lambda: start_cost(*interpreter(*floor)), _turns(scale))
    ours, least = start_text(pair.work), start_text(pair.floor)
    return Figure(key, ours, least, pair.ratio, pair.ratio <= most, case)


def _turns(scale: Scale) -> int:
    return 1 if COUNTS else 3 * scale.turns
