"""The plan of one fleet for the command `plan`, and saved plans: written by `--out`, read by `apply --plan` and `show`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.options import Against, FleetFlags
from reconciler.cli.output import Output
from reconciler.contract.literals import KEY_LIKE
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.tree import Tree
from reconciler.plan.build import Plan
from reconciler.plan.planfile import LARGEST, SavedPlan, load
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

        Path(out).write_bytes(save(plan, job.selection, job.policy))
        command = resume_command.apply_saved(fleet, out, self.flags.allows)
        self.output.say(f"saved the plan to {visible(out)}; `{command}` applies it or refuses")

    @staticmethod
    def is_fine(plan: Plan) -> bool:
        """Return whether a plan has nothing that a person must look at."""
        return not (plan.pending or plan.dangers or plan.interrupted)


_FORMAT = b"reconciler-plan-"


def is_plan_file(text: str) -> bool:
    """Return whether an argument names a plan file: its content is a saved plan, or its name is no address."""
    path = Path(text)
    if not path.is_file():
        return False
    try:
        Address.parse(text)
    except ValueError:
        return True
    with path.open("rb") as file:
        return _FORMAT in file.read(4096)


def read_plan(path: str) -> SavedPlan:
    """Return the plan of a file. Raises `UsageError` if it is not one, or holds text that looks like a key."""
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    saved = load(data, path)
    if KEY_LIKE.search(data.decode()):
        raise UsageError(
            f"the plan file {path} holds what looks like a key, which no plan needs; nothing was done",
            hint="if it is one, revoke it: plans are shown around; then plan again: `reconciler plan --out FILE`",
        )
    return saved


def plan_tree(saved: SavedPlan) -> dict[str, Tree]:
    """Return a saved plan as a tree: its fleet, its changes, and the selection and policy it was made with."""
    changes: dict[str, list[Tree]] = defaultdict(list)
    for action, address in sorted(saved.rows):
        changes[action].append(address)
    chosen, policy = saved.selection, saved.policy
    restricted = {
        "target": list(chosen.targets),
        "exclude": list(chosen.excludes),
        "replace": list(chosen.replaces),
        "only": sorted(each.value for each in policy.only or ()),
    }
    tree: dict[str, Tree] = {
        "fleet": saved.owner.fleet,
        "environment": saved.owner.environment,
        "digest": saved.digest,
        "files_digest": saved.files,
        **{key: each for key, each in restricted.items() if each},
    }
    if policy.prune_unrecorded:
        tree["prune_unrecorded"] = True
    return {**tree, "summary": {key: len(each) for key, each in changes.items()}, "changes": dict(changes)}
