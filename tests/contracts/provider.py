"""What every provider must do, whichever service it adapts: run by inheriting `ProviderContract`.

A service to test against is a `Bench`: a provider, something that performs its effects, and a hand on the
world behind it. The tests speak of outcomes and of that world, never of requests.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, TypeVar

import pytest

from reconciler.errors import (
    AuthenticationFailed,
    IncompleteRead,
    ReconcilerError,
    SecretUnavailable,
    ServiceError,
)
from reconciler.model.spec import Body
from reconciler.model.tree import Path, Tree
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Gone,
    Joined,
    JoinOrder,
    JoinOutcome,
    Provider,
    Scope,
    Steps,
    Unknown,
    UpdateOrder,
)
from reconciler.secrets import SecretRef

T = TypeVar("T")

KEY = SecretRef("ref+env://KEY")
KEY_VALUE = "sk-contract-canary"
MANY = 130


class Trouble(StrEnum):
    """What a bench can do to every later call."""

    UNREACHABLE = "no connection can be made"
    LOST = "calls are executed, and their answers are lost"
    REFUSED = "the credentials are refused"
    FAILING = "calls fail inside the service, and are not executed"
    NONSENSE = "calls are executed, and their answers make no sense"
    SHORT = "lists leave out an agent that they count"


class Bench(Protocol):
    """A world to test a provider in. Names, channels and uids are free for the tests to choose."""

    @property
    def provider(self) -> Provider:
        """One provider, for one run; the same one until `renew`."""
        ...

    def renew(self) -> None:
        """Begin another run."""
        ...

    def run(self, steps: Steps[T]) -> T:
        """Perform some steps; `KEY` resolves to `KEY_VALUE`, and no other reference has a value."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass in the world."""
        ...

    def trouble(self, kind: Trouble | None) -> None:
        """From now on this happens to every call; None ends it."""
        ...

    def set_quota(self, agents: int) -> None:
        """How many agents may live at once."""
        ...

    def live_names(self) -> list[str]:
        """The names of the agents that live in the world, seen from behind the service."""
        ...

    def calls(self) -> int:
        """How many calls have reached the world."""
        ...

    def properties(self) -> dict[str, Tree]:
        """Properties that the service takes, with `KEY` in some credential."""
        ...

    def changes(self) -> Mapping[Path, Tree]:
        """A new value for every updatable path that suits `properties`."""
        ...


class ProviderContract:
    """The conformance suite."""

    @pytest.fixture
    @abstractmethod
    def bench(self) -> Bench:
        """A world without agents."""
        raise NotImplementedError

    # --- joining

    def test_a_joined_agent_is_listed_and_bears_its_name(self, bench: Bench) -> None:
        outcome = join(bench, "one")
        assert isinstance(outcome, Joined)
        assert [agent.agent_id for agent in bench.run(bench.provider.live_agents())] == [outcome.agent_id]
        agent = bench.run(bench.provider.query(outcome.agent_id))
        assert agent is not None
        assert (agent.agent_id, agent.name) == (outcome.agent_id, "one")
        assert agent.started_at == pytest.approx(outcome.started_at, abs=2)
        assert bench.live_names() == ["one"]

    def test_preparing_sends_nothing_and_shows_nothing(self, bench: Bench) -> None:
        before = bench.calls()
        prepared = bench.run(bench.provider.prepare_join(order(bench, "one")))
        assert bench.calls() == before
        assert KEY_VALUE not in repr(prepared)
        assert {ref: secret.reveal() for ref, secret in prepared.secrets.items()} == {KEY: KEY_VALUE}

    def test_a_secret_without_a_value_stops_a_join_before_it_is_sent(self, bench: Bench) -> None:
        before = bench.calls()
        body = Body({**bench.properties(), "labels": {"x": "ref+env://ABSENT"}})
        with pytest.raises(SecretUnavailable):
            bench.run(bench.provider.prepare_join(JoinOrder("one", "lobby", "1", body, 3600)))
        assert bench.calls() == before

    def test_a_name_can_be_had_once(self, bench: Bench) -> None:
        first = join(bench, "one", uid="1")
        again = join(bench, "one", uid="2")
        assert isinstance(first, Joined)
        assert isinstance(again, Conflict)
        assert again.agent_id in (None, first.agent_id)
        assert bench.live_names() == ["one"]

    def test_one_agent_too_many_stops_joins_alone(self, bench: Bench) -> None:
        bench.set_quota(1)
        assert isinstance(join(bench, "one", uid="1"), Joined)
        declined = join(bench, "two", uid="2")
        assert isinstance(declined, Declined)
        assert declined.scope is Scope.JOINS

    def test_a_token_lives_as_long_as_it_was_ordered_and_no_longer_than_it_can(self, bench: Bench) -> None:
        prepared = bench.run(bench.provider.prepare_join(order(bench, "one", ttl=3600)))
        longest = bench.provider.capabilities.max_token_ttl
        assert prepared.token_expires_at is not None
        again = bench.run(bench.provider.prepare_join(order(bench, "one", ttl=longest)))
        assert again.token_expires_at == pytest.approx(prepared.token_expires_at + longest - 3600, abs=5)
        with pytest.raises(ReconcilerError):
            bench.run(bench.provider.prepare_join(order(bench, "one", ttl=longest + 1)))

    # --- updating and leaving

    def test_every_updatable_path_can_be_updated(self, bench: Bench) -> None:
        agent_id = joined(bench, "one")
        changes = bench.changes()
        assert set(changes) <= bench.provider.capabilities.updatable
        for path, value in changes.items():
            assert update(bench, agent_id, {path: value}) == Done()
        assert update(bench, agent_id, changes) == Done()

    def test_nothing_else_is_ever_sent_in_an_update(self, bench: Bench) -> None:
        agent_id = joined(bench, "one")
        before = bench.calls()
        with pytest.raises(ReconcilerError):
            update(bench, agent_id, {("labels",): {"x": "y"}})
        assert bench.calls() == before

    def test_an_agent_that_left_ends_and_its_name_is_known_to_have_ended(self, bench: Bench) -> None:
        agent_id = joined(bench, "one")
        assert bench.run(bench.provider.has_ended("one", channel="lobby")) is False
        assert bench.run(bench.provider.leave(agent_id)) == Done()
        bench.wait(60)
        agent = bench.run(bench.provider.query(agent_id))
        assert agent is None or agent.status.is_terminal
        assert bench.run(bench.provider.live_agents()) == ()
        assert bench.live_names() == []
        assert bench.run(bench.provider.has_ended("one", channel="lobby")) or agent is None
        assert bench.run(bench.provider.has_ended("two", channel="lobby")) is False

    @pytest.mark.parametrize("agent_id", ["left", "A42NEVERWAS"])
    def test_what_is_not_there_is_gone(self, bench: Bench, agent_id: str) -> None:
        if agent_id == "left":
            agent_id = joined(bench, "one")
            bench.run(bench.provider.leave(agent_id))
            bench.wait(60)
        assert bench.run(bench.provider.leave(agent_id)) in (Gone(), Done())
        assert update(bench, agent_id, dict(list(bench.changes().items())[:1])) == Gone()

    def test_who_was_never_there_is_not_found(self, bench: Bench) -> None:
        assert bench.run(bench.provider.query("A42NEVERWAS")) is None

    # --- listing

    def test_a_list_is_complete_however_long(self, bench: Bench) -> None:
        bench.set_quota(MANY)
        ids = {joined(bench, f"agent-{place}", uid=str(1000 + place)) for place in range(MANY)}
        assert {agent.agent_id for agent in bench.run(bench.provider.live_agents())} == ids

    def test_a_list_of_a_channel_is_its_own(self, bench: Bench) -> None:
        here = joined(bench, "here", channel="lobby")
        there = joined(bench, "there", channel="bar & grill")
        for channel, agent_id in (("lobby", here), ("bar & grill", there)):
            assert [row.agent_id for row in bench.run(bench.provider.live_agents(channel=channel))] == [
                agent_id
            ]

    def test_agents_of_yesterday_are_listed(self, bench: Bench) -> None:
        longest = bench.provider.capabilities.max_token_ttl
        prepared = bench.run(bench.provider.prepare_join(order(bench, "old", ttl=longest)))
        outcome = bench.run(bench.provider.join(prepared))
        assert isinstance(outcome, Joined)
        bench.wait(longest - 3600)
        assert [row.agent_id for row in bench.run(bench.provider.live_agents())] == [outcome.agent_id]

    # --- trouble

    def test_a_lost_answer_is_a_doubt_and_the_call_is_not_sent_again(self, bench: Bench) -> None:
        prepared = bench.run(bench.provider.prepare_join(order(bench, "one")))
        before = bench.calls()
        bench.trouble(Trouble.LOST)
        assert isinstance(bench.run(bench.provider.join(prepared)), Unknown)
        assert bench.calls() == before + 1
        assert bench.live_names() == ["one"]

    def test_a_call_that_never_left_is_declined(self, bench: Bench) -> None:
        prepared = bench.run(bench.provider.prepare_join(order(bench, "one")))
        bench.trouble(Trouble.UNREACHABLE)
        outcome = bench.run(bench.provider.join(prepared))
        assert isinstance(outcome, (Declined, Unknown))
        assert bench.live_names() == []

    @pytest.mark.parametrize("kind", [Trouble.LOST, Trouble.FAILING, Trouble.NONSENSE])
    def test_every_doubt_about_a_change_is_unknown(self, bench: Bench, kind: Trouble) -> None:
        agent_id = joined(bench, "one")
        bench.trouble(kind)
        assert isinstance(update(bench, agent_id, bench.changes()), Unknown)
        assert isinstance(bench.run(bench.provider.leave(agent_id)), Unknown)
        assert isinstance(join(bench, "two", uid="2"), Unknown)

    def test_refused_credentials_stop_the_run(self, bench: Bench) -> None:
        bench.trouble(Trouble.REFUSED)
        outcome = join(bench, "one")
        assert isinstance(outcome, Declined)
        assert outcome.scope is Scope.RUN
        for steps in (bench.provider.live_agents(), bench.provider.query("A1")):
            with pytest.raises(AuthenticationFailed):
                bench.run(steps)

    @pytest.mark.parametrize("kind", [Trouble.UNREACHABLE, Trouble.LOST, Trouble.FAILING, Trouble.NONSENSE])
    def test_a_read_that_fails_is_never_an_absence(self, bench: Bench, kind: Trouble) -> None:
        agent_id = joined(bench, "one")
        bench.trouble(kind)
        with pytest.raises(ServiceError):
            bench.run(bench.provider.live_agents())
        bench.renew()
        with pytest.raises(ServiceError):
            bench.run(bench.provider.query(agent_id))

    def test_a_list_that_leaves_somebody_out_is_refused(self, bench: Bench) -> None:
        joined(bench, "one")
        bench.trouble(Trouble.SHORT)
        with pytest.raises(IncompleteRead):
            bench.run(bench.provider.live_agents())

    def test_reads_succeed_again_when_the_trouble_is_over(self, bench: Bench) -> None:
        agent_id = joined(bench, "one")
        bench.trouble(Trouble.FAILING)
        with pytest.raises(ServiceError):
            bench.run(bench.provider.query(agent_id))
        bench.trouble(None)
        bench.renew()
        assert bench.run(bench.provider.query(agent_id)) is not None

    def test_errors_say_what_to_do_and_hold_no_secret(self, bench: Bench) -> None:
        bench.trouble(Trouble.REFUSED)
        outcome = join(bench, "one")
        assert isinstance(outcome, Declined)
        assert outcome.detail
        with pytest.raises(ServiceError) as caught:
            bench.run(bench.provider.live_agents())
        assert caught.value.hint
        assert KEY_VALUE not in f"{outcome} {caught.value.message} {caught.value.hint}"


def order(
    bench: Bench, name: str, *, channel: str = "lobby", uid: str = "1001", ttl: float = 3600
) -> JoinOrder:
    """A join that the service takes."""
    return JoinOrder(name, channel, uid, Body(bench.properties()), ttl)


def join(bench: Bench, name: str, *, channel: str = "lobby", uid: str = "1001") -> JoinOutcome:
    """Prepare and send a join."""
    prepared = bench.run(bench.provider.prepare_join(order(bench, name, channel=channel, uid=uid)))
    return bench.run(bench.provider.join(prepared))


def joined(bench: Bench, name: str, *, channel: str = "lobby", uid: str = "1001") -> str:
    """The id of an agent that has been joined and has arrived."""
    outcome = join(bench, name, channel=channel, uid=uid)
    assert isinstance(outcome, Joined), outcome
    bench.wait(1)
    return outcome.agent_id


def update(bench: Bench, agent_id: str, values: Mapping[Path, Tree]) -> object:
    """Prepare and send an update."""
    steps = bench.provider.prepare_update(UpdateOrder(agent_id, "lobby", "1001", values, 3600.0))
    return bench.run(bench.provider.update(bench.run(steps)))
