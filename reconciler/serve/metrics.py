"""The metrics of a controller, computed from the events of its loops, in base units.

No address stands in a label unless that was asked for (`--metrics-per-agent`): each one is a series of its own.
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from reconciler.apply.events import Finished, Result
from reconciler.controller.loop import FilesRead, LeadChanged, RoundEnded, TurnEnded, Woken
from reconciler.controller.turn import Turned, TurnResult
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.change import Hold, action_of

_FLEET = ("fleet", "env")
_TURNS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_CALLS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_COMMITS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 20)


class Metrics:
    """All metrics of one process; with `per_agent` also some of each agent, by its address."""

    def __init__(self, version: str, *, per_agent: bool = False) -> None:
        self.registry = registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"reconciler_{name}", text, (*_FLEET, *labels), registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"reconciler_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"reconciler_{name}", text, labels, registry=registry, buckets=buckets)

        Gauge("reconciler_build_info", "The version that runs.", ["version"], registry=registry).labels(
            version
        ).set(1)
        self._agents = _Words(gauge("agents", "Agents of the fleet, by the service's status.", "state"))
        self._desired = gauge("agents_desired", "Agents that the files want to run.")
        self._out = _Words(gauge("out_of_sync", "Changes that are planned, held ones included.", "action"))
        self._held = _Words(gauge("held", "Changes that are held, by the reason.", "because"))
        self._gone = counter("gone", "Ends of agents that this tool has not asked for.", *_FLEET, "class")
        self._changes = counter("changes", "Changes made, by what came of them.", *_FLEET, "action", "result")
        self._turns = counter("turns", "Turns, by what came of them.", *_FLEET, "result")
        self._turn_seconds = histogram("turn_duration_seconds", "How long turns take.", _TURNS, *_FLEET)
        self._due = gauge("due_addresses", "Addresses whose change was begun and is not finished, or failed.")
        self._due_oldest = gauge(
            "due_oldest_seconds", "For how long the oldest due address has been waiting."
        )
        self._wakeups = counter("wakeups", "Wake-ups of a loop.", *_FLEET, "source")
        self._success = gauge("last_success_timestamp_seconds", "When a turn last came to its end.")
        self._revision = Info("reconciler_revision", "What is being kept.", _FLEET, registry=registry)
        self._reload = gauge(
            "config_last_reload_successful", "Whether the files could be used when they last changed."
        )
        self._oldest = gauge("oldest_agent_age_seconds", "The age of the fleet's oldest agent.")
        self._token = gauge("shortest_token_life_seconds", "How long the token lives that expires first.")
        self._per_agent = per_agent
        if per_agent:
            self._age = _Addresses(gauge("agent_age_seconds", "The age of each agent.", "address"))
            self._life = _Addresses(
                gauge("agent_token_life_seconds", "How long each agent's token lives.", "address")
            )
            self._pending = _Addresses(
                gauge("agent_out_of_sync", "Whether a change of the address is planned or held.", "address")
            )
        self._leader = gauge("leader", "Whether this controller leads.")
        self._transitions = counter("lease_transitions", "Times that the lead was won or lost.", *_FLEET)
        self._cost = gauge("cost_usd_per_day", "What runs under the App ID, at the price of the limits.")
        self._requests = counter("service_requests", "Requests to the service.", "operation", "code")
        self._request_seconds = histogram(
            "service_request_duration_seconds", "How long the service takes.", _CALLS, "operation"
        )
        self._commits = counter("state_commits", "Commits of the state.", "backend", "result")
        self._commit_seconds = histogram(
            "state_commit_duration_seconds", "How long a commit takes.", _COMMITS
        )
        self._fetches = counter(
            "git_fetches", "Fetches of the branch that `--git` names, by result.", "result"
        )
        self._notices = counter("notifications", "Notifications, by what came of them.", "result")

    def begin(self, fleet: DesiredFleet, commit: str = "") -> None:
        """Set the metrics of a fleet that the controller begins to keep; `commit` is that of its files under `--git`."""
        whose = labels_of(fleet.owner)
        self._reload.labels(*whose).set(1)
        self._leader.labels(*whose).set(0)
        self._files(whose, fleet, commit)

    def take(self, owner: Owner, event: Any, now: float, commit: str = "") -> None:
        """Count an event of a fleet's loop; `now` is the service's epoch seconds, `commit` that of the last good files."""
        whose = labels_of(owner)
        match event:
            case Finished():
                self._changes.labels(*whose, event.action.value, event.result.value).inc()
            case TurnEnded(turned, seconds):
                self._turns.labels(*whose, turned.result.value).inc()
                self._turn_seconds.labels(*whose).observe(seconds)
                self._turn(whose, turned, now)
            case FilesRead(fleet, problem):
                self._reload.labels(*whose).set(0 if problem is not None else 1)
                self._files(whose, fleet, commit)
            case LeadChanged(leads):
                self._leader.labels(*whose).set(1 if leads else 0)
                self._transitions.labels(*whose).inc()
            case Woken(source, count):
                self._wakeups.labels(*whose, source).inc(count)
            case RoundEnded(due, _):
                self._due_oldest.labels(*whose).set(max(0.0, now - due.at) if due is not None else 0.0)
            case _:
                pass

    def requested(self, operation: str, code: str, seconds: float) -> None:
        """Count a request to the service; `code` is the status, or the name of the failure."""
        self._requests.labels(operation, code).inc()
        self._request_seconds.labels(operation).observe(seconds)

    def committed(self, backend: str, result: str, seconds: float) -> None:
        """Count a commit of a state."""
        self._commits.labels(backend, result).inc()
        self._commit_seconds.observe(seconds)

    def fetched(self, result: str) -> None:
        """Count a fetch of a followed branch by its result: `unchanged`, `moved`, `refused` or `failed`."""
        self._fetches.labels(result).inc()

    def notified(self, result: str) -> None:
        """Count a notification, sent or failed."""
        self._notices.labels(result).inc()

    def _files(self, whose: tuple[str, str], fleet: DesiredFleet, commit: str) -> None:
        wanted = sum(not each.lifecycle.paused for each in fleet.agents.values())
        self._desired.labels(*whose).set(wanted)
        self._revision.labels(*whose).info({"commit": commit, "digest": fleet.digest})

    def _turn(self, whose: tuple[str, str], turned: Turned, now: float) -> None:
        for end in turned.ends:
            self._gone.labels(*whose, end.kind.value).inc()
        if turned.result in (TurnResult.UNCHANGED, TurnResult.DONE):
            self._success.labels(*whose).set(now)
        plan, basis = turned.plan, turned.basis
        if plan is None or basis is None:
            return
        self._out.set(whose, Count(action_of(each).value for each in plan.pending))
        self._held.set(
            whose,
            Count(each.reason.because.value for each in plan.pending if isinstance(each, Hold)),
        )
        mine = basis.ours
        self._agents.set(whose, Count(each.status.value for each in mine))
        ages = {each.agent_id: basis.now - each.started_at for each in mine}
        self._oldest.labels(*whose).set(max(ages.values(), default=0.0))
        records = basis.state.records.values()
        lives = {
            str(each.address): each.token_expires_at - basis.now for each in records if each.token_expires_at
        }
        self._token.labels(*whose).set(min(lives.values(), default=0.0))
        if self._per_agent:
            running = {str(each.address): ages[each.agent_id] for each in records if each.agent_id in ages}
            self._age.set(whose, running)
            self._life.set(whose, {address: lives[address] for address in running if address in lives})
            pending = {str(each.address) for each in plan.pending}
            self._pending.set(
                whose, {each: float(each in pending) for each in {str(at.address) for at in plan.changes}}
            )
        self._cost.labels(*whose).set(plan.cost.usd_per_day)
        open_rows = (each for each in turned.changes if each.result not in (Result.DONE, Result.HELD))
        self._due.labels(*whose).set(len({each.address for each in open_rows}))


def labels_of(owner: Owner) -> tuple[str, str]:
    """Return the labels `fleet` and `env` of a fleet's metrics."""
    return owner.fleet, owner.environment or ""


class _Words:
    """A gauge whose last label is a word. A word that was counted before and is not now is set to 0."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._seen: set[tuple[str, str, str]] = set()

    def set(self, whose: tuple[str, str], counts: Count[str]) -> None:
        self._seen |= {(*whose, word) for word in counts}
        for fleet, env, word in self._seen:
            if (fleet, env) == whose:
                self._gauge.labels(fleet, env, word).set(counts[word])


class _Addresses:
    """A gauge whose last label is an address. The series of an address that has no value any more is removed."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._seen: dict[tuple[str, str], set[str]] = {}

    def set(self, whose: tuple[str, str], values: Mapping[str, float]) -> None:
        for address in self._seen.get(whose, set()) - values.keys():
            self._gauge.remove(*whose, address)
        for address, value in values.items():
            self._gauge.labels(*whose, address).set(value)
        self._seen[whose] = set(values)
