"""Shows the error that ended a command on stderr: what went wrong, where, and what to do."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from reconciler.cli.output import current, write
from reconciler.cli.streams import columns
from reconciler.errors import ExitCode, InvalidConfig, ReconcilerError


def show_error(problem: BaseException) -> int:
    """Print the error that ended a command, and return its exit code. The traceback is printed only with --debug."""
    import traceback

    from reconciler.report import problems
    from reconciler.report.escape import visible
    from reconciler.report.formats import RenderOptions

    colour = current().colour(err=True)

    def say(text: str) -> None:
        write(text if text.endswith("\n") else f"{text}\n", err=True, level="error")

    if current().debug:
        say("".join(traceback.format_exception(problem)))
    if isinstance(problem, InvalidConfig):
        from reconciler.config import read_source

        reader = partial(read_source, Path(problem.directory))
        shown = RenderOptions(colour=colour, width=columns(sys.stderr), read_source=reader)
        say(problems.problem_lines(problem.diagnostics, shown))
        return int(problem.exit_code)
    if isinstance(problem, ReconcilerError):
        say(current().pasteable(problems.render_error(problem, colour=colour)))
        return int(problem.exit_code)
    if isinstance(problem, OSError):
        what = visible(f"{problem.strerror or type(problem).__name__}: {problem.filename or 'no file named'}")
        say(f"error: {what} [system]\n    check the path, its permissions and the disk")
        return int(ExitCode.ERROR)
    say(
        f"error: reconciler broke in a way it should not: {type(problem).__name__} [internal]\n"
        "    this is a bug of ours; run the same command with --debug and report what it prints"
    )
    return int(ExitCode.ERROR)
