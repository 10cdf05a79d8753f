"""Paths in `properties`: from a validation error back to the user's tree, and what is special about some.

Only data and pure questions; the words of a diagnostic are chosen in `config.schema_errors`.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Required, get_args, get_origin, get_type_hints

from pydantic import Tag

from reconciler.model.properties.catalogue import SLOTS
from reconciler.model.properties.shape import PropertiesTree
from reconciler.model.tree import Path
from reconciler.model.vendors import PassedOn

Loc = tuple[int | str, ...]

# Types of pydantic's errors that a caller treats apart.
UNKNOWN_KEY: Final = "extra_forbidden"
UNKNOWN_VENDOR: Final = "union_tag_invalid"
VENDOR_NOT_TEXT: Final = "union_tag_not_found"

# Texts in which the service puts its own {{variables}}: these paths, and whatever lies below them.
RUNTIME_TEMPLATE_PATHS: Final[frozenset[Path]] = frozenset(
    [
        ("llm", "system_messages", "*", "content"),
        ("llm", "greeting_message"),
        ("llm", "failure_message"),
        ("parameters", "silence_config", "content"),
    ]
)
# The same with {{args.x}}, {{template_variables.x}} and {{tool_call_id}} (SDK `LlmTool`).
TOOL_TEMPLATE_PATHS: Final[frozenset[Path]] = frozenset(
    (slot, "tools", "*", "server", key) for slot in ("llm", "mllm") for key in ("url", "headers", "body")
)

# Documented as old: what to write instead.
DEPRECATED_PATHS: Final[Mapping[Path, str]] = MappingProxyType(
    {
        ("advanced_features", "enable_mllm"): "mllm.enable",
        ("turn_detection", "type"): "turn_detection.config",
        ("turn_detection", "interrupt_mode"): "interruption.mode",
        ("turn_detection", "interrupt_duration_ms"): (
            "turn_detection.config.start_of_speech.vad_config.interrupt_duration_ms"
        ),
        ("turn_detection", "interrupt_keywords"): "interruption.keywords_config.trigger_keywords",
        (
            "turn_detection",
            "prefix_padding_ms",
        ): "turn_detection.config.start_of_speech.vad_config.prefix_padding_ms",
        ("turn_detection", "silence_duration_ms"): (
            "turn_detection.config.end_of_speech.vad_config.silence_duration_ms"
        ),
        ("turn_detection", "threshold"): "turn_detection.config.speech_threshold",
        ("turn_detection", "eagerness"): "mllm.turn_detection.semantic_vad_config.eagerness",
        ("turn_detection", "config", "start_of_speech", "keywords_config"): "interruption.keywords_config",
        ("turn_detection", "config", "start_of_speech", "disabled_config"): "interruption.disabled_config",
    }
)
DEPRECATED_VALUES: Final[Mapping[tuple[Path, str], str]] = MappingProxyType(
    {
        (("turn_detection", "config", "start_of_speech", "mode"), "keywords"): "interruption.mode: keywords",
        (("turn_detection", "config", "start_of_speech", "mode"), "disabled"): "interruption.enable: false",
        (("avatar", "vendor"), "heygen"): "liveavatar",
    }
)
# No longer part of the service, so unknown keys to the shape: what took their place, or nothing.
REMOVED_PATHS: Final[Mapping[Path, str]] = MappingProxyType(
    {
        ("silence_timeout",): "parameters.silence_config.timeout_ms",
        ("llm", "silence_message"): "parameters.silence_config.content",
        ("advanced_features", "enable_aivad"): "turn_detection.config.end_of_speech.mode: semantic",
        ("vad",): "turn_detection.config",
        ("agent_rtm_uid",): "",
        ("mllm", "style"): "mllm.vendor",
    }
)


def user_path(loc: Loc) -> Path:
    """The path in the user's tree of an error about `Properties`: its `loc` without the tags of unions."""
    if loc[-1:] == ("[key]",):
        loc = loc[:-1]
    if len(loc) > 1 and loc[0] in SLOTS:
        if loc[:3] == ("llm", "style anthropic", "headers"):
            loc = (*loc[:3], *loc[4:])
        loc = (loc[0], *loc[2:])
    return loc


def is_template(path: Path, patterns: frozenset[Path] = RUNTIME_TEMPLATE_PATHS) -> bool:
    """Whether a text at `path` may hold the service's {{variables}}: a pattern matches it or lies above."""
    return any(
        len(path) >= len(pattern) and all(p in ("*", part) for p, part in zip(pattern, path, strict=False))
        for pattern in patterns
    )


def known_keys(loc: Loc) -> tuple[str, ...]:
    """The keys that stand beside the last one of an error's `loc`: candidates for a did-you-mean."""
    return tuple(fields_of(_container(loc[:-1])))


def is_passed_on(loc: Loc) -> bool:
    """Whether unknown keys beside the last one of `loc` go on to a vendor, as the vendor pages say."""
    return any(base is PassedOn for base in _lineage(_container(loc[:-1])))


def _container(loc: Loc) -> Any:
    shape: Any = PropertiesTree
    for part in loc:
        variants = variants_of(shape)
        if part in variants:
            shape = variants[part]
        elif get_origin(bare(shape)) in (list, dict):
            shape = get_args(bare(shape))[-1]
        else:
            shape = fields_of(bare(shape)).get(str(part))
    return bare(shape)


def bare(shape: Any) -> Any:
    """A shape without Annotated and Required around it."""
    while get_origin(shape) in (Annotated, Required):
        shape = get_args(shape)[0]
    return shape


def variants_of(shape: Any) -> dict[Any, Any]:
    """The members of a tagged union by their tags."""
    return {
        extra.tag: member
        for member in get_args(bare(shape))
        for extra in getattr(member, "__metadata__", ())
        if isinstance(extra, Tag)
    }


@cache
def fields_of(shape: Any) -> Mapping[str, Any]:
    """The fields of one of our classes; none of anything else."""
    return get_type_hints(shape, include_extras=True) if hasattr(shape, "__total__") else {}


def _lineage(shape: Any) -> list[Any]:
    bases = list(getattr(shape, "__orig_bases__", ()))
    return bases + [above for base in bases for above in _lineage(base)]
