"""Which fleets and environments a change touches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from tests.codehosts.test_approved import git
from tests.codehosts.world import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A repository with three fleets, one below another, and what is none."""
    for path, text in {
        "README.md": "x",
        "fleets/hotels/fleet.yaml": "fleet: hotels\nenvironments: {prod: {}, test: {}}\n",
        "fleets/hotels/agents/a.yaml": "channels: []\n",
        "fleets/hotels/prompts/deep/p.md": "Be kind.\n",
        "fleets/hotels/inner/fleet.yaml": "fleet: inner\n",
        "fleets/bars/fleet.yaml": "fleet: bars\n",
        "fleets/broken/fleet.yaml": "fleet: [\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return Job(tmp_path)


def commit(directory: Path) -> None:
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "x")


def change(job: Job, path: str, text: str = "changed\n") -> None:
    (job.directory / path).parent.mkdir(parents=True, exist_ok=True)
    (job.directory / path).write_text(text, encoding="utf-8")
    commit(job.directory)


def found(job: Job, *arguments: str) -> list[str]:
    done = job.run("ci", "discover", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return [f"{each['directory']}:{each['environment']}" for each in json.loads(done.stdout)["include"]]


HOTELS = ["fleets/hotels:prod", "fleets/hotels:test"]
ALL = ["fleets/bars:", "fleets/broken:", *HOTELS, "fleets/hotels/inner:"]


@pytest.mark.parametrize(
    ("path", "touched"),
    [
        ("README.md", []),
        ("fleets/other/x.yaml", []),
        ("fleets/hotels/agents/a.yaml", HOTELS),
        ("fleets/hotels/prompts/deep/p.md", HOTELS),
        ("fleets/hotels/new.yaml", HOTELS),
        ("fleets/hotels/inner/x.md", [*HOTELS, "fleets/hotels/inner:"]),
        (".reconciler/policy.yaml", ALL),
        ("new/fleet.yaml", ["new:"]),
    ],
)
def test_a_change_touches_the_fleets_in_whose_directories_it_is(
    job: Job, path: str, touched: list[str]
) -> None:
    change(job, path)
    assert found(job, "--changed-since", "HEAD^") == touched


def test_everything_and_parts_of_it(job: Job) -> None:
    assert found(job) == ALL
    assert found(job, "--changed-since", "0" * 40) == ALL
    assert found(job, "--changed-since", "HEAD") == []
    assert found(job, "fleets/hotels", "fleets/bars/") == ["fleets/bars:", *HOTELS, "fleets/hotels/inner:"]
    assert found(job, "fleet") == []
    inside = Job(job.directory / "fleets" / "hotels")
    assert found(inside) == [".:prod", ".:test", "inner:"]
    assert found(inside, "../bars") == ["../bars:"]
    done = job.run("ci", "discover")
    rows = {each["directory"]: each for each in json.loads(done.stdout)["include"]}
    assert rows["fleets/bars"] == {
        "directory": "fleets/bars", "environment": "", "fleet": "bars", "name": "bars.-"
    }  # fmt: skip
    assert rows["fleets/broken"]["name"] == "fleets/broken"


def test_a_fleet_that_is_gone_is_not_forgotten(job: Job) -> None:
    git(job.directory, "rm", "-rq", "fleets/bars")
    commit(job.directory)
    done = job.run("ci", "discover", "--changed-since", "HEAD^")
    assert json.loads(done.stdout) == {"include": []}
    assert "the fleet in fleets/bars is gone from the files, and its agents go on" in done.stderr
    change(job, "\x1b[2J/fleet.yaml", "fleet: x\n")
    git(job.directory, "rm", "-rq", "\x1b[2J")
    commit(job.directory)
    assert "the fleet in \\u{1b}[2J is gone" in job.run("ci", "discover", "--changed-since", "HEAD^").stderr


@pytest.mark.parametrize("name", ["$(id)", "a b", "-rf", "x;y", "ä", "q\nr"])
def test_a_directory_that_means_something_to_a_shell_is_refused(job: Job, name: str) -> None:
    change(job, f"{name}/fleet.yaml", "fleet: x\n")
    done = job.run("ci", "discover", "--changed-since", "HEAD^")
    assert (done.returncode, done.stdout) == (1, "")
    assert "do not belong into the commands of a workflow" in done.stderr


def test_names_of_environments_are_names(job: Job) -> None:
    change(job, "evil/fleet.yaml", 'fleet: evil\nenvironments: {"$(id)": {}, prod: {}}\n')
    assert found(job, "--changed-since", "HEAD^") == ["evil:"]


def test_what_git_does_not_know_is_said(job: Job, tmp_path_factory: pytest.TempPathFactory) -> None:
    for revision in ("nowhere", "--output=x", ""):
        done = job.run("ci", "discover", "--changed-since", revision)
        assert done.returncode == 1
        assert "git knows no commit" in done.stderr
    assert "is not in this repository" in job.run("ci", "discover", "../..").stderr
    outside = Job(tmp_path_factory.mktemp("outside"))
    assert "git says: fatal: not a git repository" in outside.run("ci", "discover").stderr


@pytest.mark.parametrize("name", ["comment", "issue", "approved", "discover"])
def test_each_command_shows_how_it_is_called(name: str) -> None:
    shown = CliRunner().invoke(cli, ["ci", name, "--help"]).output
    assert f"reconciler ci {name} " in shown.partition("Options:")[0]
