"""What an approval covers, what an interrupted apply may go on with, what is missing, and what has drifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler import workflow
from reconciler.apply.events import Notice
from reconciler.diagnostics import Problem, Severity
from reconciler.errors import (
    NotReady,
    Refused,
    SecretUnavailable,
    StalePlan,
    StateError,
    StateLocked,
    UsageError,
)
from reconciler.model.fleet import DesiredFleet, Service
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Foreign, Operation, Pins, State
from reconciler.model.spec import HOUR, AgentSpec, Lifecycle, ReplaceOrder
from reconciler.model.tree import references_in
from reconciler.model.writes import DropForeign, DropReleased, PutApplying, PutForeign, PutIntent, PutPins
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action, Because, Change, Join, Leave, Reason, Renew, Target, Update
from reconciler.plan.guard import Cost, Policy, Refusal
from reconciler.ports import HttpRequest, Passed
from reconciler.secrets import SecretRef
from reconciler.workflow import applying, claiming, looking, readiness
from reconciler.workflow.applying import Approved, confirm
from reconciler.workflow.doctor import _hosts, _is_told, _plan, _quota, refused_rows
from reconciler.workflow.job import Job
from reconciler.workflow.offline import _assumed, state_of
from tests.fakes.fleets import OWNER, agent, fleet
from tests.fakes.virtual import SETTINGS, START, Virtual
from tests.unit.apply.by_hand import DESK, DOOR, HERE, join_of
from tests.unit.plan.parts import ABLE, NOW, basis, record, running

WHY = Reason(Because.FIELDS, "x")
TARGET = Target(running(DESK), record(DESK), "7")
JOIN, LEAVE = Join(HERE, DESK, WHY), Leave(HERE, WHY, TARGET)
RENEW, UPDATE = Renew(HERE, DESK, WHY, TARGET), Update(HERE, DESK, WHY, TARGET, {})


def plan(*changes: Change, files: str = "f", **more: Any) -> Plan:
    return Plan(OWNER, changes, files, Cost(0, 0, 0.1), **more)


def approved(of: Plan, **changes: Any) -> Approved:
    return replace(Approved(of.digest, of.fleet_digest, of.rows), **changes)


# --- approvals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "seen", "is_begun", "said"),
    [
        (plan(JOIN), None, False, None),
        (plan(JOIN), approved(plan(JOIN)), False, None),
        (plan(JOIN), approved(plan(JOIN, RENEW)), False, None),  # renewals are no part of an approval
        (plan(JOIN, RENEW), approved(plan(JOIN)), False, None),
        (plan(JOIN), approved(plan(LEAVE)), False, "what would be done now is not what was approved"),
        (plan(JOIN), approved(plan(JOIN), rows=frozenset({("leave", "lobby/desk")})), False,
         "the plan file and its digest disagree about join lobby/desk, leave lobby/desk"),
        (plan(JOIN), Approved(plan(JOIN).digest), False, None),  # no file: there are no rows to compare
        # The rest of an apply that was interrupted.
        (plan(UPDATE), approved(plan(JOIN)), True, None),
        (plan(UPDATE), approved(plan(JOIN)), False, "is not what was approved"),
        (plan(LEAVE), approved(plan(JOIN)), True, "is not what was approved"),
        (plan(UPDATE, files="g"), approved(plan(JOIN)), True, "is not what was approved"),
        (plan(), approved(plan(JOIN)), True, "is not what was approved"),
    ],
)  # fmt: skip
def test_what_an_approval_covers(now: Plan, seen: Approved | None, is_begun: bool, said: str | None) -> None:
    if said is None:
        confirm(now, seen, is_begun=is_begun)
        return
    with pytest.raises(StalePlan, match=said):
        confirm(now, seen, is_begun=is_begun)


@pytest.mark.parametrize(
    ("now", "seen", "hint"),
    [
        (
            plan(JOIN, files="g"),
            approved(plan(LEAVE)),
            "the files or variables have changed since: plan again",
        ),
        (plan(), approved(plan(LEAVE)), "nothing of it is left to do"),
        (
            plan(JOIN),
            approved(plan(LEAVE)),
            "now also: join lobby/desk; not any more: leave lobby/desk: plan again",
        ),
        (plan(JOIN, LEAVE), approved(plan(JOIN)), "now also: leave lobby/desk: plan again"),
        (plan(JOIN), approved(plan(JOIN, LEAVE)), "not any more: leave lobby/desk: plan again"),
        (
            plan(JOIN),
            Approved("another", "f", frozenset(("leave", f"lobby/{number}") for number in range(7))),
            "now also: join lobby/desk; not any more: "
            + ", ".join(f"leave lobby/{number}" for number in range(5))
            + " and 2 more: plan again",
        ),
        (plan(JOIN), Approved("another"), "the agents or the state have moved on: plan again"),
    ],
)
def test_what_has_moved_since_an_approval(now: Plan, seen: Approved, hint: str) -> None:
    with pytest.raises(StalePlan) as caught:
        confirm(now, seen)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("action", "rests"),
    [
        ("join", {"update"}),
        ("adopt", {"update", "renew", "join"}),
        ("update", {"join"}),
        ("renew", {"update", "join"}),
        ("replace", {"join", "update", "leave"}),
        ("rotate", {"join", "update", "leave"}),
        ("leave", set()),
    ],
)
def test_what_an_interrupted_change_may_leave_open(action: str, rests: set[str]) -> None:
    seen = Approved("another", "f", frozenset({(action, "lobby/desk")}))
    found = {
        name
        for name, change in (("join", JOIN), ("leave", LEAVE), ("update", UPDATE), ("renew", RENEW))
        if applying._resumes(plan(change), seen)
    }
    assert found == rests | ({action} & {"join", "leave", "update", "renew"})


def test_a_limit_refuses_whatever_was_approved() -> None:
    refused = plan(JOIN, refusals=(Refusal("join", 1, 0, "too many"), Refusal("leave", 1, 0, "too few")))
    for seen in (None, approved(plan(JOIN))):
        with pytest.raises(Refused, match="too many; too few"):
            confirm(refused, seen)


def test_a_saved_plan_alone_is_marked_in_the_state() -> None:
    job = Job(fleet(DESK))
    assert applying._marks(job, None) == applying._marks(job, Approved("d")) == ((), ())
    (begun,), ended = applying._marks(job, approved(plan(JOIN)))
    assert isinstance(begun, PutApplying) and begun.digest
    assert ended == (PutApplying(None),)
    others = [
        replace(job, policy=Policy(allow={"leave": 1})),
        replace(job, policy=Policy(allow_hosts=frozenset({"h"}))),
        replace(job, policy=Policy(only=frozenset())),
        replace(job, policy=Policy(prune_unrecorded=True)),
    ]
    seen = {applying._apply_id(each, approved(plan(JOIN))) for each in (job, *others)}
    assert len(seen) == 5
    assert applying._apply_id(job, approved(plan(LEAVE))) not in seen


def test_what_a_look_showed_is_kept() -> None:
    stranger = ObservedAgent("F1", AgentStatus.RUNNING, NOW, "theirs")
    pins = Pins("demo", None, "agora", "app")
    seen = basis([record(DESK)], [running(DESK), stranger], released=["R1"])
    assert applying._housekeeping(seen, pins) == (PutPins(pins), PutForeign(Foreign("F1", "theirs")), DropReleased("R1"))  # fmt: skip
    state = replace(
        seen.state, pins=pins, foreign={"F1": Foreign("F1", "theirs"), "F2": Foreign("F2", "gone")}
    )
    assert applying._housekeeping(replace(seen, state=state), pins) == (DropForeign("F2"), DropReleased("R1"))
    placed = replace(
        seen, state=state, channels={"F1": "lobby"}, live=(stranger, replace(stranger, agent_id="R1"))
    )
    writes = applying._housekeeping(placed, pins)
    assert writes[0] == PutForeign(Foreign("F1", "theirs", "lobby"))
    assert DropReleased("R1") not in writes


# --- what is missing -----------------------------------------------------------------------------------------------


def missing(*references: str, **virtual: Any) -> list[tuple[str, str | None]]:
    run = Virtual(unset=frozenset(references), **virtual)
    sent = [references_in({"a": each, "b": f"x {each}"}) for each in references] * 2
    return [(each.summary, each.help) for each in run.run(readiness.missing_secrets(sent))]


def test_a_secret_without_a_value_is_one_line_however_many_agents_need_it() -> None:
    assert missing("ref+env://K") == [
        ("ref+env://K has no value (not set); 2 agents need it", "set K where apply runs")
    ]
    assert [each[1] for each in missing("ref+file://k.txt", "ref+vault://a/b")] == [
        "write its value into k.txt where apply runs",
        "see that `vals get ref+vault://a/b` prints its value where apply runs",
    ]
    run = Virtual(unset=frozenset({"ref+env://K"}))
    (one,) = run.run(readiness.missing_secrets(map(references_in, ("ref+env://K", "ref+env://L"))))
    assert one.summary.endswith("1 agent needs it")
    assert Virtual().run(readiness.missing_secrets([references_in("ref+env://K")])) == ()


def test_an_error_of_the_sources_is_no_missing_secret() -> None:
    class Broken(Virtual):
        def _secret(self, ref: SecretRef) -> Any:
            raise SecretUnavailable("the store is away")

    with pytest.raises(SecretUnavailable, match="the store is away"):
        Broken().run(readiness.missing_secrets([references_in("ref+env://K")]))


def ready(made: Plan, *, unset: Any = (), policy: Policy = Policy(), provider: Any = None) -> list[str]:
    """The notices of a run that is ready; it raises for one that is not."""
    run = Virtual(unset=frozenset(unset))
    wanted = replace(fleet(DESK), service=Service("agora"))
    run.run(readiness.require_ready(Job(wanted, policy=policy), provider, made))
    return [each.text for each in run.events if isinstance(each, Notice)]


class Checks:
    """A provider that finds something wrong with the credentials or the service."""

    def __init__(self, *rows: Problem | Passed) -> None:
        self.rows = rows
        self.asked = 0

    def check(self) -> Any:
        yield from ()
        self.asked += 1
        return self.rows


WRONG = Problem("credentials", "they are wrong", help="set them")
KEYS = ("ref+env://OPENAI_API_KEY", "ref+env://AZURE_TTS_KEY")


def test_an_apply_names_all_that_it_lacks_at_once() -> None:
    assert ready(plan(JOIN)) == []
    with pytest.raises(NotReady) as caught:
        ready(plan(JOIN), unset=KEYS)
    assert caught.value.message.count("\n") == 1
    assert (
        "ref+env://OPENAI_API_KEY has no value (not set); 1 agent needs it; set OPENAI_API_KEY where"
        in caught.value.message
    )
    assert caught.value.hint is not None and caught.value.hint.endswith("--exclude leaves addresses out")
    assert ready(plan(LEAVE, RENEW), unset=KEYS) == [], "neither sends one"
    many = agent("lobby/desk", labels={f"k{each}": f"ref+env://K{each:02}" for each in range(21)})
    with pytest.raises(NotReady, match="1 more; `reconciler doctor` names them"):
        ready(plan(replace(JOIN, spec=many)), unset=[f"ref+env://K{each:02}" for each in range(21)])
    with pytest.raises(NotReady) as all_named:
        ready(plan(replace(JOIN, spec=many)), unset=[f"ref+env://K{each:02}" for each in range(20)])
    assert "more;" not in all_named.value.message


def test_what_keeps_agents_alive_goes_on_without_the_secrets_of_others() -> None:
    only = Policy(only=frozenset({Action.JOIN, Action.RENEW}))
    assert len(ready(plan(JOIN, RENEW), unset=KEYS, policy=only)) == 2
    with pytest.raises(NotReady):
        ready(plan(JOIN), unset=KEYS, policy=only)
    with pytest.raises(NotReady):
        ready(plan(JOIN, RENEW), unset=KEYS)


@pytest.mark.parametrize(
    ("change", "row", "is_refused"),
    [
        (JOIN, WRONG, True),
        (RENEW, WRONG, True),
        (LEAVE, WRONG, False),
        (UPDATE, WRONG, False),
        (JOIN, replace(WRONG, severity=Severity.WARNING), False),
        (JOIN, replace(WRONG, rule="service"), False),
        (JOIN, Passed("credentials", "fine"), False),
    ],
)
def test_no_token_could_work(change: Change, row: Any, is_refused: bool) -> None:
    checks = Checks(row)
    if is_refused:
        with pytest.raises(NotReady, match="they are wrong; set them") as caught:
            ready(plan(change), provider=checks)
        assert caught.value.hint == "nothing was done; `reconciler doctor` checks all that an apply needs"
    else:
        ready(plan(change), provider=checks)
    assert checks.asked == (change in (JOIN, RENEW))


def test_a_long_line_is_parted() -> None:
    short = Problem("x", "s" * 100, help="h" * 79)
    assert readiness._line(short) == f"{short.summary}; {short.help}"
    long = replace(short, help="h" * 80)
    assert readiness._line(long) == f"{long.summary}\n{long.help}"


# --- doctor --------------------------------------------------------------------------------------------------------


def test_each_host_is_a_row_with_at_most_three_of_its_secrets() -> None:
    def rows(*names: str) -> list[str]:
        tools = {"headers": {each: f"ref+env://{each}" for each in names}}
        wanted = agent("lobby/desk", llm={"headers": tools["headers"]})
        return [each.text for each in _hosts(Job(fleet(wanted))) if isinstance(each, Passed)]

    (first, *_) = [each for each in rows("A", "B") if each.startswith("api.openai.com")]
    assert first == "api.openai.com gets ref+env://A, ref+env://B, ref+env://OPENAI_API_KEY"
    (more, *_) = [each for each in rows("A", "B", "C", "D") if each.startswith("api.openai.com")]
    assert more == "api.openai.com gets ref+env://A, ref+env://B, ref+env://C and 2 more"


@pytest.mark.parametrize(
    ("cost", "refused", "severity", "said"),
    [
        (Cost(1, 2, 0.1), False, None, "1 agent runs under this App ID, and 2 would after an apply; no limits.quota is declared"),
        (Cost(1, 2, 0.1, quota=1000), False, None, "limits.quota is 1,000"),
        (Cost(1, 30, 0.1, quota=20), True, Severity.ERROR, "limits.quota allows 20"),
        (Cost(1, 30, 0.1, default_quota=20), False, Severity.WARNING, "the service allows 20 by default"),
    ],
)  # fmt: skip
def test_the_row_of_the_quota(cost: Cost, refused: bool, severity: Severity | None, said: str) -> None:
    made = replace(plan(), cost=cost, refusals=(Refusal("quota", 30, 20, "x"),) if refused else ())
    found = _quota(made)
    assert said in (found.summary if isinstance(found, Problem) else found.text)
    assert (found.severity if isinstance(found, Problem) else None) is severity


def test_a_look_that_fails_is_a_finding_about_what_is_at_fault() -> None:
    made = world(fleet(DESK))
    made.run(_plan(made.job(fleet(DESK)), made.provider()))
    made.service.set_script([{"on": "list", "count": 0, "fate": "refuse", "status": 404}])
    (away,) = made.run(_plan(made.job(fleet(DESK)), made.provider()))
    made.service.set_script([])
    serial = made.state.read().serial
    made.state.commit([PutIntent(join_of(created_at=START + 9 * HOUR))], expected=serial)
    (odd,) = made.run(_plan(made.job(fleet(DESK)), made.provider()))
    assert isinstance(away, Problem) and isinstance(odd, Problem)
    assert (away.rule, odd.rule) == ("service", "state")


def test_a_finding_is_told_once() -> None:
    first = Problem("clock", "the clock is wrong")
    assert _is_told(Problem("service", "the clock is wrong: a token"), [first])
    assert not _is_told(Problem("service", "another"), [first])
    assert not _is_told(Passed("x", "the clock is wrong"), [first])
    assert not _is_told(Problem("service", "fine"), [Passed("x", "fine")])


def test_a_store_that_is_held_and_one_that_cannot_be_written_are_told_apart() -> None:
    rows = refused_rows([StateLocked("held; nothing was done", hint="wait"), StateError("full")])
    assert rows == [Problem("lock", "held", help="wait"), Problem("state", "full")]


def is_whole(request: HttpRequest) -> bool:
    """Whether a request lists the agents of all channels."""
    return request.url.endswith("/agents") and "channel" not in dict(request.query)


def test_an_apply_that_joins_nobody_looks_once_and_one_that_joins_looks_again() -> None:
    made, lists = Virtual(), []
    made.on_request = lambda request: lists.append(request.url) if is_whole(request) else None
    warmer = fleet(agent("lobby/desk", llm={"params": {"temperature": 1.0}}))
    for wanted, looks_again in ((fleet(DESK), True), (warmer, False)):
        lists.clear()
        assert made.run(workflow.apply(made.job(wanted), made.provider())).is_complete
        assert (len(lists) > 1) is looks_again


# --- drift and secrets ---------------------------------------------------------------------------------------------


def world(wanted: DesiredFleet) -> Virtual:
    made = Virtual()
    made.run(workflow.apply(made.job(wanted), made.provider()))
    return made


def test_drift_is_what_changed_without_the_files() -> None:
    made = world(fleet(DESK, DOOR))

    def drifted(wanted: DesiredFleet) -> tuple[list[tuple[str, str]], int]:
        found = made.run(workflow.drift(made.job(wanted), made.provider()))
        return sorted(found.plan.rows), found.file_changes

    assert drifted(fleet(DESK, DOOR)) == ([], 0)
    assert drifted(fleet(agent("lobby/desk", idle_timeout=9))) == ([], 2)
    (lost,) = [each for each in made.live() if "desk" in each.name]
    made.service.end(lost.agent_id)
    assert drifted(fleet(DESK, DOOR)) == ([("join", "lobby/desk")], 0)
    assert drifted(fleet(DESK)) == ([("join", "lobby/desk")], 1)
    assert drifted(fleet(replace(DESK, lifecycle=Lifecycle(paused=True)), DOOR))[0] == [
        ("join", "lobby/desk")
    ]
    made.now += 15 * HOUR  # the door's token is past half of its life
    assert drifted(fleet(DESK, DOOR)) == ([("join", "lobby/desk")], 0)
    assert Virtual().run(
        workflow.drift(Job(fleet(DESK), app_id=SETTINGS.app_id), made.provider())
    ).plan.rows == {("join", "lobby/desk")}


def test_which_values_of_secrets_are_new() -> None:
    made = world(fleet(DESK, DOOR))
    before = made.state.read()

    def new(state: State = before) -> tuple[tuple[str, int], ...]:
        return made.run(looking._new_secrets(fleet(DESK), state))

    assert new() == ()
    made.values["ref+env://OPENAI_API_KEY"] = "another"
    assert new() == (("ref+env://OPENAI_API_KEY", 2),)
    assert new(replace(before, secret_key=b"")) == ()


# --- claims --------------------------------------------------------------------------------------------------------


def test_an_address_is_forgotten_and_its_agent_runs_on() -> None:
    made = world(fleet(DESK))
    (running_one,) = made.live()
    assert made.run(workflow.forget(made.job(fleet(DESK)), HERE)) == running_one.agent_id
    state = made.state.read()
    assert (state.records, state.released, state.generations) == ({}, {running_one.agent_id}, {HERE: 1})
    assert len(made.live()) == 1
    with pytest.raises(UsageError, match="the state has no record of lobby/desk") as caught:
        made.run(workflow.forget(made.job(fleet(DESK)), HERE))
    assert caught.value.hint == "it is empty"


def test_an_agent_of_ours_is_taken_back_though_the_files_name_no_uid() -> None:
    made = world(fleet(DESK))
    (running_one,) = made.live()
    made.run(workflow.forget(made.job(fleet(DESK)), HERE))
    made.run(workflow.adopt(made.job(fleet(DESK)), made.provider(), HERE, running_one.agent_id))
    assert made.state.read().records[HERE].agent_id == running_one.agent_id


def test_an_agent_of_ours_is_taken_back_with_the_uid_that_it_was_joined_with() -> None:
    """A token for another uid ends an agent; after join-first the agent has the address's second uid."""
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    old, new = (
        fleet(agent("lobby/desk", asr={"language": each}, lifecycle=first)) for each in ("en-US", "de-DE")
    )
    made = world(old)
    made.run(workflow.apply(made.job(new), made.provider()))
    (record,) = made.state.read().records.values()
    assert record.uid == new.agents[HERE].uid(new.owner, shifted=True)
    made.run(workflow.forget(made.job(new), HERE))
    made.run(workflow.adopt(made.job(new), made.provider(), HERE, record.agent_id))
    assert made.state.read().records[HERE].uid == record.uid


@pytest.mark.parametrize("joined", [agent("lobby/desk", agent_rtc_uid="7"), agent("lobby/door")])
def test_an_agent_of_ours_whose_uid_its_name_does_not_tell_is_not_taken_back(joined: AgentSpec) -> None:
    made = world(fleet(joined))
    (running_one,) = made.live()
    made.run(workflow.forget(made.job(fleet(joined)), joined.address))
    with pytest.raises(UsageError, match="the files name no uid for lobby/desk"):
        made.run(workflow.adopt(made.job(fleet(DESK)), made.provider(), HERE, running_one.agent_id))
    assert made.state.read().records == {}


def test_an_interrupted_join_is_forgotten_too_and_its_name_is_not() -> None:
    made = Virtual()
    made.state.commit([], expected=0)
    made.state.commit([PutIntent(join_of(unknown_since=START - 7))], expected=1)
    assert made.run(workflow.forget(made.job(fleet(DESK)), HERE)) == ""
    (note,) = made.state.read().intents
    assert (note.operation, note.unknown_since) == (Operation.LATE_COPY, START - 7)
    assert claiming._undeclared(made.job(fleet(DESK)), agent("lobby/dsk").address).endswith(
        "otherwise declare it first"
    )
    assert claiming._undeclared(made.job(fleet(DESK)), agent("x/yz").address).startswith("declare it first;")


# --- without the service -------------------------------------------------------------------------------------------


def test_the_state_that_a_complete_apply_would_leave() -> None:
    wanted = fleet(
        replace(DESK, lifecycle=Lifecycle(protect=True)),
        DOOR,
        replace(agent("lobby/off"), lifecycle=Lifecycle(paused=True)),
    )
    state = state_of(wanted)
    assert sorted(map(str, state.records)) == ["lobby/desk", "lobby/door"]
    desk = state.records[HERE]
    assert (desk.protect, desk.uid, desk.body, desk.generation, desk.declared) == (
        True,
        DESK.uid(OWNER),
        DESK.body,
        1,
        True,
    )
    assert desk.token_expires_at == desk.started_at + DESK.lifecycle.token_ttl
    assert state.records[DOOR.address].protect is False


def test_every_recorded_agent_is_assumed_to_run_but_those_that_made_room() -> None:
    state = basis([record(DESK), record(DOOR, "A2", replacing=True, started_at=NOW - 7)]).state
    found = _assumed(Job(fleet(DESK)), state)
    assert [each.agent_id for each in found.live] == ["A1"]
    assert (found.ended, found.now) == ({"A2": None}, NOW - 7)
    made = build_plan(fleet(DESK, DOOR), found, ABLE)
    assert ("join", "lobby/door") in made.rows
    assert ("join", "lobby/desk") not in made.rows
