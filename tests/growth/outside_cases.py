"""What comes from code hosts, archives and stored states, and what is rendered in each format: more of `cases.CASES`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import generate_latest

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.cli import pull_requests
from reconciler.cli.notifying import Notifier
from reconciler.cli.output import Output
from reconciler.codehosts import github, gitlab, sticky
from reconciler.codehosts.api import Api
from reconciler.codehosts.settings import from_environment
from reconciler.controller.loop import TurnEnded
from reconciler.controller.turn import Turned, TurnResult
from reconciler.diagnostics import Problem, Severity, Span
from reconciler.errors import ServiceError
from reconciler.importing import shell
from reconciler.importing.references import Names, put_references
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Entry
from reconciler.model.transcript import ArchivedSession, EndOfSession, Transcript, Turn, Utterance
from reconciler.model.writes import Append, PutMoved
from reconciler.plan.build import Plan
from reconciler.plan.change import Action
from reconciler.ports import Elapsed, Http, HttpReply, Now, Steps
from reconciler.providers.agora import call_sender, conversation
from reconciler.providers.agora.client import AgoraClient
from reconciler.report import alike, markers, progress, table
from reconciler.report.formats import FORMATS, RenderOptions, ReportKind
from reconciler.report.ledger import Finish
from reconciler.report.problems import Checked
from reconciler.report.status import Conversation, StatusReport, StatusRow, UnmanagedRow
from reconciler.secrets import Secret
from reconciler.secrets.endpoints import taken_apart
from reconciler.serve.metrics import Metrics
from reconciler.state import place
from reconciler.state.archive import TranscriptFiles, file_name
from reconciler.state.document import RowReader
from reconciler.state.log.entries import Header, decoded, encoded
from reconciler.workflow import Drift
from tests.unit.providers.scene import GLOBAL
from tests.unit.report.plans import World, properties

Run = Callable[[str], object]

LOBBY = Address("lobby", "desk")


# --- code hosts -------------------------------------------------------------------------------------------------


def _performed(steps: Steps[Any], reply: HttpReply) -> object:
    """What steps return where every request gets one reply and no time passes."""
    answer: object = None
    try:
        while True:
            match steps.send(answer):
                case Http():
                    answer = reply
                case Elapsed() | Now():
                    answer = 0.0
                case _:
                    answer = None
    except StopIteration as end:
        return end.value


def _comments(shelf: Callable[[str], Any], comment: Callable[[str], dict[str, Any]]) -> Run:
    """A comment as long as it may be, and looked through for the marker of ours."""

    def run(text: str) -> object:
        reply = HttpReply(200, {}, orjson.dumps([comment(text)]))
        return _performed(sticky.own(shelf(text), "bot", markers.marker("plan", "f.-")), reply)

    return run


def _refused(text: str) -> object:
    reply = HttpReply(422, {"retry-after": text}, orjson.dumps({"message": text}))
    return _performed(_GITHUB.api.text("/repos/a/b", "x"), reply)


def _linked(text: str) -> object:
    reply = HttpReply(200, {"link": text}, b"[]")
    return _performed(_GITHUB.api.pages("/repos/a/b"), reply)


def _event(text: str) -> object:
    """The event of a job of GitHub."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "event.json"
        path.write_bytes(
            orjson.dumps(
                {"action": text, "pull_request": {"body": text, "head": {"repo": {"full_name": text}}}}
            )
        )
        environment = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(path)}
        return pull_requests.refuse_unmerged(environment, pull_requests.CHANGES)


_GITHUB = github.GitHub(github.api_of("https://api.github.com", Secret("a-token-of-a-job")), "a/b")
_GITLAB = gitlab.GitLab(Api("GitLab", "https://gitlab.com/api/v4", {}, ""), "1")

# --- transcripts --------------------------------------------------------------------------------------------------


def _transcript(text: str) -> Transcript:
    """A session in which each hundred characters are an utterance of their own."""
    said = tuple(Utterance("user", text[at : at + 100], at, at + 1, at) for at in range(0, len(text), 100))
    session = ArchivedSession(Owner("f", None), LOBBY, "A1", text[:64], 1.0)
    ends = EndOfSession(2.0, text)
    return Transcript(session, 1.0, said, (Turn(1, text, 1.0, text, 2.0),), ends)


def _archived(text: str) -> object:
    """Half of a session is archived, then all of it, as the service's window slides; then it is read."""
    with tempfile.TemporaryDirectory() as folder:
        files, whole = TranscriptFiles(Path(folder), "kept"), _transcript(text)
        files.preserve(replace(whole, said=whole.said[: len(whole.said) // 2], turns=(), end=None))
        files.preserve(replace(whole, said=whole.said[len(whole.said) // 4 :]))
        return [files.read(each) for each in files.sessions(LOBBY)]


def _damaged_archive(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(text.encode("utf-8", "replace"))
        return TranscriptFiles(Path(folder), ".").read("a.jsonl")


def _said(text: str) -> HttpReply:
    parts = [
        {"role": "user", "content": text[at : at + 100], "turn_id": at} for at in range(0, len(text), 100)
    ]
    return HttpReply(
        200, {}, orjson.dumps({"agent_id": "A1", "start_ts": 1, "status": text, "contents": parts})
    )


# --- states -------------------------------------------------------------------------------------------------------


def _entry(text: str) -> object:
    """A commit of the log, made and read."""
    writes = [Append(Entry(1.0, LOBBY, "join", "failed", "A1", text)), PutMoved(text)]
    data = encoded(Header("l", 1, "n", text[:64]), writes, {}, ())
    found = decoded(data, "entries/1", "state")
    return found.writes(RowReader({})), found.history()


# --- reports ------------------------------------------------------------------------------------------------------


def _world(text: str) -> World:
    """An agent that is changed in two places, one that joins, one that leaves, with a text wherever one may stand."""
    world = World()
    prompt = [{"role": "system", "content": text}]
    other = [{"role": "system", "content": f"{text[: len(text) // 2]}!{text[len(text) // 2 :]}"}]
    world.wants("lobby/desk", properties(llm__system_messages=other, llm__greeting_message=text))
    world.runs("lobby/desk", properties(llm__system_messages=prompt, llm__greeting_message="Hello."))
    world.wants("lobby/new", properties(llm__system_messages=prompt))
    world.runs("lobby/old", properties(llm__system_messages=prompt))
    world.foreign(text, "lobby")
    return world


def _plan(text: str) -> Plan:
    return _world(text).plan()


def _finish(text: str) -> Finish:
    ledger = Ledger(notices=[text], broken=ServiceError(text, hint=text))
    for address, result in ((LOBBY, Result.FAILED), (Address("lobby", "b"), Result.UNKNOWN)):
        ledger.note(Finished(address, Action.UPDATE, result, text, "A1"))
    return Finish(ledger, text, (text,), _plan(text))


def _checked(text: str) -> Checked:
    problem = Problem("secret-like", text, Span("f.yaml", 2, 5), text, text, Severity.ERROR, text)
    return Checked((problem, problem), (text,), (problem,))


def _status(text: str) -> StatusReport:
    row = StatusRow("lobby/desk", "A1", text, text, 1.0, 2.0, 3.0, "hold", text)
    return StatusReport(
        "f",
        None,
        (row,),
        (UnmanagedRow("lobby", "A2", text, text),),
        conversations={"A1": Conversation(3, text[:64], text, 1.0)},
    )


_VALUES: dict[ReportKind, Callable[[str], object]] = {
    ReportKind.PLAN: _plan,
    ReportKind.DRIFT: lambda text: Drift(_plan(text), 1),
    ReportKind.LEDGER: _finish,
    ReportKind.PROBLEMS: _checked,
    ReportKind.STATUS: _status,
    ReportKind.TREE: lambda text: {"a": text, text: [text]},
}


def _rendered(form: str, kind: ReportKind, text: str) -> str:
    [each] = [each for each in FORMATS if each.name == form]
    options = RenderOptions(
        explain=True, width=120, root="a/b", read_source=lambda file: f"a: 1\nb: {text}\nc: 2\n"
    )
    return each.render(kind, _VALUES[kind](text), options)


def _turned(text: str) -> Turned:
    rows = (Finished(LOBBY, Action.JOIN, Result.FAILED, text, "A1"),)
    return Turned(TurnResult.FAILED, rows, plan=_plan(text), problem=ServiceError(text), refused=(text,))


def _notified(text: str) -> object:
    async def run() -> object:
        notifier = Notifier("http://127.0.0.1:1/x", Output(quiet=True), lambda result: None)
        notifier.take(DesiredFleet(Owner("f", None), {}), TurnEnded(_turned(text), 1.0))
        return notifier

    return asyncio.run(run())


def _measured(text: str) -> object:
    world, metrics = _world(text), Metrics(text[:64])
    happened = replace(_turned(text), plan=world.plan(), basis=world.basis())
    metrics.take(Owner("f", None), TurnEnded(happened, 1.0), 1.0)
    metrics.requested("join", text[:64], 1.0)
    return generate_latest(metrics.registry)


def _swept(text: str) -> object:
    """A text that is looked through for values that were met, which begin as it does."""
    names = Names()
    for value in (text[:64], text[:32] + "x", "another-value-of-ours-0123456789"):
        names.of(value, "KEY", "a.sh")
    return names.sweep(text)


OUTSIDE: dict[str, Run] = {
    "codehosts.github comments": _comments(
        lambda text: _GITHUB.comments(1), lambda text: {"id": 1, "user": {"login": "bot"}, "body": text}
    ),
    "codehosts.github issues": _comments(
        _GITHUB.issues,
        lambda text: {"number": 1, "user": {"login": "bot"}, "body": text, "title": text, "state": "open"},
    ),
    "codehosts.gitlab notes": _comments(
        lambda text: _GITLAB.comments(1), lambda text: {"id": 1, "author": {"username": "bot"}, "body": text}
    ),
    "codehosts.api refusals": _refused,
    "codehosts.api links": _linked,
    "codehosts.settings.from_environment": lambda text: from_environment(
        {"GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": text, "GITHUB_API_URL": "https://api.github.com", "GITHUB_SHA": text}
    ),
    "cli.pull_requests.refuse_unmerged": _event,
    "report.markers.split": markers.split,
    "report.markers.split of reports": lambda text: [
        (each.without_plan(), each.of_kind("drift"))
        for each in markers.split(f"{markers.marker('plan', 'f.-')}\n{text}\n## a\n" * 2)
    ],
    "report.markers.approval_in": markers.approval_in,
    "report.markers.is_owner": markers.is_owner,
    "importing.shell.curl_commands": lambda text: [*shell.curl_commands(f"curl {text}", "a.sh")],
    "importing.shell.unset": lambda text: shell.unset(f"{text}{shell.OPEN}A{shell.SHUT}" * 2),
    "importing.shell.filled": lambda text: shell.filled(
        f"{text}{shell.OPEN}A{shell.SHUT}" * 2, {"A": text}
    ),
    "importing.references.put_references": lambda text: put_references(
        {"llm": {"api_key": text, "url": text, "greeting_message": text}}, {"A": text}, Names(), "a.sh"
    ),
    "importing.references.Names.sweep": _swept,
    "providers.agora.call_sender.retry_after": lambda text: call_sender.retry_after({"retry-after": text, "date": text}),
    "providers.agora.conversation.history": lambda text: _performed(conversation.history(AgoraClient(GLOBAL), "A1"), _said(text)),
    "secrets.endpoints.taken_apart": taken_apart,
    "state.archive.TranscriptFiles": _archived,
    "state.archive.TranscriptFiles.read": _damaged_archive,
    "state.archive.file_name": file_name,
    "state.place.has_conflict": lambda text: place.has_conflict(text.encode("utf-8", "replace")),
    "state.log.entries of a commit": _entry,
    "report.table.table": lambda text: table.table([table.Column("A"), table.Column("B", wraps=True)], [["a", text]], 80),
    "report.alike.without_holes": alike.without_holes,
    "report.progress.turn_text": lambda text: progress.turn_text(_turned(text)),
    "report.progress.turn_json": lambda text: progress.turn_json(_turned(text)),
    "cli.notifying.Notifier": _notified,
    "serve.metrics.Metrics": _measured,
    **{
        f"report.formats.{form.name} of {kind}": partial(_rendered, form.name, kind)
        for form in FORMATS
        for kind in sorted(form.kinds.keys() & _VALUES.keys())
    },
}  # fmt: skip
