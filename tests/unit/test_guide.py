"""The guide for changes is true: a script makes each change in a copy of the tree, in exactly the files of its row.

Each change is made first without what the row's last column asks for, which a guard has to notice, and then whole: every
guard passes, and the command does something new. That a second provider needs its folder and one line is held beside its
contract (`contracts/test_second_provider.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / ".github" / "CONTRIBUTING.md"
COPIED = (
    ".github",
    "examples",
    "reconciler",
    "schemas",
    "tests",
    "CHANGELOG.md",
    "README.md",
    "pyproject.toml",
)
# Not needed by any guard below, and large.
LEFT = (
    "__pycache__",
    ".reconciler",
    "simulation",
    "benchmarks",
    "mutation",
    "fuzz",
    "real",
    "compare",
    "plans",
)
PROPERTIES = """\
    remote_rtc_uids: ["*"]
    llm: {url: "https://a.example/v1", api_key: ref+env://LLM, params: {model: m}}
    tts: {vendor: microsoft, params: {key: ref+env://TTS, region: eastus, voice_name: v}}
"""
FLEET = f"fleet: guide\ndefaults:\n  properties:\n{PROPERTIES}"


class Tree:
    """A copy of the project, in which a script makes a change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for each in COPIED:
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, root / each, ignore=shutil.ignore_patterns(*LEFT), symlinks=True)
            else:
                shutil.copy(ROOT / each, root / each)
        self._before = self._files()

    def insert(self, file: str, before: str, text: str) -> None:
        """Put a text before a place that the file has once."""
        path = self.root / file
        whole = path.read_text(encoding="utf-8")
        assert whole.count(before) == 1, f"{file}: the script of this test looks for {before!r}"
        path.write_text(whole.replace(before, text + before), encoding="utf-8")

    def create(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LLM": "a-value-of-one", "TTS": "a-value-of-two"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.root)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "pytest", "-q", "-x", "-p", "no:xdist", "--no-header", *arguments)

    def regenerate(self) -> None:
        """What the guide calls "regenerate the schemas"."""
        done = self.python("-m", "reconciler.cli.schemas", "schemas")
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str) -> str:
        """What a command that succeeds says on both streams."""
        done = self.python("-m", "reconciler", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def touched(self) -> set[str]:
        """The files that are not as they were."""
        after = self._files()
        return {each for each in self._before | after if self._before.get(each) != after.get(each)}

    def _files(self) -> dict[str, bytes]:
        made = ("__pycache__", ".hypothesis")
        paths = (path for path in self.root.rglob("*") if path.is_file() and not {*made} & {*path.parts})
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Change:
    """One row of the guide: its change as a script, the rest of its row, and what guards it."""

    row: str
    make: Callable[[Tree], None]
    finish: Callable[[Tree], None]
    guards: tuple[str, ...]
    works: Callable[[Tree], None]


# --- a vendor -------------------------------------------------------------------------------------------------

VENDOR = """
        vendor(
            "newcomer",
            "A newcomer",
            "its page",
            {"passphrase": API_KEY, "speaker": VOICE},
            needs="params.passphrase",
        ),"""
FACTS = """\
 "newcomer": {"where": "worldwide", "required": ["params.passphrase"],
  "minimum": {"vendor": "newcomer", "params": {"passphrase": "x"}}},
"""


def add_vendor(tree: Tree) -> None:
    tree.insert("reconciler/contract/agora/tts.py", '\n        vendor(\n            "humeai",', VENDOR)


def finish_vendor(tree: Tree) -> None:
    tree.insert("tests/unit/contract/data/vendor_facts.json", ' "humeai": {', FACTS)
    tree.regenerate()


def vendor_works(tree: Tree) -> None:
    voice = "tts: {vendor: newcomer, params: {region: null, key: null, voice_name: null, passphrase: ref+env://TTS}}"
    agents = f"agents: [{{name: desk, properties: {{{voice}}}}}]"
    tree.create("fleet/fleet.yaml", f"{FLEET}channels: [{{channel: lobby, {agents}}}]\n")
    assert "warning" not in tree.run("validate", "fleet")
    tree.run("apply", "fleet", "--auto-approve")
    tree.create(
        "fleet/fleet.yaml",
        f"{FLEET}channels: [{{channel: lobby, {agents}}}]\n".replace("ref+env://TTS}}", "open}}"),
    )
    assert "literal-secret" in tree.python("-m", "reconciler", "validate", "fleet").stdout


# --- a property of the service --------------------------------------------------------------------------------


def add_field(tree: Tree) -> None:
    tree.insert(
        "reconciler/contract/agora/properties.py",
        '        "idle_timeout": whole(',
        '        "ring_tone": words("What is heard before the agent speaks.", "none", "soft"),\n',
    )


def finish_field(tree: Tree) -> None:
    tree.insert(
        "schemas/agora/join.json",
        '        "idle_timeout"',
        '        "ring_tone": {"type": "string", "enum": ["none", "soft"]},\n',
    )
    tree.regenerate()


def field_works(tree: Tree) -> None:
    text = f"{FLEET}    ring_tone: soft\nchannels: [{{channel: lobby, agents: [{{name: desk}}]}}]\n"
    tree.create("fleet/fleet.yaml", text)
    assert "warning" not in tree.run("validate", "fleet")
    tree.run("apply", "fleet", "--auto-approve")
    tree.create("fleet/fleet.yaml", text.replace("soft", "loud"))
    done = tree.python("-m", "reconciler", "validate", "fleet")
    assert done.returncode == 1
    assert "ring_tone" in done.stdout


# --- a key of our own -----------------------------------------------------------------------------------------


def add_key(tree: Tree) -> None:
    tree.insert(
        "reconciler/config/keys.py",
        '        "ignore_changes": Key(',
        '        "night_only": Key(SWITCH, "it is heard at night only", "`false`"),\n',
    )
    tree.insert(
        "reconciler/model/spec.py",
        "    ignore_changes: tuple[Path, ...] = ()\n",
        "    night_only: bool = False\n",
    )


def finish_key(tree: Tree) -> None:
    tree.regenerate()
    tree.pytest("--update-golden", "tests/unit/config/test_keys.py")


def key_works(tree: Tree) -> None:
    text = (
        f"{FLEET}channels: [{{channel: lobby, agents: [{{name: desk, lifecycle: {{night_only: true}}}}]}}]\n"
    )
    tree.create("fleet/fleet.yaml", text)
    assert "night_only: true" in tree.run("render", "fleet")
    tree.create("fleet/fleet.yaml", text.replace("true", '"{{ 1 }}"'))
    done = tree.python("-m", "reconciler", "validate", "fleet")
    assert "not-boolean" in done.stdout


# --- a rule ---------------------------------------------------------------------------------------------------

RULE = '''

@agent_rule()
def paused_and_protected(subject: Subject) -> Iterator[Problem]:
    """An agent that is to be absent needs no protection."""
    if subject.spec.lifecycle.paused and subject.spec.lifecycle.protect:
        yield warning(
            "paused-and-protected", "a paused agent is protected", ("lifecycle", "protect"), "remove one of the two"
        )
'''


EXPLAINED = ("tests/unit/config/test_bad_fleets.py", "tests/unit/config/test_explained.py")


def add_rule(tree: Tree) -> None:
    tree.insert("reconciler/config/rules/lifecycle.py", "\n\ndef _meant(", RULE)
    tree.insert(
        "reconciler/config/rules/catalogue.py",
        '    "preset-twice":',
        '    "paused-and-protected": "an agent that is to be absent needs no protection",\n',
    )


def finish_rule(tree: Tree) -> None:
    case = "tests/bad_fleets/paused-and-protected"
    agents = "agents: [{name: desk, lifecycle: {paused: true, protect: true}}]"
    tree.create(f"{case}/fleet.yaml", f"{FLEET}channels:\n  - channel: lobby\n    {agents}\n")
    tree.create(f"{case}/expected.txt", "")
    tree.pytest("--update-golden", *EXPLAINED, "-k", "paused-and-protected or examples_are")


def rule_works(tree: Tree) -> None:
    told = (tree.root / "tests/bad_fleets/paused-and-protected/expected.txt").read_text(encoding="utf-8")
    assert told.startswith("warning fleet.yaml:9:")
    assert "paused-and-protected (lifecycle.protect)" in told


# --- a command ------------------------------------------------------------------------------------------------

VERB = '''"""The verb that counts."""

from __future__ import annotations

from reconciler.workflow.job import Job


def count(job: Job) -> int:
    """The number of agents that the files want."""
    return len(job.fleet.agents)
'''
COMMAND = '''@click.command("count")
@options.fleet_options
@options.output_options
def count(fleet: options.FleetFlags, output: Output) -> None:
    """Say how many agents the files want.

    \\b
    reconciler count hotels
    """
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.workflow import counting

    with wiring.open_session(fleet, output) as session:
        output.result(f"{counting.count(make_job(session, Flags()))} agents")


'''


def add_command(tree: Tree) -> None:
    tree.create("reconciler/workflow/counting.py", VERB)
    tree.insert("reconciler/cli/commands/look.py", '@click.command("show"', COMMAND)
    tree.insert(
        "reconciler/cli/commands/__init__.py",
        '    Command("simulator",',
        '    Command("count", "look", "Say how many agents the files want."),\n',
    )


def finish_command(tree: Tree) -> None:
    tree.insert("README.md", "`drift` `status` `show`", "`count` ")


def command_works(tree: Tree) -> None:
    agents = "[{name: desk}, {name: door}]"
    tree.create("fleet/fleet.yaml", f"{FLEET}channels: [{{channel: lobby, agents: {agents}}}]\n")
    assert "2 agents" in tree.run("count", "fleet")


# --- a format -------------------------------------------------------------------------------------------------

FORMAT = '''"""The format `count`: a number."""

from __future__ import annotations

from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked


def render_problems(value: Checked, options: RenderOptions) -> str:
    """How many problems there are."""
    return f"{len(value.diagnostics)} problems\\n"
'''


def add_format(tree: Tree) -> None:
    tree.create("reconciler/report/count.py", FORMAT)
    line = '    Format("count", {_K.PROBLEMS: "count.render_problems"}),\n'
    tree.insert("reconciler/report/formats.py", ")\n\n\ndef formats_for(", line)


def finish_format(tree: Tree) -> None:
    tree.insert("tests/unit/report/test_formats.py", "]\n    assert listed[ReportKind.STATUS]", ', "count"')


def format_works(tree: Tree) -> None:
    tree.create("fleet/fleet.yaml", f"{FLEET}channels: [{{channel: lobby, agents: [{{name: desk}}]}}]\n")
    assert tree.run("validate", "fleet", "--format", "count") == "0 problems\n"


# --- the guide ------------------------------------------------------------------------------------------------

SCHEMA = "tests/unit/config/test_schema.py"
COMMANDS = ("tests/test_architecture.py", "-k", "explains or readme or every_command or only_wires")
CHANGES = (
    Change(
        "a vendor", add_vendor, finish_vendor, (SCHEMA, "tests/unit/contract/test_vendors.py"), vendor_works
    ),
    Change(
        "a property of the service",
        add_field,
        finish_field,
        (SCHEMA, "tests/simulator/test_two_catalogues.py", "tests/unit/contract/test_properties.py"),
        field_works,
    ),
    Change(
        "a key of our own",
        add_key,
        finish_key,
        (SCHEMA, "tests/unit/config/test_keys.py"),
        key_works,
    ),
    Change(
        "a validation rule",
        add_rule,
        finish_rule,
        (*EXPLAINED, "-k", "every or catalogue or paused or examples_are"),
        rule_works,
    ),
    Change("a command", add_command, finish_command, COMMANDS, command_works),
    Change(
        "an output format", add_format, finish_format, ("tests/unit/report/test_formats.py",), format_works
    ),
)


def row_of(change: str) -> tuple[str, str]:
    """What the guide says to touch, and what else."""
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] == change:
            return cells[1], cells[2]
    raise AssertionError(f"the guide has no row for {change}")


# Places that a row names in words.
NAMED = {"regenerate": "schemas/*.schema.json", "the README's row": "README.md"}


def patterns(cell: str) -> set[str]:
    """The places that a cell of the guide names, as patterns of paths below the root; what is in brackets is no place."""
    cell = re.sub(r"\([^)]*\)", "", cell)
    found = {place for words, place in NAMED.items() if words in cell}
    for place in re.findall(r"`([\w./<>-]*[/.][\w./<>-]*)`", cell):
        pattern = re.sub(r"<\w+>", "*", place) + ("*" if place.endswith("/") else "")
        inside = (ROOT / "reconciler" / pattern.split("/")[0]).exists()
        found.add(f"reconciler/{pattern}" if inside else pattern)
    return found


@pytest.mark.timeout(400)  # it starts pytest several times
@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.row)
def test_a_change_is_made_where_the_guide_says(change: Change, tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    change.make(tree)
    noticed = tree.pytest(*change.guards)
    assert noticed.returncode == 1, f"no guard asks for the rest of the row:\n{noticed.stdout}"
    change.finish(tree)

    touch, besides = map(patterns, row_of(change.row))
    touched = tree.touched()
    strangers = {each for each in touched if not any(fnmatchcase(each, at) for at in touch | besides)}
    assert strangers == set(), f"the row names {sorted(touch | besides)}"
    idle = {at for at in touch | besides if not any(fnmatchcase(each, at) for each in touched)}
    assert idle == set(), f"the row names more than this change needs; touched were {sorted(touched)}"

    guarded = tree.pytest(*change.guards)
    assert guarded.returncode == 0, guarded.stdout
    change.works(tree)


# --- the picture of the modules -------------------------------------------------------------------------------


def test_the_picture_of_the_modules_is_what_the_import_contracts_hold() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["containers"] == ["reconciler"])
    picture = re.search(
        r"<!-- the modules -->\n\n```\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert picture is not None
    rows = [line.split("  ")[0].strip() for line in picture[1].splitlines() if not line.startswith(" ")]
    assert rows == layers
    without_io = next(each["source_modules"] for each in contracts if each["name"] == "The core does no I/O")
    marked = {
        f"reconciler.{module}"
        for line in picture[1].splitlines()
        if "no I/O" in line
        for module in line.split("  ")[0].split(" | ")
    }
    assert marked == set(without_io)


def test_every_module_is_in_the_picture_and_in_both_tables() -> None:
    package = ROOT / "reconciler"
    modules = {
        each.stem for each in package.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()
    }
    modules -= {"__init__", "__main__"}
    guide = GUIDE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`[^|]+`) \|", guide, re.MULTILINE)
    assert modules == {Path(name).stem for cell in listed for name in re.findall(r"`([\w.]+)/?`", cell)}
    guarded = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", guarded, re.MULTILINE)
    named = {re.split(r"[/.]", name)[0] for cell, _ in rows for name in re.findall(r"`([^`]+)`", cell)}
    assert modules <= named
    for _, cell in rows:
        for place in re.findall(r"`([^`]+)`", cell):
            assert list((ROOT / "tests").glob(place)), f"tests/README.md names {place}"
