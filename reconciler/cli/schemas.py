"""The JSON Schemas that the product publishes, by name; a test keeps the copies in `schemas/` up to date.

Write them with: python -m reconciler.cli.schemas schemas
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from reconciler.config.schema import fleet_schema, policy_schema, rendered_schema
from reconciler.report.documents import to_json
from reconciler.report.plan_document import plan_schema
from reconciler.state.whole import state_schema

# An id only tells schemas apart and is never fetched; `.example` is reserved, so no host can answer there.
_ID: Final = "https://agora-reconciler.example/schemas/{name}.schema.json"


def _with_id(name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    made = make()
    return {"$schema": made["$schema"], "$id": _ID.format(name=name), **made}


_MAKERS: Final[Mapping[str, Callable[[], Mapping[str, Any]]]] = {
    "fleet": fleet_schema,
    "rendered": rendered_schema,
    "plan": plan_schema,
    "policy": policy_schema,
    "state": state_schema,
}
SCHEMAS: Final[Mapping[str, Callable[[], Mapping[str, Any]]]] = {
    name: partial(_with_id, name, make) for name, make in _MAKERS.items()
}


def write(directory: Path) -> None:
    """Write every schema into a directory."""
    for name, schema in SCHEMAS.items():
        (directory / f"{name}.schema.json").write_text(to_json(schema()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
