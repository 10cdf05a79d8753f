"""The log of a run: its messages as records with time and run id, written to a file or instead of stderr."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RunLog:
    """Makes log records. `form` is "text" or "json"; `path` is the file that records are appended to, if any.

    Raises `OSError` if that file cannot be written. `about` holds fleet and environment as soon as they are known.
    """

    def __init__(self, form: str, path: str | None) -> None:
        self._form = form
        self.path = Path(path) if path is not None else None
        self.append("")
        self.run_id = uuid.uuid4().hex[:12]
        self.about: Mapping[str, str | None] = {}

    def append(self, masked: str) -> None:
        """Append a record to the file, if there is one. It is opened each time, because log files are rotated."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(masked)

    def record(self, text: str, level: str, fields: Mapping[str, object]) -> str:
        """Return a message as a record that ends with a line break; JSON records also hold `fields`."""
        message = _COLOURS.sub("", text).strip()
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            from reconciler.report.documents import as_json_line

            head = {"time": time, "level": level, "run_id": self.run_id, **self.about}
            told = {key: value for key, value in fields.items() if value not in (None, "")}
            return as_json_line({**head, **told, "message": message}) + "\n"
        whose = "".join(f" {each}" for each in self.about.values() if each)
        return "".join(f"{time} {self.run_id}{whose} {line}".rstrip() + "\n" for line in message.split("\n"))
