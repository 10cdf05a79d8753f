"""A key of ours is declared in one row: the tables of examples/FLEET.md, parsing and printing follow from it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from reconciler.config import rendered
from reconciler.config.keys import BODY, KEYS
from reconciler.controller import loop
from reconciler.durations import spelled
from reconciler.model.fleet import Limits, Service
from reconciler.model.spec import Lifecycle
from reconciler.plan import rotations
from tests.unit.config.conftest import Load

PAGE = Path(__file__).parents[3] / "examples" / "FLEET.md"
# A comment that does not show, and the table below it.
TABLE = re.compile(r"(<!-- keys of (?P<block>[\w. ]+) -->\n)(?P<table>(?:\|.*\n)+)")


def table(block: str) -> str:
    """The keys of a block as a table of Markdown; those of a body have one table of their own."""
    keys = {name: key for name, key in KEYS[block].items() if name not in BODY or block == "defaults"}
    rows = [f"| `{name}` | {key.type.name} | {key.default} | {key.about} |" for name, key in keys.items()]
    if block == "agent":
        rows.append("| and a body | | | |")
    return "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows]) + "\n"


def test_the_tables_of_the_reference_are_the_declared_keys(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = TABLE.sub(lambda found: found[1] + table(found["block"]), page)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made
    # `overrides` are a body, like `defaults`.
    assert {found["block"] for found in TABLE.finditer(page)} == set(KEYS) - {"overrides"}


@pytest.mark.parametrize(
    ("block", "model"), [("lifecycle", Lifecycle), ("limits", Limits), ("service", Service)]
)
def test_the_model_has_a_field_for_every_key(block: str, model: type) -> None:
    assert {each.name for each in fields(model)} == set(KEYS[block])


def test_what_is_printed_is_read_as_the_same(loaded: Load) -> None:
    text = (
        "channels: [{channel: lobby, agents: [{name: a, lifecycle: {rotate_after: 90m, token_ttl: 1.5h, "
        "replace: join-first, protect: true, paused: true, ignore_changes: [llm.params]}}]}]"
    )
    agents = rendered(loaded(text))["agents"]
    assert isinstance(agents, dict)
    printed = agents["lobby/a"]["lifecycle"]
    [spec] = loaded(text).agents.values()
    read = {name: KEYS["lifecycle"][name].type.read(value) for name, value in printed.items()}
    assert Lifecycle(**read) == spec.lifecycle
    assert list(printed) == list(KEYS["lifecycle"])


def test_the_description_of_max_unavailable_has_the_times_of_the_code() -> None:
    said = KEYS["limits"]["max_unavailable"].about
    assert f"less than {spelled(rotations.LAST_CALL)} left (`watch`: {spelled(loop.LAST_CALL)})" in said
