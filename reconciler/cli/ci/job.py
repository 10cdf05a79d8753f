"""The data that every command of `ci` needs: the code host of this job, and a way to perform steps on it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TypeVar

from reconciler.cli.masking_adapters import http_sender
from reconciler.cli.output import MASKER
from reconciler.codehosts.settings import CodeHostJob, from_environment
from reconciler.errors import UsageError
from reconciler.git import Git
from reconciler.ports import Steps

T = TypeVar("T")

_LARGEST = 16 * 1024 * 1024


def this_job() -> CodeHostJob:
    """Return the settings of this job, and teach the masker its token."""
    settings = from_environment(os.environ)
    MASKER.learn_all([settings.token])
    return settings


def perform(steps: Steps[T]) -> T:
    """Perform steps that need neither state nor secrets: HTTP calls, times and pauses."""
    from reconciler.driver.loop import Driver

    async def run() -> T:
        sender = http_sender()
        try:
            return await Driver(sender).run(steps)
        finally:
            await sender.aclose()

    return asyncio.run(run())


def text_of(file: str) -> str:
    """Return the text of a Markdown file. Raises `UsageError` if it is too large or not UTF-8."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(f"{file} is larger than {_LARGEST >> 20} MiB")
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8 text", hint="write it with --format markdown") from None


def git_says(git: Git, *arguments: str) -> str:
    """Return the output of a git command. Raises `UsageError` with git's message if it fails."""
    done = git.run(*arguments)
    if done.code:
        raise UsageError(
            f"git cannot read a commit in {git.directory.absolute()}",
            hint=f"run it in a checkout; git says: {done.err[:600] or 'nothing'}",
        )
    return done.text
