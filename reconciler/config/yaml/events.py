"""The source of a YAML text's events: libyaml, or PyYAML's own parser where that is missing."""

from __future__ import annotations

from typing import Any, Protocol

import yaml
import yaml.cyaml


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
