"""The GitLab component's own scripts, from the merge request to the drift, on a bare remote and a stand-in of the API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.codehosts.gitlab import PROJECT, TOKEN, GitLabWorld
from tests.codehosts.stand_in import serving
from tests.examples.harness import EXAMPLES, SERVICE, VENDORS, live, served
from tests.scenarios.github_runner import KEPT, git, no_network
from tests.scenarios.test_pull_requests import by_hand, leave

COMPONENT = EXAMPLES / "pull-requests/gitlab/reconciler.yml"
INPUTS = {"repository": "unused", "commit": "0" * 40, "image": "unused", "deployment": "voice-agents"}

pytestmark = pytest.mark.timeout(400)


def jobs() -> dict[str, Any]:
    """The component's jobs, with its inputs in their places."""
    spec, text = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    declared = yaml.safe_load(spec)["spec"]["inputs"]
    known = {name: str(each.get("default", "")) for name, each in declared.items()} | INPUTS
    text = re.sub(r"\$\[\[ inputs\.([a-z-]+) \]\]", lambda match: known[match[1]], text)
    return dict(yaml.safe_load(text))


@dataclass
class GitLab:
    """A project, and its runner: each job has a clone of its own."""

    root: Path
    api: str
    service: str
    number: int = 0

    def run(
        self, name: str, ref: str, reports: Path | None = None, **variables: str
    ) -> tuple[int, str, Path]:
        """Run a job's scripts on a ref; its exit code, what it printed, and its directory."""
        self.number += 1
        there = self.root / f"job-{self.number}"
        git(self.root, "clone", "-q", f"file://{self.root / 'remote.git'}", str(there))
        git(there, "fetch", "-q", "origin", ref)
        git(there, "checkout", "-q", "FETCH_HEAD")
        if reports is not None:
            shutil.copytree(reports, there / "reports")
        every, job = jobs()[".reconciler"], jobs()[name]
        own = {**every["variables"], **job.get("variables", {})}
        own = {
            key: re.sub(r"^\$(\w+)$", lambda match: variables[match[1]], value) for key, value in own.items()
        }
        [install], [script] = every["before_script"], job["script"]
        install = re.sub(r"^(git|/tmp/reconciler-source/|export PATH).*\n", "", install, flags=re.MULTILINE)
        assert "tmp" not in install
        done = subprocess.run(
            [
                *(no_network() if name == "reconciler-plan" else ()),
                "bash",
                "-eo",
                "pipefail",
                "-c",
                install + script,
            ],
            cwd=there,
            env={
                **{each: os.environ[each] for each in KEPT if each in os.environ},
                "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.root),
                "NO_PROXY": "127.0.0.1",
                "CI": "true",
                "GITLAB_CI": "true",
                "CI_API_V4_URL": self.api,
                "CI_PROJECT_ID": PROJECT,
                "CI_PROJECT_PATH": "acme/voice",
                "CI_MERGE_REQUEST_PROJECT_PATH": "acme/voice",
                "CI_COMMIT_SHA": git(there, "rev-parse", "HEAD"),
                **own,
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        return done.returncode, done.stdout, there


def test_every_script_is_bash_and_the_rules_keep_secrets_on_the_default_branch() -> None:
    for name, job in jobs().items():
        for script in (*job.get("before_script", ()), *job.get("script", ())):
            assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0, name
        if name.startswith("."):
            continue
        [rule] = [each["if"] for each in job["rules"]]
        on_request = 'CI_PIPELINE_SOURCE == "merge_request_event"' in rule
        assert on_request != ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule)
        assert on_request == ("environment" not in job), "what a merge request runs has no scope with secrets"


def test_from_the_merge_request_to_the_drift(tmp_path: Path) -> None:
    world = GitLabWorld()
    bare, work = tmp_path / "remote.git", tmp_path / "work"
    with served() as service, serving(world) as api:
        gitlab = GitLab(tmp_path, api, service)
        git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
        shutil.copytree(EXAMPLES / "pull-requests", work)
        for command in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["commit", "-q", "-m", "Three receptions"],
        ):
            git(work, *command)
        git(work, "remote", "add", "origin", f"file://{bare}")
        git(work, "push", "-q", "origin", "main")
        base = git(work, "rev-parse", "main")
        by_hand(work, service)

        prompt = work / "fleet/prompts/reception.md"
        prompt.write_text(
            prompt.read_text(encoding="utf-8").replace("Ask for", "Kindly ask for"), encoding="utf-8"
        )
        git(work, "commit", "-q", "-a", "-m", "kindly")
        git(work, "push", "-q", "origin", "HEAD:refs/merge-requests/7/head")
        head = git(work, "rev-parse", "HEAD")
        world.request(7, sha=head)
        request = {"CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
        code, log, there = gitlab.run("reconciler-plan", "refs/merge-requests/7/head", **request)
        assert code == 0, log
        [counts] = [json.loads(each.read_text()) for each in (there / "reports").glob("terraform-*.json")]
        assert counts == {"create": 0, "update": 3, "delete": 0}
        [quality] = [json.loads(each.read_text()) for each in (there / "reports").glob("quality-*.json")]
        assert isinstance(quality, list)
        token = {"GITLAB_TOKEN": TOKEN}
        code, log, _ = gitlab.run("reconciler-comment", "main", there / "reports", **request, **token)
        assert code == 0, log
        [note] = world.bodies(7)
        assert "3 to update" in note and "Approval: `" in note

        squashed = git(bare, "commit-tree", f"{head}^{{tree}}", "-p", base, "-m", "squashed")
        git(bare, "update-ref", "refs/heads/main", squashed)
        world.requests[0] |= {"state": "merged", "_commits": [squashed]}
        secrets = {**SERVICE, **VENDORS, **token, "AGORA_AGENTS_API_BASE_URL": service}
        code, log, _ = gitlab.run("reconciler-apply", "main", **secrets, CI_COMMIT_BEFORE_SHA=base)
        assert code == 0 and "3 updated" in log, log

        leave(service, "west")
        code, log, _ = gitlab.run("reconciler-drift", "main", **secrets)
        assert code == 0, log
        assert [(each["state"], "west-reception" in each["description"]) for each in world.issues] == [
            ("opened", True)
        ]
        code, log, _ = gitlab.run("reconciler-keep-alive", "main", **secrets)
        assert code == 0 and len(live(service)) == 3, log
    assert world.executed == [], "nothing that GitLab takes for a command"
