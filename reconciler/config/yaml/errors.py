"""The problems of a YAML text other than syntax errors: one function for each message."""

from __future__ import annotations

from reconciler.config.yaml.scalars import CONTROL
from reconciler.diagnostics import Problem, Span

CORE_TAG = "tag:yaml.org,2002:"
Place = tuple[int, int]


def in_text(at: Place) -> Span:
    """Return a line and column from 0 as a place in a text whose file is not known here."""
    line, column = at
    return Span("", line + 1, column + 1)


def bad_number(at: Place, summary: str) -> Problem:
    """Return the problem of a number that is out of range."""
    return Problem("yaml-number", summary, in_text(at), help="quote it if it is a text")


def control_character(at: Place, text: str) -> Problem:
    """Return the problem of a control character that an escape stands for."""
    found = CONTROL.search(text)
    code = ord(found[0]) if found else 0
    return Problem(
        "control-character",
        f"the text holds the control character U+{code:04X}",
        in_text(at),
        help="remove the escape; only tab and line breaks may stand in a text",
    )


def bad_tag(at: Place, tag: str) -> Problem:
    """Return the problem of a tag that is not a core tag."""
    return Problem(
        "yaml-tag",
        f"the tag {_shown(tag)} is not allowed",
        in_text(at),
        why="tags ask a loader to build objects; a fleet is plain data",
        help="leave the tag out",
    )


def broken_tag(at: Place, tag: str, text: str) -> Problem:
    """Return the problem of a core tag whose type the text does not have."""
    return Problem(
        "yaml-tag",
        f'"{text[:60]}" is not what the tag {_shown(tag)} promises',
        in_text(at),
        help="leave the tag out",
    )


def bad_key(at: Place, text: str) -> Problem:
    """Return the problem of a key that is a number, a boolean or null."""
    help = f'quote it: "{text}"' if text else "give the key a name"
    return Problem("yaml-key", f"the key {text[:60] or 'null'} is not a text", in_text(at), help=help)


def container_key(at: Place) -> Problem:
    """Return the problem of a list, a mapping or an alias in place of a key."""
    return Problem(
        "yaml-key",
        "a key must be a text, not a list, a mapping or an alias",
        in_text(at),
        help="write the key as a text",
    )


def duplicate_key(at: Place, key: str, first: Place) -> Problem:
    """Return the problem of a key that the mapping has already."""
    return Problem(
        "duplicate-key",
        f'duplicate key "{key}"',
        in_text(at),
        why="one of the two values would be lost without a word",
        help="remove one of the two",
        related=((in_text(first), "first written here"),),
    )


def second_merge(at: Place) -> Problem:
    """Return the problem of a second `<<` in one mapping."""
    return Problem(
        "duplicate-key", 'duplicate key "<<"', in_text(at), help="merge several mappings as <<: [*one, *two]"
    )


def ambiguous_merge(at: Place, key: str) -> Problem:
    """Return the problem of a key that two merged mappings give."""
    return Problem(
        "duplicate-key",
        f'duplicate key "{key}": two of the merged mappings give it',
        in_text(at),
        help=f'write "{key}" in this mapping to settle it',
    )


def bad_merge(at: Place) -> Problem:
    """Return the problem of a `<<` over something else than mappings."""
    return Problem(
        "yaml-merge",
        "<< can merge only mappings",
        in_text(at),
        help="name a mapping's anchor, or a list of them",
    )


def second_document(at: Place) -> Problem:
    """Return the problem of a second document."""
    return Problem(
        "yaml-documents",
        "a second YAML document begins here",
        in_text(at),
        why="a file holds one document, so that nothing after a stray '---' is overlooked",
        help="move what follows into a file of its own",
    )


def unquoted_template(at: Place, opening: str = "{{") -> Problem:
    """Return the problem of a template without quotes, whose braces have a meaning in YAML."""
    closing = {"{{": "}}", "{%": "%}"}[opening]
    help = f'write "{opening} … {closing}", with the quotes'
    if opening == "{%":
        help += ", or name the file *.yaml.j2 to have it rendered before it is read"
    return Problem(
        "unquoted-template",
        "a template must be quoted",
        in_text(at),
        why=f"to YAML, {opening} opens a mapping",
        help=help,
    )


def too_deep(at: Place, depth: int) -> Problem:
    """Return the problem of more levels of nesting than the limit."""
    return Problem(
        "yaml-depth", f"nested more than {depth} levels deep", in_text(at), help="flatten the structure"
    )


def too_large(at: Place, nodes: int) -> Problem:
    """Return the problem of more values than a file may hold."""
    return Problem(
        "yaml-size",
        f"the file holds more than {nodes:,} values",
        in_text(at),
        help="use for_each, or split the file",
    )


def recursive_alias(at: Place, name: str) -> Problem:
    """Return the problem of an alias inside the value that it names."""
    return Problem(
        "yaml-alias",
        f"the alias *{name} stands inside of what it names",
        in_text(at),
        help="write the value out here",
    )


def unknown_alias(at: Place, name: str) -> Problem:
    """Return the problem of an alias without an anchor."""
    return Problem(
        "yaml-alias", f"no anchor &{name} before this alias", in_text(at), help=f"define &{name} above"
    )


def expansion(at: Place, expanded: int, written: int) -> Problem:
    """Return the problem of aliases that expand to far more than the file holds."""
    return Problem(
        "yaml-expansion",
        "the aliases of this file expand to far more than the file itself",
        in_text(at),
        why=f"{expanded:,} values from {written:,} written",
        help="use for_each and profiles for what repeats",
    )


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(CORE_TAG)}" if tag.startswith(CORE_TAG) else tag
