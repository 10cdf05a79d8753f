"""The course of `apply` and `destroy`: consent, plan, progress, ledger and exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler import workflow
from reconciler.apply.events import Finished, Ledger, Notice, Result, Started
from reconciler.cli import resume_command, wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.offline import Reviewed
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output, write
from reconciler.cli.progress import watcher, without_refusals
from reconciler.cli.session import Interrupted, Session
from reconciler.errors import ExitCode, StateLocked, UsageError
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Hold, action_of, target_of
from reconciler.providers import Purpose
from reconciler.report.formats import TEXT, Format, RenderOptions, ReportKind
from reconciler.report.ledger import Finish, lifts_of
from reconciler.state.condition import require_writable
from reconciler.values import dataclass
from reconciler.workflow import Approved, Job

if TYPE_CHECKING:
    from reconciler.plan.planfile import SavedPlan  # imports pydantic, which only a saved plan needs


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent to an apply: given in advance, by a saved plan, or by a review's token; else the user is asked.

    An empty `token` stands for "no review".
    """

    automatic: bool = False
    plan_file: str | None = None
    token: str | None = None

    @property
    def is_given(self) -> bool:
        return self.automatic or self.plan_file is not None or self.token is not None


def run_apply(
    fleet: FleetFlags,
    flags: Flags,
    consent: Consent,
    output: Output,
    form: Format,
    options: RenderOptions = RenderOptions(),
    *,
    destroying: bool = False,
) -> int:
    """Apply or destroy a fleet, and return the exit code."""
    _require_consent(consent, output, destroying=destroying)
    _require_assertions()
    reviewed = Reviewed.of(consent.token, fleet, flags) if consent.token is not None else None
    accept = reviewed.accept if reviewed is not None else None
    with wiring.open_session(fleet, output, purpose=Purpose.CHANGE, accept=accept) as session:
        saved = _saved(consent, flags, session)
        job = make_job(session, flags, destroying=destroying)
        if reviewed is not None:
            job = replace(job, policy=replace(job.policy, review=reviewed.review(job)))
        if saved is not None:
            # A plan file raises no limit and allows no host: `--allow` has to be given to this apply.
            policy = replace(
                job.policy, only=saved.policy.only, prune_unrecorded=saved.policy.prune_unrecorded
            )
            settings = replace(job.settings, horizon=saved.horizon)
            job = replace(job, selection=saved.selection, policy=policy, settings=settings)
        approved = Approved(saved.digest, saved.files, saved.rows) if saved else None
        asked = not consent.is_given
        if asked:
            # Check before asking, so that the user confirms only what can be done. Other runs check under their lock.
            require_writable(session.store)
            plan = session.run(workflow.plan(job, session.provider))
            output.report(TEXT, ReportKind.PLAN, without_refusals(plan), options)
            if not plan.acts and not (plan.pending or plan.interrupted):
                return ExitCode.DONE
            approved = Approved(plan.digest)
            job = replace(job, memory=session.memory)
            workflow.confirm(plan, approved)
            session.run(workflow.require_ready(job, session.provider, plan))
            if not _is_approved(plan, job):
                write("not approved; nothing was done\n", err=True)
                return ExitCode.ERROR

        def report(ledger: Ledger, plan: Plan | None) -> None:
            finish = _finish(ledger, plan, is_saved=saved is not None, destroying=destroying)
            output.report(form, ReportKind.LEDGER, finish, options)

        with watcher(output, form, options, show_plan=not asked) as on_event:
            steps = workflow.apply(job, session.provider, approved=approved)
            notes = _Notes(on_event)
            try:
                ledger = session.run(steps, on_event=notes.take, keeps_result=True)
            except (
                Interrupted,
                OSError,
                RuntimeError,
                ValueError,
                TypeError,
                AssertionError,
                LookupError,
            ):
                # Ended by a second signal, or by a bug of ours: what was done until then is reported all the same.
                if notes.is_begun:
                    report(notes.ledger(), notes.plan)
                raise
        report(ledger, notes.plan)
        return _exit_code(ledger, session)


class _Notes:
    """The events of an apply so far; from them the summary is made if the run ends without a ledger of its own."""

    def __init__(self, on_event: Callable[[Any], None]) -> None:
        self._on_event = on_event
        self._ledger = Ledger(interrupted=True)
        self.plan: Plan | None = None
        self._open: dict[tuple[Address, Action], Started] = {}

    @property
    def is_begun(self) -> bool:
        return bool(self._open or self._ledger.rows)

    def take(self, event: Any) -> None:
        """Record an event and pass it on."""
        if isinstance(event, workflow.Planned):
            self.plan = event.plan
        elif isinstance(event, Started):
            self._open[event.address, event.action] = event
        elif isinstance(event, (Finished, Notice)):
            self._ledger.note(event)
            if isinstance(event, Finished):
                self._open.pop((event.address, event.action), None)
        self._on_event(event)

    def ledger(self) -> Ledger:
        """Return the ledger: changes begun and not ended are unknown, changes not begun are skipped."""
        begun = {(each.address, each.action) for each in self._ledger.finished} | set(self._open)
        for change in self.plan.acts if self.plan is not None else ():
            if (change.address, action_of(change)) not in begun:
                target = target_of(change)
                agent = target.agent_id if target is not None else ""
                text = "the run was ended before it"
                self._ledger.note(Finished(change.address, action_of(change), Result.SKIPPED, text, agent))
        for address, action in self._open:
            text = "ended in the middle; the next apply looks first"
            self._ledger.note(Finished(address, action, Result.UNKNOWN, text))
        return self._ledger


def _require_consent(consent: Consent, output: Output, *, destroying: bool) -> None:
    if consent.is_given or output.is_interactive:
        return
    flag = "--auto-approve" if destroying else "--auto-approve, --plan FILE or --approved TOKEN"
    raise UsageError(f"there is no terminal to ask at; say {flag}", hint="nothing was done")


def _require_assertions() -> None:
    if not __debug__:
        raise UsageError(
            "Python runs with -O or PYTHONOPTIMIZE, which takes out the checks that an apply relies on",
            hint="run it without; nothing was done",
        )


def _saved(consent: Consent, flags: Flags, session: Session) -> SavedPlan | None:
    if consent.plan_file is None:
        return None
    from reconciler.cli.plan_files import read_plan

    given = flags.shaping()
    if given:
        raise UsageError(
            f"--plan applies what was planned, and {', '.join(given)} would make it something else; nothing was done",
            hint="give it to `reconciler plan --out FILE`, and approve that plan",
        )
    saved = read_plan(consent.plan_file)
    saved.check_owner(session.fleet.owner)
    return saved


def _is_approved(plan: Plan, job: Job) -> bool:
    """Return whether the user gave the accepted answer. The question names the fleet: the plan may be in a file."""
    owner = job.fleet.owner
    where = f"{owner.fleet} ({owner.environment})" if owner.environment else owner.fleet
    expected = owner.fleet if job.destroying else "yes"
    try:
        write(f'\n{_question(plan, where, job)} Only "{expected}" is accepted: ', err=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        write("\ninterrupted; nothing was done\n", err=True)
        raise Interrupted(signal.SIGINT) from None
    if not answer.endswith("\n"):
        write("\n", err=True)
    return answer.strip() == expected


def _question(plan: Plan, where: str, job: Job) -> str:
    count = len(plan.acts)
    if not count:
        return (
            f"Finish what an earlier run of {where} left open?"
            if plan.interrupted
            else f"Go on with {where}?"
        )
    changes = "this 1 change" if count == 1 else f"these {count:,} changes"
    return f"End the agents of {where} ({count:,})?" if job.destroying else f"Apply {changes} to {where}?"


def _finish(ledger: Ledger, plan: Plan | None, *, is_saved: bool, destroying: bool) -> Finish:
    """Return the end of the run for its report, with the command that goes on."""
    changes = plan.changes if plan is not None and is_saved else ()
    held = {str(each.address) for each in changes if isinstance(each, Hold)}
    return Finish(
        ledger,
        resume_command.resume(sys.argv[1:], ledger, held),
        lifts_of(plan) if plan is not None else (),
        plan,
        "Destroy" if destroying else "Apply",
    )


def _exit_code(ledger: Ledger, session: Session) -> int:
    if session.interrupted_by is not None:
        return 128 + session.interrupted_by
    if isinstance(ledger.broken, StateLocked):
        return ExitCode.LOCKED
    return ExitCode.DONE if ledger.is_complete else ExitCode.INCOMPLETE
