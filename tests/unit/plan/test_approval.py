"""What a review covers of a live plan, and the token that stands for the review."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.model.approval import Approval
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import HOUR, AgentSpec, Body, Lifecycle
from reconciler.plan.approval import Review, review_of
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Action, Hold, Leave, Replace, action_of, diffs_of
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from tests.fakes.fleets import agent, fleet
from tests.unit.plan.cases import ABLE, HERE, NOW
from tests.unit.plan.parts import address, basis, record, running

TREE, SNAPSHOT = "a1" * 20, "0f" * 20


def test_a_token_is_the_tree_and_the_snapshot() -> None:
    token = f"{TREE}.{SNAPSHOT}"
    assert len(token) == 81
    assert Approval.parse(f"{token}\n") == Approval(TREE, SNAPSHOT)
    assert str(Approval.parse(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "null",
        TREE,
        f"{TREE}.{SNAPSHOT[:-1]}",
        f"{TREE}.{SNAPSHOT}0",
        f"{TREE.upper()}.{SNAPSHOT}",
        f"{TREE} {SNAPSHOT}",
        f"--all{TREE[5:]}.{SNAPSHOT}",
        f"{TREE}.{SNAPSHOT[:-1]}\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_token_is_refused_and_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="nothing was done") as refused:
        Approval.parse(text)
    assert "81 characters" in (refused.value.hint or "")


# --- which live changes a review covers -------------------------------------------------------------------------

OLD, NEW = agent(HERE), agent(HERE, idle_timeout=60)
HOME = address(HERE)
IDLE = ("properties", "idle_timeout")


def plan_of(wanted: DesiredFleet, found: Basis, review: Review | None = None) -> Plan:
    return build_plan(wanted, found, ABLE, policy=Policy(review=review))


def told(plan: Plan) -> list[str]:
    """Each change in a word, with what is held and whether it is for want of a review."""
    return [
        f"hold {action_of(each.change)} {each.reason.because}"
        if isinstance(each, Hold)
        else action_of(each).value
        for each in plan.changes
    ]


def ended(spec: AgentSpec) -> Basis:
    return basis([record(spec)], ended={"A1": None})


def aged(spec: AgentSpec) -> Basis:
    long_ago = NOW - 71 * HOUR
    return basis([record(spec, started_at=long_ago)], [running(spec, started_at=long_ago)])


def due(spec: AgentSpec) -> Basis:
    return basis([record(spec, token_expires_at=NOW + 60)], [running(spec)])


HELD = "unreviewed"
RUNS = basis([record(OLD)], [running(OLD)])
DOUBLE = basis([record(OLD)], [running(OLD), running(OLD, "A2")])
GENERATION = replace(basis(), state=replace(basis().state, generations={HOME: 3}))
CASES: list[tuple[str, DesiredFleet, Basis, str, list[str]]] = [
    # What was reviewed at the address, by one word; what an apply of it may do there.
    ("a replacement that was reviewed", fleet(NEW), RUNS, "replace", ["replace"]),
    ("a replacement that nobody reviewed", fleet(NEW), RUNS, "", [f"hold replace {HELD}"]),
    ("a review of an update is none of a hang-up", fleet(NEW), RUNS, "update", [f"hold replace {HELD}"]),
    ("a review of a join is none of a hang-up", fleet(NEW), RUNS, "join", [f"hold replace {HELD}"]),
    ("a review of a leave is none of a replacement", fleet(NEW), RUNS, "leave", [f"hold replace {HELD}"]),
    ("a leave that was reviewed", fleet(agent("b/x")), RUNS, "leave", ["join", "leave"]),
    ("a leave that nobody reviewed", fleet(agent("b/x")), RUNS, "", ["join", f"hold leave {HELD}"]),
    ("its agent has left by itself", fleet(agent("b/x")), ended(OLD), "leave", ["join", "forget"]),
    ("a record that nobody spoke of stays", fleet(agent("b/x")), ended(OLD), "", ["join", f"hold forget {HELD}"]),
    ("what has ended is joined again", fleet(OLD), ended(OLD), "", ["join"]),
    ("also with other fields", fleet(NEW), ended(OLD), "", ["join"]),
    ("and where only its generation is known", fleet(OLD), GENERATION, "", ["join"]),
    ("a first join that was reviewed", fleet(OLD), basis(), "join", ["join"]),
    ("a first join that nobody reviewed", fleet(OLD), basis(), "", [f"hold join {HELD}"]),
    ("a replaced agent that has ended", fleet(NEW), ended(OLD), "replace", ["join"]),
    ("a rotation falls due", fleet(OLD), aged(OLD), "", ["rotate"]),
    ("a renewal falls due", fleet(OLD), due(OLD), "", ["renew"]),
    ("a hold lets no token run out", fleet(NEW), due(OLD), "", [f"hold replace {HELD}", "renew"]),
    ("taken back by its name", fleet(OLD), basis([], [running(OLD)]), "", ["adopt"]),
    ("its values are sent once", fleet(OLD), basis([record(OLD, unsent=True)], [running(OLD)]), "", ["update"]),
    ("found with another revision", fleet(NEW), basis([], [running(OLD)]), "", [f"hold replace {HELD}"]),
    ("a second agent", fleet(OLD), DOUBLE, "", ["none", f"hold leave {HELD}"]),
    ("a second agent beside a reviewed replacement", fleet(NEW), DOUBLE, "replace", ["replace", "leave"]),
    ("one held part holds the others", fleet(NEW), DOUBLE, "update", [f"hold replace {HELD}", f"hold leave {HELD}"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found", "reviewed", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0].replace(" ", "-") for case in CASES],
)
def test_what_may_be_done_at_an_address_of_which_one_act_was_reviewed(
    wanted: DesiredFleet, found: Basis, reviewed: str, expected: list[str]
) -> None:
    acts = {address("b/x"): frozenset({Action.JOIN})}
    acts |= {HOME: frozenset({Action(reviewed)})} if reviewed else {}
    plan = plan_of(wanted, found, Review(acts, {HOME: frozenset({IDLE})}))
    assert sorted(told(plan)) == sorted(expected)
    if any("hold" in each for each in expected):
        assert sum(
            isinstance(each, Hold) and "--allow unreviewed" in each.reason.text for each in plan.changes
        )


def language(spec: AgentSpec, language: str) -> AgentSpec:
    changed = {**spec.body.properties, "asr": {"vendor": "ares", "language": language}}
    return replace(spec, body=Body(changed))


def prompt(spec: AgentSpec, text: str) -> AgentSpec:
    messages = [{"role": "system", "content": text}]
    return replace(
        spec, body=Body({**spec.body.properties, "llm": {**llm(spec), "system_messages": messages}})
    )


def llm(spec: AgentSpec) -> dict[str, Any]:
    return dict(spec.body.properties["llm"])


def test_a_hang_up_for_another_reason_than_the_one_that_was_shown_is_held() -> None:
    review = review_of(plan_of(fleet(NEW), RUNS).changes)
    # Meanwhile somebody has done it, and something else: what is left was never shown.
    since = basis([record(language(NEW, "de-DE"))], [running(language(NEW, "de-DE"))])
    assert told(plan_of(fleet(NEW), since, review)) == [f"hold replace {HELD}"]
    both = basis([record(language(OLD, "de-DE"))], [running(language(OLD, "de-DE"))])
    assert told(plan_of(fleet(NEW), both, review)) == [f"hold replace {HELD}"]


def test_what_was_shown_may_take_less_and_what_is_in_place_must_have_been_shown_too() -> None:
    wanted = fleet(prompt(NEW, "Be brief."))
    review = review_of(plan_of(wanted, RUNS).changes)
    halfway = basis([record(NEW)], [running(NEW)])
    assert told(plan_of(wanted, halfway, review)) == ["update"]
    assert told(plan_of(fleet(NEW), halfway, review)) == ["none"]
    only = review_of(plan_of(fleet(prompt(OLD, "Be brief.")), RUNS).changes)
    assert told(plan_of(fleet(prompt(OLD, "Be brief.")), RUNS, only)) == ["update"]
    warmer = replace(
        OLD, body=Body({**OLD.body.properties, "llm": {**llm(OLD), "params": {"model": "other"}}})
    )
    found = basis([record(warmer)], [running(warmer)])
    assert told(plan_of(fleet(prompt(OLD, "Be brief.")), found, only)) == [f"hold update {HELD}"]


def test_values_that_are_sent_once_more_take_no_edit_along_that_nobody_has_reviewed() -> None:
    unsent = basis([record(OLD, unsent=True)], [running(OLD)])
    assert told(plan_of(fleet(OLD), unsent, Review())) == ["update"]
    assert told(plan_of(fleet(prompt(OLD, "Be brief.")), unsent, Review())) == [f"hold update {HELD}"]


def test_to_force_a_replacement_is_not_to_have_it_reviewed() -> None:
    review = review_of(plan_of(fleet(NEW), RUNS).changes)
    forced = Selection(replaces=("*",))
    done = basis([record(NEW)], [running(NEW)])
    again = build_plan(fleet(NEW), done, ABLE, selection=forced, policy=Policy(review=review))
    assert told(again) == [f"hold replace {HELD}"]
    first = build_plan(fleet(NEW), RUNS, ABLE, selection=forced, policy=Policy(review=review))
    assert told(first) == ["replace"]


def test_without_a_review_nothing_is_held() -> None:
    assert told(plan_of(fleet(NEW), DOUBLE)) == ["replace", "leave"]


def test_what_is_held_for_a_while_was_shown_as_to_come_and_what_waits_for_a_person_was_not() -> None:
    failing = record(OLD, failures=5, retry_at=NOW + 900, failed_digest="")
    waits = plan_of(fleet(NEW), basis([failing], [running(OLD)]))
    assert told(waits) == ["hold replace backing_off"]
    assert told(plan_of(fleet(NEW), RUNS, review_of(waits.changes))) == ["replace"]
    guarded = fleet(agent(HERE, idle_timeout=60, lifecycle=Lifecycle(protect=True)))
    protected = plan_of(guarded, basis([record(OLD, protect=True)], [running(OLD)]))
    assert told(protected) == ["hold replace protected"]
    assert told(plan_of(fleet(NEW), RUNS, review_of(protected.changes))) == [f"hold replace {HELD}"]


def test_a_secret_on_its_way_to_a_host_that_nobody_saw_holds_its_address_and_no_other() -> None:
    def talks_to(host: str, where: str = HERE) -> AgentSpec:
        return agent(where, llm={"url": f"https://{host}/v1", "api_key": "ref+env://KEY"})

    before, after = talks_to("good.example"), talks_to("evil.example")
    other = agent("b/x", idle_timeout=60)
    found = basis(
        [record(before), record(agent("b/x"), "A2")], [running(before), running(agent("b/x"), "A2")]
    )
    wanted = fleet(after, other)
    both = {HOME: frozenset({Action.REPLACE}), address("b/x"): frozenset({Action.REPLACE})}
    paths = {HOME: frozenset({("properties", "llm", "url")}), address("b/x"): frozenset({IDLE})}
    unseen = plan_of(wanted, found, Review(both, paths))
    assert sorted(told(unseen)) == ["hold replace secret_host", "replace"]
    assert unseen.refusals == ()
    pair = ("ref+env://KEY", "evil.example")
    seen = plan_of(wanted, found, Review(both, paths, frozenset({pair})))
    # Whoever applies says `--allow secret-host` all the same.
    assert told(seen) == ["replace", "replace"]
    assert [each.limit for each in seen.refusals] == ["secret-host"]


PLACES = ["a/one", "a/two", "b/three", "c/four"]
# Of each address: not there, or its idle timeout and its language, which cannot change on a running agent, and its prompt.
Side = dict[str, tuple[int, str, str] | None]
ONE = st.tuples(st.sampled_from([0, 60]), st.sampled_from(["en-US", "de-DE"]), st.sampled_from(["a", "b"]))
SIDES = st.fixed_dictionaries({each: st.none() | ONE for each in PLACES})


def _specs(side: Side) -> list[AgentSpec]:
    return [
        prompt(language(agent(where, idle_timeout=value[0]), value[1]), value[2])
        for where, value in side.items()
        if value is not None
    ]


@given(
    wanted=SIDES, snapshot=SIDES, recorded=SIDES, dead=st.sets(st.sampled_from(PLACES)),
    strays=st.sets(st.sampled_from(PLACES)), age=st.sampled_from([1.0, 50.0, 71.0]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_happens_in_between_what_is_done_was_reviewed_or_is_of_a_kind_that_may_be_added(
    wanted: Side,
    snapshot: Side,
    recorded: Side,
    dead: set[str],
    strays: set[str],
    age: float,
) -> None:
    desired = fleet(*_specs(wanted), agent("d/last"))

    def seen(side: Side, gone: set[str], also: set[str]) -> Basis:
        started = NOW - age * HOUR
        rows = [record(each, f"A-{each.address}", started_at=started) for each in _specs(side)]
        live = [running(each, f"A-{each.address}", started_at=started)
                for each in _specs(side) if str(each.address) not in gone]  # fmt: skip
        live += [running(agent(where), f"B-{where}") for where in sorted(also)]
        return basis(rows, live, ended={f"A-{where}": None for where in gone})

    before = plan_of(desired, seen(snapshot, set(), set()))
    found = seen(recorded, dead, strays)
    plan = plan_of(desired, found, review_of(before.changes))
    for change in plan.acts:
        row = (action_of(change).value, str(change.address))
        ran = change.address in found.state.records
        may_be_added = row[0] in ("renew", "rotate", "adopt") or (row[0] == "join" and ran)
        is_the_rest = any(
            (earlier, row[1]) in before.rows
            for earlier, later in [
                ("leave", "forget"),
                ("replace", "join"),
                ("replace", "leave"),
                ("replace", "update"),
                ("join", "update"),
            ]
            if later == row[0]
        )
        assert row in before.rows or may_be_added or is_the_rest, row
        if isinstance(change, (Leave, Replace)):
            assert {("leave", row[1]), ("replace", row[1])} & before.rows, row
        if isinstance(change, Replace):
            shown = [
                each.path for one in before.acts if one.address == change.address for each in diffs_of(one)
            ]
            assert {each.path for each in change.diffs if each.forces_replacement} <= set(shown), row
    # And nothing is lost: what a plan without a review would do is done or listed as held.
    free = plan_of(desired, found)
    assert {each.address for each in free.pending} == {each.address for each in plan.pending}
