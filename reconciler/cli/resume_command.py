"""Commands to paste: one that continues an unfinished apply, one that applies a saved plan, one for a directory; and
those inside sentences, completed so that they work from where the run was started.

`--allow` and `--replace` are for one run: the command to continue repeats them only for changes still to be made.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Collection, Iterator, Sequence

from reconciler.apply.events import Ledger, Result
from reconciler.cli.options import FleetFlags
from reconciler.model.address import Address
from reconciler.plan.change import Action
from reconciler.plan.selection import matching
from reconciler.report.escape import visible

# A command inside a sentence. The words may have been folded, so that they are on two lines.
_IN_SENTENCE = re.compile(r"(`reconciler\s+(?:↳ )?)(adopt|forget|apply|destroy|doctor|plan|status)\b([^`]*`)")
_ON_ADDRESS = frozenset({"adopt", "forget"})

# The kinds of change that each limit is raised for; a limit is repeated only if such a change is still to be made.
_KINDS = {
    "hang_ups": {Action.LEAVE, Action.REPLACE},
    "leave": {Action.LEAVE},
    "replace": {Action.REPLACE},
    "join": {Action.JOIN},
    "quota": {Action.JOIN},
    "usd_per_day": {Action.JOIN},
}
_COUNTED = frozenset({"hang_ups", "leave", "replace", "join"})


def resume(arguments: Sequence[str], ledger: Ledger, held: Collection[str] = ()) -> str:
    """Return the command that continues an apply; empty if only holds are left, which a new run does not lift.

    `held` are the addresses that a saved plan showed as held: a new run of that plan does not change them either.
    """
    is_over = ledger.broken is None and not ledger.interrupted
    if is_over and all(address in held for address, _ in _open(ledger)):
        return ""
    return visible(f"reconciler {shlex.join(_words(arguments, ledger))}")


def apply_saved(fleet: FleetFlags, out: str, allows: Sequence[tuple[str, str]] = ()) -> str:
    """Return the command that applies a saved plan, with its fleet, environment, variables, state and allowances."""
    words = ["reconciler", "apply"]
    last = ["--", fleet.directory] if fleet.directory.startswith("-") else []
    if fleet.directory != "." and not last:
        words.append(fleet.directory)
    words += [*_choosing(fleet), "--plan", out]
    for name, value in allows:  # a saved plan does not hold allowances
        words += ["--allow", f"{name}={value}"]
    return visible(shlex.join([*words, *last]))


def on_directory(verb: str, directory: str) -> str:
    """Return a command on a directory, whose name may begin with `-` as an option does."""
    last = ["--", directory] if directory.startswith("-") else [directory]
    return visible(shlex.join(["reconciler", verb, *last]))


def completed(text: str, fleet: FleetFlags) -> str:
    """Return a text for a terminal in which the commands name the fleet's directory, environment, variables and state.

    A command that names its directory already is left as it is.
    """
    directory = f"./{fleet.directory}" if fleet.directory.startswith("-") else fleet.directory
    others = _choosing(fleet)

    def complete(found: re.Match[str]) -> str:
        begin, verb, rest = found.groups()
        where = [] if directory == "." else ["-C", directory] if verb in _ON_ADDRESS else [directory]
        if where and shlex.quote(directory) in rest[:-1].split():
            return found[0]
        return begin + visible(" ".join([verb, *map(shlex.quote, [*where, *others])])) + rest

    return _IN_SENTENCE.sub(complete, text)


def _choosing(fleet: FleetFlags) -> list[str]:
    """Return the options that choose a fleet's environment, variables and state."""
    words = ["-e", fleet.environment] if fleet.environment is not None else []
    for name, value in fleet.variables:
        words += ["--var", f"{name}={value}"]
    return [*words, "--state", fleet.state] if fleet.state is not None else words


def _open(ledger: Ledger) -> list[tuple[str, Action]]:
    """Return the changes that another apply would continue with: all that are neither done nor held."""
    return [
        (str(each.address), each.action)
        for each in ledger.finished
        if each.result not in (Result.DONE, Result.HELD)
    ]


def _words(arguments: Sequence[str], ledger: Ledger) -> Iterator[str]:
    """Yield the run's arguments, with `--allow` and `--replace` reduced to changes that are still to be made."""
    left = iter(arguments)
    todo = _open(ledger)
    for word in left:
        flag, equals, value = word.partition("=")
        if flag not in ("--allow", "--replace"):
            yield word
            if word == "--":
                yield from left
            continue
        value = value if equals else next(left, "")
        if flag == "--allow":
            yield from _allowed(value, todo)
        else:
            yield from _replaced(value, todo, {each.address for each in ledger.finished})


def _allowed(value: str, todo: Sequence[tuple[str, Action]]) -> Iterator[str]:
    name, _, amount = value.partition("=")
    limit = name.strip().replace("-", "_")
    kinds = _KINDS.get(limit)
    count = sum(1 for _, action in todo if kinds is None or action in kinds)
    if not count:
        return
    if limit in _COUNTED and amount.isdigit():
        amount = str(min(int(amount), count))
    yield from ("--allow", f"{name}={amount}")


def _replaced(
    selector: str, todo: Sequence[tuple[str, Action]], addresses: Collection[Address]
) -> Iterator[str]:
    meant = {str(each) for each in matching(selector, addresses)}
    for address, action in todo:
        if action in (Action.REPLACE, Action.JOIN) and address in meant:
            yield from ("--replace", glob.escape(address))
