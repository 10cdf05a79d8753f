"""The GitHub workflow: its files are hardened, and its scripts do what they say against a served simulator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import EXAMPLES, SERVICE, VENDORS, copied, environment, live, served

HERE = EXAMPLES / "github-workflow"
WORKFLOWS = sorted((HERE / ".github/workflows").glob("*.yml"))
READING = ("AGORA_APP_ID", "AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET")
MARKER = "<!-- reconciler plan: reception.prod -->"

# A stand-in for gh: writes down how it was called, with the files that `@` names, and answers a GET from a file.
GH = """#!/usr/bin/env bash
set -euo pipefail
{ for each in "$@"; do printf '%s\\n' "$each"; done; printf -- '--\\n'; } >>"$GH_CALLS"
for each in "$@"; do
  case $each in *=@*) cat "${each#*=@}" >>"$GH_BODIES" ;; --method) writes=yes ;; esac
done
[[ -n ${writes:-} ]] || cat "$GH_ANSWER"
"""


# --- the files


def _jobs(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"])


def _steps(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in _jobs(path).items():
        for step in job["steps"]:
            yield name, step


def _triggers(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(document[True])  # YAML 1.1 takes `on` for a boolean


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_every_action_is_pinned_by_commit_and_names_its_tag(workflow: Path) -> None:
    uses = re.findall(r"^\s*-?\s*uses: (.*)$", workflow.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[0-9.]+", each), each


def test_permissions_are_none_and_then_the_least(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {}
    for name, job in _jobs(workflow).items():
        writes = {scope for scope, level in job["permissions"].items() if level == "write"}
        assert job["permissions"]["contents"] == "read"
        assert writes == {"comment": {"pull-requests"}, "issue": {"issues"}}.get(name, set())
        assert job["timeout-minutes"] <= 30
        assert not writes or "secrets." not in json.dumps(job), "who writes to GitHub holds no secret"


def test_there_is_no_trusted_trigger_on_untrusted_code(workflow: Path) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(_triggers(workflow))
    for name, step in _steps(workflow):
        if "checkout" in step.get("uses", ""):
            assert step["with"] == {"persist-credentials": False}, name


def test_all_shell_is_in_scripts_and_no_expression_is_in_it(workflow: Path) -> None:
    for _, step in _steps(workflow):
        if "run" in step:
            assert re.fullmatch(r'scripts/[a-z]+\.sh( "\$CODE")?( [a-z]+\.md)?', step["run"])
            assert os.access(HERE / step["run"].split()[0], os.X_OK)


def test_secrets_are_where_they_are_needed_only(workflow: Path) -> None:
    for name, step in _steps(workflow):
        given = {key for key, value in step.get("env", {}).items() if "secrets." in str(value)}
        if name in {"plan", "drift"}:
            assert given <= set(READING)
        elif given:
            assert name in {"apply", "keep-alive"}
            assert _jobs(workflow)[name]["environment"] == "voice-prod"
            assert given == {*SERVICE, *VENDORS}
    assert "secrets: inherit" not in workflow.read_text(encoding="utf-8")


def test_writers_never_overlap_and_run_on_main_only() -> None:
    writers = [(name, job) for path in WORKFLOWS for name, job in _jobs(path).items() if "environment" in job]
    assert {name for name, _ in writers} == {"apply", "keep-alive"}
    for _, job in writers:
        assert job["concurrency"] == {"group": "voice-agents-prod", "cancel-in-progress": False}
        assert "github.ref == 'refs/heads/main'" in job["if"]
        saved = job["steps"][-1]
        assert "actions/cache/save@" in saved["uses"]
        assert saved["if"] == "always()"


def test_the_state_travels_without_its_key(workflow: Path) -> None:
    caches = [step["with"] for _, step in _steps(workflow) if "actions/cache" in step.get("uses", "")]
    assert caches
    assert {each["path"] for each in caches} == {"fleet/.reconciler/prod.state*"}
    assert all(each.get("restore-keys", "reconciler-prod-") == "reconciler-prod-" for each in caches)


@pytest.mark.parametrize("script", sorted((HERE / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_a_script_is_strict_and_parses(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# ")
    assert "set -euo pipefail" in lines
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


# --- the scripts


@dataclass(slots=True)
class Runner:
    """A job's machine: each `fresh` one has a checkout and the files of the state, nothing else."""

    root: Path
    url: str
    number: int = 0
    cache: dict[str, bytes] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.root / f"runner-{self.number}"

    def fresh(self) -> None:
        """A new machine: what the cache action saved of the last one is restored."""
        if self.number:
            self.cache = {each.name: each.read_bytes() for each in self._state().glob("prod.state*")}
        self.number += 1
        copied("github-workflow", self.directory)
        self._state().mkdir()
        for name, content in self.cache.items():
            (self._state() / name).write_bytes(content)

    def lose_the_state(self) -> None:
        shutil.rmtree(self._state())

    def _state(self) -> Path:
        return self.directory / "fleet/.reconciler"

    def run(self, script: str, *arguments: str, secrets: bool = True, code: int = 0, **more: str) -> str:
        """Run a script as a step; what it logs. Its page and its outputs are files of the machine."""
        for name in ("summary.md", "output"):
            (self.directory / name).write_text("", encoding="utf-8")
        settings = {**SERVICE, **VENDORS} if secrets else {}
        settings |= {
            "AGORA_AGENTS_API_BASE_URL": self.url,
            "GITHUB_STEP_SUMMARY": str(self.directory / "summary.md"),
            "GITHUB_OUTPUT": str(self.directory / "output"),
        }
        done = subprocess.run(
            [f"scripts/{script}", *arguments],
            cwd=self.directory,
            env=environment(**{**settings, **more}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout
        for value in (*VENDORS.values(), SERVICE["AGORA_CUSTOMER_SECRET"], SERVICE["AGORA_APP_CERTIFICATE"]):
            assert value not in done.stdout + self.page
        return done.stdout

    @property
    def page(self) -> str:
        return (self.directory / "summary.md").read_text(encoding="utf-8")

    @property
    def outputs(self) -> str:
        return (self.directory / "output").read_text(encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.directory / name).read_text(encoding="utf-8")


@dataclass(slots=True)
class FakeGitHub:
    """`gh` on the path, and what was asked of it."""

    root: Path

    def __post_init__(self) -> None:
        self.root.mkdir()
        (self.root / "gh").write_text(GH, encoding="utf-8")
        (self.root / "gh").chmod(0o755)

    def settings(self, answer: object) -> dict[str, str]:
        (self.root / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
        for name in ("calls", "bodies"):
            (self.root / name).write_text("", encoding="utf-8")
        return {
            "PATH": f"{self.root}{os.pathsep}{environment()['PATH']}",
            "GH_CALLS": str(self.root / "calls"),
            "GH_BODIES": str(self.root / "bodies"),
            "GH_ANSWER": str(self.root / "answer.json"),
            "GITHUB_REPOSITORY": "hotels/voice",
            "PR_NUMBER": "7",
        }

    @property
    def writes(self) -> list[list[str]]:
        """The calls that write: method, path, fields."""
        calls = (self.root / "calls").read_text(encoding="utf-8").split("--\n")
        found = [each.split("\n") for each in calls if "--method" in each]
        return [
            [word for word in call if word and not word.startswith("--") and word != "api"] for call in found
        ]

    @property
    def bodies(self) -> str:
        return (self.root / "bodies").read_text(encoding="utf-8")


needs_jq = pytest.mark.skipif(
    shutil.which("jq") is None, reason="the scripts use jq, which GitHub's runners have"
)


@pytest.fixture
def github(tmp_path: Path) -> FakeGitHub:
    return FakeGitHub(tmp_path / "gh")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with served() as url:
        machine = Runner(tmp_path, url)
        machine.fresh()
        yield machine


def _comment(number: int, body: str, user: str = "github-actions[bot]") -> dict[str, Any]:
    return {"id": number, "number": number, "user": {"login": user}, "body": body}


@needs_jq
def test_from_the_pull_request_to_the_lost_state(runner: Runner, github: FakeGitHub) -> None:
    runner.run("plan.sh")
    assert runner.read("plan.md") == runner.page
    assert runner.page.startswith(MARKER)
    assert "### Plan: 3 to join" in runner.page
    runner.run("comment.sh", "plan.md", secrets=False, **github.settings([]))
    assert github.writes == [["POST", "repos/hotels/voice/issues/7/comments", "body=@plan.md"]]
    assert github.bodies == runner.read("plan.md")

    runner.fresh()
    runner.run("apply.sh")
    assert "Apply complete: 3 joined" in runner.page
    assert len(live(runner.url)) == 3

    runner.fresh()
    runner.run("drift.sh")
    assert runner.outputs == "code=0\n"

    name, stopped = next((name, agent) for name, agent in live(runner.url).items() if "north" in name)
    _leave(runner.url, stopped)
    runner.fresh()
    assert "::warning::" in runner.run("drift.sh")
    assert runner.outputs == "code=2\n"
    assert "north-reception/receptionist" in runner.page

    runner.fresh()
    runner.run("keepalive.sh")
    assert '"done":1' in runner.page
    assert len(live(runner.url)) == 3
    assert name not in live(runner.url), "a name is used once"

    runner.fresh()
    runner.run("drift.sh")
    assert runner.outputs == "code=0\n"

    runner.lose_the_state()
    runner.run("plan.sh")
    assert "### Plan: 3 to adopt" in runner.page
    before = live(runner.url)
    runner.run("apply.sh")
    assert live(runner.url) == before, "nobody was hung up on"
    runner.run("plan.sh")
    assert "### No changes" in runner.page


def _leave(url: str, agent_id: str) -> None:
    """Somebody stops an agent by hand."""
    import httpx

    path = f"/api/conversational-ai-agent/v2/projects/{SERVICE['AGORA_APP_ID']}/agents/{agent_id}/leave"
    credentials = (SERVICE["AGORA_CUSTOMER_ID"], SERVICE["AGORA_CUSTOMER_SECRET"])
    with httpx.Client(base_url=url, auth=credentials, trust_env=False) as client:
        client.post(path).raise_for_status()


@needs_jq
def test_keep_alive_leaves_changes_of_the_files_to_an_apply(runner: Runner) -> None:
    runner.run("apply.sh")
    prompt = runner.directory / "fleet/prompts/reception.md"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "Be brief.\n", encoding="utf-8")
    assert "Other changes wait" in runner.run("keepalive.sh")
    assert '"held":3' in runner.page
    runner.run("drift.sh")
    assert runner.outputs == "code=0\n", "what the files changed is no drift"


@needs_jq
def test_keep_alive_fails_when_something_is_not_kept_alive(runner: Runner) -> None:
    log = runner.run("keepalive.sh", code=1, OPENAI_API_KEY="")
    assert "::error::" in log
    assert "OPENAI_API_KEY has no value" in log
    assert live(runner.url) == {}
    assert "::error::" in runner.run("keepalive.sh", code=1, AGORA_CUSTOMER_ID="")


def test_a_refused_apply_does_nothing_until_it_is_allowed(runner: Runner) -> None:
    runner.run("apply.sh")
    desks = runner.directory / "fleet/agents/desks.yaml"
    desks.write_text(
        desks.read_text(encoding="utf-8").replace("[north, south, west]", "[north]"), encoding="utf-8"
    )
    assert "A limit refused the apply" in runner.run("apply.sh", code=5)
    assert "Nothing was applied" in runner.page
    assert len(live(runner.url)) == 3
    runner.run("apply.sh", ALLOW="leave=2 hang_ups=2")
    assert "Apply complete: 2 left" in runner.page
    assert len(live(runner.url)) == 1


def test_a_fork_is_told_kindly_that_there_is_no_plan(runner: Runner) -> None:
    log = runner.run("plan.sh", secrets=False, UNTRUSTED="true")
    assert "no credentials here" in log
    assert runner.page.startswith("### No plan for this pull request")
    assert runner.read("plan.md") == runner.page


def test_missing_secrets_are_an_error_where_they_should_be_there(runner: Runner) -> None:
    assert "AGORA_CUSTOMER_SECRET" in runner.run("plan.sh", secrets=False, code=1)
    assert "The plan failed" in runner.page
    assert "cannot be told" in runner.run("drift.sh", secrets=False, code=1)


def test_a_mistake_is_shown_on_its_line_also_in_a_fork(runner: Runner) -> None:
    desks = runner.directory / "fleet/agents/desks.yaml"
    desks.write_text(desks.read_text(encoding="utf-8") + "        nonsense: 1\n", encoding="utf-8")
    assert "::error file=fleet/agents/desks.yaml,line=7" in runner.run(
        "plan.sh", secrets=False, code=1, UNTRUSTED="true"
    )


@needs_jq
def test_the_comment_is_found_by_its_marker_and_its_author(tmp_path: Path, github: FakeGitHub) -> None:
    machine = Runner(tmp_path, "")
    machine.fresh()
    (machine.directory / "plan.md").write_text(f"{MARKER}\n\n### No changes.\n", encoding="utf-8")
    there = [
        _comment(1, f"{MARKER}\n\nforged", user="somebody"),
        _comment(2, "<!-- reconciler plan: reception.staging -->\n\nanother fleet"),
        _comment(3, f"{MARKER}\n\nours"),
    ]
    machine.run("comment.sh", "plan.md", secrets=False, **github.settings(there))
    assert github.writes == [["PATCH", "repos/hotels/voice/issues/comments/3", "body=@plan.md"]]
    (machine.directory / "plan.md").write_text("no marker\n", encoding="utf-8")
    machine.run("comment.sh", "plan.md", secrets=False, code=1, **github.settings(there))
    assert github.writes == []


@needs_jq
def test_a_plan_beyond_a_comment_is_read_on_the_page_of_the_job(tmp_path: Path, github: FakeGitHub) -> None:
    machine = Runner(tmp_path, "")
    machine.fresh()
    head = f"{MARKER}\n\n### Plan: 4,000 to join\n\n**9 running conversations end: 9 to leave.**\n"
    names = "\n".join(f"house-{number:05d}/desk" for number in range(4_000))
    whole = f"{head}\n<details><summary>4,000 agents</summary>\n\n{names}\n\n</details>\n"
    (machine.directory / "plan.md").write_text(whole, encoding="utf-8")
    machine.run("comment.sh", "plan.md", secrets=False, **github.settings([]))
    [[method, *_]] = github.writes
    assert method == "POST"
    assert github.bodies.startswith(head)
    assert "/actions/runs/" in github.bodies
    assert "house-00000/desk" not in github.bodies


@needs_jq
def test_drift_opens_writes_and_closes_one_issue(tmp_path: Path, github: FakeGitHub) -> None:
    machine = Runner(tmp_path, "")
    machine.fresh()
    marker = "<!-- reconciler drift: reception.prod -->"
    (machine.directory / "drift.md").write_text(f"{marker}\n\n### Drift\n", encoding="utf-8")
    issues = "repos/hotels/voice/issues"
    there = [
        _comment(4, "a bug", user="somebody"),
        {**_comment(5, ""), "body": None},
        _comment(6, f"{marker}\n\nold"),
    ]

    machine.run("issue.sh", "2", "drift.md", **github.settings([]))
    assert github.writes == [["POST", issues, "title=Voice agents have drifted", "body=@drift.md"]]
    machine.run("issue.sh", "2", "drift.md", **github.settings(there))
    assert github.writes == [["PATCH", f"{issues}/6", "body=@drift.md"]]
    machine.run("issue.sh", "0", "drift.md", **github.settings(there))
    assert github.writes == [["PATCH", f"{issues}/6", "body=@drift.md", "state=closed"]]
    machine.run("issue.sh", "0", "drift.md", **github.settings([]))
    assert github.writes == []


def test_install_takes_the_version_of_the_workflow(tmp_path: Path) -> None:
    machine = Runner(tmp_path, "")
    machine.fresh()
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("python", "reconciler"):
        (fake / name).write_text(f'#!/bin/sh\necho {name} "$@"\n', encoding="utf-8")
        (fake / name).chmod(0o755)
    path = f"{fake}{os.pathsep}{environment()['PATH']}"
    assert "agora-reconciler==9.8.7" in machine.run("install.sh", PATH=path, RECONCILER_VERSION="9.8.7")
