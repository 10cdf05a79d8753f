"""`reconciler apply` as users have it, in this process, and when its changes began and ended.

    python -m tests.benchmarks.applied OUT DIRECTORY FLAG...

Writes to OUT, as JSON, the time and the CPU time of the process when the plan stood and when the last change was done.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from reconciler.__main__ import main
from reconciler.apply.events import Finished
from reconciler.cli import applying
from reconciler.workflow import Planned


class _Marks(applying._Notes):
    """The notes of an apply, and the instants of the plan and of the last change."""

    marks: dict[str, tuple[float, float]] = {}
    # The changes that have not ended. Not every end is marked: to read the CPU time costs several microseconds.
    left = 0

    def take(self, event: Any) -> None:
        super().take(event)
        if isinstance(event, Planned):
            self.left = len(event.plan.acts)
        elif isinstance(event, Finished):
            self.left -= 1
        if isinstance(event, Planned) or (isinstance(event, Finished) and self.left <= 0):
            self.marks[type(event).__name__] = (time.time(), time.process_time())


if __name__ == "__main__":
    out, directory, *flags = sys.argv[1:]
    applying._Notes = _Marks  # type: ignore[misc]
    sys.argv = ["reconciler", "apply", directory, "--auto-approve", *flags]
    try:
        main()
    finally:
        Path(out).write_text(json.dumps(_Marks.marks))
