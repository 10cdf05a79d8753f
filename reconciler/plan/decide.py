"""Decide for one address, from its spec, its record and its agents, the one change that it needs. Pure and total.

This is the table of README, "How it works", as code. It includes the protection of the address itself; what needs the
whole fleet (limits, selections) is in `guard`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from reconciler.model.address import REVISION_VERSION, Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Record
from reconciler.model.spec import UID, AgentSpec, Body, Lifecycle, describe
from reconciler.model.tree import Path, Tree, starts_with, value_at, without
from reconciler.plan.change import (
    Adopt,
    Because,
    Change,
    Forget,
    Hold,
    Join,
    Keep,
    Leave,
    Reason,
    Renew,
    Replace,
    Rotate,
    Target,
    Update,
)
from reconciler.plan.diff import ABSENT, FieldDiff, field_diffs
from reconciler.plan.due import why_renew, why_rotate
from reconciler.plan.facts import Adoptee, Facts
from reconciler.plan.holds import (
    held_if_adoption_refused,
    held_if_backing_off,
    held_if_beside,
    held_if_deferred,
    held_if_protected,
    held_if_uid_taken,
)
from reconciler.plan.join_reasons import why_absent

CHANNEL: Path = ("channel",)


def decide(facts: Facts) -> Change | None:
    """Return the change that one address needs; None when there is neither a spec, nor a record, nor an agent.

    Where the files do not say `protect`, the record's protection stays: deleting the line does not lift it.
    """
    want = facts.want
    if want is not None and want.lifecycle.protect is None:
        remembered = facts.record is not None and facts.record.protect
        lifecycle = _with_protection(want.lifecycle, remembered)
        want = AgentSpec(want.address, want.body, lifecycle, want.previously, want.adopt)
    if want is not None and not want.lifecycle.paused and not facts.destroying:
        return _wanted(facts, want)
    return _unwanted(facts, want)


@lru_cache(64)
def _with_protection(lifecycle: Lifecycle, protect: bool) -> Lifecycle:
    """Return a lifecycle with this protection; cached, because most agents of a fleet have the same lifecycle."""
    return replace(lifecycle, protect=protect)


def renewal_while_held(change: Change, facts: Facts) -> Renew | None:
    """Return the renewal of an agent whose change is held, or None: its token must not run out during a hold."""
    if not isinstance(change, Hold) or isinstance(change.change, Renew):
        return None
    record = facts.record
    running = next((each for each in facts.running if record and each.agent_id == record.agent_id), None)
    if record is None or running is None or facts.found_at is not None:
        return None
    # For a protected agent that the files do not declare, the record is the spec.
    spec = facts.want or AgentSpec(facts.address, record.body, Lifecycle(protect=record.protect))
    reason = why_renew(record, spec.lifecycle, facts.now, facts.horizon)
    if reason is None:
        return None
    reason = Reason(reason.because, f"{reason.text}, and no hold lets it run out")
    target = Target(running, record, record.uid)
    return Renew(facts.address, spec, reason, target, rejoins=not isinstance(change.change, Leave))


def duplicates(facts: Facts) -> tuple[Leave | Hold, ...]:
    """Return the leaves of all agents at an address but the kept one; held if files and state do not have it."""
    leaves = tuple(Leave(facts.address, _DUPLICATE, Target(agent)) for agent in facts.running[1:])
    if facts.want is None and facts.record is None and not facts.destroying:
        return tuple(Hold(each, _NOT_KNOWN) for each in leaves)
    return leaves


_DUPLICATE = Reason(Because.DUPLICATE, "another agent of ours runs at this address")


# --- wanted ---------------------------------------------------------------------------------------------------


def _wanted(facts: Facts, want: AgentSpec) -> Change:
    if facts.adoptee is None:
        return held_if_deferred(facts, _started_or_changed(facts, want))
    adoption = _adoption(facts, want, facts.adoptee)
    if isinstance(adoption, Hold) and facts.running:
        # The service ends the address's own agent at its age limit, however long the adoption is held.
        change = held_if_deferred(facts, _started_or_changed(facts, want))
        return change if isinstance(change, Rotate) else adoption
    return adoption


def _started_or_changed(facts: Facts, want: AgentSpec) -> Change:
    if not facts.running:
        return _absent(facts, want)
    agent = facts.running[0]
    record = facts.record
    if record is not None and record.agent_id == agent.agent_id:
        return _recorded(facts, want, record, Target(agent, record, record.uid))
    return _unrecorded(facts, want, Target(agent, None, _uid_by_name(facts, want, agent)))


def _adoption(facts: Facts, want: AgentSpec, adoptee: Adoptee) -> Change:
    """Return the adoption of the agent that the files name, held while this address may not adopt it."""
    agent = adoptee.agent
    values = _sendable(want, facts.able)
    reason = Reason(Because.ADOPT_DECLARED, f"the files adopt it (adopt: {agent.agent_id})")
    adopt = Adopt(facts.address, want, reason, Target(agent, None, want.body.uid or ""), values)
    return held_if_adoption_refused(facts, adoptee, adopt)


def _uid_by_name(facts: Facts, want: AgentSpec, agent: ObservedAgent) -> str:
    """Return the uid of an agent without a record: the digest in its name shows whether the uid was shifted."""
    home = replace(want, address=_home(facts))
    parsed = agent.parsed
    shifted = parsed is not None and parsed.revision == home.revision(facts.able, shifted=True)
    return home.uid(facts.owner, shifted=shifted)


def _absent(facts: Facts, want: AgentSpec) -> Change:
    record = facts.record
    failures = record.failures if record else 0
    formerly = record.address if record and record.address != facts.address else None
    awaits = tuple(each.agent_id for each in facts.stopping)
    join = Join(facts.address, want, why_absent(facts), awaits, failures, formerly)
    return held_if_uid_taken(facts, held_if_beside(facts, want, held_if_backing_off(facts, want, join)))


def _unrecorded(facts: Facts, want: AgentSpec, target: Target) -> Change:
    """Return the change for an agent of ours without a record, by comparing the digest in its name with the files."""
    parsed = target.agent.parsed
    revision = parsed.revision if parsed else ""
    if facts.forced:
        return held_if_protected(Replace(facts.address, want, _FORCED, target), want.lifecycle.protect)
    # Digests of different versions cannot be compared, so it is not known whether a replacement is needed.
    if revision[:1] != REVISION_VERSION:
        text = "it was started by another version of reconciler, whose digest cannot be compared"
        lift = f"`reconciler apply --replace {facts.address.quoted}` does it all the same"
        replaced = Replace(facts.address, want, Reason(Because.OTHER_VERSION, text), target)
        return Hold(replaced, Reason(Because.OTHER_VERSION, lift))
    moved = facts.found_at is not None and facts.found_at.channel != facts.address.channel
    if revision in (want.revision(facts.able), want.revision(facts.able, shifted=True)) and not moved:
        text = "it runs but is not in the state; taken back without a hang-up"
        values = _sendable(want, facts.able)
        return Adopt(facts.address, want, Reason(Because.STATE_LOST, text), target, values)
    text = "it runs, is not in the state, and was started with other join-only fields"
    return held_if_protected(
        Replace(facts.address, want, Reason(Because.OTHER_REVISION, text), target), want.lifecycle.protect
    )


_FORCED = Reason(Because.FORCED, "--replace asks for it")


def _recorded(facts: Facts, want: AgentSpec, record: Record, target: Target) -> Change:
    """Return the change for an agent that runs and has a record; the record says what the agent was given."""
    diffs = _diffs(facts, want, record)
    fatal = tuple(each for each in diffs if each.forces_replacement)
    anew = diffs + ignored_diffs(want, record)  # a join sends everything
    if facts.forced:
        return held_if_protected(Replace(facts.address, want, _FORCED, target, anew), want.lifecycle.protect)
    old = why_rotate(facts, want.lifecycle, record, target.agent.started_at, is_edited=bool(fatal))
    if old is not None:
        return held_if_backing_off(facts, want, Rotate(facts.address, want, old, target, anew))
    if fatal:
        paths = ", ".join(describe(each.path) for each in fatal[:3]) + (", …" if len(fatal) > 3 else "")
        reason = Reason(Because.FIELDS, f"{paths} cannot change on a running agent")
        held = held_if_protected(Replace(facts.address, want, reason, target, anew), want.lifecycle.protect)
        return held_if_uid_taken(facts, held_if_backing_off(facts, want, held))
    return _in_place(facts, want, record, target, diffs)


def _in_place(
    facts: Facts, want: AgentSpec, record: Record, target: Target, diffs: tuple[FieldDiff, ...]
) -> Change:
    if record.unsent:
        text = "what its in-place fields hold is not known; they are sent once"
        values = _sendable(want, facts.able)
        return Update(facts.address, want, Reason(Because.UNSENT, text), target, values, diffs)
    values = _changed(want, record, facts.able) if diffs else {}
    if values:
        paths = ", ".join(describe(("properties", *path)) for path in values)
        renamed = f", and it is renamed from {facts.found_at}" if facts.found_at is not None else ""
        reason = Reason(Because.FIELDS, f"{paths} changes in place{renamed}")
        return Update(facts.address, want, reason, target, values, diffs)
    if facts.found_at is not None:
        text = f"renamed from {facts.found_at}; the running agent is kept"
        return Adopt(facts.address, want, Reason(Because.RENAMED, text), target, {})
    if diffs:
        return Update(
            facts.address, want, Reason(Because.FIELDS, "only its record changes"), target, {}, diffs
        )
    renewal = why_renew(record, want.lifecycle, facts.now, facts.horizon)
    if renewal is not None:
        return Renew(facts.address, want, renewal, target)
    return Keep(facts.address, want, _IN_SYNC, target)


_IN_SYNC = Reason(Because.IN_SYNC, "in sync")


def _diffs(facts: Facts, want: AgentSpec, record: Record) -> tuple[FieldDiff, ...]:
    """Return the differences that are not ignored, each marked with whether it needs a new agent."""
    rows: list[FieldDiff] = []
    home = _home(facts)
    if home.channel != facts.address.channel:
        rows.append(FieldDiff(CHANNEL, home.channel, facts.address.channel, forces_replacement=True))
    # An agent for which the files give no uid keeps the one that it has, also after a rename.
    uid = want.body.uid or (record.uid if record.body.uid is None else want.uid(facts.owner))
    if uid != record.uid:
        rows.append(FieldDiff(("properties", *UID), record.uid, uid, forces_replacement=True))
    if want.lifecycle.protect != record.protect:
        rows.append(FieldDiff(("lifecycle", "protect"), record.protect, want.lifecycle.protect))
    if record.body != want.body:
        ignored = (UID, *want.lifecycle.ignore_changes)
        before, after = _stripped(record.body, ignored), _stripped(want.body, ignored)
        rows += [_marked(row, facts.able) for row in field_diffs(before, after)]
    return tuple(rows)


def ignored_diffs(want: AgentSpec, record: Record) -> tuple[FieldDiff, ...]:
    """Return the differences at ignored paths: not compared or sent while the agent runs, but sent by the next join."""
    if not want.lifecycle.ignore_changes or record.body == want.body:
        return ()
    rows = field_diffs(record.body.tree(), want.body.tree())
    return tuple(row for row in rows if _is_ignored(row.path[1:], want.lifecycle))


def _marked(row: FieldDiff, able: Capabilities) -> FieldDiff:
    """Return a difference, marked as forcing a replacement unless it is below an updatable value that stays present."""
    prefix = able.updatable_prefix(row.path[1:]) if row.path[:1] == ("properties",) else None
    goes_away = prefix is not None and row.after is ABSENT and row.path[1:] == prefix
    if prefix is not None and not goes_away:
        return row
    return FieldDiff(row.path, row.before, row.after, forces_replacement=True)


def _stripped(body: Body, paths: tuple[Path, ...]) -> dict[str, Tree]:
    properties: Tree = body.properties
    for path in paths:
        properties = without(properties, path)
    tree = body.tree()
    tree["properties"] = properties
    return tree


def _is_ignored(path: Path, lifecycle: Lifecycle) -> bool:
    return any(starts_with(path, each) for each in lifecycle.ignore_changes)


def _sendable(want: AgentSpec, able: Capabilities) -> dict[Path, Tree]:
    """Return all values of a spec that change in place and are not ignored, by path."""
    values = able.in_place(want.body.properties)
    return {path: value for path, value in values.items() if not _is_ignored(path, want.lifecycle)}


def _changed(want: AgentSpec, record: Record, able: Capabilities) -> dict[Path, Tree]:
    """Return the in-place values that differ from those last applied, each complete."""
    known: Tree = record.body.properties
    return {path: value for path, value in _sendable(want, able).items() if value_at(known, path) != value}


def _home(facts: Facts) -> Address:
    """Return the address under which the running agent was started."""
    return facts.found_at or facts.address


_NOT_KNOWN = Reason(
    Because.UNRECORDED,
    "it bears our mark but is not in the state; another checkout may want it (--prune-unrecorded leaves it)",
)
_DESTROYED = Reason(Because.DESTROYED, "the whole fleet is to end")


# --- not wanted -----------------------------------------------------------------------------------------------


def _unwanted(facts: Facts, want: AgentSpec | None) -> Change | None:
    record = facts.record
    if not facts.running:
        if record is None or facts.stopping:
            return None
        return Forget(
            facts.address,
            Reason(Because.ALREADY_GONE, "its agent is gone, and the files do not want it"),
            record,
        )
    agent = facts.running[0]
    known = record if record is not None and record.agent_id == agent.agent_id else None
    target = Target(agent, known, known.uid if known else "")
    if want is not None:
        reason = _DESTROYED if facts.destroying else Reason(Because.PAUSED, "it is paused (lifecycle.paused)")
        return held_if_protected(Leave(facts.address, reason, target), want.lifecycle.protect)
    removed = Reason(Because.REMOVED, "the files do not want it any more")
    leave = Leave(facts.address, _DESTROYED if facts.destroying else removed, target)
    if known is None:
        return Hold(leave, _NOT_KNOWN)
    if known.protect:
        text = (
            "it is protected; the protection outlives its block (declare it with `protect: false` to lift it)"
        )
        return Hold(leave, Reason(Because.PROTECTED, text))
    return leave
