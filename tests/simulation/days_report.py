"""The report of some days of controllers, as Markdown."""

from __future__ import annotations

from reconciler.simulator import ServiceCall

from .days import AGES, Lived
from .fleets import HOUR
from .world import Universe


def report(lived: Lived, world: Universe) -> str:
    """What came of some days, as Markdown."""
    shape, heals = lived.shape, sorted(lived.heals)
    lines = [
        f"# {shape.days:g} days, {shape.agents} agents, {shape.controllers} controllers",
        "",
        f"Seed {lived.seed}, a roll every {shape.interval:g} s, {lived.events:,} events, history {lived.fingerprint}.",
        f"The agents were {AGES[0]:g} to {AGES[1]:g} hours old at the start.",
        "",
        f"- verdict: {lived.problem or 'every invariant held'}",
        f"- away for their rotation at once, at most: {lived.most_away}",
        f"- oldest agent seen: {lived.oldest / HOUR:.1f} h",
    ]
    if heals:
        lines.append(
            f"- healed: {len(heals):,}; median {heals[len(heals) // 2]:.0f} s, longest {heals[-1]:.0f} s, "
            "what the weather, a back-off or a person forbade included"
        )
    if lived.kept:
        days = f"after day 1, in the middle and at the end: {_thrice(lived.kept)} MB"
        lines += [
            f"- a controller keeps, {days}",
            f"- this process, simulated service and checker included: {_thrice(lived.resident)} MB",
        ]
    lines += ["", "| what | how often |", "|---|---:|"]
    lines += [f"| {name} | {count:,} |" for name, count in sorted(lived.counts.items())]
    calls = [(each, *world.seen.calls(each)) for each in ServiceCall]
    lines += ["", "| call | sent | met a fault |", "|---|---:|---:|"]
    lines += [f"| {each} | {sent:,} | {hurt:,} |" for each, sent, hurt in calls if sent]
    asked = {
        name.removeprefix("asked: "): count
        for name, count in world.seen.items()
        if name.startswith("asked: ")
    }
    lines += ["", "| invariant | evaluated |", "|---|---:|"]
    lines += [f"| {each} | {asked[each]:,} |" for each in sorted(asked, key=lambda name: int(name[1:]))]
    return "\n".join([*lines, ""])


def _thrice(values: list[int]) -> str:
    return ", ".join(f"{each / 1e6:.2f}" for each in (values[0], values[len(values) // 2], values[-1]))
