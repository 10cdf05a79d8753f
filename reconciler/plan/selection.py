"""Which addresses a run is about: `--target`, `--exclude` and `--replace`, matched against the addresses there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from reconciler.diagnostics import nearby
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.values import dataclass


def matching(selector: str, addresses: Collection[Address]) -> frozenset[Address]:
    """The addresses that a selector means: the one that equals it, else those that it matches as a shell-style glob.

    Channel names may contain `[`, `]` and `?`. So an address that is typed as it was printed must never be read as a
    pattern: `room[1]/a` as a pattern matches `room1/a`, and another agent would be hung up on.
    """
    exact = frozenset(each for each in addresses if str(each) == selector)
    return exact or frozenset(each for each in addresses if fnmatchcase(str(each), selector))


def matching_any(selectors: Iterable[str], addresses: Collection[Address]) -> frozenset[Address]:
    """The addresses that at least one of the selectors means."""
    return frozenset().union(*(matching(each, addresses) for each in selectors))


@dataclass(frozen=True, slots=True)
class Selection:
    """The selectors of one run, as typed: addresses or globs over `channel/name`. No target means all addresses."""

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def selected(self, addresses: Collection[Address]) -> frozenset[Address]:
        """The addresses that the run is about."""
        wanted = matching_any(self.targets, addresses) if self.targets else frozenset(addresses)
        return wanted - matching_any(self.excludes, addresses)

    def forced(self, addresses: Collection[Address]) -> frozenset[Address]:
        """The addresses whose agents are replaced whatever their differences are."""
        return matching_any(self.replaces, addresses)

    def check(self, addresses: Collection[Address]) -> None:
        """Raise `UsageError` for a selector that matches nothing."""
        check_selectors("--target", self.targets, addresses)
        check_selectors("--exclude", self.excludes, addresses)
        check_selectors("--replace", self.replaces, addresses)


def nearest_addresses(address: Address, known: Iterable[Address]) -> str:
    """The known addresses that come nearest, as arguments of a command line; empty where none is known."""
    texts = {str(each): each.argument for each in known}
    return ", ".join(texts[each] for each in nearby(str(address), texts))


def check_selectors(flag: str, selectors: Iterable[str], addresses: Collection[Address]) -> None:
    """Raise `UsageError` for a selector of a flag that matches nothing, naming the nearest addresses."""
    for selector in selectors:
        if not matching(selector, addresses):
            texts = {str(each): each.quoted for each in addresses}
            near = [texts[each] for each in nearby(selector, texts)]
            rest = ", …" if len(texts) > len(near) else ""
            raise UsageError(
                f'{flag} "{selector}" matches no agent; nothing was done',
                hint=f"an address is <channel>/<agent>; this fleet has {', '.join(near)}{rest}",
            )
