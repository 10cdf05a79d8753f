"""Turn the errors of the check of `properties` into problems for the user.

Input are pydantic's errors; each problem has the user's path, what is wrong, and what to write. Unknown keys are
warnings only, because the service gets new keys faster than this list; a misspelt vendor is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import ValidationError

from reconciler.config.words import number_help, quotes_help, shown, switch_help
from reconciler.contract.agora.history import DISPUTED_KEYS, REMOVED_PATHS
from reconciler.contract.check import UNKNOWN_KEY, UNKNOWN_VENDOR, VENDOR_NOT_TEXT, known_keys, user_path
from reconciler.contract.offers import VENDORS
from reconciler.diagnostics import Problem, did_you_mean, warning
from reconciler.model.tree import MISSING, Path, dotted, value_at

# Keys that cannot be written under `properties`, with what to do instead.
RESERVED: Final[Mapping[Path, str]] = {
    ("channel",): "name the channel in the channel block",
    ("token",): "leave it out: tokens are made at the moment of the call",
}


class _Error(NamedTuple):
    """One of pydantic's errors, with the user's path and value."""

    kind: str
    loc: tuple[int | str, ...]
    path: Path
    value: Any
    context: Mapping[str, Any]
    message: str

    @property
    def name(self) -> str:
        return dotted(self.path) or "properties"

    @property
    def where(self) -> Path:
        return ("properties", *self.path)


def property_problems(error: ValidationError, properties: Mapping[str, Any]) -> list[Problem]:
    """Return every problem of one agent's properties; paths begin with `properties`."""
    return [
        _explain(
            _Error(
                each["type"],
                each["loc"],
                path := user_path(each["loc"]),
                None if (value := value_at(properties, path)) is MISSING else value,
                each.get("ctx", {}),
                each["msg"],
            )
        )
        for each in error.errors(include_url=False, include_input=False)
    ]


def _explain(error: _Error) -> Problem:
    explain = _EXPLAINED.get(error.kind)
    if explain is not None:
        return explain(error)
    wanted = _WANTED.get(error.kind)
    if wanted is not None:
        return _wrong_type(error, wanted)
    size = _SIZES.get(error.kind)
    if size is not None:
        summary = f"{error.name} must have {size.format(**error.context)}"
    else:
        message = error.message.removeprefix("Input should ").removeprefix("Value error, ")
        told = f"{shown(error.value)} must {message}" if message.startswith("be ") else message
        summary = f"{error.name}: {told}"
    return Problem("invalid-property", summary, error.where)


def _wrong_type(error: _Error, wanted: str) -> Problem:
    value, help = error.value, None
    wants_quotes = wanted == _TEXT and isinstance(value, (int, float))
    if wants_quotes:
        help = quotes_help(value)
    elif isinstance(value, str) and wanted == _SWITCH:
        help = switch_help(value)
    elif isinstance(value, str) and wanted in (_NUMBER, _WHOLE):
        help = number_help(value)
    summary = f"{error.name} must be {wanted}, not {shown(value)}"
    return Problem("wrong-type", summary, error.where, help, wants_quotes=wants_quotes)


def _unknown_key(error: _Error) -> Problem:
    if error.path in REMOVED_PATHS:
        help = f"use {REMOVED_PATHS[error.path]}"
        return warning(
            "removed-property", f"{error.name} is no longer part of the service", error.where, help
        )
    if error.path in DISPUTED_KEYS:
        return warning(
            "unknown-property",
            f"the service's pages disagree on {error.name}; it is sent as it is",
            error.where,
            f'did you mean "{DISPUTED_KEYS[error.path]}"?',
        )
    if error.path in RESERVED:
        summary = f"{error.name} cannot be written: it belongs to the reconciler"
        return Problem("reserved-property", summary, error.where, RESERVED[error.path])
    hint = did_you_mean(str(error.path[-1]), known_keys(error.loc))
    return warning("unknown-property", f"{error.name} is not known; it is sent as it is", error.where, hint)


def _unknown_vendor(error: _Error) -> Problem:
    vendor = error.value.get("vendor") if isinstance(error.value, Mapping) else error.value
    known = VENDORS[str(error.path[0])]  # always a slot: only slots have a vendor
    summary, where = f"{error.path[0]}.vendor {shown(vendor)} is not known", (*error.where, "vendor")
    hint = did_you_mean(str(vendor), known)
    if hint is not None:
        return Problem("unknown-vendor", summary, where, hint)
    help = f"known: {', '.join(sorted(known))}"
    return warning("unknown-vendor", f"{summary}; it is sent as it is, unchecked", where, help)


def _vendor_not_text(error: _Error) -> Problem:
    vendor = error.value.get("vendor") if isinstance(error.value, Mapping) else error.value
    summary = f"{error.name}.vendor must be a text, not {shown(vendor)}"
    is_one = not isinstance(vendor, (Mapping, list))
    help = quotes_help(vendor) if is_one else None
    return Problem("wrong-type", summary, (*error.where, "vendor"), help, wants_quotes=is_one)


def _missing(error: _Error) -> Problem:
    inside = dotted(error.path[:-1]) or "properties"
    summary = f'"{error.path[-1]}" is missing in {inside}'
    return Problem("missing-property", summary, error.where, missing=error.where)


def _unknown_word(error: _Error) -> Problem:
    expected = str(error.context.get("expected", ""))
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    hint = did_you_mean(error.value, words) if isinstance(error.value, str) else None
    summary = f"{error.name}: {shown(error.value)} is not one of {', '.join(words)}"
    return Problem("unknown-word", summary, error.where, hint)


_TEXT, _WHOLE, _NUMBER, _SWITCH = "a text", "a whole number", "a number", "true or false"

# pydantic's error type -> the type that is expected.
_WANTED: Final[Mapping[str, str]] = {
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "bool_type": _SWITCH,
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
    "typed_dict_type": "a mapping",
}
_SIZES: Final[Mapping[str, str]] = {
    "too_short": "at least {min_length} item",
    "too_long": "at most {max_length} items",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
}
_EXPLAINED: Final[Mapping[str, Callable[[_Error], Problem]]] = {
    UNKNOWN_KEY: _unknown_key,
    UNKNOWN_VENDOR: _unknown_vendor,
    VENDOR_NOT_TEXT: _vendor_not_text,
    "missing": _missing,
    "literal_error": _unknown_word,
}
