"""Directed checks for what no random life can meet; each returns the problem that it finds, or None.

They must all be silent on the real code, and each must speak up for the planted bugs that name it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.driver.http import HttpxSender
from reconciler.errors import StateLocked
from reconciler.git import Git
from reconciler.ports import HttpReply, HttpRequest
from reconciler.secrets import Secret
from reconciler.state.lease import FileLease
from reconciler.state.log.git_objects import made_commit
from reconciler.state.log.git_ref import push
from reconciler.state.log.ref_lease import RefLease

from . import days, disk, logs
from .rows import BY_ROW


def _row(name: str) -> Callable[[], str | None]:
    def check() -> str | None:
        try:
            BY_ROW[name].run()
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"
        return None

    return check


def redirect() -> str | None:
    """The production sender follows no redirect: whatever host a reply names, our credentials stay here."""
    visited: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visited.append(self.path)
            self.send_response(302 if self.path == "/first" else 200)
            self.send_header("location", f"http://localhost:{server.server_port}/second")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    async def ask() -> object:
        sender = HttpxSender()
        try:
            url = f"http://127.0.0.1:{server.server_port}/first"
            return await sender.send(HttpRequest("GET", url, headers={"authorization": Secret("Basic x")}))
        finally:
            await sender.aclose()

    try:
        reply = asyncio.run(ask())
    finally:
        server.shutdown()
        server.server_close()
    if visited != ["/first"] or not isinstance(reply, HttpReply) or reply.status != 302:
        return f"a redirect was followed: {visited}"
    return None


def lease() -> str | None:
    """A lease is over when a whole one was watched without a sign of life, whatever the clocks on the wall say."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "the.lock"
        holder = FileLease(path)
        holder.take("who holds it")
        os.utime(path, (0.0, 0.0))  # by the clock on the wall, that was in 1970
        try:
            FileLease(path).take("somebody in a hurry")
        except StateLocked:
            return None
        finally:
            holder.release()
    return "a lease was taken over at the first look"


_LEASE = "refs/reconciler-lease/sim.test"


def ref_lease() -> str | None:
    """A lease in a ref ends by the clock of whoever waits, however far the holder's is behind or ahead."""
    for behind in (600, -600):
        with TemporaryDirectory() as directory:
            git = Git(Path(directory))
            git.run("init", "--quiet", "--bare", "remote.git")
            git.run("init", "--quiet", ".")
            stamp = f"{int(time.time()) - behind} +0000"
            sign = made_commit(
                git, git.run("mktree").text, None, "{}", GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp
            )
            push(git, "remote.git", _LEASE, sign, None)
            if _is_taken(RefLease(git, "remote.git", _LEASE), looks=2):
                return f"a lease was taken over at once: its holder's clock is {behind} s behind"
            if not _is_taken(RefLease(git, "remote.git", _LEASE, seconds=0.5), looks=6):
                return f"a lease never ends: its holder's clock is {behind} s behind"
    return None


def _is_taken(lease: RefLease, looks: int) -> bool:
    for _ in range(looks):
        with suppress(StateLocked):
            lease.take("somebody who waits")
            return True
    return False


def controllers() -> str | None:
    """Some short lives of controllers, until one of them goes wrong."""
    for seed in range(_LIVES_OF_CONTROLLERS):
        problem = days.live(seed, days.SHORT)[0].problem
        if problem is not None:
            return f"days {seed}: {problem}"
    return None


_LIVES_OF_CONTROLLERS = 8

CHECKS: dict[str, Callable[[], str | None]] = {
    "disk": disk.check,
    "lease": lease,
    "log": logs.check,
    "ref lease": ref_lease,
    "redirect": redirect,
    "controllers": controllers,
    "echoed secret": _row("secrets: the service echoes them"),
    "digests": _row("secrets: digests are keyed"),
    "empty fleet": _row("plan: empty fleet"),
    "old agents": _row("list live: agents of three hours ago, state lost"),
    "starting agent": _row("join: response lost, the agent still starts"),
    "short list": _row("list live: short, every time"),
    "list times out": _row("list live: timeout, every time"),
    "foreign holder": _row("join: 409 with a foreign holder (agent_id)"),
    "flaky reads": _row("reads: each fails once"),
    "approved": _row("plan: approved, then edited"),
}
