"""An agent that is checked after others gets the problems that it gets alone, however much it is like them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any

import pytest

from reconciler import config
from reconciler.config.rules import Rules
from reconciler.diagnostics import Problem
from reconciler.errors import InvalidConfig
from reconciler.model.address import Address, Owner
from reconciler.model.spec import AgentSpec, Body, Lifecycle
from reconciler.model.tree import Path, leaves

ROOT = FilePath(__file__).parents[3]
_OWNER = Owner("fleet", None)
# For each type of a value: others of it, that some rule has something to say about.
_OTHERS: dict[type, tuple[Any, ...]] = {
    str: (
        "", "0", "text", "managed", "anthropic", "openai", "custom", "rtm", "manual", "GLOBAL", "recognition", "*",
        "https://10.0.0.1/x", "https://api.openai.com/v1", "ref+env://AGORA_APP_ID", "ref+env://K", "ref+x://y",
        "sk-abcdefghijklmnopqrstuvwxyz123456", "https://u:p@example.com/?key=abcdef", "Grüße\u200b",
    ),
    bool: (True, False),
    int: (0, 1, 7, 8, 1000),
    float: (0.0, 1.5),
}  # fmt: skip


class _Kept(Rules):
    """Keeps every agent that it checks."""

    seen: list[AgentSpec] = []

    def agent(self, spec: AgentSpec, *varying: Any) -> list[Problem]:
        self.seen.append(spec)
        return super().agent(spec, *varying)


@pytest.fixture(scope="module")
def agents() -> list[AgentSpec]:
    """Agents of the examples and of the bad fleets, one of each body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("reconciler.config.load"), "Rules", _Kept)
        for directory in (*(ROOT / "examples").iterdir(), *(ROOT / "tests/bad_fleets").iterdir()):
            try:
                config.load(directory)
            except InvalidConfig:
                continue
    return list({repr((each.body, each.lifecycle, each.adopt)): each for each in _Kept.seen}.values())


def _alone(spec: AgentSpec) -> list[Problem]:
    return Rules(_OWNER, None).agent(spec)


def _after(spec: AgentSpec, *earlier: AgentSpec) -> list[Problem]:
    rules = Rules(_OWNER, None)
    for each in earlier:
        rules.agent(each)
    return rules.agent(spec)


def test_there_is_something_to_compare(agents: list[AgentSpec]) -> None:
    assert len(agents) > 60
    assert len({each.rule for spec in agents for each in _alone(spec)}) > 30


def test_an_agent_is_checked_the_same_after_any_other(agents: list[AgentSpec]) -> None:
    for spec in agents:
        wanted = _alone(spec)
        for earlier in agents:
            if list(earlier.body.properties) == list(spec.body.properties):
                assert _after(spec, earlier) == wanted, (earlier, spec)


def test_agents_that_are_not_alike_may_come_in_turns(agents: list[AgentSpec]) -> None:
    for spec, other in pairwise(agents):
        assert _after(spec, spec, other) == _alone(spec), (spec, other)


def test_a_value_that_differs_is_checked(agents: list[AgentSpec]) -> None:
    """Also what a rule reads of it elsewhere: `reads` of every rule is complete."""
    shapes = {tuple(path for path, _ in leaves(spec.body.properties)): spec for spec in agents}
    for spec in shapes.values():
        for path, value, other, changed in _varied(spec):
            assert _after(changed, spec) == _alone(changed), (spec, changed)
            # The same where only this value is a template.
            rules, paths = Rules(_OWNER, None), [("properties", *path)]
            rules.agent(spec, paths, [value])
            assert rules.agent(changed, paths, [other]) == _alone(changed), (spec, changed)


def _varied(spec: AgentSpec) -> Iterator[tuple[Path, Any, Any, AgentSpec]]:
    for path, value in leaves(spec.body.properties):
        for other in _OTHERS.get(value.__class__, ()):
            if other != value:
                changed = replace(spec.body, properties=_with(spec.body, path, other))
                yield path, value, other, replace(spec, body=changed)


def _with(body: Body, path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    properties: Any = copy.deepcopy(dict(body.properties))
    node = properties
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return properties  # type: ignore[no-any-return]


def test_what_is_not_in_the_properties_is_read_again(agents: list[AgentSpec]) -> None:
    spec = AgentSpec(Address("lobby", "desk"), Body({"remote_rtc_uids": ["*"]}))
    for other in (
        replace(spec, body=replace(spec.body, pipeline_id="p")),
        replace(spec, body=replace(spec.body, preset="no such preset")),
        replace(spec, adopt="A42"),
        replace(spec, lifecycle=Lifecycle(ignore_changes=(("llm", "nothing"),))),
    ):
        assert _after(other, spec) == _alone(other) != _alone(spec)


def test_a_problem_of_every_agent_is_reported_for_every_agent() -> None:
    body = Body({"remote_rtc_uids": ["1", "2"], "llm": {"api_key": "sk-abcdefghijklmnopqrstuvwxyz123456"}})
    rules = Rules(_OWNER, None)
    each = [rules.agent(AgentSpec(Address("lobby", f"desk{number}"), body)) for number in range(3)]
    assert each[0] == each[1] == each[2]
    assert {"remote-uids-many", "literal-secret"} <= {problem.rule for problem in each[0]}


def test_a_rule_about_what_contains_a_template_is_run_for_every_agent() -> None:
    first, other = (
        AgentSpec(Address("lobby", "desk"), Body({"llm": {"params": {"api_token": {"value": text}}}}))
        for text in ("ref+env://TOKEN", "letmein")
    )
    paths = [("properties", "llm", "params", "api_token", "value")]
    rules = Rules(_OWNER, None)
    rules.agent(first, paths, ["ref+env://TOKEN"])
    assert rules.agent(other, paths, ["letmein"]) == _alone(other) != _alone(first)
