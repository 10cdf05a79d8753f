"""The section of each test in the book, and the scene that it plays in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import Credentials, Simulator, run_in_thread
from tests.hostile import canaries
from tests.hostile.bench import Bench
from tests.numbered import book
from tests.numbered.register import number_of
from tests.numbered.scene import FLEET, SECRETS, Scene


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, colours or home of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("AGORA_", "GITHUB_")) or name in {"CI", "NO_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("seen")))


@pytest.fixture
def section(request: pytest.FixtureRequest) -> Iterator[book.Section]:
    """The test's section; when the test has passed it is compared with the book, or written into it."""
    told = book.Section(number_of(request.node.name))
    failed = request.session.testsfailed
    yield told
    if request.session.testsfailed == failed:
        book.check(told, update=bool(request.config.getoption("--update-golden")))


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(capsys, monkeypatch, tmp_path)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A service over a socket, and an environment that knows it."""
    simulator = Simulator(
        credentials=Credentials(
            app_id=canaries.APP_ID,
            app_certificate=canaries.ENVIRONMENT["AGORA_APP_CERTIFICATE"],
            customer_id=canaries.ENVIRONMENT["AGORA_CUSTOMER_ID"],
            customer_secret=canaries.ENVIRONMENT["AGORA_CUSTOMER_SECRET"],
        )
    )
    simulator.set_switches(start_seconds=0, stop_seconds=0)
    for name, value in {**canaries.ENVIRONMENT, **SECRETS, "AGORA_APP_ID": canaries.APP_ID}.items():
        monkeypatch.setenv(name, value)
    with run_in_thread(simulator) as url:
        monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", url)
        yield simulator


@pytest.fixture
def scene(bench: Bench, service: Simulator, section: book.Section) -> Scene:
    """A fleet whose two agents do not run yet."""
    home = bench.home / "demo"
    home.mkdir()
    (home / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    return Scene(bench, service, section)
