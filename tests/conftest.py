"""What all tests share: golden files, compared byte by byte, rewritten with `--update-golden`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from reconciler.cli.output import MASKER
from reconciler.secrets.masker import SecretMasker

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"

# What `pytest -m quick` runs, as paths below `tests/`: at most 60 s on two cores, for plan, apply, workflow and config.
# Left out of them is what takes long by its nature: fuzzing, bombs in the rendering worker, long campaigns.
QUICK = (
    "unit/plan/",
    "unit/apply/",
    "unit/workflow/",
    "scenarios/test_verbs.py",
    "unit/state/test_stores.py",
    "unit/config/test_load.py",
    "unit/config/test_merge.py",
    "unit/config/test_documents.py",
    "unit/config/test_yaml.py",
    "unit/config/test_bad_fleets.py",
    "unit/config/test_numbered.py",
    "properties/",
    "simulation/test_quick_lives.py",
)

# Whoever runs the tests in the background has these signals ignored, which whatever they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many workers `-n auto` starts: many tests wait for processes and clocks more than they compute."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers that have nothing left take tests from others: the slow ones stand together at the end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


# How long one example may take says nothing on a busy machine; growth has tests of its own.
hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the quick tests by where they are; in the quick loop, those of the first folders of `QUICK` run first."""
    order: dict[pytest.Item, int] = {}
    for item in items:
        below = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
        order[item] = next((place for place, each in enumerate(QUICK) if below.startswith(each)), len(QUICK))
        if order[item] < len(QUICK):
            item.add_marker(pytest.mark.quick)
    if config.option.markexpr == "quick":
        items.sort(key=order.__getitem__)


@pytest.fixture(autouse=True)
def nothing_is_secret_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was secret once stays so for a process, and a test shares its process with others."""
    fresh = SecretMasker()
    for name in vars(fresh):
        monkeypatch.setattr(MASKER, name, getattr(fresh, name))


@pytest.fixture(autouse=True, scope="session")
def nothing_left_in_the_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs remember about a machine's states is not kept for those of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the golden file of a name, such as `report/plan.txt`."""
    is_update = bool(request.config.getoption("--update-golden"))

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if is_update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{name} is missing: run pytest --update-golden and read what it writes"
        assert text == path.read_text(encoding="utf-8")

    return check
