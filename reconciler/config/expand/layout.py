"""Read a fleet's files into blocks that keep their places, and check that each key is allowed where it is.

Only our own keys are known here; `properties` are the service's. All values are still as the files write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from reconciler.config.expand.layers import Layer, Place, deciding
from reconciler.config.files.documents import Document
from reconciler.config.keys import IGNORED, KEYS, MAY_IGNORE, MEANT
from reconciler.config.value_types import Shape
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problems, did_you_mean
from reconciler.model.tree import Path, Tree
from reconciler.values import dataclass

PRICE = "usd_per_minute"


@dataclass(slots=True)
class Section:
    """One mapping of our own keys in one file."""

    document: Document
    tree: Mapping[str, Tree]

    def get(self, key: str) -> Tree:
        return self.tree.get(key)

    def place(self, path: Path) -> Place:
        """Return the place of a path below this mapping, or of as much of it as there is."""
        layers = [Layer("", self.document, self.tree)]
        while (place := deciding(layers, path)) is None:
            path = path[:-1]
        return place

    def sub(self, key: str) -> Section | None:
        """Return the mapping under a key, or None."""
        value = self.tree.get(key)
        return Section(self.document, value) if isinstance(value, dict) else None

    def items(self, key: str) -> Iterator[Section]:
        """Yield the mappings of the list under a key."""
        value = self.tree.get(key)
        for each in value if isinstance(value, list) else ():
            if isinstance(each, dict):
                yield Section(self.document, each)


@dataclass(slots=True)
class ChannelBlock:
    """One channel and its agents as a file writes them; with a loop each stands for several."""

    section: Section
    agents: list[Section]


@dataclass(slots=True)
class AgentsFile:
    """The channels of one file."""

    section: Section
    channels: list[ChannelBlock]


@dataclass(slots=True)
class FleetFile:
    """The parts of fleet.yaml. Missing parts are empty."""

    section: Section
    profiles: dict[str, Section] = field(default_factory=dict)
    environments: dict[str, Section | None] = field(default_factory=dict)
    ignored: list[Section] = field(default_factory=list)
    freezes: list[Section] = field(default_factory=list)


def read_fleet(document: Document, problems: Problems) -> FleetFile:
    """Return fleet.yaml's parts; problems of its shape are added to `problems`."""
    section = Section(document, document.root)
    _check(section, "fleet.yaml", problems)
    fleet = FleetFile(section)
    for key in ("defaults", "service", "limits", "archive"):
        part = section.sub(key)
        if part is not None:
            _check(part, key, problems)
    for key, entries in (("ignore", fleet.ignored), ("freeze", fleet.freezes)):
        _check_items(section, key, problems)
        for entry in section.items(key):
            _check(entry, key, problems)
            entries.append(entry)
    for name, each in _named(section, "profiles", problems):
        if each is not None:
            _check(each, "profile", problems)
            fleet.profiles[name] = each
    for name, each in _named(section, "environments", problems):
        fleet.environments[name] = each
        if each is not None:
            _check_environment(each, problems)
    return fleet


def read_policy(section: Section, problems: Problems) -> list[Section]:
    """Return a policy's freezes; problems of its shape are added to `problems`."""
    _check(section, "policy", problems)
    for key, value in section.tree.items():
        if (
            value is None
        ):  # anywhere else that is as if the key were not there: here it would lift a restriction
            where = section.document.key(section.tree, key)
            problems.error("wrong-type", f"{key} is empty", where, help="fill it in, or remove it", path=key)
    limits = section.sub("limits")
    if limits is not None:
        _check(limits, "limits", problems)
        if PRICE in limits.tree:
            where = limits.document.key(limits.tree, PRICE)
            problems.error("unknown-key", f"{PRICE} is a price, and a policy sets none", where, path=PRICE)
    _check_items(section, "freeze", problems)
    freezes = list(section.items("freeze"))
    for each in freezes:
        _check(each, "freeze", problems)
    return freezes


def read_agents(document: Document, problems: Problems, *, section: str = "agents file") -> AgentsFile:
    """Return the channels of a file; with `section="fleet.yaml"` those in fleet.yaml."""
    root = Section(document, document.root)
    if section != "fleet.yaml":
        _check(root, section, problems)
    channels = []
    for channel in root.items("channels"):
        _check(channel, "channel", problems)
        agents = list(channel.items("agents"))
        for agent in agents:
            _check(agent, "agent", problems)
        _check_items(channel, "agents", problems)
        channels.append(ChannelBlock(channel, agents))
    _check_items(root, "channels", problems)
    return AgentsFile(root, channels)


def _check_environment(section: Section, problems: Problems) -> None:
    _check(section, "environment", problems)
    for key in ("service", "limits", "overrides"):
        part = section.sub(key)
        if part is not None:
            _check(part, key, problems)


def _named(section: Section, key: str, problems: Problems) -> Iterator[tuple[str, Section | None]]:
    """Yield the mappings under a key by name; an empty one is None."""
    tree = section.get(key)
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if value is None or isinstance(value, dict):
            yield name, Section(section.document, value) if value is not None else None
        else:
            problems.error(
                "wrong-type",
                Shape.MAPPING.refusal(f"{key}.{name}", value)[0],
                section.document.key(tree, name),
                path=f"{key}.{name}",
            )


def _check(section: Section, name: str, problems: Problems) -> None:
    """Report unknown keys, values of the wrong shape, templates in static keys, and missing keys."""
    known = KEYS[name]
    document, tree = section.document, section.tree
    for key, value in tree.items():
        declared = known.get(key)
        if declared is None and name in MAY_IGNORE and key.startswith(IGNORED):
            continue
        if declared is None:
            _unknown(section, name, key, problems)
        elif value is not None and not declared.type.shape.fits(value):
            summary, help = declared.type.shape.refusal(key, value)
            problems.error("wrong-type", summary, document.key(tree, key), help=help, path=key)
        elif declared.static and _has_template(value):
            problems.error(
                "template-not-allowed",
                f"{key} cannot be a template",
                document.value(tree, key),
                why="it is read before anything is rendered",
                help="write the value itself; environments may set service, limits and variables",
                path=key,
            )
    for key, declared in known.items():
        if declared.required and tree.get(key) is None:
            problems.error(
                "missing-key",
                f'{"this " if name != "fleet.yaml" else ""}{name} has no "{key}"',
                document.at(tree),
                path=key,
            )


def _unknown(section: Section, name: str, key: str, problems: Problems) -> None:
    known = KEYS[name]
    meant = MEANT.get(key)
    hint = f'did you mean "{meant}"?' if meant in known else did_you_mean(key, known)
    if hint is None and name in ("agent", "profile", "defaults", "overrides"):
        hint = "the service's own fields belong under properties"
    problems.error(
        "unknown-key",
        f'"{key}" is not a key of {_article(name)}',
        section.document.key(section.tree, key),
        help=hint or f"known: {', '.join(known)}",
        path=key,
    )


def _article(name: str) -> str:
    if name in (
        "fleet.yaml",
        "defaults",
        "overrides",
        "limits",
        "service",
        "lifecycle",
        "ignore",
        "freeze",
        "archive",
    ):
        return name
    return f"{'an' if name[0] in 'ae' else 'a'} {name}"


def _check_items(section: Section, key: str, problems: Problems) -> None:
    value = section.get(key)
    for index, each in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(each, dict):
            problems.error(
                "wrong-type",
                Shape.MAPPING.refusal(f"{key}[{index}]", each)[0],
                section.document.key(value, index),
                path=key,
            )


def _has_template(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_template, value.values()))
    if isinstance(value, list):
        return any(map(_has_template, value))
    return isinstance(value, Templated)


def names(value: object) -> list[str]:
    """Return a name or a list of names as a list."""
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, list) else []


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
