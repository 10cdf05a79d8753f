"""The plan of one fleet for the command `plan`: against the service, the state, or a commit's files."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.options import Against, FleetFlags
from reconciler.cli.output import MASKER, Output
from reconciler.cli.streams import write_file
from reconciler.plan.build import Plan
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Planning:
    """The settings of `plan`: what to compare with, and the file to save to."""

    output: Output
    flags: Flags
    against: Against = Against()
    out: str | None = None
    check_secrets: bool = False

    @property
    def asks_nobody(self) -> bool:
        return self.against.offline or self.against.base is not None

    def __post_init__(self) -> None:
        asks_nobody = self.asks_nobody
        is_both = self.against.offline and self.against.base is not None
        if asks_nobody and (is_both or self.out is not None or self.check_secrets):
            raise click.UsageError("--offline and --base exclude each other, --out and --check-secrets")
        if asks_nobody and self.flags.horizon:
            raise click.UsageError("--horizon asks what ends soon, which --offline and --base do not know")

    def plan_of(self, fleet: FleetFlags) -> Plan:
        """Return the plan of a fleet; save it if `--out` was given."""
        if self.asks_nobody:
            from reconciler.cli.offline import plan_offline

            return plan_offline(fleet, self.output, self.flags, base=self.against.base)
        with wiring.open_session(fleet, self.output, reads_secrets=self.check_secrets) as session:
            job = make_job(session, self.flags)
            steps = workflow.plan(job, session.provider, check_secrets=self.check_secrets)
            plan = session.run(steps)
        if self.out is not None:
            self._save(fleet, plan, job, self.out)
        return plan

    def _save(self, fleet: FleetFlags, plan: Plan, job: workflow.Job, out: str) -> None:
        from reconciler.cli import resume_command
        from reconciler.plan.planfile import save
        from reconciler.report.escape import visible

        saved = save(plan, job.selection, job.policy, job.settings.horizon, MASKER.mask)
        write_file(Path(out), saved)
        command = resume_command.apply_saved(fleet, out, self.flags.allows)
        self.output.say(f"saved the plan to {visible(out)}; `{command}` applies it or refuses")

    @staticmethod
    def is_fine(plan: Plan) -> bool:
        """Return whether a plan has nothing that a person must look at."""
        return not (plan.pending or plan.dangers or plan.interrupted)
