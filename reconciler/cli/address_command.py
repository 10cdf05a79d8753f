"""A click command whose ADDRESS argument may begin with `-`, as options do."""

from __future__ import annotations

import shlex

import click


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
                f"{ctx.command_path} {shlex.join(_with_dashes(words, taken))}",
                ctx,
            ) from problem


def _with_dashes(words: list[str], address: str) -> list[str]:
    """Return the words with `--` before the address; those after it only if none of them is an option."""
    place = words.index(address)
    before, after = words[:place], words[place + 1 :]
    return [*before, "--", address, *([] if any(each.startswith("-") for each in after) else after)]


def _is_address(text: str) -> bool:
    from reconciler.model.address import Address

    try:
        Address.parse(text)
    except ValueError:
        return False
    return True
