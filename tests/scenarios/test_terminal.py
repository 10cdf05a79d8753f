"""What a command says, to whom and how: several fleets, colours, quiet runs, logs, narrow terminals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FLEET = """\
fleet: {fleet}
variables: {{rooms: [one, two]}}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {{vendor: microsoft, params: {{key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      system_messages: [{{role: system, content: Be kind.}}]
      params: {{model: gpt-4o-mini}}
environments:
  prod: {{variables: {{}}}}
  test: {{variables: {{}}}}
channels:
  - channel: "{{{{ room }}}}"
    for_each: "{{{{ rooms }}}}"
    as: room
    agents: [{{name: desk}}]
"""


@pytest.fixture
def fleets(tmp_path: Path) -> Path:
    for name in ("alpha", "beta"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fleet.yaml").write_text(FLEET.format(fleet=name), encoding="utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "fleet.yaml").write_text("fleet: [x\n", encoding="utf-8")
    return tmp_path


def run(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    mine = ("AGORA_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        cwd=home,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**clean, "TERM": "xterm", **environment},
        check=False,
        timeout=60,
    )


def edit(home: Path, fleet: str, old: str, new: str) -> None:
    path = home / fleet / "fleet.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


# --- several fleets and environments ----------------------------------------------------------------------------


def test_one_that_does_not_load_hides_no_other(fleets: Path) -> None:
    run(fleets, "apply", "alpha", "--auto-approve")
    seen = run(fleets, "plan", "alpha", "broken", "beta", "--detailed-exitcode")
    assert seen.returncode == 1
    headings = re.findall(r"^== (.*) ==$", seen.stdout, re.MULTILINE)
    assert headings == ["alpha", "broken", "beta"]
    assert "Plan: 2 to join" in seen.stdout
    table = seen.stdout.partition("FLEET")[2]
    assert re.search(r"^alpha +no changes$", table, re.MULTILINE)
    assert re.search(r"^beta +2 to join$", table, re.MULTILINE)
    assert re.search(r"^broken +error: the fleet's files have 1 error", table, re.MULTILINE)
    assert "== broken ==\n" in seen.stderr
    assert "yaml-syntax" in seen.stderr


@pytest.mark.parametrize(
    ("directories", "code"), [(["alpha"], 0), (["alpha", "beta"], 2), (["alpha", "beta", "broken"], 1)]
)
def test_the_worst_exit_code_counts(fleets: Path, directories: list[str], code: int) -> None:
    run(fleets, "apply", "alpha", "--auto-approve")
    for words in (["drift"], ["plan", "--detailed-exitcode"]):
        assert run(fleets, *words, *directories).returncode == code
        assert run(fleets, *words, *reversed(directories)).returncode == code


def test_environments_are_named_or_all(fleets: Path) -> None:
    run(fleets, "apply", "alpha", "-e", "test", "--auto-approve")
    for names, wanted in (("prod,test", ["prod", "test"]), ("all", ["prod", "test"]), ("test", ["test"])):
        seen = run(fleets, "status", "alpha", "-e", names, "--format", "json")
        found = json.loads(seen.stdout)
        documents = found if isinstance(found, list) else [found]
        assert [each["environment"] for each in documents] == wanted
        assert isinstance(found, list) is (names != "test")
        statuses = {each["environment"]: each["agents"][0]["status"] for each in documents}
        assert statuses["test"] == "RUNNING"
        assert statuses.get("prod", "absent") == "absent"
    unknown = run(fleets, "plan", "alpha", "-e", "prod,tset", "--format", "json")
    assert unknown.returncode == 1
    good, bad = json.loads(unknown.stdout)
    assert (good["environment"], good["summary"]["join"]) == ("prod", 2)
    assert bad["error"]["diagnostics"][0]["rule"] == "unknown-environment"
    assert run(fleets, "plan", "alpha", "-e", "prod,").returncode == 1


@pytest.mark.parametrize("command", ["plan", "drift", "status", "validate"])
def test_a_document_of_a_list_is_the_one_of_its_fleet_alone(fleets: Path, command: str) -> None:
    alone = run(fleets, command, "alpha", "-e", "prod", "--format", "json").stdout
    one, other = json.loads(run(fleets, command, "alpha", "beta", "-e", "prod", "--format", "json").stdout)
    assert {key: one[key] for key in json.loads(alone)} == json.loads(alone)
    assert one != other


def test_validate_joins_annotations_and_results(fleets: Path) -> None:
    edit(fleets, "beta", "idle_timeout: 0", "idle_timeout: soon")
    annotated = run(fleets, "validate", "alpha", "beta", "broken", "--format", "github")
    assert annotated.returncode == 1
    assert re.findall(r"^::error file=([^,]+)", annotated.stdout, re.MULTILINE) == [
        "beta/fleet.yaml",
        "broken/fleet.yaml",
    ]
    [whole] = json.loads(run(fleets, "validate", "beta", "broken", "--format", "sarif").stdout)["runs"]
    rules = [each["id"] for each in whole["tool"]["driver"]["rules"]]
    assert [rules[each["ruleIndex"]] for each in whole["results"]] == ["wrong-type", "yaml-syntax"]


def test_a_command_for_one_environment_says_so(fleets: Path) -> None:
    for command in ("apply", "destroy", "doctor", "render", "turn"):
        done = run(fleets, command, "alpha", "-e", "prod,test")
        assert (done.returncode, "takes one environment" in done.stderr) == (1, True), done.stderr


def test_what_belongs_to_one_fleet_is_refused_for_several(fleets: Path) -> None:
    refused = run(fleets, "plan", "alpha", "beta", "--out", "saved")
    assert refused.returncode == 1
    assert "name one DIR" in refused.stderr
    assert not (fleets / "saved").exists()


# --- colours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "environment", "coloured"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--no-color",), {"FORCE_COLOR": "1"}, False),
        (("--color=always",), {"NO_COLOR": "1", "TERM": "dumb"}, True),
        (("--color=always", "--format", "json"), {"FORCE_COLOR": "1"}, False),
        (("--color=always", "--format", "markdown"), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_who_decides_about_colours(
    fleets: Path, words: tuple[str, ...], environment: dict[str, str], coloured: bool
) -> None:
    assert ("\x1b[" in run(fleets, "plan", "alpha", *words, **environment).stdout) is coloured
    errors = run(fleets, "plan", "broken", *words, **environment).stderr
    assert ("\x1b[" in errors) is (coloured or bool({"json", "markdown"} & set(words)))


# --- quiet runs ---------------------------------------------------------------------------------------------------


def test_a_quiet_run_says_what_is_wrong_and_one_line(fleets: Path) -> None:
    assert run(fleets, "drift", "alpha", "-q").stdout == (
        "Drift: 2 addresses are not as last applied; an apply would join 2. "
        "What has happened: declared, and never joined (2).\n"
    )
    planned = run(fleets, "plan", "alpha", "-q")
    assert planned.stdout.startswith("Plan: 2 to join")
    assert planned.stdout.count("\n") == 1
    applied = run(fleets, "apply", "alpha", "--auto-approve", "-q")
    assert (applied.stdout, applied.stderr) == ("Apply complete: 2 joined.\n", "")
    assert run(fleets, "drift", "alpha", "-q").stdout == "No drift.\n"
    assert run(fleets, "status", "alpha", "-q").stdout.startswith("alpha: 2 in sync. Running: 2")
    edit(fleets, "alpha", "agents: [{name: desk}]", "agents: [{name: desk, lifecycle: {protect: true}}]")
    run(fleets, "apply", "alpha", "--auto-approve", "-q")
    edit(fleets, "alpha", "eastus", "westus")
    held = run(fleets, "apply", "alpha", "--auto-approve", "-q")
    assert held.returncode == 6
    assert held.stdout.startswith("Held\n  one/desk, two/desk: change held: it is protected")
    assert "must be replaced" not in held.stdout
    assert held.stderr == ""
    told = run(fleets, "apply", "alpha", "--auto-approve")
    assert "held" in told.stdout and "held" not in told.stderr, (
        "a reason is told once, not once for each agent"
    )
    assert told.returncode == 6
    assert "one/desk: change held" in run(fleets, "apply", "alpha", "--auto-approve", "-v").stderr


def test_a_quiet_look_at_several_names_those_with_a_problem(fleets: Path) -> None:
    run(fleets, "apply", "alpha", "--auto-approve")
    seen = run(fleets, "drift", "alpha", "beta", "-q")
    assert "alpha" not in seen.stdout
    assert seen.stdout.splitlines()[-1] == (
        "2 fleets and environments: 1 with something to look at, 1 in order."
    )


# --- logs -----------------------------------------------------------------------------------------------------------


def records(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_goes_to_stderr_as_json_lines(fleets: Path) -> None:
    applied = run(fleets, "apply", "alpha", "-e", "test", "--auto-approve", "--log-format", "json")
    found = records(applied.stderr)
    assert len({each["run_id"] for each in found}) == 1
    assert {(each["fleet"], each["environment"]) for each in found} == {("alpha", "test")}
    done = {each["address"]: each for each in found if each.get("type") == "change_finished"}
    assert set(done) == {"one/desk", "two/desk"}
    assert (done["one/desk"]["action"], done["one/desk"]["result"]) == ("join", "done")
    assert re.fullmatch(r"A[0-9A-Z]{31}", done["one/desk"]["agent_id"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in found)
    failed = records(run(fleets, "plan", "broken", "--log-format", "json", FORCE_COLOR="1").stderr)
    assert [each["level"] for each in failed] == ["error"]
    assert "yaml-syntax" in failed[0]["message"]
    assert "\x1b" not in failed[0]["message"]


def test_a_log_file_has_what_a_quiet_run_does_not_say(fleets: Path) -> None:
    for word in ("json", "text"):
        applied = run(
            fleets, "apply", "alpha", "--auto-approve", "-q", "--log-format", word, "--log-file", "run.log"
        )
        assert (applied.returncode, applied.stderr) == (0, "")
        run(fleets, "destroy", "alpha", "--auto-approve", "-q")
    lines = (fleets / "run.log").read_text(encoding="utf-8").splitlines()
    finished = records("\n".join(each for each in lines if each.startswith("{")))
    assert [each["result"] for each in finished if each["type"] == "change_finished"] == ["done", "done"]
    assert sum(1 for each in lines if re.match(r"\d{4}-\S+Z [0-9a-f]{12} alpha \S+/desk: joined", each)) == 2


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nothing(fleets: Path) -> None:
    applied = run(fleets, "apply", "alpha", "--auto-approve", "--log-file", "/dev/full")
    assert applied.returncode == 0
    assert applied.stderr.count("the log cannot be written any more: No space left on device") == 1
    refused = run(fleets, "apply", "alpha", "--auto-approve", "--log-file", "nowhere/run.log")
    assert refused.returncode == 1
    assert "nowhere/run.log" in refused.stderr


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_a_warning_is_a_line_with_its_place_and_is_said_once(fleets: Path) -> None:
    edit(fleets, "alpha", "idle_timeout: 0", "idle_timeot: 0")
    line = re.compile(r"^warning: .*idle_timeot.* \[unknown-property\] alpha/fleet\.yaml:\d+$", re.MULTILINE)
    for words in (["plan", "alpha"], ["status", "alpha"], ["plan", "alpha", "-e", "all"]):
        said = run(fleets, *words).stderr
        assert len(line.findall(said)) == 1, said
        assert len(said.splitlines()) == said.count("warning: "), "one line each"
    assert "  --> fleet.yaml" in run(fleets, "validate", "alpha").stdout


# --- narrow terminals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_a_row_of_status_keeps_its_address_and_its_status(fleets: Path, columns: str) -> None:
    long = "a-channel-with-27-characters/desk"[:27]
    edit(fleets, "alpha", "[one, two]", f"[one, {long}, {'x' * 50}]")
    run(fleets, "apply", "alpha", "--auto-approve")
    lines = run(fleets, "status", "alpha", COLUMNS=columns).stdout.splitlines()
    for address in ("one/desk", f"{long}/desk", f"{'x' * 50}/desk"):
        [row] = [each for each in lines if each.startswith(f"{address} ")]
        assert row.split()[1] == "RUNNING"
        assert len(row) <= int(columns) or len(address) > 32
    assert ("AGENT" in lines[0]) is (columns == "200")
    assert all(column in lines[0] for column in ("ADDRESS", "STATUS"))


# --- conversations ----------------------------------------------------------------------------------------------------


def test_status_tells_of_conversations_where_it_is_asked(fleets: Path) -> None:
    run(fleets, "apply", "alpha", "--auto-approve")
    run(fleets, "speak", "one/desk", "Good evening.", "-C", "alpha")
    plain = run(fleets, "status", "alpha", "--format", "json")
    assert "conversation" not in plain.stdout
    asked = json.loads(run(fleets, "status", "alpha", "--conversation", "--format", "json").stdout)
    one, two = (each["conversation"] for each in asked["agents"])
    assert (one["turns"], one["last_role"], one["last_said"]) == (1, "assistant", "Good evening.")
    assert 0 <= one["silence"] < 600
    assert (two["turns"], two["last_said"], two["silence"]) == (0, None, None)
    for columns in ("200", "40"):
        shown = run(fleets, "status", "alpha", "--conversation", COLUMNS=columns).stdout
        assert re.search(r'1 turn, silent for \w+, assistant: "Good evening\."', " ".join(shown.split()))
    assert "conversation" not in run(fleets, "status", "alpha", "-v").stderr.lower()
