"""Load a fleet's directory into a `DesiredFleet`, or report all of its problems at once.

The order: read the files, compile their blocks, render agents in a process of their own, read each agent as it comes,
check the rules, and give every problem its place. Garbage collection is off meanwhile: a load makes no reference
cycles, and searching its many objects for them takes longer than the load itself.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path as FilePath
from typing import Any

from reconciler.config.expand.agents import read_agent
from reconciler.config.expand.blocks import CompiledAgent, agent_blocks
from reconciler.config.expand.composer import Composer
from reconciler.config.expand.fleet_files import FleetReader
from reconciler.config.expand.layers import Layer
from reconciler.config.expand.layout import FleetFile, Section, read_agents
from reconciler.config.expand.loops import Expansion, RenderedAgent
from reconciler.config.expand.origins import Loaded
from reconciler.config.expand.rendering import Rendering
from reconciler.config.expand.settings import parse_archive, parse_freezes, parse_limits, parse_service
from reconciler.config.expand.variables import Shared, VariableScope, read_given
from reconciler.config.files.documents import FileLimits, Files, Unreadable
from reconciler.config.ignoring import accept, read_entries
from reconciler.config.rules import Rules
from reconciler.config.templates.compiler import Templates
from reconciler.config.templates.worker import WorkerLimits
from reconciler.diagnostics import Problem, Problems, did_you_mean
from reconciler.errors import InvalidConfig
from reconciler.model.address import ENVIRONMENT, FLEET, Address, Owner
from reconciler.model.fingerprint import digest
from reconciler.model.fleet import FLEET_FILE, DesiredFleet
from reconciler.model.spec import AgentSpec
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds on a load; set by the user who runs the command, never by the files.

    `secret_schemes` are further sources that references may name, beside those of `secrets.sources`.
    """

    files: FileLimits = field(default_factory=FileLimits)
    rendering: WorkerLimits = field(default_factory=WorkerLimits)
    agents: int = 1_000_000
    secret_schemes: frozenset[str] = frozenset()


def load(
    directory: FilePath,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    limits: LoadLimits | None = None,
) -> DesiredFleet:
    """Return the fleet that a directory declares for one environment.

    `variables` are the values of `--var`, as YAML scalars. Raises `InvalidConfig` with every problem that could be
    found; warnings are in the fleet.
    """
    return load_all(directory, environment=environment, variables=variables, limits=limits).fleet


def load_all(
    directory: FilePath,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    limits: LoadLimits | None = None,
) -> Loaded:
    """Load as `load` does; return the fleet with what `trace` needs."""
    with _without_collector():
        return _Loading(directory, environment, variables or {}, limits or LoadLimits()).run()


def environments(directory: FilePath) -> tuple[str, ...]:
    """Return the names of the environments that a fleet declares, in its own order."""
    return tuple(FleetReader(Files(directory), Problems()).fleet().environments)


def outline(directory: FilePath, *, environment: str | None = None) -> DesiredFleet | None:
    """Return a fleet without its agents (owner, service and limits); None where the files do not even declare these.

    For files that do not load: their problems are raised by `load`, and not reported again here.
    """
    problems = Problems()
    try:
        fleet = FleetReader(Files(directory), problems).fleet()
    except InvalidConfig:
        return None
    name = fleet.section.get("fleet")
    if (
        not isinstance(name, str)
        or not FLEET.fullmatch(name)
        or environment not in (None, *fleet.environments)
    ):
        return None
    settings = fleet.environments.get(environment) if environment is not None else None
    return DesiredFleet(
        Owner(name, environment),
        {},
        parse_service(_layers("service", fleet.section, settings), problems),
        parse_limits(_layers("limits", fleet.section, settings), problems),
    )


def read_source(directory: FilePath, file: str) -> str | None:
    """Return the text of one of the fleet's files, for reports that show it; None where it cannot be read."""
    try:
        return Files(directory).text(file)
    except Unreadable:
        return None


@contextmanager
def _without_collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Loading:
    """One load: its steps share the files, the problems and the templates."""

    def __init__(
        self, directory: FilePath, environment: str | None, variables: Mapping[str, str], limits: LoadLimits
    ) -> None:
        self.environment = environment
        self.given = variables
        self.problems = Problems()
        self.limits = limits
        self.files = Files(directory, limits.files)
        self.rendering = Rendering(self.files, self.problems, limits.rendering)
        self.shared = Shared(Templates(self.files, self.problems, self.rendering.worker.progress))

    def run(self) -> Loaded:
        reader = FleetReader(self.files, self.problems)
        fleet = reader.fleet()
        fixed = read_given(self.given, self.problems)
        self._check_names(fleet)
        composer = Composer(fleet, self.environment, fixed, self.shared, self.problems)
        builtins = {"fleet": fleet.section.get("fleet"), "environment": self.environment, **fixed}
        root = VariableScope(self.shared, composer.globals, None, builtins)
        own = read_agents(fleet.section.document, self.problems, section=FLEET_FILE)
        compiled = [composer.file(own, variables=False)]
        documents = reader.agents(fleet, lambda name, where: self.rendering.file(name, where, root))
        compiled += [composer.file(read_agents(document, self.problems)) for document in documents]
        expansion = Expansion(
            composer, root, self.problems, self.rendering.worker.progress, self.limits.agents
        )
        instances = self.rendering.agents(expansion, compiled)
        loaded = self._parsed(fleet, composer, agent_blocks(compiled), instances)
        self._check_fixed(fixed, fleet)
        self.files.texts.clear()
        if self.problems.has_errors:
            raise InvalidConfig(self.problems.sorted())
        return loaded

    def _check_names(self, fleet: FleetFile) -> None:
        document, tree = fleet.section.document, fleet.section.tree
        name = tree.get("fleet")
        if isinstance(name, str) and name.__class__ is str and not FLEET.fullmatch(name):
            self.problems.error(
                "fleet-name",
                f'"{name}" cannot be the name of a fleet',
                document.value(tree, "fleet"),
                why="it is a part of every agent's name on the service",
                help="at most 20 lower-case letters, digits and -, beginning with a letter",
            )
        for each in fleet.environments:
            if not ENVIRONMENT.fullmatch(each):
                self.problems.error(
                    "environment-name",
                    f'"{each}" cannot be the name of an environment',
                    document.key(tree["environments"], each),
                    why="it is a part of every agent's name on the service",
                    help="at most 8 lower-case letters, digits and -, beginning with a letter",
                )
        if self.environment is not None and self.environment not in fleet.environments:
            known = ", ".join(fleet.environments) or "none"
            self.problems.error(
                "unknown-environment",
                f'this fleet has no environment "{self.environment}"',
                document.key(tree, "environments") if "environments" in tree else document.at(tree),
                help=did_you_mean(self.environment, fleet.environments)
                or f"{'name one; ' if self.environment == 'all' else ''}declared: {known}",
            )

    def _check_fixed(self, fixed: Mapping[str, Any], fleet: FleetFile) -> None:
        """Report each `--var` that nothing declares or uses; its name is probably misspelt."""
        sections = [fleet.section, *(each for each in fleet.environments.values() if each is not None)]
        declared = {name for each in sections if (part := each.sub("variables")) for name in part.tree}
        used = self.rendering.names | declared
        for name in fixed:
            if name not in used and not self.problems.has_errors:
                help = did_you_mean(name, used) or f"declared: {', '.join(sorted(declared)) or 'none'}"
                summary = f"--var {name}: nothing uses a variable of this name"
                self.problems.error("unknown-variable", summary, None, help=help)

    def _parsed(
        self,
        fleet: FleetFile,
        composer: Composer,
        blocks: list[CompiledAgent],
        instances: Iterable[RenderedAgent],
    ) -> Loaded:
        settings = fleet.environments.get(self.environment) if self.environment is not None else None
        service = parse_service(_layers("service", fleet.section, settings), self.problems)
        limits = parse_limits(_layers("limits", fleet.section, settings), self.problems)
        freezes = parse_freezes(fleet.freezes, self.problems)
        owner = Owner(str(fleet.section.get("fleet")), self.environment)
        rules = Rules(owner, service.area, self.limits.secret_schemes)
        agents: dict[Address, AgentSpec] = {}
        origins: dict[Address, RenderedAgent] = {}
        unplaced: list[tuple[RenderedAgent, Problem]] = []
        loaded = Loaded(DesiredFleet(owner, agents, service, limits), origins, blocks, composer)
        for instance in instances:
            spec, found = read_agent(instance.channel, instance.name, loaded.tree(instance))
            if instance.failed:
                found += rules.values(spec) if spec is not None else []
                unplaced += [(instance, each) for each in found if not _is_of_failed(each, instance)]
                continue
            if spec is not None:
                _, paths = composer.outline(blocks[instance.block], instance.profiles)
                found += rules.agent(spec, paths, instance.values)
                if spec.address in agents:
                    self._duplicate(loaded, instance, spec.address)
                agents[spec.address] = spec
                origins.setdefault(spec.address, instance)
            unplaced += [(instance, problem) for problem in found]
        unplaced += [(origins[address], problem) for address, problem in rules.fleet(agents)]
        for instance, problem in unplaced:
            self.problems.add(loaded.placed(instance, problem))
        accepted, unused = accept(self.problems, read_entries(fleet.ignored, self.problems))
        warnings = tuple(each for each in self.problems.sorted() if not each.is_error)
        loaded.fleet = DesiredFleet(
            owner,
            agents,
            service,
            limits,
            freezes,
            parse_archive(fleet.section.sub("archive"), self.problems),
            self._digest(),
            loaded.locate,
            warnings,
            accepted,
            unused,
            dict(self.files.digests),
        )
        return loaded

    def _duplicate(self, loaded: Loaded, instance: RenderedAgent, address: Address) -> None:
        first = loaded.locate(address, ())
        here = loaded.place(instance, ())
        self.problems.error(
            "duplicate-address",
            f"{address} is declared twice",
            here,
            why="an address is one agent",
            help="rename one of the two, or let the loop's names differ",
            related=((first, "first declared here"),) if first is not None and first != here else (),
        )

    def _digest(self) -> str:
        return digest(
            {"files": self.files.digests, "environment": self.environment, "variables": dict(self.given)}
        )


def _is_of_failed(problem: Problem, instance: RenderedAgent) -> bool:
    """Return whether a problem may be there only because the template of a value failed."""
    at = problem.at if isinstance(problem.at, tuple) else ()
    return any(at[: len(path)] == path or path[: len(at)] == at for path in instance.failed)


def _layers(key: str, *sections: Section | None) -> list[Layer]:
    """Return the mappings under one key, from the lowest layer to the highest."""
    return [
        Layer(key, part.document, part.tree)
        for section in sections
        if section is not None and (part := section.sub(key)) is not None
    ]
