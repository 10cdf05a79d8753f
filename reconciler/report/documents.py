"""Trees as documents: YAML that our own reader reads back as the same tree, and JSON.

Our reader types numbers, `true`, `false` and `null`, and reads all else as text; other readers follow YAML 1.1. Text
that any of them would read as something else is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import yaml

from reconciler.model.tree import Tree
from reconciler.report.escape import json_text, visible, yaml_text
from reconciler.report.formats import RenderOptions

_WIDTH = 110
# Text that some reader reads as a number, a date, a time or a constant.
_ODD_TEXT = re.compile(
    r"(?i)(?:|~|null|true|false|yes|no|on|off|y|n|=|<<|[-+.]?[0-9].*|[-+]?\.(?:inf|nan|[0-9].*)|\.+|-+)"
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper with our quoting, block style for prompts, and no aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def increase_indent(self, *args: Any, **_: Any) -> None:
        """Indent lists below their key, as people write them."""
        super().increase_indent(flow=bool(args and args[0]), indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        # A block shows characters as they are; invisible ones must be escaped, which is possible only in quotes.
        clean = all(visible(line) == line and line == line.rstrip(" ") for line in text.split("\n"))
        style = "|" if clean and not text.startswith((" ", "\n")) and text.strip("\n") else '"'
    elif visible(text) != text or _ODD_TEXT.fullmatch(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(tree: Tree, options: RenderOptions = RenderOptions()) -> str:
    """Return a tree as YAML, in its own order."""
    text: str = yaml.dump(
        _bare(tree),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )
    return yaml_text(text.removesuffix("...\n"))


def to_json(tree: Tree, options: RenderOptions = RenderOptions()) -> str:
    """Return a tree as indented JSON in its own order, with a final line break."""
    return as_json(tree) + "\n"


def as_json(value: object) -> str:
    """Return a plain value as indented JSON with invisible characters escaped."""
    return json_text(_dumped(value, orjson.OPT_INDENT_2, indent=2))


def _dumped(value: object, option: int, **slowly: Any) -> str:
    """Return a plain value as JSON; `slowly` are the arguments of the standard library's writer for the same form."""
    try:
        return orjson.dumps(value, option=option).decode()
    except (orjson.JSONEncodeError, TypeError):  # a lone surrogate, or a number beyond 64 bits
        return json.dumps(value, **slowly)


# A number with an exponent at the end of a line; texts end with a quote.
_EXPONENT = re.compile(r"e-?[0-9]+,?$", re.MULTILINE)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def as_ascii_json(value: object) -> str:
    """Return a plain value as indented JSON in ASCII, exactly as the standard library writes it."""
    text = _dumped(value, orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, indent=2)
    # The standard library writes such numbers differently. Any other "0.0000" only costs time.
    if "0.0000" in text or _EXPONENT.search(text) is not None:
        text = json.dumps(value, indent=2)
    return in_ascii(text)


def in_ascii(text: str) -> str:
    """Return JSON with all characters beyond ASCII, and invisible ones, escaped."""
    if not text.isascii():
        text = _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return json_text(text)


def as_json_line(value: object) -> str:
    """Return a plain value as JSON on one line."""
    return json_text(_dumped(value, 0, separators=(",", ":")))


def _bare(tree: Tree) -> Any:
    """Return a tree as plain dicts, lists and texts, because the dumper knows no other types."""
    if isinstance(tree, Mapping):
        return {str(key): _bare(each) for key, each in tree.items()}
    if isinstance(tree, str):
        return str(tree)
    if isinstance(tree, Sequence):
        return [_bare(each) for each in tree]
    return tree
