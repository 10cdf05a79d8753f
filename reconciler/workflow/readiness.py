"""Checks of what an apply needs besides its plan, before the user is asked and before the first change.

What the whole run lacks is reported once, not once for each address: a secret that 200 agents need is one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from reconciler.apply.events import Notice
from reconciler.diagnostics import Problem, plural
from reconciler.errors import NotReady, SecretUnavailable
from reconciler.model.tree import references_in
from reconciler.plan.build import Plan
from reconciler.plan.change import Adopt, Change, Join, Renew, Replace, Rotate, Update
from reconciler.ports import Checker, Emit, Observer, Resolve, Steps
from reconciler.secrets import SecretRef
from reconciler.workflow.job import Job

# How many secrets without a value the refusal of an apply names; `reconciler doctor` names all.
_MOST_NAMED = 20
_SHORT = 180


def require_ready(job: Job, provider: Observer, plan: Plan) -> Steps[None]:
    """Raise `NotReady` if a secret that this run would send has no value, or if no token could work.

    With `--only`, which keeps agents alive, missing secrets become notices as long as some changes need none of them.
    """
    found = yield from missing_secrets(map(_sent, plan.acts))
    lines = [_line(each) for each in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        lines.append(f"{len(found) - _MOST_NAMED} more; `reconciler doctor` names them")
    without = {each.path for each in found}
    if found and job.policy.only is not None and any(without.isdisjoint(_names(each)) for each in plan.acts):
        for line in lines:
            yield Emit(Notice(line))
        lines = []
    if any(isinstance(each, (Join, Renew, Replace, Rotate)) for each in plan.acts):
        lines += yield from _refused(job, provider)
    if lines:
        hint = "nothing was done; `reconciler doctor` checks all that an apply needs"
        raise NotReady("\n".join(lines), hint=f"{hint}; --exclude leaves addresses out" if found else hint)


def _names(change: Change) -> set[str]:
    return {each.text for each in _sent(change)}


def _refused(job: Job, provider: Observer) -> Steps[list[str]]:
    """Return what keeps every token from working. A service that does not answer gives none: the calls will show it."""
    if job.fleet.service.entry.is_embedded or not isinstance(provider, Checker):
        return []
    rows = yield from provider.check()
    errors = (each for each in rows if isinstance(each, Problem) and each.is_error and each.rule != "service")
    return [_line(each) for each in errors]


def _line(found: Problem) -> str:
    """Return what is wrong and what to do, on one line if both are short."""
    parting = "; " if len(found.summary) + len(found.help or "") < _SHORT else "\n"
    return f"{found.summary}{parting}{found.help}"


def missing_secrets(sent: Iterable[frozenset[SecretRef]]) -> Steps[tuple[Problem, ...]]:
    """Return a finding for each secret without a value. `sent` are the references in what is sent to each agent."""
    needed = Counter(reference for each in sent for reference in each)
    why: Mapping[str, str] = {}
    try:
        # The values are not kept: each call resolves its references again.
        yield Resolve(frozenset(needed))
    except SecretUnavailable as problem:
        if not problem.missing:
            raise
        why = problem.missing
    return tuple(
        Problem(
            "secrets",
            f"{reference} has no value ({why[reference.text]}); {_agents(needed[reference])}",
            help=_cure(reference),
            path=reference.text,
        )
        for reference in sorted(needed)
        if reference.text in why
    )


def _sent(change: Change) -> frozenset[SecretRef]:
    """Return the references in the parts of the files that a change sends."""
    match change:
        case Join() | Replace() | Rotate():
            return change.spec.body.references
        case Update() | Adopt():
            return references_in(*change.values.values())
        case _:
            return frozenset()


def _agents(count: int) -> str:
    return plural(count, "agent needs it", "agents need it")


def _cure(reference: SecretRef) -> str:
    match reference.scheme:
        case "env":
            return f"set {reference.path} where apply runs"
        case "file":
            return f"write its value into {reference.path} where apply runs"
        case _:
            return f"see that `vals get {reference}` prints its value where apply runs"
