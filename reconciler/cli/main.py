"""The program `reconciler`: runs one command, and turns its result or error into an exit code.

Commands are imported when they run, so that `--help` and completion need click alone.
"""

from __future__ import annotations

import gc
import importlib
import io
import keyword
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import click

from reconciler.cli.commands import COMMANDS
from reconciler.cli.helping import HelpContext, with_layout

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


_NARROWEST_HELP, _WIDEST_HELP = 38, 100


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [each.name for each in COMMANDS]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = next((each for each in COMMANDS if each.name == name), None)
        if entry is None:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{entry.group}")
        command: click.Command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
        command.short_help = entry.summary  # completion shows it
        with_layout(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with `incomplete`, without importing a command."""
        from click.shell_completion import CompletionItem

        found = [each for each in COMMANDS if each.name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(each.name, help=each.summary) for each in found), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(each.name, each.summary) for each in COMMANDS])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            import difflib

            near = difflib.get_close_matches(args[0], names, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise click.UsageError(f'There is no command "{args[0]}".{hint}', ctx)
        return super().resolve_command(ctx, args)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST_HELP},
    epilog="Exit codes: 0 done, 1 error, 2 changes present (plan --detailed-exitcode, drift), 3 stale plan, "
    "4 state locked, 5 refused by a limit, 6 incomplete.",
)
@click.version_option(package_name="agora-reconciler", prog_name="reconciler", message="%(prog)s %(version)s")
def cli() -> None:
    """Declare fleets of Agora Conversational AI voice agents; plan, apply and keep them that way.

    \b
    reconciler init my-fleet          a fleet to start from
    reconciler plan my-fleet          what would change, and why
    reconciler apply my-fleet         do it, after a yes
    reconciler drift my-fleet         what changed behind our back (cron: exit 2)
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.excepthook = _report_uncaught
    # A command allocates much and frees little, so garbage collection costs more than it gains. A run that changes
    # the world lives longer, and collects again once its plan is complete (`Session._heard`).
    gc.disable()
    code = run(arguments)
    gc.freeze()  # else the interpreter looks for garbage in all of a large fleet before it ends
    sys.exit(_finished(code))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. All errors are turned into messages here, and only here."""
    _print_as_a_new_run()
    try:
        code = cli.main(
            args=arguments, prog_name="reconciler", standalone_mode=False, terminal_width=_help_width()
        )
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as problem:
        shown = io.StringIO()
        _in_our_words(problem).show(shown)
        return _say(_controls_visible(shown.getvalue()), 1)
    except click.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return 1
    except Exception as problem:  # noqa: BLE001  nothing is left to catch it: a bug of ours is a message too
        return _report(problem)


def _print_as_a_new_run() -> None:
    """Reset the output settings of the last command in this process; commands such as `init` set none of their own."""
    if "reconciler.cli.output" in sys.modules:
        from reconciler.cli.output import Output

        Output()


def _interrupted() -> int:
    from reconciler.cli.output import current

    current().acknowledge("interrupted")
    return 130


def _help_width() -> int:
    """Return the width of help, without click's own look-up, which imports every archive module."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and len(columns) < 6 else 0
    if width <= 0:
        with suppress(AttributeError, ValueError, OSError):
            width = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    return max(min(width or 80, _WIDEST_HELP) - 2, _NARROWEST_HELP)


def _in_our_words(problem: click.ClickException) -> click.ClickException:
    """Return the error for an unknown option or one argument too many with what to type instead."""
    if isinstance(problem, click.NoSuchOption):  # click's own words differ between releases
        from reconciler.diagnostics import nearest

        command = problem.ctx.command.name if problem.ctx is not None else None
        instead = _INSTEAD.get((command or "", problem.option_name))
        near = nearest(problem.option_name, problem.possibilities or ())
        hint = instead or (f"Did you mean {near}?" if near else "")
        if not hint and isinstance(problem.ctx and problem.ctx.command, LazyGroup):
            hint = "The options of a command come after it."
        return click.UsageError(f"No such option {problem.option_name}. {hint}".rstrip(), problem.ctx)
    if isinstance(problem, click.UsageError) and problem.ctx and "unexpected extra arg" in problem.message:
        return click.UsageError(f"{problem.message.rstrip('.')}. {_taken(problem.ctx)}", problem.ctx)
    if isinstance(problem, click.MissingParameter) and problem.param and problem.ctx:
        where = _FOUND_IN.get(problem.param.human_readable_name)
        said = problem.format_message().rstrip(".")
        return click.UsageError(f"{said}. {where}", problem.ctx) if where else problem
    return problem


# Where the value of an argument that is missing is found.
_FOUND_IN = {
    "ADDRESS": "An address is <channel>/<agent>; `reconciler status` lists those of a fleet.",
    "AGENT_ID": "`reconciler status` lists the agents that run in a fleet's channels, with their ids.",
}


def _taken(context: click.Context) -> str:
    """Return which arguments a command takes, and what to do with more of them."""
    arguments = [each for each in context.command.params if isinstance(each, click.Argument)]
    names = [each.human_readable_name.strip("[]") for each in arguments]
    takes = f'"{context.command_path}" takes {" and ".join(f"one {each}" for each in names) or "no argument"}'
    if "TEXT" in names:
        return f"{takes}: quote a TEXT of several words, and give the fleet's directory with -C DIR."
    if any("-C" in each.opts for each in context.command.params):
        return f"{takes}: give the fleet's directory with -C DIR."
    if names == ["DIR"]:
        return f"{takes}: run it once for each directory."
    return f"{takes}: run it once for each." if names else f"{takes}; --help lists its options."


_NO_SELECTOR = (
    "destroy has no selector: it leaves the whole fleet. To leave some agents, write lifecycle: {paused: true} for them, "
    "or take them out of the files, and run `reconciler apply --target GLOB`."
)
# What to use instead of an option that a command does not have, by command and option.
_INSTEAD = {("destroy", option): _NO_SELECTOR for option in ("--target", "--exclude", "--replace")}


def _say(text: str, code: int) -> int:
    from reconciler.cli.output import write

    write(text, err=True, level="error")
    return code


def _controls_visible(text: str) -> str:
    """Return a text with control characters made visible, because arguments may hold some that move the cursor."""
    from reconciler.report.escape import visible

    # click lists the choices of an argument on lines of their own, after a tab.
    return "\n".join(visible(line) for line in text.replace("\n\t", "\n    ").split("\n"))


def _report(problem: BaseException) -> int:
    from reconciler.cli.shown_errors import show_error

    return show_error(problem)


def _finished(code: int) -> int:
    """Return the exit code after all output is written: an error if results were lost, for example on a full disk."""
    if "reconciler.cli.output" not in sys.modules:  # only click has written, and it raises its own errors
        return code
    from reconciler.cli.output import finish

    lost = finish()
    if lost is not None:
        _say(f"error: not all results could be written: {_cause(lost)} [output]\n", 1)
    return code or 1 if lost is not None else code


def _cause(lost: OSError | ValueError) -> str:
    return (isinstance(lost, OSError) and lost.strerror) or type(lost).__name__


def _report_uncaught(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """Report an uncaught exception. Python's own traceback would be printed without masking secrets."""
    _report(problem)
