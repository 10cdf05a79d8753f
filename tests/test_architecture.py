"""The drawing of the house, kept: floors, exit codes, commands, schemas, and what may be imported when."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli.commands import COMMANDS
from reconciler.cli.main import LazyGroup, cli
from reconciler.contract.agora.properties import PROPERTIES
from reconciler.contract.kinds import FieldType
from reconciler.errors import ExitCode, ReconcilerError

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = ("contract", "secrets", "model", "ports.py", "plan", "observe.py", "apply", "workflow", "controller")
PURE = (*CORE, "config", "report", "providers", "durations.py", "services.py")
# Templates run in a child process: the worker that watches it needs a clock, the child empties its environment.
WORKER = "config/templates/worker.py"
CHILD = "config/templates/child.py"
# git gets an environment without the service's credentials.
GIT = "git.py"

# Longer than the house likes, each for a reason that a reviewer has accepted.
LONG = {
    "contract/agora/tts.py": "a row for each vendor",
    "ports.py": "every effect and every port, in one place",
}
LIMIT = 350
COMMAND_LIMIT = 70
HEAVY = frozenset({"asyncio", "deepdiff", "httpx", "jinja2", "pydantic", "rich", "ssl", "uvicorn", "yaml"})


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def is_in(path: Path, rooms: tuple[str, ...]) -> bool:
    return name(path).split("/")[0] in rooms


def run_python(program: str, *arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- floors ---------------------------------------------------------------------------------------------------


def check_contracts(directory: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(cache_dir=None, no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, check=False
    )


def test_imports_point_downwards() -> None:
    done = check_contracts(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("plan/diff.py", "import time", "The core does no I/O"),
        (
            "plan/decide.py",
            "from reconciler.state import local",
            "A module imports only from the layers below",
        ),
        ("model/fleet.py", "import reconciler.ports", "A module imports only from the layers below"),
        (
            "contract/rows.py",
            "from reconciler.model import tree",
            "A module imports only from the layers below",
        ),
        (
            "report/text.py",
            "from reconciler.providers.agora import wire",
            "A module imports only from the layers below",
        ),
        ("providers/agora/client.py", "import httpx", "The client is sans-I/O"),
        (
            "cli/wiring.py",
            "from reconciler.providers.agora.settings import BASE_URL",
            "A service's adapter is known by its registry line alone",
        ),
        (
            "simulator/world.py",
            "from reconciler.model import tree",
            "The simulator is an independent witness",
        ),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, module: str, statement: str, contract: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "reconciler" / module
    text = planted.read_text(encoding="utf-8")
    planted.write_text(f"{text}\n{statement}\n", encoding="utf-8")
    done = check_contracts(tmp_path)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(contract in line for line in broken), done.stdout


def test_only_the_contract_names_a_vendors_fields() -> None:
    """A vendor is a row: whoever names its fields elsewhere has begun a second table."""
    own, params = set(), set()
    for field, is_param in field_names(PROPERTIES):
        (params if is_param else own).add(field)
    # One everyday word may mean anything; App IDs are Agora's own.
    telling = {each for each in params - own - {"app_id"} if re.search(r"_|[a-z][A-Z]", each)}
    assert len(telling) > 100
    for path in MODULES:
        if not is_in(path, ("contract", "providers", "simulator")):
            named = {
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert named & telling == set(), f"{name(path)}: read it from contract/"


def field_names(kind: FieldType, is_param: bool = False) -> Iterator[tuple[str, bool]]:
    """Every key that the tables know, with whether it is a vendor's own."""
    for variant in kind.variants.values():
        yield from field_names(variant, is_param)
    for label, field in kind.fields.items():
        yield label, is_param
        yield from field_names(field, is_param or label == "params")
    if kind.inner is not None:
        yield from field_names(kind.inner, is_param)


# --- modules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not text.strip(), "the docstring is the module's charter"
    lines = len(text.splitlines())
    assert lines <= LIMIT or name(path) in LONG, f"{lines} lines: split it, or name it in LONG with a reason"
    for call, line in calls(tree):
        assert call != "print" or is_in(path, ("cli",)), f"line {line}: only cli/ writes to a stream"
        is_free = call not in CLOCKS or not is_in(path, PURE) or name(path) == WORKER
        assert is_free, f"line {line}: time is an effect (ports.Now)"
    for attribute, line in attributes(tree):
        assert attribute != "os.environ" or is_in(path, ("cli",)) or name(path) in (CHILD, GIT), (
            f"line {line}: only cli/ reads the environment"
        )


CLOCKS = frozenset(
    {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "time.time",
        "time.monotonic",
        "time.sleep",
    }
)


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ".".join(ast.unparse(node.func).split(".")[-2:]), node.lineno


def attributes(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def test_what_is_named_as_long_is_long() -> None:
    short = [each for each in LONG if len((PACKAGE / each).read_text(encoding="utf-8").splitlines()) <= LIMIT]
    assert short == []


# --- names ----------------------------------------------------------------------------------------------------


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name(path))
    twice = {each: found for each, found in places.items() if len(found) > 1}
    assert twice == {}, "one word for one thing"


# --- exit codes -----------------------------------------------------------------------------------------------

PUBLISHED = {"StalePlan": 3, "StateLocked": 4, "Refused": 5}


def subclasses(kind: type[ReconcilerError]) -> Iterator[type[ReconcilerError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def all_errors() -> dict[str, type[ReconcilerError]]:
    for path in MODULES:
        if path.name != "__main__.py":
            importlib.import_module(
                "reconciler." + name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            )
    return {each.__name__: each for each in subclasses(ReconcilerError)}


def test_exit_codes_are_as_published() -> None:
    for label, kind in all_errors().items():
        assert kind.exit_code == PUBLISHED.get(label, 1), label
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "ERROR": 1,
        "CHANGES": 2,
        "STALE": 3,
        "LOCKED": 4,
        "REFUSED": 5,
        "INCOMPLETE": 6,
    }


def test_the_tree_of_errors_is_drawn() -> None:
    drawing = importlib.import_module("reconciler.errors").__doc__ or ""
    published = {
        label: kind for label, kind in all_errors().items() if kind.__module__ == "reconciler.errors"
    }
    for label, kind in published.items():
        assert re.search(rf"\b{label}\s+{int(kind.exit_code)}\b", drawing), f"draw {label} in errors.py"
    rules = [kind.rule for kind in published.values()]
    assert len(set(rules)) == len(rules), "an error's rule is its name for users"


def test_usage_errors_exit_1() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "plan", "--no-such-flag"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--no-such-flag" in done.stderr


# --- commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [each.name for each in COMMANDS])
def test_a_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    example = rf"^  reconciler {command}\b"
    assert re.search(example, shown.output, re.MULTILINE), "its help shows how it is called"
    overview = CliRunner().invoke(cli, ["--help"]).output
    assert re.search(rf"^  {command} ", overview, re.MULTILINE)


def test_the_readme_has_a_row_for_each_group_of_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| command | |\n|---|---|\n")
    rows = [re.findall(r"`([a-z]+)`", row.split("|")[1]) for row in table.partition("\n\n")[0].splitlines()]
    groups: dict[str, list[str]] = {}
    for each in COMMANDS:
        groups.setdefault(each.group, []).append(each.name)
    assert sorted(map(sorted, rows)) == sorted(map(sorted, groups.values()))


COMMAND_FILES = sorted((PACKAGE / "cli" / "commands").glob("[a-z]*.py"))


def test_every_command_is_in_the_file_of_its_group_and_nothing_else_is() -> None:
    found = {
        (path.stem, each.name)
        for path in COMMAND_FILES
        for each in vars(importlib.import_module(f"reconciler.cli.commands.{path.stem}")).values()
        if isinstance(each, click.Command)
    }
    inside = {
        (path.stem, name)
        for path in COMMAND_FILES
        for group in vars(importlib.import_module(f"reconciler.cli.commands.{path.stem}")).values()
        if isinstance(group, click.Group)
        for name in group.commands
    }
    assert found - inside == {(each.group, each.name) for each in COMMANDS}
    assert isinstance(cli, LazyGroup)


@pytest.mark.parametrize("path", COMMAND_FILES, ids=lambda path: path.stem)
def test_a_command_only_wires(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            begin = min(each.lineno for each in (node, *node.decorator_list))
            assert (node.end_lineno or 0) - begin < COMMAND_LIMIT, node.name


# --- what is imported when ------------------------------------------------------------------------------------


def imported(*arguments: str, cwd: Path = ROOT) -> set[str]:
    """The top-level packages that a command line has imported when it ends."""
    program = (
        "import contextlib, io, json, sys; from reconciler.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()): code = run(sys.argv[1:])\n"
        "names = [name for name, module in sys.modules.items() if module is not None]  # None: it cannot be imported\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in names})]))"
    )
    code, names = json.loads(run_python(program, *arguments, cwd=cwd))
    assert code == 0, arguments
    return set(names)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["plan", "--help"], ["apply", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    assert imported(*arguments) & HEAVY == set()


def test_a_plan_imports_what_it_needs(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    shutil.copytree(ROOT / "examples" / "single-agent", fleet)
    assert imported("apply", str(fleet), "--auto-approve", "--quiet") & {"httpx", "pydantic", "rich"} == set()
    unchanged = imported("plan", str(fleet), "--detailed-exitcode")
    assert unchanged & {"deepdiff", "httpx", "pydantic", "rich", "uvicorn"} == set()


def test_what_sends_requests_imports_no_command_line() -> None:
    """httpx has one of its own, whose imports take longer than the rest of httpx where rich is installed."""
    program = "import sys, reconciler.driver.http; print(*{each.partition('.')[0] for each in sys.modules})"
    assert set(run_python(program).split()) & {"click", "pygments", "rich"} == set()


def test_importing_has_no_effects() -> None:
    program = """
import importlib, pkgutil, sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}:
        raise RuntimeError(f"{event} while importing")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise RuntimeError(f"{arguments[0]} is written while importing")

sys.dont_write_bytecode = True
import reconciler
sys.addaudithook(refuse)
for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    run_python(program)


# --- schemas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["fleet", "rendered", "plan", "state"])
def test_a_published_schema_is_fresh(schema: str) -> None:
    printed = CliRunner().invoke(cli, ["schema", schema])
    assert printed.exit_code == 0
    stored = ROOT / "schemas" / f"{schema}.schema.json"
    assert stored.read_text(encoding="utf-8") == printed.output, (
        "run: python -m reconciler.cli.schemas schemas"
    )


def test_every_published_schema_is_printed() -> None:
    schemas = importlib.import_module("reconciler.cli.schemas").SCHEMAS
    assert {path.name for path in (ROOT / "schemas").glob("*.json")} == {
        f"{each}.schema.json" for each in schemas
    }
    ids = [json.loads(path.read_bytes())["$id"] for path in sorted((ROOT / "schemas").glob("*.json"))]
    assert len(set(ids)) == len(ids)
    # Nobody can be asked for them, and nobody can take the name.
    assert all(re.fullmatch(r"https://[\w-]+\.example/schemas/\w+\.schema\.json", each) for each in ids)
