"""Read the values behind secret references: from the environment, from files, and with the `vals` command.

Values are read for one call and not kept. Messages name references, never values. `secrets.sources` refuses references
by their text; this module also refuses files to which links lead. A path without links is checked, and then opened
without following any, so that a link that takes its place meanwhile is refused.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from reconciler.directory import Directory
from reconciler.errors import SecretUnavailable
from reconciler.model.tree import Tree, references_in
from reconciler.ports import SecretSource
from reconciler.secrets import UNFILLED, Secret, SecretRef, written_path
from reconciler.secrets.sources import (
    MORE_SCHEMES,
    OWN_SCHEMES,
    RESERVED,
    Fault,
    is_hidden,
    more_schemes,
    of_machine,
    refusal,
)

_VALS_TIMEOUT = 30.0
_LARGEST_FILE = 64 * 1024


class SecretSources:
    """A `ports.SecretSource`: `ref+env://`, `ref+file://`, and known schemes through `vals` where it is installed.

    Loading the files has refused bad references already. They are refused again here, because this is the only place
    that returns values.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._more = more_schemes(environment.get(MORE_SCHEMES))

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        values: dict[SecretRef, Secret] = {}
        problems: dict[str, str] = {}
        others: list[SecretRef] = []
        for reference in sorted(references):
            refused = refusal(reference, self._more)
            if refused is not None:
                added = f", unless {MORE_SCHEMES} adds it" if refused.fault is Fault.SCHEME else ""
                problems[reference.text] = f"{refused.what}{added}"
                continue
            reader = self._readers().get(reference.scheme)
            if reader is None:
                others.append(reference)
                continue
            found = reader(reference)
            if isinstance(found, Secret):
                values[reference] = found
            else:
                problems[reference.text] = found
        values |= self._by_vals(others, problems)
        if problems:
            listed = "; ".join(f"{name}: {why}" for name, why in problems.items())
            raise SecretUnavailable(
                f"secrets without a value: {listed}",
                hint="set them where apply runs; a plan needs none of them",
                missing=problems,
            )
        return values

    def _readers(self) -> Mapping[str, Callable[[SecretRef], Secret | str]]:
        return {"env": self._from_environment, "file": self._from_file}

    def _from_environment(self, reference: SecretRef) -> Secret | str:
        value = self._environment.get(reference.path)
        if value is None:
            return "the environment variable is not set"
        if value.strip() == UNFILLED:
            return f"the environment variable is {UNFILLED}, which `import` prints in the place of a value"
        return _value(value) or "the environment variable is empty"

    def _from_file(self, reference: SecretRef) -> Secret | str:
        try:
            path = self._directory / written_path(reference.path)
            real = path.resolve(strict=True)
            return self._misled(path, real) or _content(real) or "the file is empty"
        except (OSError, RuntimeError, ValueError) as problem:  # a cycle of links is a RuntimeError
            return f"the file cannot be read ({type(problem).__name__})"

    def _misled(self, path: Path, real: Path) -> str | None:
        """Return why the file to which a path's links lead is refused, or None."""
        root = self._directory.resolve()
        if of_machine(real.as_posix()):
            return "a link leads to what the machine shows of its processes"
        inside = real.is_relative_to(root)
        # A reviewer sees the path, but not where a link leads, so a link must not lead out of the fleet's directory.
        if not inside and any(each.resolve().is_relative_to(root) for each in path.parents):
            return "a link leads out of the fleet's directory"
        if is_hidden((real.relative_to(root) if inside else real).as_posix()):
            return "a link leads to something hidden"
        return None

    def _by_vals(self, references: list[SecretRef], problems: dict[str, str]) -> dict[SecretRef, Secret]:
        if not references:
            return {}
        command = shutil.which("vals")
        if command is None:
            why = "the scheme needs the `vals` command, which is not installed"
            problems |= {each.text: why for each in references}
            return {}
        question = orjson.dumps({str(place): each.text for place, each in enumerate(references)})
        try:
            answer = subprocess.run(  # noqa: S603  fixed arguments; the references go in as data
                [command, "eval", "-f", "-", "-o", "json"],
                input=question,
                capture_output=True,
                timeout=_VALS_TIMEOUT,
                check=True,
                env=self._for_others(),
            )
            found = orjson.loads(answer.stdout)
            values = {each: _value(str(found[str(place)])) for place, each in enumerate(references)}
        except (OSError, subprocess.SubprocessError, ValueError, KeyError) as problem:
            if isinstance(problem, subprocess.CalledProcessError) and len(references) > 1:
                # One reference without a value fails all of them: asked one by one, only that one is reported.
                each_alone = (self._by_vals([each], problems) for each in references)
                return {each: value for found in each_alone for each, value in found.items()}
            problems |= {each.text: f"vals failed ({type(problem).__name__})" for each in references}
            return {}
        problems |= {
            each.text: "vals found an empty value" for each, value in values.items() if value is None
        }
        return {each: value for each, value in values.items() if value is not None}

    def _for_others(self) -> dict[str, str]:
        """Return the environment without the service's own credentials: no source of secrets needs them."""
        return {
            name: value for name, value in self._environment.items() if not name.upper().startswith(RESERVED)
        }


def _value(text: str) -> Secret | None:
    """Return a source's text as a secret; None for a blank text, with which an agent would join and fail."""
    return Secret(text) if text.strip() else None


def _content(path: Path) -> Secret | str | None:
    """Return the text of a regular file, None for a blank one, or why it is refused.

    Raises OSError where a part of `path` has become a link.
    """
    descriptor = Directory(Path(path.anchor)).plain(path.relative_to(path.anchor).as_posix())
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return "it is not a regular file"
        data = file.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        return "the file is too large for a secret"
    if b"\0" in data:
        return "the file holds bytes that are no text"
    return _value(data.decode("utf-8").rstrip("\r\n"))


class HeldSecrets:
    """The secrets of some trees that can be read without running another program; those without a value are left out.

    The service may know them from an earlier run and quote them, so they are masked in what it says. The first iteration
    reads them; the values are kept for the texts that come later.
    """

    def __init__(self, sources: SecretSource, trees: Iterable[Tree]) -> None:
        self._sources = sources
        self._trees = trees
        self._values: tuple[Secret, ...] | None = None

    def __iter__(self) -> Iterator[Secret]:
        if self._values is None:
            self._values = tuple(self._read())
        return iter(self._values)

    def _read(self) -> Iterator[Secret]:
        for reference in references_in(*self._trees):
            if reference.scheme in OWN_SCHEMES:
                with suppress(SecretUnavailable):
                    yield from self._sources.resolve(frozenset({reference})).values()


class StandIns:
    """A `ports.SecretSource` for the embedded simulator: a reference without a value gets a stand-in."""

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
