"""9.1 and 9.2: the files and their templates. The bad fleets hold these messages; here is which number has which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.numbered import book
from tests.numbered.register import of_group
from tests.numbered.scene import Scene
from tests.unit.config.test_numbered import BESIDES, FILES, TEMPLATES

UNIT = Path(__file__).parents[1] / "unit" / "config"
APPLY = ("apply", "demo", "--auto-approve")
REFUSED = 5
# These have a test of their own below: files and rules alone do not show them.
OWN = {"9.1.5", "9.1.24", "9.1.25", "9.1.28", "9.1.30"}
NOTES = {
    "9.1.20": "A token's lifetime below the interval of a controller is not applicable: no command reconciles by itself yet.",
}


def shown_by(number: str) -> str:
    """Where the messages of an item are."""
    _, group, item = map(int, number.split("."))
    fleets = (FILES if group == 1 else TEMPLATES).get(item, "").split()
    found = [f"the bad fleet [{name}](../bad_fleets/{name}/expected.txt)" for name in fleets]
    if group == 1:
        found += [
            f"`{path.name}::{name}`" for path in sorted(UNIT.glob("test_*.py")) for name in named(path, item)
        ]
    found += [f"`{name}`" for name in BESIDES.get(f"{group}.{item}", ())]
    shown = "\n".join(f"- {each}" for each in found)
    return f"{shown}\n\n{NOTES[number]}" if number in NOTES else shown


def named(path: Path, item: int) -> list[str]:
    return re.findall(rf"^def (test_{item}_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("number", [each for each in [*of_group("9.1"), *of_group("9.2")] if each not in OWN])
def test_listed(number: str, request: pytest.FixtureRequest) -> None:
    section = book.Section(number)
    section.note(shown_by(number))
    assert len(section.text().splitlines()) > 2, "nothing shows it"
    book.check(section, update=bool(request.config.getoption("--update-golden")))


def test_9_1_05_a_flood_of_brackets(scene: Scene) -> None:
    scene.section.note(shown_by("9.1.5"))
    (scene.home / "fleet.yaml").write_text("fleet: " + "[" * 200_000, encoding="utf-8")
    scene.refused("200,000 of them", "plan", "demo", says="50 levels")


def test_9_1_24_a_secret_to_another_host(scene: Scene) -> None:
    scene.section.note(shown_by("9.1.24"))
    scene.applied()
    scene.edit("https://api.openai.com/v1", "https://evil.example/v1")
    host = "secret-host=evil.example"
    scene.refused("A secret that starts to go to another host", *APPLY, code=REFUSED, says=host)


def test_9_1_25_beyond_the_quota(scene: Scene) -> None:
    scene.edit("leave: 100%", "leave: 100%, quota: 1")
    scene.refused("Two agents, and room for one", *APPLY, code=REFUSED, says="quota")


def test_9_1_28_no_app_id_and_no_certificate(scene: Scene) -> None:
    scene.section.note(shown_by("9.1.28"))
    for name, value in (("AGORA_APP_ID", "hotel"), ("AGORA_APP_CERTIFICATE", "z" * 32)):
        scene.refused(f"`{name}`, in the environment", *APPLY, says=name, **{name: value})


def test_9_1_30_an_empty_fleet(scene: Scene) -> None:
    scene.applied()
    scene.edit("channels:\n  - {channel: lobby, agents: [{name: desk}, {name: door}]}\n", "")
    scene.refused("No agent is declared any more, to apply", *APPLY, code=REFUSED, says="destroy")
    scene.refused("To plan", "plan", "demo", says="destroy")
