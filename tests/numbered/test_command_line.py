"""9.3: the command line and the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from reconciler.state import place
from tests.hostile.bench import mutating
from tests.numbered.scene import Scene

APPLY = ("apply", "demo", "--auto-approve")
REAL = "https://api.agora.io"


def test_9_3_01_unknown_flags_and_commands(scene: Scene) -> None:
    scene.refused("A command that does not exist", "aplly", "demo", says="apply")
    scene.refused("A flag that does not exist", "plan", "demo", "--taget", "lobby/*", says="--target")
    scene.refused("A format that does not exist", "plan", "demo", "--format", "xml", says="markdown")
    scene.refused("A kind of change that does not exist", *APPLY, "--only", "jion", says="join")
    scene.refused("A limit that does not exist", *APPLY, "--allow", "leaves=5", says="leave")
    scene.refused("An environment that does not exist", "plan", "demo", "-e", "prod", says="test")


def test_9_3_02_conflicting_flags(scene: Scene) -> None:
    scene.run("plan", "demo", "--out", "saved.plan")
    for flags in (
        ("--target", "lobby/*"),
        ("--exclude", "lobby/door"),
        ("--replace", "*"),
        ("--only", "join"),
        ("--prune-unrecorded",),
    ):
        scene.refused(
            f"`--plan` with `{flags[0]}`", "apply", "demo", "--plan", "saved.plan", *flags, says=flags[0]
        )
    scene.refused("One limit, two numbers", *APPLY, "--allow", "leave=1", "--allow", "leave=9", says="twice")


def test_9_3_03_a_secret_on_the_command_line(scene: Scene) -> None:
    key = "sk-proj-Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6Aq7Zx3Wv9Tr5"
    answer = scene.run(*APPLY, "--var", f"greeting={key}")
    assert (answer.code, key in answer.said) == (1, False)
    scene.section.case(
        "A key as a variable", "reconciler apply demo --auto-approve --var greeting=sk-…", 1, answer.said
    )
    scene.refused("A flag that would take one", "plan", "demo", "--customer-secret=x", says="No such option")


def test_9_3_04_a_target_that_matches_nothing(scene: Scene) -> None:
    scene.applied()
    for flag in ("--target", "--exclude", "--replace"):
        scene.refused(f"`{flag}`, misspelt", *APPLY, flag, "loby/*", says=f'{flag} "loby/*"')


def test_9_3_05_nobody_to_ask(scene: Scene) -> None:
    scene.refused(
        "`apply` in a pipeline", "apply", "demo", says="--auto-approve, --plan FILE or --approved TOKEN"
    )
    scene.applied()
    scene.refused("`destroy` in a pipeline", "destroy", "demo", says="--auto-approve")


def test_9_3_06_apply_on_a_pull_request(scene: Scene) -> None:
    def event(name: str, tree: object) -> str:
        path = scene.bench.home / name
        path.write_text(json.dumps(tree), encoding="utf-8")
        return name

    ours, theirs = {"full_name": "hotel/voices"}, {"full_name": "somebody/voices"}
    own = event("own.json", {"pull_request": {"head": {"repo": ours}, "base": {"repo": ours}}})
    fork = event("fork.json", {"pull_request": {"head": {"repo": theirs}, "base": {"repo": ours}}})
    merged = event("merged.json", {"pull_request": {"merged": True}})
    real = {"AGORA_AGENTS_API_BASE_URL": REAL}
    for what, name, path in (
        ("On a pull request", "pull_request", own),
        ("On a pull request of a fork", "pull_request_target", fork),
        ("On a pull request that cannot be read", "pull_request", "nowhere.json"),
    ):
        where = {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": path}
        scene.refused(what, *APPLY, says="pull request", **where, **real)
    where = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": own}
    scene.refused("`destroy` on a pull request", "destroy", "demo", "--auto-approve", **where, **real)
    scene.refused(
        "`plan` that reads secrets, on a pull request",
        *("plan", "demo", "--check-secrets"),
        says="pull request",
        **where,
        **real,
    )
    scene.section.note(
        "Not refused: any other `plan`; what is merged (`closed` with `merged: true`); and a service on this machine, such as a "
        "simulator that a pull request is tried on."
    )
    assert scene.run(*APPLY, **where).code == 0
    assert scene.run(*APPLY, GITHUB_EVENT_NAME="pull_request", GITHUB_EVENT_PATH=merged).code == 0
    scene.edit("idle_timeout: 0", "idle_timeout: 7")
    assert "pull request" not in scene.run("plan", "demo", **where).err


def test_9_3_07_a_negative_wait_for_the_lock(scene: Scene) -> None:
    scene.refused("Less than nothing", *APPLY, "--lock-timeout", "-5s", says="30s, 2m or 1h")
    scene.refused("No duration", *APPLY, "--lock-timeout", "soon", says="30s, 2m or 1h")
    scene.refused("For ever", *APPLY, "--lock-timeout", "999d", says="a year")


def test_9_3_08_unset_variables_by_name(scene: Scene) -> None:
    scene.bench.patch.delenv("TTS_KEY")
    scene.refused("A vendor's, to apply", *APPLY, says="TTS_KEY")
    assert mutating(scene.service) == {}
    scene.refused("A vendor's, to compare", "plan", "demo", "--check-secrets", says="TTS_KEY")
    for name in ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_CERTIFICATE", "AGORA_APP_ID"):
        scene.bench.patch.delenv(name)
    scene.refused("The service's own, to apply", *APPLY, says="AGORA_APP_CERTIFICATE")
    scene.refused("The service's own, to plan", "plan", "demo", says="AGORA_CUSTOMER_SECRET")


def test_9_3_09_where_credentials_are_not_sent(scene: Scene) -> None:
    for what, value in (
        ("Plain http", "http://api.agora.io"),
        ("A user", "https://somebody:password@api.agora.io"),
        ("A name that only begins like this machine's", "http://127.0.0.1.evil.example"),
        ("A user that looks like this machine", "http://localhost@evil.example"),
        ("A query", "https://api.agora.io/?to=evil"),
        ("No host", "https://"),
        ("Another scheme", "file:///etc/passwd"),
        ("A port that is none", "https://api.agora.io:99999"),
        ("The metadata of a cloud", "http://169.254.169.254"),
    ):
        answer = scene.refused(what, *APPLY, says="https://host", AGORA_AGENTS_API_BASE_URL=value)
        assert value == "https://" or value not in answer.said
    scene.edit("service: {kind: agora}", "service: {kind: agora, base_url: https://evil.example}")
    scene.refused("An address in the files", "plan", "demo", says="base_url")


def test_9_3_10_a_state_that_cannot_be_written(scene: Scene) -> None:
    (scene.home / ".reconciler").write_text("in the way", encoding="utf-8")
    scene.refused("A file where the directory should be", *APPLY, says=".reconciler")
    (scene.home / ".reconciler").unlink()
    assert scene.service.tally() == {}
    scene.applied()
    asked = scene.service.tally()
    scene.state.chmod(0o400)
    access = os.access
    # Root may write anything: the tests of whoever runs them as root see what everybody else would.
    scene.bench.patch.setattr(
        "os.access",
        lambda path, mode, **rest: (
            access(path, mode, **rest) and not (mode & os.W_OK and Path(path).suffix == ".state")
        ),
    )
    scene.refused("A state that is read-only", *APPLY, says="read-only")
    assert scene.service.tally() == asked
    scene.section.note("Both were found before anything was asked of the service.")


def test_9_3_11_a_network_file_system(scene: Scene) -> None:
    scene.applied()
    mounts = scene.bench.home / "mounts"
    scene.bench.patch.setattr(place, "MOUNTS", mounts)
    for kind, source in (("nfs4", "nas:/voices"), ("cifs", "//nas/voices")):
        mounts.write_text(
            f"/dev/vda / ext4 rw 0 0\n{source} {scene.bench.home} {kind} rw 0 0\n", encoding="utf-8"
        )
        scene.refused(f"`{kind}`, to apply", *APPLY, says="local disk")
        scene.refused(f"`{kind}`, to plan", "plan", "demo", says="local disk")
    scene.section.note("Told from Linux's list of mounts; other systems do not say.")
    mounts.write_text("/dev/vda / ext4 rw 0 0\n", encoding="utf-8")
    scene.settled()


def test_9_3_12_python_without_assertions(scene: Scene) -> None:
    for what, words in (("To apply", APPLY), ("To destroy", ("destroy", "demo", "--auto-approve"))):
        answer = subprocess.run(
            [sys.executable, "-O", "-m", "reconciler", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
        assert answer.returncode == 1, answer
        scene.section.case(what, f"python -O -m reconciler {' '.join(words)}", 1, answer.stderr)
    assert scene.service.tally() == {}
    assert not (scene.home / ".reconciler").exists()


def test_9_3_13_another_app_id_than_the_states(scene: Scene) -> None:
    scene.applied()
    other = {"AGORA_APP_ID": "f" * 32}
    scene.refused("To apply", *APPLY, says="AGORA_APP_ID", **other)
    scene.refused("To plan", "plan", "demo", says="AGORA_APP_ID", **other)
    scene.refused("To destroy", "destroy", "demo", "--auto-approve", says="AGORA_APP_ID", **other)
    scene.edit("{kind: agora}", '{kind: agora, app_id: "0123456789abcdef0123456789abcdef"}')
    scene.refused("Files that are meant for one App ID", "plan", "demo", says="service.app_id", **other)
    assert mutating(scene.service) == {"join": 2}
