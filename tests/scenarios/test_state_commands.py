"""`state list | show | pull | push | migrate`: what is remembered is looked at, copied, put back and moved.

Nobody is hung up on by any of it, and what would lose something is refused with nothing changed.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from reconciler.cli.main import run
from reconciler.errors import StateError
from reconciler.model.fingerprint import digest
from reconciler.model.record import Pins, State
from reconciler.state.local import LocalStore
from reconciler.state.whole import of_document, to_document
from tests.contracts.state_store import ADDRESS, JOIN, LEAVE, RECORD
from tests.fakes.fleets import TWO_AGENTS
from tests.fakes.stores import acquire
from tests.fuzz.mutate import bytes_mutant, encoded, tree_mutant
from tests.hostile.bench import Answer, Bench


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of two agents that run."""
    home = tmp_path_factory.mktemp("applied")
    (home / "fleet.yaml").write_text(f"fleet: demo\n{TWO_AGENTS}", encoding="utf-8")
    assert run(["apply", str(home), "--auto-approve"]) == 0
    return home


@pytest.fixture
def bench(
    applied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Bench:
    """Such a fleet in the present directory."""
    home = tmp_path / "fleet"
    shutil.copytree(applied, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "seen"))
    monkeypatch.setenv("COLUMNS", "200")
    return Bench(capsys, monkeypatch, home)


def document(bench: Bench, *options: object) -> dict[str, Any]:
    pulled = bench.run("state", "pull", *options)
    assert pulled.code == 0, pulled
    return json.loads(pulled.out)  # type: ignore[no-any-return]


def edited(found: dict[str, Any], **changes: object) -> str:
    """A document as somebody who knows what they do has edited it."""
    return json.dumps({key: each for key, each in found.items() if key != "checksum"} | changes)


def push(bench: Bench, text: str, *options: object) -> Answer:
    path = bench.home / "pushed.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return bench.run("state", "push", path, *options)


def running(bench: Bench) -> set[str]:
    """The ids of the agents that run, and the names that they were given."""
    status = json.loads(bench.run("status", "--format", "json").out)
    return {f"{each['agent_id']} {each['name']}" for each in status["agents"]}


def nothing_pends(bench: Bench) -> bool:
    return bench.run("plan", "--detailed-exitcode").code == 0


# --- looking ----------------------------------------------------------------------------------------------------


def test_the_addresses_are_listed_and_one_state_is_one_text(bench: Bench) -> None:
    listed = bench.run("state", "list")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()[1:3]] == ["lobby/desk", "lobby/door"]
    assert "2 agents recorded in the local state" in listed.out
    assert bench.run("state", "list").out == listed.out
    told = json.loads(bench.run("state", "list", "--format", "json").out)
    assert [each["address"] for each in told["addresses"]] == ["lobby/desk", "lobby/door"]
    assert {f"{each['agent_id']} {each['name']}" for each in told["addresses"]} == running(bench)


def test_a_fleet_without_a_state_is_told_so(bench: Bench) -> None:
    listed = bench.run("state", "list", "-e", "test")
    assert (listed.code, listed.out) == (0, "No state: nothing was ever written to the local state.\n")
    pulled = bench.run("state", "pull", "-e", "test")
    assert (pulled.code, pulled.out) == (1, "")
    assert "nothing was ever written" in pulled.err


def test_an_environment_that_nobody_declares_is_no_path(bench: Bench) -> None:
    for name in ("prod", "../../elsewhere"):
        assert bench.run("state", "list", "-e", name).code == 1
    assert sorted(each.name for each in bench.home.glob("*")) == [".reconciler", "fleet.yaml"]


def test_one_record_is_shown_and_an_unknown_address_gets_a_hint(bench: Bench) -> None:
    shown = json.loads(bench.run("state", "show", "lobby/desk", "--format", "json").out)
    assert f"{shown['agent_id']} {shown['name']}" in running(bench)
    assert shown["applied"]["properties"]["llm"]["system_messages"][0]["content"] == "hello"
    assert shown["secrets"] == ["ref+env://OPENAI_API_KEY", "ref+env://TTS_KEY"]
    assert "join done" in shown["history"][0]
    wrong = bench.run("state", "show", "lobby/dask")
    assert wrong.code == 1
    assert "lobby/desk" in wrong.err


def test_files_that_do_not_load_do_not_hide_the_state(bench: Bench) -> None:
    with Path("fleet.yaml").open("a", encoding="utf-8") as file:
        file.write("  - {channel: 7, agents: [{name: '{{ nothing }}'}]}\n")
    assert bench.run("validate").code == 1
    assert "lobby/desk" in bench.run("state", "list").out


def test_an_open_call_is_listed(bench: Bench) -> None:
    found = document(bench)
    record = found["records"]["lobby/desk"]
    leave = {key: record[key] for key in ("address", "name", "agent_id")} | {
        "operation": "leave",
        "created_at": 1.0,
    }
    assert push(bench, edited(found, serial=90, intents={f"leave:{record['agent_id']}": leave})).code == 0
    assert "leave open" in bench.run("state", "list").out
    assert json.loads(bench.run("state", "list", "--format", "json").out)["addresses"][0]["open_calls"] == [
        "leave"
    ]


# --- pulling ----------------------------------------------------------------------------------------------------


def test_a_pull_is_canonical_has_its_schema_and_no_key(bench: Bench) -> None:
    text = bench.run("state", "pull").out
    assert bench.run("state", "pull").out == text
    found = json.loads(text)
    jsonschema.validate(found, json.loads(bench.run("schema", "state").out))
    assert set(found["records"]) == {"lobby/desk", "lobby/door"}
    key = LocalStore(bench.home / ".reconciler" / "default.state").read_key()
    assert key
    assert key.decode() not in text
    told = found.pop("checksum")
    assert told == digest(found)


def test_what_a_log_or_a_terminal_would_obey_is_escaped_and_comes_back(bench: Bench) -> None:
    prompt = "##[group]hi \u202e ::error::no"
    Path("fleet.yaml").write_text(
        f"fleet: demo\n{TWO_AGENTS.replace('greeting: hello', f'greeting: {json.dumps(prompt)}')}",
        encoding="utf-8",
    )
    assert bench.run("apply", "--auto-approve").code == 0
    pulled = bench.run("state", "pull", GITHUB_ACTIONS="true").out
    assert "##[" not in pulled
    assert pulled.isascii()
    assert prompt in pulled.encode().decode("unicode_escape")
    again = json.loads(pulled)
    assert push(bench, edited(again, serial=90)).code == 0
    assert nothing_pends(bench)
    assert document(bench)["records"] == again["records"]


# --- pushing ----------------------------------------------------------------------------------------------------


def test_a_later_version_takes_the_place_and_pulls_as_the_same(bench: Bench) -> None:
    before, found = running(bench), document(bench)
    done = push(bench, edited(found, serial=90))
    assert done.code == 0, done
    after = document(bench)
    assert after.pop("checksum")
    found.pop("checksum")
    assert after == found | {"serial": 90}
    assert (nothing_pends(bench), running(bench)) == (True, before)


def test_a_push_comes_from_stdin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from io import BytesIO, TextIOWrapper

    text = edited(document(bench), serial=90)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text.encode())))
    assert bench.run("state", "push", "-").code == 0
    assert document(bench)["serial"] == 90


def test_a_push_keeps_a_copy_that_can_be_put_back(bench: Bench) -> None:
    state = bench.home / ".reconciler" / "default.state"
    found = document(bench)
    assert push(bench, edited(found, serial=90, records={}, generations={})).code == 0
    assert document(bench)["records"] == {}
    (backup,) = state.parent.glob("*.bak")
    assert backup.stat().st_mode & 0o077 == 0
    with sqlite3.connect(backup) as connection:
        assert connection.execute("select count(*) from records").fetchone() == (2,)
    assert document(bench, "--state", backup) == found
    text = bench.run("state", "pull", "--state", backup).out
    assert push(bench, text, "--force-lineage").code == 0
    again = document(bench)
    assert again["records"] == found["records"]
    assert again["serial"] > 90
    assert nothing_pends(bench)


def test_a_fresh_place_takes_any_state_of_this_fleet(bench: Bench) -> None:
    found, before = document(bench), running(bench)
    for each in (bench.home / ".reconciler").glob("default.state*"):
        each.unlink()
    assert push(bench, json.dumps(found)).code == 0
    assert (document(bench)["serial"], document(bench)["lineage"]) == (found["serial"], found["lineage"])
    assert (nothing_pends(bench), running(bench)) == (True, before)


def test_digests_of_another_key_are_left_out(bench: Bench) -> None:
    """Compared with our key they would call every value new."""
    found = document(bench)
    assert found["records"]["lobby/desk"]["secrets"]
    assert push(bench, edited(found, serial=90, key="f" * 64)).code == 0
    assert "secrets" not in document(bench)["records"]["lobby/desk"]
    secrets = {"OPENAI_API_KEY": "one of another time", "TTS_KEY": "and one more"}
    assert "new value" not in bench.run("plan", "--check-secrets", **secrets).said


Change = Callable[[dict[str, Any]], str]
_OTHER = "00000000-0000-4000-8000-000000000000"

REFUSED: dict[str, tuple[Change, str]] = {
    "an equal serial": (json.dumps, "no later version"),
    "an older serial": (lambda found: edited(found, serial=1), "no later version"),
    "another lineage": (lambda found: edited(found, serial=90, lineage=_OTHER), "another lineage"),
}
NEVER: dict[str, tuple[Change, str]] = {
    "empty": (lambda _: "", "empty"),
    "blanks": (lambda _: " \n", "empty"),
    "no JSON": (lambda _: "hello", "not JSON"),
    "cut": (lambda found: json.dumps(found)[:-20], "not JSON"),
    "trailing bytes": (lambda found: json.dumps(found) + "x", "not JSON"),
    "two documents": (lambda found: json.dumps(found) * 2, "not JSON"),
    "a list": (lambda found: json.dumps([found]), "not a JSON object"),
    "NaN": (lambda found: edited(found).replace('"serial": ', '"serial": NaN, "x": '), "not JSON"),
    "no text": (lambda _: "\udcff\udcfe", "not JSON"),
    "conflict markers": (lambda found: f"<<<<<<< HEAD\n{json.dumps(found)}", "conflict markers"),
    "a key twice": (lambda found: edited(found)[:-1] + ', "serial": 91}', "stands twice"),
    "too deep": (
        lambda found: edited(found, texts={}, records={"a": json.loads("[" * 200 + "]" * 200)}),
        "nested deeper",
    ),
    "much too deep": (lambda _: "[" * 100_000, "not JSON"),
    "a checksum that does not match": (lambda found: json.dumps(found | {"serial": 90}), "checksum"),
    "a newer format": (lambda found: edited(found, format=3), "upgrade"),
    "no format": (lambda found: edited({k: v for k, v in found.items() if k != "format"}), "format"),
    "no lineage": (lambda found: edited(found, serial=90, lineage=""), "no lineage"),
    "a negative serial": (lambda found: edited(found, serial=-1), "serial is -1"),
    "a huge serial": (lambda found: edited(found, serial=2**53 + 1), "serial is"),
    "a serial that is none": (lambda found: edited(found, serial=True), "not of this format, at serial"),
    "a key that nobody knows": (lambda found: edited(found, serial=90, more=1), "not of this format"),
    "another fleet's": (
        lambda found: edited(found, serial=90, pins=found["pins"] | {"fleet": "other"}),
        "fleet other",
    ),
    "another environment's": (
        lambda found: edited(found, serial=90, pins=found["pins"] | {"environment": "test"}),
        "environment test",
    ),
    "another service's": (
        lambda found: edited(found, serial=90, pins=found["pins"] | {"service": "agora"}),
        "service",
    ),
    "another App ID's": (
        lambda found: edited(found, serial=90, pins=found["pins"] | {"app_id": "f" * 32}),
        "App ID",
    ),
    "an agent's id that is none": (
        lambda found: edited(found, serial=90, records=_with_record(found, agent_id="../x")),
        "agent's id",
    ),
    "an agent at two addresses": (
        lambda found: edited(
            found, serial=90, records=_with_record(found, agent_id=found["records"]["lobby/door"]["agent_id"])
        ),
        "is recorded at",
    ),
    "a record under another address": (
        lambda found: edited(found, serial=90, records={"bar/desk": found["records"]["lobby/desk"]}),
        "is about",
    ),
    "a text that is missing": (
        lambda found: edited(
            found, serial=90, records=_with_record(found, body={"properties": {"x": {"$text": "0" * 24}}})
        ),
        "is missing",
    ),
    "an intent without a name": (
        lambda found: edited(found, serial=90, intents={"join:": _join("")}),
        "agent's name",
    ),
    "an intent of another fleet's name": (
        lambda found: edited(found, serial=90, intents={f"join:{_THEIRS}": _join(_THEIRS)}),
        "no name of demo",
    ),
    "an operation that nobody knows": (
        lambda found: edited(found, serial=90, intents={"burn:x": _join("x") | {"operation": "burn"}}),
        "not of this format, at intents",
    ),
}
_THEIRS = "other.-.x.0123456789.101234567.g1"


def _with_record(found: dict[str, Any], **changes: object) -> dict[str, Any]:
    return found["records"] | {"lobby/desk": found["records"]["lobby/desk"] | changes}


def _join(name: str) -> dict[str, Any]:
    address = {"channel": "lobby", "name": "desk"}
    return {
        "operation": "join",
        "address": address,
        "name": name,
        "created_at": 1.0,
        "generation": 2,
        "uid": "7",
        "body": {"properties": {}},
    }


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_lose_something_is_refused_unless_it_is_forced(bench: Bench, case: str) -> None:
    before, found = bench.run("state", "pull").out, document(bench)
    change, words = REFUSED[case]
    refused = push(bench, change(found))
    assert (refused.code, refused.out) == (1, ""), refused
    assert words in refused.err
    assert "nothing was done" in refused.err
    assert "--force-lineage" in refused.err
    assert bench.run("state", "pull").out == before
    agents, wanted = running(bench), json.loads(change(found))
    done = push(bench, change(found), "--force-lineage")
    assert done.code == 0, done
    after = document(bench)
    assert (after["lineage"], after["records"]) == (wanted["lineage"], wanted["records"])
    assert after["serial"] > found["serial"]
    assert (nothing_pends(bench), running(bench)) == (True, agents)
    assert bench.run("apply", "--auto-approve").code == 0


@pytest.mark.parametrize("force", [(), ("--force-lineage",)], ids=["", "forced"])
def test_what_is_no_state_of_this_fleet_is_never_taken(bench: Bench, force: tuple[str, ...]) -> None:
    before = bench.run("state", "pull").out
    for case, (change, words) in NEVER.items():
        refused = push(bench, change(json.loads(before)), *force)
        assert (refused.code, refused.out) == (1, ""), (case, refused)
        assert words in refused.err, (case, refused)
        assert "nothing was done" in refused.err, (case, refused)
        assert bench.run("state", "pull").out == before, case
    assert list((bench.home / ".reconciler").glob("*.bak")) == []


def test_changed_documents_are_taken_or_refused_and_break_nothing() -> None:
    pins = Pins("demo", None, "agora", "app")
    state = State("a lineage", 7, b"k" * 32, pins, {ADDRESS: RECORD}, (JOIN, LEAVE), {ADDRESS: 3})
    good = to_document(state)
    assert of_document(good, "it", key=b"k" * 32) == state
    told = Counter[bool]()
    for seed in range(600):
        chance = random.Random(seed)
        bare = {key: each for key, each in json.loads(good).items() if key != "checksum"}
        mutant = tree_mutant(bare, chance, keys=("serial", "agent_id", "$text", "body"))
        data = bytes_mutant(good, chance) if seed % 3 == 0 else encoded(json.dumps(mutant))
        try:
            to_document(of_document(data, "it", key=b""))
        except StateError as problem:
            assert "nothing was done" in problem.message
            told[False] += 1
        else:
            told[True] += 1
    assert min(told[True], told[False]) > 50


def test_a_file_that_is_not_there_is_an_error_that_names_it(bench: Bench) -> None:
    missing = bench.run("state", "push", "missing.json")
    assert missing.code == 1
    assert "missing.json cannot be read" in missing.err
    assert "directory" in bench.run("state", "push", ".").err.lower()


def test_a_state_that_somebody_holds_is_not_pushed_over(bench: Bench) -> None:
    text = edited(document(bench), serial=90)
    store = LocalStore(bench.home / ".reconciler" / "default.state")
    acquire(store, "ada@laptop", 0)
    try:
        locked = push(bench, text, "--lock-timeout", "0")
    finally:
        store.close()
    assert locked.code == 4
    assert "ada@laptop" in locked.err
    assert document(bench)["serial"] < 90


def test_a_document_of_a_thousand_agents_is_pulled_and_pushed(bench: Bench) -> None:
    found = document(bench)
    record = found["records"]["lobby/desk"]
    many = {
        f"room-{number}/desk": record
        | {
            "address": {"channel": f"room-{number}", "name": "desk"},
            "agent_id": f"A{number}",
            "name": f"n{number}",
        }
        for number in range(1_000)
    }
    assert push(bench, edited(found, serial=90, records=many)).code == 0
    pulled = bench.run("state", "pull").out
    assert len(orjson.loads(pulled)["records"]) == 1_000
