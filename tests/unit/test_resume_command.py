"""Commands to paste: what was allowed or forced for once is not repeated for what was done with it."""

from __future__ import annotations

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.cli import resume_command
from reconciler.cli.options import FleetFlags
from reconciler.model.address import Address
from reconciler.plan.change import Action


def ended(*rows: tuple[str, Action, Result]) -> Ledger:
    found = Ledger()
    for address, action, result in rows:
        found.note(Finished(Address.parse(address), action, result))
    return found


HALF = ended(
    ("a/desk", Action.REPLACE, Result.DONE),
    ("b/desk", Action.REPLACE, Result.FAILED),
    ("c/desk", Action.LEAVE, Result.DONE),
    ("d/desk", Action.HOLD, Result.HELD),
)


def test_an_allowance_goes_as_far_as_what_is_left_of_it() -> None:
    words = ["apply", "my fleet", "--allow", "replace=3", "--allow=leave=5", "--auto-approve"]
    assert (
        resume_command.resume(words, HALF) == "reconciler apply 'my fleet' --allow replace=1 --auto-approve"
    )


def test_nobody_is_replaced_twice() -> None:
    assert resume_command.resume(["apply", "--replace", "*"], HALF) == "reconciler apply --replace b/desk"
    assert resume_command.resume(["apply", "--replace=a/*"], HALF) == "reconciler apply"


def test_holds_alone_have_no_command() -> None:
    held = ended(("d/desk", Action.HOLD, Result.HELD), ("a/desk", Action.JOIN, Result.DONE))
    assert resume_command.resume(["apply", "--allow", "replace=3"], held) == ""
    held.interrupted = True
    assert resume_command.resume(["apply", "--allow", "replace=3"], held) == "reconciler apply"


def test_a_saved_plan_does_not_go_on_with_what_it_showed_as_held() -> None:
    deferred = ended(("d/desk", Action.REPLACE, Result.DEFERRED), ("a/desk", Action.JOIN, Result.DONE))
    words = ["apply", "--plan", "p"]
    assert resume_command.resume(words, deferred) == "reconciler apply --plan p"
    assert resume_command.resume(words, deferred, {"d/desk"}) == ""
    assert resume_command.resume(words, HALF, {"d/desk"}) == "reconciler apply --plan p"


def test_a_host_is_allowed_for_as_long_as_something_is_left() -> None:
    words = ["apply", "--allow", "secret-host=llm.example"]
    assert resume_command.resume(words, HALF) == "reconciler apply --allow secret-host=llm.example"


def test_the_command_for_a_saved_plan_says_again_what_no_plan_holds() -> None:
    command = resume_command.apply_saved(
        FleetFlags("my fleet", "prod", (("model", "gpt 4"),)),
        "p.plan",
        [("leave", "5"), ("secret-host", "x.example")],
    )
    assert command == (
        "reconciler apply 'my fleet' -e prod --var 'model=gpt 4' --plan p.plan "
        "--allow leave=5 --allow secret-host=x.example"
    )


def test_what_a_limit_on_hang_ups_allows_is_for_what_still_ends_a_conversation() -> None:
    words = ["apply", "--allow", "hang_ups=9"]
    assert resume_command.resume(words, HALF) == "reconciler apply --allow hang_ups=1"
    joins = ended(("a/desk", Action.JOIN, Result.FAILED), ("c/desk", Action.LEAVE, Result.DONE))
    assert resume_command.resume(words, joins) == "reconciler apply"
