"""Rules for the lifecycle keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.config.rules.registry import Subject, agent_rule
from reconciler.diagnostics import Problem, nearest, warning
from reconciler.durations import spelled
from reconciler.model.spec import LATEST_ROTATION, Lifecycle
from reconciler.model.tree import MISSING, Path, dotted, starts_with, value_at

# The service replaces these as a whole, so a part of them can neither be left out nor be compared.
WHOLE_VALUES: tuple[Path, ...] = (("llm", "system_messages"), ("llm", "params"), ("mllm", "params"))


@agent_rule(reads=())
def latest_rotation(subject: Subject) -> Iterator[Problem]:
    """Report a spread whose last rotation would come after the service's limit on an agent's age."""
    life = subject.spec.lifecycle
    if (
        life.rotate_spread != Lifecycle().rotate_spread
        and life.rotate_after + life.rotate_spread > LATEST_ROTATION
    ):
        room = max(0.0, LATEST_ROTATION - life.rotate_after)
        yield Problem(
            "rotate-spread",
            f"rotate_after and rotate_spread give {spelled(life.rotate_after + life.rotate_spread)} together",
            ("lifecycle", "rotate_spread"),
            f"write {spelled(room)} or less, or a shorter rotate_after",
            "the service ends every agent at 72h, so the last rotation has to come at 70h",
        )


@agent_rule(reads=())
def ignored_paths(subject: Subject) -> Iterator[Problem]:
    """Report an ignored path that is not sent by itself; warn about one that the agent does not have."""
    for index, path in enumerate(subject.spec.lifecycle.ignore_changes):
        where: Path = ("lifecycle", "ignore_changes", index)
        whole = next((each for each in WHOLE_VALUES if starts_with(path, each) and path != each), None)
        if whole is None and any(isinstance(part, int) for part in path):
            whole = path[: next(number for number, part in enumerate(path) if isinstance(part, int))]
        if whole is not None:
            yield Problem(
                "ignored-path",
                f"{dotted(path)} cannot be ignored by itself",
                where,
                f"ignore {dotted(whole)}, or nothing of it",
                f"{dotted(whole)} is always sent as a whole",
            )
        elif value_at(subject.properties, path) is MISSING and path != ("agent_rtc_uid",):
            yield warning(
                "ignored-nothing",
                f"{dotted(path)} is ignored, and the agent has none",
                where,
                _meant(subject.properties, path) or "write a path of its properties, or remove it",
            )
        elif path == ("agent_rtc_uid",):
            yield warning(
                "ignored-uid", "an ignored agent_rtc_uid is still the uid that tokens are made for", where
            )


def _meant(properties: Any, path: Path) -> str | None:
    """Return a did-you-mean for a path: its first part that does not exist is replaced by a similar key, or None."""
    node = properties
    for index, part in enumerate(path):
        if not isinstance(node, dict):
            return None
        if part not in node:
            near = nearest(str(part), node)
            return f'did you mean "{dotted((*path[:index], near, *path[index + 1 :]))}"?' if near else None
        node = node[part]
    return None
