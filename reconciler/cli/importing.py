"""`import`: reads the sources and reports the result; the files are made by `reconciler.importing`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from reconciler.cli import resume_command
from reconciler.cli.new_fleet import fleet_name, with_modelines, write_new
from reconciler.cli.output import Output, write
from reconciler.cli.surveying import REAL, survey_all
from reconciler.cli.validating import check
from reconciler.diagnostics import Problem, plural
from reconciler.errors import UsageError
from reconciler.importing.bodies import Sources, read_sources
from reconciler.importing.entries import RunningAgent
from reconciler.importing.files import ImportedFleet, fleet_of, marked
from reconciler.importing.problems import SourceLine, Unimportable
from reconciler.model.fleet import FLEET_FILE, Service
from reconciler.providers import Purpose, connector_of
from reconciler.report.escape import visible
from reconciler.secrets import UNFILLED
from reconciler.services import entry_of

STANDARD_INPUT = "-"
_MOST_BYTES = 64 * 1024 * 1024
# How many problems of the new files are listed; `validate` lists all of them.
_MOST_LISTED = 20


def import_fleet(
    directory: Path,
    sources: Sequence[str],
    *,
    running: bool,
    area: str | None,
    parallelism: int,
    output: Output,
) -> ImportedFleet:
    """Write a fleet from sources, from running agents, or from both. If it raises, nothing was written."""
    there = [each for each in (directory / FLEET_FILE, directory / "fleet.yml") if os.path.lexists(each)]
    if there := [*there, *sorted(directory.glob("agents/*.y*ml*"))]:
        raise UsageError(
            f"{there[0]} is there already; nothing was written",
            hint="import writes a new fleet and never overwrites; give another directory",
        )
    texts = {each: _text(each) for each in dict.fromkeys(sources)}
    found = read_sources(texts, partial(_named_file, sources)) if texts else Sources((), ())
    for line in found.others:
        output.say(visible(f"{line}: skipped: this curl command joins no agent"))
    service = {"kind": REAL, **({"area": area} if area else {})}
    agents: list[RunningAgent] = []
    if running:
        service["app_id"], agents = _running(area, output, parallelism)
    if not found.bodies and not agents:
        raise UsageError(
            "nothing runs under this App ID that is of no fleet; nothing was written",
            hint="`reconciler status --all` lists what runs",
        )
    made = fleet_of(fleet_name(directory), service, found.bodies, agents)
    made.files = with_modelines(made.files)
    for note in made.notes:
        output.say(visible(note))
    write_new(directory, made.files, command="import")
    return made


def tell(made: ImportedFleet, directory: Path, output: Output) -> None:
    """Print the variables to set before an apply, then mark the gaps in the files and list them."""
    if made.names.places:
        write(f"# put the value in the place of each {UNFILLED}, and set it where apply runs\n")
    above = ""
    for name, places in made.names.places.items():
        listed = ", ".join(dict.fromkeys(places[:3])) + (" …" if len(set(places)) > 3 else "")
        if listed != above:
            write(visible(f"# {listed}") + "\n")
        write(f"export {name}={UNFILLED}\n")
        above = listed
    errors = _errors(directory)
    if errors:
        for file, text in made.files.items():
            gaps = [
                (each.where.line, each.summary)
                for each in errors
                if each.where is not None and each.where.file == file
            ]
            (directory / file).write_text(marked(text, gaps), encoding="utf-8")
        errors = _errors(directory)
    for each in errors[:_MOST_LISTED]:
        output.say(visible(f"to fill in: {each.where or directory}: {each.summary}"))
    if len(errors) > _MOST_LISTED:
        output.say(f"and {len(errors) - _MOST_LISTED:,} more; `reconciler validate` has all of them")
    verb = "validate" if errors else "plan"
    what = f"    # {plural(len(errors), 'place', 'places')} to fill in" if errors else ""
    if not errors and (missing := _unconnected()):
        doctor = resume_command.on_directory("doctor", str(directory))
        write(visible(f"# {missing}; `{doctor}` checks what an apply needs") + "\n")
    write(f"next: {resume_command.on_directory(verb, str(directory))}{what}\n")


def _unconnected() -> str:
    """Return what keeps a plan from the service: variables that are missing or malformed; empty if nothing does."""
    service = Service(REAL)
    try:
        connector_of(entry_of(service.kind)).connect(os.environ, service, Purpose.OBSERVE)
    except UsageError as problem:
        return problem.message
    return ""


def _errors(directory: Path) -> list[Problem]:
    return [each for each in check(directory, None, {}).diagnostics if each.is_error]


def _running(area: str | None, output: Output, parallelism: int) -> tuple[str, list[RunningAgent]]:
    """Return the App ID and its running agents that belong to no fleet; those of fleets are counted in messages."""
    app_id, found = survey_all(area, output, parallelism)
    owners = Counter(str(each.agent.parsed.owner) for each in found if each.agent.parsed is not None)
    for owner, count in sorted(owners.items()):
        output.say(visible(f"left to its fleet {owner}: {plural(count, 'agent', 'agents')}"))
    agents = [
        RunningAgent(each.agent.agent_id, each.agent.name or "", each.channel)
        for each in found
        if each.agent.parsed is None
    ]
    return app_id, agents


def _named_file(sources: Sequence[str], name: str, where: SourceLine) -> str:
    """Return the text of a file that a command names: of the current directory, as for curl, else of a source's."""
    for folder in (Path(), *(Path(each).parent for each in sources if each != STANDARD_INPUT)):
        if (folder / name).is_file():
            return _text(str(folder / name))
    raise Unimportable.at(
        where, "the file that this command names is not there", "run this where the command runs"
    )


def _text(name: str) -> str:
    """Return the text of a file or of standard input.

    Raises `UsageError` if it is unreadable or too large, and `Unimportable` if it is not UTF-8 text.
    """
    try:
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as problem:
        raise UsageError(f"{name} cannot be read: {getattr(problem, 'strerror', 'no path')}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{name} is larger than {_MOST_BYTES // 1024 // 1024} MB", hint="import it in parts")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise Unimportable.at(SourceLine(name, line), "this is no UTF-8", "save it as UTF-8") from None
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise Unimportable.at(SourceLine(name, line), "a NUL character: this is no text")
    return text
