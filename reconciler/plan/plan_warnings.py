"""The warnings that only a plan can find, by what runs or what is selected; `validate` asks no service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.diagnostics import Problem, Severity, plural
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.facts import Facts

# Rule -> its meaning, and what to do.
WARNINGS_OF_PLANS: Final[Mapping[str, tuple[str, str]]] = {
    "adopt-over": (
        "the agent that `adopt` names does not run any more",
        "remove the line `adopt`; if its ID is misspelt, correct it before an apply, which joins an agent of its own",
    ),
    "ended-between-runs": (
        "agents have ended because no run came in time to renew their tokens, or to rotate them",
        "run `apply` every two hours, or say with `--horizon` how long it is until the next run, or let `watch` do it",
    ),
    "freeze-nothing": (
        "a freeze names an address that is neither declared nor running",
        "correct the address among the `targets` of the freeze, or remove it",
    ),
    "freeze-offline": (
        "a plan that asks no service knows no time, and shows frozen changes as if they were not",
        "nothing: an apply holds them",
    ),
}

# An agent that ended at most so many seconds before its token or its life was over counts as ended by that: the service's
# clock and ours differ.
_AROUND = 120.0


def adoptions_over(fleet: DesiredFleet, all_facts: Iterable[Facts]) -> Iterator[Problem]:
    """Yield a warning for each agent that `adopt` in the files names and that does not run any more."""
    for facts in all_facts:
        want, record = facts.want, facts.record
        if want is None or want.adopt is None or facts.adoptee is not None:
            continue
        known = {each.agent_id for each in facts.running} | ({record.agent_id} if record else set())
        if want.adopt not in known:
            summary = f"agent {want.adopt}, which {facts.address} adopts, does not run any more"
            place = fleet.locate(facts.address, ("adopt",))
            yield Problem("adopt-over", summary, place, "remove the line `adopt`", severity=Severity.WARNING)


def ended_between_runs(fleet: DesiredFleet, all_facts: Iterable[Facts], now: float) -> Iterator[Problem]:
    """Yield one warning if wanted agents have reached the end of their tokens or lives since the last run."""
    late = [each.address for each in all_facts if _is_late(each, now)]
    if late:
        summary = f"{plural(len(late), 'agent has', 'agents have')} ended, because no run came in time to renew or rotate"
        _, help = WARNINGS_OF_PLANS["ended-between-runs"]
        place = fleet.locate(late[0], ())
        yield Problem("ended-between-runs", summary, place, help, severity=Severity.WARNING)


def _is_late(facts: Facts, now: float) -> bool:
    """Return whether a wanted agent has ended, and not before its token or its life was over."""
    want, record, ended = facts.want, facts.record, facts.ended
    if facts.running or facts.stopping or want is None or want.lifecycle.paused or facts.destroying:
        return False
    if record is None or record.replacing or record.failures:
        return False
    # If the service does not tell when it ended, no run has come before that time: it would have joined the agent again.
    end = now if ended is None or not ended.stopped_at else ended.stopped_at
    over = record.started_at + facts.able.lifetime(record.body.properties)
    if record.token_expires_at is not None:
        over = min(over, record.token_expires_at)
    return over <= end + _AROUND
