"""The sentences of plans: headlines, counts, conversations that end. Text, Markdown and HTML share them.

Foreign text in a sentence is not escaped yet: the sink escapes the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import assert_never

from reconciler.diagnostics import Problem, plural
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus
from reconciler.model.spec import describe
from reconciler.plan.build import Plan, Unmanaged
from reconciler.plan.change import (
    Act,
    Action,
    Adopt,
    Because,
    Forget,
    Join,
    Keep,
    Leave,
    Renew,
    Replace,
    Rotate,
    Update,
    action_of,
    target_of,
)
from reconciler.plan.dangers import Danger
from reconciler.plan.guard import Cost
from reconciler.plan.plan_warnings import WARNINGS_OF_PLANS
from reconciler.plan.steps import overlaps
from reconciler.report.actions import WORDS

_ENDS = "ends the running conversation"
_GOES_ON = "the conversation goes on"
# The words for one agent, and for several.
_PLURALS = {
    "gets": "get",
    "stays as it is": "stay as they are",
    "is held: it": "are held: they",
    _ENDS: "ends their running conversations",
    _GOES_ON: "the conversations go on",
    "the new agent joins first": "the new agents join first",
}
# How many of the hosts that get a secret today are named if there is little room.
_MOST_BEFORE = 5


def headline(act: Act | Keep, *, held: bool = False, count: int = 1) -> str:
    """Return what happens to an agent, or to `count` of them, to be read after the address or the count."""
    verb = f"is held: it {WORDS[action_of(act)].would}" if held else _will(act)
    note = _note(act)
    text = f"{verb} ({note})" if note else verb
    for one, many in _PLURALS.items() if count > 1 else ():
        text = text.replace(one, many)
    return text


def _will(act: Act | Keep) -> str:
    match act:
        case Join():
            return "will join" if act.reason.because is Because.NEW else "will join again"
        case Update():
            return "will be updated in place" if act.values else "will be updated in the state only"
        case Renew():
            return "gets a new token"
        case Replace():
            return "will be replaced" if act.reason.because is Because.FORCED else "must be replaced"
        case Rotate():
            return "will be rotated"
        case Leave():
            return "will leave"
        case Adopt():
            return "will be adopted"
        case Forget():
            return "will be forgotten"
        case Keep():
            return "stays as it is"
        case _:
            assert_never(act)


def _note(act: Act | Keep) -> str:
    match act:
        case Replace() | Rotate():
            return f"the new agent joins first; {_ENDS}" if overlaps(act) else _ENDS
        case Leave():
            return _ENDS
        case Update() if not act.values:
            return ""
        case Update() | Renew() | Adopt():
            return _GOES_ON
        case Forget():
            return "nothing runs any more"
        case Join() | Keep():
            return ""
        case _:
            assert_never(act)


# --- counts -------------------------------------------------------------------------------------------------

_ALWAYS = (Action.JOIN, Action.UPDATE, Action.REPLACE, Action.RENEW, Action.LEAVE)
_ORDER = (
    Action.JOIN,
    Action.UPDATE,
    Action.REPLACE,
    Action.ROTATE,
    Action.RENEW,
    Action.LEAVE,
    Action.ADOPT,
    Action.FORGET,
)


def counts(plan: Plan) -> str:
    """Return `2 to join, 1 to update, …; 1 held`: five kinds always, the others if there are any."""
    rows = [(action, plan.count(action)) for action in _ORDER]
    text = ", ".join(f"{count:,} to {action}" for action, count in rows if count or action in _ALWAYS)
    held = plan.count(Action.HOLD)
    return f"{text}; {held:,} held" if held else text


def short_counts(plan: Plan) -> str:
    """Return the counts that are not zero."""
    rows = [f"{plan.count(action):,} to {action}" for action in _ORDER if plan.count(action)]
    held = plan.count(Action.HOLD)
    return ", ".join([*rows, *([f"{held:,} held"] if held else [])]) or "no changes"


def would(plan: Plan) -> str:
    """Return what an apply would do, as verbs: `join 1, hold 2`."""
    rows = [(action, plan.count(action)) for action in (*_ORDER, Action.HOLD)]
    return ", ".join(f"{action} {count:,}" for action, count in rows if count)


def running(cost: Cost) -> str:
    """Return how many agents run after an apply, and what they cost a day."""
    quota = f" of {cost.quota:,}" if cost.quota is not None else ""
    money = f"About {cost.usd_per_day:,.2f} USD a day ({_signed(cost.usd_change)})."
    return f"Running after apply: {cost.after:,}{quota}. {money}"


def _signed(amount: float) -> str:
    return f"{amount + 0.0:+,.2f}"


def no_changes(plan: Plan) -> str:
    """Return the sentence for a plan that has nothing to do."""
    count = plan.count(Action.NONE)
    if plan.against:
        return f"No changes against {plan.against}: {plural(count, 'agent', 'agents')} as before."
    if not count:
        return "No changes. No agent is declared, and none of ours runs."
    return f"No changes. {plural(count, 'agent runs', 'agents run')} as the files say."


def new_secrets(plan: Plan, longest: int | None = None) -> str:
    """Return the references with new values, which cause no change by themselves; empty if none is known."""
    if not plan.new_secrets:
        return ""
    agents = ", ".join(
        f"{shortened(reference, longest)} ({plural(count, 'agent', 'agents')})"
        for reference, count in plan.new_secrets
    )
    return (
        f"New values, not sent to running agents: {agents}. `reconciler apply --replace GLOB` sends them now."
    )


def ignored(plan: Plan, names: Callable[[Sequence[Address]], str]) -> str:
    """Return the fields in which agents differ from the files by `ignore_changes`; `names` spells addresses."""
    if not plan.ignored:
        return ""
    alike: dict[str, list[Address]] = {}
    for each in plan.ignored:
        alike.setdefault(", ".join(sorted({describe(path) for path in each.paths})), []).append(each.address)
    rows = [f"{names(addresses)} ({paths})" for paths, addresses in alike.items()]
    return f"Ignored now (`ignore_changes`) and sent at the next join or rotation, what the files say of: {'; '.join(rows)}."


def offline(plan: Plan) -> str:
    """Return what an offline plan was compared with; empty for any other plan."""
    if not plan.against:
        return ""
    return (
        f"Compared with {plan.against}: the service was not asked, and nothing is said of what ends by time."
    )


def approval(plan: Plan) -> str:
    """Return the approval token of a plan, or why it has none; empty if none was asked for."""
    if plan.approval is not None:
        return f"Approval: `{plan.approval}`"
    return f"No approval: {plan.no_approval}." if plan.no_approval else ""


def default_quota(plan: Plan) -> str:
    """Return a warning if more agents would run than the service allows by default; empty if a quota is declared."""
    cost = plan.cost
    if not cost.passes_default_quota:
        return ""
    return (
        f"{cost.after:,} agents would run, and the service allows {cost.default_quota} by default: it refuses the joins beyond "
        "its limit. Declare the App ID's own in `limits.quota`."
    )


def interrupted(plan: Plan) -> str:
    """Return how many operations an earlier run left open; empty if there are none."""
    if not plan.interrupted:
        return ""
    if plan.interrupted == 1:
        return "1 interrupted operation of an earlier run is settled first."
    return f"{plan.interrupted:,} interrupted operations of an earlier run are settled first."


def warnings(plan: Plan) -> str:
    """Return the warnings of the files, counted by rule, and those of the plan with the first of each; may be empty."""
    found: dict[str, list[Problem]] = {}
    for each in sorted(plan.warnings, key=Problem.sort_key):
        found.setdefault(each.rule, []).append(each)
    own = [found.pop(rule) for rule in sorted(WARNINGS_OF_PLANS.keys() & found.keys())]
    told = []
    if found:
        names = [
            f"`{rule}`{f' ({len(each):,})' if len(each) > 1 else ''}" for rule, each in sorted(found.items())
        ]
        count = plural(sum(map(len, found.values())), "warning", "warnings")
        told.append(f"{count} in the files: {', '.join(names)}; `reconciler validate` shows where.")
    for first, *more in own:
        place = f" ({first.where.file}:{first.where.line})" if first.where is not None else ""
        others = f", and {len(more):,} more like this" if more else ""
        help = f"; {first.help}" if first.help else ""
        told.append(f"Warning `{first.rule}`: {first.summary}{place}{others}{help}.")
    return " ".join(told)


def danger(found: Danger, longest: int | None = None) -> str:
    """Return one danger: the host, the secret, and where it goes today; names beyond `longest` lose their middle."""
    today = [shortened(each, longest) for each in found.before[: longest and _MOST_BEFORE]]
    if len(today) < len(found.before):
        today.append(f"{len(found.before) - len(today):,} more")
    until = f"until now: {', '.join(today)}" if today else "no agent of today uses it"
    allowed = "; allowed for this run" if found.allowed else "; held in this run" if found.held else ""
    if found.forbidden:
        allowed = f"; the team's policy does not list that host{allowed}"
    reference = shortened(found.reference, longest)
    starts = "get" if found.forbidden else "start to get"
    return f"{shortened(found.host, longest)} would {starts} the secret {reference} ({until}){allowed}"


def refusal_rule(limit: str) -> str:
    """Return the id under which the refusal by a limit is reported."""
    return f"limit-{limit}".replace("_", "-")


def shortened(text: str, longest: int | None) -> str:
    """Return a name with its middle left out; both ends stay, because the end of a host says whose it is."""
    if longest is None or len(text) <= longest:
        return text
    head = longest // 3
    return f"{text[:head]}[…{len(text) - longest:,} characters…]{text[head - longest :]}"


def foreign(row: Unmanaged) -> str:
    """Return an unmanaged agent: channel, name, id, status."""
    agent = row.agent
    return f"{row.channel or '?'}: {agent.name or '(no name)'}, {agent.agent_id}, {agent.status}"


def elsewhere(plan: Plan) -> str:
    """Return how many foreign agents run in other channels; empty if there are none."""
    count = plan.elsewhere
    return f"{plural(count, 'other agent', 'other agents')} of this App ID in other channels" if count else ""


def conversations(plan: Plan) -> str:
    """Return how many running conversations the plan ends, and by which changes; empty if it ends none."""
    kinds = Counter(action_of(each) for each in plan.ended)
    if not kinds:
        return ""
    parts = ", ".join(f"{kinds[action]:,} to {action}" for action in sorted(kinds))
    ends = plural(kinds.total(), "running conversation ends", "running conversations end")
    return f"{ends}: {parts}.{_archived(plan)}"


def warned(plan: Plan) -> tuple[str, str, str]:
    """Return what ends, what was not asked, and what passes the quota; each is empty if there is nothing to say."""
    return conversations(plan), offline(plan), default_quota(plan)


def notes(
    plan: Plan, names: Callable[[Sequence[Address]], str], longest: int | None = None
) -> tuple[str, ...]:
    """Return what a document says below its table, each sentence or an empty text; the last is the approval."""
    return (
        running(plan.cost),
        ignored(plan, names),
        interrupted(plan),
        new_secrets(plan, longest),
        warnings(plan),
        approval(plan),
    )


def in_short(plan: Plan) -> str:
    """Return a plan in one line: its counts, and how many conversations end."""
    what = f"Plan: {short_counts(plan)}." if plan.pending else no_changes(plan)
    return " ".join(filter(None, (what, conversations(plan))))


def _archived(plan: Plan) -> str:
    """Return how many transcripts of the ended conversations are archived or lost, if the fleet keeps transcripts."""
    kept = plan.fleet.archive if plan.fleet is not None else None
    if kept is None:
        return ""
    running = sum(
        target.agent.status is AgentStatus.RUNNING
        for each in plan.ended
        if (target := target_of(each)) is not None
    )
    archived = f" {plural(running, 'transcript is', 'transcripts are')} archived first."
    lost = len(plan.ended) - running
    return archived + (
        f" {plural(lost, 'is', 'are')} lost: the service tells none of an agent that is not RUNNING."
        if lost
        else ""
    )
