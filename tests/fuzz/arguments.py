"""Target `argv`: argument lists, mostly of real commands, options and values, through the whole command line."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from reconciler.cli.commands import COMMANDS
from reconciler.cli.main import cli

from .command import Desk
from .mutate import ODD_TEXTS, few
from .target import Outcome, skeleton

# It serves until it is stopped; and what is never asked of any command, since it never ends.
_SERVES, _ENDLESS = "simulator", "--watch"
_DONE = frozenset({0, 2})
# The agent that runs on the desk, and words that mean something there.
_AGENT = "A42KB20JB10CG53VV33ML62CL46UT72C"
_TEXTS = (
    "lobby/desk", "lobby/door", "lobby/none", "lobby/*", "*", "**/[!a]*", "x", _AGENT, "A1", "demo", "saved.plan", ".",
    "hello", "test", "prod", "greeting=hello", "greeting=bye", "model=x", "=", "a=", "leave=5", "join=40", "quota=nan",
    "usd_per_day=1e9", "secret-host=a.example", "leave", "renew,rotate,join", ",", "demo/fleet.yaml", "nowhere", "new",
    "fleet", "plan", "state", "bash", "zsh", "yaml", "json", "text", "markdown", "github", "sarif", "INTERRUPT", "append",
    "0", "1", "-1", "5", "10", "200", "201", "1s", "2m", "0s", "1.5h", "366d", "9" * 30, "1e3", "nan", "ms", "é" * 300,
    "\udcff", "\u202e", "a\nb", "\x1b[2J", "--", "-", "-q", "-vvv", "--debug", "--help", "--version", "-etest", "@x",
    "/", "/dev/null", "/nowhere/at/all", "/proc/self/mem", "sk-proj-Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6Aq7Zx3Wv9Tr5", "{{ x }}",
)  # fmt: skip


@cache
def _parameters(name: str) -> list[click.Parameter]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command.params


@dataclass(frozen=True, slots=True)
class Arguments:
    """One command line."""

    words: tuple[str, ...]


class CommandLines:
    """Argument lists, each on a desk of its own."""

    share = 600

    def __init__(self, home: Path) -> None:
        self._desk = Desk(home)

    def make(self, chance: random.Random) -> Arguments:
        names = [each.name for each in COMMANDS if each.name != _SERVES]
        name = chance.choice(names)
        words = [name, *_arguments(name, chance), *_options(name, chance)]
        if chance.random() < 0.1:
            words += _options(chance.choice(names), chance)
        if chance.random() < 0.3:
            words = _mutant(words, [*_TEXTS, *names], chance)
        return Arguments(tuple(_tame(words)))

    def check(self, made: Arguments) -> Outcome:
        with self._desk.fresh():
            answer = self._desk.run(made.words)
        if answer.code in _DONE:
            return Outcome()
        errors = [each for each in answer.err.splitlines() if each.lower().startswith("error")]
        told = errors[0] if errors else f"exit code {answer.code}"
        return Outcome((skeleton(told).partition(" (")[0],), deep=not answer.err.startswith("Usage"))


def _arguments(name: str, chance: random.Random) -> list[str]:
    """What a command takes by its place."""
    given = {"directory": "demo", "address": "lobby/desk", "agent_id": _AGENT, "text": "hello"}
    found = []
    for each in _parameters(name):
        if isinstance(each, click.Argument) and (each.required or chance.random() < 0.9):
            is_right = chance.random() < 0.9
            found.append(
                given.get(each.name or "") if is_right and each.name in given else _value(each, chance)
            )
    return [each for each in found if each is not None]


def _options(name: str, chance: random.Random) -> list[str]:
    """Some options of a command, with values that they may have, or may not."""
    options = [each for each in _parameters(name) if isinstance(each, click.Option)]
    words = []
    for each in chance.sample(options, min(len(options), chance.choice((0, 1, 1, 2, 3, 6)))):
        flag = chance.choice(each.opts)
        if each.is_flag or each.count:
            words.append(flag)
        elif flag.startswith("--") and chance.random() < 0.3:
            words.append(f"{flag}={_value(each, chance)}")
        else:
            words += [flag, _value(each, chance)]
    if any(each.opts == ["-C"] for each in options) and chance.random() < 0.9:
        words += ["-C", "demo"]
    if name in ("apply", "destroy") and chance.random() < 0.7:
        words.append("--auto-approve")
    return words


def _value(parameter: click.Parameter, chance: random.Random) -> str:
    if isinstance(parameter.type, click.Choice) and chance.random() < 0.8:
        return str(chance.choice(parameter.type.choices))
    if isinstance(parameter.default, str) and chance.random() < 0.3:
        return parameter.default
    return chance.choice(ODD_TEXTS) if chance.random() < 0.1 else chance.choice(_TEXTS)


def _mutant(words: list[str], others: list[str], chance: random.Random) -> list[str]:
    """Words dropped, doubled, swapped, cut, and put in."""
    for _ in range(few(chance)):
        at = chance.randrange(len(words) + 1)
        piece = words[at : at + 1]
        match chance.randrange(6):
            case 0:
                words = words[:at] + words[at + 1 :]
            case 1:
                words = words[:at] + piece * chance.choice((2, 2, 50)) + words[at + 1 :]
            case 2:
                chance.shuffle(words)
            case 3:
                words = [*words[:at], chance.choice(others), *words[at:]]
            case 4 if piece:
                words[at] = piece[0][: chance.randrange(len(piece[0]) + 1)]
            case _:
                words = [*words[:at], chance.choice(ODD_TEXTS), *words[at + 1 :]]
    return words


def _tame(words: list[str]) -> list[str]:
    """What an operating system passes on, that ends, and writes nowhere but on the desk."""
    words = [each.replace("\x00", "") for each in words if not each.startswith((_ENDLESS, _SERVES))]
    if "init" in words or any(each.startswith("--out") for each in words):
        words = [re.sub(r"(^|=)[/~]+", r"\1", each).replace("..", ".") for each in words]
    return words or ["--help"]
