"""The state as an apply sees and writes it: an intent before each call, the outcome after it.

The view here and the store's bytes change together: a write is folded in only after it is durable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.fingerprint import keyed_digest
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.writes import Append, DropIntent, PutGeneration, PutIntent, PutRecord, StateView, Write
from reconciler.plan.intents import is_superseded
from reconciler.ports import Commit, Now, Steps
from reconciler.secrets import Secret, SecretRef


class Journal:
    """The state of one run. Every method that writes returns only when the write is durable."""

    def __init__(self, view: StateView, skew: Callable[[], float | None] = lambda: None) -> None:
        self.view = view
        self._skew = skew
        self._lost: StateError | StateLocked | None = None
        self._channels: dict[str, set[Address]] = defaultdict(set)
        for address in view.records:
            self._channels[address.channel].add(address)

    def now(self) -> Steps[float]:
        """The service's time, as well as it is known: machines whose clocks differ read each other's notes."""
        here: float = yield Now()
        return here + (self._skew() or 0.0)

    def write(self, *writes: Write) -> Steps[None]:
        """Make writes durable, then true here. Raises `StateError` or `StateLocked`: then nothing may follow.

        Nor does it: a disk that has failed once is not believed again by this run, whichever task asks.
        """
        if not writes:
            return
        if self._lost is not None:
            raise self._lost
        try:
            yield Commit(writes)
        except (StateError, StateLocked) as problem:
            self._lost = problem
            raise
        self.view.absorb(writes)
        for each in writes:
            if isinstance(each, PutRecord):
                self._channels[each.record.address.channel].add(each.record.address)

    def record(self, address: Address) -> Record | None:
        return self.view.records.get(address)

    def neighbours(self, address: Address) -> list[Record]:
        """The other records of an address's channel, in the order of their addresses."""
        records = self.view.records
        return [
            records[each]
            for each in sorted(self._channels[address.channel])
            if each in records and each != address
        ]

    def uid_of(self, agent_id: str, address: Address) -> str:
        """The uid of an agent that an address has, or has had until a moment ago; empty where it is not known."""
        known = (self.view.records.get(address), *self.view.intents.values())
        return next(
            (each.uid for each in known if each is not None and each.agent_id == agent_id and each.uid), ""
        )

    def join_intent(self, address: Address) -> Intent | None:
        """The open join of an address, if an earlier run left one."""
        return next(
            (
                each
                for each in self.view.intents.values()
                if each.operation is Operation.JOIN and each.address == address
            ),
            None,
        )

    def late_copy(self, address: Address) -> Intent | None:
        """The late-copy note of an address, the one of the highest generation; None where there is none."""
        notes = (each for each in self.view.intents.values() if each.operation is Operation.LATE_COPY)
        return max(
            (each for each in notes if each.address == address),
            key=lambda each: each.generation,
            default=None,
        )

    def is_superseded(self, intent: Intent) -> bool:
        """Whether an intent is a late-copy note of a name that has had a successor: it is not sent again."""
        return intent.operation is Operation.LATE_COPY and is_superseded(intent, self.view.generations)

    def next_generation(self, address: Address, seen: int = 0) -> int:
        """One more than any generation that this address is known to have used."""
        record = self.view.records.get(address)
        used = (self.view.generations.get(address, 0), record.generation if record else 0, seen)
        return max(used) + 1

    def intend(self, intent: Intent, *others: Write) -> Steps[None]:
        """Write the intent of a call before it is made, with other writes of that moment; a join also claims its generation."""
        claims: tuple[Write, ...] = ()
        if intent.operation is Operation.JOIN:
            claims = (PutGeneration(intent.address, intent.generation),)
        yield from self._announce(PutIntent(intent), *claims, *others)

    def repeat(self, intent: Intent) -> Steps[Intent]:
        """Note that a call is made once more: a writer whose state another has moved on learns of it here.

        Until it is answered, it may be executed late.
        """
        now = yield from self.now()
        repeated = replace(intent, attempt=intent.attempt + 1, unknown_since=now, sent_at=now)
        yield from self._announce(PutIntent(repeated))
        return repeated

    def _announce(self, *writes: Write) -> Steps[None]:
        """Make the writes durable that come before a call. Raises as `write` does, also for the failure of another task.

        Commits of several tasks are under way together: this one may have been made while another one failed, and then
        the call that it announces must not be sent.
        """
        yield from self.write(*writes)
        if self._lost is not None:
            raise self._lost

    def mark_unknown(self, intent: Intent) -> Steps[Intent]:
        """Note that nobody has answered a call: from now on it may be executed late."""
        now = yield from self.now()
        marked = replace(intent, unknown_since=now, sent_at=now)
        yield from self.write(PutIntent(marked))
        return marked

    def conclude(
        self,
        intent: Intent,
        *outcome: Write,
        change: str,
        result: str,
        agent_id: str = "",
        detail: str = "",
        now: float | None = None,
    ) -> Steps[None]:
        """Note the outcome of a call: the intent goes, what came of it stays, in one write.

        `now` is given by those who have asked for the time already.
        """
        if now is None:
            now = yield from self.now()
        entry = Entry(now, intent.address, change, result, agent_id, detail)
        yield from self.write(*outcome, DropIntent(intent.key), Append(entry))

    def secret_digests(self, secrets: Mapping[SecretRef, Secret]) -> dict[str, str]:
        """Keyed digests of the values that went out, by reference; none without a key: they could be guessed."""
        key = self.view.secret_key
        if not key:
            return {}
        return {ref.text: keyed_digest(key, value.reveal()) for ref, value in sorted(secrets.items())}
