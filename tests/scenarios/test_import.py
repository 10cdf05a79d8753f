"""`import` and `status --all` as users run them, against a served simulator where something runs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from reconciler.cli import main
from reconciler.simulator import Credentials, Simulator, run_in_thread

APP_ID = "0123456789abcdef0123456789abcdef"
SERVICE = {
    "AGORA_APP_ID": APP_ID,
    "AGORA_APP_CERTIFICATE": "fedcba9876543210fedcba9876543210",
    "AGORA_CUSTOMER_ID": "customer",
    "AGORA_CUSTOMER_SECRET": "a-customer-secret",
}
CANARY = "Zq4T9wLm2Xv7Kd8Rb1Hj3N6pYt5Wc0Qe8Ua2"
SECRETS = {"OPENAI_API_KEY": "new", "DEEPGRAM_ASR_KEY": "new", "MICROSOFT_TTS_KEY": "new"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, without credentials, in a directory of its own: exit code, standard output, standard error."""
    for name in SERVICE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.run(list(words))
        streams = capsys.readouterr()
        assert "Traceback" not in streams.err
        assert CANARY not in streams.out + streams.err
        for path in tmp_path.rglob("*"):
            if path.is_file() and not path.name.startswith("source"):
                assert CANARY.encode() not in path.read_bytes(), path
        return code, streams.out, streams.err

    return command


class World:
    """A served service with agents that others started."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator, self.url = simulator, url
        self.path = f"/api/conversational-ai-agent/v2/projects/{APP_ID}"

    def join(self, body: dict[str, Any]) -> str:
        reply = httpx.post(f"{self.url}{self.path}/join", json=body, auth=("customer", "a-customer-secret"))
        assert reply.status_code == 200, reply.text
        return str(reply.json()["agent_id"])

    def live(self) -> dict[str, str]:
        found = httpx.get(f"{self.url}/simulator/world").json()["agents"]
        return {each["agent_id"]: each["name"] for each in found if each["live"]}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    simulator = Simulator(credentials=Credentials.from_environment(SERVICE))
    simulator.set_switches({"rtc_token": "ignored"})
    with run_in_thread(simulator) as url:
        yield World(simulator, url)


@pytest.fixture
def connected(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, and an environment that leads there; after `run`, which clears it."""
    for name, value in {**SERVICE, **SECRETS, "AGORA_AGENTS_API_BASE_URL": world.url}.items():
        monkeypatch.setenv(name, value)
    return world


def body(name: str, channel: str, uid: str, prompt: str = "Be brief.") -> dict[str, Any]:
    return {
        "name": name,
        "properties": {
            "channel": channel,
            "token": "made-up",
            "agent_rtc_uid": uid,
            "remote_rtc_uids": ["*"],
            "idle_timeout": 0,
            "asr": {"vendor": "deepgram", "params": {"key": f"dg-{CANARY}", "language": "en-US"}},
            "llm": {
                "url": "https://api.openai.com/v1/chat/completions",
                "api_key": f"sk-{CANARY}",
                "system_messages": [{"role": "system", "content": prompt}],
                "params": {"model": "gpt-4o-mini"},
            },
            "tts": {
                "vendor": "microsoft",
                "params": {"key": f"ms-{CANARY}", "region": "eastus", "voice_name": "en-US-AvaNeural"},
            },
        },
    }


THREE = [
    body("greeter", "lobby", "1"),
    body("barista", "cafe", "2"),
    body("night desk", "desk", "3", "It is night."),
]


# --- from sources -----------------------------------------------------------------------------------------------


def test_sources_become_a_valid_fleet_and_the_names_to_set(run: Run) -> None:
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    code, out, err = run("import", "--from", "source.json", "fleet")
    assert (code, err) == (0, "")
    exports = [line for line in out.splitlines() if line.startswith("export ")]
    assert sorted(exports) == [f"export {name}=…" for name in sorted(SECRETS)]
    assert out.count("# source.json:1\n") == 1, "one source of several names is named once"
    assert out.endswith(
        "# missing in the environment: AGORA_APP_ID, AGORA_APP_CERTIFICATE; `reconciler doctor fleet` checks what an "
        "apply needs\nnext: reconciler plan fleet\n"
    )
    assert run("validate", "fleet") == (0, "fleet is valid: 3 agents in 3 channels.\n", "")
    assert ".reconciler/" in Path("fleet/.gitignore").read_text(encoding="utf-8")


def test_with_credentials_the_next_step_is_a_plan(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    out = run("import", "--from", "source.json", "fleet")[1]
    assert "missing" not in out and out.endswith("next: reconciler plan fleet\n")


def test_every_file_names_the_schema_to_an_editor(run: Run) -> None:
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    assert run("import", "--from", "source.json", "fleet")[0] == 0
    for file in ("fleet.yaml", "agents/imported.yaml"):
        first = Path("fleet", file).read_text(encoding="utf-8").partition("\n")[0]
        label, equals, schema = first.partition("$schema=")
        assert (label, equals) == ("# yaml-language-server: ", "$schema=")
        assert Path("fleet", file).parent.joinpath(schema).samefile("fleet/fleet.schema.json")


@pytest.mark.parametrize("taken", ["fleet.yaml", "fleet.yml", "agents/imported.yaml", "agents/mine.yml"])
def test_a_fleet_that_exists_is_never_overwritten(run: Run, taken: str) -> None:
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    path = Path("fleet", taken)
    path.parent.mkdir(parents=True)
    path.write_text("mine", encoding="utf-8")
    code, out, err = run("import", "--from", "source.json", "fleet")
    assert (code, out) == (1, "")
    assert f"{path} is there already; nothing was written" in err
    assert [each for each in Path("fleet").rglob("*") if each.is_file()] == [path]
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_link_that_leads_nowhere_is_a_fleet_that_exists(run: Run) -> None:
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    Path("fleet.yaml").symlink_to("elsewhere/fleet.yaml")
    assert run("import", "--from", "source.json")[0] == 1
    assert not Path("elsewhere").exists()


def test_several_sources_and_a_pattern_of_files(run: Run) -> None:
    for at, each in enumerate(THREE):
        Path(f"source{at}.json").write_text(json.dumps(each), encoding="utf-8")
    assert run("import", "--from", "source0.json", "--from", "source1.json", "one")[0] == 0
    assert run("import", "--from", "source0.json", "source1.json", "source2.json", "two")[0] == 0
    assert "3 agents" in run("validate", "two")[1]
    assert run("import", "--from", "source0.json", "source1.json")[0] == 0
    assert "2 agents" in run("validate", ".")[1]


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(THREE[0]).encode())))
    code, out, _ = run("import", "--from", "-", "fleet")
    assert code == 0
    assert "# -:1\nexport DEEPGRAM_ASR_KEY=…\n" in out


def test_a_file_that_a_command_names_is_read_from_beside_it(run: Run) -> None:
    Path("there").mkdir()
    Path("there/source.json").write_text(json.dumps(THREE[0]), encoding="utf-8")
    Path("there/source.sh").write_text(
        "curl https://x/v2/projects/p/join -d @source.json\n", encoding="utf-8"
    )
    assert run("import", "--from", "there/source.sh", "fleet")[0] == 0
    assert "1 agent " in run("validate", "fleet")[1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"\xff\xfe{", "source.txt:1: this is no UTF-8"),
        (b'{"name":\n"\x00"}', "source.txt:2: a NUL character: this is no text"),
        (f'{{"name": "{CANARY}", "properties": '.encode(), "source.txt:1: this is no JSON"),
        (f"curl https://x/join -d '{{\"{CANARY}".encode(), "source.txt:1: the quote that opens here has no end"),
        (b"curl https://x/join -d @/nowhere/at/all", "source.txt:1: the file that this command names is not there"),
        (b"[" * 200_000, "source.txt:1: a value that is nested deeper than 40"),
        (b"", "source.txt:1: neither a join body nor a curl command that joins"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_told_and_nothing_is_written(
    run: Run, source: bytes, message: str
) -> None:
    Path("source.txt").write_bytes(source)
    code, out, err = run("import", "--from", "source.txt", "fleet")
    assert (code, out) == (1, "")
    assert message in err
    assert not Path("fleet").exists()


def test_usage(run: Run) -> None:
    assert run("import", "fleet")[0] == 1
    assert run("import", "--from", "source.nowhere", "fleet")[0] == 1
    assert run("import", "--running", "a", "b")[0] == 1
    Path("source.d").mkdir()
    code, _, err = run("import", "--from", "source.d", "fleet")
    assert (code, "source.d cannot be read: Is a directory" in err) == (1, True)
    code, _, err = run("import", "--running", "fleet")
    assert (code, "AGORA_APP_ID" in err) == (1, True)


def test_what_validate_would_refuse_is_listed(run: Run) -> None:
    Path("source.json").write_text(
        json.dumps([body("a", "lobby", "7"), body("b", "lobby", "7", f"Never say sk-{CANARY}.")]),
        encoding="utf-8",
    )
    code, out, err = run("import", "--from", "source.json", "fleet")
    assert code == 0
    errors = run("validate", "fleet")[1]
    text = Path("fleet/agents/imported.yaml").read_text(encoding="utf-8").splitlines()
    gaps = [at for at, line in enumerate(text, 1) if line.lstrip().startswith("# gap: ")]
    assert len(gaps) == errors.count("error: ") == err.count("to fill in: agents/imported.yaml:") > 1
    for line in gaps:
        assert f"--> agents/imported.yaml:{line + 1}:" in errors
    assert out.endswith(f"\nnext: reconciler validate fleet    # {len(gaps)} places to fill in\n"), (
        "it can be pasted"
    )


# --- what runs --------------------------------------------------------------------------------------------------


def test_what_runs_becomes_entries_whose_gaps_validate_points_at(run: Run, connected: World) -> None:
    ids = {each["name"]: connected.join(each) for each in THREE}
    before = connected.live()
    code, _, err = run("import", "--running", "fleet")
    assert code == 0
    assert connected.live() == before
    text = Path("fleet/agents/imported.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    assert {
        (block["channel"], agent["name"]): agent for block in tree["channels"] for agent in block["agents"]
    } == {
        (each["properties"]["channel"], each["name"].replace(" ", "-")): {
            "name": each["name"].replace(" ", "-"),
            "adopt": ids[each["name"]],
        }
        for each in THREE
    }
    code, errors, _ = run("validate", "fleet")
    assert code == 1
    lines = text.splitlines()
    for agent_id in ids.values():
        line = next(at for at, each in enumerate(lines) if agent_id in each and "adopt:" in each)
        assert f"--> agents/imported.yaml:{line}:" in errors, errors
    assert err.count("to fill in: agents/imported.yaml:") == 3
    # `properties` on the entry fill it.
    for block in tree["channels"]:
        for agent in block["agents"]:
            [given] = [each for each in THREE if each["name"].replace(" ", "-") == agent["name"]]
            agent["properties"] = {
                k: v for k, v in given["properties"].items() if k not in ("channel", "token")
            }
            agent["properties"]["llm"] = {**agent["properties"]["llm"], "api_key": "ref+env://OPENAI_API_KEY"}
            agent["properties"]["asr"] = {"vendor": "ares"}
            agent["properties"]["tts"] = {
                "vendor": "microsoft",
                "params": {"key": "ref+env://MICROSOFT_TTS_KEY", "region": "eastus", "voice_name": "v"},
            }
    Path("fleet/agents/imported.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert run("validate", "fleet")[0] == 0
    plan = json.loads(run("plan", "--format", "json", "fleet")[1])
    assert {each["action"] for each in plan["resource_changes"]} == {"adopt"}


def test_bodies_and_what_runs_together_are_a_fleet_that_adopts(run: Run, connected: World) -> None:
    for each in THREE:
        connected.join(each)
    before = connected.live()
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    assert run("import", "--from", "source.json", "--running", "fleet")[0] == 0
    assert run("validate", "fleet")[0] == 0
    plan = json.loads(run("plan", "--format", "json", "fleet")[1])
    assert [each["action"] for each in plan["resource_changes"]] == ["adopt"] * 3
    assert run("apply", "--auto-approve", "fleet")[0] == 0
    assert connected.live() == before, "nobody was hung up on, and nobody joined beside"
    assert run("plan", "--detailed-exitcode", "fleet")[0] == 0


def test_a_body_that_does_not_run_would_join_and_that_is_said(run: Run, connected: World) -> None:
    connected.join(THREE[0])
    connected.join(body("stray", "bar", "9"))
    Path("source.json").write_text(json.dumps(THREE[:2]), encoding="utf-8")
    code, _, err = run("import", "--from", "source.json", "--running", "fleet")
    assert code == 0
    assert "no agent that runs is certainly cafe/barista; an apply would join it" in err
    text = Path("fleet/agents/imported.yaml").read_text(encoding="utf-8")
    assert text.count("adopt: ") == 2
    assert text.count("# gap: the service does not tell what agent") == 1


def test_a_body_of_that_name_in_another_channel_is_not_what_runs(run: Run, connected: World) -> None:
    connected.join(body("greeter", "bar", "9"))
    Path("source.json").write_text(json.dumps(THREE[:1]), encoding="utf-8")
    assert run("import", "--from", "source.json", "--running", "fleet")[0] == 0
    tree = yaml.safe_load(Path("fleet/agents/imported.yaml").read_text(encoding="utf-8"))
    found = {block["channel"]: ["adopt" in agent for agent in block["agents"]] for block in tree["channels"]}
    assert found == {"lobby": [False], "bar": [True]}


def test_where_the_service_tells_no_channel_the_channel_is_a_gap(run: Run, connected: World) -> None:
    connected.simulator.set_switches({"turns_of_live": "404"})
    agent_id = connected.join(THREE[0])
    assert run("import", "--running", "fleet")[0] == 0
    text = Path("fleet/agents/imported.yaml").read_text(encoding="utf-8")
    assert '  # gap: this channel has no "channel"\n  - channel: null\n' in text
    code, errors, _ = run("validate", "fleet")
    assert (code, 'this channel has no "channel"' in errors) == (1, True)
    shown = run("status", "--all", "elsewhere")[1]
    assert "channel not told" in shown
    assert f"adopt: {agent_id}" in shown


def test_agents_without_a_name_are_named_too(run: Run, connected: World) -> None:
    connected.simulator.set_switches({"get_returns_name": "no"})
    connected.join(THREE[2])
    assert run("import", "--running", "fleet")[0] == 0
    assert "name: night-desk" in Path("fleet/agents/imported.yaml").read_text(encoding="utf-8")


def test_where_nothing_runs_there_is_nothing_to_write(run: Run, connected: World) -> None:
    code, _, err = run("import", "--running", "fleet")
    assert (code, "nothing runs under this App ID" in err) == (1, True)
    assert not Path("fleet").exists()


def test_agents_of_a_fleet_are_left_to_it(run: Run, connected: World) -> None:
    Path("source.json").write_text(json.dumps(THREE[:2]), encoding="utf-8")
    run("import", "--from", "source.json", "theirs")
    assert run("apply", "--auto-approve", "theirs")[0] == 0
    connected.join(THREE[2])
    code, _, err = run("import", "--running", "mine")
    assert code == 0
    assert "left to its fleet theirs.-: 2 agents\n" in err
    assert Path("mine/agents/imported.yaml").read_text(encoding="utf-8").count("adopt: ") == 1


# --- status --all -----------------------------------------------------------------------------------------------


def test_everything_that_runs_is_listed_before_there_is_a_fleet(run: Run, connected: World) -> None:
    ids = [connected.join(each) for each in THREE]
    code, out, _ = run("status", "--all")
    assert code == 0
    for agent_id, each in zip(ids, THREE, strict=True):
        assert f"adopt: {agent_id}" in out
        assert each["name"] in out
        assert f"channel {each['properties']['channel']}" in out
    assert "3 agents run under this App ID: 3 of no fleet." in out
    rows = json.loads(run("status", "--all", "--format", "json")[1])
    assert rows["running"] == 3
    assert {each["agent_id"]: (each["name"], each["channel"], each["owner"], each["adopt"]) for each in rows["others"]} == {
        agent_id: (each["name"], each["properties"]["channel"], "", f"adopt: {agent_id}")
        for agent_id, each in zip(ids, THREE, strict=True)
    }  # fmt: skip
    assert not Path(".reconciler").exists()


def test_with_a_fleet_what_is_not_its_own_comes_after_its_status(run: Run, connected: World) -> None:
    Path("source.json").write_text(json.dumps(THREE[:2]), encoding="utf-8")
    run("import", "--from", "source.json", "fleet")
    ours_only = run("status", "--all", "fleet")[1]
    assert "adopt: " not in ours_only
    agent_id = connected.join(THREE[0])
    stray = connected.join(body("stray", "bar", "9"))
    code, out, _ = run("status", "--all", "fleet")
    assert code == 0
    assert f"adopt: {agent_id}    # under lobby/greeter" in out
    assert f"adopt: {stray}\n" in out
    assert "lobby/greeter" in out.partition("All else that runs")[0]
    assert run("apply", "--auto-approve", "--target", "cafe/barista", "fleet")[0] == 0
    rows = json.loads(run("status", "--all", "--format", "json", "fleet")[1])
    assert {each["agent_id"] for each in rows["others"]} == {agent_id, stray}
    assert rows["fleet"] == "fleet"
    other = json.loads(run("status", "--all", "--format", "json")[1])["others"]
    assert sorted(each["owner"] for each in other) == ["", "", "fleet.-"]


def test_a_fleet_that_adopts_an_agent_does_not_list_it_among_the_others(run: Run, connected: World) -> None:
    for each in THREE:
        connected.join(each)
    Path("source.json").write_text(json.dumps(THREE), encoding="utf-8")
    run("import", "--from", "source.json", "--running", "fleet")
    assert "3 agents run under this App ID, 3 of this fleet." in run("status", "--all", "fleet")[1]


def test_the_flags_that_make_no_sense_together(run: Run, connected: World) -> None:
    assert run("status", "--all", "--watch")[0] == 1
    assert run("status", "--area", "EU")[0] == 1
    Path("source.json").write_text(json.dumps(THREE[:1]), encoding="utf-8")
    run("import", "--from", "source.json", "fleet")
    assert run("status", "--all", "--area", "EU", "fleet")[0] == 1
