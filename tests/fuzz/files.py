"""Target `yaml`: the directories of real fleets, good and bad, changed and loaded."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reconciler.config import load, read_source, rendered
from reconciler.config.keys import KEYS
from reconciler.config.rules.catalogue import RULES
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import DesiredFleet
from reconciler.providers.agora.wire import capabilities
from reconciler.report import problem_formats, problems
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

from .mutate import bytes_mutant, chosen, encoded, few, near, odd_value, tokens_mutant, tree_mutant
from .target import ROOT, Outcome

# What is found before anybody looks at what the files mean.
_SHALLOW = frozenset(
    "yaml-syntax yaml-key yaml-tag yaml-number yaml-documents yaml-depth yaml-alias yaml-empty yaml-merge "
    "yaml-expansion duplicate-key file-encoding file-name control-character unquoted-template no-fleet".split()
)
_KEYS = sorted({key for keys in KEYS.values() for key in keys})
_WORDS = (
    *_KEYS, "llm", "tts", "asr", "mllm", "params", "vendor", "url", "api_key", "system_messages", "content", "labels",
    ": ", "- ", "? ", "| ", ">-\n", "&a ", "*a", "<<: *a", "!!str ", "!!python/object:os.system ", "!x ", "!!binary ", "~",
    "{", "}", "[", "]", ",", "#", "'", '"', "%", "@", "`", "\t", "\n", "\n---\n", "\n...\n", "%YAML 1.1\n---\n", "\\", "=",
    '"\\ud800"', '"\\x00"', '"\\N"', '"\\U0010ffff"', '"\\u202e"', "null", "[" * 60, "{a: " * 60, "[" * 20_000, "**/x",
)  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """The files of a fleet, and how it is loaded."""

    files: Mapping[str, bytes]
    environment: str | None = None
    variables: Mapping[str, str] | None = None

    def with_file(self, name: str, data: bytes) -> Fleet:
        return replace(self, files={**self.files, name: data})


@cache
def corpus() -> tuple[list[Fleet], list[Fleet]]:
    """The examples, and the fleets with something wrong."""
    examples = [read_fleet(path.parent) for path in sorted(ROOT.glob("examples/**/fleet.yaml"))]
    bad = [
        read_fleet(path)
        for path in sorted((ROOT / "tests" / "bad_fleets").iterdir())
        if path.is_dir() and path.name != "template-time"  # it takes its three seconds whatever is changed
    ]
    return examples, [each for each in bad if each.files]


def read_fleet(directory: Path) -> Fleet:
    files = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and path.name not in ("README.md", "expected.txt", "options.yaml", "expected-plan.md")
    }
    options = directory / "options.yaml"
    known = yaml.safe_load(options.read_text()) if options.exists() else {}
    return Fleet(files, known.get("environment"), known.get("variables"))


class YamlFiles:
    """Fleets that are loaded, and shown where they are refused."""

    share = 4_000

    def __init__(self, home: Path) -> None:
        self._directory = home / "fleet"

    def make(self, chance: random.Random) -> Fleet:
        examples, bad = corpus()
        fleet = chance.choice(examples if chance.random() < 0.7 else bad)
        name = chance.choice([each for each in fleet.files if each.endswith(_YAML)] or list(fleet.files))
        other = chance.choice(list(chance.choice(examples).files.values()))
        fleet = fleet.with_file(name, _mutant(fleet.files[name], other, chance))
        if chance.random() < 0.03:
            files = {each: data for each, data in fleet.files.items() if each != name}
            files[chance.choice(_FOLDERS) + chance.choice(_NAMES)] = fleet.files[name]
            fleet = replace(fleet, files=files)
        if chance.random() < 0.1:
            fleet = replace(fleet, environment=chance.choice(_ENVIRONMENTS))
        if chance.random() < 0.1:
            variable = chance.choice(("model", "greeting", "x", "", "a b", "loop"))
            fleet = replace(fleet, variables={variable: str(odd_value(chance))[:500]})
        return fleet

    def check(self, made: Fleet) -> Outcome:
        return check_load(made, self._directory)


_YAML = (".yaml", ".yml", ".j2", ".json", ".csv")
_FOLDERS = ("", "agents/", "data/", "agents/more/")
_NAMES = ("x.yaml", "a.yaml.j2", ".hidden.yaml", "é.yaml", "e\u0301.yaml", "a b.yaml", "x.json", "{{x}}.yaml")
_ENVIRONMENTS = ("prod", "prod", "prod", "staging", "staging", "x", "", "Prod\n", "a" * 99)


def _mutant(data: bytes, other: bytes, chance: random.Random) -> bytes:
    way = chosen(chance, {"bytes": 1, "tokens": 3, "lines": 3, "tree": 5})
    try:
        text = data.decode()
    except UnicodeDecodeError:
        way, text = "bytes", ""
    if way == "bytes":
        return bytes_mutant(data, chance)
    if way == "lines":
        return encoded(_lines_mutant(text, other.decode("utf-8", "replace"), chance))
    if way == "tree":
        # What cannot be read, or not be written, has no tree.
        with suppress(yaml.YAMLError, RecursionError, ValueError):
            return encoded(_tree_mutant(text, other, chance))
    return encoded(tokens_mutant(text, _WORDS, chance))


def _tree_mutant(text: str, other: bytes, chance: random.Random) -> str:
    """Parts of the tree changed, taken from another file, or shared by several places of it."""

    def odd(value: Any, chance: random.Random) -> Any:
        if chance.random() < 0.2:
            return chance.choice(_subtrees(yaml.safe_load(other)))
        return chance.choice(_subtrees(tree)) if chance.random() < 0.2 else near(value, chance)

    tree = yaml.safe_load(text)
    mutant = tree_mutant(tree, chance, keys=_KEYS, odd=odd)
    style = chance.choice((None, None, None, True))
    return yaml.safe_dump(mutant, allow_unicode=True, sort_keys=False, width=110, default_flow_style=style)


def _subtrees(tree: Any) -> list[Any]:
    """Every part of a tree, itself included; of one that has no end, enough of them."""
    found, level = [tree], [tree]
    while level and len(found) < 20_000:
        below = [each for node in level if isinstance(node, (dict, list)) for each in _children(node)]
        found += below
        level = below
    return found


def _children(node: Any) -> list[Any]:
    return list(node.values() if isinstance(node, dict) else node)


_LINE = re.compile(r"([ -]*)([\w.$-]+:(?: |$))?(.*)", re.DOTALL)
_MARKS = ("&a ", "!!map ", "!x ", "| ", "!!float ", "&b &c ")
_MERGES = ("<<: *a", "<<: [*a, *a]", "<<: {a: 1}", "? [a]", "a: &a {x: 1}")


def _lines_mutant(text: str, other: str, chance: random.Random) -> str:
    """Lines dropped, doubled, moved, indented otherwise; anchors, aliases, merges, tags and values put in."""
    lines = text.split("\n")
    for _ in range(few(chance)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        line = lines[at]
        found = _LINE.fullmatch(line)
        assert found is not None, "it matches whatever there is"
        indent, key, value = found.groups("")
        match chance.randrange(9):
            case 0:
                lines[at : at + chance.choice((1, 1, 3))] = []
            case 1:
                lines[to:to] = lines[at : at + chance.choice((1, 2, 5))]
            case 2:
                lines[at] = " " * chance.randrange(6) + line.lstrip()
            case 3:
                lines[at] = indent + key + chance.choice(_MARKS) + value
                lines[to] = re.sub(r"(: ?).*", lambda found: f"{found[1]}*a", lines[to])
            case 4:
                lines.insert(at, re.sub(r"\S.*", "", line) + chance.choice(_MERGES))
            case 5:
                lines[at] = f"{indent}{key}{odd_value(chance)!r}"[:2_000]
            case 6:
                lines[at] = indent + key + chance.choice(_WORDS)
            case 7:
                lines[at] = indent + key + chance.choice(("[", "{a: ")) * chance.choice((3, 49, 51, 3_000))
            case _:
                lines.insert(at, chance.choice(other.split("\n")))
        lines = lines or [""]
    return "\n".join(lines)


# --- loading ------------------------------------------------------------------------------------------------------


def check_load(made: Fleet, directory: Path) -> Outcome:
    """Load a fleet. A refusal has diagnostics that can be shown; what is accepted is plain data, and can be."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, data in made.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        fleet = load(directory, environment=made.environment, variables=made.variables)
    except InvalidConfig as refusal:
        _show(refusal.diagnostics, directory)
        rules = sorted({each.rule for each in refusal.diagnostics if each.is_error})
        assert rules, "a refusal without an error"
        return Outcome(tuple(rules), deep=not _SHALLOW.issuperset(rules))
    _show(fleet.warnings, directory)
    _use(fleet)
    return Outcome()


def _show(diagnostics: Any, directory: Path) -> None:
    for each in diagnostics:
        assert each.rule in RULES, each
        assert each.summary.strip(), each
        assert each.where is None or (each.where.line >= 1 and each.where.column >= 1), each

    def source(file: str) -> str | None:
        return read_source(directory, file)

    text = problems.problem_lines(diagnostics, RenderOptions(read_source=source))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u2066]", text), (
        "what is wrong with a file moves the cursor"
    )
    problem_formats.render_json(Checked(diagnostics))


def _use(fleet: DesiredFleet) -> None:
    able = capabilities(mainland_china=False)
    for spec in fleet.agents.values():
        _require_plain(spec.body.tree())
        spec.revision(able)
        spec.uid(fleet.owner)
    rendered(fleet)


def _require_plain(tree: Any) -> None:
    for node in _subtrees(tree):
        assert node is None or node.__class__ in (dict, list, str, int, float, bool), type(node)
        assert node.__class__ is not float or math.isfinite(node), node
        if node.__class__ is str:
            node.encode()
