"""Good inputs made bad: bytes, tokens, lines and trees changed by chance. Nothing here knows what it changes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

ODD_BYTES = (
    b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\x1b[2J", b"\r", b"\n\n",
)  # fmt: skip
_SHORT = (
    "", " ", "0", "-1", "null", "true", "no", "~", "1e999", "0x10", "1_000", "12:30", ".nan", "2026-01-01",
    "\x00", "\x1b]0;x\x07", "\u202e", "\u200b", "\ufeff", "\u2028", "\x85", "é", "e\u0301", "🦄", "\U0010ffff",
    "../../etc/passwd", "/dev/zero", "a/b", "lobby/desk", "*", "**", "[", "[!", "a**b", "%s", "{0}", "$(id)",
    "ref+env://A", "ref+env://", "ref+", "ref+file:///etc/passwd", "{{ x }}", "{{", "{% if %}", "{#", "}}",
    "https://a.example", "http://[::1", "https://a@b", "https://a:99999", "file:///", "30%", "101%", "5h", "1e3h",
    "<<", "=", "---", "<<<<<<< HEAD", "a" * 64 + "/" + "b" * 65,
)  # fmt: skip
ODD_TEXTS = (*_SHORT, "9" * 5_000, "x" * 70_000, "\n" * 100)
# Numbers around every limit that anything may have.
ODD_NUMBERS = (
    0, -1, 1, 2, 63, 64, 100, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1,
    10**30, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e300, 1.7e308, 3.0, 1_780_000_000, 1_780_000_000.5,
)  # fmt: skip
_INTEGERS = tuple(each for each in ODD_NUMBERS if isinstance(each, int))
_FLOATS = tuple(each for each in ODD_NUMBERS if isinstance(each, float))

# Written as texts, and put into JSON as they are: what no writer of JSON would write.
_RAW_TEXTS = (
    "NaN", "Infinity", "-Infinity", "1e999", "1e-999", "-0", "-", "01", "1.", "0x1", "nul", "'x'", "{", "]", ",",
    '"\\ud800"', '"\\u0000"', '"\\x41"', '"a\nb"', "/* x */ 1", "true false", "\ufeff1", "[1,]", '{"a":1,}',
    "18446744073709551616", "9" * 5_000, "[" * 2_000 + "]" * 2_000, '{"a":' * 500 + "1" + "}" * 500,
)  # fmt: skip
_AGAIN = "\ue000again"
_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


def chosen(chance: random.Random, shares: dict[Any, float]) -> Any:
    """One of some things, by their shares."""
    return chance.choices(list(shares), list(shares.values()))[0]


def encoded(text: str) -> bytes:
    """A text as bytes, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def few(chance: random.Random) -> int:
    """How many changes one mutant gets: mostly one, so that most of it is still good."""
    return chance.choice((1, 1, 1, 1, 2, 2, 3, 5))


# --- bytes and text -----------------------------------------------------------------------------------------------


def bytes_mutant(data: bytes, chance: random.Random) -> bytes:
    """Bits flipped; bytes dropped, doubled, moved, cut off and put in."""
    for _ in range(few(chance)):
        at, size = chance.randrange(len(data) + 1), min(chance.choice((1, 1, 2, 8, 64)), len(data))
        piece = data[at : at + size]
        match chance.randrange(7):
            case 0 if piece:
                data = data[:at] + bytes([piece[0] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + size :]
            case 2:
                data = data[:at] + piece * chance.choice((2, 2, 3, 50)) + data[at + size :]
            case 3:
                data = data[:at] + chance.choice(ODD_BYTES) + data[at:]
            case 4:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 5:
                to = chance.randrange(len(data) + 1)
                data = data[:to] + piece + data[to:]
            case _ if chance.random() < 0.2:
                data = data[:at]
    return data


def tokens_mutant(text: str, words: Sequence[str], chance: random.Random) -> str:
    """Words and signs dropped, doubled, swapped, and replaced by others of the same language."""
    tokens = _TOKEN.findall(text) or [""]
    for _ in range(few(chance)):
        at, other = chance.randrange(len(tokens)), chance.randrange(len(tokens))
        match chance.randrange(6):
            case 0:
                tokens[at] = ""
            case 1:
                tokens[at] *= 2
            case 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = chance.choice(words)
            case 4:
                tokens[at] += chance.choice(words)
            case _:
                tokens[at] = chance.choice(ODD_TEXTS)
    return "".join(tokens)


# --- trees --------------------------------------------------------------------------------------------------------

Change = Callable[[Any, random.Random], Any]


def odd_value(chance: random.Random) -> Any:
    """A value that hardly ever fits."""
    match chance.randrange(8):
        case 0 | 1:
            return chance.choice(ODD_TEXTS)
        case 2 | 3:
            return chance.choice(ODD_NUMBERS)
        case 4:
            return chance.choice((None, True, False))
        case 5:
            return chance.choice(([], {}, [[]], {"": None}, [None], {"a": {"a": {"a": 1}}}))
        case 6:
            return wrapped(chance.choice((1, "x")), chance, chance.choice((3, 49, 51, 200)))
        case _:
            return [chance.choice((0, "x", None))] * chance.choice((2, 100, 3_000))


def wrapped(node: Any, chance: random.Random, depth: int) -> Any:
    """A value far down."""
    for _ in range(depth):
        node = [node] if chance.random() < 0.5 else {chance.choice(("a", "b", "$blob")): node}
    return node


def tree_mutant(
    tree: Any, chance: random.Random, *, keys: Sequence[str] = (), odd: Change | None = None
) -> Any:
    """The tree with a few of its parts dropped, doubled, renamed, moved, wrapped or replaced; itself unchanged.

    Half of the mutants keep the form, and only values in them are others: those come furthest. `odd` gives what
    takes a value's place, from that value; `keys` are words that keys may be renamed to.
    """
    if chance.random() < 0.5:
        for _ in range(few(chance)):
            tree = _replaced(tree, chance, alike if odd is None or chance.random() < 0.7 else odd)
        return tree
    for _ in range(few(chance)):
        tree = _changed(tree, chance, keys, odd)
    return tree


def _replaced(tree: Any, chance: random.Random, by: Change) -> Any:
    """A copy along one way down, with another value at its end."""
    if isinstance(tree, dict) and tree:
        key = chance.choice(list(tree))
        return {**tree, key: _replaced(tree[key], chance, by)}
    if isinstance(tree, list) and tree:
        at = chance.randrange(len(tree))
        return [*tree[:at], _replaced(tree[at], chance, by), *tree[at + 1 :]]
    return by(tree, chance)


def _changed(tree: Any, chance: random.Random, keys: Sequence[str], odd: Change | None) -> Any:
    """A copy along one way down, with one change at its end."""
    if isinstance(tree, dict) and tree and chance.random() < 0.95:
        key = chance.choice(list(tree))
        match chance.randrange(12):
            case 0:
                return {name: each for name, each in tree.items() if name != key}
            case 1:
                return {**tree, _key(chance, keys): tree[key]}
            case 2:
                new = _key(chance, keys)
                return {new if name == key else name: each for name, each in tree.items()}
            case 3:
                return {**tree, key: tree[chance.choice(list(tree))]}
            case _:
                return {**tree, key: _changed(tree[key], chance, keys, odd)}
    if isinstance(tree, list) and tree and chance.random() < 0.95:
        at = chance.randrange(len(tree))
        match chance.randrange(12):
            case 0:
                return tree[:at] + tree[at + 1 :]
            case 1:
                return tree[: at + 1] + tree[at:]
            case 2:
                return tree[::-1]
            case _:
                return [*tree[:at], _changed(tree[at], chance, keys, odd), *tree[at + 1 :]]
    if chance.random() < 0.1:
        return wrapped(tree, chance, chance.choice((1, 1, 60)))
    return odd(tree, chance) if odd is not None and chance.random() < 0.6 else odd_value(chance)


def _key(chance: random.Random, keys: Sequence[str]) -> str:
    return chance.choice(keys) if keys and chance.random() < 0.7 else chance.choice(_SHORT)


def alike(value: Any, chance: random.Random) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return chance.choice((value + 1, -value, value * 10, chance.choice(_INTEGERS)))
        case float():
            return chance.choice((value + 0.5, -value, value * 10, chance.choice(_FLOATS)))
        case str():
            at = chance.randrange(len(value) + 1)
            inserted = value[:at] + chance.choice(_SHORT) + value[at:]
            return chance.choice((value[:at], value + value, value.upper(), inserted, chance.choice(_SHORT)))
        case _:
            return odd_value(chance)


def near(value: Any, chance: random.Random) -> Any:
    """A value like the one that was there: of its type, or nearly."""
    if chance.random() < 0.7:
        return alike(value, chance)
    return chance.choice(
        (str(value), [value], {"a": value}, value is not None, None, chance.choice(ODD_NUMBERS))
    )


# --- JSON ---------------------------------------------------------------------------------------------------------


def json_odd(value: Any, chance: random.Random) -> Any:
    """A value for `json_bytes`: at times one that JSON does not have."""
    return f"\ue000{chance.randrange(len(_RAW_TEXTS))}" if chance.random() < 0.25 else near(value, chance)


def json_bytes(tree: Any, chance: random.Random) -> bytes:
    """A tree as JSON, at times with a key twice, spaces, escapes, or what follows the end."""
    if isinstance(tree, dict) and tree and chance.random() < 0.05:
        key = chance.choice(list(tree))
        tree = {**tree, f"{key}{_AGAIN}": chance.choice((tree[key], odd_value(chance)))}
    text = json.dumps(tree, ensure_ascii=False, indent=chance.choice((None, None, 2)))
    text = text.replace(_AGAIN, "")
    text = re.sub(r'"\ue000(\d+)"', lambda found: _RAW_TEXTS[int(found[1])], text)
    if chance.random() < 0.03:
        text += chance.choice((" ", "\n\n", "x", "{}", "\x00", ",", "]"))
    return encoded(text)
