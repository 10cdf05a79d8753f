"""The log against the contract of every state store, on a directory and on a ref of a bare remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.git import Git
from reconciler.state.lease import FileLease
from reconciler.state.log.directory import DirectoryDrawer
from reconciler.state.log.git_ref import GitDrawer
from reconciler.state.log.ref_lease import RefLease
from reconciler.state.log.store import LogStore
from tests.contracts.state_store import Open, StateStoreContract

KEY = b"a key for digests of values"


class TestLogInADirectory(StateStoreContract):
    """Entries as files."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Open:
        def opened() -> LogStore:
            return LogStore(
                DirectoryDrawer(tmp_path / "state"), FileLease(tmp_path / "lease"), name="the log", key=KEY
            )

        return opened


class TestLogInAGitRef(StateStoreContract):
    """Entries as commits of a ref."""

    # What writes mean is the log's business, and tried above: hundreds of pushes would say no more.
    test_any_body_comes_back_as_it_was = None  # type: ignore[assignment]
    test_a_store_and_a_view_agree_on_what_writes_mean = None  # type: ignore[assignment]

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Open:
        Git(tmp_path).run("init", "--quiet", "--bare", "remote.git")
        Git(tmp_path).run("init", "--quiet", "checkout")
        git = Git(tmp_path / "checkout")

        def opened() -> LogStore:
            remote = str(tmp_path / "remote.git")
            lease = RefLease(git, remote, "refs/reconciler-lease/demo.-")
            return LogStore(GitDrawer(git, remote, "refs/reconciler/demo.-"), lease, name="the ref", key=KEY)

        return opened
