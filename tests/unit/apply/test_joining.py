"""Each end of a join: what the state remembers of it, and which agent is ours afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply import join_first, joining, starting
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeHeld, ChangeSkipped, Settings
from reconciler.apply.events import Progress
from reconciler.errors import ReconcilerError
from reconciler.instants import clock
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import body_digest
from reconciler.plan.change import Action, Because, Join, Reason, Replace, Target
from reconciler.ports import Conflict, Declined, Scope, Unknown
from tests.fakes.fleets import OWNER, agent
from tests.fakes.virtual import START
from tests.unit.apply.by_hand import DESK, DOOR, EXPIRES, HERE, TURN, ByHand, join_of, leave_of, live
from tests.unit.plan.parts import name_of
from tests.unit.plan.parts import record as recorded

GRACE = Settings().grace
NAME = name_of(DESK)
NO_ANSWER, ANSWERED = Unknown("no answer"), Unknown("odd", answered=True)
REFUSED = Declined(Scope.ADDRESS, "no")
FOREIGN = ObservedAgent("F1", AgentStatus.RUNNING, START - 9, "theirs")
ENDED = live(status=AgentStatus.STOPPED, stopped_at=START - 1)
WHY = Reason(Because.NEW, "x")
JOIN = Join(HERE, DESK, WHY)
PAUSE = 0.375


def joined(run: ByHand, intent: Intent | None = None, **changes: Any) -> Record | None:
    settings: dict[str, Any] = {"token_ttl": 60.0, "resumed": False, **changes}
    return run.run(joining.join(run.context, intent or join_of(), **settings))


def refused(run: ByHand, intent: Intent | None = None, **changes: Any) -> ReconcilerError:
    settings: dict[str, Any] = {"token_ttl": 60.0, "resumed": False, **changes}
    return run.raised(joining.join(run.context, intent or join_of(), **settings))


# --- the usual ends ------------------------------------------------------------------------------------------------


def test_a_join_that_is_answered_is_its_record() -> None:
    run = ByHand()
    found = joined(run)
    assert found is not None
    assert run.record() == found
    assert (found.name, found.unsent, found.token_expires_at, found.started_at) == (
        NAME,
        False,
        EXPIRES,
        START,
    )
    assert (run.open_intents(), run.history()) == ({}, [("join", "done", found.agent_id)])
    assert run.state.read().generations == {HERE: 1}


def test_its_predecessor_is_remembered_by_a_leave_unless_it_is_known_to_be_gone() -> None:
    old = recorded(DESK, "A0")
    run = ByHand([old])
    joined(run)
    assert run.open_intents()["leave"].agent_id == "A0"
    gone = ByHand([old], gone={"A0"})
    joined(gone)
    assert gone.open_intents() == {}


def test_the_count_of_failures_goes_on() -> None:
    earlier = recorded(DESK, "A0", failures=2, failed_digest=body_digest(DESK.body), failed_cause="x")
    found = joined(ByHand(), earlier=earlier)
    assert found is not None
    assert found.failures == 2


@pytest.mark.parametrize(
    ("answers", "attempts", "note"),
    [
        ([NO_ANSWER], 2, True),  # the first one may still be executed
        ([NO_ANSWER, NO_ANSWER], 3, True),
        ([ANSWERED], 2, False),
        ([ANSWERED, ANSWERED], 3, False),
        ([ANSWERED, NO_ANSWER], 3, True),
    ],
)
def test_a_join_is_sent_again_under_its_name_and_leaves_a_note_of_a_late_copy(
    answers: list[Any], attempts: int, note: bool
) -> None:
    run = ByHand()
    run.world.answers["join"] = list(answers)
    found = joined(run)
    assert found is not None
    assert run.world.changes() == [f"join {NAME}"] * attempts
    assert set(run.open_intents()) == ({"echo"} if note else set())
    # Half a second doubles with each attempt; three quarters of it by chance 0.5.
    assert run.now - START == pytest.approx(sum(PAUSE * 2**each for each in range(len(answers))))
    assert [each for each in run.events if isinstance(each, Progress)] == [
        Progress(HERE, f"the outcome of the join is unknown ({each.detail}); looking") for each in answers
    ]


@pytest.mark.parametrize(
    ("answers", "unanswered"),
    [([NO_ANSWER] * 3, 3), ([ANSWERED] * 3, 0), ([NO_ANSWER, ANSWERED, ANSWERED], 1)],
)
def test_a_join_that_stays_unknown_stays_open(answers: list[Any], unanswered: int) -> None:
    run = ByHand()
    run.world.answers["join"] = list(answers)
    problem = refused(run)
    assert isinstance(problem, ChangeFailed) and problem.unknown
    intent = run.open_intents()["join"]
    assert (intent.attempt, intent.unanswered, run.record()) == (3, unanswered, None)
    assert (intent.unknown_since is not None) == bool(unanswered)


def test_an_agent_that_is_found_after_an_unknown_outcome_is_taken_back() -> None:
    run = ByHand()
    run.world.answers["join"] = [NO_ANSWER]
    run.world.agents["A7"] = live("A7")
    found = joined(run)
    assert found is not None
    assert (found.agent_id, found.unsent, found.token_expires_at) == ("A7", True, None)
    assert (run.open_intents(), run.world.changes()) == ({}, [f"join {NAME}"])


def test_an_open_join_of_an_earlier_run_is_one_attempt_more() -> None:
    run = ByHand(intents=[join_of()])
    run.world.answers["join"] = [NO_ANSWER] * 3
    refused(run, resumed=True)
    assert run.open_intents()["join"].attempt == 2
    anew = ByHand()
    anew.world.answers["join"] = [NO_ANSWER] * 3
    refused(anew)
    assert anew.open_intents()["join"].attempt == 3


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_join_that_is_refused_at_once_is_closed() -> None:
    run = ByHand()
    run.world.answers["join"] = [REFUSED]
    assert refused(run).message == "no"
    assert (run.open_intents(), run.history()) == ({}, [("join", "failed", "")])


@pytest.mark.parametrize(
    ("settings", "scope", "attempts"),
    [
        (Settings(), Scope.ADDRESS, []),
        (TURN, Scope.ADDRESS, [1, 2]),
        (TURN, Scope.JOINS, []),
        (TURN, Scope.RUN, []),
    ],
)
def test_a_controller_counts_refusals_of_an_address(
    settings: Settings, scope: Scope, attempts: list[int]
) -> None:
    run = ByHand(settings=settings)
    counted = []
    for _ in range(2):
        run.world.answers["join"] = [Declined(scope, "no")]
        refused(run)
        note = run.open_intents().get("refused")
        counted += [] if note is None else [note.attempt]
    assert counted == attempts


@pytest.mark.parametrize(
    ("intent", "answers", "is_open"),
    [
        # An attempt of before got no answer, and its agent may come or be listed yet.
        (join_of(), [NO_ANSWER, REFUSED], True),
        (join_of(created_at=START - 3 * GRACE, sent_at=START - 3 * GRACE, unknown_since=START - 3 * GRACE), [REFUSED], False),
        (join_of(created_at=START - 3 * GRACE, sent_at=START - GRACE + 1, answered=1), [REFUSED], True),
        (join_of(created_at=START - 3 * GRACE, sent_at=START - GRACE - 1, answered=1), [REFUSED], False),
    ],
)  # fmt: skip
def test_a_refusal_answers_one_attempt_only(intent: Intent, answers: list[Any], is_open: bool) -> None:
    run = ByHand(intents=[intent])
    run.world.answers["join"] = list(answers)
    refused(run, intent, resumed=True)
    assert ("join" in run.open_intents()) is is_open
    if is_open:
        assert run.open_intents()["join"].sent_at == (
            intent.sent_at if len(answers) == 1 else pytest.approx(START)
        ), "a refused attempt is never listed"


# --- conflicts -----------------------------------------------------------------------------------------------------


def conflicted(*agents: ObservedAgent, holder: str | None = None, **changes: Any) -> ByHand:
    run = ByHand(live=agents, **changes)
    run.world.answers["join"] = [Conflict(holder, "taken")]
    return run


@pytest.mark.parametrize("holder", ["A1", None])
def test_a_conflict_with_our_own_agent_takes_it_back(holder: str | None) -> None:
    found = joined(conflicted(live(), holder=holder))
    assert found is not None
    assert (found.agent_id, found.unsent) == ("A1", True)


@pytest.mark.parametrize(
    ("agents", "holder", "changes"),
    [
        ((live(name="other"),), "A1", {}),
        ((live(),), "A1", {"released": ["A1"]}),
        ((live(),), "A1", {"records": [recorded(DOOR, "A1")]}),
    ],
)
def test_an_agent_of_another_name_or_address_or_that_was_released_is_not_claimed(
    agents: Any, holder: str, changes: Any
) -> None:
    run = conflicted(*agents, holder=holder, **changes)
    problem = refused(run)
    assert isinstance(problem, (ChangeDeferred, ChangeHeld))
    assert run.record() is None
    assert run.open_intents()["join"].refused_since == START


def test_a_foreign_agent_in_the_channel_may_have_the_uid() -> None:
    problem = refused(conflicted(FOREIGN))
    assert isinstance(problem, ChangeHeld)
    assert "agent F1 (theirs) runs there" in problem.message
    elsewhere = conflicted(FOREIGN)
    elsewhere.world.channels["F1"] = "hall"
    assert isinstance(refused(elsewhere), ChangeDeferred)
    ours = conflicted(live("A5", DOOR))
    assert isinstance(refused(ours), ChangeDeferred)
    ended = conflicted(replace(FOREIGN, status=AgentStatus.STOPPED))
    assert isinstance(refused(ended), ChangeDeferred)


def test_where_nobody_is_seen_the_name_is_looked_for_once_more() -> None:
    run = conflicted()
    problem = refused(run)
    assert isinstance(problem, ChangeDeferred)
    assert problem.until == START + GRACE
    assert problem.message == (
        f"the service reports a conflict (taken), but no agent is seen that bears the name {NAME}; "
        f"it is looked for once more from {clock(START + GRACE)} on"
    )
    # A second refusal, later than a list can lag behind: nothing more is sent until such an agent would be listed.
    run.now = START + GRACE
    run.world.answers["join"] = [Conflict(None, "taken")]
    again = refused(run, run.open_intents()["join"], resumed=True)
    assert isinstance(again, ChangeDeferred)
    assert again.until == run.now + GRACE
    run.now += GRACE - 1
    third = refused(run, run.open_intents()["join"], resumed=True)
    assert isinstance(third, ChangeDeferred)
    assert "the service has reported a conflict twice" in third.message
    assert len(run.world.changes()) == 2
    run.now += 1
    assert joined(run, run.open_intents()["join"], resumed=True) is None
    assert (run.open_intents(), run.history()) == ({}, [("join", "dropped", "")])
    # Counted in hours since 2026: higher than every name that a lost state may have used.
    assert run.state.read().generations[HERE] == int((run.now - 1_767_225_600) // 3600)


def test_an_agent_that_turns_up_after_two_refusals_is_ours() -> None:
    intent = join_of(created_at=START - 900, refused_since=START - 700, sent_at=START - 400, answered=1)
    run = ByHand(intents=[intent], live=[live()])
    found = joined(run, intent, resumed=True)
    assert found is not None
    assert (found.agent_id, run.world.changes()) == ("A1", [])


@pytest.mark.parametrize(
    ("holder", "ended", "unanswered", "gives_up"),
    [
        ("A1", ENDED, 0, True),
        ("A9", None, 0, True),  # the service does not know the holder any more
        ("A9", None, 1, False),
        ("A1", replace(ENDED, name="other"), 0, False),
    ],
)
def test_a_name_whose_bearer_has_ended_is_given_up(
    holder: str, ended: ObservedAgent | None, unanswered: int, gives_up: bool
) -> None:
    run = conflicted(*([] if ended is None else [ended]), holder=holder)
    intent = join_of(created_at=START - 3 * GRACE, attempt=1 + unanswered)
    if gives_up:
        assert joined(run, intent) is None
        assert run.state.read().generations[HERE] > 1
        assert run.history() == [("join", "dropped", "")]
    else:
        assert isinstance(refused(run, intent), ChangeDeferred)
        assert "join" in run.open_intents()


def test_a_late_copy_could_take_a_name_that_is_free_again() -> None:
    """An earlier attempt got no answer, and the name's bearer has ended: no other name until the grace is over."""
    intent = join_of(attempt=2, answered=0, unknown_since=START - 10)
    run = conflicted(ENDED, holder="A1", intents=[intent])
    problem = refused(run, intent, resumed=True)
    assert isinstance(problem, ChangeDeferred)
    assert problem.until == START - 10 + GRACE
    assert "join" in run.open_intents()


def test_a_refused_name_that_an_ended_agent_has_used_up_is_looked_for_and_given_up() -> None:
    intent = join_of(
        created_at=START - 3 * GRACE, refused_since=START - 10, sent_at=START - 2 * GRACE, answered=1
    )
    run = ByHand(intents=[intent], live=[ENDED])
    assert joined(run, intent, resumed=True) is None
    assert run.world.changes() == []
    fresh = replace(intent, sent_at=START - GRACE + 1)
    early = ByHand(intents=[fresh], live=[ENDED])
    joined(early, fresh, resumed=True)
    assert early.world.changes() == [f"join {NAME}"], "a list may lag behind: it is sent again"
    unrefused = replace(intent, refused_since=None)
    other = ByHand(intents=[unrefused], live=[ENDED])
    joined(other, unrefused, resumed=True)
    assert other.world.changes() == [f"join {NAME}"]


def test_of_two_agents_of_one_name_the_oldest_is_taken() -> None:
    run = ByHand(
        live=[
            live("B1", started_at=START - 5),
            live("A9", started_at=START - 9),
            live("A5", started_at=START - 9),
        ]
    )
    found = run.run(joining.find_joined(run.context, join_of()))
    assert found is not None
    assert found.agent_id == "A5"


# --- which join to send --------------------------------------------------------------------------------------------


def chosen(run: ByHand, change: Any = JOIN, spec: Any = DESK, *, other_uid: bool = False) -> Any:
    return run.run(starting.join_of(run.context, change, spec, other_uid=other_uid))


def choice(run: ByHand, change: Any = JOIN, spec: Any = DESK) -> ReconcilerError:
    return run.raised(starting.join_of(run.context, change, spec, other_uid=False))


def test_a_new_join_is_of_the_next_generation_at_the_first_seat() -> None:
    run = ByHand([recorded(DESK, "A0", generation=4)])
    intent, resumed = chosen(run)
    assert (intent.generation, intent.uid, intent.protect, resumed) == (5, DESK.uid(OWNER), False, False)
    assert intent.name == name_of(DESK, 5)
    assert (intent.created_at, intent.body) == (START, DESK.body)


@pytest.mark.parametrize(
    ("spec", "holder", "found"),
    [
        (DESK, None, "first"),
        (DESK, "first", "second"),
        (agent("lobby/desk", agent_rtc_uid="7"), "first", None),
        (DESK, "both", None),
    ],
)
def test_a_seat_that_is_held_is_not_taken(spec: Any, holder: str | None, found: str | None) -> None:
    first, second = spec.uid(OWNER), spec.uid(OWNER, shifted=True)
    uids = {None: (), "first": (first,), "both": (first, second)}[holder]
    records = [recorded(agent(f"lobby/n{n}"), f"N{n}", uid=uid) for n, uid in enumerate(uids)]
    run = ByHand(records, [live(each.agent_id) for each in records])
    if found is None:
        problem = choice(run, replace(JOIN, spec=spec), spec)
        assert isinstance(problem, ChangeFailed)
        assert f"uid {first} is still held by the agent of lobby/n0" in problem.message
    else:
        intent, _ = chosen(run, replace(JOIN, spec=spec), spec)
        assert intent.uid == (first if found == "first" else second)
    for each in records:
        run.world.ends(each.agent_id)
    assert chosen(run, replace(JOIN, spec=spec), spec)[0].uid == first, "an old record holds nothing"


def test_join_first_takes_the_second_seat_where_its_predecessor_has_the_first() -> None:
    target = Target(live(), recorded(DESK), DESK.uid(OWNER))
    change = Replace(HERE, DESK, WHY, target)
    run = ByHand([recorded(DESK)], [live()])
    assert chosen(run, change, other_uid=True)[0].uid == DESK.uid(OWNER, shifted=True)
    assert chosen(run, change)[0].uid == DESK.uid(OWNER)
    shifted = replace(change, target=replace(target, uid=DESK.uid(OWNER, shifted=True)))
    assert chosen(run, shifted, other_uid=True)[0].uid == DESK.uid(OWNER)


@pytest.mark.parametrize(
    ("other", "agents", "is_free"),
    [
        (leave_of("B1", address=DOOR.address, uid=DESK.uid(OWNER)), [live("B1", DOOR)], False),
        (leave_of("B1", address=DOOR.address, uid=DESK.uid(OWNER)), [live("B1", DOOR, status=AgentStatus.STOPPED)], True),
        (leave_of("B1", address=DOOR.address, uid=DESK.uid(OWNER)), [], True),
        (join_of(DOOR, uid=DESK.uid(OWNER)), [], False),
        (join_of(DOOR, uid=DESK.uid(OWNER), created_at=START - 2 * GRACE), [], True),
        (join_of(DOOR, uid="9"), [], True),
        (join_of(agent("hall/door"), uid=DESK.uid(OWNER)), [], True),
    ],
)  # fmt: skip
def test_an_open_call_holds_a_seat_too(other: Intent, agents: Any, is_free: bool) -> None:
    run = ByHand(intents=[other], live=agents)
    intent, _ = chosen(run)
    assert (intent.uid == DESK.uid(OWNER)) is is_free


def test_a_seat_that_an_interrupted_join_may_take_is_waited_for() -> None:
    spec = agent("lobby/desk", agent_rtc_uid="7")
    other = join_of(DOOR, uid="7")
    problem = choice(ByHand(intents=[other]), replace(JOIN, spec=spec), spec)
    assert isinstance(problem, ChangeDeferred)
    assert problem.until == other.certain_at(GRACE)


OTHER_BODY = agent("lobby/desk", idle_timeout=9)


@pytest.mark.parametrize(
    ("intent", "spec", "resumed"),
    [
        (join_of(), DESK, True),
        (join_of(created_at=START - 9 * GRACE), DESK, True),
        (join_of(), OTHER_BODY, True),  # an agent of the earlier body may still come
        (join_of(answered=1, created_at=START - 2 * GRACE), OTHER_BODY, False),
        (join_of(created_at=START - 9 * GRACE), OTHER_BODY, True),
    ],
)
def test_an_open_join_is_sent_again_unless_the_files_ask_for_another_body(
    intent: Intent, spec: Any, resumed: bool
) -> None:
    run = ByHand(intents=[intent])
    found, again = chosen(run, replace(JOIN, spec=spec), spec)
    assert again is resumed
    assert (found == intent) is resumed
    assert ("join" in run.open_intents()) is resumed


def test_an_open_join_whose_seat_another_address_has_now_is_closed_or_waited_for() -> None:
    record = recorded(DOOR, "B1", uid=DESK.uid(OWNER))
    over = ByHand([record], [live("B1", DOOR)], [join_of(created_at=START - 2 * GRACE)])
    intent, resumed = chosen(over)
    assert (intent.uid, resumed) == (DESK.uid(OWNER, shifted=True), False)
    assert over.open_intents() == {}
    assert isinstance(choice(ByHand([record], [live("B1", DOOR)], [join_of()])), ChangeFailed)


RENAMED = agent("lobby/desk", previously=("lobby/door",))


@pytest.mark.parametrize(
    ("created_at", "declared", "waits"),
    [(START - 60, (), True), (START - 2 * GRACE, (), False), (START - 60, (DOOR.address,), False)],
)
def test_a_renamed_address_waits_for_the_join_of_its_earlier_one(
    created_at: float, declared: Any, waits: bool
) -> None:
    run = ByHand(intents=[join_of(DOOR, created_at=created_at)], declared=frozenset(declared))
    change = replace(JOIN, spec=RENAMED)
    if waits:
        problem = choice(run, change, RENAMED)
        assert isinstance(problem, ChangeDeferred)
        assert problem.until == created_at + 2 * GRACE
    else:
        assert chosen(run, change, RENAMED)[1] is False


NOTE = join_of(operation=Operation.LATE_COPY, created_at=START - 10)


@pytest.mark.parametrize(
    ("note", "change", "found"),
    [
        (NOTE, JOIN, "again"),
        (replace(NOTE, created_at=START - GRACE), JOIN, "new"),
        (replace(NOTE, created_at=START - GRACE + 1), JOIN, "again"),
        (replace(NOTE, name=name_of(DOOR)), JOIN, "waits"),
        (NOTE, Replace(HERE, DESK, WHY, Target(live(), recorded(DESK), "7")), "new"),  # its bearer: checked before
        (NOTE, Replace(HERE, DESK, WHY, Target(live(name=name_of(DESK, 2)), recorded(DESK), "7")), "waits"),
        (replace(NOTE, address=DOOR.address), JOIN, "new"),
        (replace(NOTE, address=DOOR.address), Replace(HERE, DESK, WHY, Target(live("B1", DOOR, generation=2), recorded(DOOR, "B1"), "7")), "waits"),
    ],
)  # fmt: skip
def test_while_a_late_copy_is_possible_no_other_name_is_joined(note: Intent, change: Any, found: str) -> None:
    run = ByHand(intents=[note])
    if found == "waits":
        problem = choice(run, change)
        assert isinstance(problem, ChangeDeferred)
        assert problem.until == note.created_at + GRACE
    else:
        intent, resumed = chosen(run, change)
        assert resumed is (found == "again")
        if resumed:
            assert intent == note.as_join()


def test_a_note_whose_seat_is_held_is_not_sent_again() -> None:
    run = ByHand([recorded(DOOR, "B1", uid=NOTE.uid)], [live("B1", DOOR)], [NOTE])
    assert isinstance(choice(run), ChangeDeferred)


def test_the_next_join_is_prepared_before_a_leave_ends_a_conversation() -> None:
    run = ByHand()
    run.run(starting.prepare_next_join(run.context, JOIN, DESK))
    assert run.world.changes() == []
    run.context.joins_halted = "the quota is used up"
    problem = run.raised(starting.prepare_next_join(run.context, JOIN, DESK))
    assert isinstance(problem, ChangeSkipped)
    late = ByHand(intents=[replace(NOTE, name=name_of(DOOR))])
    assert isinstance(late.raised(starting.prepare_next_join(late.context, JOIN, DESK)), ChangeDeferred)


# --- join-first ----------------------------------------------------------------------------------------------------

OLD, NEW = recorded(DESK, "A0"), recorded(DESK, "A1", generation=2)
OVERLAP = Replace(HERE, DESK, WHY, Target(live("A0"), OLD, "7"))


def awaited(*states: ObservedAgent | None, settings: Settings = Settings()) -> ByHand:
    run = ByHand([NEW], [live("A0")], [leave_of("A0")], settings=settings)
    run.world.lives["A1"] = list(states)
    run.context.joined["A1"] = (HERE, Action.REPLACE)
    return run


def test_the_new_agent_is_proven_before_the_old_one_leaves() -> None:
    run = awaited(*[live("A1")] * 99)
    run.run(join_first.await_running(run.context, OVERLAP))
    assert run.now - START == 5.0
    short = awaited(*[live("A1")] * 99, settings=Settings(wait=2.0))
    short.run(join_first.await_running(short.context, OVERLAP))
    assert short.now - START == 2.0


def test_a_new_agent_that_does_not_come_up_leaves_both_running() -> None:
    starting_up = live("A1", status=AgentStatus.STARTING)
    run = awaited(*[starting_up] * 999, settings=Settings(wait=10.0))
    problem = run.raised(join_first.await_running(run.context, OVERLAP))
    assert problem.message == "the new agent is still STARTING after 10s; both run now"
    assert 10 < run.now - START <= 10.5
    turn = awaited(starting_up, settings=TURN)
    assert isinstance(turn.raised(join_first.await_running(turn.context, OVERLAP)), ChangeDeferred)


@pytest.mark.parametrize(
    ("end", "cause"),
    [(live("A1", status=AgentStatus.FAILED, message="odd"), "odd"), (None, "the service does not know it")],
)
def test_where_the_new_agent_ends_the_old_one_is_the_recorded_one_again(
    end: ObservedAgent | None, cause: str
) -> None:
    run = awaited(end)
    problem = run.raised(join_first.await_running(run.context, OVERLAP))
    assert problem.message == f"the new agent did not start ({cause}); the old one was kept"
    record = run.record()
    assert record is not None
    assert (record.agent_id, record.failures, record.failed_cause, record.failed_agent) == (
        "A0",
        1,
        cause,
        "A1",
    )
    assert (run.open_intents(), run.context.joined) == ({}, {})
    assert run.history() == [("join", "failed", "A1")]
    assert run.state.read().generations[HERE] == 2


def test_an_old_agent_that_was_renamed_stays_at_its_earlier_address() -> None:
    moved = replace(OVERLAP, target=Target(live("A0", DOOR), recorded(DOOR, "A0"), "7"))
    run = ByHand([NEW, recorded(DOOR, "A0")])
    run.raised(join_first.await_running(run.context, moved))
    assert run.record() is None
    kept = run.record(DOOR.address)
    assert kept is not None
    assert kept.agent_id == "A0"


def test_an_old_agent_without_a_record_gets_none() -> None:
    run = ByHand([NEW])
    run.raised(join_first.await_running(run.context, replace(OVERLAP, target=Target(live("A0")))))
    assert run.record() == NEW
