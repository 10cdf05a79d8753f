"""What the files ask for, compared with the service's own account of what runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.simulator import Agent, Status

from . import names
from .words import Terms, Wish

if TYPE_CHECKING:
    from .checker import Checker

# A secret's value as the world gives it out: its name, and how often it was renewed. An agent keeps the value that it
# was joined with until something else sends it a new one.
# The longest time of a quiet run, seconds.
_A_RUN = 10.0
_SECRET = re.compile(r"canary-([A-Z_]+)(?:~\d+)?")
# What is in place on an agent, whoever started it.
_IN_PLACE = ("system_messages", "params")
_OURS = ("token", "channel", "agent_rtc_uid")


def unsettled(checker: Checker, terms: Terms) -> Iterator[str]:
    """What is not as the files want it, by the world's own account. Empty when the fleet is in place."""
    world = checker.world
    store, now = world.store, world.time.now
    live = {each.agent_id: each for each in checker.live()}
    claimed: set[str] = set()
    for address, wish in sorted(terms.files.wishes.items()):
        if wish.paused or terms.destroying or (terms.about is not None and address not in terms.about):
            continue
        known = store.at(address)
        agent = live.get(known.agent_id) if known else None
        protected = is_protected(checker, wish)
        if agent is None and protected:
            # Found by its name, and other than the files want it: held as it is, without a record.
            slots = {names.place_of(each) for each in (address, *wish.previously)}
            agent = next((each for each in live.values() if store.slot(each) in slots), None)
            if agent is not None:
                claimed.add(agent.agent_id)
                continue
        if agent is None and must_wait(checker, wish, terms):
            continue
        if known is None or agent is None or not agent.live_at(now):
            yield f"{address} does not run"
            continue
        claimed.add(agent.agent_id)
        if protected or seat_is_protected(checker, wish, terms):
            continue
        yield from _different(checker, wish, agent, known.was_adopted)
    if terms.about is None:
        yield from _unwanted(checker, terms, claimed, live)


def _different(checker: Checker, wish: Wish, agent: Agent, was_adopted: bool) -> Iterator[str]:
    has = _without_ignored(_told(agent.properties), wish)
    wanted = _without_ignored(_told(checker.world.filled(wish.properties)), wish)
    if was_adopted:
        if any(has["llm"].get(key) != wanted["llm"].get(key) for key in _IN_PLACE):
            yield f"{wish.address} was adopted, and has other values in place"
        return
    if agent.channel != wish.channel or (wish.uid and agent.uid != wish.uid):
        yield f"{wish.address} sits at {agent.channel}/{agent.uid}"
    keys = [key for key in sorted(has.keys() | wanted.keys()) if has.get(key) != wanted.get(key)]
    if keys:
        yield f"{wish.address} has other properties: {keys}"


def _told(value: Any) -> Any:
    """A tree with every secret's value as its name alone, and without what belongs to us."""
    if isinstance(value, Mapping):
        return {key: _told(each) for key, each in value.items() if key not in _OURS}
    if isinstance(value, (list, tuple)):
        return [_told(each) for each in value]
    return _SECRET.sub(r"secret \1", value) if isinstance(value, str) else value


def _without_ignored(tree: dict[str, Any], wish: Wish) -> dict[str, Any]:
    for path in wish.ignored:
        node: Any = tree
        for key in path[:-1]:
            node = node.get(key, {})
        node.pop(path[-1], None)
    return tree


def _unwanted(checker: Checker, terms: Terms, claimed: set[str], live: Mapping[str, Agent]) -> Iterator[str]:
    for agent in live.values():
        name = names.read(agent.name)
        is_ours = name is not None and name.mark == terms.files.mark and agent.name not in checker.excused
        if not is_ours or agent.agent_id in claimed or agent.agent_id in checker.world.store.released():
            continue
        if not _may_stay(checker, agent, terms):
            yield f"{agent.name} ({agent.agent_id}) runs, and nobody wants it"


def _may_stay(checker: Checker, agent: Agent, terms: Terms) -> bool:
    """Protected agents outlive their block, and what is stopping is on its way."""
    if agent.status_at(checker.world.time.now) is Status.STOPPING:
        return True
    known = checker.world.store.by_id().get(agent.agent_id)
    if known is None:
        return False
    heirs = [e for at, e in terms.files.wishes.items() if known.address in (at, *e.previously)]
    return any(is_protected(checker, each) for each in heirs) if heirs else known.protect


def is_protected(checker: Checker, wish: Wish) -> bool:
    """What the files say last: where they do not say, it is what the state remembers."""
    if wish.protect is not None:
        return wish.protect
    known = (checker.world.store.at(each) for each in (wish.address, *wish.previously))
    return any(each.protect for each in known if each is not None)


def must_wait(checker: Checker, wish: Wish, terms: Terms) -> bool:
    """Whether an address is held, as the contract says: for a protected agent, a taken seat, or somebody beside it."""
    return (
        seat_is_protected(checker, wish, terms)
        or seat_is_taken(checker, wish, terms)
        or stands_back(checker, wish, terms)
    )


def seat_is_protected(checker: Checker, wish: Wish, terms: Terms) -> bool:
    """Whether a protected agent holds the uid that the files want for another: it stays, and is shown as held.

    Its block may be gone: the protection outlives it. An agent of ours that no state knows stays likewise.
    """
    store = checker.world.store
    wishes = terms.files.wishes
    seat = (wish.channel, wish.uid or names.uid_of(terms.files.mark, wish.address))
    holders = {store.slot(each) for each in checker.live() if (each.channel, each.uid) == seat}
    if not holders:
        return False
    recorded = {names.place_of(each.address): each for each in store.by_id().values()}
    outlived = {at for at, each in recorded.items() if each.protect and each.address not in wishes}
    declared = {names.place_of(e) for at, other in wishes.items() for e in (at, *other.previously)}
    nobodys = {each for each in holders if each not in declared and each not in recorded}
    return bool(holders & outlived or nobodys) or any(
        is_protected(checker, other)
        and address != wish.address
        and holders & {names.place_of(each) for each in (address, *other.previously)}
        for address, other in wishes.items()
    )


def seat_is_taken(checker: Checker, wish: Wish, terms: Terms) -> bool:
    """Whether somebody else's agent holds, or may hold, the address's uid on a service that refuses a second one there.

    Nobody can tell a taken uid from a spent name while somebody else's agent runs in the channel.
    """
    if (
        checker.world.simulator.switches.uid_conflict == "accepted"
        and wish.address not in checker.world.store.refused()
    ):
        return False
    seat = (wish.channel, wish.uid or names.uid_of(terms.files.mark, wish.address))
    refused = wish.address in checker.world.store.refused()
    return any(
        ((each.channel, each.uid) == seat or (refused and each.channel == wish.channel))
        and not checker.is_ours(each, terms.files.mark)
        for each in checker.live()
    )


def stands_back(checker: Checker, wish: Wish, terms: Terms) -> bool:
    """Whether a first join has to wait, since somebody else's agent runs in the channel.

    What has run under this state before is joined again without asking, except beside an agent that was released.
    """
    if wish.may_join_beside or wish.address in terms.beside:
        return False
    store = checker.world.store
    earlier = (
        each for each in wish.previously if each not in terms.files.wishes
    )  # what is declared was not renamed
    has_run = wish.address in store.used() or any(store.at(at) for at in (wish.address, *earlier))
    simulator = checker.world.simulator
    # A list shows for a while what has just ended, and a run goes by the list at its beginning.
    since = checker.world.time.now - simulator.switches.list_lag_seconds - _A_RUN
    return any(
        each.channel == wish.channel
        and each.end.at > since
        and not checker.is_ours(each, terms.files.mark)
        and (each.agent_id in store.released() or not has_run)
        for each in simulator.world.agents()
    )
