"""Loads the files of a fleet, within the limits that environment variables set, and prints its warnings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path

from reconciler import config
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output, write
from reconciler.diagnostics import plural
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import DesiredFleet
from reconciler.secrets.sources import MORE_SCHEMES, more_schemes


def load_fleet(flags: FleetFlags, output: Output) -> DesiredFleet:
    """Load the fleet of a directory, print its warnings, and return it; errors are raised."""
    output.pasteable = partial(_completed, flags)
    begun = time.monotonic()
    try:
        fleet = load_files(Path(flags.directory), flags.environment, flags.variables)
    except InvalidConfig as problem:
        problem.directory = flags.directory
        raise
    if output.log is not None:
        output.log.about = {"fleet": fleet.owner.fleet, "environment": fleet.owner.environment}
    output.detail(
        f"read the files of {fleet.owner} in {Path(flags.directory)}: {counted(fleet)}, in {time.monotonic() - begun:.2f} s"
    )
    output.warn(fleet.warnings, flags.directory)
    return fleet


def _completed(flags: FleetFlags, text: str) -> str:
    """Return a text for a terminal in which each command chooses this fleet; most texts hold none."""
    if "`reconciler" not in text:
        return text
    from reconciler.cli.resume_command import completed

    return completed(text, flags)


def counted(fleet: DesiredFleet) -> str:
    """Return how many agents and channels a fleet has, in words."""
    return f"{plural(len(fleet.agents), 'agent', 'agents')} in {plural(len(fleet.channels), 'channel', 'channels')}"


def outline(flags: FleetFlags) -> DesiredFleet | None:
    """Return a fleet without its agents; None if the files do not even declare its name, environment and service."""
    return config.outline(Path(flags.directory), environment=flags.environment)


def load_files(
    directory: Path, environment: str | None, variables: Iterable[tuple[str, str]] = ()
) -> DesiredFleet:
    """Load the fleet of a directory and return it with its warnings unprinted; errors are raised."""
    return config.load(directory, environment=environment, variables=dict(variables), limits=load_limits())


def declared_environments(directory: Path) -> tuple[str, ...]:
    """Return the environments that a fleet declares; none if its files do not load, which the load that follows reports."""
    try:
        return config.environments(directory)
    except InvalidConfig:
        return ()


def load_limits() -> config.LoadLimits:
    """Return the limits for a load. The files themselves cannot set any of them."""
    _say_what_is_missing()
    return config.LoadLimits(secret_schemes=more_schemes(os.environ.get(MORE_SCHEMES)))


@cache
def _say_what_is_missing() -> None:
    """Warn once if this system (Windows) cannot limit the time and memory of templates."""
    from reconciler.config.templates.worker import CONFINES

    if not CONFINES:
        write(
            "warning: on this system templates run without a limit of time and memory: read a stranger's fleet before you "
            "plan it [templates]\n",
            err=True,
        )
