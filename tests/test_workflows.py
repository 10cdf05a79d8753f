"""GitHub's workflows and actions, GitLab's component: hardened, pinned, and copied from one commit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/pull-requests"
COPIED = sorted(EXAMPLE.glob(".github/workflows/*.yml"))
OURS = sorted(ROOT.glob(".github/workflows/*.yml"))
REUSABLE = [ROOT / ".github/workflows" / f"{name}.yml" for name in ("plan", "apply", "drift", "fork-comment")]
ACTIONS = [ROOT / "action.yml", ROOT / ".github/install/action.yml"]
PIN = re.compile(r"([\w.-]+/[\w.-]+?)(?:\.git)?(?:/\.github/workflows/[a-z-]+\.yml)?@([0-9a-f]{40})")

# What each job of the reusable workflows may write; everything else reads, at most.
WRITES = {
    ("plan", "comment"): {"pull-requests"},
    ("apply", "apply"): {"contents"},
    ("apply", "report"): {"pull-requests"},
    ("drift", "issue"): {"issues"},
    ("fork-comment", "comment"): {"pull-requests"},
}
# The jobs that hold secrets, and which.
READING = {"AGORA_APP_ID", "AGORA_APP_CERTIFICATE", "AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"}
SECRETS = {("apply", "apply"): READING | {"VENDOR_KEYS"}, ("drift", "drift"): READING}


def document(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def jobs(paths: list[Path]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in paths:
        for name, job in document(path)["jobs"].items():
            yield path.stem, name, job


def steps(paths: list[Path]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for workflow, name, job in jobs(paths):
        for step in job.get("steps", ()):
            yield workflow, name, step
    if paths is REUSABLE:
        for path in ACTIONS:
            for step in document(path)["runs"]["steps"]:
                yield path.parent.name, "action", step


def triggers(path: Path) -> set[str]:
    on = document(path)[True]  # YAML 1.1 takes `on` for a boolean
    return {on} if isinstance(on, str) else set(on)


# --- what every workflow keeps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*OURS, *COPIED], ids=lambda path: path.name)
def test_a_workflow_begins_without_permissions_and_pins_what_it_uses(path: Path) -> None:
    assert document(path)["permissions"] == {}
    for _, _, job in jobs([path]):
        assert "permissions" in job
        assert "uses" in job or "timeout-minutes" in job
    for line in re.findall(r"^\s*-?\s*uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        ours = r"\$/\.github/install|[\w.-]+/[\w.-]+/\.github/workflows/[a-z-]+\.yml@[0-9a-f]{40}"
        assert re.fullmatch(rf"[\w-]+(/[\w-]+)+@[0-9a-f]{{40}} # v\d+\.\d+\.\d+|{ours}", line), line
    assert not {"pull_request_target", "issue_comment"} & triggers(path)


def test_no_expression_is_text_of_a_script() -> None:
    for workflow, job, step in steps([*OURS, *COPIED]):
        assert "${{" not in step.get("run", ""), (
            f"{workflow} {job}: it reaches a script through its environment"
        )
    for workflow, job, step in steps(REUSABLE):
        assert "${{" not in step.get("run", ""), (workflow, job)
        assert "run" not in step or step["shell"] == "bash", (
            "GitHub's bash ends at the first failure, in a pipe too"
        )


def test_no_checkout_keeps_a_token() -> None:
    for workflow, job, step in steps([*OURS, *COPIED]):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, (workflow, job)


def test_the_state_is_in_no_cache() -> None:
    for path in (*OURS, *COPIED, EXAMPLE / "gitlab/reconciler.yml"):
        assert "actions/cache" not in path.read_text(encoding="utf-8")
        assert "\ncache:" not in path.read_text(encoding="utf-8")


# --- who may do what --------------------------------------------------------------------------------------------


def test_each_job_may_write_one_thing_at_most() -> None:
    for workflow, name, job in jobs(REUSABLE):
        writes = {scope for scope, level in job["permissions"].items() if level == "write"}
        assert writes == WRITES.get((workflow, name), set()), (workflow, name)


def test_secrets_reach_the_jobs_that_apply_or_read_the_service_and_no_other() -> None:
    for workflow, name, job in jobs(REUSABLE):
        given = set(re.findall(r"secrets\.(\w+)", json.dumps(job)))
        assert given == SECRETS.get((workflow, name), set()), (workflow, name)
        if given:
            assert job["environment"] == "${{ inputs.deployment }}", (
                "an environment lets main have its secrets only"
            )
            assert "issues" not in job["permissions"] and job["permissions"].get("pull-requests") != "write"
    for path in (*REUSABLE, *COPIED):
        assert "inherit" not in path.read_text(encoding="utf-8")


def test_no_job_that_may_comment_sees_the_branch() -> None:
    for workflow, name, job in jobs(REUSABLE):
        if set(job["permissions"].values()) == {"write"} and name != "apply":
            uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
            assert uses == ["$/.github/install", "actions/download-artifact"], (workflow, name)


def test_only_the_default_branch_reaches_a_secret() -> None:
    for workflow, first in (("apply", "fleets"), ("drift", "fleets")):
        of = document(ROOT / ".github/workflows" / f"{workflow}.yml")["jobs"]
        assert of[first]["if"] == (
            "github.event_name == 'schedule' || github.ref_name == github.event.repository.default_branch"
        )
        for name, job in of.items():
            assert name == first or job["needs"] in (first, workflow, "drift")


def test_git_gets_the_jobs_token_for_its_own_host_and_no_other(tmp_path: Path) -> None:
    """`persist-credentials: false` leaves none, and a private repository wants one for the state."""
    given = [step["env"] for _, _, step in steps(REUSABLE) if "GIT_CONFIG_COUNT" in step.get("env", {})]
    assert len(given) == 4
    for env in given:
        variables = {
            key: value.replace("${{ github.server_url }}", "https://github.example")
            for key, value in env.items()
        }
        variables = {
            key: "the-token" if value == "${{ github.token }}" else value for key, value in variables.items()
        }
        for host, found in (("github.example", "password=the-token"), ("evil.example", "")):
            done = subprocess.run(
                ["git", "credential", "fill"],
                input=f"protocol=https\nhost={host}\n\n",
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(tmp_path),
                    "GIT_TERMINAL_PROMPT": "0",
                    **variables,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert found in done.stdout and ("the-token" in done.stdout) == bool(found)


def test_what_runs_for_a_fork_takes_two_ids_of_the_event_and_nothing_of_its_run() -> None:
    text = (ROOT / ".github/workflows/fork-comment.yml").read_text(encoding="utf-8")
    taken = set(re.findall(r"github\.event\.workflow_run\.([\w.]+)", text))
    assert taken == {"event", "head_sha", "head_repository.id"}
    assert "run-id" not in text and "github-token" not in text, "an artifact of another run would need both"
    for path in (*OURS, *COPIED):
        assert ("workflow_run" in triggers(path)) == (path.name == "voice-agents-forks.yml")


def test_what_is_passed_on_is_what_the_called_workflow_takes() -> None:
    for path in COPIED:
        for _, name, job in jobs([path]):
            called = document(ROOT / ".github/workflows" / job["uses"].rpartition("/")[2].partition("@")[0])
            takes = called[True]["workflow_call"] or {}
            assert set(job.get("with", {})) <= set(takes.get("inputs", {})), name
            assert set(job.get("secrets", {})) <= set(takes.get("secrets", {})), name
            wanted: dict[str, str] = {}
            for each in called["jobs"].values():
                for scope, level in each["permissions"].items():
                    wanted[scope] = "write" if "write" in (level, wanted.get(scope)) else level
            assert job["permissions"] == wanted, "a called job may have no more than its caller"


# --- installing -------------------------------------------------------------------------------------------------


def test_both_actions_install_alike() -> None:
    public, own = (document(path)["runs"]["steps"] for path in ACTIONS)
    assert public[0]["uses"] == own[0]["uses"]
    assert own[1]["run"].replace("/../../", "/") == public[1]["run"]
    script = (ROOT / ".ci/install").read_text(encoding="utf-8")
    assert "--require-hashes" in script and "--no-index" in script
    assert script.count(" -I -m ") == 2, "the working directory may hold modules of a pull request"


def test_what_users_get_is_a_part_of_the_lock() -> None:
    entries = [
        re.split(r"\n(?=[a-z])", (ROOT / ".ci" / name).read_text())
        for name in ("requirements.txt", "runtime.txt")
    ]
    whole, part = ({each.strip() for each in some if not each.startswith("#")} for some in entries)
    assert part < whole
    names = {each.partition("==")[0] for each in part}
    assert {"click", "hatchling", "httpx", "pydantic-core"} <= names
    assert not {"pytest", "mypy", "zizmor"} & names


# --- one commit everywhere --------------------------------------------------------------------------------------


def pins() -> dict[str, set[tuple[str, str]]]:
    """The repository and the commit that each file names, which users copy."""
    found: dict[str, set[tuple[str, str]]] = {}
    for path in (*COPIED, EXAMPLE / "README.md", ROOT / "README.md"):
        text = path.read_text(encoding="utf-8")
        found[path.name + path.parent.name] = set(PIN.findall(re.sub(r"actions/[\w-]+@\S+", "", text)))
    gitlab = (EXAMPLE / ".gitlab-ci.yml").read_text(encoding="utf-8")
    remote = re.search(
        r"githubusercontent\.com/([\w.-]+/[\w.-]+)/([0-9a-f]{40})/examples/pull-requests/gitlab/reconciler",
        gitlab,
    )
    source = re.search(r'repository: https://github\.com/(\S+)\.git\n\s*commit: "([0-9a-f]{40})"\n', gitlab)
    hook = re.search(
        r"repo: https://github\.com/(\S+)\n#\s+rev: ([0-9a-f]{40}) ",
        (ROOT / ".pre-commit-hooks.yaml").read_text(),
    )
    for name, match in (("remote", remote), ("source", source), ("hook", hook)):
        assert match is not None, name
        found[name] = {(match[1], match[2])}
    return found


def test_all_that_users_copy_names_one_commit_of_one_repository() -> None:
    found = pins()
    assert all(found.values()), found
    assert len(set().union(*found.values())) == 1, found


def test_the_commit_has_what_it_is_to_give() -> None:
    [(_, commit)] = set().union(*pins().values())
    known = subprocess.run(["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip("this clone does not have the commit")
    for path in (
        "action.yml",
        ".ci/install",
        ".ci/runtime.txt",
        *(f".github/workflows/{each.name}" for each in REUSABLE),
    ):
        there = subprocess.run(
            ["git", "cat-file", "-e", f"{commit}:{path}"], cwd=ROOT, capture_output=True, check=False
        )
        assert there.returncode == 0, f".ci/pin has to write a commit with {path}"


def test_a_commit_is_written_everywhere_by_one_command(tmp_path: Path) -> None:
    for name in (
        "README.md",
        ".pre-commit-hooks.yaml",
        "action.yml",
        *(str(each.relative_to(ROOT)) for each in REUSABLE),
    ):
        _copy(name, tmp_path)
    for each in [*(ROOT / ".ci").iterdir(), *(path for path in EXAMPLE.rglob("*") if path.is_file())]:
        _copy(str(each.relative_to(ROOT)), tmp_path)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.example", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    commit = done.stdout.strip()
    old = subprocess.run([".ci/pin"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run([".ci/pin", commit, "acme/voices"], cwd=tmp_path, check=True, capture_output=True)
    said = subprocess.run(
        [".ci/pin"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert said == f"acme/voices@{commit}"
    left = subprocess.run(
        [*git, "grep", "-lF", "-e", old.partition("@")[2]], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""
    refused = subprocess.run([".ci/pin", "0" * 40], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "no commit here" in refused.stderr


def _copy(name: str, root: Path) -> None:
    there = root / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes((ROOT / name).read_bytes())
    there.chmod((ROOT / name).stat().st_mode)


# --- the linters ------------------------------------------------------------------------------------------------


def test_a_suppressed_finding_has_its_reason_beside_it() -> None:
    for path in (*OURS, *COPIED, *ACTIONS, ROOT / ".github/dependabot.yml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "zizmor: ignore" in line or "jactionlint ignore" in line:
                assert re.search(r"# zizmor: ignore\[[a-z-]+\] \w.{8,}", line), line


def test_the_linters_find_nothing_and_would_find_something(tmp_path: Path) -> None:
    zizmor = Path(sys.executable).parent / "zizmor"
    if not zizmor.exists():
        pytest.skip("zizmor is not installed")
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert '"$bin/zizmor" --offline --quiet --strict-collection --persona=auditor . examples' in run
    command = [str(zizmor), "--offline", "--quiet", "--strict-collection", "--persona=auditor"]
    done = subprocess.run([*command, ".", "examples"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    bad = tmp_path / ".github/workflows/plan.yml"
    bad.parent.mkdir(parents=True)
    text = (ROOT / ".github/workflows/plan.yml").read_text(encoding="utf-8")
    bad.write_text(text.replace('"$DIRECTORY"', '"${{ github.head_ref }}"'), encoding="utf-8")
    found = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.returncode != 0 and "template-injection" in found.stdout
