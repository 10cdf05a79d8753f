"""The checker shares no code with the client, reads names as the client writes them, and speaks up."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.model.address import Address, AgentName, Owner, default_uid, revision_of

from .fleets import agent, fleet
from .scenarios import BY_NAME
from .translate import files_of
from .witness import budget, names, pace
from .witness.judgement import Violation
from .witness.words import Bound
from .world import APP_ID, Universe

ROOT = Path(__file__).parents[2]


def test_no_code_of_the_client_is_loaded_with_the_checker() -> None:
    script = (
        "import sys, tests.simulation.witness.goal, tests.simulation.witness.standing\n"
        "print(*sorted(each for each in sys.modules if each.split('.')[0] == 'reconciler'))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True
    )
    loaded = told.stdout.split()
    allowed = ("reconciler.simulator", "reconciler.errors", "reconciler.diagnostics")
    others = [each for each in loaded if each != "reconciler" and not each.startswith(allowed)]
    assert loaded and others == []


def test_names_are_read_as_they_are_written() -> None:
    chance = random.Random(7)
    for _ in range(200):
        owner = Owner(chance.choice(("sim", "a-1")), chance.choice((None, "test")))
        address = Address(chance.choice(("lobby", "bar+grill", "a[1]")), f"n{chance.randrange(9999)}")
        written = AgentName.make(owner, address, revision_of(b"x"), chance.randrange(1, 40))
        read = names.read(str(written))
        assert read is not None
        assert (read.mark, read.place, read.revision, read.generation) == (
            str(owner),
            names.place_of(str(address)),
            written.revision,
            written.generation,
        )
        assert names.uid_of(str(owner), str(address)) == default_uid(owner, address)


@pytest.mark.parametrize(
    "text", ["front-desk-bot", "a.b.c.0123456789.1abcdefgh.g0", "a..c.0123456789.1abcdefgh.g1"]
)
def test_foreign_names_are_nobodys(text: str) -> None:
    assert names.read(text) is None


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7.0),
        ("3600", 20.0),
        ("-3", 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 0.0),
        ("Thu, 01 Jan 2026 01:00:00 GMT", 20.0),
    ],
)
def test_what_a_reply_asks_us_to_wait(asked: str, seconds: float) -> None:
    assert pace.asked_to_wait({"retry-after": asked, "date": "Thu, 01 Jan 2026 00:00:00 GMT"}) == seconds


def test_a_share_is_rounded_up_and_a_number_is_a_number() -> None:
    shares = [budget.allowed(Bound(percent=30.0), of) for of in (0, 1, 3, 4, 10)]
    assert shares == [0, 1, 1, 2, 3]
    assert budget.allowed(Bound(number=2), 100) == 2
    assert budget.allowed(Bound(number=2), 100, 5.0) == 5


def test_the_durable_state_has_the_addresses_of_the_files() -> None:
    world = BY_NAME["create"].prepared()
    world.run("apply", BY_NAME["create"].job)
    assert {each.address for each in world.store.by_id().values()} == {
        "lobby/greeter",
        "lobby/guide",
        "desk/concierge",
    }
    assert set(world.store.used()) == {"lobby/greeter", "lobby/guide", "desk/concierge"}
    assert files_of(fleet(agent("lobby/greeter"))).mark == "sim.test"


def test_an_agent_that_the_state_does_not_know_is_noticed() -> None:
    world = Universe(1)
    name = AgentName.make(Owner("sim", "test"), Address("lobby", "greeter"), revision_of(b"x"), 1)
    world.join_stranger(str(name), "lobby", uid="77")
    with pytest.raises(Violation, match="I2"):
        world.checker.check_world()
    assert APP_ID
