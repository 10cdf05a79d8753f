"""Named switches with defaults, for every behaviour of the service that its documentation leaves open.

A default is what others have seen of the live service, else what the documents say, else what is most probable. The
value `area` means the documented difference between the global service and mainland China. The behaviours themselves
are in the modules that read the switches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints


class SwitchError(ValueError):
    """A switch that does not exist, or a value that it does not accept; the message says what is accepted."""


class AtLeast(NamedTuple):
    """The lower bound of a number."""

    minimum: float


Seconds = Annotated[float, AtLeast(0)]
ByArea = Literal["area", "on", "off"]


@dataclass(frozen=True, slots=True)
class Switches:
    """One setting of all switches. Numbers of seconds are seconds of the world's clock."""

    # --- where
    area: Annotated[
        Literal["any", "global", "cn"],
        "Which base paths are served: a join at the other one answers 400 `allocate failed`.",
    ] = "any"

    # --- names and conflicts
    name_scope: Annotated[
        Literal["project", "channel"],
        "Where a name is unique: three documents, three statements (v2 API reference: contradiction 1).",
    ] = "project"
    name_reuse: Annotated[
        Literal["immediately", "after_seconds", "never"],
        "When an ended agent's name may be used again: 'cannot be used repeatedly' (reliability: C2).",
    ] = "immediately"
    name_reuse_seconds: Annotated[Seconds, "The wait of name_reuse=after_seconds."] = 60.0
    conflict_body: Annotated[
        Literal["none", "agent_id", "task_id"],
        "What a 409 tells of the agent that holds the name, beside detail and reason (reliability: C3).",
    ] = "none"
    uid_conflict: Annotated[
        Literal["accepted", "refused", "kicks"],
        "A join with a live agent's channel and uid: accepted, 409, or the older one loses its connection.",
    ] = "accepted"

    # --- quota and rate
    quota: Annotated[
        int, AtLeast(0), "Concurrent agents per App ID (v2 API reference: limits, 20 by default)."
    ] = 20
    quota_status: Annotated[
        Literal[422, 429],
        "Beyond the quota: 422 ResourceQuotaLimitExceeded (seen live), or 429 ConcurrencyLimitExceeded.",
    ] = 422
    requests_per_second: Annotated[
        float, AtLeast(0), "Requests a second before 429; 0 is no limit (C12)."
    ] = 0.0
    retry_after: Annotated[
        Literal["none", "seconds", "date"], "The form of Retry-After on a 429 of the rate limit (C8)."
    ] = "none"

    # --- the list
    list_lag_seconds: Annotated[Seconds, "How old the world is that the list shows (C4)."] = 0.0
    list_state_comma: Annotated[
        Literal["area", "accepted", "refused"], "Whether state takes a comma list: global yes, CN no (C5)."
    ] = "area"
    list_state5: Annotated[Literal["accepted", "refused"], "Whether the filter knows RECOVERING, 5 (C5)."] = (
        "accepted"
    )
    list_limit_max: Annotated[int, AtLeast(1), "The largest page (C6: undocumented)."] = 100
    list_limit_over: Annotated[Literal["clamp", "refuse"], "What a larger limit gets."] = "clamp"
    list_total: Annotated[
        Literal["matching", "page", "remaining"], "What meta.total counts: all that match, or less (C6)."
    ] = "matching"
    list_cursor: Annotated[
        Literal["exclusive", "inclusive", "overlapping"],
        "meta.cursor names the last agent shown, the first one to come, or the last one, to be shown again.",
    ] = "exclusive"
    list_last_cursor: Annotated[
        Literal["empty", "absent", "always"],
        "meta.cursor of the last page; always: an empty page ends the list.",
    ] = "empty"
    list_order: Annotated[Literal["newest", "oldest"], "Which agents come first."] = "newest"
    list_window: Annotated[
        Literal["area", "2h", "1d"], "The default from_time: 2 hours ago, in CN 1 day (contradiction 3)."
    ] = "area"
    list_seven_days: Annotated[ByArea, "Whether agents created over 7 days ago are unlisted: in CN."] = "area"
    list_time: Annotated[
        Literal["created", "active"], "What from_time and to_time compare: the creation, or the whole life."
    ] = "created"

    # --- life
    join_status: Annotated[
        Literal["RUNNING", "STARTING", "IDLE"], "The status in the reply to a join (v2 API reference: join)."
    ] = "RUNNING"
    start_seconds: Annotated[Seconds, "From the join to RUNNING."] = 0.3
    stop_seconds: Annotated[Seconds, "From STOPPING to STOPPED: leave is asynchronous since v2.3."] = 0.2
    farewell_seconds: Annotated[Seconds, "How long a graceful farewell is IDLE before STOPPING."] = 1.0
    connecting_timeout_seconds: Annotated[
        Seconds, "A start that takes longer is FAILED with `Connecting for too long`."
    ] = 60.0
    lifetime_seconds: Annotated[
        float, AtLeast(1), "The longest session (v2 API reference: lifecycle, 72 h)."
    ] = 259200.0
    idle_before_first_join: Annotated[
        Literal["waits", "runs"], "Whether the idle clock runs before any user has joined."
    ] = "waits"
    token_expiry: Annotated[
        Literal["fails", "ignored"],
        "A running agent whose RTC token expires: `RTC connection error`, or nothing.",
    ] = "fails"
    rtc_token: Annotated[
        Literal["fails", "refused", "ignored"],
        "properties.token that is empty, invalid or expired: the agent fails (seen live), 400, or nothing.",
    ] = "fails"
    rtc_token_seconds: Annotated[
        Seconds,
        "From the join to the end of an agent whose token is wrong: between 0.7 and 3.1 s (seen live).",
    ] = 2.5
    rtc_failure: Annotated[
        Literal["area", "global", "cn"],
        "A wrong token's end: global FAILED `RTC connection error`, cn STOPPED `RTC connection failed`.",
    ] = "area"
    message_prefix: Annotated[
        Literal["on", "off"], "End messages begin with `agent exits with reason: ` (seen live), or do not."
    ] = "on"

    # --- query
    get_exited: Annotated[Literal["stopped", "404"], "What GET answers for an ended agent (C9)."] = "stopped"
    retention_seconds: Annotated[Seconds, "How long an ended agent can be fetched (C9)."] = 604800.0
    get_returns_name: Annotated[Literal["yes", "no"], "Whether GET tells the name (contradiction 6)."] = "yes"
    live_stop_ts: Annotated[Literal["zero", "absent", "null"], "stop_ts of an agent that lives."] = "zero"
    turns_of_live: Annotated[
        Literal["shown", "404"], "Turns are documented for ended sessions: what a live one gets."
    ] = "shown"

    # --- leave and update
    leave_unknown: Annotated[Literal["404", "200"], "Leaving an agent that has ended or never was (C10)."] = (
        "404"
    )
    leave_stopping: Annotated[Literal["200", "404", "409"], "Leaving an agent that is stopping (C10)."] = (
        "200"
    )
    leave_body: Annotated[Literal["empty", "object"], "The body after a leave (contradiction 5)."] = "empty"
    update_reply: Annotated[
        Literal["area", "status", "state"],
        "The key of the status after an update: state in CN (contradiction 4).",
    ] = "area"
    update_unknown_keys: Annotated[
        Literal["ignore", "400", "apply"], "Keys that no update schema lists, such as tts."
    ] = "ignore"
    mllm_params: Annotated[
        Literal["replace", "merge"], "Whether an update replaces mllm.params or merges into it (not stated)."
    ] = "replace"
    update_outside_running: Annotated[
        Literal["accepted", "refused"],
        "An update while STARTING (409 if refused) or leaving (404 if refused).",
    ] = "accepted"

    # --- checks and errors
    unknown_fields: Annotated[
        Literal["accepted", "refused"], "Fields that the contract does not know (additionalProperties: true)."
    ] = "accepted"
    unknown_enums: Annotated[
        Literal["refused", "accepted"], "Values outside a documented enumeration, vendors excepted."
    ] = "refused"
    strict_vendors: Annotated[
        Literal["off", "on"],
        "A vendor that no page lists: taken with a header `x-simulator-warning`, or 400.",
    ] = "off"
    managed_credentials: Annotated[
        Literal["checked", "unchecked"],
        "credential_mode managed: only the documented vendors, with params.url in asr and tts (seen live).",
    ] = "checked"
    missing_parts: Annotated[
        Literal["400", "500"],
        "A join without llm or tts: 500 `core: edge failed` (seen live), or the documented 400.",
    ] = "500"
    nulls: Annotated[
        Literal["absent", "refused"],
        "A null for a documented field: the SDK's sessions send them for absent ones.",
    ] = "absent"
    reasons: Annotated[
        Literal["area", "current", "legacy"], "A bad body's reason: three since v2.7, InvalidRequest in CN."
    ] = "area"
    unauthorized_body: Annotated[
        Literal["reason", "gateway"], "The body of a 401: detail and reason, or the gateway's message."
    ] = "reason"
    header_token_scope: Annotated[
        Literal["join", "every", "never"], "Where a token header must name the agent's channel and uid."
    ] = "join"
    clock_tolerance_seconds: Annotated[
        Seconds, "How far in the future a token may have been issued (C13)."
    ] = 300.0

    # --- the line
    latency_seconds: Annotated[Seconds, "How long every answer is held back: an outage of kind slow."] = 0.0

    def with_settings(self, settings: Mapping[str, object]) -> Switches:
        """Return a copy with some switches set; values may be text. Raises `SwitchError`."""
        declared = declarations()
        values: dict[str, object] = {}
        for name, value in settings.items():
            if name not in declared:
                raise SwitchError(f"unknown switch {name!r}{_nearest(name, declared)}")
            values[name] = declared[name].parse(value)
        return replace(self, **values)  # type: ignore[arg-type]  # parse() has checked each value

    def as_dict(self) -> dict[str, str | int | float]:
        """Return the values of all switches by name."""
        return asdict(self)


class Declaration(NamedTuple):
    """The name, default, allowed values and meaning of one switch."""

    name: str
    default: str | int | float
    choices: tuple[str | int, ...]
    number: type[int | float] | None
    minimum: float
    meaning: str

    def parse(self, value: object) -> str | int | float:
        """Return `value`, or its text, as this switch's own type. Raises `SwitchError`."""
        if self.number is None:
            for choice in self.choices:
                if str(value) == str(choice):
                    return choice
            raise SwitchError(f"{self.name} takes {', '.join(map(str, self.choices))}, not {value!r}")
        kind = "a whole number" if self.number is int else "a number"
        parsed = _as_number(value, self.number)
        if parsed is None:
            raise SwitchError(f"{self.name} takes {kind}, not {value!r}")
        if not self.minimum <= parsed < float("inf"):
            raise SwitchError(f"{self.name} takes {kind} of at least {self.minimum:g}, not {value!r}")
        return parsed


@cache
def declarations() -> Mapping[str, Declaration]:
    """Return every switch by name, in the order of this file."""
    hints = get_type_hints(Switches, include_extras=True)
    return {field.name: _declare(field.name, field.default, hints[field.name]) for field in fields(Switches)}


def _declare(name: str, default: Any, hint: object) -> Declaration:
    kind, *notes = get_args(hint)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    minimum = next((note.minimum for note in notes if isinstance(note, AtLeast)), 0.0)
    meaning = next(note for note in notes if isinstance(note, str))
    return Declaration(name, default, choices, None if choices else kind, minimum, meaning)


def _as_number(value: object, number: type[int | float]) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, number)):
        return None
    try:
        return number(value)
    except (ValueError, OverflowError):
        return None


def _nearest(name: str, names: Iterable[str]) -> str:
    # difflib is imported only for a mistyped name
    from difflib import get_close_matches

    near = get_close_matches(name.replace("-", "_"), list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
