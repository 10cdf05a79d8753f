"""What is archived of an agent, when, under which name; and what a failure of it holds or says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply import archiving
from reconciler.apply.context import ChangeHeld
from reconciler.errors import ArchiveFailed, ReadAbandoned, ServiceError
from reconciler.model.fleet import Archive
from reconciler.model.observed import AgentStatus
from reconciler.model.transcript import EndOfSession, History, Transcript, Turn, Turns, Utterance
from tests.fakes.fleets import OWNER
from tests.fakes.virtual import START
from tests.unit.apply.by_hand import DESK, DOOR, HERE, ByHand, live
from tests.unit.plan.parts import basis
from tests.unit.plan.parts import record as recorded

KEPT = Archive("transcripts")
REQUIRED = Archive("transcripts", required=True)
A1, A2 = recorded(DESK, started_at=START - 9), recorded(DOOR, "A2")
SAID = (Utterance("user", "hello"),)
TOLD = (Turn(1),)
ENDED = live(status=AgentStatus.STOPPED, stopped_at=START - 3, message="idle")


def archived(archive: Archive | None = KEPT, **changes: Any) -> ByHand:
    """A run of a fleet that archives, with two agents that have said something."""
    run = ByHand([A1, A2], [live(), live("A2", DOOR)], archive=archive, **changes)
    run.world.said = {each: History(each, START, "RUNNING", SAID) for each in ("A1", "A2")}
    run.world.told = {each: Turns(each, "n", "lobby", 1, TOLD) for each in ("A1", "A2")}
    return run


def before_leave(run: ByHand) -> Any:
    return archiving.archive_before_leave(run.context, live(), HERE)


def test_a_transcript_is_made_durable_before_its_agent_leaves() -> None:
    run = archived()
    run.run(before_leave(run))
    (kept,) = run.kept
    assert (kept.session.agent_id, kept.session.address, kept.session.owner) == ("A1", HERE, OWNER)
    assert (kept.session.name, kept.session.started_at) == (A1.name, START - 3600)
    assert (kept.said, kept.turns, kept.end) == (SAID, TOLD, None)
    assert run.world.seats == [("A1", "lobby", A1.uid)]


def test_the_seat_is_that_of_the_agents_own_record() -> None:
    run = ByHand([replace(A1, agent_id="A9")], [live()], archive=KEPT)
    run.run(before_leave(run))
    assert run.world.seats == []
    nothing = ByHand([], [live()], archive=KEPT)
    nothing.run(before_leave(nothing))
    assert (nothing.world.seats, nothing.kept[0].said, nothing.kept[0].turns) == ([], (), ())


def test_a_fleet_without_an_archive_reads_and_keeps_nothing() -> None:
    run = archived(None)
    everything = basis([A1], [live()], ended={"A1": ENDED})
    run.world.answers["history"] = [ArchiveFailed("read")]
    run.world.answers["turns"] = [ArchiveFailed("read")]
    run.run(before_leave(run))
    run.run(archiving.archive_end(run.context, "A1", HERE, ENDED, "x"))
    run.run(archiving.archive_ended(run.context, everything))
    assert run.kept == []


@pytest.mark.parametrize(
    ("hint", "said"),
    [(None, "`archive: {required: false}` lets it go without"), ("free some space", "free some space")],
)
def test_where_it_is_required_no_agent_leaves_without_its_transcript(hint: str | None, said: str) -> None:
    run = archived(REQUIRED)
    run.world.answers["history"] = [ArchiveFailed("the disk is full", hint=hint)]
    problem = run.raised(before_leave(run))
    assert isinstance(problem, ChangeHeld)
    assert (
        problem.message
        == "its transcript cannot be archived (the disk is full); agent A1 was not told to leave"
    )
    assert problem.hint == said


@pytest.mark.parametrize("problem", [ArchiveFailed("the disk is full"), ServiceError("the disk is full")])
def test_where_it_is_not_required_the_loss_is_said(problem: Exception) -> None:
    run = archived()
    run.world.answers["history"] = [problem]
    run.run(before_leave(run))
    assert run.notices() == ["the transcript of lobby/desk is lost: the disk is full"]
    run.world.answers["turns"] = [problem]
    run.run(archiving.archive_end(run.context, "A1", HERE, None, "x"))
    assert run.notices()[1:] == ["the archive of lobby/desk was not closed: the disk is full"]


def test_a_run_that_is_told_to_stop_says_nothing_of_a_loss() -> None:
    run = archived()
    run.world.answers["history"] = [ReadAbandoned("stop")]
    assert isinstance(run.raised(before_leave(run)), ReadAbandoned)
    run.world.answers["turns"] = [ReadAbandoned("stop")]
    assert isinstance(run.raised(archiving.archive_end(run.context, "A1", HERE, None, "x")), ReadAbandoned)
    assert run.notices() == []


@pytest.mark.parametrize(
    ("ended", "end", "name", "started"),
    [
        (None, EndOfSession(START, "told to leave"), A1.name, START - 9),
        (ENDED, EndOfSession(START - 3, "idle"), A1.name, START - 3600),
        (replace(ENDED, message=""), EndOfSession(START - 3, "told to leave"), A1.name, START - 3600),
        (replace(ENDED, stopped_at=None), EndOfSession(START, "idle"), A1.name, START - 3600),
        (replace(ENDED, name=None), EndOfSession(START - 3, "idle"), A1.name, START - 3600),
        (replace(ENDED, name="theirs"), EndOfSession(START - 3, "idle"), "theirs", START - 3600),
    ],
)
def test_an_archive_is_closed_with_the_end_as_far_as_it_is_known(
    ended: Any, end: EndOfSession, name: str, started: float
) -> None:
    run = archived()
    run.run(archiving.archive_end(run.context, "A1", HERE, ended, "told to leave"))
    (kept,) = run.kept
    assert (kept.end, kept.turns, kept.said) == (end, TOLD, ())
    assert (kept.session.name, kept.session.started_at, kept.session.agent_id) == (name, started, "A1")


def test_an_agent_of_which_nothing_is_known_is_archived_without_a_name() -> None:
    run = archived()
    run.world.told = {}
    run.run(archiving.archive_end(run.context, "A7", HERE, None, "x"))
    (kept,) = run.kept
    assert (kept.session.name, kept.session.started_at, kept.turns) == ("", START, ())


def ids(kept: list[Transcript]) -> list[str]:
    return sorted(each.session.agent_id for each in kept)


@pytest.mark.parametrize(
    ("addresses", "found"), [(None, ["A1", "A2"]), ([HERE], ["A1"]), ([], []), ([DOOR.address], ["A2"])]
)
def test_the_archives_of_ended_agents_are_closed(addresses: Any, found: list[str]) -> None:
    run = archived()
    seen = basis(
        [A1, A2, recorded(DESK, "A3")], ended={"A1": ENDED, "A2": replace(ENDED, agent_id="A2"), "A3": None}
    )
    seen = replace(seen, state=replace(seen.state, records={HERE: A1, DOOR.address: A2}))
    run.run(archiving.archive_ended(run.context, seen, addresses))
    assert ids(run.kept) == found
    forgotten = replace(seen, ended={"A1": None})
    run.kept.clear()
    run.run(archiving.archive_ended(run.context, forgotten))
    assert run.kept == []


def test_an_archive_of_an_agent_that_says_no_cause_names_its_status() -> None:
    run = archived()
    seen = basis([A1], ended={"A1": replace(ENDED, message="")})
    run.run(archiving.archive_ended(run.context, seen))
    assert run.kept[0].end == EndOfSession(START - 3, "STOPPED")


@pytest.mark.parametrize(
    ("addresses", "status", "found"),
    [
        ([HERE, DOOR.address], AgentStatus.RUNNING, ["A1", "A2"]),
        ([HERE], AgentStatus.RUNNING, ["A1"]),
        ([HERE, DOOR.address], AgentStatus.STOPPING, ["A2"]),
        ([], AgentStatus.RUNNING, []),
    ],
)
def test_the_archives_of_running_agents_are_brought_up_to_date(
    addresses: Any, status: AgentStatus, found: list[str]
) -> None:
    run = archived()
    seen = basis([A1, A2], [live(status=status), live("A2", DOOR)])
    run.run(archiving.archive_running(run.context, seen, addresses))
    assert ids(run.kept) == found


@pytest.mark.parametrize(
    ("problem", "notices"),
    [
        (ArchiveFailed("full"), ["the transcript of lobby/desk is not up to date: full"]),
        (ServiceError("away"), ["the transcript of lobby/desk is not up to date: away"]),
        (ReadAbandoned("stop"), []),
    ],
)
def test_a_transcript_that_is_not_up_to_date_is_said_and_the_others_are(
    problem: Exception, notices: list[str]
) -> None:
    run = archived()
    run.world.answers["history"] = [problem]
    seen = basis([A1, A2], [live(), live("A2", DOOR)])
    run.run(archiving.archive_running(run.context, seen, [HERE, DOOR.address]))
    assert (run.notices(), ids(run.kept)) == (notices, ["A2"])


def test_a_bug_is_no_notice() -> None:
    run = archived()
    run.world.answers["history"] = [KeyError("a bug")]
    with pytest.raises(KeyError):
        run.run(archiving.archive_running(run.context, basis([A1], [live()]), [HERE]))
