"""Writes the files of a new fleet; existing files are never overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.cli.output import write
from reconciler.cli.schemas import SCHEMAS
from reconciler.cli.streams import write_file
from reconciler.errors import UsageError
from reconciler.report.escape import visible

_STATE = ".reconciler/"
_IGNORE_FILE = ".gitignore"
_SETTINGS_FILE = ".vscode/settings.json"
SCHEMA_FILE: Final = "fleet.schema.json"
# For VS Code, if a file has no schema line. YAML 1.2, as the loader reads it: `no` is a text there.
_SETTINGS = f"""\
{{
  "yaml.schemas": {{"./{SCHEMA_FILE}": ["fleet.yaml", "agents/*.yaml", "agents/*.yml"]}},
  "yaml.yamlVersion": "1.2"
}}
"""


def write_new(root: Path, files: Mapping[str, str], *, command: str) -> None:
    """Write a fleet's files below a directory, with its schema, editor settings and a .gitignore for the state.

    Raises `UsageError` if a fleet file exists. Existing settings and .gitignore files are kept as they are.
    """
    schema = json.dumps(SCHEMAS["fleet"](), ensure_ascii=False, separators=(",", ":")) + "\n"
    files = {**files, SCHEMA_FILE: schema}
    # `lexists`, because a broken link counts too: writing through it would create a file elsewhere.
    taken = [each for each in files if os.path.lexists(root / each)]
    if taken:
        raise UsageError(
            f"{root / taken[0]} is there already; nothing was written", hint=f"{command} never overwrites"
        )
    for file, text in {**files, _IGNORE_FILE: f"{_STATE}\n", _SETTINGS_FILE: _SETTINGS}.items():
        path = root / file
        if os.path.lexists(path):
            write(f"kept {visible(str(path))}, which is there already\n")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode(), mode="xb")
        write(f"wrote {visible(str(path))}\n")
    if not _is_ignored(root / _IGNORE_FILE):
        write(
            f"add {_STATE} to {visible(str(root / _IGNORE_FILE))}: it is there already, and was not touched\n"
        )


def with_modelines(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files with a first line in each YAML file that names the schema to an editor.

    The schema is a copy beside fleet.yaml, so that an editor needs no network and checks what this version checks.
    """
    return {
        path: f"# yaml-language-server: $schema={'../' * path.count('/')}{SCHEMA_FILE}\n{text}"
        if path.endswith(".yaml")
        else text
        for path, text in files.items()
    }


def fleet_name(root: Path) -> str:
    """Return a fleet name made from a directory's name: lower case, a letter first, at most 20 characters."""
    text = root.resolve().name.lower()
    cleaned = "".join(each if each.isascii() and each.isalnum() else "-" for each in text).strip("-")
    return (cleaned if cleaned[:1].isalpha() else f"fleet-{cleaned}".strip("-"))[:20].rstrip("-") or "fleet"


def _is_ignored(path: Path) -> bool:
    """Return whether a line of a .gitignore names the state's directory; patterns are not evaluated."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(each.strip().strip("/") == _STATE.strip("/") for each in lines)
