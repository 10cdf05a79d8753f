"""The addresses that a run is about: `--target`, `--exclude` and `--replace`, matched against all known addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from reconciler.diagnostics import nearby
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.values import dataclass


def matching(selector: str, addresses: Collection[Address]) -> frozenset[Address]:
    """Return the addresses that a selector matches: the one that equals it, else all that match it as a glob.

    Channel names may contain `[`, `]` and `?`, so an address that is typed as printed must not be read as a pattern:
    `room[1]/a` as a pattern matches `room1/a`, and another agent would be hung up on.
    """
    exact = frozenset(each for each in addresses if str(each) == selector)
    if exact:
        return exact
    pattern = _literal_brackets(selector)
    return frozenset(each for each in addresses if fnmatchcase(str(each), pattern))


def matching_any(selectors: Iterable[str], addresses: Collection[Address]) -> frozenset[Address]:
    """Return the addresses that at least one of the selectors matches."""
    return frozenset().union(*(matching(each, addresses) for each in selectors))


@dataclass(frozen=True, slots=True)
class Selection:
    """The selectors of one run, as typed: addresses or globs over `channel/name`. Without targets all match."""

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def selected(self, addresses: Collection[Address]) -> frozenset[Address]:
        """Return the addresses that the run is about."""
        wanted = matching_any(self.targets, addresses) if self.targets else frozenset(addresses)
        return wanted - matching_any(self.excludes, addresses)

    def forced(self, addresses: Collection[Address]) -> frozenset[Address]:
        """Return the addresses whose agents are replaced even without differences (`--replace`)."""
        return matching_any(self.replaces, addresses)

    def check(self, addresses: Collection[Address]) -> None:
        """Raise `UsageError` for a selector that matches nothing."""
        check_selectors("--target", self.targets, addresses)
        check_selectors("--exclude", self.excludes, addresses)
        check_selectors("--replace", self.replaces, addresses)


def nearest_addresses(address: Address, known: Iterable[Address]) -> str:
    """Return the known addresses that are most similar, as command-line arguments; empty if there are none."""
    texts = {str(each): each.argument for each in known}
    return ", ".join(texts[each] for each in nearby(str(address), texts))


def check_selectors(flag: str, selectors: Iterable[str], addresses: Collection[Address]) -> None:
    """Raise `UsageError` for a selector of a flag that matches nothing, with the most similar addresses."""
    for selector in selectors:
        if not matching(selector, addresses):
            texts = {str(each): each.quoted for each in addresses}
            near = [texts[each] for each in nearby(selector, texts)]
            rest = ", …" if len(texts) > len(near) else ""
            raise UsageError(
                f'{flag} "{selector}" matches no agent; nothing was done',
                hint=f"an address is <channel>/<agent>; this fleet has {', '.join(near)}{rest}",
            )


def _literal_brackets(pattern: str) -> str:
    """Return the same pattern, with each `[` that no `]` closes written as `[[]`.

    fnmatch means the same, but for each such `[` it searches the rest of the pattern for a `]`, which is quadratic.
    """
    at = 0
    while (begin := pattern.find("[", at)) >= 0:
        first = begin + 2 if pattern.startswith("!", begin + 1) else begin + 1
        # A `]` at the first place of a set is a member of the set and does not close it.
        end = pattern.find("]", first + 1)
        if end < 0:
            return pattern[:begin] + pattern[begin:].replace("[", "[[]")
        at = end + 1
    return pattern
