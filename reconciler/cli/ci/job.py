"""What every command of `ci` needs: the code host of this job, and steps performed on it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TypeVar

from reconciler.cli.output import MASKER
from reconciler.cli.remembering import http_sender
from reconciler.codehosts.settings import Settings, from_environment
from reconciler.errors import UsageError
from reconciler.git import Git
from reconciler.ports import Steps

T = TypeVar("T")

_LARGEST = 16 * 1024 * 1024


def this_job() -> Settings:
    """The settings of this job; the masker knows its token from here on."""
    settings = from_environment(os.environ)
    MASKER.learn_all([settings.token])
    return settings


def perform(steps: Steps[T]) -> T:
    """Perform steps that need no state and no secrets: calls, clocks and pauses."""
    from reconciler.driver.loop import Driver

    async def run() -> T:
        sender = http_sender()
        try:
            return await Driver(sender).run(steps)
        finally:
            await sender.aclose()

    return asyncio.run(run())


def text_of(file: str) -> str:
    """A Markdown file. Raises `UsageError` where it is none."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(f"{file} is larger than {_LARGEST >> 20} MiB")
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8 text", hint="write it with --format markdown") from None


def git_says(git: Git, *arguments: str) -> str:
    """What a command of git prints. Raises `UsageError` with git's own words where it fails: a checkout of another user, say."""
    done = git.run(*arguments)
    if done.code:
        raise UsageError(
            f"git cannot read a commit in {git.directory.absolute()}",
            hint=f"run it in a checkout; git says: {done.err[:600] or 'nothing'}",
        )
    return done.text
