"""The command line as a user meets it: exit codes, streams, terminals, typos, interruption, the embedded service."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.examples.harness import control

FLEET = """\
fleet: demo
limits: {quota: 500, hang_ups: 100%, leave: 100%}
variables:
  rooms: "{{ load('rooms.json') }}"
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      system_messages: [{role: system, content: Be kind.}]
      params: {model: gpt-4o-mini}
environments:
  prod: {service: {kind: agora}}
channels:
  - channel: "{{ room }}"
    for_each: "{{ rooms }}"
    as: room
    agents: [{name: desk}]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    rooms(tmp_path, "one", "two")
    return tmp_path


def rooms(directory: Path, *names: str) -> None:
    (directory / "rooms.json").write_text(json.dumps(names), encoding="utf-8")


def edit(directory: Path, old: str, new: str) -> None:
    path = directory / "fleet.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AGORA_")}
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**clean, **environment},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["plan", "status", "drift"])
def test_what_only_looks_makes_no_file_beside_the_state(fleet: Path, command: str) -> None:
    (fleet / ".reconciler").mkdir()
    run(command, fleet)
    assert not list((fleet / ".reconciler").iterdir())


def test_the_way_of_a_new_user(tmp_path: Path) -> None:
    home = tmp_path / "my-fleet"
    assert run("init", home).returncode == 0
    assert run("validate", home).returncode == 0
    assert run("plan", home, "--detailed-exitcode").returncode == 2
    applied = run("apply", home, "--auto-approve")
    assert applied.returncode == 0, applied.stderr
    assert "1 joined" in applied.stdout
    assert run("plan", home, "--detailed-exitcode").returncode == 0
    assert run("drift", home).returncode == 0
    assert "lobby/greeter" in run("status", home).stdout
    assert run("speak", "lobby/greeter", "Hello", "-C", home).returncode == 0
    assert "Hello" in run("history", "lobby/greeter", "-C", home).stdout
    assert run("destroy", home, "--auto-approve").returncode == 0
    assert run("plan", home, "--detailed-exitcode").returncode == 2


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("mine", encoding="utf-8")
    refused = run("init", tmp_path)
    assert (refused.returncode, (tmp_path / "fleet.yaml").read_text(encoding="utf-8")) == (1, "mine")
    assert not (tmp_path / "agents").exists()


def test_a_plan_writes_nothing(fleet: Path) -> None:
    before = sorted(fleet.rglob("*"))
    assert run("plan", fleet).returncode == 0
    assert run("drift", fleet).returncode == 2
    assert sorted(fleet.rglob("*")) == before


def test_two_plans_are_the_same_bytes_whatever_the_hash_seed(fleet: Path) -> None:
    rooms(fleet, *[f"room-{number}" for number in range(30)])
    for style in ("text", "json", "markdown"):
        seen = {run("plan", fleet, "--format", style, PYTHONHASHSEED=str(seed)).stdout for seed in range(3)}
        assert len(seen) == 1


def test_results_go_to_stdout_and_the_rest_to_stderr(fleet: Path) -> None:
    applied = run("apply", fleet, "--auto-approve", "--format", "json")
    lines = [json.loads(line) for line in applied.stdout.splitlines()]
    assert lines[0]["type"] == "planned"
    assert {line["type"] for line in lines} >= {"change_started", "change_finished"}


def test_without_a_terminal_apply_wants_consent(fleet: Path) -> None:
    refused = run("apply", fleet)
    assert refused.returncode == 1
    assert "--auto-approve" in refused.stderr
    assert not (fleet / ".reconciler").exists()


def test_no_colours_in_a_pipe(fleet: Path) -> None:
    assert "\x1b" not in run("plan", fleet).stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["aplly"], 'Did you mean "apply"'),
        (["plan", "--taget", "x"], "Did you mean --target?"),
        (["destroy", "--target", "x"], "destroy has no selector"),
        (["plan", "nowhere"], "nowhere"),
        (["apply", "--auto-approve", "--only", "jion"], 'not "jion"; did you mean "join"?'),
        (["turn", "--allow-kinds", "all,renew"], "--allow-kinds takes all by itself"),
        (["watch", "--allow-kinds", "al"], 'did you mean "all"?'),
        (["apply", "--auto-approve", "--allow", "leaves=3"], 'did you mean "leave"?'),
        (["apply", "--auto-approve", "--allow", "hangups=3"], 'did you mean "hang_ups"?'),
        (["apply", "--auto-approve", "--allow", "leave=3,join=4"], "repeat --allow for another limit"),
        (["apply", "--auto-approve", "--horizon", "12"], "--horizon 12s is less than a minute"),
        (["apply", "--auto-approve", "--wait", "soon"], "not a duration"),
        (["show", "lobby"], 'there is no file lobby, and "lobby" is not an address'),
    ],
)
def test_a_typo_is_a_message_and_exit_code_1(arguments: list[str], word: str, tmp_path: Path) -> None:
    answer = run(*arguments)
    assert answer.returncode == 1
    assert word in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_published_exit_codes(fleet: Path) -> None:
    assert run("apply", fleet, "--auto-approve").returncode == 0
    saved = fleet / "saved.plan"
    rooms(fleet, "one", "two", "three")
    assert run("plan", fleet, "--out", saved).returncode == 0
    rooms(fleet, "one", "two", "three", "four")
    assert run("apply", fleet, "--plan", saved).returncode == 3
    rooms(fleet, "one", "two", "three")
    assert run("apply", fleet, "--plan", saved).returncode == 0
    edit(fleet, "leave: 100%", "leave: 0")
    rooms(fleet, "one")
    refused = run("apply", fleet, "--auto-approve")
    assert refused.returncode == 5
    assert "--allow leave=2" in refused.stderr
    rooms(fleet)
    assert run("apply", fleet, "--auto-approve").returncode == 5
    assert run("plan", fleet).returncode == 1
    rooms(fleet, "one", "two", "three")
    edit(fleet, "- {name: desk}", "- {name: desk}")
    edit(fleet, "[{name: desk}]", "[{name: desk, lifecycle: {protect: true}, properties: {idle_timeout: 5}}]")
    assert run("apply", fleet, "--auto-approve").returncode == 6


def test_a_held_state_is_exit_code_4_and_says_who_holds_it(fleet: Path) -> None:
    run("apply", fleet, "--auto-approve")
    code = (
        "import sys; from pathlib import Path; from reconciler.state.local import LocalStore\n"
        "store = LocalStore(Path(sys.argv[1])); store.take('ada@laptop')\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    path = fleet / ".reconciler" / "default.state"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        answer = run("apply", fleet, "--auto-approve", "--lock-timeout", "0.2s")
        other.kill()
    assert answer.returncode == 4
    assert "ada@laptop" in answer.stderr


def test_a_damaged_plan_file_is_a_message(fleet: Path) -> None:
    saved = fleet / "saved.plan"
    saved.write_bytes(b"PK\x03\x04")
    answer = run("apply", fleet, "--plan", saved)
    assert answer.returncode == 1
    assert "plan again" in answer.stderr


def test_a_plan_of_another_environment_is_refused(fleet: Path) -> None:
    edit(fleet, "prod: {service: {kind: agora}}", "test: {}")
    saved = fleet / "saved.plan"
    run("plan", fleet, "--out", saved)
    assert run("apply", fleet, "-e", "test", "--plan", saved).returncode == 3


def test_the_real_service_names_every_missing_variable_at_once(fleet: Path) -> None:
    answer = run("plan", fleet, "-e", "prod", AGORA_APP_ID="")
    assert answer.returncode == 1
    for name in ("AGORA_APP_ID", "AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"):
        assert name in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_apply_ends_in_order_and_goes_on_later(fleet: Path, number: signal.Signals) -> None:
    rooms(fleet, *[f"room-{index}" for index in range(300)])
    command = [
        sys.executable,
        "-m",
        "reconciler",
        "apply",
        str(fleet),
        "--auto-approve",
        "--parallelism",
        "2",
    ]
    results = fleet / "results.txt"
    with (
        results.open("w", encoding="utf-8") as stdout,
        subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True) as apply,
    ):
        assert apply.stderr is not None
        for line in apply.stderr:
            if ": joined (agent " in line:
                break
        started = time.monotonic()
        apply.send_signal(number)
        apply.communicate(timeout=20)
        took = time.monotonic() - started
    output = results.read_text(encoding="utf-8")
    assert apply.returncode == 128 + number
    assert took < 10
    assert "interrupted" in output
    assert run("apply", fleet, "--auto-approve").returncode == 0
    assert run("plan", fleet, "--detailed-exitcode").returncode == 0


@pytest.fixture
def served() -> Iterator[dict[str, str]]:
    """`reconciler simulator` on a loopback port, and the environment of its clients."""
    credentials = {
        "AGORA_APP_ID": "0123456789abcdef0123456789abcdef",
        "AGORA_APP_CERTIFICATE": "fedcba9876543210fedcba9876543210",
        "AGORA_CUSTOMER_ID": "customer",
        "AGORA_CUSTOMER_SECRET": "customer-secret",
    }
    command = [sys.executable, "-m", "reconciler", "simulator", "--port", "0", "--switch", "quota=500"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **credentials},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("listening on ").strip()
        yield {**credentials, "AGORA_AGENTS_API_BASE_URL": url, "TTS_KEY": "t", "OPENAI_API_KEY": "o"}
        server.send_signal(signal.SIGINT)
        server.wait(10)


def test_the_same_fleet_drives_a_service_over_a_socket(fleet: Path, served: dict[str, str]) -> None:
    applied = run("apply", fleet, "-e", "prod", "--auto-approve", **served)
    assert applied.returncode == 0, applied.stderr
    assert run("plan", fleet, "-e", "prod", "--detailed-exitcode", **served).returncode == 0
    for path in (fleet / ".reconciler").iterdir():
        path.unlink()
    adopted = run("plan", fleet, "-e", "prod", **served)
    assert "2 to adopt" in adopted.stdout
    assert run("apply", fleet, "-e", "prod", "--auto-approve", **served).returncode == 0
    assert run("plan", fleet, "-e", "prod", "--detailed-exitcode", **served).returncode == 0


def test_a_plan_remembers_foreign_agents_for_the_next_one(fleet: Path, served: dict[str, str]) -> None:
    assert run("apply", fleet, "-e", "prod", "--auto-approve", "--rate", "200", **served).returncode == 0
    shutil.rmtree(fleet / ".reconciler")
    (fleet / "fleet.yaml").write_text(
        (fleet / "fleet.yaml").read_text().replace("fleet: demo", "fleet: other")
    )
    reads = []
    for _ in range(2):
        answer = run("plan", fleet, "-e", "prod", "-v", **served)
        assert answer.returncode == 0, answer.stderr
        reads.append(int(answer.stderr.partition(" reads")[0].rsplit(" ", 1)[-1]))
    assert reads[1] < reads[0]
    (cache,) = (fleet / ".reconciler").iterdir()
    assert cache.stat().st_mode & 0o777 == 0o600
    assert json.loads(cache.read_text())["pace"][0] >= 50


def test_wrong_credentials_stop_the_run_with_a_message(fleet: Path, served: dict[str, str]) -> None:
    wrong = {"AGORA_CUSTOMER_SECRET": "guess", "AGORA_APP_CERTIFICATE": "0" * 32}
    answer = run("plan", fleet, "-e", "prod", **{**served, **wrong})
    assert answer.returncode == 1
    assert "401" in answer.stderr
    assert "guess" not in answer.stderr


def test_a_secret_without_a_value_is_one_line_before_anything_is_done(
    fleet: Path, served: dict[str, str]
) -> None:
    without = {key: value for key, value in served.items() if key != "TTS_KEY"}
    answer = run("apply", fleet, "-e", "prod", "--auto-approve", **without)
    assert answer.returncode == 1
    (line,) = [each for each in answer.stderr.splitlines() if "TTS_KEY" in each]
    assert "2 agents need it; set TTS_KEY where apply runs" in line
    assert "joining" not in answer.stderr
    assert "0 agents" in run("doctor", fleet, "-e", "prod", **served).stdout


def at_a_terminal(answer: bytes, *words: str | Path) -> tuple[int, str]:
    """A command whose stdin and stderr are a terminal and whose results go to a file; its code, what stderr says."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("CI", None)
        results = os.open(os.devnull, os.O_WRONLY)
        os.dup2(results, 1)
        os.execv(sys.executable, [sys.executable, "-m", "reconciler", *map(str, words)])
    seen = b""
    while b"is accepted: " not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, answer)
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), seen.decode(errors="replace")


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (b"no\n", 1, "not approved; nothing was done"),
        (b"y\n", 1, "not approved; nothing was done"),
        (b"\x04", 1, "not approved; nothing was done"),
        (b"\x03", 130, "interrupted; nothing was done"),
        (b"yes\n", 0, ""),
    ],
)
def test_at_a_terminal_apply_asks_about_what_and_only_yes_means_yes(
    fleet: Path, answer: bytes, code: int, says: str
) -> None:
    ended, seen = at_a_terminal(answer, "apply", fleet)
    assert ended == code, seen
    assert 'Apply these 2 changes to demo? Only "yes" is accepted: ' in seen
    assert says in seen
    assert (fleet / ".reconciler" / "default.state").exists() is (code == 0)


def test_destroy_asks_for_the_name_and_ends_as_a_destroy(fleet: Path) -> None:
    run("apply", fleet, "--auto-approve")
    ended, seen = at_a_terminal(b"yes\n", "destroy", fleet)
    assert ended == 1
    assert 'End the agents of demo (2)? Only "demo" is accepted: ' in seen
    assert "Destroy complete: 2 left." in run("destroy", fleet, "--auto-approve").stdout


def test_the_hint_of_a_saved_plan_can_be_pasted(fleet: Path) -> None:
    edit(fleet, "prod: {service: {kind: agora}}", "test: {variables: {mood: kind}}")
    edit(fleet, "Be kind.", '"Be {{ mood }}."')
    saved = fleet / "my plan"
    hint = run("plan", fleet, "-e", "test", "--var", "mood=very kind", "--out", saved).stderr
    words = shlex.split(hint.split("`")[1])
    assert words[0] == "reconciler"
    assert run(*words[1:]).returncode == 0


def test_holds_alone_are_not_gone_on_with_by_the_same_command(fleet: Path) -> None:
    edit(fleet, "[{name: desk}]", "[{name: desk, lifecycle: {protect: true}}]")
    run("apply", fleet, "--auto-approve")
    edit(fleet, "eastus", "westus")
    held = run("apply", fleet, "--auto-approve", "--allow", "replace=3")
    assert held.returncode == 6
    assert "To go on" not in held.stdout
    assert "To lift a hold: protected: write `protect: false`" in held.stdout


def test_a_limit_that_refuses_is_said_once(fleet: Path) -> None:
    run("apply", fleet, "--auto-approve")
    edit(fleet, "leave: 100%", "leave: 0")
    rooms(fleet, "one")
    refused = run("apply", fleet, "--auto-approve")
    assert refused.returncode == 5
    assert (refused.stdout + refused.stderr).count("--allow leave=1") == 1


def test_a_watch_that_is_stopped_says_nothing_of_an_abortion(fleet: Path) -> None:
    command = [sys.executable, "-m", "reconciler", "status", str(fleet), "--watch", "--interval", "60s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        for line in watch.stdout:
            if "About" in line:
                break
        time.sleep(0.3)
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=20)
    assert watch.returncode == 130
    assert said == ""


def test_verbose_says_whom_it_asked_and_how_much(fleet: Path) -> None:
    quiet, loud = run("plan", fleet), run("plan", fleet, "-v")
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout
    for word in ("2 agents in 2 channels", "default.state", "embedded-simulator", "1 reads"):
        assert word in loud.stderr


def test_a_service_that_is_down_is_named_and_told_early(fleet: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = {
            "AGORA_APP_ID": "0" * 32,
            "AGORA_CUSTOMER_ID": "c",
            "AGORA_CUSTOMER_SECRET": "s",
            "AGORA_AGENTS_API_BASE_URL": f"http://{host}",
        }
        answer = run("plan", fleet, "-e", "prod", **environment)
    assert answer.returncode == 1
    assert f"retrying: {host} gives no good answer (could not connect)" in answer.stderr
    assert f"see whether the service at {host} is well" in answer.stderr


def test_the_first_line_of_json_has_its_format_too(fleet: Path) -> None:
    first, *rest = run("apply", fleet, "--auto-approve", "--format", "json").stdout.splitlines()
    assert json.loads(first)["format_version"] == json.loads(rest[0])["format_version"]


def test_results_that_do_not_fit_on_a_disk_say_why(fleet: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "reconciler", "plan", str(fleet)]
        answer = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert answer.returncode == 1
    assert "No space left on device" in answer.stderr


def test_no_half_of_a_saved_plan_is_left_and_the_error_names_the_file(fleet: Path) -> None:
    out, other = fleet / "out.plan", fleet / "other.plan"
    command = shlex.join([sys.executable, "-m", "reconciler", "plan", str(fleet), "--out", str(out)])
    small = f"ulimit -f 1; {command}"  # no file may be longer than 512 or 1,024 bytes
    rooms(fleet, *(f"room-{number}" for number in range(30)))
    answer = subprocess.run(["sh", "-c", small], capture_output=True, text=True, check=False, timeout=60)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"File too large: {out} [system]" in answer.stderr
    assert not out.exists()
    other.mkdir()
    answer = run("plan", fleet, "--out", other)
    assert answer.returncode == 1
    assert other.is_dir()


def test_numbers_alone_do_not_hide_that_conversations_end(fleet: Path) -> None:
    assert run("apply", fleet, "--auto-approve").returncode == 0
    edit(fleet, "en-US-AvaNeural", "en-US-EmmaNeural")
    counted = run("plan", fleet, "--format", "terraform")
    assert json.loads(counted.stdout) == {"create": 2, "update": 0, "delete": 2}
    assert counted.stderr == "demo.-: 2 running conversations end: 2 to replace.\n"
    assert run("plan", fleet, "--format", "json").stderr == ""


def test_a_long_result_is_written_while_it_is_rendered(fleet: Path) -> None:
    rooms(fleet, *(f"room-{number:03}" for number in range(300)))
    command = [sys.executable, "-m", "reconciler", "plan", str(fleet), "--format", "json"]
    whole = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    assert len(json.loads(whole)["resource_changes"]) == 300
    assert len(whole) > 3 * 128 * 1024
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gone:
        assert gone.stdout is not None
        assert gone.stderr is not None
        assert whole.startswith(gone.stdout.read(10_000))
        gone.stdout.close()
        assert gone.stderr.read() == "error: not all results could be written: Broken pipe [output]\n"
    assert gone.returncode == 1  # whoever has kept what came, as `tee` does, has half a document
    with subprocess.Popen(
        [*command[:-1], "text", "--full"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as gone:
        assert gone.stdout is not None
        assert gone.stderr is not None
        gone.stdout.read(1)
        gone.stdout.close()  # a reader of a text that has seen enough, as `head` does
        assert gone.stderr.read() == b""
    assert gone.returncode == 0
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        answer = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (answer.returncode, answer.stderr.count("No space left on device")) == (1, 1)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "-e", "nope"),
        ("plan", "nowhere"),
        ("plan", "--state", "s3://a/b"),
        ("plan", "--wrong"),
        ("plan", "--target", "nobody/here"),
        ("show", "one/other", "-C", "."),
        ("validate", "-e", "all"),
    ],
    ids=lambda words: " ".join(words),
)
def test_at_40_columns_no_word_of_a_message_is_broken(
    fleet: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(fleet, "quota: 500", "quota: 1")
    edit(fleet, "url: https", "nonsense_with_a_long_name: 5\n      url: https")
    monkeypatch.chdir(fleet)
    narrow, wide = (_told_at_a_terminal(*words, columns=columns) for columns in ("40", "240"))
    assert max(len(line) for line in narrow.splitlines() if "://" not in line) <= 40

    def read(text: str) -> list[str]:  # lines of files are cut
        said = " ".join(line for line in text.splitlines() if " | " not in line)
        return [each for each in said.split() if each != "↳"]

    assert read(narrow) == read(wide)


def _told_at_a_terminal(*words: str, columns: str) -> str:
    """What a command says on stderr, at a terminal of so many columns."""
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": columns, "TERM": "dumb", "CI": "1"},
        check=False,
        timeout=60,
    )
    os.close(theirs)
    told = b""
    with suppress(OSError):
        while chunk := os.read(ours, 65536):
            told += chunk
    os.close(ours)
    return told.decode()


@pytest.mark.parametrize("command", ["validate", "plan", "status", "drift"])
def test_all_environments_and_one_by_name_are_refused_in_one_line(fleet: Path, command: str) -> None:
    for names in ("all,prod", "prod, all"):
        refused = run(command, fleet, "-e", names)
        assert (refused.returncode, refused.stdout) == (1, "")
        said = f'-e all stands for every environment and goes with no other name; not "{names}"'
        assert said in " ".join(refused.stderr.split())
    assert run("validate", fleet, "-e", "all,all").stdout == run("validate", fleet, "-e", "all").stdout


def test_validate_checks_every_environment_and_says_which(fleet: Path) -> None:
    edit(fleet, "prod: {service: {kind: agora}}", "prod: {variables: {mood: kind}}\n  test: {variables: {}}")
    edit(fleet, "Be kind.", "'Be {{ mood }}.'")
    checked = run("validate", fleet)
    assert checked.returncode == 1
    assert "(without an environment and in test)" in checked.stdout
    edit(fleet, "test: {variables: {}}", "test: {variables: {mood: brief}}")
    checked = run("validate", fleet)  # without one it cannot be planned, and that may be meant
    assert checked.returncode == 0
    assert "warning: " in checked.stdout
    assert "(without an environment)" in checked.stdout
    for name in ("prod", "test"):
        assert f"demo ({name}) is valid: 2 agents in 2 channels." in checked.stdout
    assert run("validate", fleet, "-e", "test").stdout == "demo (test) is valid: 2 agents in 2 channels.\n"


def test_validate_refuses_what_plan_refuses_an_empty_fleet(fleet: Path) -> None:
    rooms(fleet)
    assert run("plan", fleet).returncode == 1
    checked = run("validate", fleet, "--format", "json")
    assert checked.returncode == 1
    assert "empty-fleet" in checked.stdout


def test_a_trace_for_programs_is_json(fleet: Path) -> None:
    rows = json.loads(run("render", fleet, "--trace", "--format", "json").stdout)
    [model] = [
        each for each in rows if each["address"] == "one/desk" and each["path"].endswith("params.model")
    ]
    assert (model["value"], model["layer"]) == ("gpt-4o-mini", "defaults")
    assert model["where"]["file"] == "fleet.yaml"


def test_a_port_that_is_taken_is_a_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = run("simulator", "--port", str(port))
    assert answer.returncode == 1
    assert f"port {port} is in use" in answer.stderr
    assert "--port 0" in answer.stderr


def test_init_says_what_to_ignore_and_quotes_what_to_paste(tmp_path: Path) -> None:
    home = tmp_path / "My Fleet 2025"
    home.mkdir()
    (home / ".gitignore").write_text("*.pyc\n", encoding="utf-8")
    said = run("init", home).stdout
    assert f"add .reconciler/ to {home / '.gitignore'}" in said
    assert shlex.split(said.splitlines()[-1])[-1] == str(home)
    assert (home / ".gitignore").read_text(encoding="utf-8") == "*.pyc\n"
    other = tmp_path / "other"
    assert "add .reconciler/" not in run("init", other).stdout


@pytest.mark.parametrize("words", [("speak", "one/desk", "Hello"), ("history", "one/desk")])
def test_a_reply_shows_times_as_people_read_them_and_nothing_that_is_null(
    fleet: Path, words: tuple[str, ...]
) -> None:
    run("apply", fleet, "--auto-approve")
    said = run(*words, "-C", fleet).stdout
    assert re.search(r"^started: .?20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", said, re.MULTILINE)
    assert "null" not in said
    assert not re.search(r"^ *(- )?at:", said, re.MULTILINE)


@pytest.mark.parametrize("words", [("speak", "Hello"), ("interrupt",), ("think", "Hello"), ("turns",)])
def test_a_call_on_one_agent_says_its_address_and_id(fleet: Path, words: tuple[str, ...]) -> None:
    run("apply", fleet, "--auto-approve")
    verb, *more = words
    told = run(verb, "one/desk", *more, "-C", fleet).stdout.splitlines()
    assert told[0] == "address: one/desk"
    agent_id = told[1].removeprefix("agent_id: ")
    assert f"{agent_id} " in run("show", "one/desk", "-C", fleet).stdout.replace("\n", " ")
    tree = json.loads(run(verb, "one/desk", *more, "-C", fleet, "--format", "json").stdout)
    assert (tree["address"], tree["agent_id"]) == ("one/desk", agent_id)


def test_a_read_of_an_agent_that_has_just_ended_is_an_error(fleet: Path, served: dict[str, str]) -> None:
    assert run("apply", fleet, "-e", "prod", "--auto-approve", **served).returncode == 0
    script = [{"on": "turns", "count": 0, "fate": "refuse", "status": 404}]
    control(served["AGORA_AGENTS_API_BASE_URL"], "faults", script)
    said = run("turns", "one/desk", "-C", fleet, "-e", "prod", **served)
    assert (said.returncode, said.stdout) == (1, "")
    assert "of one/desk has ended meanwhile" in said.stderr


def test_a_mistyped_address_is_answered_with_the_nearest(fleet: Path) -> None:
    rooms(fleet, *(f"room-{number}" for number in range(10, 40)))
    run("apply", fleet, "--auto-approve")
    for words in (("show", "room-3/dek"), ("forget", "room-39/dek")):
        hint = run(*words, "-C", fleet).stderr
        assert "room-39/desk" in hint or "room-30/desk" in hint
        assert "room-10/desk" not in hint
    assert 'did you mean "room-39/desk"?' in run("adopt", "room-39/dek", "A1", "-C", fleet).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("apply one two", '"reconciler apply" takes one DIR: run it once for each directory.'),
        ("destroy one two", '"reconciler destroy" takes one DIR: run it once for each directory.'),
        ("explain a b", '"reconciler explain" takes one RULE: run it once for each.'),
        ("show lobby/desk .", "takes one ADDRESS|FILE: give the fleet's directory with -C DIR."),
        ("state list .", "takes no argument: give the fleet's directory with -C DIR."),
        (
            "speak a/b good morning",
            "takes one ADDRESS and one TEXT: quote a TEXT of several words, and give the fleet's directory with -C DIR.",
        ),
        ("simulator 8080", '"reconciler simulator" takes no argument; --help lists its options.'),
    ],
)
def test_one_argument_too_many_is_answered_with_what_the_command_takes(words: str, said: str) -> None:
    odd = run(*words.split())
    assert (odd.returncode, odd.stdout) == (1, "")
    told = " ".join(odd.stderr.split())
    assert f"unexpected extra argument ({words.split()[-1]}). " in told and told.endswith(said)


def test_the_choices_of_an_argument_have_no_escaped_tabs() -> None:
    assert "\\t" not in run("completion").stderr


@pytest.mark.parametrize(
    ("switch", "said"), [("quotta=1", "did you mean 'quota'?"), ("zzz=1", "unknown switch 'zzz' ")]
)
def test_an_unknown_switch_is_answered_in_two_lines(switch: str, said: str) -> None:
    odd = run("simulator", "--switch", switch)
    assert (odd.returncode, odd.stdout, odd.stderr.count("\n")) == (1, "", 2)
    assert said in odd.stderr and "reconciler simulator --list-switches" in odd.stderr


def test_a_file_in_the_place_of_a_directory_is_answered_with_its_directory(fleet: Path) -> None:
    for words in (
        ("plan", fleet / "fleet.yaml"),
        ("apply", fleet / "fleet.yaml"),
        ("state", "list", "-C", fleet / "fleet.yaml"),
    ):
        odd = run(*words)
        assert (odd.returncode, odd.stdout) == (1, "")
        assert f"is a file; name its directory: {fleet}" in " ".join(odd.stderr.split())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--only", "joins"), "join"),
        (("--allow", "leaves=5"), "leave"),
        (("--allow", "hang-up=5"), "hang_ups"),
    ],
)
def test_a_mistyped_word_of_an_option_is_answered_with_the_nearest(
    fleet: Path, words: tuple[str, ...], meant: str
) -> None:
    assert f'did you mean "{meant}"?' in run("apply", fleet, "--auto-approve", *words).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("adopt a/b", "Missing argument 'AGENT_ID'. `reconciler status` lists the agents that run"),
        ("forget", "Missing argument 'ADDRESS'. An address is <channel>/<agent>; `reconciler status` lists"),
        ("-v plan", "No such option -v. The options of a command come after it."),
        (
            "apply plan.json",
            '"plan.json" is a file; name a directory; a saved plan is given with --plan FILE',
        ),
    ],
)
def test_what_is_missing_or_misplaced_is_answered_with_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text("{}", encoding="utf-8")
    odd = run(*words.split())
    assert (odd.returncode, odd.stdout) == (1, "")
    assert said in " ".join(odd.stderr.split())
