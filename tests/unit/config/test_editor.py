"""An editor and `validate` agree: what is only a warning for one is no error for the other.

Schemas know errors alone, and see one file before anything is merged or rendered: they may miss what `validate` finds, but
refuse nothing that it takes. Held for every bad fleet and every example, by jsonschema and by yaml-language-server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.cli.schemas import SCHEMAS
from reconciler.config import load, rendered
from reconciler.config.schema import fleet_schema, rendered_schema
from reconciler.diagnostics import Problem
from tests.unit.config import language_server
from tests.unit.config.language_server import LanguageServer
from tests.unit.config.test_bad_fleets import CASES, diagnose

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/**/fleet.yaml"))
BAD = sorted(path for path in CASES.iterdir() if (path / "fleet.yaml").is_file())
# What is said of the bytes of a file: no schema ever sees them.
BYTES = ("control-character", "file-", "yaml-", "duplicate-key", "unquoted-template", "template-size")
# Rules about one value in its place, of which a schema knows as much as `validate`.
OF_SHAPE = {
    "agent-name", "app-id", "bad-duration", "bad-limit", "channel-name", "environment-name", "fleet-name",
    "invalid-property", "missing-key", "not-boolean", "reserved-property", "template-not-allowed", "unknown-key",
    "unknown-word", "variable-name", "wrong-type",
}  # fmt: skip
# The same rules about what only a template gives, or what is checked for models that have roles.
RENDERED = {"not-boolean--csv", "unknown-word--role", "wrong-type--loop"}


def files(fleet: Path) -> list[Path]:
    return [fleet / "fleet.yaml", *sorted(fleet.glob("agents/*.yaml"))]


def is_readable(fleet: Path) -> bool:
    return not fleet.name.startswith(BYTES)


def refusals(fleet: Path) -> Iterator[tuple[str, str]]:
    """What the schema refuses of a fleet's files: the file, and why."""
    validator = jsonschema.Draft202012Validator(fleet_schema())
    for path in files(fleet):
        tree = read(path)
        for each in validator.iter_errors(tree):
            yield path.name, jsonschema.exceptions.best_match([each]).message


def read(path: Path) -> Any:
    """A file as an editor reads it: YAML 1.2."""
    return yaml.load(path.read_text(encoding="utf-8"), Yaml12)


class Yaml12(yaml.SafeLoader):
    """Numbers, true, false and null are typed, and dates are text."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in ways if not tag.endswith("timestamp")]
    for first, ways in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize("fleet", [*filter(is_readable, BAD), *EXAMPLES], ids=lambda path: path.name)
def test_the_schema_refuses_nothing_that_validate_takes(fleet: Path) -> None:
    found = diagnose(fleet)
    refused = list(refusals(fleet))
    assert not refused or any(each.is_error for each in found), refused


@pytest.mark.parametrize("fleet", list(filter(is_readable, BAD)), ids=lambda path: path.name)
def test_the_schema_refuses_what_is_wrong_in_its_place(fleet: Path) -> None:
    if fleet.name.split("--")[0] in OF_SHAPE and fleet.name not in RENDERED:
        assert list(refusals(fleet))


WARNED = """
properties:
  remote_rtc_uids: ["*"]
  brand_new: {a: 1}
  parameters: {not_yet_documented: 1, silence_config: {another: true}}
  tts: {vendor: nobodys, params: {x: 1}, also: 2}
  asr: {vendor: "brandnew"}
  llm: {vendor: "somebodys", unheard: 1, params: {thinking: {budget: 3}}}
  avatar: {vendor: faces, params: {y: 1}}
  geofence: {area: GLOBAL, another: 1}
"""


def test_unknown_keys_and_vendors_pass_in_both(tmp_path: Path) -> None:
    body = WARNED.replace("\n", "\n  ")
    (tmp_path / "fleet.yaml").write_text(
        f"fleet: a\nx-anchors: {{a: 1}}\ndefaults:{body}\n"
        "channels: [{channel: lobby, agents: [{name: desk}]}]\n"
    )
    found = diagnose(tmp_path)
    assert {each.rule for each in found if each.is_error} <= {"missing-params", "missing-property"}
    assert {"unknown-property", "unknown-vendor"} <= {each.rule for each in found if not each.is_error}
    assert list(refusals(tmp_path)) == []


def enumerations(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield path, node
        for key, value in node.items():
            yield from enumerations(value, f"{path}/{key}")
    elif isinstance(node, list):
        for value in node:
            yield from enumerations(value, path)


@pytest.mark.parametrize("make", [fleet_schema, rendered_schema], ids=["fleet", "rendered"])
def test_every_word_of_a_list_is_described(make: Any) -> None:
    found = list(enumerations(make()))
    assert len(found) > 30
    for path, node in found:
        assert len(node.get("enumDescriptions", ())) == len(node["enum"]), path
        assert all(node["enumDescriptions"]), path


@pytest.mark.parametrize("fleet", EXAMPLES, ids=lambda path: path.name)
def test_what_render_prints_fits_its_schema(fleet: Path) -> None:
    jsonschema.validate(rendered(load(fleet)), rendered_schema())


# --- what `init` writes ---------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A fleet as `init` writes it."""
    home = tmp_path / "my-fleet"
    assert CliRunner().invoke(cli, ["init", str(home)]).exit_code == 0
    return home


def test_init_tells_editors_where_the_schema_is(begun: Path) -> None:
    for path in files(begun):
        [named] = [
            line.partition("$schema=")[2] for line in path.read_text().splitlines()[:5] if "$schema=" in line
        ]
        assert json.loads((path.parent / named).read_bytes()) == SCHEMAS["fleet"]()
    settings = json.loads((begun / ".vscode" / "settings.json").read_bytes())
    [(schema, patterns)] = settings["yaml.schemas"].items()
    assert (begun / schema).is_file()
    assert {path for pattern in patterns for path in begun.glob(pattern)} == set(files(begun))


def test_what_init_writes_has_no_warnings(begun: Path) -> None:
    done = CliRunner().invoke(cli, ["validate", str(begun), "--format", "json"])
    assert done.exit_code == 0
    assert json.loads(done.output)["diagnostics"] == []
    assert list(refusals(begun)) == []


def test_init_keeps_the_settings_of_an_editor(tmp_path: Path) -> None:
    settings = tmp_path / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text("mine")
    done = CliRunner().invoke(cli, ["init", str(tmp_path)])
    assert (done.exit_code, settings.read_text()) == (0, "mine")
    assert f"kept {settings}" in done.output


# --- over LSP -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    command = language_server.command()
    if command is None:
        pytest.skip(f"yaml-language-server is not installed: npm install --global {language_server.PACKAGE}")
    with LanguageServer(command) as server:
        yield server


def copied(fleets: list[Path], below: Path) -> dict[Path, tuple[Path, Path]]:
    """Copies of files, with the modeline above: a copy -> its fleet and the file."""
    schema = below / "fleet.schema.json"
    schema.write_text(json.dumps(SCHEMAS["fleet"]()))
    made = {}
    for number, fleet in enumerate(fleets):
        for path in files(fleet):
            copy = below / str(number) / path.name
            copy.parent.mkdir(exist_ok=True)
            text = path.read_text(encoding="utf-8")
            copy.write_text(f"# yaml-language-server: $schema={schema}\n{text}", encoding="utf-8")
            made[copy] = (fleet, path)
    return made


def errors_in(problems: tuple[Problem, ...], file: str) -> set[int]:
    return {each.where.line for each in problems if each.is_error and each.where and each.where.file == file}


def test_an_editor_marks_only_lines_that_validate_calls_errors(
    server: LanguageServer, tmp_path: Path
) -> None:
    copies = copied([*filter(is_readable, BAD), *EXAMPLES], tmp_path)
    shown = server.diagnostics(copies)
    marked = 0
    for copy, (fleet, path) in copies.items():
        wrong = errors_in(diagnose(fleet), path.relative_to(fleet).as_posix())
        # A value may stand on the line below its key. Lines of an editor count from 0, and the modeline is one more.
        near = wrong | {line + 1 for line in wrong}
        lines = {each["range"]["start"]["line"]: each["message"] for each in shown[copy]}
        assert lines.keys() <= near, (fleet.name, lines, wrong)
        marked += bool(lines)
    assert marked > 15


def test_an_editor_offers_words_with_what_they_mean(server: LanguageServer, tmp_path: Path) -> None:
    (tmp_path / "fleet.schema.json").write_text(json.dumps(SCHEMAS["fleet"]()))
    path = tmp_path / "fleet.yaml"
    path.write_text(
        "# yaml-language-server: $schema=fleet.schema.json\n"
        "fleet: a\nservice:\n  kind: \ndefaults:\n  properties:\n    tts:\n      vendor: \n    asr:\n"
        "      vendor: deepgram\n      params:\n        \n"
    )
    server.diagnostics([path])
    assert server.complete(path, 3, 8)["agora"] == "is the real service"
    assert server.complete(path, 7, 14)["elevenlabs"] == "ElevenLabs."
    assert "key" in server.complete(path, 11, 8)


def test_an_editor_has_nothing_to_say_of_what_init_writes(server: LanguageServer, begun: Path) -> None:
    assert all(not shown for shown in server.diagnostics(files(begun)).values())
    text = (begun / "fleet.yaml").read_text()
    wrong = begun / "again.yaml"
    wrong.write_text(text + "profils: {}\n")
    assert "profils" in server.diagnostics([wrong])[wrong][0]["message"]
