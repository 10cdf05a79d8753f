"""The help of every command: it fits the terminal, and its examples can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from reconciler.cli.commands import COMMANDS
from reconciler.cli.main import cli

# A command or a list of choices that is longer than the line is not broken: half of one cannot be pasted.
UNBROKEN = ("reconciler ", "token=", "AGORA_", "--")


def commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for entry in COMMANDS:
        yield (entry.name,)
        command = cli.get_command(click.Context(cli), entry.name)
        yield from ((entry.name, name) for name in getattr(command, "commands", {}))


def shown(words: tuple[str, ...], width: int) -> list[str]:
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=width)
    assert result.exit_code == 0
    return str(result.output).splitlines()


@pytest.mark.parametrize("width", [78, 38])
@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_no_line_is_wider_than_the_terminal(words: tuple[str, ...], width: int) -> None:
    wide = [line for line in shown(words, width) if len(line) > width]
    assert [line for line in wide if not line.strip().startswith(UNBROKEN)] == []


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_examples_can_be_pasted(words: tuple[str, ...]) -> None:
    """What an example does is a comment of the shell, and no summary is cut."""
    lines = [line.strip() for line in shown(words, 78)]
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]
    examples = [line for line in lines if line.startswith("reconciler ")]
    assert examples
    for each in examples:
        assert "  " not in each.partition("#")[0].rstrip(), each
        name, *arguments = shell_words(each)[1:]
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, each
        try:
            command.make_context(name, arguments)
        except click.BadParameter as problem:
            assert "does not exist" in problem.message, each


def shell_words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return words[: next((at for at, word in enumerate(words) if word in (">", "|", ">>")), len(words))]
