"""Whatever the files hold, loading gives a fleet or diagnostics: never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.config import load
from reconciler.config.keys import KEYS
from reconciler.config.yaml.reader import parse_yaml
from reconciler.errors import InvalidConfig

WORDS = sorted(
    {key for keys in KEYS.values() for key in keys} | {"llm", "tts", "params", "vendor", "url", "api_key"}
)
TEXTS = [
    *(
        "",
        "a",
        "{{ a }}",
        "{{ b }}",
        "{% if a %}x{% endif %}",
        "{{ a.b.c }}",
        "{{ [a, 1] }}",
        "{{ {'a': none} }}",
    ),
    *(
        "{{ none }}",
        "ref+env://A",
        "ref+",
        "ref+env://AGORA_X",
        "voice",
        "prod",
        "30%",
        "60h",
        "false",
        "*",
        "7",
    ),
    *(
        "https://a.example/",
        "http://10.0.0.1",
        "https://[",
        "{{ range(3) }}",
        "{{ load('x.yaml') }}",
        "{{",
        "a..b",
    ),
    *(
        "{% include 'x' %}",
        "{{ loop }}",
        "{{ self }}",
        "lobby/a",
        "agents/*.yaml",
        "../x",
        "{{ a ~ a }}",
        "\u202e",
    ),
]
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(allow_nan=False),
    st.sampled_from(TEXTS),
    st.text(max_size=8),
)
keys = st.one_of(
    st.sampled_from(WORDS), st.sampled_from(["a", "b", "voice", "prod", "model"]), st.text(max_size=4)
)
tree = st.recursive(
    leaf, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=5), max_leaves=25
)


def shaped(section: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """Mappings that look like a section of ours, with anything in them."""
    inside: dict[str, st.SearchStrategy[Any]] = {}
    for key in KEYS[section]:
        choices = [tree]
        if key == "channels":
            choices += [st.lists(shaped("channel"), max_size=2)] * 3
        elif key == "agents":
            choices += [st.lists(shaped("agent"), max_size=2)] * 3
        elif key in ("defaults", "overrides", "service", "limits", "lifecycle"):
            choices += [shaped(key)] * 2
        elif key == "profiles":
            choices += [st.dictionaries(st.sampled_from(["voice", "a"]), shaped("profile"), max_size=2)] * 2
        elif key == "environments":
            choices += [
                st.dictionaries(st.sampled_from(["prod", "a"]), shaped("environment"), max_size=2)
            ] * 2
        inside[key] = st.one_of(choices)
    return st.fixed_dictionaries({}, optional=inside)


def outcome(files: dict[str, str], environment: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load(Path(folder), environment=environment, variables={"a": "1"})
        except InvalidConfig as error:
            assert error.diagnostics


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(fleet=shaped("fleet.yaml"), agents=shaped("agents file"), environment=st.sampled_from([None, "prod"]))
def test_fleets_of_any_shape(fleet: Any, agents: Any, environment: str | None) -> None:
    fleet.setdefault("fleet", "fuzz")
    dumped = {"fleet.yaml": fleet, "agents/a.yaml": agents}
    outcome({name: yaml.safe_dump(each, allow_unicode=True) for name, each in dumped.items()}, environment)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet=st.sampled_from("ab:-{}[]%\"'\n #|>&*!?,\t0.~<e\\\u2028\x07é"), max_size=60))
def test_any_text_is_a_tree_or_troubles(text: str) -> None:
    parsed = parse_yaml(text)
    assert (
        parsed.problems or parsed.root is None or isinstance(parsed.root, (dict, list, str, int, float, bool))
    )
    outcome({"fleet.yaml": text, "agents/x.yaml.j2": text}, None)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet=st.sampled_from("ab._|()[]{}%\"'~+*-,= 0123\n"), max_size=30))
def test_any_template(text: str) -> None:
    fleet = {
        "fleet": "fuzz",
        "variables": {"a": {"b": [1]}, "b": "{{" + text + "}}"},
        "channels": [
            {
                "channel": "{{" + text,
                "for_each": "{{" + text + "}}",
                "agents": [{"name": "a", "properties": {"labels": {"b": "{{ b }}"}}}],
            }
        ],
    }
    outcome({"fleet.yaml": yaml.safe_dump(fleet)}, None)
