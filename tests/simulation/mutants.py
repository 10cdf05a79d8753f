"""The planted bugs B1 to B30, L1 to L4 of the log, and C1 to C3 of a controller: what the simulation must turn red on, or its green proves nothing.

A mutant is a rewriting of the sources as they are imported, in a process of its own: nothing of it is in the package,
and a snippet that is not found any more fails the run, so that no mutant quietly dies. Some bugs live where no random
life can meet them (the disk, a token's unit); those name the directed check that catches them.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

# How many seeds a planted bug may need.
BUDGET = 300


@dataclass(frozen=True, slots=True)
class Edit:
    """One snippet of one module, and what the bug makes of it."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug. `check` names the directed check that must catch it; empty: random lives must."""

    key: str
    title: str
    edits: tuple[Edit, ...]
    check: str = ""
    pending: str = ""


def _calls(old: str, new: str) -> Edit:
    return Edit("reconciler.apply.calls", old, new)


def _joining(old: str, new: str) -> Edit:
    return Edit("reconciler.apply.joining", old, new)


def _listing(old: str, new: str) -> Edit:
    return Edit("reconciler.providers.agora.listing", old, new)


def _questions(old: str, new: str) -> Edit:
    return Edit("reconciler.providers.agora.list_questions", old, new)


_CAS = "        if expected != self._view.serial:\n"
_FENCE = Edit("reconciler.state.memory", _CAS, "        if False:\n")

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "B1",
        "random name suffix",
        (
            _joining(
                "        prepared: Prepared = yield from context.provider.prepare_join(order_of(intent, token_ttl))\n",
                "        from reconciler.ports import Random\n        luck = yield Random()\n"
                "        order = replace(order_of(intent, token_ttl), name=f'{intent.name}{int(luck * 999)}')\n"
                "        prepared: Prepared = yield from context.provider.prepare_join(order)\n",
            ),
        ),
    ),
    Mutant(
        "B2",
        "rename on 409",
        (
            _joining(
                "                return (yield from _resolve_conflict(context, intent, outcome))\n",
                "                yield from _give_up_name(context, intent)\n                return None\n",
            ),
        ),
    ),
    Mutant(
        "B3",
        "409 is an error",
        (
            _joining(
                "                return (yield from _resolve_conflict(context, intent, outcome))\n",
                '                yield from context.journal.conclude(intent, change="join", result="failed")\n'
                "                raise ChangeFailed(outcome.detail)\n",
            ),
        ),
    ),
    Mutant(
        "B4",
        "default list window",
        (
            _questions(
                'window = (("from_time", str(self.since)), ("to_time", str(self.until)))',
                "window = ()",
            ),
        ),
        check="old agents",
    ),
    Mutant(
        "B5",
        "list only RUNNING",
        (_questions('("1", RECOVERING, "2", "0", "3"), 80', '("2",), 80'),),
        check="starting agent",
    ),
    Mutant(
        "B6",
        "ignore meta.total",
        (
            _listing(
                "    _require_complete(what, len(rows), totals, shown, settled=question.settled)\n",
                "    pass\n",
            ),
        ),
        check="short list",
    ),
    Mutant(
        "B7",
        "intent after the call",
        (
            _joining(
                "            yield from context.journal.intend(intent)\n        else:\n"
                "            intent = yield from context.journal.repeat(intent)\n"
                "        outcome = yield from context.provider.join(prepared)\n",
                "            pass\n        outcome = yield from context.provider.join(prepared)\n"
                "        if attempt == 0 and not resumed:\n            yield from context.journal.intend(intent)\n",
            ),
        ),
    ),
    Mutant(
        "B8",
        "result before the call",
        (
            _calls(
                "        outcome = yield from context.provider.leave(agent_id)\n",
                "        yield from conclude_gone(context, intent)\n        outcome = yield from context.provider.leave(agent_id)\n",
            ),
        ),
    ),
    Mutant("B9", "no CAS", (_FENCE,)),
    Mutant(
        "B10",
        "CAS, but continue on failure",
        (
            Edit(
                "reconciler.apply.journal",
                "            self._lost = problem\n            raise\n",
                "            pass\n",
            ),
        ),
    ),
    Mutant(
        "B11",
        "write in place, without a journal",
        (
            Edit(
                "reconciler.state.database",
                'connection.execute("pragma journal_mode = wal")',
                'connection.execute("pragma journal_mode = off")',
            ),
            Edit(
                "reconciler.state.database",
                'synchronous = full")\n    return',
                'synchronous = full")\n    connection.execute("pragma journal_mode = off")\n    return',
            ),
        ),
        check="disk",
    ),
    Mutant(
        "B12",
        "skip fsync",
        (
            Edit(
                "reconciler.state.database",
                'synchronous = full")\n    return',
                'synchronous = off")\n    return',
            ),
        ),
        check="disk",
    ),
    Mutant(
        "B13",
        "skip fsync of the directory",
        (Edit("reconciler.state.database", "    files.sync_directory(path.parent)\n", ""),),
        check="disk",
    ),
    Mutant(
        "B14",
        "an error on the list is an empty list",
        (
            _listing(
                "        self._client.fail(what, result, request)\n",
                "        return replies.Page((), 0, '')\n",
            ),
        ),
        check="list times out",
    ),
    Mutant(
        "B15",
        "retry 504 with a new generation",
        (
            _joining(
                "                    intent = yield from context.journal.mark_unknown(intent)\n",
                "                    yield from _give_up_name(context, intent)\n                    return None\n",
            ),
        ),
    ),
    Mutant(
        "B16",
        "leave by name",
        (
            _calls(
                "        outcome = yield from context.provider.leave(agent_id)\n",
                "        holder = yield from _by_slot(context, name, address.channel)\n"
                "        outcome = yield from context.provider.leave(holder.agent_id if holder else agent_id)\n",
            ),
            _calls(
                "def await_gone(",
                "def _by_slot(context: Context, name: str, channel: str):\n"
                "    found = []\n"
                "    for row in (yield from context.provider.live_agents(channel=channel)):\n"
                "        agent = yield from context.provider.query(row.agent_id)\n"
                "        if agent and agent.name and agent.name.rpartition('.')[0][:-10] == name.rpartition('.')[0][:-10]:\n"
                "            found.append(agent)\n"
                "    return max(found, key=lambda each: each.started_at, default=None)\n\n\ndef await_gone(",
            ),
        ),
    ),
    Mutant(
        "B17",
        "leave without a query that shows whose it is",
        (
            _calls(
                "    agent = yield from prove_ours(context, agent_id, address, adopted_as)\n    if agent is None:\n"
                "        yield from conclude_gone(context, intent)\n        return\n"
                "    yield from archive_before_leave(context, agent, address)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "B18",
        "drop an unknown intent at once",
        (
            _joining(
                "                if attempt + 1 < attempts:\n                    yield from backoff(context, attempt)\n",
                '                yield from context.journal.conclude(intent, change="join", result="failed")\n'
                '                raise ChangeFailed("unknown", unknown=True)\n',
            ),
        ),
    ),
    Mutant(
        "B19",
        "adopt whoever a 409 names",
        (
            _joining(
                "        elif agent.name == intent.name and agent.agent_id not in",
                "        elif agent.agent_id not in",
            ),
        ),
        check="foreign holder",
    ),
    Mutant(
        "B20",
        "partial params",
        (
            Edit(
                "reconciler.providers.agora.wire",
                "        node[str(path[-1])] = fill(order.values[path], values)\n",
                "        whole = fill(order.values[path], values)\n"
                "        if isinstance(whole, dict):\n"
                "            whole = {key: each for key, each in whole.items() if key != 'model'}\n"
                "        node[str(path[-1])] = whole\n",
            ),
        ),
    ),
    Mutant(
        "B21",
        "retry without a budget",
        (
            Edit(
                "reconciler.providers.agora.call_sender",
                "            if not again or not self._budget.take():\n",
                "            if not again:\n",
            ),
        ),
        check="flaky reads",
    ),
    Mutant(
        "B22",
        "ignore Retry-After",
        (
            Edit(
                "reconciler.providers.agora.call_sender",
                "        asked = retry_after(reply.headers)\n        if asked",
                "        asked = None\n        if asked",
            ),
        ),
    ),
    Mutant(
        "B23",
        "wall clock for the lease",
        (
            Edit(
                "reconciler.state.lease",
                "                self._seen, self._seen_at = found, time.monotonic()\n",
                "                age = time.time() - os.fstat(os.open(self.path, os.O_RDONLY)).st_mtime\n"
                "                self._seen, self._seen_at = found, time.monotonic() - age\n",
            ),
        ),
        check="lease",
    ),
    Mutant(
        "B24",
        "token TTL in milliseconds",
        (
            Edit(
                "reconciler.providers.agora.tokens",
                "    if not 0 < ttl <= MAX_TTL:\n",
                "    ttl *= 1000\n    if not 0 < ttl:\n",
            ),
        ),
    ),
    Mutant(
        "B25",
        "follow a redirect with Authorization",
        (
            Edit(
                "reconciler.driver.http",
                "        reply = await transport.handle_async_request(prepared)\n",
                "        client = httpx.AsyncClient(transport=transport, follow_redirects=True)\n"
                "        reply = await client.send(prepared, stream=True)\n",
            ),
        ),
        check="redirect",
    ),
    Mutant(
        "B26",
        "say what the service said of the request, secrets and all",
        (
            Edit(
                "reconciler.providers.agora.errors",
                '    text = clean(f"{head}: {error.detail}" if error.detail else head, secrets)\n',
                '    text = f"{head}: {error.detail}"\n',
            ),
        ),
        check="echoed secret",
    ),
    Mutant(
        "B27",
        "hash secrets unsalted",
        (Edit("reconciler.model.fingerprint", "hmac.new(key, ", 'hmac.new(b"", '),),
        check="digests",
    ),
    Mutant(
        "B28",
        "an empty fleet means: leave everything",
        (Edit("reconciler.plan.build", "    if not fleet.agents and not allow_empty:\n", "    if False:\n"),),
        check="empty fleet",
    ),
    Mutant(
        "B29",
        "serial rises on a no-op",
        (
            Edit(
                "reconciler.apply.journal",
                "        if not writes:\n            return\n",
                "",
            ),
        ),
    ),
    Mutant(
        "B30",
        "plan file trusted",
        (
            Edit(
                "reconciler.workflow.applying",
                "        approved is not None\n        and approved.digest != intended.digest\n",
                "        False\n",
            ),
        ),
        check="approved",
    ),
    # Lives have their state in memory: the log has lives of its own (`logs.py`).
    Mutant(
        "L1",
        "a key that exists is a commit lost",
        (
            Edit(
                "reconciler.state.log.store",
                "        if outcome is not Creation.MADE:\n",
                "        if outcome is Creation.EXISTS:\n"
                "            raise self._moved_on(header.serial, expected, '')\n"
                "        if outcome is not Creation.MADE:\n",
            ),
        ),
        check="log",
    ),
    Mutant(
        "L2",
        "whoever's entry is there is taken for ours",
        (
            Edit(
                "reconciler.state.log.store",
                "        if there.nonce != header.nonce:\n",
                "        if False:\n",
            ),
        ),
        check="log",
    ),
    Mutant(
        "L3",
        "snapshot before its last entry",
        (
            Edit(
                "reconciler.state.log.store",
                "        outcome = self.drawer.create(key, data)\n",
                "        from copy import deepcopy\n        early = deepcopy(self._replay)\n"
                "        early.advance(header, writes, texts)\n"
                "        if header.serial - self._replay.snapshot >= SNAPSHOT_EVERY:\n"
                "            self.drawer.create(snapshot_key(header.serial), early.as_snapshot())\n"
                "        outcome = self.drawer.create(key, data)\n",
            ),
        ),
        check="log",
    ),
    Mutant(
        "L4",
        "a lease ends by its holder's clock",
        (
            Edit(
                "reconciler.state.log.ref_lease",
                "        if not is_free and now - self._seen_at < self.seconds:\n",
                "        ask(self._git, 'fetch', '--quiet', '--', self._remote, self._ref)\n"
                "        signed = ask(self._git, 'show', '-s', '--format=%ct', found or 'HEAD').text\n"
                "        if not is_free and time.time() - float(signed) < self.seconds:\n",
            ),
        ),
        check="ref lease",
    ),
    # What only a controller does, and lives of single runs do not meet (`days.py`).
    Mutant(
        "C1",
        "a turn waits while it holds the lock",
        (
            Edit(
                "reconciler.controller.turn",
                "wait=0.0, farewell=0.0, attempts=1, turn=SECONDS",
                "wait=120.0, farewell=150.0",
            ),
        ),
        check="controllers",
    ),
    Mutant(
        "C2",
        "a knock is ignored",
        (
            Edit(
                "reconciler.apply.context",
                "        elif (yield Knocked()):\n",
                "        elif (yield Knocked()) and False:\n",
            ),
        ),
        check="controllers",
    ),
    Mutant(
        "C3",
        "a restart resets the counters",
        (
            Edit(
                "reconciler.controller.loop",
                "replace(self.job.policy, last_call=LAST_CALL)",
                "replace(self.job.policy, last_call=LAST_CALL, heal_stops=1 if self.roll.made > 2 else None)",
            ),
        ),
        check="controllers",
    ),
)
BY_KEY = {each.key: each for each in MUTANTS}


class NotFound(Exception):
    """A snippet is not in its module any more: the mutant has to be written anew."""


def rewritten(source: str, edits: Sequence[Edit]) -> str:
    """A module's source with its edits. Raises `NotFound`."""
    for edit in edits:
        if edit.old not in source:
            raise NotFound(f"{edit.module} has no {edit.old!r}")
        source = source.replace(edit.old, edit.new, 1)
    return source


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> object:  # type: ignore[override]  # no caching of mutants' bytecode
        source = rewritten(self.get_data(self.path).decode(), self._edits)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        edits = [each for each in self._mutant.edits if each.module == fullname]
        if not edits:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            raise NotFound(f"there is no module {fullname}")
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(fullname, spec.origin, edits)
        )


def plant(key: str) -> Mutant:
    """Put a mutant in place, in a process that has imported nothing of the package yet."""
    if any(name.startswith("reconciler") for name in sys.modules):
        raise RuntimeError("a mutant has to be planted before anything is imported")
    sys.meta_path.insert(0, _Finder(BY_KEY[key]))
    return BY_KEY[key]
