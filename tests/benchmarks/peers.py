"""The nearest peer, side by side: `octodns-sync`, in an environment of its own, planning as many A records.

Off by default (`--octodns`): it installs octoDNS from the package index.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import command_use, in_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.settled import settle

_VERSION = "1.22.0"
_CONFIG = """providers:
  files: {{class: octodns.provider.yaml.YamlProvider, directory: {zones}, default_ttl: 300, enforce_order: false}}
  target: {{class: octodns.provider.yaml.YamlProvider, directory: {zones}, default_ttl: 300, enforce_order: false}}
zones:
  example.com.: {{sources: [files], targets: [target]}}
"""


def octodns_rows(scale: Scale) -> Iterator[Figure]:
    """Whole processes in CPU seconds, in turns; nothing has changed for either."""
    python = _installed(scale.directory / "octodns")
    settings = _zone(scale.directory / "zones", scale.agents)
    fleet = scale.calm(scale.agents)
    if not (fleet / ".reconciler").exists():
        settle(fleet)
    peer = (str(python.parent / "octodns-sync"), "--config-file", str(settings))
    for task in ("plan", "status", "drift"):
        mine = (sys.executable, "-m", "tests.benchmarks.child", task, str(fleet))
        pair = in_turns(
            lambda mine=mine: command_use(*mine).cpu,  # type: ignore[misc]
            lambda: command_use(*peer).cpu,
            max(1, scale.turns // 2),
        )
        case = f"{task}, {scale.agents:,} agents of 60 keys, and records of 4 lines"
        yield Figure(
            "octodns", f"{pair.work:.1f} s", f"{pair.floor:.1f} s", pair.ratio, pair.ratio <= 0.5, case
        )


def _installed(directory: Path) -> Path:
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
        _run(str(python), "-m", "pip", "install", "--quiet", f"octodns=={_VERSION}")
    return python


def _zone(directory: Path, records: int) -> Path:
    directory.mkdir(exist_ok=True)
    lines = (
        f"desk-{number:06d}:\n  ttl: 300\n  type: A\n  value: 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n"
        for number in range(records)
    )
    (directory / "example.com.yaml").write_text("---\n" + "".join(lines))
    settings = directory / "settings.yaml"
    settings.write_text(_CONFIG.format(zones=directory))
    return settings


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
