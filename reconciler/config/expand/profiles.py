"""Profiles and those that they extend: which are merged for a choice of profiles, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.config.expand.layout import Section, names
from reconciler.diagnostics import Problems, did_you_mean


class Profiles:
    """The profiles of a fleet by name; cycles and unknown names are reported once, in the constructor."""

    def __init__(self, sections: Mapping[str, Section], problems: Problems) -> None:
        self.sections = sections
        self._problems = problems
        self._orders: dict[str, tuple[str, ...]] = {}
        for name in sections:
            self._order(name, ())

    def __contains__(self, name: str) -> bool:
        return name in self.sections

    def linear(self, chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the chosen profiles with those that they extend, each once, in the order of merging."""
        return tuple(dict.fromkeys(each for name in chosen for each in self._orders.get(name, ())))

    def suggestion(self, name: str) -> str:
        """Return the help for an unknown name: the most similar known one, or all of them."""
        return did_you_mean(name, self.sections) or f"known: {', '.join(self.sections) or 'none'}"

    def _order(self, name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the profiles that a profile extends, then itself; `path` are the profiles that extend it."""
        known = self._orders.get(name)
        if known is not None:
            return known
        section = self.sections[name]
        below: dict[str, None] = {}
        for each in names(section.get("extends")):
            where = section.document.value(section.tree, "extends")
            if each in (*path, name):
                circle = (*path, name)[(*path, name).index(each) :]
                told = " -> ".join((*circle, each))
                self._problems.error(
                    "profile-cycle", f"profiles extend each other: {told}", where, help="break the circle"
                )
            elif each not in self.sections:
                self._problems.error(
                    "unknown-profile", f'no profile is called "{each}"', where, help=self.suggestion(each)
                )
            else:
                below.update(dict.fromkeys(self._order(each, (*path, name))))
        self._orders[name] = (*below, name)
        return self._orders[name]
