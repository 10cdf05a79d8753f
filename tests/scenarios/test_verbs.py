"""The verbs, end to end over the simulator, one situation a test; what is asserted is the world afterwards."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.apply.events import Ledger, Notice, Result
from reconciler.errors import NotReady, Refused, SecretUnavailable, StalePlan, StateError, UsageError
from reconciler.model.address import Address, AgentName, Owner
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.model.record import Operation
from reconciler.model.spec import HOUR, AgentSpec, Beside, Lifecycle, ReplaceOrder
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Hold, action_of, diffs_of
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.ports import HttpRequest
from reconciler.secrets import Secret, SecretRef
from reconciler.simulator.auth import decode
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual


def plan(virtual: Virtual, wanted: DesiredFleet, **settings: object) -> Plan:
    return virtual.run(workflow.plan(virtual.job(wanted, **settings), virtual.provider()))


def apply(virtual: Virtual, wanted: DesiredFleet, **settings: object) -> Ledger:
    return virtual.run(workflow.apply(virtual.job(wanted, **settings), virtual.provider()))


def actions(found: Plan) -> dict[str, str]:
    return {str(each.address): action_of(each).value for each in found.changes}


def converged(virtual: Virtual, wanted: DesiredFleet) -> bool:
    return not plan(virtual, wanted).pending


def names(virtual: Virtual) -> set[str]:
    return {each.name for each in virtual.live()}


@pytest.fixture
def virtual() -> Virtual:
    return Virtual()


def test_a_new_fleet_joins_and_the_next_plan_is_empty(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"), agent("lobby/guard"), agent("bar/waiter"))
    assert apply(virtual, wanted).is_complete
    assert len(virtual.live()) == 3
    assert converged(virtual, wanted)


def test_planning_changes_nothing_anywhere(virtual: Virtual) -> None:
    plan(virtual, fleet(agent("lobby/greeter")))
    assert virtual.sent == {}
    assert virtual.state.read().serial == 0


def test_a_prompt_changes_in_place_and_nobody_is_hung_up_on(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    before = virtual.live()[0].agent_id
    wanted = fleet(
        agent("lobby/greeter", llm={"system_messages": [{"role": "system", "content": "Be brief."}]})
    )
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "update"}
    apply(virtual, wanted)
    (running,) = virtual.live()
    assert running.agent_id == before
    assert running.properties["llm"]["system_messages"][0]["content"] == "Be brief."
    assert converged(virtual, wanted)


def test_model_parameters_are_always_sent_whole(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    apply(virtual, fleet(agent("lobby/greeter", llm={"params": {"temperature": 0.9}})))
    assert virtual.live()[0].properties["llm"]["params"] == {"model": "gpt-4o-mini", "temperature": 0.9}


def test_a_voice_needs_a_new_agent_with_the_next_generation(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter", tts={"params": {"voice_name": "en-US-EmmaNeural"}}))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "replace"}
    apply(virtual, wanted)
    (running,) = virtual.live()
    parsed = AgentName.parse(running.name)
    assert parsed is not None
    assert parsed.generation == 2
    assert converged(virtual, wanted)


def test_what_the_files_drop_leaves(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    assert [each.channel for each in virtual.live()] == ["lobby"]
    assert converged(virtual, wanted)


def test_a_lost_state_takes_everything_back_without_a_hang_up(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    apply(virtual, wanted)
    before = names(virtual)
    joins = virtual.sent["join"]
    virtual.state = MemoryStore()
    assert set(actions(plan(virtual, wanted)).values()) == {"adopt"}
    apply(virtual, wanted)
    assert names(virtual) == before
    assert virtual.sent["join"] == joins
    assert "leave" not in virtual.sent
    assert converged(virtual, wanted)


def test_a_lost_state_and_other_join_only_fields_is_a_replacement(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    virtual.state = MemoryStore()
    wanted = fleet(agent("lobby/greeter", idle_timeout=60))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "replace"}
    apply(virtual, wanted)
    assert [each.properties["idle_timeout"] for each in virtual.live()] == [60]
    assert converged(virtual, wanted)


def test_an_agent_that_ended_is_joined_anew_and_the_plan_says_why(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    virtual.service.end(virtual.live()[0].agent_id, message="RTC connection error")
    (change,) = plan(virtual, wanted).changes
    assert action_of(change) is Action.JOIN
    assert "RTC connection error" in change.reason.text
    apply(virtual, wanted)
    assert len(virtual.live()) == 1


def test_an_agent_is_rotated_before_its_72_hours(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    first = names(virtual)
    virtual.now += 23 * HOUR
    apply(virtual, wanted)
    virtual.now += 23 * HOUR
    apply(virtual, wanted)
    virtual.now += 15 * HOUR
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "rotate"}
    apply(virtual, wanted)
    assert len(virtual.live()) == 1
    assert names(virtual).isdisjoint(first)
    assert converged(virtual, wanted)


def test_a_token_is_renewed_at_half_of_its_life(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    token = virtual.live()[0].properties["token"]
    virtual.now += 11 * HOUR
    assert converged(virtual, wanted)
    virtual.now += 2 * HOUR
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "renew"}
    apply(virtual, wanted)
    assert virtual.live()[0].properties["token"] != token
    assert converged(virtual, wanted)


def test_a_week_of_cron_leaves_every_token_a_fifth_of_its_life(virtual: Virtual) -> None:
    """Every four hours an apply; rotations, renewals and the service's 72 hours all come by."""
    wanted = fleet(*(agent(f"lobby/greeter-{number}") for number in range(5)))
    apply(virtual, wanted)
    for _ in range(7 * 24 // 4):
        virtual.now += 4 * HOUR
        left = [decode(str(each.properties["token"])).expires_at - virtual.now for each in virtual.live()]
        assert len(left) == 5
        assert min(left) >= 24 * HOUR / 5
        apply(virtual, wanted)
    assert converged(virtual, wanted)


def test_protection_holds_a_replacement_and_says_what_it_holds(virtual: Virtual) -> None:
    kept = Lifecycle(protect=True)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=kept)))
    before = names(virtual)
    wanted = fleet(agent("lobby/greeter", lifecycle=kept, idle_timeout=9))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "hold"}
    assert not apply(virtual, wanted).is_complete
    assert names(virtual) == before


def test_protection_outlives_the_block_that_declared_it(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=Lifecycle(protect=True)), agent("bar/waiter")))
    wanted = fleet(agent("bar/waiter"))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "hold", "bar/waiter": "none"}
    apply(virtual, wanted)
    assert len(virtual.live()) == 2


def test_protection_is_lifted_by_saying_so(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=Lifecycle(protect=True)), agent("bar/waiter")))
    lifted = fleet(agent("lobby/greeter", lifecycle=Lifecycle(protect=False)), agent("bar/waiter"))
    assert actions(plan(virtual, lifted))["lobby/greeter"] == "update"
    apply(virtual, lifted)
    assert converged(virtual, lifted)
    apply(virtual, fleet(agent("bar/waiter")))
    assert len(virtual.live()) == 1


@pytest.mark.parametrize(
    "edited",
    [
        agent("lobby/greeter", lifecycle=Lifecycle(paused=True)),
        agent("lobby/greeter", idle_timeout=9),
        agent("bar/greeter", previously=("lobby/greeter",)),
        agent("lobby/hello", previously=("lobby/greeter",), lifecycle=Lifecycle(paused=True)),
    ],
    ids=["paused", "replaced", "moved", "renamed and paused"],
)
@pytest.mark.parametrize("destroying", [False, True])
def test_protection_does_not_fall_with_the_word(
    virtual: Virtual, edited: AgentSpec, destroying: bool
) -> None:
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=Lifecycle(protect=True))))
    before = names(virtual)
    apply(virtual, fleet(edited), destroying=destroying)
    assert names(virtual) == before
    assert converged(virtual, fleet(agent("lobby/greeter")))


def test_a_paused_agent_is_absent(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    wanted = fleet(agent("lobby/greeter", lifecycle=Lifecycle(paused=True)), agent("bar/waiter"))
    apply(virtual, wanted)
    assert [each.channel for each in virtual.live()] == ["bar"]
    assert converged(virtual, wanted)
    awake = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    apply(virtual, awake)
    assert len(virtual.live()) == 2


def test_an_ignored_path_is_sent_at_join_and_then_left_alone(virtual: Virtual) -> None:
    calm = Lifecycle(ignore_changes=(("llm", "greeting_message"),))
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=calm, llm={"greeting_message": "Hello"})))
    assert virtual.live()[0].properties["llm"]["greeting_message"] == "Hello"
    changed = fleet(agent("lobby/greeter", lifecycle=calm, llm={"greeting_message": "Hi"}))
    assert converged(virtual, changed)
    lifted = fleet(agent("lobby/greeter", llm={"greeting_message": "Hi"}))
    assert actions(plan(virtual, lifted)) == {"lobby/greeter": "replace"}


def test_a_rename_within_a_channel_keeps_the_running_agent(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    before = names(virtual)
    wanted = fleet(agent("lobby/host", previously=("lobby/greeter",)))
    assert actions(plan(virtual, wanted)) == {"lobby/host": "adopt"}
    apply(virtual, wanted)
    assert names(virtual) == before
    assert converged(virtual, wanted)


def test_a_rename_is_found_without_any_state(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    before = names(virtual)
    virtual.state = MemoryStore()
    wanted = fleet(agent("lobby/host", previously=("lobby/greeter",)))
    apply(virtual, wanted)
    assert names(virtual) == before
    assert converged(virtual, wanted)


def test_a_rename_to_another_channel_is_a_replacement(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("foyer/greeter")))
    wanted = fleet(agent("lobby/greeter", previously=("foyer/greeter",)))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "replace"}
    apply(virtual, wanted)
    assert [each.channel for each in virtual.live()] == ["lobby"]
    assert converged(virtual, wanted)


def test_two_agents_of_a_channel_swap_their_uids(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/a", agent_rtc_uid="1"), agent("lobby/b", agent_rtc_uid="2")))
    wanted = fleet(agent("lobby/a", agent_rtc_uid="2"), agent("lobby/b", agent_rtc_uid="1"))
    assert apply(virtual, wanted).is_complete
    assert sorted(each.uid for each in virtual.live()) == ["1", "2"]
    assert converged(virtual, wanted)


def test_join_first_never_leaves_the_channel_empty(virtual: Virtual) -> None:
    overlapping = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=overlapping)))
    seen: list[int] = []
    virtual.on_request = lambda _: seen.append(len(virtual.live()))
    wanted = fleet(agent("lobby/greeter", lifecycle=overlapping, idle_timeout=7))
    apply(virtual, wanted)
    assert min(seen) >= 1
    assert max(seen) == 2
    assert len(virtual.live()) == 1
    assert converged(virtual, wanted)


def test_foreign_agents_are_listed_and_never_touched(virtual: Virtual) -> None:
    stranger = Virtual(now=virtual.now)
    stranger.service = virtual.service
    apply(stranger, fleet(agent("lobby/intruder"), owner=Owner("other")))
    theirs = names(virtual)
    wanted = fleet(agent("lobby/greeter"))
    found = plan(virtual, wanted)
    assert [each.channel for each in found.unmanaged] == ["lobby"]
    apply(virtual, wanted)
    virtual.run(workflow.apply(virtual.job(wanted, destroying=True), virtual.provider()))
    assert names(virtual) == theirs


def test_another_environment_of_the_same_fleet_is_foreign(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), owner=Owner("demo", "prod")))
    virtual.state = MemoryStore()
    shared = Lifecycle(beside=Beside.ALLOW)
    apply(virtual, fleet(agent("lobby/guard", lifecycle=shared), owner=Owner("demo", "staging")))
    assert len(virtual.live()) == 2


def test_an_unrecorded_agent_with_our_mark_is_held_until_pruned(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    virtual.state = MemoryStore()
    wanted = fleet(agent("lobby/greeter"))
    held = [each for each in plan(virtual, wanted).changes if action_of(each) is Action.HOLD]
    assert len(held) == 1
    apply(virtual, wanted)
    assert len(virtual.live()) == 2
    apply(virtual, wanted, policy=Policy(prune_unrecorded=True))
    assert [each.channel for each in virtual.live()] == ["lobby"]


def test_adopting_and_forgetting(virtual: Virtual) -> None:
    stranger = Virtual(now=virtual.now)
    stranger.service = virtual.service
    apply(stranger, fleet(agent("lobby/theirs", agent_rtc_uid="7"), owner=Owner("other")))
    (running,) = virtual.live()
    assert actions(plan(virtual, fleet(agent("lobby/greeter", agent_rtc_uid="8")))) == {
        "lobby/greeter": "hold"
    }
    address = Address("lobby", "greeter")
    unknown = fleet(agent("lobby/greeter"))  # a token for the uid that we would choose would end it
    with pytest.raises(UsageError, match="uid"):
        virtual.run(workflow.adopt(virtual.job(unknown), virtual.provider(), address, running.agent_id))
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="7"))
    virtual.run(workflow.adopt(virtual.job(wanted), virtual.provider(), address, running.agent_id))
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "update"}
    apply(virtual, wanted)
    assert names(virtual) == {running.name}
    assert converged(virtual, wanted)
    virtual.run(workflow.forget(virtual.job(wanted), address))
    held = next(each for each in plan(virtual, wanted).changes if isinstance(each, Hold))
    assert held.reason.because is Because.BESIDE, "a join would make two agents talk"
    assert running.agent_id in held.reason.text


def test_a_forgotten_agent_of_ours_does_not_come_back_by_its_name(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="5"))
    apply(virtual, wanted)
    released = names(virtual)
    virtual.run(workflow.forget(virtual.job(wanted), Address("lobby", "greeter")))
    moved = fleet(agent("lobby/greeter", agent_rtc_uid="6"))
    apply(virtual, moved)
    assert names(virtual) == released, "the released agent talks in that channel"
    apply(virtual, moved, policy=Policy(allow_beside=("lobby/greeter",)))
    assert released < names(virtual)
    assert len(virtual.live()) == 2


def test_a_forgotten_agent_is_listed_where_it_runs_with_its_id(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="5"))
    apply(virtual, wanted)
    (running,) = virtual.live()
    virtual.run(workflow.forget(virtual.job(wanted), Address("lobby", "greeter")))
    moved = fleet(agent("lobby/greeter", agent_rtc_uid="6"))
    for _ in range(2):  # by asking the service, and then from memory
        found = plan(virtual, moved)
        assert [(each.agent.agent_id, each.channel) for each in found.unmanaged] == [
            (running.agent_id, "lobby")
        ]
        assert found.elsewhere == 0
        apply(virtual, moved)
    assert [each.channel for each in virtual.state.read().foreign.values()] == ["lobby"]


def test_adopt_refuses_what_makes_no_sense(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    (running,) = virtual.live()
    for address, agent_id in (
        ("lobby/nobody", running.agent_id),
        ("lobby/greeter", running.agent_id),
        ("lobby/greeter", "NOBODY"),
    ):
        with pytest.raises(UsageError):
            virtual.run(
                workflow.adopt(virtual.job(wanted), virtual.provider(), Address.parse(address), agent_id)
            )


def test_limits_refuse_the_whole_apply_before_anything_is_done(virtual: Virtual) -> None:
    everyone = [agent(f"room-{number}/desk") for number in range(10)]
    apply(virtual, fleet(*everyone))
    wanted = fleet(*everyone[:6], limits=Limits())
    with pytest.raises(Refused) as refusal:
        apply(virtual, wanted)
    assert "--allow leave=4" in refusal.value.message
    assert "--allow hang_ups=4" in refusal.value.message
    assert len(virtual.live()) == 10
    apply(virtual, wanted, policy=Policy(allow={"leave": 4, "hang_ups": 4}))
    assert len(virtual.live()) == 6


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(quota=2), "quota"),
        (Limits(join=Limit(number=2)), "join"),
        (Limits(usd_per_day=300.0), "usd_per_day"),
    ],
)
def test_quota_joins_and_cost_are_limits_too(virtual: Virtual, limits: Limits, word: str) -> None:
    wanted = fleet(*[agent(f"room-{number}/desk") for number in range(3)], limits=limits)
    with pytest.raises(Refused, match=word):
        apply(virtual, wanted)
    assert virtual.live() == []


def test_an_empty_fleet_is_an_error_and_never_delete_all(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    with pytest.raises(Refused):
        apply(virtual, fleet())
    assert len(virtual.live()) == 1


def test_destroy_spares_what_is_protected(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter", lifecycle=Lifecycle(protect=True)))
    apply(virtual, wanted)
    virtual.run(workflow.apply(virtual.job(wanted, destroying=True), virtual.provider()))
    assert [each.channel for each in virtual.live()] == ["bar"]


def test_destroy_works_without_a_state(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    virtual.state = MemoryStore()
    virtual.run(workflow.apply(virtual.job(wanted, destroying=True), virtual.provider()))
    assert virtual.live() == []


def test_a_selector_that_matches_nothing_is_an_error(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    for selection in (
        Selection(targets=("loby/*",)),
        Selection(excludes=("x",)),
        Selection(replaces=("x/*",)),
    ):
        with pytest.raises(UsageError, match="matches no agent"):
            plan(virtual, wanted, selection=selection)


def test_targets_and_excludes_narrow_an_apply(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"), agent("bar/cook"))
    apply(virtual, wanted, selection=Selection(targets=("bar/*",), excludes=("*/cook",)))
    assert [each.channel for each in virtual.live()] == ["bar"]


def test_only_does_some_kinds_and_holds_the_rest(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter", idle_timeout=5), agent("bar/waiter"))
    apply(virtual, wanted, policy=Policy(only=frozenset({Action.JOIN})))
    assert sorted(each.properties["idle_timeout"] for each in virtual.live()) == [0, 0]


def test_replace_forces(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    before = names(virtual)
    apply(virtual, wanted, selection=Selection(replaces=("lobby/*",)))
    assert names(virtual).isdisjoint(before)


def test_drift_is_what_the_world_changed_and_not_what_the_files_changed(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    edited = fleet(agent("lobby/greeter", idle_timeout=5), agent("bar/waiter"))
    calm = virtual.run(workflow.drift(virtual.job(edited), virtual.provider()))
    assert (len(calm.plan.pending), calm.file_changes) == (0, 1)
    waiter = next(each for each in virtual.live() if each.channel == "bar")
    virtual.service.end(waiter.agent_id)
    moved = virtual.run(workflow.drift(virtual.job(edited), virtual.provider()))
    assert actions(moved.plan) == {"bar/waiter": "join"}


def test_a_state_of_another_project_is_refused(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    job = workflow.Job(wanted, app_id="ffffffffffffffffffffffffffffffff")
    with pytest.raises(StateError, match="App ID"):
        virtual.run(workflow.plan(job, virtual.provider()))


def test_a_secret_that_would_go_to_another_host_wants_a_word(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter", llm={"url": "https://evil.example/v1"}))
    (danger,) = plan(virtual, wanted).dangers
    assert (danger.reference, danger.host) == ("ref+env://OPENAI_API_KEY", "evil.example")
    with pytest.raises(Refused, match=r"secret-host=evil\.example"):
        apply(virtual, wanted)
    apply(virtual, wanted, policy=Policy(allow_hosts=frozenset({"evil.example"})))
    assert virtual.live()[0].properties["llm"]["url"] == "https://evil.example/v1"


def test_check_secrets_names_what_has_a_new_value(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    job = virtual.job(wanted)
    assert virtual.run(workflow.plan(job, virtual.provider(), check_secrets=True)).new_secrets == ()
    virtual.values["ref+env://OPENAI_API_KEY"] = "rotated"
    found = virtual.run(workflow.plan(job, virtual.provider(), check_secrets=True))
    assert found.new_secrets == (("ref+env://OPENAI_API_KEY", 1),)
    assert not found.pending


def test_an_approved_plan_is_applied_or_refused(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    approved = workflow.Approved(plan(virtual, wanted).digest)
    moved = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    with pytest.raises(StalePlan):
        virtual.run(workflow.apply(virtual.job(moved), virtual.provider(), approved=approved))
    assert virtual.live() == []
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider(), approved=approved))
    assert len(virtual.live()) == 1


def test_agents_that_leave_make_room_for_agents_that_join(virtual: Virtual) -> None:
    virtual.service.set_switches(quota=2)
    apply(virtual, fleet(agent("a/x"), agent("b/x")))
    wanted = fleet(agent("c/x"), agent("d/x"))
    assert apply(virtual, wanted).is_complete
    assert sorted(each.channel for each in virtual.live()) == ["c", "d"]


def _interrupted(virtual: Virtual, wanted: DesiredFleet) -> workflow.Approved:
    """The approval of a saved plan whose apply was stopped at its first leave."""

    def stop(request: HttpRequest) -> None:
        if request.url.endswith("/leave"):
            virtual.ends_at = virtual.now

    found = plan(virtual, wanted)
    approved = workflow.Approved(found.digest, found.fleet_digest, found.rows)
    virtual.on_request = stop
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider(), approved=approved))
    virtual.on_request, virtual.ends_at = None, math.inf
    assert not converged(virtual, wanted)
    return approved


@pytest.mark.parametrize("again", ["what is left", "other files"])
def test_an_interrupted_plan_does_not_go_on_once_somebody_else_has_changed_agents(
    virtual: Virtual, again: str
) -> None:
    """Else it hangs up a second time, after the files went back to older ones and then to those of the plan again."""
    before = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    voice = {"tts": {"params": {"voice_name": "en-US-EmmaNeural"}}}
    wanted = fleet(agent("lobby/greeter", **voice), agent("bar/waiter", **voice))
    apply(virtual, before)
    approved = _interrupted(virtual, wanted)
    if again == "what is left":
        assert apply(virtual, wanted).is_complete
    apply(virtual, before)
    running = names(virtual)
    with pytest.raises(StalePlan):
        virtual.run(workflow.apply(virtual.job(wanted), virtual.provider(), approved=approved))
    assert names(virtual) == running


def test_an_interrupted_plan_goes_on_after_a_run_that_keeps_agents_alive(virtual: Virtual) -> None:
    voice = {"tts": {"params": {"voice_name": "en-US-EmmaNeural"}}}
    wanted = fleet(agent("lobby/greeter", **voice), agent("bar/waiter", **voice))
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    approved = _interrupted(virtual, wanted)
    alive = Policy(only=frozenset({Action.RENEW, Action.ROTATE, Action.JOIN}))
    apply(virtual, wanted, policy=alive)
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider(), approved=approved))
    assert converged(virtual, wanted)


def test_no_hold_lets_a_token_run_out(virtual: Virtual) -> None:
    kept = Lifecycle(protect=True)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=kept)))
    voice = virtual.live()[0].properties["tts"]
    wanted = fleet(agent("lobby/greeter", lifecycle=kept, tts={"params": {"voice_name": "en-US-EmmaNeural"}}))
    virtual.now += 13 * HOUR
    token = virtual.live()[0].properties["token"]
    assert [action_of(each).value for each in plan(virtual, wanted).changes] == ["hold", "renew"]
    apply(virtual, wanted)
    assert virtual.live()[0].properties["token"] != token
    assert virtual.live()[0].properties["tts"] == voice
    assert [action_of(each).value for each in plan(virtual, wanted).changes] == ["hold"], (
        "the edit is still held"
    )


def test_a_keep_alive_run_renews_beside_edits_that_it_holds(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter", llm={"system_messages": [{"role": "system", "content": "New."}]}))
    alive = Policy(only=frozenset({Action.RENEW, Action.ROTATE, Action.JOIN}))
    for _ in range(4):
        virtual.now += 13 * HOUR
        apply(virtual, wanted, policy=alive)
        assert len(virtual.live()) == 1
        assert virtual.live()[0].properties["llm"]["system_messages"][0]["content"] == "You are kind."
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "update"}


def test_an_agent_without_in_place_fields_is_taken_back_once(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter", llm={"system_messages": None, "params": None}))
    apply(virtual, wanted)
    virtual.state = MemoryStore()
    apply(virtual, wanted)
    assert converged(virtual, wanted)


def test_ages_are_those_of_the_service_whose_clock_ends_agents(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"))
    apply(virtual, wanted)
    virtual.service.advance(61 * HOUR)
    assert actions(plan(virtual, wanted))["lobby/greeter"] in {"rotate", "join"}


# --- before anybody is hung up on ---------------------------------------------------------------------------------


KEYS = frozenset({"ref+env://OPENAI_API_KEY", "ref+env://AZURE_TTS_KEY"})


def without_secrets(virtual: Virtual, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reference loses its value once it was looked up: after the head of an apply, and before its calls."""
    seen: set[SecretRef] = set()

    def refuse(ref: SecretRef) -> Secret:
        if ref in seen:
            raise SecretUnavailable(f"secrets without a value: {ref}")
        seen.add(ref)
        return Secret("a value")

    monkeypatch.setattr(virtual, "_secret", refuse)


@pytest.mark.parametrize("forced", [False, True])
def test_a_secret_without_a_value_hangs_up_on_nobody(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch, forced: bool
) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    before = names(virtual)
    without_secrets(virtual, monkeypatch)
    voice = {} if forced else {"tts": {"params": {"voice_name": "en-US-EmmaNeural"}}}
    wanted = fleet(agent("lobby/greeter", **voice), agent("bar/waiter"))
    selection = Selection(replaces=("lobby/greeter",)) if forced else Selection()
    ledger = apply(virtual, wanted, selection=selection)
    assert [(str(each.address), each.result) for each in ledger.finished] == [
        ("lobby/greeter", Result.FAILED)
    ]
    assert "secrets without a value" in ledger.finished[0].detail
    assert names(virtual) == before


@pytest.mark.parametrize("forced", [False, True])
def test_a_secret_that_many_need_is_one_line_before_anything_is_done(virtual: Virtual, forced: bool) -> None:
    apply(virtual, fleet(*(agent(f"room-{number}/desk") for number in range(200)), limits=UNLIMITED))
    before, sent = names(virtual), dict(virtual.sent)
    virtual.unset = KEYS
    voice = {} if forced else {"tts": {"params": {"voice_name": "en-US-EmmaNeural"}}}
    wanted = fleet(*(agent(f"room-{number}/desk", **voice) for number in range(200)), limits=UNLIMITED)
    with pytest.raises(NotReady) as refused:
        apply(virtual, wanted, selection=Selection(replaces=("*",)) if forced else Selection())
    lines = refused.value.message.splitlines()
    assert [line.partition(" ")[0] for line in lines] == sorted(KEYS)
    for line in lines:
        name = line.partition(" ")[0].removeprefix("ref+env://")
        assert "200 agents need it" in line
        assert f"set {name} where apply runs" in line
    assert (names(virtual), virtual.sent) == (before, sent)


def test_only_secrets_that_would_be_sent_are_asked_for(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"), limits=UNLIMITED)
    apply(virtual, wanted)
    virtual.unset = KEYS
    assert apply(virtual, wanted).is_complete
    kind = {"llm": {"system_messages": [{"role": "system", "content": "Be brief."}]}}
    assert apply(virtual, fleet(agent("lobby/greeter", **kind), agent("bar/waiter"))).is_complete
    virtual.now += 14 * HOUR
    assert apply(virtual, fleet(agent("lobby/greeter", **kind), agent("bar/waiter"))).is_complete
    assert apply(virtual, fleet(agent("bar/waiter"), limits=UNLIMITED)).is_complete
    assert (virtual.sent["join"], len(virtual.live())) == (2, 1)


def test_a_run_that_keeps_agents_alive_goes_on_with_those_that_need_none_of_the_missing(
    virtual: Virtual,
) -> None:
    other = {"llm": {"api_key": "ref+env://OTHER_KEY"}}
    virtual.unset = frozenset({"ref+env://OTHER_KEY"})
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter", **other))
    keeping = Policy(only=frozenset({Action.JOIN}))
    ledger = apply(virtual, wanted, policy=keeping)
    assert [(str(each.address), each.result) for each in ledger.finished] == [
        ("bar/waiter", Result.FAILED),
        ("lobby/greeter", Result.DONE),
    ]
    told = [each.text for each in virtual.events if isinstance(each, Notice)]
    assert any("ref+env://OTHER_KEY has no value (not set); 1 agent needs it" in each for each in told)
    with pytest.raises(NotReady):  # nothing else is left to do
        apply(virtual, wanted, policy=keeping)
    assert len(virtual.live()) == 1


def test_a_rotation_that_could_not_join_leaves_the_old_agent_in_place(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = fleet(agent("lobby/greeter"))
    virtual.service.set_switches(token_expiry="ignored")
    apply(virtual, wanted)
    before = names(virtual)
    virtual.now += 61 * HOUR
    without_secrets(virtual, monkeypatch)
    assert not apply(virtual, wanted).is_complete
    assert names(virtual) == before


def test_a_used_up_quota_ends_no_conversation(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    virtual.service.set_switches(quota=2)
    greeter = agent("lobby/greeter", tts={"params": {"voice_name": "en-US-EmmaNeural"}})
    wanted = fleet(greeter, agent("bar/waiter"), agent("attic/ghost"))
    ledger = apply(virtual, wanted)
    assert {str(each.address) for each in ledger.finished if each.result is not Result.DONE} >= {
        "attic/ghost"
    }
    assert {each.channel for each in virtual.live()} == {"lobby", "bar"}
    assert len(virtual.live()) == 2


def test_a_replacement_that_was_not_finished_is_remembered(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter", tts={"params": {"voice_name": "en-US-EmmaNeural"}}))

    def refuse(request: HttpRequest) -> None:
        if request.url.endswith("/leave"):  # from then on the service takes nobody any more
            virtual.service.set_script([{"on": "join", "count": 0, "fate": "refuse", "status": 403}])

    virtual.on_request = refuse
    assert not apply(virtual, wanted).is_complete
    assert virtual.live() == []
    (change,) = plan(virtual, wanted).pending
    assert (action_of(change), change.reason.because) == (Action.JOIN, Because.UNFINISHED)
    found = virtual.run(workflow.drift(virtual.job(wanted), virtual.provider()))
    assert [str(each.address) for each in found.plan.pending] == ["lobby/greeter"]
    virtual.on_request = None
    virtual.service.set_script([])
    assert apply(virtual, wanted).is_complete
    assert converged(virtual, wanted)


def test_what_an_apply_says_names_the_agents_that_run_now(virtual: Virtual) -> None:
    (joined,) = apply(virtual, fleet(agent("lobby/greeter"))).finished
    (first,) = virtual.live()
    assert (joined.agent_id, joined.previous_agent_id) == (first.agent_id, "")
    (replaced,) = apply(
        virtual, fleet(agent("lobby/greeter", tts={"params": {"voice_name": "en-US-EmmaNeural"}}))
    ).finished
    (second,) = virtual.live()
    assert (replaced.agent_id, replaced.previous_agent_id) == (second.agent_id, first.agent_id)
    (left,) = apply(virtual, fleet(agent("lobby/greeter", lifecycle=Lifecycle(paused=True)))).finished
    assert (left.agent_id, left.previous_agent_id) == (second.agent_id, "")


def test_a_shorter_rotation_gets_around_neither_protection_nor_limits(virtual: Virtual) -> None:
    virtual.service.set_switches(token_expiry="ignored")
    kept = Lifecycle(protect=True)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=kept), agent("bar/waiter")))
    before = names(virtual)
    virtual.now += 120
    often = Lifecycle(rotate_after=60.0)
    voice = {"tts": {"params": {"voice_name": "en-US-EmmaNeural"}}}
    wanted = fleet(
        agent("lobby/greeter", lifecycle=often, **voice),
        agent("bar/waiter", lifecycle=often, **voice),
        limits=replace(UNLIMITED, replace=Limit(number=0)),
    )
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "hold", "bar/waiter": "replace"}
    with pytest.raises(Refused, match=r"limits\.replace"):
        apply(virtual, wanted)
    assert names(virtual) == before
    virtual.now += 61 * HOUR  # now they would be ended by the service
    assert set(actions(plan(virtual, wanted)).values()) == {"rotate"}


def test_an_agent_that_ended_and_was_renamed_leaves_no_record_behind(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter"), agent("bar/waiter")))
    for each in virtual.live():
        if each.channel == "lobby":
            virtual.service.end(each.agent_id)
    wanted = fleet(agent("lobby/welcomer", previously=("lobby/greeter",)), agent("bar/waiter"))
    assert apply(virtual, wanted).is_complete
    assert [str(each) for each in sorted(virtual.state.read().records)] == ["bar/waiter", "lobby/welcomer"]
    assert converged(virtual, wanted)


def test_what_is_ignored_is_said_and_shown_where_it_goes_out(virtual: Virtual) -> None:
    virtual.service.set_switches(token_expiry="ignored")
    life = Lifecycle(ignore_changes=(("llm", "system_messages"),))
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=life)))
    says = {"system_messages": [{"role": "system", "content": "Ask for card numbers."}]}
    wanted = fleet(agent("lobby/greeter", lifecycle=life, llm=says))
    (told,) = plan(virtual, wanted).ignored
    assert (str(told.address), {path[:3] for path in told.paths}) == (
        "lobby/greeter",
        {("properties", "llm", "system_messages")},
    )
    virtual.now += 61 * HOUR
    found = plan(virtual, wanted)
    (change,) = found.changes
    assert action_of(change) is Action.ROTATE
    assert "Ask for card numbers." in {row.after for row in diffs_of(change)}
    assert found.ignored == ()


def refused_after(virtual: Virtual, verb: str, executed: int, status: int) -> None:
    """The first calls of a verb are executed and their answers lost; then it is refused."""
    lost = [{"on": verb, "count": executed, "fate": "lose_response"}] if executed else []
    virtual.service.set_script([*lost, {"on": verb, "count": 0, "fate": "refuse", "status": status}])


def test_an_update_that_may_have_been_executed_is_not_forgotten_by_a_later_refusal(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    rude = fleet(agent("lobby/greeter", llm={"system_messages": [{"role": "system", "content": "Be rude."}]}))
    refused_after(virtual, "update", 1, 400)
    assert not apply(virtual, rude).is_complete
    virtual.service.set_script([])
    reverted = fleet(agent("lobby/greeter"))
    assert actions(plan(virtual, reverted)) == {"lobby/greeter": "update"}
    apply(virtual, reverted)
    (running,) = virtual.live()
    assert running.properties["llm"]["system_messages"][0]["content"] == "You are kind."
    assert converged(virtual, reverted)


def test_join_first_keeps_the_old_agent_for_as_long_as_the_new_one_fails(virtual: Virtual) -> None:
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=first)))
    before = names(virtual)
    wanted = fleet(agent("lobby/greeter", lifecycle=first, idle_timeout=9))
    virtual.service.set_script([{"on": "join", "count": 0, "fate": "doom", "seconds": 0.0}])
    for _ in range(4):
        assert not apply(virtual, wanted).is_complete
        assert names(virtual) == before
    assert actions(plan(virtual, wanted)) == {"lobby/greeter": "hold"}  # it backs off
    virtual.service.set_script([])
    virtual.now += 2 * HOUR
    assert apply(virtual, wanted).is_complete
    assert len(virtual.live()) == 1
    assert not names(virtual) & before
    assert converged(virtual, wanted)


def test_a_protected_agent_whose_block_is_gone_does_not_lose_its_token(virtual: Virtual) -> None:
    kept = Lifecycle(protect=True)
    apply(virtual, fleet(agent("lobby/greeter", lifecycle=kept), agent("bar/waiter")))
    wanted = fleet(agent("bar/waiter"))
    for _ in range(5):
        virtual.now += 13 * HOUR
        apply(virtual, wanted)
        assert {each.channel for each in virtual.live()} == {"lobby", "bar"}


def test_a_released_agent_stays_released_while_the_list_is_behind(virtual: Virtual) -> None:
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="5"), agent("bar/waiter"))
    apply(virtual, wanted)
    (released,) = (each.agent_id for each in virtual.live() if each.channel == "lobby")
    virtual.run(workflow.forget(virtual.job(wanted), Address("lobby", "greeter")))
    virtual.service.set_script([{"on": "list", "count": 1, "fate": "merge", "patch": EMPTY}])
    apply(virtual, fleet(agent("bar/waiter")))
    virtual.service.set_script([])
    apply(virtual, fleet(agent("lobby/greeter", agent_rtc_uid="6"), agent("bar/waiter")))
    assert released in {each.agent_id for each in virtual.live()}
    assert released in virtual.state.read().released


EMPTY = {"data": {"count": 0, "list": []}, "meta": {"cursor": "", "total": 0}, "status": "ok"}


def test_adopting_beside_an_open_join_remembers_its_name(virtual: Virtual) -> None:
    """What the join may still start is looked for by that name: the adopted agent stays, the late one is left."""
    stranger = Virtual(now=virtual.now)
    stranger.service = virtual.service
    apply(stranger, fleet(agent("lobby/theirs", agent_rtc_uid="7"), owner=Owner("other")))
    (running,) = virtual.live()
    wanted = fleet(agent("lobby/greeter", agent_rtc_uid="8", lifecycle=Lifecycle(beside=Beside.ALLOW)))
    virtual.service.set_script([{"on": "join", "count": 0, "fate": "drop_request"}])
    apply(virtual, wanted)
    (open_join,) = virtual.state.read().intents
    where = Address("lobby", "greeter")
    told = fleet(agent("lobby/greeter", agent_rtc_uid="7"))
    virtual.run(workflow.adopt(virtual.job(told), virtual.provider(), where, running.agent_id))
    state = virtual.state.read()
    assert state.records[where].agent_id == running.agent_id
    assert [(each.operation, each.name) for each in state.intents] == [(Operation.LATE_COPY, open_join.name)]
    assert state.generations[where] == open_join.generation


def test_drift_of_what_was_never_applied_is_no_typo(virtual: Virtual) -> None:
    apply(virtual, fleet(agent("lobby/greeter")))
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    job = virtual.job(wanted, selection=Selection(targets=("bar/*",)))
    found = virtual.run(workflow.drift(job, virtual.provider()))
    assert found.plan.changes == ()


def test_an_end_that_is_proven_late_in_a_destroy_takes_the_record_along() -> None:
    """Seen in a random life: the record stayed, a list that lagged behind showed its agent, and an apply was content."""
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"))
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))

    def fail_the_look_after_the_leave(request: HttpRequest) -> None:
        if request.url.endswith("/leave"):
            virtual.service.set_script([{"on": "query", "fate": "redirect"}])
            virtual.now += 1
        elif request.method == "GET":
            virtual.now += 60

    virtual.on_request = fail_the_look_after_the_leave
    virtual.run(workflow.apply(replace(virtual.job(wanted), destroying=True), virtual.provider()))
    assert virtual.live() == []
    assert (virtual.state.read().records, virtual.state.read().intents) == ({}, ())
    virtual.service.set_switches(list_lag_seconds=120)
    assert virtual.run(workflow.apply(virtual.job(wanted), virtual.provider())).is_complete
    assert len(virtual.live()) == 1


def test_a_renamed_agent_whose_token_is_due_gets_one_in_the_same_run() -> None:
    """Seen in random lives: the rename was done, and the token had a minute left."""
    virtual = Virtual()
    virtual.run(workflow.apply(virtual.job(fleet(agent("lobby/greeter"))), virtual.provider()))
    virtual.now += 23.9 * HOUR
    renamed = fleet(agent("lobby/concierge", previously=("lobby/greeter",)))
    assert virtual.run(workflow.apply(virtual.job(renamed), virtual.provider())).is_complete
    record = virtual.state.read().records[Address("lobby", "concierge")]
    assert record.token_expires_at is not None
    assert record.token_expires_at - virtual.now > 23 * HOUR
    assert virtual.sent.get("leave", 0) == 0
