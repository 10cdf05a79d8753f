"""The report of a campaign as Markdown: what was done, what failed, which weather the lives had, and what was asked.

Lives are counted apart from directed rows and scenarios: a path that only a row takes is one that no life has met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from reconciler.simulator import ServiceCall

from .sometimes import Seen, never_seen

if TYPE_CHECKING:
    from .campaign import Tally

# The weather that lives must have, as shares: section by section what a campaign publishes of itself.
_HURT_LIVES = 0.5
_HURT_CALLS = 0.1
_HONEST_ENDS = 0.9
_MUTATING = (ServiceCall.JOIN, ServiceCall.LEAVE, ServiceCall.UPDATE)


def report(total: Tally, *, coverage: bool = True) -> str:
    """The report, as Markdown."""
    missing = shortfalls(total) if coverage else []
    lines = ["# Simulation campaign", ""]
    lines += [f"- {name}: {count:,}" for name, count in sorted(total.done.items())]
    lines += ["", f"## Failures: {len(total.failures)}", "", *(f"- {each}" for each in total.failures)]
    lines += ["", f"## Missing: {len(missing)}", "", *(f"- {each}" for each in missing)]
    if total.done["lives"]:
        absent = in_no_life(total)
        lines += ["", f"## Met by no life: {len(absent)}", "", *(f"- {each}" for each in absent)]
        lines += ["", "## Weather in lives", "", *_weather(total)]
    lines += ["", "## Invariants, how often evaluated", "", *_invariants(total)]
    lines += [
        "",
        "## Paths taken",
        "",
        "| path | in lives | in rows, scenarios and pairs |",
        "|---|---:|---:|",
    ]
    names = sorted({*total.lived, *total.seen} - {each for each in total.lived if _is_apart(each)})
    lines += [
        f"| {each} | {total.lived[each]:,} | {total.seen[each]:,} |" for each in names if not _is_apart(each)
    ]
    return "\n".join([*lines, ""])


def shortfalls(total: Tally) -> list[str]:
    """What makes a campaign fail: paths that nothing took, and weather in lives that was too fair."""
    missing = never_seen({*total.lived, *total.seen})
    if total.done["lives"] < 1000:
        return missing
    share = total.done["lives in which a changing call met a fault"] / total.done["lives"]
    if share < _HURT_LIVES:
        missing.append(f"weather: a changing call met a fault in {share:.0%} of the lives")
    for operation in _MUTATING:
        calls, hurt = total.lived.calls(operation)
        if hurt < _HURT_CALLS * calls:
            missing.append(f"weather: {hurt} of {calls} calls of {operation} met a fault")
        if operation is not ServiceCall.JOIN and calls < total.done["lives"]:
            missing.append(f"weather: {calls} calls of {operation} in {total.done['lives']} lives")
    return missing


def in_no_life(total: Tally) -> list[str]:
    """What is still to be brought into lives: published, and no failure yet."""
    missing = never_seen(total.lived)
    if total.lived["asked: I16"] < _HONEST_ENDS * total.lived["apply: complete"]:
        missing.append("I16 was asked of fewer than nine in ten complete applies")
    return missing


def _is_apart(path: str) -> bool:
    return path.startswith(("fate: ", "asked: "))


def _weather(total: Tally) -> Iterator[str]:
    lives, hurt = total.done["lives"], total.done["lives in which a changing call met a fault"]
    yield f"In {hurt / lives:.0%} of {lives:,} lives a call that changes something met a fault."
    yield from ("", "| call | calls | a life | met a fault | which |", "|---|---:|---:|---:|---|")
    for operation in ServiceCall:
        calls, faults = total.lived.calls(operation)
        if calls:
            kinds = ", ".join(f"{name} {count:,}" for name, count in _kinds(total.lived, operation))
            yield f"| {operation} | {calls:,} | {calls / lives:.2f} | {faults / calls:.1%} | {kinds} |"


def _kinds(seen: Seen, operation: ServiceCall) -> list[tuple[str, int]]:
    start = f"fate: {operation} "
    return sorted((each.removeprefix(start), seen[each]) for each in seen if each.startswith(start))


def _invariants(total: Tally) -> Iterator[str]:
    yield from ("| invariant | in lives | elsewhere |", "|---|---:|---:|")
    names: Iterable[str] = {each for each in (*total.lived, *total.seen) if each.startswith("asked: ")}
    for each in sorted(names, key=lambda name: int(name.rpartition("I")[2])):
        yield f"| {each.removeprefix('asked: ')} | {total.lived[each]:,} | {total.seen[each]:,} |"
    complete = total.lived["apply: complete"]
    if complete:
        yield from (
            "",
            f"I16 in {total.lived['asked: I16'] / complete:.0%} of {complete:,} complete applies of lives.",
        )
