"""What can be wrong with a YAML file beside its syntax: one function for each message, so that they stand together."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.config.yaml.scalars import CONTROL


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem at a line and column (from 0) of a text; the owner of the text makes a diagnostic of it."""

    rule: str
    line: int
    column: int
    summary: str
    why: str | None = None
    help: str | None = None
    related: tuple[tuple[int, int, str], ...] = ()


CORE_TAG = "tag:yaml.org,2002:"
Place = tuple[int, int]


def bad_number(at: Place, summary: str) -> Trouble:
    """A number that no service could take."""
    return Trouble("yaml-number", *at, summary, help="quote it if it is a text")


def control_character(at: Place, text: str) -> Trouble:
    """A character that came in by an escape and does not show."""
    found = CONTROL.search(text)
    code = ord(found[0]) if found else 0
    return Trouble(
        "control-character",
        *at,
        f"the text holds the control character U+{code:04X}",
        help="remove the escape; only tab and line breaks may stand in a text",
    )


def bad_tag(at: Place, tag: str) -> Trouble:
    """A tag that is not one of the core."""
    return Trouble(
        "yaml-tag",
        *at,
        f"the tag {_shown(tag)} is not allowed",
        why="tags ask a loader to build objects; a fleet is plain data",
        help="leave the tag out",
    )


def broken_tag(at: Place, tag: str, text: str) -> Trouble:
    """A core tag that its text does not keep."""
    return Trouble(
        "yaml-tag", *at, f'"{text[:60]}" is not what the tag {_shown(tag)} promises', help="leave the tag out"
    )


def bad_key(at: Place, text: str) -> Trouble:
    """A number, a switch or nothing where a key is due."""
    help = f'quote it: "{text}"' if text else "give the key a name"
    return Trouble("yaml-key", *at, f"the key {text[:60] or 'null'} is not a text", help=help)


def container_key(at: Place) -> Trouble:
    """A list, a mapping or an alias where a key is due."""
    return Trouble(
        "yaml-key",
        *at,
        "a key must be a text, not a list, a mapping or an alias",
        help="write the key as a text",
    )


def duplicate_key(at: Place, key: str, first: Place) -> Trouble:
    """A key that the mapping has already."""
    return Trouble(
        "duplicate-key",
        *at,
        f'duplicate key "{key}"',
        why="one of the two values would be lost without a word",
        help="remove one of the two",
        related=((*first, "first written here"),),
    )


def second_merge(at: Place) -> Trouble:
    """A second `<<` in one mapping."""
    return Trouble(
        "duplicate-key", *at, 'duplicate key "<<"', help="merge several mappings as <<: [*one, *two]"
    )


def ambiguous_merge(at: Place, key: str) -> Trouble:
    """A key that two merged mappings give."""
    return Trouble(
        "duplicate-key",
        *at,
        f'duplicate key "{key}": two of the merged mappings give it',
        help=f'write "{key}" in this mapping to settle it',
    )


def bad_merge(at: Place) -> Trouble:
    """A `<<` over something else than mappings."""
    return Trouble(
        "yaml-merge", *at, "<< can merge only mappings", help="name a mapping's anchor, or a list of them"
    )


def second_document(at: Place) -> Trouble:
    """More than one document."""
    return Trouble(
        "yaml-documents",
        *at,
        "a second YAML document begins here",
        why="a file holds one document, so that nothing after a stray '---' is overlooked",
        help="move what follows into a file of its own",
    )


def unquoted_template(at: Place, opening: str = "{{") -> Trouble:
    """Braces that YAML takes for its own."""
    closing = {"{{": "}}", "{%": "%}"}[opening]
    help = f'write "{opening} … {closing}", with the quotes'
    if opening == "{%":
        help += ", or name the file *.yaml.j2 to have it rendered before it is read"
    return Trouble(
        "unquoted-template",
        *at,
        "a template must be quoted",
        why=f"to YAML, {opening} opens a mapping",
        help=help,
    )


def too_deep(at: Place, depth: int) -> Trouble:
    """More levels than anybody can read."""
    return Trouble("yaml-depth", *at, f"nested more than {depth} levels deep", help="flatten the structure")


def too_large(at: Place, nodes: int) -> Trouble:
    """More values than a file may hold."""
    return Trouble(
        "yaml-size", *at, f"the file holds more than {nodes:,} values", help="use for_each, or split the file"
    )


def recursive_alias(at: Place, name: str) -> Trouble:
    """An alias inside of what it names."""
    return Trouble(
        "yaml-alias",
        *at,
        f"the alias *{name} stands inside of what it names",
        help="write the value out here",
    )


def unknown_alias(at: Place, name: str) -> Trouble:
    """An alias of nothing."""
    return Trouble("yaml-alias", *at, f"no anchor &{name} before this alias", help=f"define &{name} above")


def expansion(at: Place, expanded: int, written: int) -> Trouble:
    """Aliases that are a bomb."""
    return Trouble(
        "yaml-expansion",
        *at,
        "the aliases of this file expand to far more than the file itself",
        why=f"{expanded:,} values from {written:,} written",
        help="use for_each and profiles for what repeats",
    )


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(CORE_TAG)}" if tag.startswith(CORE_TAG) else tag
