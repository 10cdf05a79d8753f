"""Hostile texts of any length: all hits, none, nothing but separators, near misses. Each is a unit that is repeated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

SECRET = "sk-Vq7rT2mZx9LkP4wN8sB1yH6cJ3dF5gA0"

# Units by what they are hostile to.
UNITS: dict[str, str] = {
    "prose": "Be polite and brief. Answer in the guest's language.\n",
    "one letter": "a",
    "one word": "abcdefghijklmnop",
    "digits": "0123456789",
    "spaces": " ",
    "line ends": "\n",
    "returns": "\r\n",
    "tabs": "\t",
    "dashes": "-",
    "underscores": "a_",
    "humps": "aB",
    "dots": ".",
    "slashes": "/",
    "up": "../",
    "stars": "*a",
    "questions": "?a=b&",
    "equals": "=",
    "colons": ":",
    "colon pairs": "a: ",
    "commas": ",",
    "single quotes": "'",
    "double quotes": '"',
    "backslashes": "\\",
    "escaped quotes": '\\"',
    "pairs": '"a": "b", ',
    "brackets": "[",
    "braces": "{",
    "closing": "]}",
    "open templates": "{{",
    "templates": "{{ a }}",
    "statements": "{% if a %}",
    "comments": "{#",
    "near templates": "{ {",
    "references": "ref+env://KEY+ ",
    "open references": "ref+",
    "near references": "ref+env:/",
    "reference paths": "ref+file://",
    "schemes": "://",
    "users": "://a:b@",
    "near users": "://a:b ",
    "many users": "://a:",
    "parameters": "?key=",
    "keys": "sk-abcdefghijklmnopqrstuvwx ",
    "near keys": "sk-",
    "tokens": "007eA",
    "near tokens": "007e",
    "jwts": "eyJ",
    "dashed jwts": "eyJ-",
    "jwt halves": "eyJabcdefghijklmnopq.",
    "private keys": "-----BEGIN ",
    "basic": "Basic ",
    "bearer": "Bearer \n",
    "token is": "token = ",
    "percent": "%2B",
    "near percent": "%",
    "zeros": "\0",
    "bidi": "\u202e",
    "styles": "\ufe0f",
    "styled": "x\ufe0f",
    "accents": "é",
    "wide": "\u3000",
    "escapes": "\x1b[31m",
    "backticks": "`",
    "hashes": "#",
    "mentions": "@a ",
    "tags": "<script",
    "ends of tags": "</script",
    "angle": "<",
    "commands": "\n::",
    "padded commands": " \n ::",
    "groups": "##[",
    "marks": "{+",
    "ends of marks": "+}",
    "anchors": "&a ",
    "aliases": "*a ",
    "items": "- ",
    "spelled gaps": "\\u{0}",
    "secrets": SECRET,
    "heads of a secret": SECRET[:-1],
    "tails of a secret": SECRET[1:],
    "broken secrets": "\n".join(SECRET),
    "letters of a secret": SECRET[:5],
}


def _numbered(length: int) -> str:
    return "".join(f"{at} is a line of its own\n" for at in range(length // 24 + 1))[:length]


def _keys_and_a_double(length: int) -> str:
    keys = [f'"k{at:06}": 1' for at in range(length // 14)]
    return "{" + ", ".join([*keys, keys[-1]]) + "}" if keys else "{}"


def _lines_of_keys(length: int) -> str:
    return "".join(f"k{at:06}: v\n" for at in range(length // 11 + 1))


# Texts that no unit gives: every line, or key, is another one.
MADE: dict[str, Callable[[int], str]] = {
    "different lines": _numbered,
    "different keys and one double": _keys_and_a_double,
    "lines of keys": _lines_of_keys,
}


def texts() -> dict[str, Callable[[int], str]]:
    """Every hostile text by its name, as something that makes one of a length."""
    return {**{what: partial(repeated, unit) for what, unit in UNITS.items()}, **MADE}


def repeated(unit: str, length: int) -> str:
    """A text of about a length, made of an odd number of whole units.

    One that ends within a unit may take another path than its double, and so may one that is cut in half between units.
    """
    return unit * (length // len(unit) - 1 | 1)
