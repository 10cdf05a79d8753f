"""A change that was reviewed in a pull request, from its offline plan to its apply: what goes, what is held, what is refused.

The state lies in a bare remote, the service is the embedded simulator of the checkout that applies.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import run
from reconciler.simulator import Simulator, Store
from tests.scenarios.test_offline_plan import guarded

FLEET = """\
fleet: desk
limits: {quota: 500, hang_ups: 100%, leave: 100%}
variables:
  rooms: "{{ load('rooms.json') }}"
  voice: en-US-AvaNeural
  model: gpt-4o-mini
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: "{{ voice }}"}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://LLM_KEY
      params: {model: "{{ model }}"}
channels:
  - {channel: "{{ room }}", for_each: "{{ rooms }}", as: room, agents: [{name: desk}]}
"""
EVIL = "https://evil.example/v1/chat/completions"


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def tree(self) -> dict[str, Any]:
        """Its JSON; of an apply the plan, and the results by address under `done`."""
        lines = [json.loads(each) for each in self.out.splitlines()] if self.out.startswith('{"') else []
        if not lines:
            return dict(json.loads(self.out))
        (planned,) = (each["plan"] for each in lines if each["type"] == "planned")
        (end,) = (each for each in lines if each["type"] == "apply_finished")
        return {**planned, "done": {each["address"]: each["result"] for each in end["changes"]}}


class Team:
    """A repository with a fleet in `fleets/desk`, the remote that has its state, and the commands of whoever works there."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str] | None = None) -> None:
        self.root, self.capture = root, capture
        self.home = root / "main"
        self.fleet = self.home / "fleets" / "desk"

    def begin(self) -> None:
        """Make the repository, and apply its fleet of two rooms."""
        git(self.root, "init", "-q", "--bare", "remote.git")
        git(self.root, "init", "-q", "-b", "main", "main")
        git(self.home, "remote", "add", "origin", str(self.root / "remote.git"))
        self.fleet.mkdir(parents=True)
        self.write(self.fleet, rooms=["one", "two"])
        (self.home / ".gitignore").write_text(".reconciler/\n")
        self.commit("a fleet")
        assert run(["apply", str(self.fleet), "--auto-approve"]) == 0

    def write(self, fleet: Path, *, rooms: list[str] | None = None, **changes: str) -> None:
        """Write the fleet's files anew: its rooms, and texts of `FLEET` exchanged."""
        if rooms is not None:
            (fleet / "rooms.json").write_text(json.dumps(rooms), encoding="utf-8")
        text = FLEET
        for old, new in changes.items():
            text = text.replace(_OLD[old], new)
        (fleet / "fleet.yaml").write_text(text, encoding="utf-8")

    def commit(self, subject: str, at: Path | None = None) -> None:
        git(at or self.home, "add", "-A", ".")
        git(at or self.home, "commit", "-q", "--allow-empty", "-m", subject)

    def clone(self, name: str, *options: str) -> Path:
        """The fleet in another clone, with the state fetched."""
        where = self.root / name
        git(self.root, "clone", "-q", *options, str(self.home), name)
        git(where, "remote", "set-url", "origin", str(self.root / "remote.git"))
        git(where, "fetch", "-q", "origin", "+refs/reconciler/*:refs/reconciler/*")
        return where / "fleets" / "desk"

    def run(self, verb: str, *words: str, at: Path | None = None) -> Said:
        assert self.capture is not None
        self.capture.readouterr()
        code = run([verb, str(at or self.fleet), *words])
        return Said(code, *self.capture.readouterr())

    def offline(self, at: Path | None = None, *words: str) -> dict[str, Any]:
        return self.run("plan", "--offline", "--format", "json", *words, at=at).tree

    def token(self, at: Path | None = None) -> str:
        found = self.offline(at)["approval"]
        assert isinstance(found, str)
        return found

    def apply(self, *words: str) -> Said:
        return self.run("apply", "--format", "json", *words)

    def running(self) -> dict[str, str]:
        """The agent that runs at each address."""
        rows = self.run("status", "--format", "json").tree["agents"]
        return {each["address"]: each["agent_id"] for each in rows if each["agent_id"]}

    def asked(self) -> dict[str, int]:
        """How often the service was called, by kind of call."""
        return Simulator(Store(self.fleet / ".reconciler" / "default.world")).tally()

    def state(self) -> bytes:
        return git(self.root / "remote.git", "for-each-ref", "refs/reconciler")


_OLD = {
    "voice": "en-US-AvaNeural",
    "model": "gpt-4o-mini",
    "url": "https://api.openai.com/v1/chat/completions",
}
ROWS = Callable[[dict[str, Any]], dict[str, str]]


def git(at: Path, *words: str) -> bytes:
    name = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    return subprocess.run(["git", *name, *words], cwd=at, check=True, capture_output=True).stdout


def rows(plan: dict[str, Any]) -> dict[str, str]:
    """What a JSON plan says of each address that is not in sync."""
    found = {each["address"]: each for each in plan["resource_changes"] if each["action"] != "none"}
    return {
        where: f"hold {each['held']['action']} {each['held']['because']}" if each["held"] else each["action"]
        for where, each in found.items()
    }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as every test finds it, made once."""
    root = tmp_path_factory.mktemp("team")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECONCILER_STATE", "git:origin")
        patch.setenv("XDG_STATE_HOME", str(root / "seen"))
        Team(root).begin()
    return root


@pytest.fixture
def team(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Team:
    monkeypatch.setenv("RECONCILER_STATE", "git:origin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "seen"))
    root = tmp_path / "team"
    shutil.copytree(begun, root)
    made = Team(root, capsys)
    git(made.home, "remote", "set-url", "origin", str(root / "remote.git"))
    return made


def test_what_was_reviewed_goes_also_after_a_squash_and_from_another_clone(team: Team) -> None:
    branch = team.clone("fork")
    team.write(branch, voice="en-US-EmmaNeural")
    team.commit("one", at=branch)
    team.write(branch, voice="en-US-EmmaNeural", model="gpt-4o")
    team.commit("two", at=branch)
    planned = team.offline(branch)
    assert rows(planned) == {"one/desk": "replace", "two/desk": "replace"}
    token = planned["approval"]
    assert len(token) == 81
    assert token in team.run("plan", "--offline", at=branch).out
    assert f"`{token}`" in team.run("plan", "--offline", "--format", "markdown", at=branch).out
    # A squash has another commit, whose tree is the same; a commit besides the fleet changes nothing either.
    git(team.home, "pull", "-q", "--no-rebase", "--squash", str(team.root / "fork"), "main")
    (team.home / "README").write_text("of nobody's fleet")
    team.commit("squashed")
    before = team.running()
    assert team.run("plan", "--offline", "--check", token).code == 0
    applied = team.apply("--approved", token)
    assert applied.code == 0, applied.err
    assert applied.tree["done"] == {"one/desk": "done", "two/desk": "done"}
    assert not set(team.running().values()) & set(before.values())
    again = team.apply("--approved", token)
    assert (again.code, again.tree["done"]) == (0, {})


def test_a_hang_up_that_nobody_reviewed_is_held_and_the_rest_is_done(team: Team) -> None:
    team.write(team.fleet, rooms=["two", "three"])
    team.commit("another room")
    token = team.token()
    # After the review somebody applies by hand, so that the agent of `two` is not what the review took it for.
    team.write(team.fleet, rooms=["one", "two"], voice="en-US-EmmaNeural")
    assert team.apply("--auto-approve", "--target", "two/*").code == 0
    team.write(team.fleet, rooms=["two", "three"])
    before = team.running()
    for _ in range(2):
        applied = team.apply("--approved", token)
        assert applied.code == 6
        assert rows(applied.tree)["two/desk"] == "hold replace unreviewed"
        after = team.running()
        assert after["two/desk"] == before["two/desk"]
        assert set(after) == {"two/desk", "three/desk"}
    for form in ("text", "markdown"):
        shown = team.run("apply", "--approved", token, "--format", form).out
        assert "two/desk" in shown
        assert "nobody has reviewed" in shown
        assert "To lift a hold: not reviewed" in shown or form == "markdown"
    # A merge queue would have said so; and whoever means it says so.
    moved = team.run("plan", "--check", token, "--format", "json")
    assert moved.code == 2
    assert moved.tree["added"] == [{"action": "replace", "address": "two/desk"}]
    allowed = team.apply("--approved", token, "--allow", "unreviewed")
    assert allowed.code == 0, allowed.err
    assert team.running()["two/desk"] != before["two/desk"]


def test_other_files_are_refused_before_anything_is_asked(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = team.token()
    team.write(team.fleet, voice="en-US-EmmaNeural")
    team.commit("another voice")
    token = team.token()
    (team.fleet / "README").write_text("of this fleet")
    team.commit("a text that is no part of the plan")
    other = team.token()
    asked = team.asked()
    shutil.rmtree(team.root / "remote.git")  # nobody is asked, not even the remote
    for wrong in (old, token, f"{'a' * 40}.{'b' * 40}"):
        refused = team.run("apply", "--approved", wrong)
        assert (refused.code, refused.out) == (3, ""), refused.err
        assert "other files were reviewed" in refused.err
    for name, text in (("rooms.json", "[]"), ("fleet.yaml", FLEET)):
        kept = (team.fleet / name).read_text()
        (team.fleet / name).write_text(text)
        refused = team.run("apply", "--approved", other)
        assert (refused.code, refused.out) == (3, ""), refused.err
        assert f"{name} differs from its commit" in refused.err
        (team.fleet / name).write_text(kept)
    assert team.asked() == asked


def test_what_is_no_review_of_this_fleet_changes_nothing(team: Team) -> None:
    team.write(team.fleet, voice="en-US-EmmaNeural")
    team.commit("another voice")
    tree, snapshot = team.token().split(".")
    strange = git(team.home, "rev-parse", "HEAD").decode().strip()
    before, state = team.running(), team.state()
    for token, code in (
        ("", 1),
        (" ", 1),
        ("null", 1),
        (tree, 1),
        (f"{tree}.{'b' * 40}", 1),
        (f"{tree}.{strange}", 1),
        (f"{snapshot}.{tree}", 3),
    ):
        refused = team.run("apply", "--approved", token)
        assert (refused.code, refused.out) == (code, ""), (token, refused.err)
        assert "nothing was done" in refused.err
    assert team.run("apply", "--approved", f"{tree}.{snapshot}", "--var", "model=other").code == 1
    assert team.run("apply", "--approved", f"{tree}.{snapshot}", "--state", str(team.root / "file")).code == 1
    assert (team.running(), team.state()) == (before, state)
    # No review, and somebody who takes it upon himself.
    assert team.apply("--approved", "", "--allow", "unreviewed").code == 0
    assert set(team.running().values()).isdisjoint(before.values())


def test_a_plan_is_no_review_where_the_commit_does_not_tell_all_of_it(team: Team) -> None:
    def why(*words: str) -> str:
        found = team.offline(None, *words)
        assert found["approval"] is None
        return str(found["no_approval"])

    assert "--target" in why("--target", "one/*")
    assert "--var" in why("--var", "model=gpt-4o")
    (team.fleet / "plan.json").write_text("{}")  # an output that lies about, and is read by nobody
    assert team.token()
    team.write(team.fleet, model="gpt-4o")
    assert why() == "fleets/desk/fleet.yaml differs from its commit"
    assert "No approval: fleets/desk/fleet.yaml differs from its commit." in team.run("plan", "--offline").out
    git(team.home, "update-index", "--assume-unchanged", "fleets/desk/fleet.yaml")
    assert why() == "fleet.yaml differs from its commit"
    git(team.home, "update-index", "--no-assume-unchanged", "fleets/desk/fleet.yaml")
    (team.fleet / ".gitignore").write_text("more.json\n")
    (team.fleet / "fleet.yaml").write_text(FLEET.replace("rooms.json", "more.json"))
    (team.fleet / "more.json").write_text('["one", "two"]')
    team.commit("reads what is not tracked")
    assert why() == "more.json is not committed"
    # A file that the commit has and the work tree does not: a pattern would have read it.
    team.write(team.fleet)
    (team.fleet / "agents").mkdir()
    (team.fleet / "agents" / "more.yaml").write_text("channels: []\n")
    team.commit("one more file")
    git(team.home, "update-index", "--skip-worktree", "fleets/desk/agents/more.yaml")
    (team.fleet / "agents" / "more.yaml").unlink()
    assert why() == "agents/more.yaml is in the commit and not in the work tree"


def test_line_ends_are_the_business_of_a_checkout(team: Team) -> None:
    clone = team.clone("windows", "-c", "core.autocrlf=true")
    assert b"\r\n" in (clone / "fleet.yaml").read_bytes()
    assert team.token(clone) == team.token()


def test_the_bytes_of_an_offline_plan_are_the_same_in_every_clone(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.write(team.fleet, voice="en-US-EmmaNeural")
    team.commit("another voice")
    clones = [team.clone("one"), team.clone("two")]
    shutil.rmtree(team.root / "remote.git")  # the remote is not read
    for form in ("json", "markdown", "text"):
        first = team.run("plan", "--offline", "--format", form, at=clones[0])
        monkeypatch.setenv("AGORA_APP_ID", "f" * 32)
        second = team.run("plan", "--offline", "--format", form, at=clones[1])
        assert (first.code, first.out) == (0, second.out), first.err
        assert first.out.count(team.token(clones[0])) == 1
    git(clones[1], "update-ref", "-d", "refs/reconciler/desk.-")
    missing = team.run("plan", "--offline", at=clones[1])
    assert (missing.code, missing.out) == (1, "")
    assert "refs/reconciler/desk" in missing.err
    assert "git fetch origin" in missing.err


@pytest.mark.parametrize(
    "inside", [[], ["unshare", "--map-root-user", "--net"]], ids=["guarded", "no-network"]
)
def test_an_offline_plan_needs_no_network_and_reads_no_variable_of_the_service(
    team: Team, inside: list[str]
) -> None:
    if inside and (
        shutil.which(inside[0]) is None or subprocess.run([*inside, "true"], check=False).returncode
    ):
        pytest.skip("this system lets nobody make a network namespace")
    shown = guarded(team.fleet, "--offline", inside=inside)
    assert shown.returncode == 0, shown.stderr
    assert team.token() in shown.stdout


def test_a_secret_that_was_seen_on_its_way_elsewhere_still_has_to_be_allowed(team: Team) -> None:
    team.write(team.fleet, url=EVIL)
    team.commit("a helpful change")
    planned = team.offline()
    assert [each["host"] for each in planned["dangers"]] == ["evil.example"]
    before = team.running()
    refused = team.run("apply", "--approved", planned["approval"])
    assert refused.code == 5, refused.err
    assert team.running() == before
    allowed = team.apply("--approved", planned["approval"], "--allow", "secret-host=evil.example")
    assert allowed.code == 0, allowed.err


def test_a_check_shows_what_has_moved_as_rows(team: Team) -> None:
    team.write(team.fleet, rooms=["one", "two", "three"])
    team.commit("a third room")
    token = team.token()
    document, saved = team.root / "plan.json", team.root / "saved.plan"
    document.write_text(json.dumps(team.offline()))
    assert team.run("plan", "--out", str(saved)).code == 0
    for reviewed in (token, str(document), str(saved)):
        same = team.run("plan", "--offline", "--check", reviewed)
        assert (same.code, same.out) == (0, "As reviewed: 1 change.\n"), same.err
        assert team.run("plan", "--check", reviewed).code == 0
    team.write(team.fleet, rooms=["one", "four"], model="gpt-4o")
    team.commit("somebody else's change")
    for reviewed in (token, str(document), str(saved)):
        moved = team.run("plan", "--offline", "--check", reviewed, "--format", "json")
        assert moved.code == 2, moved.err
        assert moved.tree["added"] == [
            {"action": "join", "address": "four/desk"},
            {"action": "leave", "address": "two/desk"},
            {"action": "update", "address": "one/desk"},
        ]
        assert moved.tree["gone"] == [{"action": "join", "address": "three/desk"}]
    shown = team.run("plan", "--offline", "--check", token).out
    assert "+ leave two/desk: was not reviewed\n" in shown
    assert "- join three/desk: is not to be done any more\n" in shown
    # The same row with other fields is another change.
    team.write(team.fleet, rooms=["one", "two"], model="gpt-4o")
    team.commit("a model")
    document.write_text(json.dumps(team.offline()))
    team.write(team.fleet, rooms=["one", "two"], model="gpt-4.1")
    team.commit("another model")
    other = team.run("plan", "--offline", "--check", str(document), "--format", "json")
    assert [each["address"] for each in other.tree["changed"]] == ["one/desk", "two/desk"]
    for wrong in ("nothing", str(team.fleet / "fleet.yaml"), str(team.root)):
        assert team.run("plan", "--offline", "--check", wrong).code == 1
    assert team.run("plan", "--offline", "--check", token, "--target", "one/*").code == 1
    assert team.run("plan", "--offline", "--check", token, "--format", "html").code == 1


# --- the team's policy ----------------------------------------------------------------------------------------

POLICY = """\
secret_hosts: [api.openai.com, eastus.tts.speech.microsoft.com, "vendor:microsoft"]
limits: {hang_ups: 1}
protect: ["two/*"]
"""


def policy(team: Team, text: str) -> None:
    file = team.home / ".reconciler" / "policy.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    git(team.home, "add", "-f", ".reconciler/policy.yaml")
    git(team.home, "commit", "-q", "-m", "a policy")


def test_a_change_cannot_loosen_the_policy_that_it_is_held_against(team: Team) -> None:
    policy(team, POLICY)
    git(team.home, "tag", "base")
    policy(team, "{}")
    team.write(team.fleet, url=EVIL)
    team.commit("a helpful change that takes the policy away")
    before = team.running()
    planned = team.offline(None, "--policy-from", "base")
    (danger,) = planned["dangers"]
    assert (danger["host"], danger["forbidden"], danger["allowed"]) == ("evil.example", True, False)
    # Of the two only one may end: the policy protects the other, and there every secret stays where it is.
    assert rows(planned) == {"one/desk": "replace", "two/desk": "hold replace protected"}
    for words in (["--auto-approve"], ["--approved", str(planned["approval"])]):
        refused = team.apply(*words, "--policy-from", "base", "--allow", "secret-host=evil.example")
        assert refused.code == 5, refused.err
        assert "evil.example, which the team's policy does not list" in refused.err
    checked = team.run("plan", "--offline", "--check", planned["approval"], "--policy-from", "base")
    assert (checked.code, checked.out) == (0, "As reviewed: 1 change.\n")
    shown = team.run("plan", "--offline", "--policy-from", "base")
    assert shown.out.startswith("DANGER: evil.example would get the secret ref+env://LLM_KEY")
    assert "the team's policy does not list that host" in shown.out
    assert team.running() == before


def test_of_two_limits_the_smaller_one_counts_and_what_is_frozen_is_held(team: Team) -> None:
    policy(
        team,
        POLICY.replace("two/", "three/")
        + "freeze: [{until: 2099-01-01T00:00:00Z, reason: x, kinds: [join]}]\n",
    )
    team.write(team.fleet, rooms=["one", "two", "four"], voice="en-US-EmmaNeural")
    team.commit("another voice")
    before = team.running()
    refused = team.apply("--auto-approve", "--policy-from", "HEAD~1")
    assert refused.code == 5
    assert "limits.hang_ups allows 1; raise it once with --allow hang_ups=2" in refused.err
    assert "or change limits.hang_ups in the team's policy" in refused.err
    assert team.running() == before
    done = team.apply("--auto-approve", "--policy-from", "HEAD~1", "--allow", "hang_ups=2")
    assert done.code == 6
    assert rows(done.tree)["four/desk"] == "hold join frozen"
    assert set(team.running().values()).isdisjoint(before.values())


def test_a_policy_that_cannot_be_read_is_refused_and_one_that_is_not_there_is_said(team: Team) -> None:
    before = team.running()
    team.write(team.fleet, voice="en-US-EmmaNeural")
    none = team.run("plan", "--policy-from", "HEAD")
    assert none.code == 0
    assert "HEAD has no .reconciler/policy.yaml" in none.err
    for text, place in (
        ("limits: {leave: 10%\n", ".reconciler/policy.yaml:"),
        ("secrets: [a]\n", ".reconciler/policy.yaml:1:1"),
        ("limits: {leave: ten}\n", ".reconciler/policy.yaml:1:17"),
    ):
        policy(team, text)
        for words in (["plan"], ["plan", "--offline"], ["apply", "--auto-approve"]):
            refused = team.run(*words, "--policy-from", "HEAD")
            assert (refused.code, refused.out) == (1, "")
            assert place in refused.err, refused.err
    unknown = team.run("plan", "--policy-from", "nowhere")
    assert (unknown.code, unknown.out) == (1, "")
    assert "git knows no commit 'nowhere'" in unknown.err
    assert team.running() == before
