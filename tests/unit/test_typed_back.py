"""Whatever is printed as a command can be typed back, for every channel name that the service allows."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.cli import main, resume_command
from reconciler.cli.options import FleetFlags
from reconciler.errors import UsageError
from reconciler.model.address import AGENT, CHANNEL, Address
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.planfile import save
from reconciler.plan.selection import Selection, nearest_addresses
from tests.unit.report.plans import World, properties, rich_world

addresses = st.builds(
    Address,
    # Half of them begin as an option does.
    st.one_of(
        st.from_regex(CHANNEL, fullmatch=True), st.from_regex(r"-[A-Za-z\[=~!$ -]{1,12}", fullmatch=True)
    ),
    st.from_regex(AGENT, fullmatch=True),
)


def command_named(name: str) -> click.Command:
    command = main.cli.get_command(click.Context(main.cli), name)
    assert command is not None
    return command


def parsed(words: list[str]) -> dict[str, object]:
    """The parameters that a command line gives its command."""
    assert words[0] == "reconciler"
    command = command_named(words[1])
    return command.make_context(words[1], words[2:]).params


@given(addresses)
def test_an_address_as_an_argument(address: Address) -> None:
    for command in ("show", "forget", "history"):
        assert parsed(shlex.split(f"reconciler {command} {address.argument}"))["address"] == str(address)


@given(addresses, addresses)
def test_a_value_of_an_option(address: Address, other: Address) -> None:
    words = shlex.split(f"reconciler apply --replace {address.quoted} --allow beside={address.quoted}")
    found = parsed(words)
    assert found["allows"] == (("beside", str(address)),)
    assert Selection(replaces=found["replaces"]).forced({address, other}) == {address}  # type: ignore[arg-type]


@given(addresses, addresses)
def test_the_nearest_addresses(address: Address, other: Address) -> None:
    words = shlex.split(f"reconciler show {nearest_addresses(other, [address])}")
    assert parsed(words)["address"] == str(address)
    if str(other) != str(address):
        with pytest.raises(UsageError) as refused:
            Selection(targets=(f"{other}x",)).check([address])
        told = (refused.value.hint or "").partition("this fleet has ")[2]
        assert Selection(targets=tuple(shlex.split(told))).selected([address]) == {address}


@given(st.sampled_from(["-x", "--", "-", "my fleet", "hotel"]))
def test_the_command_on_a_directory(directory: str) -> None:
    command = command_named("plan")
    words = shlex.split(resume_command.on_directory("plan", directory))
    values, left, _ = command.make_parser(click.Context(command)).parse_args(words[2:])
    assert left == []
    assert next(iter(values.values())) in (directory, [directory], (directory,))


@given(addresses, addresses)
def test_the_command_that_goes_on(address: Address, other: Address) -> None:
    ledger = Ledger()
    ledger.note(Finished(address, Action.REPLACE, Result.FAILED))
    if other != address:
        ledger.note(Finished(other, Action.REPLACE, Result.DONE))
    words = ["apply", "--replace", str(address), "--allow", "replace=3"]
    found = parsed(shlex.split(resume_command.resume(words, ledger)))
    assert Selection(replaces=found["replaces"]).forced({address, other}) == {address}  # type: ignore[arg-type]
    assert found["allows"] == (("replace", "1"),)


@given(st.sampled_from(["-x", "--", "-e prod", "my fleet", "-"]), st.sampled_from(["-p.plan", "p q"]))
def test_the_command_that_applies_a_saved_plan(directory: str, out: str) -> None:
    words = shlex.split(resume_command.apply_saved(FleetFlags(directory, "prod"), out))
    command = command_named("apply")
    context = click.Context(command)
    values, left, _ = command.make_parser(context).parse_args(words[2:])
    assert (values["directory"], values["plan_file"], values["environment"], left) == (
        directory,
        out,
        "prod",
        [],
    )


@given(addresses)
def test_the_advice_of_a_held_join(address: Address) -> None:
    """The commands inside a sentence stand in backticks, and none of them holds one."""
    world = World().wants(str(address)).foreign("bot", address.channel)
    [hold] = world.plan().changes
    commands = re.findall(r"`((?:reconciler adopt|--allow beside=)[^`]*)`", hold.reason.text)
    assert len(commands) == 2
    assert "declare its agent_rtc_uid, then" in hold.reason.text
    world.agents.clear()
    [hold] = world.wants(str(address), properties(agent_rtc_uid="5")).plan().changes
    assert "declare its agent_rtc_uid" not in hold.reason.text
    adopt, allow = map(shlex.split, commands)
    assert parsed(adopt)["address"] == str(address)
    assert parsed(["reconciler", "apply", *allow])["allows"] == (("beside", str(address)),)


@pytest.mark.parametrize("address", ["-x/a", "-e/a", "-q/a", "--env/a", "-C/a", "--/a"])
@pytest.mark.parametrize("command", ["show", "speak", "adopt"])
def test_an_address_that_was_taken_for_an_option_is_told_how_to_type_it(
    address: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    more = [] if command == "show" else ["Hello"]
    assert main.run([command, address, *more]) == 1
    said = capsys.readouterr().err
    advice = re.search(rf"reconciler {command} -- .*$", said, re.MULTILINE)
    assert advice is not None, said
    assert parsed(shlex.split(advice[0]))["address"] == address


def test_the_advice_on_an_address_keeps_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["adopt", "-C", "my hotels", "-e", "prod", "-x/a", "A42"]) == 1
    assert "reconciler adopt -C 'my hotels' -e prod -- -x/a A42" in capsys.readouterr().err


def test_a_saved_plan_is_shown_without_credentials_or_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = World().wants("oslo/new").wants("rome/same").runs("rome/same").plan()
    # A name that an address could have, too.
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "saved").write_bytes(save(plan, Selection(targets=("o*",)), Policy()))
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("AGORA_")]:
        monkeypatch.delenv(name)
    assert main.run(["show", "plans/saved", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["changes"], shown["target"]) == ({"join": ["oslo/new"]}, ["o*"])
    assert shown["digest"] == plan.digest
    rich = rich_world().plan()
    (tmp_path / "rich.plan").write_bytes(save(rich, Selection(), Policy()))
    assert main.run(["show", "rich.plan", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["hang_ups"] == len(rich.ended)
    assert {
        "address": "rome/vip",
        "action": "replace",
        "reason": "it is protected (lifecycle.protect)",
    } in shown["held"]
    assert shown["summary"]["hold"] == rich.count(Action.HOLD)
    text = (tmp_path / "plans" / "saved").read_text(encoding="utf-8")
    (tmp_path / "plans" / "saved").write_text(text.replace("oslo/new", "oslo/old"), encoding="utf-8")
    assert main.run(["show", "plans/saved"]) == 1
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("directory", ["hotels", "-x", "my fleet"])
@pytest.mark.parametrize(
    "form", ["adopt -- -x/a A1", "adopt x/a A1", "forget x/a", "apply --target x/a", "status"]
)
def test_a_command_in_a_sentence_names_what_chooses_the_fleet(directory: str, form: str) -> None:
    flags = FleetFlags(directory, "prod", (("model", "gpt 4"),), "git:origin")
    text = f"held: take it over (`reconciler {form}`), or allow it (`--allow beside=x/a`)"
    told = resume_command.completed(text, flags)
    found = re.search("`(reconciler [^`]*)`", told)
    assert found is not None
    assert told.replace(found[1], f"reconciler {form}") == text
    values = parsed(shlex.split(found[1]))
    if "directory" in values:  # `status` takes several
        values |= {"directories": (values["directory"],), "environments": values["environment"]}
    assert [Path(each) for each in values["directories"]] == [Path(directory)]  # type: ignore[attr-defined]
    assert (values["environments"], values["variables"], values["state"]) == (
        "prod",
        (("model", "gpt 4"),),
        "git:origin",
    )


def test_a_command_that_names_its_directory_is_left_as_it_is() -> None:
    flags = FleetFlags("hotels", "prod")
    told = f"`{resume_command.apply_saved(flags, 'p.plan')}` applies it"
    assert resume_command.completed(told, flags) == told
    folded = resume_command.completed("(`reconciler\n    ↳ adopt x/a\n    ↳ A1`)", flags)
    assert folded == "(`reconciler\n    ↳ adopt -C hotels -e prod x/a\n    ↳ A1`)"
