"""Where the values behind secret references come from: the environment, files, and the `vals` command.

Values are read at the moment of a call and kept nowhere. Messages name references, never values.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from reconciler.errors import SecretUnavailable
from reconciler.model.secret import Secret, SecretRef
from reconciler.ports import SecretSource

# The credentials of the service itself are never a vendor's secret: a fleet that asks for one is an exfiltration.
RESERVED = "AGORA_"
_VALS_TIMEOUT = 30.0
_LARGEST_FILE = 64 * 1024


class SecretSources:
    """`ports.SecretSource`: `ref+env://`, `ref+file://`, and every other scheme through `vals` where it is installed."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values: dict[SecretRef, Secret] = {}
        problems: list[str] = []
        others: list[SecretRef] = []
        for reference in sorted(references):
            reader = self._readers().get(reference.scheme)
            if reader is None:
                others.append(reference)
                continue
            found = reader(reference)
            if isinstance(found, Secret):
                values[reference] = found
            else:
                problems.append(f"{reference}: {found}")
        values |= self._by_vals(others, problems)
        if problems:
            raise SecretUnavailable(
                f"secrets without a value: {'; '.join(problems)}",
                hint="set them where apply runs; a plan needs none of them",
            )
        return values

    def _readers(self) -> Mapping[str, Callable[[SecretRef], Secret | str]]:
        return {"env": self._from_environment, "file": self._from_file}

    def _from_environment(self, reference: SecretRef) -> Secret | str:
        if reference.path.startswith(RESERVED):
            return f"names that begin with {RESERVED} are not given to agents"
        value = self._environment.get(reference.path)
        return Secret(value) if value else "the environment variable is not set"

    def _from_file(self, reference: SecretRef) -> Secret | str:
        path = self._directory / reference.path
        try:
            if path.stat().st_size > _LARGEST_FILE:
                return "the file is too large for a secret"
            return Secret(path.read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError, ValueError) as problem:
            return f"the file cannot be read ({type(problem).__name__})"

    def _by_vals(self, references: list[SecretRef], problems: list[str]) -> dict[SecretRef, Secret]:
        if not references:
            return {}
        command = shutil.which("vals")
        if command is None:
            problems += [
                f"{each}: the scheme needs the `vals` command, which is not installed" for each in references
            ]
            return {}
        question = orjson.dumps({str(place): each.text for place, each in enumerate(references)})
        try:
            answer = subprocess.run(  # noqa: S603  fixed arguments; the references go in as data
                [command, "eval", "-f", "-", "-o", "json"],
                input=question,
                capture_output=True,
                timeout=_VALS_TIMEOUT,
                check=True,
            )
            found = orjson.loads(answer.stdout)
            return {each: Secret(str(found[str(place)])) for place, each in enumerate(references)}
        except (OSError, subprocess.SubprocessError, ValueError, KeyError) as problem:
            problems += [f"{each}: vals failed ({type(problem).__name__})" for each in references]
            return {}


class StandIns:
    """`ports.SecretSource` for the embedded simulator: what has no value here gets a stand-in, which nobody checks."""

    def __init__(self, sources: SecretSource) -> None:
        self._sources = sources

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values: dict[SecretRef, Secret] = {}
        for reference in references:
            try:
                values |= self._sources.resolve(frozenset({reference}))
            except SecretUnavailable:
                values[reference] = Secret(f"stand-in for {reference.path}")
        return values
