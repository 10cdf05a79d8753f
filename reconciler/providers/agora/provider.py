"""The implementation of `ports.Provider` for Agora: the verbs of a fleet, and those of one conversation.

Mutating calls are never retried here, reads always are; see `call_sender`. One instance serves one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.contract.agora.avatar import TOKEN_LIFE, avatar_uid, session_params
from reconciler.diagnostics import Problem
from reconciler.errors import IncompleteRead
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ListedAgent, ObservedAgent
from reconciler.model.transcript import History, Turns
from reconciler.model.tree import references_in
from reconciler.ports import (
    JoinOrder,
    JoinOutcome,
    LeaveOutcome,
    Pace,
    Passed,
    Prepared,
    Steps,
    UpdateOrder,
    UpdateOutcome,
)
from reconciler.providers.agora import checks, conversation, errors, replies, wire
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.client import AgoraClient
from reconciler.providers.agora.list_questions import ENDED, LIVE
from reconciler.providers.agora.listing import Lister
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.secrets import Secret

# The most ended agents of one channel that are queried to find a name.
MOST_ENDED = 50


class AgoraProvider:
    """The provider for one App ID on one service, in one run."""

    __slots__ = ("_able", "_client", "_lister")

    def __init__(self, settings: AgoraSettings, limits: CallLimits | None = None) -> None:
        self._client = AgoraClient(settings, limits)
        self._lister = Lister(self._client)
        self._able = wire.capabilities(mainland_china=settings.is_mainland_china)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this service (fewer in mainland China)."""
        return self._able

    @property
    def clock_skew(self) -> float | None:
        """The seconds that the service's clock is ahead of ours; None before the first reply with a date."""
        return self._client.clock.skew

    @property
    def clock_warning(self) -> str | None:
        """A warning about this machine's clock, or None."""
        return self._client.clock.warning

    @property
    def host(self) -> str:
        """The host of the service."""
        return self._client.settings.host

    @property
    def retries(self) -> int:
        """The number of reads that were sent again so far."""
        return self._client.pressure.retries

    @property
    def credentials_warning(self) -> str | None:
        """A warning about credentials that were refused while others were accepted, or None."""
        return self._client.credentials_warning

    def mask(self, secrets: Iterable[Secret]) -> None:
        """Mask these secrets too in what the service says; they are read only when there is such a text."""
        self._client.mask(secrets)

    def check(self) -> Steps[tuple[Problem | Passed, ...]]:
        """See `ports.Checker`."""
        return checks.checks(self._client)

    @property
    def pace(self) -> Pace:
        """The pace that this run has reached."""
        return self._client.pressure.pace

    def start_at(self, pace: Pace) -> None:
        """Begin with another pace: that of an earlier run, or one that the user asks for."""
        self._client.pressure.start_at(pace)

    # --- reading --------------------------------------------------------------------------------------------

    def live_agents(
        self, *, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        """Return all agents that have not ended, oldest first: a complete list, or an error (see `ports.Observer`)."""
        listed = yield from self._lister.agents(LIVE, channel, parallelism)
        return tuple(agent for agent in listed if not agent.status.is_terminal)

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        """Return one agent by id; None when the service says that there is none."""
        request = yield from self._client.request("GET", self._client.agent_path(agent_id), agent_id=agent_id)
        return (
            yield from self._client.read(
                f"asking for agent {agent_id}",
                request,
                lambda body, now: replies.agent(body, agent_id, now, self._client.known_secrets),
            )
        )

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        """Return whether one of the channel's last ended agents had a name; False if that cannot be found out.

        The list gives no names (v2 API reference: list), so the newest ended agents are queried, up to a bound.
        """
        try:
            ended = yield from self._lister.agents(ENDED, channel)
        except IncompleteRead:
            return False
        for row in reversed(ended[-MOST_ENDED:]):
            agent = yield from self.query(row.agent_id)
            if agent is not None and agent.name == name and agent.status.is_terminal:
                return True
        return False

    # --- changing -------------------------------------------------------------------------------------------

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]:
        """Resolve the secrets of a join and mint its token; nothing is sent.

        Raises `SecretUnavailable` for a secret or the certificate, `UsageError` for an order that no service would
        accept, `ServiceError` when this machine's clock differs too much to mint a token.
        """
        values = yield from self._client.resolve(order.body.references)
        token, expires_at = yield from self._client.mint(
            order.channel, order.uid, order.token_ttl, rtm=wire.wants_rtm(order)
        )
        avatar = yield from self._avatar(order)
        body = wire.join_body(order, token, values, avatar)
        request = yield from self._client.request("POST", "join", body=body, seat=(order.channel, order.uid))
        return Prepared(request, values, expires_at)

    def _avatar(self, order: JoinOrder) -> Steps[Mapping[str, wire.Filled]]:
        """Return the parameters that an avatar needs and the files leave out, above all a token for its own uid.

        That token cannot be renewed (v2 API reference: update), so it gets the longest life that the service allows.
        """
        uid = avatar_uid(order.body.properties)
        if uid is None:
            return {}
        token, _ = yield from self._client.mint(order.channel, uid, TOKEN_LIFE, rtm=False)
        app_id = self._client.settings.app_id
        return session_params(order.body.properties, app_id, order.channel, token)

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]:
        """Send a join once. Without a certain answer it is `Unknown`: the service may start the agent later."""
        result = yield from self._client.once(prepared.request)
        return errors.join_outcome(
            result, (yield from self._client.now()), self._client.secrets(prepared.request)
        )

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]:
        """Resolve an update's secrets and mint its token if it sends one; raises as `prepare_join` does."""
        path = self._client.agent_path(order.agent_id, "update")
        self._client.remember(order.agent_id, order.channel, order.uid)
        values = yield from self._client.resolve(references_in(*order.values.values()))
        token: Secret | None = None
        expires_at: float | None = None
        if order.token_ttl is not None:
            minted, expires_at = yield from self._client.mint(
                order.channel, order.uid, order.token_ttl, rtm=order.rtm
            )
            token = (
                minted if isinstance(minted, Secret) else None
            )  # a project without tokens has none to renew
        body = wire.update_body(order, self._able, token, values)
        request = yield from self._client.request("POST", path, body=body, seat=(order.channel, order.uid))
        return Prepared(request, values, expires_at)

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]:
        """Send an update once; sending it again is harmless, since every value in it is complete."""
        result = yield from self._client.once(prepared.request)
        agent_id = prepared.request.url.split("/")[-2]
        return errors.update_outcome(result, agent_id, self._client.secrets(prepared.request))

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]:
        """Ask an agent to leave, once. `Done` means accepted: it stops later (v2 API reference: lifecycle)."""
        path = self._client.agent_path(agent_id, "leave")
        request = yield from self._client.request("POST", path, agent_id=agent_id)
        result = yield from self._client.once(request)
        return errors.leave_outcome(result, self._client.secrets(request))

    # --- talking --------------------------------------------------------------------------------------------

    def speak(
        self,
        agent_id: str,
        text: str,
        *,
        priority: str | None = None,
        interruptable: bool | None = None,
    ) -> Steps[conversation.Heard]:
        """Make an agent say a text of at most 512 bytes; `priority` is one of `conversation.Priority`."""
        urgency = conversation.Priority(priority) if priority is not None else None
        return conversation.speak(self._client, agent_id, text, priority=urgency, interruptable=interruptable)

    def interrupt(self, agent_id: str) -> Steps[conversation.Heard]:
        """Stop an agent's present speech or thought."""
        return conversation.interrupt(self._client, agent_id)

    def think(
        self,
        agent_id: str,
        text: str,
        *,
        on: conversation.Reactions | None = None,
        interruptable: bool | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Steps[conversation.Heard]:
        """Give a text to an agent's model as if a user had said it; see `conversation.think`."""
        return conversation.think(
            self._client, agent_id, text, on=on, interruptable=interruptable, metadata=metadata
        )

    def history(self, agent_id: str) -> Steps[History | None]:
        """Return what was said so far to and by a running agent; None when there is no such agent."""
        return conversation.history(self._client, agent_id)

    def turns(self, agent_id: str, *, page_size: int = 50) -> Steps[Turns | None]:
        """Return every turn of a session of the last 7 days; None when there is no such agent."""
        return conversation.turns(self._client, agent_id, page_size)

    def seat(self, agent_id: str, channel: str, uid: str) -> None:
        """Note an agent's channel and uid, so that calls on it can have a token for them."""
        self._client.remember(agent_id, channel, uid)
