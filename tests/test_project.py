"""The project around the package: one version everywhere, complete releases, and files fit to be published."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import reconciler
from reconciler.cli import main

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / ".ci" / "requirements.txt").read_text(encoding="utf-8")


def tracked() -> list[Path]:
    """What is published: the files that git knows, or all that it would take in."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for each in done.stdout.split("\0") if each and (path := ROOT / each).is_file()]


# --- version --------------------------------------------------------------------------------------------------


def test_one_version() -> None:
    assert PROJECT["project"]["version"] == reconciler.__version__
    head = rf"^## \[{re.escape(reconciler.__version__)}\] - (unreleased|\d{{4}}-\d\d-\d\d)$"
    assert re.search(head, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_license_is_there() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


# --- dependencies ---------------------------------------------------------------------------------------------


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_has_every_dependency_pinned_and_hashed() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    names = {normalised(re.split(r"[^A-Za-z0-9._-]", each)[0]) for each in wanted}
    entries = [each for each in re.split(r"\n(?=[a-z])", LOCK) if not each.startswith("#")]
    locked = {each.partition("==")[0] for each in entries}
    assert names <= locked, "run .ci/lock --keep"
    assert all("--hash=sha256:" in each for each in entries)
    assert not re.search(r"://|^-|@ ", LOCK, re.MULTILINE), "a lock names packages, not places"


# --- what CI runs ---------------------------------------------------------------------------------------------


def test_ci_runs_what_is_supported() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    versions = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
    for version in versions:
        assert f"Programming Language :: Python :: {version}" in PROJECT["project"]["classifiers"]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


# --- what is published ----------------------------------------------------------------------------------------

# Spelled in pieces, or this file would be the first to fail.
PLACES = re.compile(
    "|".join(
        (
            r"\.\./" + "shared",
            r"(?<![\w.-])/" + r"work/(main|shared|venv|\.library)",
            "/root/" + r"\.",
            "/opt/" + "(pypi|wheels)",
            r"(files\.pythonhosted|(?<!test\.)py" + r"pi)\.org",
            r"\b(product|architecture|reliability|field-notes|performance|agora-" + r"api)\.md\b",
        )
    )
)


def test_nothing_names_the_place_where_it_was_made() -> None:
    found: list[str] = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if PLACES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_links_between_pages_lead_somewhere() -> None:
    broken: list[str] = []
    for path in tracked():
        if path.suffix != ".md" or "golden" in path.parts:
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    schemas = {path.name for path in (ROOT / "schemas" / "agora").glob("*.json")}
    assert schemas
    assert {f"reconciler/simulator/schemas/{each}" for each in schemas} <= names
    assert {"reconciler/py.typed", "reconciler/config/rules/examples.txt"} <= names
    assert any(each.endswith("/licenses/LICENSE") for each in names)
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "reconciler").rglob("*.py")}
    assert modules <= names
    assert not [each for each in names if each.startswith(("tests/", "examples/"))]


# --- for other people's machines ------------------------------------------------------------------------------

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def copied_into_the_image() -> list[str]:
    lines = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [each for words in lines if not words[0].startswith("--") for each in words[:-1]]


def test_the_image_is_built_of_files_that_there_are(tmp_path: Path) -> None:
    """Of what the Dockerfile copies, and nothing else, the wheel is built."""
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    sources = copied_into_the_image()
    assert len(sources) >= 6
    for source in sources:
        assert f"!{source}\n" in let_in, f".dockerignore keeps {source} out"
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / source).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / source)
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(list(tmp_path.glob("dist/*.whl"))) == 1


def test_the_image_is_slim_hashed_and_nobodys_root() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(each.endswith("-slim") for each in images)
    assert all(
        "--require-hashes" in line or "--no-index" in line
        for line in re.findall(r"pip (?:install|download).*", DOCKERFILE)
    )
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert "USER reconciler\n" in last
    assert last.index("USER ") < last.index("ENTRYPOINT")
    command = re.search(r"^CMD (\[.*\])$", last, re.MULTILINE)
    assert command is not None
    words = json.loads(command[1])
    assert isinstance(main.cli, main.LazyGroup)
    chosen = main.cli.get_command(click.Context(main.cli), words[0])
    assert chosen is not None
    chosen.make_context(words[0], words[1:])


def test_the_hook_for_a_fleets_repository_is_one() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["pass_filenames"] is False
    for name in ("fleet.yaml", "agents/a.yml", "agents/b.yaml.j2", "data/hotels.csv", "prompts/x.md"):
        assert re.search(hook["files"], name)
    done = subprocess.run(
        [sys.executable, "-m", *hook["entry"].split(), "examples/single-agent"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    pytest.importorskip("pre_commit")
    checked = [sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml"]
    assert subprocess.run(checked, cwd=ROOT, capture_output=True, check=False).returncode == 0
