"""Fixtures of the hostile tests: a bench for commands, a fleet full of canaries, a service over a socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import Credentials, Simulator, run_in_thread
from tests.hostile import canaries
from tests.hostile.bench import Bench


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, colours or home of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("AGORA_", "CANARY_", "GITHUB_")) or name in {"CI", "NO_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("seen")))


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(capsys, monkeypatch, tmp_path)


@pytest.fixture
def canary_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in canaries.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AGORA_APP_ID", canaries.APP_ID)
    home = tmp_path / "fleet"
    home.mkdir()
    (home / "fleet.yaml").write_text(canaries.FLEET, encoding="utf-8")
    (home / "secret.txt").write_text(canaries.FILE_VALUE + "\n", encoding="utf-8")
    return home


def new_service(kind: type[Simulator] = Simulator) -> Simulator:
    service = kind(
        credentials=Credentials(
            app_id=canaries.APP_ID,
            app_certificate=canaries.ENVIRONMENT["AGORA_APP_CERTIFICATE"],
            customer_id=canaries.ENVIRONMENT["AGORA_CUSTOMER_ID"],
            customer_secret=canaries.ENVIRONMENT["AGORA_CUSTOMER_SECRET"],
        )
    )
    service.set_switches(quota=10_000, start_seconds=0, stop_seconds=0)
    return service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    simulator = new_service()
    with run_in_thread(simulator) as url:
        monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", url)
        yield simulator
