"""What the clock alone decides: why a token or an agent is renewed now, and when the decision may change next.

The law: for every time t from `facts.now` until `due(facts).at`, the facts at t get the same decision as the facts now.
So everything that is decided by a time has its line in `_moments`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.durations import spelled
from reconciler.model.address import Address
from reconciler.model.record import Intent, Record
from reconciler.model.spec import HOUR, Lifecycle
from reconciler.plan.change import Because, Reason
from reconciler.plan.facts import Facts
from reconciler.plan.intents import WELL, refused_until
from reconciler.plan.rotations import LAST_CALL
from reconciler.values import dataclass

NEAR_THE_END = 12 * HOUR


def why_renew(record: Record, lifecycle: Lifecycle, now: float, horizon: float = 0.0) -> Reason | None:
    """Return why a token is renewed now, or None.

    Its end is unknown, or within the `horizon` in seconds, or it is in the sixth tenth of its life.
    """
    if record.token_expires_at is not None:
        left = record.token_expires_at - now
        if _is_within(horizon, left, lifecycle.token_ttl):
            return _expiring("its token ends", horizon)
        # The half of its life first, because an agent's share of the spread takes a hash.
        if left > lifecycle.token_ttl / 2 or left > lifecycle.renews_at(record.share):
            return None
    return _TOKEN


_TOKEN = Reason(Because.TOKEN, "its token is past half of its life")


def why_rotate(
    facts: Facts, lifecycle: Lifecycle, record: Record, started_at: float, *, is_edited: bool
) -> Reason | None:
    """Return why a running agent is rotated now, or None; `is_edited` is whether it has join-only changes.

    Such an agent is replaced, not rotated, until 12 h before the service ends it, or until no later run comes before that.
    Otherwise a short `rotate_after` would bypass `protect` and the limits.
    """
    age = facts.now - started_at
    # `rotate_after` first, because an agent's share of the spread takes a hash.
    is_old = age >= lifecycle.rotate_after and age >= lifecycle.rotates_at(record.share)
    if not is_old and facts.is_early and not is_edited:
        return _EARLY
    if not is_old and not facts.horizon:
        return None
    life = facts.able.lifetime(record.body.properties)
    if _is_within(facts.horizon, life - age, life):
        return _expiring("the service ends it", facts.horizon)
    if not is_old or (is_edited and life - age > NEAR_THE_END):
        return None
    text = f"it is older than {spelled(lifecycle.rotate_after)}, and the service ends every agent at {spelled(facts.able.max_lifetime)}"
    return Reason(Because.AGE, text)


_EARLY = Reason(
    Because.AGE,
    "it is rotated early, before rotate_after: so many agents end together that limits.max_unavailable does not let later runs rotate all",
)

# What has lived less than this share of its life is not renewed for a horizon beyond all of it: a second run would only
# do again what the first has done.
_YOUNG = 0.1


def _is_within(horizon: float, left: float, life: float) -> bool:
    """Return whether what lasts `left` of its `life` seconds more ends before the next run; never without a horizon."""
    return horizon > 0 and left <= _furthest(horizon, life)


def _furthest(horizon: float, life: float) -> float:
    """Return how many seconds before its end something is renewed for this horizon."""
    return min(horizon, life * (1 - _YOUNG))


def _expiring(what: str, horizon: float) -> Reason:
    return Reason(
        Because.EXPIRING, f"{what} within {spelled(horizon)}, before the next run (--horizon and a tenth)"
    )


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """The time (epoch seconds) from which an address must be decided again, and the reason."""

    at: float
    address: Address
    why: Because


def due(facts: Facts) -> Due | None:
    """Return the next time of one address; None if its decision never changes by the clock."""
    coming = ((at, why) for at, why in _moments(facts) if at > facts.now)
    first = min(coming, default=None)
    return None if first is None else Due(first[0], facts.address, first[1])


def _moments(facts: Facts) -> Iterator[tuple[float, Because]]:
    record = facts.record
    running = next((each for each in facts.running if record and each.agent_id == record.agent_id), None)
    if record is not None:
        yield record.retry_at, Because.BACKING_OFF
        if running is not None:
            yield from _of_a_life(facts, record, running.started_at)
    if facts.refused is not None:
        yield refused_until(facts.refused), Because.BACKING_OFF
    for intent in (facts.open_join, facts.late_copy):
        if intent is not None:
            yield from _of_an_intent(intent, facts.grace)


def _of_a_life(facts: Facts, record: Record, started_at: float) -> Iterator[tuple[float, Because]]:
    lifecycle = facts.want.lifecycle if facts.want is not None else Lifecycle()
    if record.token_expires_at is not None:
        yield record.token_expires_at - lifecycle.renews_at(record.share), Because.TOKEN
    if record.failures:
        yield record.started_at + WELL, Because.FAILED  # the count of its failed joins ends
    limit = facts.able.lifetime(record.body.properties)
    yield started_at + lifecycle.rotates_at(record.share), Because.AGE
    yield started_at + limit - NEAR_THE_END, Because.AGE
    yield started_at + limit - LAST_CALL, Because.MAX_UNAVAILABLE
    yield started_at + limit, Because.EXPIRED
    if facts.horizon:
        yield started_at + limit - _furthest(facts.horizon, limit), Because.EXPIRING
        if record.token_expires_at is not None:
            ahead = _furthest(facts.horizon, lifecycle.token_ttl)
            yield record.token_expires_at - ahead, Because.EXPIRING


def _of_an_intent(intent: Intent, grace: float) -> Iterator[tuple[float, Because]]:
    yield intent.late_until(grace), Because.DEFERRED
    yield intent.certain_at(grace), Because.DEFERRED
