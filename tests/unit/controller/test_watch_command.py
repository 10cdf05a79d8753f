"""What `watch` and `turn` refuse before they do anything, and how a turn is told."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from reconciler.cli.main import run
from tests.examples.harness import SERVICE
from tests.fakes.fleets import TWO_AGENTS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fleet.yaml").write_text(f"fleet: desk\n{TWO_AGENTS}", encoding="utf-8")
    (tmp_path / "bare").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "fleet.yaml").write_text("fleet: desk\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TTS_KEY", "a-key-of-tts")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-openai")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("watch", "nowhere"), "there is no fleet.yaml in nowhere"),
        (("watch", "one", "--interval", "0.5s"), "--interval 0.5s is too short"),
        (("watch", "one", "--interval", "-3s"), '"-3s" is not a duration'),
        (("watch", "empty"), "desk.-: the files declare no agent at all"),
        (("watch", "bare"), "there is no fleet.yaml in bare"),
        (("watch", "one", "--listen", "localhost:0"), "localhost is no address"),
        (("watch", "one", "--notify", "hook.example/x"), "--notify wants an http or https URL"),
        (("watch", "one", "--git", "origin/main"), "one is in no Git checkout"),
        (("watch", "one", "./one"), "each would take the other's agents for its own"),
        (("watch", "one", "--allow-kinds", "renew,burn"), "--allow-kinds knows join"),
        (("turn", "one", "--allow-kinds", ","), "--allow-kinds knows join"),
        (("turn", "one", "--heal-stops", "-1"), "--heal-stops"),
        (("turn", "one", "--allow-kinds", "all"), "the files of desk.- write no limits"),
    ],
)
def test_what_is_refused_at_the_start(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert run(words) == 1
    assert told in " ".join(capsys.readouterr().err.split())
    assert not list(home.rglob("*.state"))


def test_a_port_that_is_taken_is_said_at_the_start(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert run(["watch", "one", "--listen", str(port)]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err
    assert not list(home.rglob("*.state"))


def test_two_directories_of_one_owner_on_one_service_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    for each in ("one", "two"):
        text = f"fleet: desk\nservice: {{kind: agora}}\n{TWO_AGENTS}"
        (home / each / "fleet.yaml").write_text(text, encoding="utf-8")
    assert run(["watch", "one", "two"]) == 1
    assert "one and two are both desk.-" in capsys.readouterr().err


def test_a_turn_is_told_as_json_and_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["turn", "one", "--json", "-q"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["result"], [each["result"] for each in told["changes"]]) == ("done", ["done", "done"])
    assert run(["turn", "one", "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["result"], told["changes"], told["due"]["why"]) == ("unchanged", [], "token")
    (home / "one" / "fleet.yaml").write_text(
        f"fleet: desk\n{TWO_AGENTS}".replace("{name: desk}, ", ""), encoding="utf-8"
    )
    assert run(["turn", "one"]) == 0
    out = capsys.readouterr().out
    assert "lobby/desk: leave held: --allow-kinds leaves leave out" in out
    assert "Turn: nothing to do; due again at " in out


def test_a_controller_on_a_state_in_git_is_warned_of_what_that_costs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", "one", "--state", "git:origin"]) == 1  # there is no checkout here
    told = " ".join(capsys.readouterr().err.split())
    assert "each commit to a state in Git is a push" in told
    assert "is in no Git checkout" in told
