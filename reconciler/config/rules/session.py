"""Rules for the rest of the session: settings that need one another, and deprecated settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.config.rules.registry import Subject, agent_rule, value_rule
from reconciler.contract.agora.history import DEPRECATED_PATHS, DEPRECATED_VALUES
from reconciler.diagnostics import Problem, warning
from reconciler.model.tree import Path, dotted, value_at


@agent_rule("llm", reads=[("llm", "greeting_audio_url"), ("llm", "greeting_message")])
def greeting_audio(subject: Subject) -> Iterator[Problem]:
    """Report a recorded greeting without its text."""
    llm = subject.part("llm")
    if llm.get("greeting_audio_url") and not llm.get("greeting_message"):
        yield Problem(
            "greeting-message-missing",
            "llm.greeting_audio_url needs llm.greeting_message",
            ("properties", "llm", "greeting_audio_url"),
            "write the words of the recording as greeting_message",
            "the service answers 400 without it",
        )


@agent_rule("llm", reads=[("llm", "tools"), ("llm", "mcp_servers"), ("advanced_features", "enable_tools")])
def tools(subject: Subject) -> Iterator[Problem]:
    """Warn about tools that are not enabled."""
    for key in ("tools", "mcp_servers"):
        if subject.part("llm").get(key) and not subject.flag("advanced_features", "enable_tools"):
            yield warning(
                "tools-not-enabled",
                f"llm.{key} needs advanced_features.enable_tools",
                ("properties", "llm", key),
                "write advanced_features.enable_tools: true",
            )


@agent_rule("parameters", reads=[("parameters", "silence_config")])
def silence(subject: Subject) -> Iterator[Problem]:
    """Report a silence timeout without a text to say."""
    silence = subject.part("parameters").get("silence_config")
    if not isinstance(silence, dict):
        return
    timeout = silence.get("timeout_ms", 0)
    if isinstance(timeout, int) and timeout > 0 and not silence.get("content"):
        yield Problem(
            "silence-content-missing",
            "parameters.silence_config.timeout_ms needs content",
            ("properties", "parameters", "silence_config", "timeout_ms"),
            "write parameters.silence_config.content, or timeout_ms: 0",
        )


# Settings that need signaling (RTM), each with the value for which they need it.
_OVER_RTM: tuple[tuple[Path, Any], ...] = (
    (("parameters", "data_channel"), "rtm"),
    (("parameters", "enable_metrics"), True),
    (("parameters", "enable_error_message"), True),
    (("turn_detection", "config", "start_of_speech", "mode"), "manual"),
    (("turn_detection", "config", "end_of_speech", "mode"), "manual"),
)


@agent_rule(
    "parameters",
    "turn_detection",
    reads=[("advanced_features", "enable_rtm"), *(path for path, _ in _OVER_RTM)],
)
def signaling(subject: Subject) -> Iterator[Problem]:
    """Warn about settings that need RTM while RTM is not enabled."""
    if subject.flag("advanced_features", "enable_rtm"):
        return
    for path, value in _OVER_RTM:
        if value_at(subject.properties, path) == value:
            yield warning(
                "rtm-not-enabled",
                f"{dotted(path)}: {str(value).lower()} needs advanced_features.enable_rtm",
                ("properties", *path),
                "write advanced_features.enable_rtm: true",
            )


@agent_rule("sal")
def attention(subject: Subject) -> Iterator[Problem]:
    """Warn about selective attention that is not enabled."""
    if not subject.flag("advanced_features", "enable_sal"):
        yield warning(
            "sal-not-enabled",
            "sal needs advanced_features.enable_sal",
            ("properties", "sal"),
            "write advanced_features.enable_sal: true",
        )


@agent_rule("sal")
def recognition(subject: Subject) -> Iterator[Problem]:
    """Report speaker recognition without a sample of the voice."""
    sal = subject.part("sal")
    if sal.get("sal_mode") == "recognition" and not sal.get("sample_urls"):
        yield Problem(
            "sal-samples-missing",
            "sal.sal_mode: recognition needs sal.sample_urls",
            ("properties", "sal", "sal_mode"),
            "write sal.sample_urls: {NAME: URL of a .pcm file}, or sal_mode: locking",
            "the service answers 400 without it",
        )


@agent_rule("geofence")
def geofence(subject: Subject) -> Iterator[Problem]:
    """Report an excluded area without `area: GLOBAL`, the only one from which areas can be excluded."""
    fence = subject.part("geofence")
    if fence.get("exclude_area") is not None and fence.get("area") != "GLOBAL":
        yield Problem(
            "geofence-exclude",
            "geofence.exclude_area works only with area: GLOBAL",
            ("properties", "geofence", "exclude_area"),
            "write area: GLOBAL, or remove exclude_area",
        )


@agent_rule("rtc")
def encryption(subject: Subject) -> Iterator[Problem]:
    """Report an encryption mode with a salt that has none."""
    rtc = subject.part("rtc")
    if rtc.get("encryption_mode") in (7, 8) and rtc.get("encryption_key") and not rtc.get("encryption_salt"):
        yield Problem(
            "encryption-salt-missing",
            f"rtc.encryption_mode {rtc['encryption_mode']} needs encryption_salt",
            ("properties", "rtc", "encryption_mode"),
            "write a reference to a base64 text of 32 bytes",
        )


@value_rule([*DEPRECATED_PATHS, *(path for path, _ in DEPRECATED_VALUES)])
def deprecated(subject: Subject, path: Path, value: Any) -> Iterator[Problem]:
    """Warn about fields and values that the service documents as deprecated."""
    instead = DEPRECATED_PATHS.get(path) or DEPRECATED_VALUES.get((path, str(value)))
    if instead is not None:
        written = dotted(path) if path in DEPRECATED_PATHS else f"{dotted(path)}: {value}"
        yield warning(
            "deprecated-property", f"{written} is deprecated", ("properties", *path), f"use {instead}"
        )
