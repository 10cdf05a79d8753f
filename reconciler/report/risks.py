"""Dangers and refusals as Markdown: every host, however many there are.

Names of hosts and references may be written by an attacker: neither a long name nor many names may push another name
out of a comment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reconciler.diagnostics import plural
from reconciler.plan.build import Plan
from reconciler.plan.guard import Refusal
from reconciler.report import sentences
from reconciler.report.escape import fenced, prose, visible

_LONGEST_NOTE = 600
# The longest host or reference: if each danger has a block of its own, and if there are too many for that.
_LONGEST_NAME = 160
_SHORT_NAME = 80


def size(parts: Sequence[str]) -> int:
    """Return how many characters blocks take, separators included."""
    return sum(len(each) + 2 for each in parts)


def in_room(plan: Plan, room: int) -> list[str]:
    """Return every danger and every refusal, in a shorter form if there are many."""
    refusals = [f"> [!WARNING]\n> **Refused:** {prose(_refusal(plan, each))}" for each in plan.refusals]
    dangers = [
        _danger("Allowed" if each.allowed else "DANGER", sentences.danger(each, _LONGEST_NAME))
        for each in plan.dangers
    ]
    if size(dangers) + size(refusals) <= room:
        return [*dangers, *refusals]
    hosts = sorted({each.host for each in plan.dangers})
    secrets = plural(len({each.reference for each in plan.dangers}), "secret", "secrets")
    other = plural(len(hosts), "other host", "other hosts")
    title = _danger("DANGER", f"{secrets} would start to go to {other}:")
    folded = fenced(_by_secrets(plan))
    if size([title, folded, *refusals]) > room:
        folded = fenced([visible(sentences.shortened(host, _SHORT_NAME)) for host in hosts])
    return [title, folded, *refusals]


def _danger(word: str, text: str) -> str:
    return f"> [!CAUTION]\n> **{word}:** {prose(text)}"


def _by_secrets(plan: Plan) -> list[str]:
    """Return every host, with the secrets that it would get below it; hosts with the same secrets together."""
    secrets: dict[str, set[str]] = defaultdict(set)
    for each in plan.dangers:
        secrets[each.host].add(each.reference)
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for host, references in sorted(secrets.items()):
        same[tuple(sorted(references))].append(host)
    return [
        visible(f"{indent}{sentences.shortened(each, _LONGEST_NAME)}")
        for references, hosts in sorted(same.items())
        for indent, names in (("", hosts), ("    <- ", references))
        for each in names
    ]


def _refusal(plan: Plan, refusal: Refusal) -> str:
    """Return why an apply is refused. Hosts that would fill the text are listed above it already."""
    if len(refusal.text) <= _LONGEST_NOTE:
        return refusal.text
    if refusal.limit == "secret-host":
        return (
            f"secrets would start to go to {len({each.host for each in plan.dangers if not each.allowed}):,} "
            "other hosts, see above; if that is meant, say so with --allow secret-host=HOST for each"
        )
    return f"{refusal.text[:_LONGEST_NOTE]} […]"
