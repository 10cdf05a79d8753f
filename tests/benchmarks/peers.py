"""The nearest peer, side by side: `octodns-sync`, in an environment of its own, planning as many A records.

Off by default (`--octodns`): it installs octoDNS from the package index.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import clock_seconds
from tests.benchmarks.scale import Scale
from tests.benchmarks.settled import settle

_VERSION = "1.22.0"
_CONFIG = """providers:
  files: {{class: octodns.provider.yaml.YamlProvider, directory: {zones}, default_ttl: 300, enforce_order: false}}
  target: {{class: octodns.provider.yaml.YamlProvider, directory: {zones}, default_ttl: 300, enforce_order: false}}
zones:
  example.com.: {{sources: [files], targets: [target]}}
"""


def octodns_row(scale: Scale) -> Iterator[Figure]:
    """Whole processes by the clock, in turns; nothing has changed for either."""
    python = _installed(scale.directory / "octodns")
    settings = _zone(scale.directory / "zones", scale.agents)
    fleet = scale.calm(scale.agents)
    if not (fleet / ".reconciler").exists():
        settle(fleet)
    theirs, mine = [], []
    for _ in range(max(1, scale.turns // 2)):
        theirs.append(
            clock_seconds(lambda: _run(str(python.parent / "octodns-sync"), "--config-file", str(settings)))
        )
        mine.append(
            clock_seconds(lambda: _run(sys.executable, "-m", "tests.benchmarks.child", "plan", str(fleet)))
        )
    ratio = median(a / b for a, b in zip(mine, theirs, strict=True))
    case = f"{scale.agents:,} agents of 60 keys, and records of 4 lines"
    yield Figure("octodns", f"{median(mine):.1f} s", f"{median(theirs):.1f} s", ratio, ratio <= 0.25, case)


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
