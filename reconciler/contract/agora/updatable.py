"""What an update can change on a running agent (v2 API reference: "update matrix"); each value is replaced as a whole."""

from __future__ import annotations

from typing import Final

from reconciler.contract.kinds import Path

WORLDWIDE: Final[frozenset[Path]] = frozenset(
    {("llm", "system_messages"), ("llm", "params"), ("mllm", "params")}
)
# mllm.params is not among what mainland China's service documents as updatable.
MAINLAND_CHINA: Final[frozenset[Path]] = WORLDWIDE - {("mllm", "params")}
