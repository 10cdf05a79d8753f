"""The verbs: plan, apply, drift, status, doctor, adopt, forget, each as steps from the first read to the last write.

Sans-I/O like all of the core: the layers above perform the effects and show the results. `destroy` is an apply of a job
that is `destroying`.
"""

from reconciler.workflow.applying import Approved, Planned, apply, confirm, keep_transcripts
from reconciler.workflow.claiming import adopt, forget
from reconciler.workflow.doctor import Checkup, doctor, finding, refused_rows
from reconciler.workflow.job import Job, check_pins, look
from reconciler.workflow.looking import (
    AddressReport,
    Drift,
    SessionReader,
    Surveyed,
    address_report,
    agent_of,
    drift,
    plan,
    status,
    survey,
)
from reconciler.workflow.offline import offline_plan, state_of
from reconciler.workflow.readiness import require_ready
from reconciler.workflow.transfers import Move, pushed_writes

__all__ = [
    "AddressReport",
    "Approved",
    "Checkup",
    "Drift",
    "Job",
    "Move",
    "Planned",
    "SessionReader",
    "Surveyed",
    "address_report",
    "adopt",
    "agent_of",
    "apply",
    "check_pins",
    "confirm",
    "doctor",
    "drift",
    "finding",
    "forget",
    "keep_transcripts",
    "look",
    "offline_plan",
    "plan",
    "pushed_writes",
    "refused_rows",
    "require_ready",
    "state_of",
    "status",
    "survey",
]
