"""The schemas that the product publishes, by name; `schemas/` holds what these give, and a test keeps it fresh.

python -m reconciler.cli.schemas schemas
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.config import fleet_schema, rendered_schema
from reconciler.report.documents import to_json
from reconciler.report.json_plan import plan_schema
from reconciler.state.document import state_schema

SCHEMAS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "fleet": fleet_schema,
    "rendered": rendered_schema,
    "plan": plan_schema,
    "state": state_schema,
}


def write(directory: Path) -> None:
    """Write every schema into a directory."""
    for name, schema in SCHEMAS.items():
        (directory / f"{name}.schema.json").write_text(to_json(schema()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
