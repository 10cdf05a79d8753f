"""Read YAML text into a plain tree with the place of everything in it, from the parser's event stream.

This is not a library's loader because a fleet needs YAML 1.2's few types (`no`, `0123` and dates stay text), refusal of
duplicate keys, positions, and bounds that hold *before* a tree exists: depth, nodes and alias expansion are counted on
the events. Trees are exact dicts and lists; positions are kept separately, by identity. Every problem is collected
with its place; only a syntax error ends a file early.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import yaml
import yaml.cyaml
from yaml import events

from reconciler.config.yaml import errors
from reconciler.config.yaml.scalars import CONTROL, DIGITS, NUMBER, WORDS, Templated, is_template, number
from reconciler.config.yaml.syntax_errors import deep_place, explain_syntax
from reconciler.config.yaml.tree import (
    COLUMN_BITS,
    DROP,
    MERGE,
    NO_KEY,
    Frame,
    Merges,
    OpenList,
    OpenMap,
    Parsed,
    YamlLimits,
    unpack,
)
from reconciler.diagnostics import Problem

_TAGGED_TYPES: dict[str, tuple[type, ...]] = {
    f"{errors.CORE_TAG}str": (str,),
    f"{errors.CORE_TAG}int": (int,),
    f"{errors.CORE_TAG}float": (float, int),
    f"{errors.CORE_TAG}bool": (bool,),
    f"{errors.CORE_TAG}null": (type(None),),
}
_CONTAINER_TAGS = (f"{errors.CORE_TAG}map", f"{errors.CORE_TAG}seq")
# An expansion that is larger than the file by this factor is refused as a bomb.
_EXPANSION_FLOOR = 10_000
_EXPANSION_RATIO = 100


_LEFT_OPEN: frozenset[type] = frozenset({OpenMap, OpenList, Templated})


def parse_yaml(text: str, *, limits: YamlLimits | None = None, inert: bool = False) -> Parsed:
    """Return the tree of a YAML document. `inert` data is never rendered: its templates are text, its nulls values."""
    builder = _Builder(limits or YamlLimits(), inert)
    try:
        builder.run(event_source(text))
    except _TooMuch:
        builder.parsed.root = None
    except yaml.YAMLError as error:
        builder.parsed.root = None
        deep = deep_place(error, text, unpack(builder.frame.marks[0]), builder.levels_left)
        problem = explain_syntax(error, text) if deep is None else errors.too_deep(deep, builder.limits.depth)
        builder.parsed.problems.append(problem)
    return builder.parsed


class _TooMuch(Exception):
    """A bound was exceeded: nothing more of this file is read."""


class _Builder:
    """Builds a tree from events; `self.frame` is the innermost container."""

    def __init__(self, limits: YamlLimits, inert: bool) -> None:
        self.limits = limits
        self.inert = inert
        self.parsed = Parsed()
        self.problems = self.parsed.problems
        self.stack: list[Frame] = [Frame([], 0, None)]
        self.frame = self.stack[0]
        self.names: dict[str, str] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.merges = Merges(self.parsed)
        self.opening: set[str] = set()
        self.nodes = 0
        self.expanded = 0
        self.documents = 0
        self.handlers: dict[type, Callable[[Any], None]] = {
            events.MappingStartEvent: self.open,
            events.MappingEndEvent: self.close,
            events.SequenceStartEvent: self.open,
            events.SequenceEndEvent: self.close,
            events.AliasEvent: self.alias,
            events.DocumentStartEvent: self.document,
        }

    @property
    def levels_left(self) -> int:
        """The number of further containers that would exceed the depth."""
        return self.limits.depth + 2 - len(self.stack)

    def run(self, source: EventSource) -> None:  # noqa: PLR0915  # see below
        """Read all events into `parsed`.

        It is long because it is the hottest loop of a load: scalars, nine events of ten, are read without a call.
        """
        get, handlers, inert = source.get_event, self.handlers, self.inert
        # Equal scalars are checked and kept once, since most mappings have the same.
        names, plain, texts = self.names, dict[str, Any](WORDS), dict[str, str]()
        frame = self.frame
        into, marks, takes_keys, key, key_mark = frame.into, frame.marks, False, NO_KEY, 0
        while True:
            event = get()
            kind = event.__class__
            if kind is not events.ScalarEvent:
                if kind is events.StreamEndEvent:
                    break
                handler = handlers.get(kind)
                if handler is not None:
                    frame.key, frame.key_mark = key, key_mark
                    handler(event)
                    frame = self.frame
                    into, marks, takes_keys = frame.into, frame.marks, frame.takes_keys
                    key, key_mark = frame.key, frame.key_mark
                continue
            mark = event.start_mark
            at = mark.line << COLUMN_BITS | mark.column
            value = event.value
            style = event.style
            odd = event.anchor or event.tag or (style == '"' and not value.isprintable())
            if takes_keys and key is NO_KEY:
                key, key_mark = names.get(value), at
                if key is None or odd or value in into:
                    key = self.checked_key(event, value, at)
                continue
            if odd:
                value = self.odd_scalar(event, value, at)
            elif not style:
                known = plain.get(value, _UNSEEN)
                if known is _UNSEEN:
                    known = self.checked_number(value, at) if value[0] in DIGITS else value
                    if known is not None:
                        plain[value] = known
                value = known
            else:
                value = texts.setdefault(value, value)
            if value is None:
                if takes_keys and not inert:
                    frame.left_open = True
            elif value.__class__ is str and "{" in value and not inert and is_template(value):
                value = Templated(value)
                frame.left_open = True
            if odd and event.anchor is not None:
                self.anchors[event.anchor] = (value, 1)
            if not takes_keys:
                into.append(value)
                marks.append(at)
                continue
            if key.__class__ is str:
                into[key] = value
                marks.append(key_mark)
                marks.append(at)
            elif key is MERGE:
                self.merges.remember(frame, value, at)
            key = NO_KEY
        roots = self.stack[0].into
        self.parsed.root = roots[0] if roots else None

    def put(self, frame: Frame, value: Any, at: int) -> None:
        """Put a complete value into its container."""
        key = frame.key
        if not frame.takes_keys:
            frame.into.append(value)
            frame.marks.append(at)
            return
        if key.__class__ is str:
            frame.into[key] = value
            frame.marks.append(frame.key_mark)
            frame.marks.append(at)
        elif key is MERGE:
            self.merges.remember(frame, value, at)
        frame.key = NO_KEY

    def checked_number(self, text: str, at: int) -> str | int | float | None:
        try:
            return number(text)
        except ValueError as error:
            self.problems.append(errors.bad_number(unpack(at), str(error)))
            return None

    def odd_scalar(self, event: Any, text: str, at: int) -> Any:
        """Return the value of a scalar with a tag (only core tags), an anchor, or characters that are not printable."""
        if CONTROL.search(text):
            self.problems.append(errors.control_character(unpack(at), text))
        value: Any = text
        if event.tag == f"{errors.CORE_TAG}str":
            return text
        if event.implicit[0] or event.tag is not None:
            value = WORDS[text] if text in WORDS else self.checked_number(text, at)
        if event.tag is None:
            return value
        if event.tag not in _TAGGED_TYPES:
            self.problems.append(errors.bad_tag(unpack(at), event.tag))
        elif type(value) not in _TAGGED_TYPES[event.tag]:
            self.problems.append(errors.broken_tag(unpack(at), event.tag, text))
        return value

    def checked_key(self, event: Any, text: str, at: int) -> object:
        """Return a key, `MERGE` for `<<`, or `DROP` for a duplicate; plain texts are added to `names`."""
        frame = self.frame
        if event.implicit[0] and text == "<<":
            if frame.merges is None:
                frame.merges = []
            else:
                self.problems.append(errors.second_merge(unpack(at)))
            return MERGE
        if event.implicit[0]:
            if text in WORDS or NUMBER.fullmatch(text):
                self.problems.append(errors.bad_key(unpack(at), text))
            else:
                self.names[text] = text
        if CONTROL.search(text):
            self.problems.append(errors.control_character(unpack(at), text))
        if event.tag is not None and event.tag != f"{errors.CORE_TAG}str":
            self.problems.append(errors.bad_tag(unpack(at), event.tag))
        if event.anchor is not None:
            self.anchors[event.anchor] = (text, 1)
        if text in frame.into:
            first = frame.marks[1 + 2 * list(frame.into).index(text)]
            self.problems.append(errors.duplicate_key(unpack(at), text, unpack(first)))
            return DROP
        return text

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            self.stop(errors.second_document(unpack(_mark(event))))

    def open(self, event: Any) -> None:
        """Begin a container."""
        mark, frame = event.start_mark, self.frame
        at = mark.line << COLUMN_BITS | mark.column
        into: Any = {} if event.__class__ is events.MappingStartEvent else []
        if frame.takes_keys and frame.key is NO_KEY:
            # `{{ x }}` without quotes is, to YAML, a mapping whose key is a mapping.
            template = into.__class__ is dict and event.flow_style and at - frame.marks[0] == 1
            self.stop(
                errors.unquoted_template(unpack(frame.marks[0]))
                if template
                else errors.container_key(unpack(at))
            )
        if event.tag is not None and event.tag not in _CONTAINER_TAGS:
            self.problems.append(errors.bad_tag(unpack(at), event.tag))
        if len(self.stack) > self.limits.depth:
            self.stop(errors.too_deep(unpack(at), self.limits.depth))
        if event.anchor is not None:
            self.opening.add(event.anchor)
        self.frame = Frame(into, at, event.anchor)
        self.stack.append(self.frame)

    def close(self, event: Any) -> None:
        """Complete a container: count it, and put it into the container around it."""
        child = self.stack.pop()
        frame = self.frame = self.stack[-1]
        value, parsed = child.into, self.parsed
        if child.merges is not None:
            self.merges.apply(child)
        if child.left_open:
            value = OpenMap(value) if child.takes_keys else OpenList(value)
            frame.left_open = True
        parsed.containers.append(id(value))
        parsed.offsets.append(len(parsed.places))
        parsed.places.fromlist(child.marks)
        count = len(value) + 1
        self.nodes += count
        if self.nodes > self.limits.nodes:
            self.stop(errors.too_large(unpack(child.marks[0]), self.limits.nodes))
        size = child.size + count
        frame.size += size
        if child.anchor is not None:
            self.anchors[child.anchor] = (value, size)
            self.merges.anchor(value)
            self.opening.discard(child.anchor)
        self.put(frame, value, child.marks[0])

    def alias(self, event: Any) -> None:
        """Put the value of an alias's anchor into the container, shared; its expanded size counts against a budget."""
        at = _mark(event)
        frame = self.frame
        if frame.takes_keys and frame.key is NO_KEY:
            self.stop(errors.container_key(unpack(at)))
        value: Any
        value, size = self.anchors.get(event.anchor, (None, 1))
        if event.anchor in self.opening:
            value, size = None, 1
            self.problems.append(errors.recursive_alias(unpack(at), event.anchor))
        elif event.anchor not in self.anchors:
            self.problems.append(errors.unknown_alias(unpack(at), event.anchor))
        self.expanded += size
        frame.size += size
        if self.expanded > min(_EXPANSION_FLOOR + _EXPANSION_RATIO * self.nodes, self.limits.nodes):
            self.stop(errors.expansion(unpack(at), self.expanded, self.nodes))
        if value.__class__ in _LEFT_OPEN or (value is None and not self.inert and frame.takes_keys):
            frame.left_open = True
        self.put(frame, value, at)

    def stop(self, problem: Problem) -> None:
        self.problems.append(problem)
        raise _TooMuch


_UNSEEN = object()


def _mark(event: Any) -> int:
    mark = event.start_mark
    return int(mark.line << COLUMN_BITS | mark.column)


# --- the source of the events: libyaml, or PyYAML's own parser where that is missing


class EventSource(Protocol):
    """Returns one event after the other; raises `yaml.YAMLError`."""

    def get_event(self) -> Any: ...


class _PureParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's own parser, with the same events, twenty times slower than libyaml."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def event_source(text: str) -> EventSource:
    """Return the event source of a text."""
    if yaml.__with_libyaml__:
        fast: EventSource = yaml.cyaml.CParser(text)  # type: ignore[attr-defined]  # missing in the stubs
        return fast
    return _PureParser(text)
