"""`reconciler validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options


@click.command("validate", short_help="Check the files: every problem at once, offline.")
@options.directory_argument
@options.fleet_options
@options.format_option("text", "json", "github", "sarif")
@options.output_options
def command(directory: str, environment: str | None, variables: Any, style: str, **flags: Any) -> int:
    """Check a fleet's files. Offline, without credentials; every problem at once, each with its place.

    \b
    reconciler validate
    reconciler validate hotels -e prod
    reconciler validate --format github          annotations on the lines of a pull request
    """
    from reconciler import config
    from reconciler.cli.limits import load_limits
    from reconciler.cli.output import Output, source_reader
    from reconciler.errors import ExitCode, InvalidConfig
    from reconciler.report import problems
    from reconciler.report.escape import visible

    output = Output.taken_from(flags)
    path = Path(directory)
    try:
        fleet = config.load(path, environment=environment, variables=dict(variables), limits=load_limits())
        found, good = fleet.warnings, _counted(len(fleet.agents), len(fleet.channels))
    except InvalidConfig as problem:
        found, good = problem.diagnostics, ""
    if style == "text":
        if found:
            output.result(problems.render_text(found, source_reader(path), colour=output.colour()))
        if good:
            output.result(f"{visible(directory)} is valid: {good}.")
    else:
        output.result(_rendered(found, style, path), commands=style == "github")
    return int(ExitCode.DONE if good else ExitCode.ERROR)


def _counted(agents: int, channels: int) -> str:
    from reconciler.report.sentences import plural

    return f"{plural(agents, 'agent', 'agents')} in {plural(channels, 'channel', 'channels')}"


def _rendered(found: Any, style: str, directory: Path) -> str:
    from reconciler.report import problems

    if style == "json":
        return problems.render_json(found)
    # Annotations count from the root of the repository, where the command runs in CI.
    root = "" if directory.is_absolute() else directory.as_posix()
    renderers = {"github": problems.render_github, "sarif": problems.render_sarif}
    return renderers[style](found, root="" if root == "." else root)
