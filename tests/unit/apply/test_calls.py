"""Each end of an update, a leave, and the wait for an end: the state, the history and the service afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply import calls
from reconciler.apply.adopting import adopted_writes, holder_of_uid, runs_in
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeSkipped, Context, Settings, backoff
from reconciler.model.address import Address
from reconciler.model.fleet import Freeze
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Operation, Record
from reconciler.model.spec import Body
from reconciler.model.writes import DropIntent, PutGeneration, PutIntent, PutRecord, StateView
from reconciler.plan.approval import Review
from reconciler.plan.change import Action
from reconciler.plan.freeze import told
from reconciler.plan.guard import Policy
from reconciler.ports import Declined, Gone, Scope, Steps, Unknown
from tests.fakes.fleets import agent
from tests.fakes.virtual import START
from tests.unit.apply.by_hand import DESK, DOOR, EXPIRES, HERE, TURN, ByHand, join_of, leave_of, live
from tests.unit.plan.parts import basis
from tests.unit.plan.parts import record as recorded

A1 = recorded(DESK)
STOPPING = live(status=AgentStatus.STOPPING)
ENDED = live(status=AgentStatus.STOPPED, stopped_at=START)
STARTING = live(status=AgentStatus.STARTING)
NO_ANSWER = Unknown("no answer")
REFUSED = Declined(Scope.ADDRESS, "no")


# --- proof ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "adopted_as", "proven"),
    [
        (live(), "", True),
        (STOPPING, "", True),
        (ENDED, "", False),
        (None, "", False),
        (live(name="theirs"), "theirs", True),
        (live(name="theirs"), "other", None),
        (live(name="theirs"), "", None),
        (live(name=None), "", None),
    ],
)
def test_no_call_is_sent_to_what_is_not_ours(
    seen: ObservedAgent | None, adopted_as: str, proven: bool | None
) -> None:
    run = ByHand([A1], [] if seen is None else [seen])
    steps = calls.prove_ours(run.context, "A1", HERE, adopted_as)
    if proven is None:
        assert "it was not touched" in run.raised(steps).message
    else:
        assert run.run(steps) == (seen if proven else None)


# --- updates -------------------------------------------------------------------------------------------------------


def update(context: Context, record: Record = A1, **changes: Any) -> Steps[Record | None]:
    wanted: dict[str, Any] = {
        "desired": agent("lobby/desk", idle_timeout=9).body,
        "values": {},
        "ignored": (),
        "token_ttl": None,
        "protect": True,
        "unsent": False,
        "change": "update",
        **changes,
    }
    return calls.update(context, record, **wanted)


def test_an_update_is_recorded_as_it_was_sent() -> None:
    run = ByHand([A1], [live()])
    after = run.run(update(run.context, unsent=True, token_ttl=60.0))
    assert run.record() == after
    assert after is not None
    assert (after.protect, after.unsent, after.token_expires_at) == (True, True, EXPIRES)
    assert after.body.properties["idle_timeout"] == 9
    assert run.history() == [("update", "done", "A1")]
    without = run.run(update(run.context, after))
    assert without is not None
    assert without.token_expires_at == EXPIRES, "no other token was sent"


def test_an_agent_that_is_gone_is_sent_nothing() -> None:
    run = ByHand([A1])
    assert run.run(update(run.context)) is None
    assert run.world.changes() == []


@pytest.mark.parametrize(
    ("answers", "settings", "sent", "result"),
    [
        ([Gone()], Settings(), 1, None),
        ([NO_ANSWER], Settings(), 2, "done"),
        ([NO_ANSWER, NO_ANSWER], Settings(), 3, "done"),
        ([NO_ANSWER] * 3, Settings(), 3, "unknown"),
        ([REFUSED], Settings(), 1, "failed"),
        ([NO_ANSWER, REFUSED], Settings(), 2, "failed"),
        ([NO_ANSWER], Settings(attempts=1), 1, "unknown"),
    ],
)
def test_how_an_update_ends(answers: list[Any], settings: Settings, sent: int, result: str | None) -> None:
    run = ByHand([A1], [live()], settings=settings)
    run.world.answers["update"] = list(answers)
    started = run.now
    steps = update(run.context)
    if result in (None, "done"):
        assert (run.run(steps) is None) is (result is None)
        assert run.open_intents() == {}
    else:
        problem = run.raised(steps)
        assert isinstance(problem, ChangeFailed)
        assert problem.unknown is (result == "unknown")
    assert run.world.changes() == ["update A1"] * sent
    unanswered = sum(each is NO_ANSWER for each in answers)
    # Half a second doubles with each attempt; three quarters of it by chance 0.5.
    assert run.now - started == pytest.approx(sum(0.75 * 0.5 * 2**each for each in range(unanswered)))
    record = run.record()
    assert record is not None
    if result == "unknown":
        intent = run.open_intents()["update"]
        assert (intent.attempt, intent.agent_id) == (sent, "A1")
    elif result == "failed":
        assert run.history() == [("update", "failed", "A1")]
        in_doubt = len(answers) > 1
        assert (record.unsent, record.token_expires_at is None) == (in_doubt, in_doubt)
        assert run.open_intents() == {}
    elif result is None:
        assert run.history() == [("update", "failed", "A1")]


def test_an_agent_that_ends_while_an_update_is_in_doubt_is_gone() -> None:
    run = ByHand([A1], [live()])
    run.world.answers["update"] = [NO_ANSWER]
    run.world.lives["A1"] = [live(), ENDED]
    assert run.run(update(run.context)) is None
    assert (run.history(), run.open_intents()) == ([("update", "failed", "A1")], {})


@pytest.mark.parametrize("end", [ENDED, None])
def test_a_starting_agent_is_waited_for_before_an_update_is_sent_again(end: ObservedAgent | None) -> None:
    run = ByHand([A1], [live()], settings=Settings(wait=3.0))
    run.world.answers["update"] = [NO_ANSWER]
    run.world.lives["A1"] = [live(), STARTING, STARTING, end]
    assert run.run(update(run.context)) is None
    slow = ByHand([A1], [live()], settings=Settings(wait=3.0))
    slow.world.answers["update"] = [NO_ANSWER]
    slow.world.lives["A1"] = [live(), *[STARTING] * 99]
    begun = slow.now
    slow.run(update(slow.context))
    assert slow.world.changes() == ["update A1"] * 2
    assert 3.0 < slow.now - begun < 5.0
    stopped = ByHand([A1], [live()])
    stopped.ends_at = stopped.now
    stopped.world.answers["update"] = [NO_ANSWER]
    stopped.world.lives["A1"] = [live(), *[STARTING] * 99]
    stopped.run(update(stopped.context))
    assert stopped.world.calls.count("query A1") == 2


@pytest.mark.parametrize(
    ("desired", "applied", "path", "found"),
    [
        ({"a": 1}, {"a": 2}, ("a",), {"a": 2}),
        ({"a": 1}, {}, ("a",), {}),
        ({}, {"a": 2}, ("a",), {"a": 2}),
        ({}, {}, ("a",), {}),
        ({"a": {"b": 1, "c": 3}}, {"a": {"b": 2}}, ("a", "b"), {"a": {"b": 2, "c": 3}}),
        ({"a": {"b": 1}}, {}, ("a", "b"), {"a": {}}),
        ({"a": {"b": 1}}, {"a": 5}, ("a", "b"), {"a": {}}),
        ({}, {"a": {"b": 2, "c": 3}}, ("a", "b"), {"a": {"b": 2}}),
        ({}, {}, ("a", "b"), {}),
        ({"a": 5}, {"a": {"b": 2}}, ("a", "b"), {"a": 5}),
        ({"a": [1]}, {"a": {"b": 2}}, ("a", "b"), {"a": [1]}),
        ({"a": None}, {"a": {"b": 2}}, ("a", "b"), {"a": {"b": 2}}),
        ({"x": 1}, {"a": None}, ("a", "b"), {"x": 1}),
    ],
)
def test_at_an_ignored_path_stays_what_was_applied(desired: Any, applied: Any, path: Any, found: Any) -> None:
    before = repr(desired)
    assert calls.with_ignored(Body(desired), Body(applied), (path,)).properties == found
    assert repr(desired) == before


# --- leaves --------------------------------------------------------------------------------------------------------


def leave(context: Context, **changes: Any) -> Steps[None]:
    return calls.leave(context, "A1", HERE, A1.name, **changes)


@pytest.mark.parametrize("replacing", [True, False])
def test_a_leave_that_was_accepted_stays_open_until_its_end_is_proven(replacing: bool) -> None:
    run = ByHand([A1], [live()])
    run.run(leave(run.context, replacing=replacing))
    assert run.world.changes() == ["leave A1"]
    intent = run.open_intents()["leave"]
    assert (intent.agent_id, intent.uid, intent.attempt) == ("A1", A1.uid, 1)
    assert run.record() == replace(A1, replacing=replacing)
    run.run(calls.await_gone(run.context, "A1", HERE))
    assert run.open_intents() == {}
    assert run.record() == (replace(A1, replacing=True) if replacing else None)
    assert run.history() == [("leave", "done", "A1")]
    assert run.context.gone == {"A1"}
    assert run.state.read().generations == ({} if replacing else {HERE: 1})


def test_an_agent_that_ended_before_is_told_nothing() -> None:
    run = ByHand([A1], [ENDED])
    run.context.joined["A1"] = (HERE, Action.JOIN)
    run.run(leave(run.context))
    assert (run.world.changes(), run.record(), run.context.joined) == ([], None, {})


@pytest.mark.parametrize(
    ("answers", "then", "sent", "problem"),
    [
        ([Gone()], [], 1, None),
        ([REFUSED], [], 1, "failed"),
        ([NO_ANSWER], [STOPPING], 1, None),
        ([NO_ANSWER], [ENDED], 1, None),
        ([NO_ANSWER], [None], 1, None),
        ([NO_ANSWER], [live()], 2, None),
        ([NO_ANSWER] * 3, [live()] * 3, 3, "unknown"),
        ([NO_ANSWER, REFUSED], [live()], 2, "failed"),
    ],
)
def test_how_a_leave_ends(answers: list[Any], then: list[Any], sent: int, problem: str | None) -> None:
    run = ByHand([A1], [live()])
    run.world.answers["leave"] = list(answers)
    run.world.lives["A1"] = [live(), *then]
    begun = run.now
    if problem is None:
        run.run(leave(run.context, replacing=True))
        assert run.history() == []
    else:
        failed = run.raised(leave(run.context, replacing=True))
        assert isinstance(failed, ChangeFailed)
        assert failed.unknown is (problem == "unknown")
    assert run.world.changes() == ["leave A1"] * sent
    assert run.open_intents()["leave"].attempt == sent
    ran_on = sum(each is not None and each.status is AgentStatus.RUNNING for each in then)
    assert run.now - begun == pytest.approx(sum(0.75 * 0.5 * 2**each for each in range(ran_on)))
    record = run.record()
    assert record is not None
    assert record.replacing is (problem != "failed"), "an agent that runs on makes no room"
    if problem == "failed":
        assert run.history() == [("leave", "failed", "A1")]


def test_the_record_of_another_agent_is_not_marked() -> None:
    other = replace(A1, agent_id="A9")
    run = ByHand([other], [live()])
    run.run(leave(run.context, replacing=True))
    assert run.record() == other
    run.run(calls.await_gone(run.context, "A1", HERE))
    assert run.record() == other


def test_an_end_is_waited_for_as_long_as_a_farewell_takes() -> None:
    run = ByHand([A1], [STOPPING], settings=Settings(farewell=20.0))
    begun = run.now
    problem = run.raised(calls.await_gone(run.context, "A1", HERE))
    assert isinstance(problem, ChangeFailed) and problem.unknown
    assert "is still STOPPING after 2" in problem.message
    assert 20.0 < run.now - begun < 22.1
    # 0.1 s, then 1.6 times as long each time, up to two seconds.
    assert run.world.calls.count("query A1") == 16
    assert run.record() == A1


def test_a_turn_does_not_wait_for_an_end() -> None:
    run = ByHand([A1], [STOPPING], settings=TURN)
    problem = run.raised(calls.await_gone(run.context, "A1", HERE))
    assert isinstance(problem, ChangeDeferred)
    assert problem.until == START + 2
    assert problem.message == "not yet: agent A1 was told to leave and is still STOPPING"
    stopped = ByHand([A1], [STOPPING])
    stopped.ends_at = stopped.now
    assert isinstance(stopped.raised(calls.await_gone(stopped.context, "A1", HERE)), ChangeSkipped)


# --- whether something new may start -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"halted": "x"}, "x"),
        ({"ends_at": START}, "the run was interrupted"),
        ({"knocked": True}, None),
        ({"knocked": True, "settings": TURN}, "somebody else waits for the state; the next turn goes on"),
        ({"settings": TURN}, None),
        ({"settings": TURN, "began": START - 59}, None),
        ({"settings": TURN, "began": START - 60}, "this turn has lasted 1m; the next one goes on"),
    ],
)
def test_what_stops_everything_new(changes: dict[str, Any], said: str | None) -> None:
    of_the_run = {key: changes.pop(key) for key in ("ends_at", "knocked") if key in changes}
    run = ByHand(**changes)
    for key, value in of_the_run.items():
        setattr(run, key, value)
    if said is None:
        run.run(run.context.check_open())
        if run.context.settings.turn is not None:
            assert run.context.began is not None
    else:
        problem = run.raised(run.context.check_open())
        assert isinstance(problem, ChangeSkipped)
        assert problem.message == said


def test_what_a_refusal_stops() -> None:
    context = ByHand().context
    assert context.declined(Scope.ADDRESS, "a").message == "a"
    assert (context.halted, context.joins_halted) == (None, None)
    context.declined(Scope.JOINS, "b")
    context.declined(Scope.JOINS, "c")
    assert (context.halted, context.joins_halted) == (None, "the quota is used up: b")
    context.declined(Scope.RUN, "d")
    context.declined(Scope.RUN, "e")
    assert context.halted == "the service refuses this run: d"


def test_what_a_review_lets_end() -> None:
    context = ByHand(policy=Policy(review=Review({HERE: frozenset({Action.LEAVE})}))).context
    assert context.why_kept(HERE, Action.LEAVE, START) is None
    assert context.why_kept(HERE, Action.REPLACE, START) == "nobody has reviewed its end"
    assert context.why_kept(DOOR.address, Action.LEAVE, START) == "nobody has reviewed its end"


FROZEN = Freeze(START + 60, "fire drill", ("*",), frozenset({"leave"}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"policy": Policy(only=frozenset({Action.LEAVE}))}, None),
        ({"policy": Policy(only=frozenset({Action.RENEW, Action.JOIN}))}, "--only leaves leave out"),
        ({"policy": Policy(protect=("lobby/d*",))}, "the team's policy protects it"),
        ({"policy": Policy(protect=("bar/*",))}, None),
        ({"freezes": (FROZEN,)}, told(FROZEN)),
        ({"freezes": (replace(FROZEN, until=START - 1),)}, None),
        ({"freezes": (replace(FROZEN, targets=("bar/*",)),)}, None),
        ({"freezes": (replace(FROZEN, kinds=frozenset({"replace"})),)}, None),
        ({"freezes": (FROZEN,), "policy": Policy(override_freeze="fire")}, None),
    ],
)
def test_what_keeps_an_agent_that_no_plan_knew(settings: dict[str, Any], said: str | None) -> None:
    assert ByHand(**settings).context.why_kept(HERE, Action.LEAVE, START) == said


def test_what_equals_an_address_holds_no_other_one() -> None:
    room, other = Address.parse("room[1]/a"), Address.parse("room1/a")
    freeze = Freeze(START + 60, "fire drill", ("room[1]/a",), frozenset({"leave"}))
    for settings in ({"policy": Policy(protect=("room[1]/a",))}, {"freezes": (freeze,)}):
        context = ByHand(declared=frozenset({room, other}), **settings).context
        assert context.why_kept(room, Action.LEAVE, START) is not None
        assert context.why_kept(other, Action.LEAVE, START) is None


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 0.375), (1, 0.75), (4, 6.0), (5, 6.0)])
def test_the_pause_before_another_attempt(attempt: int, seconds: float) -> None:
    run = ByHand()
    run.run(backoff(run.context, attempt))
    assert run.now - START == pytest.approx(seconds)
    turn = ByHand(settings=TURN)
    turn.run(backoff(turn.context, attempt))
    assert turn.now == START


# --- the journal ---------------------------------------------------------------------------------------------------


def test_who_knows_the_uid_of_an_agent() -> None:
    run = ByHand([A1], intents=[leave_of("A2", uid="8"), leave_of("A3", uid="")])
    uid = run.context.journal.uid_of
    assert [uid(each, HERE) for each in ("A1", "A2", "A3", "A4")] == [A1.uid, "8", "", ""]
    assert uid("A1", DOOR.address) == ""


def test_the_next_generation_is_beyond_every_one_that_is_known() -> None:
    run = ByHand([replace(A1, generation=4)])
    journal = run.context.journal
    assert [journal.next_generation(HERE, seen) for seen in (0, 4, 7)] == [5, 5, 8]
    run.run(journal.write(PutGeneration(HERE, 9)))
    assert journal.next_generation(HERE) == 10
    assert journal.next_generation(DOOR.address) == 1


def test_neighbours_are_the_other_records_of_a_channel_also_those_of_this_run() -> None:
    run = ByHand([A1, recorded(agent("hall/desk"), "A3")])
    journal = run.context.journal
    assert journal.neighbours(HERE) == []
    run.run(journal.write(PutRecord(recorded(DOOR, "A2"))))
    assert [each.agent_id for each in journal.neighbours(HERE)] == ["A2"]
    assert [each.agent_id for each in journal.neighbours(DOOR.address)] == ["A1"]


def test_a_join_claims_its_generation_before_it_is_sent_and_other_calls_claim_none() -> None:
    run = ByHand([A1])
    run.run(run.context.journal.intend(join_of(DOOR, generation=3)))
    run.run(run.context.journal.intend(leave_of()))
    assert run.state.read().generations == {DOOR.address: 3}


def test_one_more_attempt_is_durable_before_it_is_sent() -> None:
    run = ByHand(intents=[join_of()])
    run.now += 5
    repeated = run.run(run.context.journal.repeat(join_of()))
    assert (repeated.attempt, repeated.unknown_since, repeated.sent_at) == (2, START + 5, START + 5)
    assert run.open_intents()["join"] == repeated
    marked = run.run(run.context.journal.mark_unknown(join_of()))
    assert (marked.attempt, marked.unknown_since, marked.sent_at) == (1, START + 5, START + 5)
    assert run.open_intents()["join"] == marked


def test_of_several_notes_the_one_of_the_highest_generation_counts() -> None:
    notes = [
        join_of(operation=Operation.LATE_COPY, generation=each, name=f"n{each}", address=address)
        for each, address in ((1, HERE), (3, HERE), (2, HERE), (9, DOOR.address))
    ]
    journal = ByHand(intents=[*notes, join_of(generation=7)]).context.journal
    found = journal.late_copy(HERE)
    assert found is not None
    assert found.generation == 3
    joined = journal.join_intent(HERE)
    assert joined is not None
    assert joined.generation == 7
    assert journal.join_intent(DOOR.address) is None
    assert not journal.is_superseded(join_of())


# --- adoptions -----------------------------------------------------------------------------------------------------


def test_only_a_listing_of_the_channel_shows_that_an_agent_runs_there() -> None:
    run = ByHand(live=[live("A1"), live("A2")])
    run.world.channels["A2"] = "hall"
    assert [run.run(runs_in(run.world, "lobby", each)) for each in ("A1", "A2", "A3")] == [True, False, False]


@pytest.mark.parametrize(
    ("address", "uid", "gone", "is_held"),
    [
        (HERE, "7", (), True),
        (HERE, "8", (), False),
        (HERE, "7", ("A2",), False),
        (DOOR.address, "7", (), False),
        (agent("hall/desk").address, "7", (), False),
    ],
)
def test_who_holds_a_uid(address: Any, uid: str, gone: Any, is_held: bool) -> None:
    view = StateView.of(basis([recorded(DOOR, "A2", uid="7")]).state)
    assert (holder_of_uid(view, address, uid, gone) is not None) is is_held


def test_an_adoption_makes_a_late_copy_note_of_an_open_join_of_its_address() -> None:
    stranger = ObservedAgent("F1", AgentStatus.RUNNING, START, "theirs")
    mine, other = join_of(generation=4, unknown_since=START - 5), join_of(DOOR)
    writes = adopted_writes(StateView.of(basis(intents=[mine, other]).state), DESK, stranger, "7", START)
    assert DropIntent(mine.key) in writes and DropIntent(other.key) not in writes
    assert PutGeneration(HERE, 4) in writes
    (note,) = [each.intent for each in writes if isinstance(each, PutIntent)]
    assert (note.operation, note.unknown_since) == (Operation.LATE_COPY, START - 5)
    (record,) = [each.record for each in writes if isinstance(each, PutRecord)]
    assert (record.name, record.generation, record.uid, record.unsent, record.declared) == ("theirs", 0, "7", True, True)  # fmt: skip
    nameless = adopted_writes(StateView.of(basis().state), DESK, replace(stranger, name=None), "7", START)
    assert [each.record.name for each in nameless if isinstance(each, PutRecord)] == [""]
