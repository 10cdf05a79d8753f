"""The types of values on the command line, and the command whose ADDRESS may begin with `-`. Importing this needs click alone."""

from __future__ import annotations

import shlex

import click

_LONGEST = 366 * 86400.0


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A duration such as `2m` or `1h30m`, or a number of seconds; its value is in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        from reconciler import durations

        try:
            seconds = durations.parse(str(value).strip(), bare_seconds=True)
        except ValueError:
            self.fail(f'"{value}" is not a duration; write 30s, 2m or 1h', param, ctx)
        if seconds > _LONGEST:
            self.fail(f'"{value}" is longer than a year', param, ctx)
        return seconds


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A text that can be encoded as UTF-8: arguments may hold bytes that are no text in any encoding."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!a} is not UTF-8", param, ctx)
        return text


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A text of the form `KEY=VALUE`."""

    name = "key=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = Name().convert(value, param, ctx).partition("=")
        if not equals or not key.strip():
            self.fail(f'"{value}" is not of the form KEY=VALUE', param, ctx)
        return key.strip(), text


class VariableOption(Pair):
    """A `KEY=VALUE` of `--var`. Values that look like a key are refused: other processes can read our arguments."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        key, text = super().convert(value, param, ctx)
        from reconciler.contract.literals import KEY_LIKE

        if KEY_LIKE.search(text):
            self.fail(
                f"--var {key} holds what looks like a key, and arguments can be read by everybody; if it is one, revoke "
                "it, and write a reference (ref+env://NAME) in the fleet's files",
                param,
                ctx,
            )
        return key, text


# The only key of `--allow` that takes no value.
UNREVIEWED = "unreviewed"


class Allowance(Pair):
    """A `KEY=VALUE` of `--allow`, or the word `unreviewed`, which takes no value."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        return (UNREVIEWED, "") if value == UNREVIEWED else super().convert(value, param, ctx)


class AddressCommand(click.Command):
    """A command with an ADDRESS; if an address was read as an option, the error says how to type it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as problem:
            taken = next((each for each in words if each.startswith("-") and _is_address(each)), None)
            if taken is None or "--" in words:
                raise
            said = problem.format_message().strip()
            if isinstance(problem, click.NoSuchOption):  # click's own words differ from release to release
                said = f"No such option {problem.option_name}."
            raise click.UsageError(
                f'{said} An address that begins with "-" comes after "--", and options before it: '
                f"{ctx.command_path} -- {shlex.quote(taken)}",
                ctx,
            ) from problem


def _is_address(text: str) -> bool:
    from reconciler.model.address import Address

    try:
        Address.parse(text)
    except ValueError:
        return False
    return True
