"""Adopting: the walkthrough, for real, over a loopback socket."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.simulator import Credentials, Simulator, run_in_thread

from .harness import SERVICE, VENDORS, Command, copied, environment, live

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="somebody else starts agents with curl")

HOURS = 3600.0


def test_a_running_agent_is_taken_over_and_renamed_at_its_rotation(
    tmp_path: Path, reconciler: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied("adopting", tmp_path))
    ago = 30 * HOURS
    simulator = Simulator(clock=lambda: time.time() - ago, credentials=Credentials.from_environment(SERVICE))
    simulator.set_switches({"rtc_token": "ignored"})
    with run_in_thread(simulator) as url:
        settings = {**SERVICE, **VENDORS, "AGORA_AGENTS_API_BASE_URL": url}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        theirs = _started_by_hand(settings)
        ago = 0.0  # thirty hours later

        status = reconciler.well("status", "-e", "prod")
        assert "Unmanaged agents" in status
        assert theirs in status
        assert "friday-experiment" in status

        assert theirs in reconciler.well("adopt", "-e", "prod", "lobby/greeter", theirs)
        plan = json.loads(reconciler.well("plan", "-e", "prod", "--format", "json"))
        actions = {each["address"]: each["action"] for each in plan["resource_changes"]}
        assert actions == {"lobby/greeter": "update", "cafe/barista": "join"}
        assert "(unknown) -> " in reconciler.well("plan", "-e", "prod")

        reconciler.well("apply", "-e", "prod", "--auto-approve")
        assert live(url)["friday-experiment"] == theirs, "nobody was hung up on"
        assert reconciler("plan", "-e", "prod", "--detailed-exitcode").code == 0

        _rotate_after_a_day(tmp_path / "fleet.yaml")
        assert "1 to rotate" in reconciler.well("plan", "-e", "prod")
        reconciler.well("apply", "-e", "prod", "--auto-approve")
        assert len(live(url)) == 2
        assert all(name.startswith("lobby-fleet.prod.") for name in live(url))
        assert reconciler("plan", "-e", "prod", "--detailed-exitcode").code == 0


def _started_by_hand(settings: dict[str, str]) -> str:
    done = subprocess.run(
        ["./start-by-hand.sh"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return str(json.loads(done.stdout)["agent_id"])


def _rotate_after_a_day(files: Path) -> None:
    text = files.read_text(encoding="utf-8")
    files.write_text(
        text.replace("\nchannels:", "\n  lifecycle: {rotate_after: 24h}\n\nchannels:"), encoding="utf-8"
    )
