"""Old keys and values of the service with their replacements, and texts that the service itself fills in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reconciler.contract.kinds import Path

# Texts in which the service fills in its own {{variables}}: these paths, and all below them.
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


def _paths(replacements: Mapping[str, str]) -> Mapping[Path, str]:
    """Return replacements by path, from their dotted form."""
    return MappingProxyType({tuple(dotted.split(".")): instead for dotted, instead in replacements.items()})


# Documented as deprecated, each with its replacement.
DEPRECATED_PATHS: Final = _paths(
    {
        "advanced_features.enable_mllm": "mllm.enable",
        "turn_detection.type": "turn_detection.config",
        "turn_detection.interrupt_mode": "interruption.mode",
        "turn_detection.interrupt_duration_ms": "turn_detection.config.start_of_speech.vad_config.interrupt_duration_ms",
        "turn_detection.interrupt_keywords": "interruption.keywords_config.trigger_keywords",
        "turn_detection.prefix_padding_ms": "turn_detection.config.start_of_speech.vad_config.prefix_padding_ms",
        "turn_detection.silence_duration_ms": "turn_detection.config.end_of_speech.vad_config.silence_duration_ms",
        "turn_detection.threshold": "turn_detection.config.speech_threshold",
        "turn_detection.eagerness": "mllm.turn_detection.semantic_vad_config.eagerness",
        "turn_detection.config.start_of_speech.keywords_config": "interruption.keywords_config",
        "turn_detection.config.start_of_speech.disabled_config": "interruption.disabled_config",
    }
)
DEPRECATED_VALUES: Final[Mapping[tuple[Path, str], str]] = MappingProxyType(
    {
        (("turn_detection", "config", "start_of_speech", "mode"), "keywords"): "interruption.mode: keywords",
        (("turn_detection", "config", "start_of_speech", "mode"), "disabled"): "interruption.enable: false",
        (("avatar", "vendor"), "heygen"): "liveavatar",
    }
)
# Removed from the service, so unknown to its shape, each with its replacement.
REMOVED_PATHS: Final = _paths(
    {
        "silence_timeout": "parameters.silence_config.timeout_ms",
        "llm.silence_message": "parameters.silence_config.content",
        "advanced_features.enable_aivad": "turn_detection.config.end_of_speech.mode: semantic",
        "vad": "turn_detection.config",
        "mllm.style": "mllm.vendor",
    }
)

# Keys in examples that the schema does not have, each with the schema's key.
DISPUTED_KEYS: Final = _paths(
    {"filler_words.trigger.config": "fixed_time_config", "filler_words.content.config": "static_config"}
)


def is_template(path: Path, patterns: frozenset[Path] = RUNTIME_TEMPLATE_PATHS) -> bool:
    """Return whether a text at `path` may hold the service's {{variables}}: a pattern matches it or a path above it."""
    return any(
        len(path) >= len(pattern) and all(p in ("*", part) for p, part in zip(pattern, path, strict=False))
        for pattern in patterns
    )
