"""GitHub's runner, as far as our workflows need one: it runs the very `run:` lines of the files that users call.

Each job gets a machine of its own (a workspace, a home, a temporary directory); checkouts, artifacts, outputs, `if:`,
`needs:` and matrices are done here, everything else by bash.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.scenarios.github_expressions import Expressions

ROOT = Path(__file__).parents[2]
KEPT = ("LANG", "PYTHONPATH", "TMPDIR", "COVERAGE_PROCESS_START")


@cache
def no_network() -> tuple[str, ...]:
    """What starts a command without any network interface; nothing where the machine does not permit that."""
    command = ("unshare", "--map-root-user", "--net")
    try:
        works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return command if works else ()


@dataclass
class Ran:
    """One job's run: how it ended, what it logged, its page, its outputs, and each step's script."""

    result: str = "success"
    log: str = ""
    page: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Runner:
    """Runs workflows of this repository for a repository on a code host.

    `remote` is its URL, `api` the code host's API. `machine` are variables that every machine has, `hide` those that
    are looked for in everything that is logged.
    """

    root: Path
    remote: str
    api: str
    repository: str
    token: str
    machine: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def run(
        self,
        workflow: str,
        event_name: str,
        event: Mapping[str, Any],
        *,
        ref: str,
        secrets: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        known: Mapping[str, list[Ran]] | None = None,
    ) -> dict[str, list[Ran]]:
        """Run a reusable workflow as a caller's event starts it; each job's runs, in a list for a matrix.

        A job whose runs are `known` is not run again.
        """
        document = yaml.safe_load(
            (ROOT / ".github/workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
        )
        context = self._context(event_name, event, ref, secrets or {}, self._inputs(document, inputs or {}))
        runs: dict[str, list[Ran]] = {}
        for name, job in document["jobs"].items():
            if name in (known or {}):
                runs[name] = known[name]
                continue
            needs = job.get("needs", [])
            needs = [needs] if isinstance(needs, str) else needs
            context["needs"] = {each: _need(runs[each]) for each in needs}
            failed = any(value["result"] != "success" for value in context["needs"].values())
            if not Expressions(context, failed=failed).holds(job.get("if", "success()")):
                runs[name] = [Ran("skipped")]
                continue
            rows = [{}]
            if "strategy" in job:
                rows = json.loads(json.dumps(Expressions(context).value(job["strategy"]["matrix"])))[
                    "include"
                ]
            runs[name] = [
                self._job(
                    document,
                    name,
                    job,
                    {**context, "matrix": row, "strategy": {"job-index": index}},
                )
                for index, row in enumerate(rows)
            ]
        return runs

    def _context(
        self,
        event_name: str,
        event: Mapping[str, Any],
        ref: str,
        secrets: Mapping[str, str],
        inputs: Mapping[str, str],
    ) -> dict[str, Any]:
        commit = subprocess.run(
            ["git", "ls-remote", self.remote, ref], capture_output=True, text=True, check=True
        ).stdout.partition("\t")[0]
        github = {
            "event_name": event_name,
            "event": {"repository": {"default_branch": "main"}, **event},
            "repository": self.repository,
            "repository_id": "1",
            "ref": ref,
            "ref_name": ref.removeprefix("refs/heads/"),
            "sha": commit,
            "token": self.token,
            "server_url": "https://github.example",
            "run_id": str(next(self.numbers)),
        }
        return {"github": github, "secrets": secrets, "inputs": inputs}

    @staticmethod
    def _inputs(document: Mapping[Any, Any], given: Mapping[str, str]) -> dict[str, str]:
        declared = (document[True]["workflow_call"] or {}).get("inputs", {})
        assert set(given) <= set(declared)
        return {name: given.get(name, each.get("default", "")) for name, each in declared.items()}

    def _job(
        self,
        document: Mapping[str, Any],
        name: str,
        job: Mapping[str, Any],
        context: dict[str, Any],
    ) -> Ran:
        machine = (
            self.root / f"run-{context['github']['run_id']}" / f"{name}-{context['strategy']['job-index']}"
        )
        for each in ("workspace", "temp", "home"):
            (machine / each).mkdir(parents=True)
        (machine / "event.json").write_text(json.dumps(context["github"]["event"]), encoding="utf-8")
        context = {**context, "runner": {"temp": str(machine / "temp")}, "steps": {}}
        ran = Ran()
        for number, step in enumerate(job["steps"]):
            failed = ran.result == "failure"
            expressions = Expressions(context, failed=failed)
            if not expressions.holds(step.get("if", "success()")):
                continue
            if "run" in step:
                variables = {**document.get("env", {}), **step.get("env", {})}
                done = self._bash(
                    machine, number, step, {k: expressions.text(v) for k, v in variables.items()}, context
                )
                ran.log += done.stdout
                ran.result = "failure" if failed or done.returncode else "success"
            else:
                self._uses(
                    machine, step["uses"].partition("@")[0], expressions.all_of(step.get("with", {})), context
                )
            outputs = _outputs(machine / "output")
            context["steps"][step.get("id", "")] = {"outputs": outputs}
            ran.steps[step.get("id", step.get("name", ""))] = outputs
        ran.page = (machine / "page").read_text(encoding="utf-8") if (machine / "page").exists() else ""
        ran.outputs = {key: Expressions(context).text(value) for key, value in job.get("outputs", {}).items()}
        for value in self.hidden:
            shown = ran.log.replace(f"::add-mask::{value}", "") + ran.page
            assert value not in shown, f"{name} shows a secret"
        return ran

    def _bash(
        self,
        machine: Path,
        number: int,
        step: Mapping[str, Any],
        given: Mapping[str, str],
        context: Mapping[str, Any],
    ) -> subprocess.CompletedProcess[str]:
        """Run a step's script as `shell: bash` does. The one that plans has no network at all, where that is permitted."""
        script = machine / f"step-{number}.sh"
        script.write_text(step["run"], encoding="utf-8")
        (machine / "output").write_text("", encoding="utf-8")
        github = context["github"]
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{self.root / 'bin'}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
            "HOME": str(machine / "home"),
            "CI": "true",
            "NO_PROXY": "127.0.0.1",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.api,
            "GITHUB_EVENT_NAME": github["event_name"],
            "GITHUB_EVENT_PATH": str(machine / "event.json"),
            "GITHUB_OUTPUT": str(machine / "output"),
            "GITHUB_REF": github["ref"],
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_RUN_ID": github["run_id"],
            "GITHUB_SERVER_URL": github["server_url"],
            "GITHUB_SHA": github["sha"],
            "GITHUB_STEP_SUMMARY": str(machine / "page"),
            "RUNNER_TEMP": str(machine / "temp"),
            **self.machine,
            **given,
        }
        alone = no_network() if step.get("name") == "Plan" and "git fetch" not in step["run"] else ()
        return subprocess.run(
            [*alone, "bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=machine / "workspace",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )

    # --- actions

    def _uses(self, machine: Path, action: str, given: Mapping[str, str], context: Mapping[str, Any]) -> None:
        artifacts = self.root / f"run-{context['github']['run_id']}" / "artifacts"
        match action:
            case "$/.github/install":
                pass  # the command is on the PATH
            case "actions/checkout":
                self._checkout(
                    machine / "workspace", context["github"]["ref"], int(given.get("fetch-depth", "1"))
                )
            case "actions/upload-artifact":
                source = Path(given["path"])
                if source.is_dir():
                    shutil.copytree(source, artifacts / given["name"])
                elif source.exists() or given.get("if-no-files-found") == "error":
                    (artifacts / given["name"]).mkdir(parents=True)
                    shutil.copy(source, artifacts / given["name"])
            case "actions/download-artifact":
                there = Path(given["path"])
                if "name" in given:
                    shutil.copytree(artifacts / given["name"], there)
                else:
                    names = sorted(artifacts.iterdir()) if artifacts.exists() else []
                    for each in names:
                        if fnmatch(each.name, given["pattern"]):
                            shutil.copytree(each, there / each.name)
            case _:
                raise AssertionError(f"no stand-in for {action}")

    def _checkout(self, workspace: Path, ref: str, depth: int) -> None:
        """What actions/checkout leaves: one ref, detached or as its branch, and no credentials."""
        git(workspace, "init", "-q")
        git(workspace, "remote", "add", "origin", self.remote)
        short = [f"--depth={depth}"] if depth else []
        branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
        local = f"refs/remotes/origin/{branch}" if branch else f"refs/remotes/{ref.removeprefix('refs/')}"
        git(workspace, "fetch", "-q", "--no-tags", *short, "origin", f"+{ref}:{local}")
        where = ["-q", "-B", branch, local] if branch else ["-q", "--detach", local]
        git(workspace, "checkout", *where)


def git(directory: Path, *arguments: str) -> str:
    """git with an identity, and nobody's configuration; what it prints."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=A person", "-c", "user.email=person@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.strip()


def _need(runs: list[Ran]) -> dict[str, Any]:
    results = {each.result for each in runs}
    worst = next((each for each in ("failure", "skipped") if each in results), "success")
    return {"result": worst, "outputs": {key: value for each in runs for key, value in each.outputs.items()}}


def _outputs(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("", encoding="utf-8")
    assert all(re.match(r"[a-z-]+=", line) for line in lines), lines
    return dict(line.split("=", 1) for line in lines)
