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

    Without -e every environment is checked, and the fleet without one.

    \b
    reconciler validate
    reconciler validate hotels -e prod
    reconciler validate --format github          annotations on the lines of a pull request
    """
    from reconciler.cli.output import Output, source_reader
    from reconciler.cli.validating import check
    from reconciler.errors import ExitCode
    from reconciler.report import problems

    output = Output.taken_from(flags)
    path = Path(directory)
    found = check(path, environment, dict(variables))
    if style == "text":
        if found.diagnostics:
            output.result(
                problems.render_text(found.diagnostics, source_reader(path), colour=output.colour())
            )
        if not found.has_errors:
            output.result("\n".join(found.verdicts))
    else:
        output.result(_rendered(found.diagnostics, style, path), commands=style == "github")
    return int(ExitCode.ERROR if found.has_errors else ExitCode.DONE)


def _rendered(found: Any, style: str, directory: Path) -> str:
    from reconciler.report import problems

    if style == "json":
        return problems.render_json(found)
    # Annotations count from the root of the repository, where the command runs in CI.
    root = "" if directory.is_absolute() else directory.as_posix()
    renderers = {"github": problems.render_github, "sarif": problems.render_sarif}
    return renderers[style](found, root="" if root == "." else root)
