"""The models of the replies to the verbs of one conversation. Imported by these verbs only: a plan needs no model."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from reconciler.model.observed import AGENT_ID
from reconciler.providers.agora.replies import TOO_LATE

AgentId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
Stamp = Annotated[int | float, Field(ge=0, lt=TOO_LATE, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Reply(BaseModel):
    """The base of every reply's model: no coercion, unknown keys pass."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)


class HeardReply(Reply):
    """The service has accepted a verb."""

    agent_id: AgentId
    channel: str = ""
    start_ts: Stamp = 0


class UtteranceReply(Reply):
    """One thing that was said."""

    role: str
    content: str
    speech_start_ms: Stamp | None = None
    speech_end_ms: Stamp | None = None
    turn_id: Stamp | None = None


class HistoryReply(Reply):
    """What was said to and by an agent."""

    agent_id: AgentId
    start_ts: Stamp = 0
    status: str = ""
    contents: list[UtteranceReply] | None = None


class BeginReply(Reply):
    """How and when a turn began."""

    type: str | None = None
    start_at: Stamp | None = None


class EndReply(Reply):
    """How and when a turn ended."""

    type: str | None = None
    end_at: Stamp | None = None


class MetricsReply(Reply):
    """How long a turn took."""

    e2e_latency_ms: Stamp | None = None


class TurnReply(Reply):
    """One turn of a session."""

    turn_id: Stamp
    start: BeginReply | None = None
    end: EndReply | None = None
    metrics: MetricsReply | None = None


class PaginationReply(Reply):
    """Which page this is."""

    page_index: Count
    is_last_page: bool


class TurnsReply(Reply):
    """One page of the turns of a session."""

    agent_id: AgentId
    name: str | None = None
    channel: str | None = None
    total_turn_count: Count = 0
    pagination: PaginationReply
    turns: list[TurnReply] | None = None
