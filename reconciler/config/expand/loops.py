"""Turn compiled blocks into plain trees: run loops, evaluate conditions, render every template.

The result is plain data without anything of the files, of Jinja or of this process: this runs in a `worker` that may be
killed, and yields agents as they are rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from reconciler.config.expand.blocks import CompiledAgent, CompiledBody, CompiledChannel, CompiledFile, Loop
from reconciler.config.expand.composer import Composer, declared_names
from reconciler.config.expand.layout import Section, names
from reconciler.config.expand.variables import Level, VariableScope
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import Missing
from reconciler.config.value_types import Shape
from reconciler.config.words import shown, switch_help, template_help
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Problems
from reconciler.model.tree import Path, Tree

# The number of agents in one batch; data that they share is sent once.
BATCH = 256


class TooMany(Exception):
    """The files ask for more agents than `LoadLimits.agents`; rendering stops."""


class RenderedAgent(NamedTuple):
    """One rendered agent: its block (by number), its choice of profiles, and its outline's open values.

    `failed` are the paths of values that are missing because their templates failed, which was reported.
    """

    block: int
    profiles: tuple[str, ...]
    channel: Tree
    name: Tree
    values: list[Tree]
    failed: tuple[Path, ...] = ()


class Expansion:
    """Runs the loops of all files for one fleet and environment; `root` is the scope of the fleet's variables."""

    def __init__(
        self, composer: Composer, root: VariableScope, problems: Problems, progress: WorkProgress, most: int
    ) -> None:
        self.composer = composer
        self.root = root
        self.shared = root.shared
        self.problems = problems
        self.progress = progress
        self.most = most
        self._made = 0
        self._blocks = 0
        self._checked: set[int] = set()

    def run(self, files: Sequence[CompiledFile]) -> Iterator[list[RenderedAgent]]:
        """Yield every agent of every file, in their order, in batches; blocks are numbered as in `agent_blocks`."""
        batch: list[RenderedAgent] = []
        try:
            for instance in self._instances(files):
                batch.append(instance)
                if len(batch) >= BATCH:
                    yield batch
                    batch = []
        except TooMany:
            pass
        yield batch

    def _instances(self, files: Sequence[CompiledFile]) -> Iterator[RenderedAgent]:
        for file in files:
            outer = VariableScope(self.shared, file.level, self.root, {})
            for channel in file.channels:
                numbers = range(self._blocks, self._blocks + len(channel.agents))
                self._blocks = numbers.stop
                self.progress.at(numbers.start)
                for scope in self._channels(channel, outer):
                    for number, agent in zip(numbers, channel.agents, strict=True):
                        self.progress.at(number)
                        for each in self._agents(agent, scope):
                            instance = self._instance(number, agent, each)
                            self.progress.at(number)
                            if instance is not None:
                                yield instance

    def _channels(self, channel: CompiledChannel, outer: VariableScope) -> Iterator[VariableScope]:
        own = {} if channel.name is None else {"channel": channel.name}
        for scope in self._items(channel.loop, channel.level, outer, own):
            scope.ensure(("channel",))
            if self._wanted(channel.loop, scope):
                yield scope

    def _agents(self, agent: CompiledAgent, outer: VariableScope) -> Iterator[VariableScope]:
        own = {} if agent.name is None else {"agent": agent.name}
        for scope in self._items(agent.loop, agent.level, outer, own):
            scope.ensure(("agent",))
            if not self._wanted(agent.loop, scope):
                continue
            self._made += 1
            if self._made > self.most:
                self._report(agent.section, "name", "too-many-agents", f"more than {self.most:,} agents")
                raise TooMany
            yield scope

    def _instance(self, number: int, agent: CompiledAgent, scope: VariableScope) -> RenderedAgent | None:
        """Return one agent rendered; None if its profiles are not known, which was reported."""
        profiles = self._profiles(agent, scope)
        if profiles is None:
            return None
        protected = None
        body = self.composer.body(agent, profiles, None)
        if body.declares is not None:
            protected = declared_names(scope.render(body.declares))
            body = self.composer.body(agent, profiles, protected)
        if body.protected and id(body) not in self._checked:
            self._checked.add(id(body))
            self._clash(body, scope)
        before = self.shared.count
        scope.ensure(body.program.needs)
        values = body.program.values(scope)
        failed: list[Path] = []
        if self.shared.count > before:
            values = body.program.without_failed(values, failed)
        channel = _known(scope.names.get("channel"), ("channel",), failed)
        name = _known(scope.names.get("agent"), ("name",), failed)
        return RenderedAgent(number, profiles, channel, name, values, tuple(failed))

    def _profiles(self, agent: CompiledAgent, scope: VariableScope) -> tuple[str, ...] | None:
        before = self.shared.count
        value = scope.render(agent.profile)
        if self.shared.count > before:
            return None
        where = agent.section.document
        if value is not None and not Shape.NAMES.fits(value):
            summary, help = Shape.NAMES.refusal("profile", value)
            source = agent.section.tree.get("profile")
            if isinstance(source, list) and isinstance(value, list):
                pairs = zip(source, value, strict=True)
                source = next(each for each, given in pairs if not isinstance(given, str))
            self.problems.error(
                "wrong-type",
                summary,
                where.value(agent.section.tree, "profile"),
                help=template_help(source) if help and isinstance(source, Templated) else help,
            )
            return None
        chosen = tuple(names(value))
        known = self.composer.profiles
        for name in chosen:
            if name not in known:
                self.problems.error(
                    "unknown-profile",
                    f'no profile is called "{name}"',
                    where.value(agent.section.tree, "profile"),
                    help=known.suggestion(name),
                )
                return None
        return chosen

    def _items(
        self, loop: Loop, level: Level, outer: VariableScope, own: dict[str, Any]
    ) -> Iterator[VariableScope]:
        """Yield a scope for each item of a loop, or one if there is no loop."""
        if loop.items is None:
            yield VariableScope(self.shared, level, outer, own)
            return
        before = self.shared.count
        items = outer.render(loop.items)
        if self.shared.count > before or loop.items.needs & self.shared.failed:
            return
        if isinstance(items, dict):
            items = [{"key": key, "value": value} for key, value in items.items()]
        if not isinstance(items, list):
            self._report(
                loop.section,
                "for_each",
                "wrong-type",
                f"for_each must be a list or a mapping, not {shown(items)}",
            )
            return
        name = loop.name
        for index, item in enumerate(items):
            scope = VariableScope(self.shared, level, outer, {**own, name: item})
            scope.subject = (
                f"{scope.subject}, {name}" if scope.subject else f"in item {index} of for_each, {name}"
            )
            yield scope

    def _wanted(self, loop: Loop, scope: VariableScope) -> bool:
        if loop.when is None:
            return True
        before = self.shared.count
        value = scope.render(loop.when)
        if value is True or value is False:
            return value
        if self.shared.count == before and not loop.when.needs & self.shared.failed:
            self._report(
                loop.section,
                "when",
                "not-boolean",
                f"when must be true or false, not {shown(value)}",
                help=switch_help(value) if isinstance(value, str) else 'compare: "{{ hotel.stars > 3 }}"',
            )
        return False

    def _clash(self, body: CompiledBody, scope: VariableScope) -> None:
        for name in sorted(filter(scope.knows, body.protected)):
            place = body.place(("properties", "llm", "template_variables", name))
            self.problems.error(
                "runtime-variable-clash",
                f'"{name}" is a variable of the fleet and of llm.template_variables',
                place.span if place is not None else None,
                why=f"nobody could tell which of the two {{{{{name}}}}} means",
                help="rename one of them",
            )

    def _report(
        self, section: Section | None, key: str, rule: str, summary: str, help: str | None = None
    ) -> None:
        where = section.document.value(section.tree, key) if section is not None else None
        self.problems.error(rule, summary, where, help=help, path=key)


def _known(value: Tree | Missing, path: Path, failed: list[Path]) -> Tree:
    """Return the value of a name; None if it could not be evaluated, and then its path is added to `failed`."""
    if isinstance(value, Missing):
        failed.append(path)
        return None
    return value
