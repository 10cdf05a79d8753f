"""What `apply` and `destroy` share: approval, progress, the ledger, and the exit code."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from reconciler import workflow
from reconciler.apply.events import Ledger
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.output import Output
from reconciler.cli.progress import watcher
from reconciler.errors import ExitCode, ReconcilerError, StateError, StateLocked, UsageError
from reconciler.plan.planfile import SavedPlan, load
from reconciler.providers.agora.settings import Purpose
from reconciler.report import documents, text
from reconciler.report import ledger as ledger_report
from reconciler.workflow import Approved, Job


@dataclass(frozen=True, slots=True)
class Approval:
    """How an apply is approved: in advance, by a saved plan, or by an answer at the terminal."""

    automatic: bool = False
    plan_file: str | None = None


def run_apply(
    directory: str,
    environment: str | None,
    variables: Any,
    flags: Flags,
    approval: Approval,
    output: Output,
    style: str,
    *,
    destroying: bool = False,
) -> int:
    """Apply (or destroy) a fleet; returns the exit code."""
    _require_consent(approval, output, destroying=destroying)
    with wiring.open_session(directory, environment, variables, output, purpose=Purpose.CHANGE) as session:
        saved = _saved(approval, flags, session)
        job = make_job(session, flags, destroying=destroying)
        if saved is not None:
            job = replace(job, selection=saved.selection, policy=saved.policy)
        approved = Approved(saved.digest, saved.files, saved.rows) if saved else None
        asked = approved is None and not approval.automatic
        if asked:
            approved = _ask(session, job, output)
            if approved is None:
                return int(ExitCode.DONE)
        with watcher(output, style, show_plan=not asked) as on_event:
            ledger = session.run(workflow.apply(job, session.provider, approved=approved), on_event=on_event)
        _report(ledger, output, style)
        return _exit_code(ledger, session)


def _require_consent(approval: Approval, output: Output, *, destroying: bool) -> None:
    if approval.automatic or approval.plan_file or output.is_interactive:
        return
    flag = "--auto-approve" if destroying else "--auto-approve or --plan FILE"
    raise UsageError(f"there is no terminal to ask at; say {flag}", hint="nothing was done")


def _saved(approval: Approval, flags: Flags, session: wiring.Session) -> SavedPlan | None:
    if approval.plan_file is None:
        return None
    if flags.targets or flags.excludes or flags.replaces or flags.only or flags.allows or flags.prune_unrecorded:
        raise UsageError(
            "--plan applies what was planned: selections and limits are part of the plan",
            hint="give --target, --only, --allow and the like to `plan --out`",
        )
    saved = load(Path(approval.plan_file).read_bytes())
    saved.check_owner(session.fleet.owner)
    return saved


def _ask(session: wiring.Session, job: Job, output: Output) -> Approved | None:
    """Show the plan and ask; what was approved when the answer is yes, None when there is nothing to do."""
    plan = session.run(workflow.plan(job, session.provider))
    output.result(text.render_plan(plan, colour=output.colour()))
    approved = Approved(plan.digest)
    if not plan.acts:
        return None if not plan.pending and not plan.interrupted else approved
    workflow.confirm(plan, approved)
    expected = job.fleet.owner.fleet if job.destroying else "yes"
    click.echo(f'\nOnly "{expected}" is accepted: ', nl=False, err=True)
    if sys.stdin.readline().strip() != expected:
        raise click.Abort
    return approved


def _report(ledger: Ledger, output: Output, style: str) -> None:
    resume = f"reconciler {shlex.join(sys.argv[1:])}"
    if style == "json":
        output.result(documents.as_json_line(ledger_report.tree(ledger)))
    elif style == "markdown":
        output.result(ledger_report.render_markdown(ledger, resume=resume))
    else:
        output.result(ledger_report.render(ledger, colour=output.colour(), resume=resume))


def _exit_code(ledger: Ledger, session: wiring.Session) -> int:
    if session.interrupted_by is not None:
        return 128 + session.interrupted_by
    if isinstance(ledger.broken, StateLocked):
        return int(ExitCode.LOCKED)
    if isinstance(ledger.broken, (StateError, ReconcilerError)):
        return int(ExitCode.INCOMPLETE)
    return int(ExitCode.DONE if ledger.is_complete else ExitCode.INCOMPLETE)


