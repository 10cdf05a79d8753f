"""Compile blocks: layers are merged once per block and choice of profiles, loops and names become programs.

defaults < profiles (what they extend first, left to right, each once) < the agent < the environment's overrides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.config.expand.blocks import (
    ONCE,
    CompiledAgent,
    CompiledBody,
    CompiledChannel,
    CompiledFile,
    Loop,
    Under,
)
from reconciler.config.expand.layers import Layer, Stack, merged
from reconciler.config.expand.layout import AgentsFile, ChannelBlock, FleetFile, Profiles, Section
from reconciler.config.expand.programs import Compiler, Origin, Outline, Program, Unrendered, outline
from reconciler.config.expand.variables import EMPTY, Level, Shared, TemplateFailure, Variable
from reconciler.config.keys import BODY, LOOP_KEYS
from reconciler.config.templates.compiler import RESERVED, Templates, is_free
from reconciler.config.templates.errors import TemplateFault
from reconciler.config.yaml.scalars import Templated
from reconciler.config.yaml.tree import OpenMap
from reconciler.contract.agora.history import RUNTIME_TEMPLATE_PATHS, TOOL_TEMPLATE_PATHS, is_template
from reconciler.diagnostics import Problems
from reconciler.model.tree import Path, Tree

_PARTS_OF_BODY = (*BODY, "previously", "adopt")
_TOOL_NAMES = frozenset({"args.*", "template_variables.*", "tool_call_id"})
_DECLARATION: Path = ("properties", "llm", "template_variables")
_NONE: frozenset[str] = frozenset()


class Composer:
    """Compiles the blocks of one fleet for one environment."""

    def __init__(
        self,
        fleet: FleetFile,
        environment: str | None,
        fixed: Mapping[str, Tree],
        shared: Shared,
        problems: Problems,
    ) -> None:
        self.fleet = fleet
        self.templates: Templates = shared.templates
        self.fixed = fixed
        self.problems = problems
        self.shared = shared
        self.defaults = _layer("defaults", fleet.section.sub("defaults"))
        settings = fleet.environments.get(environment) if environment is not None else None
        self.overrides = _layer(f"environment {environment}", settings.sub("overrides") if settings else None)
        self._bases: dict[tuple[str, ...], tuple[tuple[Layer, ...], Tree]] = {}
        self.profiles = Profiles(fleet.profiles, problems)
        fleet_level = self.level(fleet.section.sub("variables"))
        self.globals: Level = {**fleet_level, **self.level(settings.sub("variables") if settings else None)}
        for name in fixed:
            self.globals.pop(name, None)

    def file(self, file: AgentsFile, *, variables: bool = True) -> CompiledFile:
        """Return one file compiled. The variables of fleet.yaml belong to the fleet, so that file has none."""
        level = self.level(file.section.sub("variables")) if variables else EMPTY
        return CompiledFile(file.section, level, [self._channel(each, level) for each in file.channels])

    def level(self, section: Section | None) -> Level:
        """Return the variables of one mapping."""
        if section is None:
            return EMPTY
        found: dict[str, Variable] = {}
        for name in section.tree:
            if name in self.fixed:
                continue
            if not is_free(name):
                self.problems.error(
                    "variable-name",
                    f'a variable cannot be called "{name}"',
                    section.document.key(section.tree, name),
                    why="it is reserved"
                    if name in RESERVED
                    else "a name is letters, digits and _, and begins with a letter",
                    help="choose another name",
                )
                continue
            found[name] = self._variable(name, section, name)
        return found

    def _variable(self, name: str, section: Section, key: str) -> Variable:
        return Variable(name, self._program(section, key, keep_null=True), Under(section, (key,)))

    def _program(self, section: Section, key: str, *, keep_null: bool = False) -> Program:
        """Return the program of the value of a key."""
        compiler = Compiler(self.templates, Under(section, (key,)), self._fault, keep_null=keep_null)
        return compiler.compile(section.get(key))

    def _fault(self, origin: Origin, path: Path, fault: TemplateFault) -> None:
        if not fault.reported:
            self.shared.faults.append(TemplateFailure(origin, path, fault, ""))

    def _channel(self, block: ChannelBlock, file_level: Level) -> CompiledChannel:
        section = block.section
        loop = self._loop(section, "item")
        level = self.level(section.sub("variables"))
        name = section.get("channel")
        if isinstance(name, Templated):
            level = {**level, "channel": self._variable("channel", section, "channel")}
        if loop.repeats:
            self._check_shadowing(section, loop, level)
        agents = [self._agent(each, section, loop, file_level, level) for each in block.agents]
        return CompiledChannel(
            section, loop, level, None if "channel" in level else _fixed(name, "channel"), agents
        )

    def _agent(
        self, section: Section, channel: Section, outer: Loop, file_level: Level, outer_level: Level
    ) -> CompiledAgent:
        loop = self._loop(section, "each")
        level = self.level(section.sub("variables"))
        name = section.get("name")
        if isinstance(name, Templated):
            level = {**level, "agent": self._variable("agent", section, "name")}
        if loop.repeats or outer.repeats:
            self._check_shadowing(section, loop, {**outer_level, **level}, outer if outer.repeats else None)
        profile = self._program(section, "profile")
        fixed_name = None if "agent" in level else _fixed(name, "name")
        return CompiledAgent(section, channel, file_level, outer_level, loop, level, fixed_name, profile)

    def _loop(self, section: Section, default: str) -> Loop:
        if section.tree.keys().isdisjoint(LOOP_KEYS):
            return ONCE
        repeats = section.get("for_each") is not None
        items = self._program(section, "for_each", keep_null=True) if repeats else None
        when = self._program(section, "when") if section.get("when") is not None else None
        name = section.get("as") or default
        if "as" in section.tree and not repeats:
            self.problems.error(
                "loop-name", '"as" without "for_each"', section.document.key(section.tree, "as")
            )
        return Loop(section, items, str(name), when)

    def _check_shadowing(self, section: Section, loop: Loop, level: Level, outer: Loop | None = None) -> None:
        """Report a loop's name that is also the name of something else inside the loop."""
        document = section.document
        variables = section.sub("variables")
        if outer is not None and variables is not None and outer.name in variables.tree:
            where = document.key(variables.tree, outer.name)
            self.problems.error("loop-name", f'"{outer.name}" is the name of the loop around it', where)
        if not loop.repeats:
            return
        where = (
            document.value(section.tree, "as")
            if "as" in section.tree
            else document.key(section.tree, "for_each")
        )
        name = loop.name
        if not is_free(name):
            self.problems.error(
                "variable-name", f'a loop cannot call its items "{name}"', where, help="choose another name"
            )
        elif (
            name in level
            or name in self.globals
            or name in self.fixed
            or (outer is not None and name == outer.name)
        ):
            self.problems.error(
                "loop-name",
                f'the loop calls its items "{name}", which is the name of something else here',
                where,
                why="inside the loop nobody could tell which of the two is meant",
                help='choose another name with "as"',
            )

    # --- bodies -------------------------------------------------------------------------------------------------

    def body(
        self, agent: CompiledAgent, profiles: tuple[str, ...], protected: frozenset[str] | None
    ) -> CompiledBody:
        """Return the compiled body of an agent for a choice of profiles; None as `protected` takes the files' own."""
        key = (profiles, protected)
        known = agent.bodies.get(key)
        if known is None:
            known = agent.bodies[key] = self._body(agent, profiles, protected)
        return known

    def layers(self, agent: CompiledAgent, profiles: tuple[str, ...]) -> tuple[Layer, ...]:
        """Return the layers of an agent's body for a choice of profiles, the lowest first."""
        layers = (*self._base(profiles)[0], Layer("agent", agent.section.document, agent.section.tree))
        return (*layers, self.overrides) if self.overrides is not None else layers

    def outline(self, agent: CompiledAgent, profiles: tuple[str, ...]) -> tuple[Outline, list[Path]]:
        """Return the outline of an agent's body for a choice of profiles, which its agents share, and the open paths."""
        known = agent.outlines.get(profiles)
        if known is None:
            unrendered: list[Unrendered] = []
            made = outline(self._merged(agent, profiles), (), False, unrendered)
            known = agent.outlines[profiles] = (made, [each.path for each in unrendered])
        return known

    def _merged(self, agent: CompiledAgent, profiles: tuple[str, ...]) -> Tree:
        tree = merged(self._base(profiles)[1], _part_of_body(agent.section.tree))
        return tree if self.overrides is None else merged(tree, _part_of_body(self.overrides.tree))

    def _body(
        self, agent: CompiledAgent, profiles: tuple[str, ...], protected: frozenset[str] | None
    ) -> CompiledBody:
        layers = self.layers(agent, profiles)
        tree = self._merged(agent, profiles)
        body = CompiledBody(layers)
        declared = _declaration(tree)
        if protected is None and (isinstance(declared, Stack) or declared.__class__ is Templated):
            # The names are known only when this is rendered; then the body is compiled again with them.
            compiler = Compiler(self.templates, body, self._fault, keep_null=True)
            program = compiler.compile(declared, _DECLARATION)
            return CompiledBody(layers, declares=program)
        if protected is None:
            protected = declared_names(declared)
        compiler = Compiler(self.templates, body, self._fault, protection(protected))
        return CompiledBody(layers, compiler.compile(tree), protected)

    def _base(self, profiles: tuple[str, ...]) -> tuple[tuple[Layer, ...], Tree]:
        """Return defaults and profiles, merged once for each choice of profiles."""
        known = self._bases.get(profiles)
        if known is None:
            layers = [self.defaults] if self.defaults is not None else []
            for name in self.profiles.linear(profiles):
                section = self.profiles.sections[name]
                layers.append(Layer(f"profile {name}", section.document, section.tree))
            tree: Tree = {}
            for layer in layers:
                tree = merged(tree, _part_of_body(layer.tree))
            known = self._bases[profiles] = (tuple(layers), tree)
        return known


def _part_of_body(tree: Mapping[str, Tree]) -> Tree:
    """Return the keys of a layer's mapping that belong to an agent's body."""
    body = {key: value for key, value in tree.items() if key in _PARTS_OF_BODY}
    return OpenMap(body) if tree.__class__ is OpenMap else body


def _declaration(tree: Tree) -> Tree:
    """Return the merged `llm.template_variables` of a body."""
    node = tree
    for part in _DECLARATION:
        node = node.get(part) if isinstance(node, dict) else None
    return node


def declared_names(declaration: Tree) -> frozenset[str]:
    """Return the names of the service's own variables that `llm.template_variables` declares."""
    if not isinstance(declaration, dict):
        return _NONE
    return frozenset(name for name, value in declaration.items() if value is not None)


def protection(declared: frozenset[str]) -> Callable[[Path], frozenset[str]]:
    """Return a function from a path to the names whose `{{name}}` is not rendered there: the service fills it in."""

    def protected(path: Path) -> frozenset[str]:
        if path[:1] != ("properties",):
            return _NONE
        if declared and is_template(path[1:], RUNTIME_TEMPLATE_PATHS):
            return declared
        return _TOOL_NAMES if is_template(path[1:], TOOL_TEMPLATE_PATHS) else _NONE

    return protected


def _fixed(name: Tree, key: str) -> str:
    """Return a name that is no template; of what is no scalar, and was reported, the key, so that it is reported once."""
    return key if isinstance(name, (dict, list)) else str(name)


def _layer(name: str, section: Section | None) -> Layer | None:
    return Layer(name, section.document, section.tree) if section is not None else None
