"""The schemas are fresh, valid, and agree with what a load accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.cli.schemas import SCHEMAS
from reconciler.config import load, rendered
from reconciler.config.keys import KEYS
from reconciler.config.schema import fleet_schema, policy_schema, rendered_schema
from tests.unit.config.conftest import GOOD, Write

FOLDER = Path(__file__).parents[3] / "schemas"
MAKERS = {"fleet": fleet_schema, "rendered": rendered_schema}


@pytest.mark.parametrize("name", MAKERS)
def test_fresh(name: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{name}.schema.json"
    text = json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", MAKERS)
def test_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(MAKERS[name]())


def errors(made: dict[str, Any], value: object) -> list[str]:
    return [each.message for each in jsonschema.Draft202012Validator(made).iter_errors(value)]


FLEET = f"""
fleet: test
service: {{kind: agora, area: EU}}
include: [agents/*.yaml]
variables: {{hotels: "{{{{ load('h.json') }}}}", n: 3}}
{GOOD}
profiles:
  voice: {{extends: [], properties: {{tts: {{params: {{speed: "{{{{ n }}}}", volume: null}}}}}}}}
limits: {{leave: 30%, quota: 20}}
environments: {{prod: {{overrides: {{properties: {{llm: null}}}}}}, dev: null}}
channels:
  - channel: "{{{{ item.id }}}}"
    for_each: "{{{{ hotels }}}}"
    when: "{{{{ item.open }}}}"
    agents:
      - name: a
        profile: voice
        lifecycle: {{protect: "{{{{ item.vip }}}}", rotate_after: 60h}}
        properties: {{idle_timeout: "{{{{ n }}}}", asr: "{{{{ item.asr }}}}"}}
"""


def test_what_people_write() -> None:
    assert errors(fleet_schema(), yaml.safe_load(FLEET)) == []
    assert errors(fleet_schema(), yaml.safe_load("channels: [{channel: a, agents: [{name: b}]}]")) == []
    assert errors(fleet_schema(), yaml.safe_load(f"{FLEET}\nx-voice: {{anything: [1, null]}}")) == []
    assert errors(fleet_schema(), yaml.safe_load("x-a: 1\nchannels: []")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "fleet: Test_1",
            "fleet: a\nlimits: {leave: 1.5}",
            "fleet: a\nnonsense: 1",
            "channels: [{agents: []}]",
        ),
        *(
            "fleet: a\nservice: {kind: b}",
            "fleet: a\ndefaults: {properties: {idle_timeout: -1}}",
            "channels: 1",
        ),
        "fleet: a\ndefaults: {properties: {channel: x}}",
    ],
)
def test_what_nobody_should_write(wrong: str) -> None:
    assert errors(fleet_schema(), yaml.safe_load(wrong))


def test_every_key_of_ours_is_described() -> None:
    definitions = fleet_schema()["$defs"]
    sections = {
        "fleet.yaml": definitions["fleet"],
        "agents file": definitions["agents_file"],
        "ignore": definitions["ignored"],
        "policy": policy_schema()["$defs"]["policy"],
        **dict.fromkeys(("defaults", "overrides"), definitions["layer"]),
        **{
            name: definitions[name]
            for name in (
                "channel",
                "agent",
                "profile",
                "environment",
                "service",
                "limits",
                "lifecycle",
                "freeze",
                "archive",
            )
        },
    }
    assert {name: set(section["properties"]) for name, section in sections.items()} == {
        name: set(keys) for name, keys in KEYS.items()
    }


def test_what_render_prints(write: Write) -> None:
    text = "channels: [{channel: lobby, agents: [{name: a, previously: [b/c], lifecycle: {protect: true}}]}]"
    assert errors(rendered_schema(), rendered(load(write(text)))) == []
    assert errors(rendered_schema(), {"version": 2, "fleet": "a", "environment": None, "agents": {}})
