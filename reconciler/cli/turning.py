"""`turn`: one turn of the controller, for users who have a scheduler of their own."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cli import wiring
from reconciler.cli.jobs import KINDS, Flags, make_job, read_kinds
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.progress import log_watcher
from reconciler.cli.session import Session
from reconciler.controller.roll import Roll
from reconciler.controller.turn import TurnResult, turn
from reconciler.errors import ExitCode, UsageError
from reconciler.model.fleet import DesiredFleet, Limits
from reconciler.plan.change import Action
from reconciler.providers import Purpose
from reconciler.report.progress import turn_json, turn_text
from reconciler.values import dataclass
from reconciler.workflow import Job

ALL = "all"
EVERY_KIND = frozenset(map(Action, KINDS))
_CODES = {
    TurnResult.UNCHANGED: ExitCode.DONE,
    TurnResult.DONE: ExitCode.DONE,
    TurnResult.INCOMPLETE: ExitCode.INCOMPLETE,
    TurnResult.LOCKED: ExitCode.LOCKED,
    TurnResult.REFUSED: ExitCode.REFUSED,
}


@dataclass(frozen=True, slots=True)
class StandingFlags:
    """The flags of a controller, as click gives them: which changes need no approval, and how fast calls are made."""

    allow_kinds: str
    heal_stops: int
    parallelism: int = 10
    rate: float | None = None
    grace: float | None = None

    def __post_init__(self) -> None:
        self.kinds()

    def kinds(self) -> frozenset[Action]:
        """Return the kinds of change that need no approval."""
        return read_kinds("--allow-kinds", self.allow_kinds, {ALL: EVERY_KIND})

    def check(self, fleet: DesiredFleet) -> None:
        """Raise `UsageError` if every kind of change needs no approval and the files set no limit."""
        if self.kinds() == EVERY_KIND and fleet.limits == Limits():
            raise UsageError(
                f"--allow-kinds {ALL} makes each merge an approval, and the files of {fleet.owner} write no limits",
                hint="write `limits: {hang_ups: 30%, leave: 30%}` or others into fleet.yaml",
            )

    def job(self, session: Session) -> Job:
        """Return the job of a fleet under these flags. Raises `UsageError` if its files do not allow them."""
        self.check(session.fleet)
        flags = Flags(parallelism=self.parallelism, rate=self.rate, grace=self.grace)
        job = make_job(session, flags)
        policy = replace(job.policy, only=self.kinds(), only_flag="--allow-kinds", heal_stops=self.heal_stops)
        return replace(job, policy=policy)


def run_turn(fleet: FleetFlags, flags: StandingFlags, output: Output, *, as_json: bool) -> int:
    """Make one turn, print its result, and return the exit code."""
    with wiring.open_session(fleet, output, purpose=Purpose.CHANGE) as session:
        job = flags.job(session)
        steps = turn(job, session.provider, Roll(session.memory))
        turned = session.run(steps, on_event=log_watcher(output), keeps_result=True)
    output.result(turn_json(turned) if as_json else turn_text(turned))
    if turned.problem is not None:
        output.say(f"{turned.result}: {turned.problem.with_hint}", level="error")
    if session.interrupted_by is not None:
        return 128 + session.interrupted_by
    return _CODES.get(turned.result, ExitCode.ERROR)
