"""`python -m tests.compare --against REV`: do two versions of the code plan the same, byte by byte?

The plans of every example and of a corpus of generated fleets, in every format, against an empty service and after an
apply of the fleet before its edit. Each version works in folders of its own, on a state of its own making. Exit 1
where any plan differs, with the difference.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .generated import Story, story

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
PLANS = (("--format", "json"), ("--format", "text", "--explain"), ("--format", "markdown"))
# The hours at which tokens are renewed, so that agents live until they are due for rotation: at least one falls into
# the tenth of a token's life in which it is renewed.
KEEP_ALIVE = tuple(range(2, 60, 2))
# What people change in an example between two runs, as text -> text; what an example does not hold changes nothing.
EDIT = (
    ("temperature: 0.", "temperature: 1."),
    ("en-US-AvaNeural", "en-US-EmmaNeural"),
    ("You ", "Today you "),
)


@dataclass(frozen=True, slots=True)
class Printed:
    """What one plan command printed; `title` says which it was."""

    title: str
    code: int
    out: str
    err: str


@dataclass(slots=True)
class Version:
    """One version of the code: its tree, and a process that runs its commands."""

    tree: Path
    process: subprocess.Popen[str]

    def run(self, directory: Path, hours: float, *arguments: str) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {"directory": str(directory), "hours": hours, "arguments": list(arguments)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker of {self.tree} has ended at {arguments}")
        reply: dict[str, Any] = json.loads(line)
        return reply


@contextmanager
def started(tree: Path, home: Path) -> Iterator[Version]:
    """The version of a tree, running; nothing of Agora's, GitHub's or the user's home in its environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AGORA_", "GITHUB_"))}
    variables = {
        **kept,
        "PYTHONPATH": str(tree),
        "XDG_STATE_HOME": str(home),
        "NO_COLOR": "1",
        "PYTHONHASHSEED": "1",
    }
    with subprocess.Popen(
        [sys.executable, str(WORKER), str(tree)],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Version(tree, process)
        assert process.stdin is not None
        process.stdin.close()


def extract(revision: str, target: Path) -> Path:
    """The tree of a revision, unpacked below `target`."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, "reconciler", "schemas"],
        check=True,
        capture_output=True,
    ).stdout
    target.mkdir()
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)
    return target


def examples() -> list[Story]:
    """Every example in each of its environments that is planned on the embedded simulator, with one edit."""
    found: list[Story] = []
    for main in sorted((ROOT / "examples").glob("**/fleet.yaml")):
        home = main.parent
        files = {
            str(each.relative_to(home)): each.read_text(encoding="utf-8")
            for each in sorted(home.rglob("*"))
            if each.is_file() and ".reconciler" not in each.parts
        }
        edited = {
            name: _edited(text) if name.endswith((".yaml", ".md")) else text for name, text in files.items()
        }
        environments = yaml.safe_load(files["fleet.yaml"]).get("environments", {})
        embedded = [name for name, each in environments.items() if "service" not in each]
        title = str(home.relative_to(ROOT))
        found += [Story(f"{title} -e {each}", files, edited, 40.0, each, ()) for each in (None, *embedded)]
    return found


def _edited(text: str) -> str:
    for old, new in EDIT:
        text = text.replace(old, new)
    return text


def printed(version: Version, story: Story, home: Path) -> list[Printed]:
    """Every plan of a story by one version: against the empty service, and after an apply of what was before."""
    environment = () if story.environment is None else ("-e", story.environment)
    found: list[Printed] = []
    _write(home, story.after)
    found += _plans(version, home, 0.0, f"{story.name}, nothing runs", environment)
    _write(home, story.before)
    for hour in (0.0, *KEEP_ALIVE):
        if hour <= story.hours:
            only = ("--only", "renew") if hour else ()
            done = version.run(
                home, hour, "apply", *environment, "--auto-approve", "--parallelism", "1", *only
            )
            found.append(Printed(f"{story.name}, exit code of an apply", done["code"], "", done["err"]))
    _write(home, story.after)
    found += _plans(version, home, story.hours, f"{story.name}, edited", (*environment, *story.flags))
    return found


def _plans(
    version: Version, home: Path, hours: float, title: str, arguments: tuple[str, ...]
) -> Iterator[Printed]:
    for style in PLANS:
        done = version.run(home, hours, "plan", *arguments, *style)
        yield Printed(f"{title}, {style[1]}", done["code"], done["out"], done["err"])


def _write(home: Path, files: Any) -> None:
    """Make the files of a directory these, its state left as it is."""
    for each in home.rglob("*.yaml"):
        each.unlink()
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def differences(old: list[Printed], new: list[Printed]) -> Iterator[str]:
    """A text for each plan whose bytes or exit code differ. What goes to stderr is no part of a plan."""
    for before, after in zip(old, new, strict=True):
        assert before.title == after.title
        if (before.code, before.out) == (after.code, after.out):
            continue
        lines = difflib.unified_diff(
            before.out.splitlines(), after.out.splitlines(), "old", "new", lineterm="", n=2
        )
        codes = f"exit {before.code} -> {after.code}" if before.code != after.code else f"exit {after.code}"
        said = (
            [f"old: {before.err.strip()}", f"new: {after.err.strip()}"] if before.code != after.code else []
        )
        yield "\n".join([f"DIFFERS: {before.title} ({codes})", *said, *list(lines)[:60]])


def tally(found: list[Printed]) -> Counter[str]:
    """How many changes the JSON plans hold, by their reason: what the corpus is worth."""
    counts: Counter[str] = Counter()
    for each in found:
        if each.title.endswith(", json") and each.code == 0:
            plan = json.loads(each.out)
            rows = [each["reason"]["because"] for each in plan["resource_changes"]]
            counts.update(rows)
            counts.update({"refusals": len(plan["refusals"]), "dangers": len(plan["dangers"])})
        if each.title.endswith(", json") and each.code:
            counts["plans that were an error"] += 1
    return counts


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.compare", description=__doc__)
    options.add_argument("--against", metavar="REV", required=True, help="the revision to compare with")
    options.add_argument("--fleets", type=int, default=200, help="how many generated fleets (default 200)")
    options.add_argument("--show", type=int, default=10, help="how many differences to print (default 10)")
    chosen = options.parse_args()
    stories = [*examples(), *(story(seed) for seed in range(chosen.fleets))]
    with tempfile.TemporaryDirectory() as made:
        room = Path(made)
        trees = {"old": extract(chosen.against, room / "tree"), "new": ROOT}

        def run(which: str) -> list[list[Printed]]:
            with started(trees[which], room / f"home-{which}") as version:
                results: list[list[Printed]] = []
                for number, each in enumerate(stories):
                    home = room / which / str(number)
                    home.mkdir(parents=True)
                    results.append(printed(version, each, home))
                return results

        with ThreadPoolExecutor(2) as pool:
            old, new = pool.map(run, trees)
    found = [text for before, after in zip(old, new, strict=True) for text in differences(before, after)]
    for text in found[: chosen.show]:
        print(text, end="\n\n")
    everything = [each for group in new for each in group]
    print(
        f"in the plans: {', '.join(f'{count} {name}' for name, count in sorted(tally(everything).items()) if count)}"
    )
    plans = sum(1 for each in everything if not each.title.endswith("an apply"))
    print(f"{len(stories)} fleets, {plans} plans, {len(found)} differences from {chosen.against}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
