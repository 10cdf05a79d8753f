"""The paths that an update changes on a running agent, each replaced as a whole (v2 API reference: "update matrix")."""

from __future__ import annotations

from typing import Final

from reconciler.contract.kinds import Path

WORLDWIDE: Final[frozenset[Path]] = frozenset(
    {("llm", "system_messages"), ("llm", "params"), ("mllm", "params")}
)
# mllm.params is not among what mainland China's service documents as updatable.
MAINLAND_CHINA: Final[frozenset[Path]] = WORLDWIDE - {("mllm", "params")}
