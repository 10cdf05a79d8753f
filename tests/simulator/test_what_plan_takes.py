"""What `plan` passes on with a warning, `apply` on the embedded simulator takes: the command line, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.simulator import Simulator, Store

FLEET = """\
fleet: newer
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      params: {model: gpt-4o-mini}
channels:
  - channel: lobby
    agents:
      - name: desk
        properties:
          agent_rtc_uid: "100"
          SLOT
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AGORA_")}
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=clean | {"TTS_KEY": "t", "OPENAI_API_KEY": "o", "ASR_KEY": "a"},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "slot",
    [
        "tts: {vendor: somethingnew, params: {voice: anna, speed: 1.5, tuning: {warmth: [1, 2]}}}",
        "asr: {vendor: brandnew, params: {model: large, key: ref+env://ASR_KEY}}",
        "asr: {vendor: microsoft, params: {key: ref+env://ASR_KEY, region: eastus, language: en-US, newest: {a: 1}}}",
    ],
    ids=["tts vendor", "asr vendor", "asr params"],
)
def test_what_plan_takes_apply_takes(tmp_path: Path, slot: str) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("SLOT", slot), encoding="utf-8")
    assert run("plan", tmp_path).returncode == 0
    applied = run("apply", tmp_path, "--auto-approve")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    simulator = Simulator(Store(tmp_path / ".reconciler" / "default.world"))
    (agent,) = simulator.world.live()
    assert agent.channel == "lobby"
    simulator.close()
    assert run("plan", tmp_path, "--detailed-exitcode").returncode == 0
