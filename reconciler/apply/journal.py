"""The state as an apply sees and writes it: an intent before each call, its outcome after it.

The view here follows the store: a write changes the view only after the store has made it durable.
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
        # The digests of the secrets that this run has sent: most agents get the same few.
        self._digests: dict[Secret, str] = {}
        # The addresses with a record, and the keys of intents, by channel; a key stays here after its intent is closed.
        self._recorded: dict[str, set[Address]] = defaultdict(set)
        self._open: dict[str, set[str]] = defaultdict(set)
        # The address of every agent that has a record, or had or is about to get one in this run.
        self._holders = {each.agent_id: address for address, each in view.records.items()}
        for address in view.records:
            self._recorded[address.channel].add(address)
        for intent in view.intents.values():
            self._open[intent.address.channel].add(intent.key)

    def now(self) -> Steps[float]:
        """Return the service's time as far as it is known: machines with other clocks read the times in the state."""
        here: float = yield Now()
        return here + (self._skew() or 0.0)

    def write(self, *writes: Write) -> Steps[None]:
        """Make writes durable, then apply them to the view. Raises `StateError` or `StateLocked`.

        After one failure all later calls raise it too, in every task: a store that failed is not trusted again by this
        run.
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
        # Only after the commit, so that the view never holds what the store may not have.
        self.view.absorb(writes)
        for each in writes:
            if isinstance(each, PutRecord):
                self._recorded[each.record.address.channel].add(each.record.address)
            elif isinstance(each, PutIntent):
                self._open[each.intent.address.channel].add(each.intent.key)

    def record(self, address: Address) -> Record | None:
        return self.view.records.get(address)

    def holder(self, agent_id: str, address: Address) -> Address:
        """Return the address whose agent this is; if it is nobody's yet, it is this address's from now on."""
        return self._holders.setdefault(agent_id, address)

    def neighbours(self, address: Address) -> list[Record]:
        """Return the other records in an address's channel, in the order of their addresses."""
        records = self.view.records
        return [
            records[each]
            for each in sorted(self._recorded[address.channel])
            if each in records and each != address
        ]

    def uid_of(self, agent_id: str, address: Address) -> str:
        """Return the uid of an agent from the address's record or an intent; an empty text if none knows it."""
        known = (self.view.records.get(address), *self.view.intents.values())
        return next(
            (each.uid for each in known if each is not None and each.agent_id == agent_id and each.uid), ""
        )

    def open_in(self, channel: str) -> list[Intent]:
        """Return the open intents at the addresses of a channel, in the order of their keys."""
        intents = (self.view.intents.get(key) for key in sorted(self._open.get(channel, ())))
        return [each for each in intents if each is not None and each.address.channel == channel]

    def join_intent(self, address: Address) -> Intent | None:
        """Return the open join that an earlier run left at an address, or None."""
        joins = (each for each in self.open_in(address.channel) if each.operation is Operation.JOIN)
        return next((each for each in joins if each.address == address), None)

    def late_copy(self, address: Address) -> Intent | None:
        """Return the late-copy note of the highest generation at an address, or None."""
        notes = (each for each in self.open_in(address.channel) if each.operation is Operation.LATE_COPY)
        return max(
            (each for each in notes if each.address == address),
            key=lambda each: each.generation,
            default=None,
        )

    def is_superseded(self, intent: Intent) -> bool:
        """Return whether an intent is a late-copy note whose name has had a successor: it is not sent again."""
        return intent.operation is Operation.LATE_COPY and is_superseded(intent, self.view.generations)

    def next_generation(self, address: Address, seen: int = 0) -> int:
        """Return one more than the highest generation used at an address, as far as the state and `seen` say."""
        record = self.view.records.get(address)
        used = (self.view.generations.get(address, 0), record.generation if record else 0, seen)
        return max(used) + 1

    def intend(self, intent: Intent, *others: Write) -> Steps[None]:
        """Make a call's intent, and `others`, durable before it is sent; it also claims a join's generation."""
        claims: tuple[Write, ...] = ()
        if intent.operation is Operation.JOIN:
            # The generation is durable before the call: a name that was sent once is never used for another agent.
            claims = (PutGeneration(intent.address, intent.generation),)
        yield from self._announce(PutIntent(intent), *claims, *others)

    def repeat(self, intent: Intent) -> Steps[Intent]:
        """Note durably, before a call is sent again, that there is one more attempt; return the new intent.

        Until this attempt is answered, it may be executed late. The write fails if another process has written the
        state.
        """
        now = yield from self.now()
        repeated = replace(intent, attempt=intent.attempt + 1, unknown_since=now, sent_at=now)
        yield from self._announce(PutIntent(repeated))
        return repeated

    def _announce(self, *writes: Write) -> Steps[None]:
        """Make the writes durable that must precede a call. Raises as `write` does, also for a failure in another task.

        Commits of several tasks run at once: this one may succeed while another fails, and then its call must not be
        sent.
        """
        yield from self.write(*writes)
        if self._lost is not None:
            raise self._lost

    def mark_unknown(self, intent: Intent) -> Steps[Intent]:
        """Note durably that a call got no answer, so that it may be executed late; return the new intent."""
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
        """Write the outcome of a call and drop its intent, in one commit.

        `now` saves a reading of the clock, for a caller that has the time already.
        """
        if now is None:
            now = yield from self.now()
        entry = Entry(now, intent.address, change, result, agent_id, detail)
        yield from self.write(*outcome, DropIntent(intent.key), Append(entry))

    def secret_digests(self, secrets: Mapping[SecretRef, Secret]) -> dict[str, str]:
        """Return keyed digests of the sent secrets by reference; none without a key, since they could be guessed."""
        key = self.view.secret_key
        if not key:
            return {}
        for value in secrets.values():
            if value not in self._digests:
                self._digests[value] = keyed_digest(key, value.reveal())
        return {ref.text: self._digests[value] for ref, value in sorted(secrets.items())}
