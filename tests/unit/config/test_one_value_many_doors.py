"""What one door refuses, no other lets in changed: a value is the same wherever the files or `--var` bring it in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reconciler.config.load import load
from reconciler.diagnostics import Problem
from reconciler.errors import InvalidConfig

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HEAD = """\
fleet: doors
{top}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {{vendor: microsoft, params: {{key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}}}
    llm: {{url: "https://llm.example.com/", api_key: ref+env://KEY, params: {{model: m, {defaults}}}}}
"""
_AGENTS = "channels: [{{channel: lobby, agents: [{{name: desk, properties: {{llm: {{params: {{{params}}}}}}}}}]}}]\n"


@dataclass(frozen=True)
class Refused:
    """The ids of what refuses a value."""

    rules: frozenset[str]


@dataclass(frozen=True)
class Door:
    """Files that bring values in below `llm.params.value`; `given` are `--var`s, `environment` the one that is planned."""

    files: Mapping[str, str]
    given: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None

    def values(self) -> list[str] | Refused:
        """The values as the agent gets them, in order, so that types and signs show; null where there is none."""
        loaded = self.load()
        if isinstance(loaded, list):
            return Refused(frozenset(each.rule for each in loaded if each.severity == "error"))
        return [repr(loaded.get(f"v{number}")) for number in range(_count(self.files, self.given))]

    def load(self) -> dict[str, Any] | list[Problem]:
        with TemporaryDirectory() as made:
            for name, text in self.files.items():
                path = Path(made) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(text.encode())
            try:
                fleet = load(Path(made), environment=self.environment, variables=self.given)
            except InvalidConfig as refused:
                return list(refused.diagnostics)
        (spec,) = fleet.agents.values()
        tree: Any = spec.body.tree()
        return tree["properties"]["llm"]["params"].get("value", {})  # type: ignore[no-any-return]


def _count(*texts: Mapping[str, str]) -> int:
    return 1 + max(int(each) for text in texts for each in re.findall(r"\bv([0-9]+)\b", f"{text}"))


def _fleet(*, top: str = "", defaults: str = "", params: str = 'value: "{{ x }}"') -> str:
    return _HEAD.format(top=top, defaults=defaults) + _AGENTS.format(params=params)


def _loading(name: str, text: str, expression: str) -> Door:
    return Door({"fleet.yaml": _fleet(params=f'value: "{expression}"'), name: text})


def _of_yaml(sources: Sequence[str]) -> dict[str, Door]:
    """The doors that take YAML as it is written."""
    values = "{" + ", ".join(f"v{number}: {each}" for number, each in enumerate(sources)) + "}"
    here, fleet = f"value: {values}", _HEAD.format(top="", defaults="")
    properties = f"properties: {{llm: {{params: {{{here}}}}}}}"
    profile = _fleet(top=f"profiles: {{p: {{{properties}}}}}", params="")
    file = _AGENTS.format(params=here)
    return {
        "fleet.yaml": Door({"fleet.yaml": _fleet(params=here)}),
        "agents/*.yaml": Door({"fleet.yaml": fleet, "agents/a.yaml": file}),
        "variables": Door({"fleet.yaml": _fleet(top=f"variables: {{x: {values}}}")}),
        "load .yaml": _loading("d.yaml", f"x: {values}\n", "{{ load('d.yaml').x }}"),
        "defaults": Door({"fleet.yaml": _fleet(defaults=here, params="")}),
        "profile": Door({"fleet.yaml": profile.replace("name: desk", "name: desk, profile: p")}),
        "overrides": Door(
            {"fleet.yaml": _fleet(top=f"environments: {{e: {{overrides: {{{properties}}}}}}}", params="")},
            environment="e",
        ),
        "variables of an environment": Door(
            {"fleet.yaml": _fleet(top=f"environments: {{e: {{variables: {{x: {values}}}}}}}")},
            environment="e",
        ),
        "a rendered file, tojson": _rendered(sources, "{{{{ x.v{0} | tojson }}}}"),
    }


def _rendered(sources: Sequence[str], written: str) -> Door:
    """A whole file that is rendered before it is read, with values that come from a variable."""
    values = ", ".join(f"v{number}: {each}" for number, each in enumerate(sources))
    uses = ", ".join(f"v{number}: {written.format(number)}" for number in range(len(sources)))
    return Door(
        {
            "fleet.yaml": _HEAD.format(top=f"variables: {{x: {{{values}}}}}", defaults=""),
            "agents/a.yaml.j2": _AGENTS.format(params=f"value: {{{uses}}}"),
        }
    )


def _of_json(sources: Sequence[str]) -> Door:
    values = ", ".join(f'"v{number}": {each}' for number, each in enumerate(sources))
    return _loading("d.json", f"{{{values}}}", "{{ load('d.json') }}")


def _of_cells(texts: Sequence[str]) -> Door:
    cells = io.StringIO()
    rows = [[f"v{number}" for number in range(len(texts))], texts]
    csv.writer(cells, quoting=csv.QUOTE_ALL).writerows(rows)
    return _loading("d.csv", cells.getvalue(), "{{ load('d.csv')[0] }}")


def _of_var(texts: Sequence[str]) -> Door:
    uses = ", ".join(f'v{number}: "{{{{ v{number} }}}}"' for number in range(len(texts)))
    fleet = _HEAD.format(top="", defaults="") + _AGENTS.format(params=f"value: {{{uses}}}")
    return Door({"fleet.yaml": fleet}, {f"v{number}": each for number, each in enumerate(texts)})


_SCALARS = (
    *(
        "0",
        "-0",
        "0123",
        "00",
        "1_000",
        "0x1F",
        "0o17",
        "+1",
        "1.",
        ".5",
        "-0.0",
        "1.10",
        "1e3",
        "1E5",
        "9e-7",
    ),
    *("18446744073709551615", "-9223372036854775808", "123456789012345678901234567890.5"),
    *("no", "NO", "yes", "on", "y", "True", "true", "false", "null", "~", "Null", "nan", ".nan", ".inf", "="),
    *("12:30", "1:30:00", "2024-01-01", "2024-01-01T12:30:00Z", "a b", "http://x/#y"),
)
_TEXTS = (
    *("", " ", "  a", "a  ", "\ta\t", "a\nb", "a\n", "'", '"', "\\", "#a", "a #b", "- a", "a: b", "&a", "}}"),
    *("123", "0123", "1e3", "1e999", "true", "null", "no", "12:30", "é", "😀", "\u00a0", "\u3000"),
)


def test_plain_scalars_are_the_same_through_every_door() -> None:
    doors = {**_of_yaml(_SCALARS), "--var": _of_var(_SCALARS)}
    wanted = doors.pop("fleet.yaml").values()
    assert isinstance(wanted, list), wanted
    assert {name: door.values() for name, door in doors.items()} == dict.fromkeys(doors, wanted)
    for word in ("0123", "no", "12:30", "2024-01-01", ".nan", "True"):
        assert wanted[_SCALARS.index(word)] == repr(word)

    alike = [each for each in _SCALARS if _JSON_NUMBER.fullmatch(each) or each in ("true", "false", "null")]
    expected = [wanted[_SCALARS.index(each)] for each in alike]
    assert _of_json(alike).values() == expected

    alike = [each for each in _SCALARS if each not in ("null", "~")]  # a rendered file has no word for null
    expected = [wanted[_SCALARS.index(each)] for each in alike]
    assert _rendered(alike, "{{{{ x.v{0} }}}}").values() == expected


def _text_doors(texts: Sequence[str]) -> dict[str, Door]:
    """The doors of texts: quoted in YAML and for `--var`, as JSON and as cells."""
    quoted = [json.dumps(each, ensure_ascii=False) for each in texts]
    doors = {
        **_of_yaml(quoted),
        ".json": _of_json([json.dumps(each) for each in texts]),
        "--var": _of_var(quoted),
    }
    if not any("\r" in each for each in texts):  # how lines end is no part of a file
        doors[".csv"] = _of_cells(texts)
    return doors


def test_texts_are_the_same_through_every_door() -> None:
    doors = _text_doors(_TEXTS)
    wanted = [repr(each) for each in _TEXTS]
    assert {name: door.values() for name, door in doors.items()} == dict.fromkeys(doors, wanted)


_ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}\u2028\u2029"), max_size=12)


@given(st.lists(_ANY, min_size=1, max_size=6))
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_texts_are_the_same_through_every_door_or_refused_by_the_same_rule(texts: list[str]) -> None:
    found = {name: door.values() for name, door in _text_doors(texts).items()}
    wanted = found.pop("fleet.yaml")
    if isinstance(wanted, list):
        assert found == {name: [repr(each) for each in texts] for name in found}
        return
    assert all(isinstance(value, Refused) for value in found.values())
    for text in texts:  # each by itself: a file that one of them breaks says nothing of the others
        by_itself = {name: door.values() for name, door in _text_doors([text]).items()}
        wanted = by_itself.pop("fleet.yaml")
        for name, value in by_itself.items():
            refused = (
                isinstance(value, Refused) and isinstance(wanted, Refused) and wanted.rules & value.rules
            )
            assert refused or not isinstance(wanted, Refused), name


@pytest.mark.parametrize("text", ["a\x07b", "a\x85b", "a\uffffb", "a\x00b"], ids=ascii)
def test_a_character_that_one_door_refuses_is_refused_by_all(text: str) -> None:
    found = {name: door.values() for name, door in _text_doors([text]).items()}
    for name, value in found.items():
        assert isinstance(value, Refused) and "control-character" in value.rules, (name, value)


@pytest.mark.parametrize("number", ["18446744073709551616", "1e999"])
def test_a_number_that_one_door_refuses_is_refused_by_all(number: str) -> None:
    doors = {**_of_yaml([number]), ".json": _of_json([number]), "--var": _of_var([number])}
    for name, value in {name: door.values() for name, door in doors.items()}.items():
        assert isinstance(value, Refused) and "yaml-number" in value.rules, (name, value)


@pytest.mark.parametrize("text", ["123", "1e999", "true", "~", " a", "a: b"])
def test_a_rendered_file_refuses_a_text_that_would_become_something_else(text: str) -> None:
    quoted = [json.dumps(text)]
    assert _rendered(quoted, "{{{{ x.v{0} }}}}").values() == Refused(frozenset({"template-forbidden"}))
    if text.strip() == text and ":" not in text:
        assert _rendered(quoted, '"{{{{ x.v{0} }}}}"').values() == [repr(text)]


def test_a_rendered_file_says_where_a_text_would_become_a_number() -> None:
    file = _AGENTS.format(params='value: {v0: "{{ x }}{{ x }}"}') + "{% if true %}\nx: {{ x }}\n{% endif %}\n"
    fleet = _HEAD.format(top='variables: {x: "123"}', defaults="")
    problems = Door({"fleet.yaml": fleet, "agents/a.yaml.j2": file}).load()
    (found,) = [each for each in problems if isinstance(each, Problem) and each.rule == "template-forbidden"]
    assert found.where is not None
    assert (found.where.file, found.where.line) == ("agents/a.yaml.j2", 3)
    assert '"123"' in found.summary and "tojson" in (found.help or "")


def test_data_that_looks_like_a_template_is_never_rendered() -> None:
    texts = ["{{ x }}", "{% if %}", "{#", "{{ 7 * 7 }}"]
    quoted = [json.dumps(each) for each in texts]
    values = ", ".join(f"v{number}: {each}" for number, each in enumerate(quoted))
    doors = {
        ".yaml": _loading("d.yaml", f"x: {{{values}}}\n", "{{ load('d.yaml').x }}"),
        ".json": _of_json(quoted),
        ".csv": _of_cells(texts),
        "--var": _of_var(texts),
        "--var, quoted": _of_var(quoted),
    }
    wanted = [repr(each) for each in texts]
    assert {name: door.values() for name, door in doors.items()} == dict.fromkeys(doors, wanted)


def test_a_quoted_var_is_a_text_and_what_is_no_scalar_is_refused() -> None:
    assert _of_var(["'it''s 5'"]).values() == [repr("it's 5")]
    for broken in ('"5" and more', '"5'):
        assert _of_var([broken]).values() == Refused(frozenset({"yaml-syntax"}))
