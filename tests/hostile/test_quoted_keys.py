"""What a service says in an error shows no piece of a vendor's key, also in a run that has not resolved that key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.output import MASKER
from reconciler.providers.agora import connectors
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.secrets.masker import SecretMasker
from reconciler.simulator import Outage, Request, Response, Simulator, run_in_thread
from tests.hostile import canaries
from tests.hostile.bench import Answer, Bench
from tests.hostile.conftest import new_service

IMPATIENT = CallLimits(attempt_seconds=0.4, read_seconds=0.5, write_seconds=0.5, first_backoff=0.01)
# A key of a vendor that the service has from an earlier run or another machine; this one has never seen it.
NEVER_SEEN = "sk-proj-Qm8ZtR4wXc2LpV7nYb5KdJ1sHg9FaE3u"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("plan",),
    ("plan", "--format", "json", "--debug"),
    ("plan", "--format", "markdown", "--check-secrets"),
    ("apply", "--auto-approve"),
    ("drift",),
    ("status",),
    ("status", "--all"),
    ("doctor",),
    ("turn", "--json"),
    ("destroy", "--auto-approve"),
    ("show", "lobby/greeter"),
    ("speak", "lobby/greeter", "hello"),
    ("history", "lobby/greeter"),
    ("turns", "lobby/greeter"),
    ("interrupt", "lobby/greeter"),
    ("adopt", "lobby/greeter", "A42AN36NC98HN49AT73FE64HV77JL73A"),
    ("forget", "lobby/greeter"),
)
ON_ADDRESS = {"show", "speak", "history", "turns", "interrupt", "adopt", "forget"}


class Quoting(Simulator):
    """A service that refuses what it is asked, and quotes a vendor's key in its words."""

    words = ""
    status = 400

    def handle(self, request: Request, **rest: Any) -> Response | Outage:
        if not self.words:
            return super().handle(request, **rest)
        text = f"vendor said: bad key {self.words}!"
        # With 200, the only words of a list's reply that are quoted.
        said = json.dumps({"detail": text, "status": text, "data": {"list": []}, "meta": {"total": 0}})
        return Response(self.status, (("content-type", "application/json"),), said.encode())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_shows_a_piece_of_a_key(bench: Bench, canary_fleet: Path, words: tuple[str, ...]) -> None:
    key = canaries.ENVIRONMENT["CANARY_LLM"]
    name, *rest = words
    where = ["-C", str(canary_fleet)] if name in ON_ADDRESS else [str(canary_fleet)]
    # Without a fleet's credentials in it, only the look of a key tells what it is; and `forget` asks nothing.
    pieces = {key[:13], key[13:], key, NEVER_SEEN, NEVER_SEEN[:20]}
    with _refusing(bench, canary_fleet) as service:
        for piece in pieces:
            service.words = piece
            answer = _in_a_new_process(bench, name, *rest, *where)
            assert piece not in answer.said, answer.said
            assert "bad key (secret)" in answer.said or name == "forget"


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_no_key_is_shown(bench: Bench, canary_fleet: Path, status: int) -> None:
    with _refusing(bench, canary_fleet) as service:
        service.status = status
        for key in canaries.VALUES.values():
            for piece in (key[: len(key) // 2], key[len(key) // 2 :]):
                service.words = piece
                answer = _in_a_new_process(bench, "plan", canary_fleet)
                assert (answer.code, piece in answer.said) == (1, False), answer.said


@contextmanager
def _refusing(bench: Bench, fleet: Path) -> Iterator[Quoting]:
    """A service on which the fleet runs; once its `words` are set, it refuses everything with them."""
    service = new_service(Quoting)
    assert isinstance(service, Quoting)
    bench.patch.setattr(connectors, "CallLimits", partial(replace, IMPATIENT))
    with run_in_thread(service) as url:
        bench.patch.setenv("AGORA_AGENTS_API_BASE_URL", url)
        assert bench.run("apply", fleet, "--auto-approve", "--wait", "0s").code == 0
        yield service


def _in_a_new_process(bench: Bench, *arguments: object) -> Answer:
    """Run a command that does not know what an earlier one has resolved."""
    for name, value in vars(SecretMasker()).items():
        bench.patch.setattr(MASKER, name, value)
    return bench.run(*arguments)
