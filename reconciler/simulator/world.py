"""The service's rules about agents: starting, leaving, updating, speaking; names, conflicts, quota and ends.

A `World` is one store at one time. It knows nothing of URLs, headers or JSON replies. Where the documents leave
something open, a switch decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from reconciler.simulator.agent import RTC_ERROR, Agent, End, Status, agent_id, first_end, rescheduled
from reconciler.simulator.auth import Credentials, InvalidToken, bind, decode, verify
from reconciler.simulator.bodies import check_join, dump, fold, uses_mllm
from reconciler.simulator.contract import Strictness
from reconciler.simulator.history import Note
from reconciler.simulator.messages import ErrorReason, RefusedCall
from reconciler.simulator.store import Store
from reconciler.simulator.switches import Switches


class Project(NamedTuple):
    """One of the two services (`area`) and one project of it: a global and a CN project differ even with one App ID."""

    area: str
    app_id: str

    @property
    def project(self) -> str:
        """The key under which the project's agents are stored."""
        return self.app_id if self.area == "global" else f"{self.area}/{self.app_id}"


@dataclass(frozen=True, slots=True)
class World:
    """The service's rules over one store at one time, in epoch seconds of the world's clock."""

    store: Store
    now: float
    switches: Switches
    credentials: Credentials

    # --- join

    def join(self, place: Project, body: Mapping[str, Any], raw: bytes) -> Agent:
        """Start an agent from a body that keeps to the contract; `raw` is that body's bytes."""
        if self.switches.area not in {"any", place.area}:
            detail = "allocate failed, please check if the appid is valid"  # v2 API reference: base URLs, wrong region
            raise RefusedCall(400, ErrorReason.RESOURCE_ALLOCATION_FAILED, detail)
        properties = body["properties"]
        self._refuse_conflicts(place.project, body["name"], properties)
        if self.store.is_full(place.project, self.now, self.switches.quota):
            raise self._over_quota()
        agent = self._start(place, body["name"], properties, raw)
        self.store.add(agent)
        return agent

    def _over_quota(self) -> RefusedCall:
        # the reference has the same message for both reasons (v2 API reference: errors and limits)
        detail = "Too many concurrent requests, exceeding the quota limit"
        if self.switches.quota_status == 429:
            return RefusedCall(429, ErrorReason.CONCURRENCY_LIMIT_EXCEEDED, detail)
        return RefusedCall(422, ErrorReason.RESOURCE_QUOTA_LIMIT_EXCEEDED, detail)

    def _refuse_conflicts(self, project: str, name: str, properties: Mapping[str, Any]) -> None:
        for other in self.store.named(project, name):
            if self._holds_name(other, properties["channel"]):
                raise self._conflict(other)
        if self.switches.uid_conflict == "accepted" or properties["agent_rtc_uid"] == "0":
            return
        for other in self.store.with_uid(
            project, properties["channel"], properties["agent_rtc_uid"], self.now
        ):
            if self.switches.uid_conflict == "refused":
                raise self._conflict(other)
            self.doom(other, End(self.now, Status.FAILED, RTC_ERROR))

    def _holds_name(self, other: Agent, channel: str) -> bool:
        if self.switches.name_scope == "channel" and other.channel != channel:
            return False
        match self.switches.name_reuse:
            case "immediately":
                return other.live_at(self.now)
            case "after_seconds":
                return self.now < other.end.at + self.switches.name_reuse_seconds
            case "never":
                return True

    def _conflict(self, other: Agent) -> RefusedCall:
        told = {"none": {}, "agent_id": {"agent_id": other.agent_id}, "task_id": {"taskId": other.agent_id}}
        detail = "create agent failed, code: 409, msg: task conflict"
        return RefusedCall(409, ErrorReason.TASK_CONFLICT, detail, extra=told[self.switches.conflict_body])

    def _start(self, place: Project, name: str, properties: Mapping[str, Any], raw: bytes) -> Agent:
        switches, number = self.switches, self.store.take_number()
        running_at = self.now + switches.start_seconds
        idle_timeout = properties.get("idle_timeout", 30)
        idles = switches.idle_before_first_join == "runs" and idle_timeout > 0
        idle_at = running_at + idle_timeout if idles else None
        doom = None
        if switches.start_seconds > switches.connecting_timeout_seconds:
            doom = End(
                self.now + switches.connecting_timeout_seconds, Status.FAILED, "Connecting for too long"
            )
        try:
            token_until = self._token_until(place.app_id, properties)
        except InvalidToken as error:
            self._refuse_token(error)
            # the join is accepted, and GET says RUNNING, until the agent has failed to enter its channel
            token_until, doom = None, self._shut_out(place.area)
        lifetime_until = self.now + switches.lifetime_seconds
        return Agent(
            number=number,
            agent_id=agent_id(self.store.seed, number),
            project=place.project,
            name=name,
            channel=properties["channel"],
            uid=properties["agent_rtc_uid"],
            created_at=self.now,
            running_at=running_at,
            lifetime_until=lifetime_until,
            end=first_end(lifetime_until, token_until, idle_at, doom),
            body=raw,
            token_until=token_until,
            idle_at=idle_at,
            doom=doom,
        )

    def _shut_out(self, area: str) -> End:
        at = self.now + self.switches.rtc_token_seconds
        failure = self.switches.rtc_failure
        if (area if failure == "area" else failure) == "cn":
            return End(at, Status.STOPPED, "RTC connection failed")
        return End(at, Status.FAILED, RTC_ERROR)

    def _token_until(self, app_id: str, properties: Mapping[str, Any]) -> float | None:
        """Return when the RTC token ends the agent, or None. Raises `InvalidToken` for a token that is not valid."""
        text, certificate = properties.get("token", ""), self.credentials.app_certificate
        if self.switches.rtc_token == "ignored" or (certificate is None and not text.startswith("007")):
            return None  # a project without a certificate accepts any token, also none
        needs_rtm = properties.get("advanced_features", {}).get("enable_rtm") is True
        until = self._checked_token(
            app_id, text, properties["channel"], properties["agent_rtc_uid"], needs_rtm=needs_rtm
        )
        avatar = properties.get("avatar", {})
        params = avatar.get("params", {})
        if avatar.get("enable") is True and "agora_uid" in params:
            # The avatar is a separate user of the channel, with its own token (pages models/avatar).
            text = params.get("agora_token", "")
            other = self._checked_token(
                app_id, text, properties["channel"], params["agora_uid"], needs_rtm=False
            )
            until = min(until, other)
        return float(until) if self.switches.token_expiry == "fails" else None

    def _checked_token(self, app_id: str, text: str, channel: str, uid: str, *, needs_rtm: bool) -> int:
        token, tolerance = decode(text), self.switches.clock_tolerance_seconds
        certificate = self.credentials.app_certificate
        verify(token, app_id=app_id, certificate=certificate, now=self.now, tolerance=tolerance)
        bind(token, channel=channel, uid=uid, needs_rtm=needs_rtm)
        return token.usable_until

    def _refuse_token(self, error: InvalidToken) -> None:
        if self.switches.rtc_token == "refused":
            raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, f"properties.token: {error}") from None

    # --- one agent

    def present(self, place: Project, agent_id: str) -> Agent:
        """Return the agent if it lives, else raise 404 (v2 API reference: errors, 'not found or has exited')."""
        agent = self.store.find(place.project, agent_id)
        if agent is None or not agent.live_at(self.now):
            raise self.not_found()
        return agent

    def remembered(self, place: Project, agent_id: str) -> Agent:
        """Return the agent, live or ended, while it can be queried, else raise 404."""
        agent = self.store.find(place.project, agent_id)
        if agent is None:
            raise self.not_found()
        ended = not agent.live_at(self.now)
        if ended and (
            self.switches.get_exited == "404" or agent.end.at + self.switches.retention_seconds <= self.now
        ):
            raise self.not_found()
        return agent

    @staticmethod
    def not_found() -> RefusedCall:
        """Return the refusal for an agent that does not exist."""
        return RefusedCall(404, ErrorReason.TASK_NOT_FOUND, "task not found")

    def leave(self, place: Project, agent_id: str) -> None:
        """End an agent: it is STOPPING at once (or IDLE during its farewell) and STOPPED later (since v2.3)."""
        agent = self.store.find(place.project, agent_id)
        if agent is None or not agent.live_at(self.now):
            if self.switches.leave_unknown == "404":
                raise self.not_found()
            return
        if agent.left_at is not None:
            match self.switches.leave_stopping:
                case "200":
                    return
                case "404":
                    raise self.not_found()
                case "409":
                    raise RefusedCall(409, ErrorReason.TASK_CONFLICT, "the task is stopping")
        stopping_at = self.now + self._farewell(agent)
        end = End(stopping_at + self.switches.stop_seconds, Status.STOPPED, "OK")
        self.store.put(replace(agent, left_at=self.now, stopping_at=stopping_at, end=min(agent.end, end)))

    def _farewell(self, agent: Agent) -> float:
        if b"graceful_enabled" not in agent.body:
            return 0.0
        config = agent.properties.get("parameters", {}).get("farewell_config", {})
        if config.get("graceful_enabled") is not True:
            return 0.0
        longest: float = config.get("graceful_timeout_seconds", 30)
        return min(longest, self.switches.farewell_seconds)

    def update(self, place: Project, agent_id: str, patch: Mapping[str, Any]) -> Agent:
        """Change a live agent and return its new version; `patch` keeps to the contract."""
        agent = self.present(place, agent_id)
        if self.switches.update_outside_running == "refused":
            if agent.left_at is not None:
                raise self.not_found()
            if agent.status_at(self.now) is Status.STARTING:
                raise RefusedCall(409, ErrorReason.TASK_CONFLICT, "the task is starting")
        wanted = patch.get("properties", {})
        body = orjson.loads(agent.body)
        fold(body["properties"], wanted, place.area, self.switches)
        if self.switches.update_unknown_keys == "apply":
            self._refuse_ruin(place.area, body)
        agent = replace(agent, body=dump(body))
        if "token" in wanted:
            agent = self._renewed(place, agent, body["properties"])
        self.store.put(agent, rewritten=True)
        self.store.history.note(agent_id, Note(self.now, "update", dump(patch)))
        return agent

    def _refuse_ruin(self, area: str, body: Mapping[str, Any]) -> None:
        problem = check_join(body, Strictness(area, refuse_unknown_fields=False, refuse_unknown_enums=False))
        if problem is not None:
            raise RefusedCall(400, problem.reason, str(problem))

    def _renewed(self, place: Project, agent: Agent, properties: Mapping[str, Any]) -> Agent:
        try:
            token_until = self._token_until(place.app_id, properties)
        except InvalidToken as error:
            self._refuse_token(error)
            return agent  # an invalid token renews nothing: the old one expires
        renewed = rescheduled(replace(agent, token_until=token_until))
        return renewed if agent.left_at is None else replace(renewed, end=min(agent.end, renewed.end))

    def say(self, place: Project, agent_id: str, kind: str, body: Mapping[str, Any]) -> Agent:
        """Note what was sent to an agent by speak, think or interrupt."""
        agent = self.present(place, agent_id)
        if kind == "speak" and uses_mllm(agent.properties):
            raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, "speak is not available with mllm")
        self.store.history.note(agent_id, Note(self.now, kind, dump(body)))
        return agent

    # --- changes of agents that no call of the API makes: ends, shown states, users who leave or join

    def doom(self, agent: Agent, end: End) -> None:
        """Set an end for a live agent, unless it ends sooner."""
        self.store.put(replace(agent, doom=end, end=min(agent.end, end)))

    def show(self, agent: Agent, status: Status | None) -> None:
        """Make a live agent show another status, such as RECOVERING; None shows its own again."""
        self.store.put(replace(agent, shown=status))

    def users_left(self, channel: str) -> None:
        """Note that all users left a channel: its agents' idle clocks start (v2 API reference: lifecycle, idle)."""
        for agent in self.store.in_channel(channel, self.now):
            timeout = agent.properties.get("idle_timeout", 30)
            idle_at = self.now + timeout if timeout > 0 else None
            self.store.put(self._sooner(rescheduled(replace(agent, idle_at=idle_at)), agent))

    def users_joined(self, channel: str) -> None:
        """Note that a user is in a channel: its agents are not idle."""
        for agent in self.store.in_channel(channel, self.now):
            self.store.put(self._sooner(rescheduled(replace(agent, idle_at=None)), agent))

    @staticmethod
    def _sooner(agent: Agent, before: Agent) -> Agent:
        return agent if agent.left_at is None else replace(agent, end=min(agent.end, before.end))
