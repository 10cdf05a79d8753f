"""The findings of a plan or drift at lines of the files, as problems of a few rules, the most important first.

Code hosts show them as annotations, alerts and code quality findings; `problem_formats` writes those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.diagnostics import Problem, Severity, Span
from reconciler.model.destinations import secret_destination
from reconciler.model.tree import Path, Tree, leaves, tree_references
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Change, spec_of
from reconciler.plan.guard import Refusal
from reconciler.report import problem_formats, sentences
from reconciler.report.addresses import shortened
from reconciler.report.fieldlines import FieldLines, row_texts
from reconciler.report.formats import RenderOptions
from reconciler.report.problem_formats import FLEET_PLACE
from reconciler.report.problems import Checked
from reconciler.report.style import Style
from reconciler.report.view import ChangeRow, change_rows
from reconciler.workflow import Drift

_LONGEST_NAME = 160

_LIMIT = "limit"
_RULES: Mapping[str, tuple[str, str]] = {
    "secret-host": (
        "a secret would start to go to another host",
        (
            "A reference in the files is sent to a host that does not get its value today: somebody may have changed an "
            "address to have a credential sent there.\n\n"
            "Look who owns the host. If it is meant, `apply --allow secret-host=HOST` says so; without that the apply is "
            "refused as a whole.\n"
        ),
    ),
    "ends-conversation": (
        "a change ends a running agent, and the conversation that it may be having",
        (
            "What differs cannot change on a running agent, or the files do not want the agent any more: it leaves, and "
            "whoever talks to it is hung up on. Where it is replaced, its successor joins and starts anew.\n\n"
            "Apply it when few people call, or leave the field as it is. `lifecycle: {protect: true}` holds such changes "
            "until somebody lifts it.\n"
        ),
    ),
    "held-change": (
        "a change that is wanted and is not made",
        (
            "Something keeps the change from being made: a protection, an agent that runs beside it, a failure not long "
            "ago. The reason says what, and what lifts it.\n"
        ),
    ),
    "drift": (
        "an agent is not as it was last applied",
        (
            "Something outside the files changed it: it ended, somebody ended it, or a token ran out. The next apply undoes "
            "that.\n"
        ),
    ),
    _LIMIT: (
        "a limit refuses the apply as a whole",
        (
            "The plan does more at once than the fleet's `limits` allow, so an apply of it does nothing at all.\n\n"
            "If it is meant, `apply --allow LIMIT=N` raises the limit for once.\n"
        ),
    ),
}


def explained(rule: str) -> tuple[str, str]:
    """Return the summary of a rule about plans, and its whole explanation."""
    return _RULES[_LIMIT if rule.startswith("limit-") else rule]


def of_plan(plan: Plan) -> tuple[Problem, ...]:
    """Return dangers, refusals, changes that end a conversation, and holds, each at the line that causes it."""
    rows = change_rows(plan, by_place=True)
    refusals = (each for each in plan.refusals if each.limit != "secret-host")
    return (
        *_dangers(plan),
        *map(_refusal, refusals),
        *(_change("ends-conversation", row) for row in rows if row.ends_conversation),
        *(_change("held-change", row) for row in rows if row.action is Action.HOLD),
    )


def of_drift(plan: Plan) -> tuple[Problem, ...]:
    """Return all drift, changes that end a conversation first."""
    rows = change_rows(plan, bare=frozenset({Action.JOIN}), by_place=True)
    return tuple(
        _change("drift", row)
        for row in sorted(rows, key=lambda row: (not row.ends_conversation, row.address))
    )


def render_github(plan: Plan, options: RenderOptions) -> str:
    """Return the plan in a line, then a command for each line of the files that ends conversations or risks secrets."""
    notice = (f"Plan of {plan.owner}", sentences.in_short(plan))
    return problem_formats.as_annotations(of_plan(plan), root=options.root, notice=notice)


def render_drift(drift: Drift, options: RenderOptions) -> str:
    """Return drift in one line, then a command for each line of the files whose agents drifted."""
    from reconciler.report.drift import headline  # heavy, and only for drift

    notice = (f"Drift of {drift.plan.owner}", headline(drift))
    return problem_formats.as_annotations(of_drift(drift.plan), root=options.root, notice=notice)


def render_sarif(plan: Plan, options: RenderOptions) -> str:
    """Return one run with what the plan ends or risks."""
    return problem_formats.render_sarif(Checked(of_plan(plan)), replace(options, explain_rule=explained))


def render_code_quality(plan: Plan, options: RenderOptions) -> str:
    """Return a list of what the plan ends or risks."""
    return problem_formats.render_code_quality(Checked(of_plan(plan)), options)


def _refusal(found: Refusal) -> Problem:
    return Problem(sentences.refusal_rule(found.limit), found.text, FLEET_PLACE)


def _change(rule: str, row: ChangeRow) -> Problem:
    """Return a row as a warning at its place: the change, its reasons, the fields that force it, and the agents."""
    fields = FieldLines(Style(colour=False))
    forcing = [field for field in row.fields if field.forces] or row.fields
    shown = [next(iter(fields.of(field, str(row.address)))) for field in forcing]
    why = [
        *(f"because {text}" for text in row_texts(row.reasons)),
        *(f"held because {text}" for text in row_texts(row.holds)),
        *(f"{line.sign} {line.text}" for line in shown),
        *(shortened(row.addresses) if len(row.addresses) > 1 else ()),
    ]
    where = row.places[0] if row.places else FLEET_PLACE
    summary = f"{row.subject} {row.headline}"
    return Problem(rule, summary, where, why="\n".join(why), severity=Severity.WARNING)


def _dangers(plan: Plan) -> Iterator[Problem]:
    places = _places(plan) if plan.dangers else {}
    for each in sorted(plan.dangers, key=lambda each: each.allowed):
        text = sentences.danger(each, _LONGEST_NAME)
        host = sentences.shortened(each.host, _LONGEST_NAME)
        yield Problem(
            "secret-host",
            text if each.allowed else f"DANGER: {text}",
            places.get((each.reference, each.host), FLEET_PLACE),
            help=None if each.allowed else f"if that is meant, say so with --allow secret-host={host}",
            severity=Severity.WARNING if each.allowed else Severity.ERROR,
        )


def _places(plan: Plan) -> Mapping[tuple[str, str], Span]:
    """Return for each danger's reference and host the line of the address that it goes to, else of the reference."""
    wanted = {(each.reference, each.host) for each in plan.dangers}
    found: dict[tuple[str, str], Span] = {}
    for change in plan.pending:
        for pair, path, properties in _sent(change):
            if pair in wanted and pair not in found:
                place = _place(plan, change, path, pair[1], properties)
                found |= {} if place is None else {pair: place}
        if len(found) == len(wanted):
            break
    return found


def _sent(change: Change) -> Iterator[tuple[tuple[str, str], Path, Mapping[str, Tree]]]:
    """Yield the references of a change's body with each host that they go to, and their paths."""
    spec = spec_of(change)
    properties: Mapping[str, Tree] = spec.body.properties if spec is not None else {}
    for path, reference in tree_references(properties):
        for host in secret_destination(path, properties).split(", "):
            yield (reference.source, host), path, properties


def _place(plan: Plan, change: Change, path: Path, host: str, properties: Mapping[str, Tree]) -> Span | None:
    if plan.fleet is None:
        return None
    part = path[0]
    named = (
        (part, *below)
        for below, value in leaves(properties[str(part)])
        if isinstance(value, str) and host in value
    )
    paths: Iterable[Path] = (*named, path, ())
    places = (plan.fleet.locate(change.address, ("properties", *each) if each else ()) for each in paths)
    return next((each for each in places if each is not None), None)
