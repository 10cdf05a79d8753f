"""The commands of `ci` as a job runs them: a process with the runner's variables, on a stand-in."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import main
from tests.codehosts import github, gitlab
from tests.codehosts.stand_in import serving

KEPT = ("PATH", "HOME", "PYTHONPATH", "LANG", "XDG_STATE_HOME", "TMPDIR", "COVERAGE_PROCESS_START")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Job:
    """One runner: its directory, its variables, and how it calls the program."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """What the program sees; an empty value takes a variable away."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {
            name: value for name, value in {**kept, "CI": "true", **self.variables, **more}.items() if value
        }

    def run(self, *arguments: object, **variables: str) -> Done:
        """Run a command line in this process: a start costs a second of a busy machine."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.directory)
            for name in tuple(os.environ):
                patch.delenv(name)
            for name, value in self.environment(**variables).items():
                patch.setenv(name, value)
            code = main.run([*map(str, arguments)])
        return Done(code, out.getvalue(), err.getvalue())

    def spawn(self, *arguments: object, **variables: str) -> Done:
        """Run a command line as a job does, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *map(str, arguments)],
            cwd=self.directory,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def event(self, event: dict[str, Any]) -> str:
        return str(self.write("event.json", json.dumps(event)))


@contextmanager
def github_job(directory: Path, world: github.GitHubWorld) -> Iterator[Job]:
    with serving(world) as address:
        job = Job(
            directory,
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": address,
                "GITHUB_REPOSITORY": github.REPOSITORY,
                "GITHUB_TOKEN": github.TOKEN,
                "GITHUB_RUN_ID": "4711",
            },
        )
        job.variables["GITHUB_EVENT_PATH"] = job.event({"pull_request": {"number": 7}})
        yield job


@contextmanager
def gitlab_job(directory: Path, world: gitlab.GitLabWorld) -> Iterator[Job]:
    with serving(world) as address:
        yield Job(
            directory,
            {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": address,
                "CI_PROJECT_ID": gitlab.PROJECT,
                "CI_MERGE_REQUEST_IID": "7",
                "GITLAB_TOKEN": gitlab.TOKEN,
                "CI_JOB_URL": "https://gitlab.example/acme/voice/-/jobs/11",
            },
        )


def plan_of(owner: str, text: str = "### Plan: 1 to join") -> str:
    return f"<!-- reconciler plan: {owner} -->\n\n{text}\n"


def drift_of(owner: str, text: str = "### Drift: 1 address is not as last applied") -> str:
    return f"<!-- reconciler drift: {owner} -->\n\n{text}\n"
