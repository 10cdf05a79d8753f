"""9.5: a saved plan."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.test_plan_files import resealed
from tests.numbered.scene import Scene

APPLY = ("apply", "demo", "--plan", "saved.plan")
STALE = 3


@pytest.fixture(autouse=True)
def saved(scene: Scene) -> Path:
    """The plan of two joins, approved."""
    assert scene.run("plan", "demo", "--out", "saved.plan").code == 0
    return scene.bench.home / "saved.plan"


def edited(saved: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """By hand."""
    tree = json.loads(saved.read_bytes())
    change(tree)
    saved.write_text(json.dumps(tree), encoding="utf-8")


def forged(saved: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """By somebody who also knows how the checksum is made."""
    saved.write_bytes(resealed(saved.read_bytes(), change))


def test_9_5_01_wrong_format(scene: Scene, saved: Path) -> None:
    good = saved.read_bytes()
    edited(saved, lambda tree: tree.update(format="reconciler-plan-2"))
    scene.refused("Another version's plan", *APPLY, says="reconciler-plan-2")
    for what, data in (
        (
            "Another tool's plan",
            b'{"format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": []}',
        ),
        ("What `plan --format json` prints", scene.run("plan", "demo", "--format", "json").out.encode()),
        ("Cut short", good[:-40]),
        ("One digit of the digest", good.replace(b'"digest": "', b'"digest": "0', 1)),
    ):
        saved.write_bytes(data)
        scene.refused(what, *APPLY, says="nothing was done")
    with saved.open("wb") as file:
        os.truncate(file.fileno(), 70 * 1024 * 1024)
    scene.refused("70 MB", *APPLY, says="too large")
    scene.section.note(
        "A range of releases is not applicable: a plan names its format, and what an apply would do is derived anew and "
        "compared, by whatever release."
    )


def test_9_5_02_other_inputs(scene: Scene, saved: Path) -> None:
    scene.refused("Another environment", *APPLY, "-e", "test", code=STALE, says="demo.test")
    scene.refused("Another variable", *APPLY, "--var", "greeting=bye", code=STALE, says="files or variables")
    scene.edit("idle_timeout: 0", "idle_timeout: 7")
    scene.refused("Other files", *APPLY, code=STALE, says="files or variables")
    scene.edit("idle_timeout: 7", "idle_timeout: 0")
    scene.edit("leave: 100%", "leave: 5")
    scene.refused("Another limit in the files: the policy", *APPLY, code=STALE, says="files or variables")
    scene.edit("leave: 5", "leave: 100%")
    assert scene.run("apply", "demo", "--auto-approve", "--target", "lobby/desk").code == 0
    scene.refused("What runs has moved", *APPLY, code=STALE, says="not any more: join lobby/desk")
    assert scene.run("plan", "demo", "--out", "saved.plan").code == 0
    [desk] = scene.service.world.live()
    scene.service.end(desk.agent_id)
    scene.refused("What runs has ended", *APPLY, code=STALE, says="now also: join lobby/desk")
    scene.section.note(
        "The state's serial and lineage are not compared by themselves: a reviewed plan stays valid until something that "
        "matters moves, and a state that was lost in between is stale only where other changes follow from that."
    )


def test_9_5_03_an_old_plan(scene: Scene, saved: Path) -> None:
    week = 7 * 24 * 3600
    stamp = saved.stat().st_mtime - week
    os.utime(saved, (stamp, stamp))
    scene.applied()
    scene.refused(
        "A plan of last week, and the world has moved since", *APPLY, code=STALE, says="applied already"
    )
    assert scene.run("destroy", "demo", "--auto-approve").code == 0
    assert scene.run(*APPLY).code == 0
    scene.section.note(
        "A greatest age is not applicable: two plans of the same inputs are the same bytes, so no plan holds a time, and "
        "one stays valid until something that matters moves. An old plan of a world that is as it was does what was "
        "approved."
    )


def test_9_5_04_an_offline_plan(scene: Scene) -> None:
    scene.refused(
        "A plan without the service", "plan", "demo", "--offline", "--out", "saved.plan", says="--offline"
    )
    scene.section.note(
        "Not applicable yet: every plan reads the service, so none was made offline. What an apply does is derived from "
        "what runs in any case."
    )


def test_9_5_05_applied_already(scene: Scene) -> None:
    assert scene.run(*APPLY).code == 0
    scene.refused("The same plan once more", *APPLY, code=STALE, says="applied already")


def test_9_5_06_other_changes(scene: Scene, saved: Path) -> None:
    good = saved.read_bytes()
    evil = {"action": "join", "address": "lobby/evil"}
    edited(saved, lambda tree: tree["rows"].append(evil))
    scene.refused("A row more", *APPLY, says="edited")
    saved.write_bytes(good)
    forged(saved, lambda tree: tree["rows"].append(evil))
    scene.refused("A row more, with its checksum", *APPLY, code=STALE, says="join lobby/evil")
    saved.write_bytes(good)
    forged(saved, lambda tree: tree["rows"].pop())
    scene.refused("A row less, with its checksum", *APPLY, code=STALE, says="join lobby/door")
    saved.write_bytes(good)
    forged(saved, lambda tree: tree.update(digest="0" * 64))
    scene.refused("Another digest, with its checksum", *APPLY, code=STALE, says="not what was approved")
    saved.write_bytes(good)
    edited(saved, lambda tree: tree["policy"].update(allow={"join": 99}))
    scene.refused("A limit raised in the plan", *APPLY, says="edited")
    scene.section.note(
        "A plan raises no limit and allows no host: whoever applies says so, with `apply --allow`."
    )


def test_9_5_07_odd_rows(scene: Scene, saved: Path) -> None:
    good = saved.read_bytes()
    forged(saved, lambda tree: tree["rows"][0].update(action="explode"))
    scene.refused("An unknown action", *APPLY, says="edited")
    saved.write_bytes(good)
    forged(saved, lambda tree: tree["rows"][0].update(address="lobby/nobody"))
    scene.refused("An address that nobody has", *APPLY, code=STALE, says="lobby/nobody")
    key = "sk-proj-Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6Aq7Zx3Wv9Tr5"
    saved.write_bytes(good)
    edited(saved, lambda tree: tree.update(properties={"llm": {"api_key": key}}))
    answer = scene.refused("A value where no plan has one", *APPLY, says="edited")
    assert key not in answer.said
    saved.write_bytes(good)
    forged(saved, lambda tree: tree["selection"]["targets"].append(key))
    answer = scene.refused(
        "A key where a plan has a text, with its checksum", *APPLY, says="looks like a key"
    )
    assert key not in answer.said


def test_9_5_08_a_container(scene: Scene, saved: Path) -> None:
    good = saved.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../outside", good)
    saved.write_bytes(packed.getvalue())
    scene.refused("A zip file whose member leads out", *APPLY, says="not JSON")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        link = tarfile.TarInfo("saved.plan")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    saved.write_bytes(packed.getvalue())
    scene.refused("A tar file with a link", *APPLY, says="not JSON")
    saved.write_bytes(b"[" * 1_000_000)
    scene.refused("A million brackets", *APPLY, says="not JSON")
    saved.unlink()
    saved.symlink_to("/dev/zero")
    scene.refused("A link to what never ends", *APPLY, says="too large")
    assert not (scene.bench.home.parent / "outside").exists()
    scene.section.note("A plan is one JSON file; nothing is ever unpacked.")


def test_9_5_09_an_approver(scene: Scene) -> None:
    scene.section.note(
        "Not applicable: no policy asks for an approver's digest. The plan's own digest is what was approved, and who may "
        "hand it to `apply --plan` is for the pipeline's protection rules."
    )
    scene.refused("A fleet that asks for one", "plan", "demo", "--approver", "somebody", says="--approver")
