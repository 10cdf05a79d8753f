"""`keep_transcripts`: brings the archive of running agents up to date."""

from __future__ import annotations

from collections.abc import Container

from reconciler.apply.archiving import archive_ended, archive_running
from reconciler.apply.context import Context
from reconciler.apply.journal import Journal
from reconciler.model.address import Address
from reconciler.model.writes import StateView
from reconciler.ports import Provider, Steps
from reconciler.workflow.job import Job, look


def keep_transcripts(job: Job, provider: Provider, addresses: Container[Address]) -> Steps[None]:
    """Update the archives of some addresses, and close those of their agents that have ended.

    Only the archive is written, so no lock is needed. A transcript that cannot be archived is reported as a notice.
    """
    basis, _ = yield from look(job, provider)
    journal = Journal(StateView.of(basis.state))
    context = Context(provider, job.fleet.owner, journal, job.settings, archive=job.fleet.archive)
    yield from archive_running(context, basis, addresses)
    yield from archive_ended(context, basis, addresses)
