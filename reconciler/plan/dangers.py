"""Dangers: secrets that would start to go to other hosts than today, which refuse an apply until they are allowed.

They are found over a whole plan. Without this check, a change of a URL in the files could send a secret anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from reconciler.contract.offers import VENDOR_HOSTS
from reconciler.model.destinations import secret_destination
from reconciler.model.policy import is_listed
from reconciler.model.spec import Body
from reconciler.model.tree import Path, starts_with, tree_references
from reconciler.plan.basis import Basis
from reconciler.plan.change import (
    Adopt,
    Because,
    Change,
    Hold,
    Join,
    Keep,
    Reason,
    Replace,
    Rotate,
    Update,
    act_of,
)
from reconciler.plan.guard import Policy, Refusal
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Danger:
    """A secret that would go to a host that does not get it today. `held`: only changes that are held would send it.

    `forbidden`: the team's policy does not list the host; also where the secret goes there already.
    """

    reference: str
    host: str
    before: tuple[str, ...]
    allowed: bool
    held: bool = False
    forbidden: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a change would send the secret to the host and that is not allowed."""
        return not self.held and (self.forbidden or not self.allowed)


def dangers(changes: Iterable[Change], basis: Basis, policy: Policy) -> tuple[Danger, ...]:
    """Return the secrets that changes would send to other hosts than today, or to hosts not in the team's policy.

    A host that the policy lists is allowed, because a pull request cannot have added it.
    """
    changes = tuple(changes)
    found = {(each.reference, each.host): each for each in _elsewhere(changes, basis, policy)}
    listed = policy.secret_hosts
    if listed is not None:
        acts = {pair for each in changes if not isinstance(each, (Hold, Keep)) for pair in sent_to(each)}
        held = {pair for each in changes if isinstance(each, Hold) for pair in sent_to(each)}
        for reference, host in acts | held:
            known = found.get((reference, host))
            if not is_listed(host, listed):
                today = known.before if known is not None else (host,) if basis.state.records else ()
                is_held = (reference, host) not in acts
                found[reference, host] = Danger(reference, host, today, False, is_held, forbidden=True)
            elif known is not None:
                found[reference, host] = replace(known, allowed=True)
    return tuple(found[pair] for pair in sorted(found))


def _elsewhere(changes: tuple[Change, ...], basis: Basis, policy: Policy) -> tuple[Danger, ...]:
    """Return the references whose value a change would send to a host that does not get it from any agent of today.

    A reference that no agent uses yet may go to a host that gets some secret already, and to its vendor's own address.
    Without any record of where secrets go there is nothing to compare with, so no danger is reported: at a first apply,
    or when the state was lost and no running agent agrees with the files. Only when a change sends what its own record
    does not are all records read.
    """
    records = basis.state.records
    if not records and not any(isinstance(each, Adopt) for each in changes):
        return ()
    acts = [each for each in changes if not isinstance(each, (Hold, Keep))]
    held = [each.change for each in changes if isinstance(each, Hold)]
    sent, withheld = _destinations(map(_sent, acts)), _destinations(map(_sent, held))
    own = _destinations(_Sight(records[each.address].body) for each in changes if each.address in records)
    if all(hosts <= own.get(name, set()) for group in (sent, withheld) for name, hosts in group.items()):
        return ()
    known = _destinations(
        [*(_Sight(each.body) for each in records.values()), *(_proven(each) for each in changes)]
    )
    anywhere: set[str] = set().union(*known.values())
    found: list[Danger] = []
    for reference in sorted({*sent, *withheld}):
        before = known.get(reference, set())
        for host in sorted(sent.get(reference, set()) | withheld.get(reference, set())):
            if host in before or (not before and (host in anywhere or _is_of_a_vendor(host))):
                continue
            is_held = host not in sent.get(reference, set())
            allowed = host in policy.allow_hosts
            found.append(Danger(reference, host, tuple(sorted(before)), allowed, is_held))
    return tuple(found)


_VENDORS: Final = frozenset(VENDOR_HOSTS.values())


def _is_of_a_vendor(host: str) -> bool:
    return host in _VENDORS or host.startswith("vendor:")


def hosts_of(bodies: Iterable[Body]) -> dict[str, set[str]]:
    """Return the hosts that each reference's value is sent to when these bodies are joined."""
    return _destinations(map(_Sight, bodies))


@dataclass(frozen=True, slots=True)
class _Sight:
    """The part of a body that is looked at: all of it, the values at some paths, or (`inside` is False) all others."""

    body: Body
    paths: frozenset[Path] | None = None
    inside: bool = True

    def shows(self, path: Path) -> bool:
        return self.paths is None or any(starts_with(path, each) for each in self.paths) is self.inside


_NOTHING: Final = _Sight(Body({}))


def _sent(change: Change) -> _Sight:
    """Return the part of a body that a change sends: of an adopted agent the in-place values, of a renewal nothing."""
    match change:
        case Join() | Update() | Replace() | Rotate():
            return _Sight(change.spec.body)
        case Adopt():
            return _Sight(change.spec.body, frozenset(change.values))
        case _:
            return _NOTHING


def _proven(change: Change) -> _Sight:
    """Return what an unrecorded agent was started with: the values that the digest in its name proves."""
    if isinstance(change, Adopt) and change.target.record is None:
        return _Sight(change.spec.body, frozenset(change.values), inside=False)
    return _NOTHING


def _destinations(sights: Iterable[_Sight]) -> dict[str, set[str]]:
    """Return the hosts that each reference's value is sent to. A subtree that several bodies share is read once."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: set[tuple[int, frozenset[Path] | None, bool]] = set()
    keep: list[object] = []
    for sight in sights:
        properties = sight.body.properties
        for part, subtree in properties.items():
            key = (id(subtree), sight.paths, sight.inside)
            if key in seen or isinstance(subtree, (str, int, float, bool)) or subtree is None:
                continue
            seen.add(key)
            keep.append(subtree)
            for path, reference in tree_references(subtree):
                if sight.shows((part, *path)):
                    # Where several URLs may decide its host, it counts as going to each of them.
                    found[reference.source].update(secret_destination((part, *path), properties).split(", "))
    return found


def hold_dangerous(change: Change, found: Sequence[Danger], policy: Policy) -> Change:
    """Return the change, held if it would send a secret to a host of an open danger that does not refuse the whole run.

    A run of only some kinds (`only`) keeps agents alive: one address must not stop it for all others. And a danger that
    was not in the review must not stop the changes that were.
    """
    open_ones = {(each.reference, each.host) for each in found if each.is_open}
    pairs = open_ones - {(each.reference, each.host) for each in dangers_that_refuse(found, policy)}
    if not pairs or isinstance(change, (Hold, Keep)):
        return change
    hosts = sorted({host for _, host in sent_to(change) & pairs})
    if not hosts:
        return change
    flags = " ".join(f"--allow secret-host={host}" for host in hosts)
    text = f"a secret would start to go to {', '.join(hosts)} ({flags} lets it)"
    if any(each.forbidden and each.host in hosts for each in found):
        text = f"a secret would go to {', '.join(hosts)}, not all of which the team's policy lists (secret_hosts)"
    return Hold(change, Reason(Because.SECRET_HOST, text))


def sent_to(change: Change) -> frozenset[tuple[str, str]]:
    """Return the secrets that a change would send, also while it is held, each with a host that it goes to."""
    found = _destinations([_sent(act_of(change))])
    return frozenset((name, host) for name, hosts in found.items() for host in hosts)


def dangers_that_refuse(found: Iterable[Danger], policy: Policy) -> tuple[Danger, ...]:
    """Return the dangers that refuse the whole run: all of them; with a review only its own; under `only` none."""
    if policy.only is not None:
        return ()
    review = policy.review
    return tuple(each for each in found if review is None or (each.reference, each.host) in review.secrets)


def allowed_dangers(found: Iterable[Danger]) -> Refusal | None:
    """Return the refusal for secrets that would go to a host that was not allowed, or None."""
    open_ones = [each for each in found if each.is_open and not each.forbidden]
    if not open_ones:
        return None
    hosts = sorted({each.host for each in open_ones})
    flags = " ".join(f"--allow secret-host={host}" for host in hosts)
    text = f"a secret would start to go to {', '.join(hosts)}; if that is meant, say so with {flags}"
    return Refusal("secret-host", len(open_ones), 0, text)


def forbidden_dangers(found: Iterable[Danger]) -> Refusal | None:
    """Return the refusal for secrets that would go to a host that the team's policy does not list, or None."""
    hosts = sorted({each.host for each in found if each.is_open and each.forbidden})
    if not hosts:
        return None
    text = (
        f"a secret would go to {', '.join(hosts)}, which the team's policy does not list; "
        "if that is meant, list it there, under secret_hosts, in a change of its own"
    )
    return Refusal("policy-secret-host", len(hosts), 0, text)
