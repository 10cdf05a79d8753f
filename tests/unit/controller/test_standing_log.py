"""What a controller says of a trouble that lasts: when it begins, when it is another one, and when it is over."""

from __future__ import annotations

import pytest

from reconciler.apply.events import Finished, Result
from reconciler.cli.output import Output
from reconciler.cli.standing_log import StandingLog
from reconciler.controller.loop import TurnEnded
from reconciler.controller.turn import Turned, TurnResult
from reconciler.errors import AuthenticationFailed, ReconcilerError, ServiceError, StateError
from reconciler.model.address import Address, Owner
from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.plan.guard import Cost


def failed(problem: ReconcilerError) -> TurnEnded:
    return TurnEnded(Turned(TurnResult.FAILED, problem=problem), 1.0)


def test_a_service_that_is_away_is_one_trouble_whatever_each_call_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = StandingLog(Output(), Owner("demo"))
    for number in range(3):
        log.take(failed(ServiceError("could not connect")))
        log.take(failed(ServiceError(f"not sent, since {number} calls in a row failed")))
    log.take(failed(AuthenticationFailed("HTTP 401")))
    log.take(failed(StateError("the disk is full")))
    log.take(failed(StateError("the disk is gone")))
    log.take(TurnEnded(Turned(TurnResult.UNCHANGED), 1.0))
    log.take(TurnEnded(Turned(TurnResult.UNCHANGED), 1.0))
    assert capsys.readouterr().err.splitlines() == [
        "demo.-: turn failed: could not connect",
        "demo.-: turn failed: HTTP 401",
        "demo.-: turn failed: the disk is full",
        "demo.-: turn failed: the disk is gone",
        "demo.-: all is well again",
    ]


def test_what_is_held_is_one_line_for_each_kind_of_change_when_it_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def turned(*names: str) -> TurnEnded:
        rows = [
            Finished(Address("lobby", each), Action.UPDATE, Result.HELD, "--allow-kinds leaves update out")
            for each in names
        ]
        plan = Plan(Owner("demo"), (), "f", Cost(0, 0, 0.1))
        return TurnEnded(Turned(TurnResult.UNCHANGED, tuple(rows), plan=plan), 1.0)

    log = StandingLog(Output(), Owner("demo"))
    log.take(turned("a", "b", "c"))
    log.take(turned("a", "b", "c"))
    log.take(turned("a", "b", "c", "d"))
    assert capsys.readouterr().err.splitlines() == [
        "demo.-: held: update of lobby/a and 2 others (--allow-kinds leaves update out; -v names each)",
        "demo.-: held: update of lobby/d (--allow-kinds leaves update out)",
    ]
