"""Runs commands of one version of the code: requests as JSON lines on stdin, replies on stdout.

Started by its path, with PYTHONPATH at the version's own tree: it imports nothing but that version. A request is
`{"directory", "arguments", "hours"}`; the reply is `{"code", "out", "err"}`. The clock stands at a fixed time, `hours`
after its start, so that ages and tokens are the same for both versions.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

START = 1_780_000_000.0
_hours = 0.0
_real_time, _begun = time.time, time.time()


def _shifted_time() -> float:
    """The fixed start and the hours of the request; the rest passes twenty times as fast, so that agents start at once."""
    return START + _hours * 3600 + (_real_time() - _begun) * 20


def serve(tree: Path) -> None:
    """Answer requests until stdin ends."""
    global _hours
    time.time = _shifted_time  # before the package is imported: it takes its clock as a default
    import reconciler
    from reconciler.cli import main

    found = Path(reconciler.__file__).resolve()
    assert found.is_relative_to(tree.resolve()), f"{found} is not of {tree}"
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        _hours = request["hours"]
        os.chdir(request["directory"])
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.run(request["arguments"])
        texts = [each.buffer.getvalue().decode() for each in (out, err)]  # type: ignore[attr-defined]  # a BytesIO
        sys.stdout.write(json.dumps({"code": code, "out": texts[0], "err": texts[1]}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
