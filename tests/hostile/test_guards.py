"""The guards, attacked: whatever is not plainly allowed is refused as a whole, before the first call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click import BadParameter
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import workflow
from reconciler.cli.jobs import read_allows
from reconciler.errors import ReconcilerError, Refused, StateError, UsageError
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.model.spec import HOUR, Lifecycle
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.secrets import SecretRef
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual
from tests.hostile.bench import Bench

CALLS = {"join", "leave", "update"}


def running(count: int) -> Virtual:
    virtual = Virtual()
    everyone = [agent(f"room-{number}/desk") for number in range(count)]
    virtual.run(workflow.apply(virtual.job(fleet(*everyone)), virtual.provider()))
    virtual.sent.clear()
    return virtual


def attempt(virtual: Virtual, wanted: DesiredFleet, **settings_: object) -> dict[str, int]:
    """The mutating calls of an apply, and that a refusal came before all of them."""
    virtual.sent.clear()
    try:
        virtual.run(workflow.apply(virtual.job(wanted, **settings_), virtual.provider()))
    except ReconcilerError:
        assert not CALLS & set(virtual.sent)
    return {name: count for name, count in virtual.sent.items() if name in CALLS}


@given(total=st.integers(0, 100_000), percent=st.floats(0, 100, allow_nan=False))
def test_a_share_never_rounds_up_by_a_whole_agent(total: int, percent: float) -> None:
    allowed = Limit(percent=percent).of(total)
    exact = total * percent / 100
    assert exact - 1e-6 <= allowed < exact + 1
    assert allowed <= total
    if percent == 0:
        assert allowed == 0


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 12),
    gone=st.integers(0, 12),
    limit=st.one_of(st.builds(Limit, number=st.integers(0, 12)), st.builds(Limit, percent=st.floats(0, 100))),
    allow=st.none() | st.integers(0, 12),
    lost=st.booleans(),
)
def test_no_apply_leaves_more_than_is_allowed(
    size: int, gone: int, limit: Limit, allow: int | None, lost: bool
) -> None:
    virtual = running(size)
    if lost:
        virtual.state = MemoryStore()
    kept = [agent(f"room-{number}/desk") for number in range(max(0, size - gone))]
    policy = Policy({} if allow is None else {"leave": float(allow)}, prune_unrecorded=True)
    calls = attempt(virtual, fleet(*kept, limits=replace(UNLIMITED, leave=limit)), policy=policy)
    assert calls.get("leave", 0) <= max(limit.of(size), allow or 0)
    if not kept:
        assert calls == {}


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 6), limit=st.integers(0, 6), name=st.sampled_from(["join", "replace", "quota"]))
def test_joins_replacements_and_the_quota_are_limits_too(size: int, limit: int, name: str) -> None:
    if name == "replace":
        virtual = running(size)
        wanted = [agent(f"room-{number}/desk", idle_timeout=9) for number in range(size)]
        limits = replace(UNLIMITED, leave=Limit(number=0), replace=Limit(number=limit))
    else:
        virtual = Virtual()
        wanted = [agent(f"room-{number}/desk") for number in range(size)]
        limits = Limits(quota=limit) if name == "quota" else Limits(join=Limit(number=limit))
    calls = attempt(virtual, fleet(*wanted, limits=limits))
    assert calls.get("join", 0) == (size if size <= limit else 0)


@pytest.mark.parametrize("lifecycle", [Lifecycle(protect=True), Lifecycle(protect=True, paused=True)])
@pytest.mark.parametrize("destroying", [False, True])
def test_protection_holds_against_everything(lifecycle: Lifecycle, destroying: bool) -> None:
    virtual = Virtual()
    virtual.run(
        workflow.apply(
            virtual.job(fleet(agent("a/x", lifecycle=Lifecycle(protect=True)), agent("b/x"))),
            virtual.provider(),
        )
    )
    (guarded,) = (each.agent_id for each in virtual.live() if each.channel == "a")
    policy = Policy({"leave": 99.0, "replace": 99.0}, prune_unrecorded=True)
    for wanted in (
        fleet(agent("a/x", lifecycle=lifecycle, idle_timeout=77), agent("b/x")),
        fleet(agent("b/x")),
        fleet(agent("c/x", previously=("a/x",), lifecycle=lifecycle), agent("b/x")),
    ):
        attempt(virtual, wanted, policy=policy, destroying=destroying, selection=Selection())
        assert guarded in {each.agent_id for each in virtual.live()}


def test_a_forced_replacement_does_not_lift_protection_and_counts() -> None:
    virtual = Virtual()
    wanted = fleet(
        agent("a/x", lifecycle=Lifecycle(protect=True)), agent("b/x"), limits=Limits(replace=Limit(number=0))
    )
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))
    assert attempt(virtual, wanted, selection=Selection(replaces=("*",))) == {}


def test_an_empty_source_is_refused_with_every_allowance() -> None:
    virtual = running(3)
    everything = Policy(
        dict.fromkeys(("leave", "replace", "join", "quota", "usd_per_day"), 1e9), prune_unrecorded=True
    )
    for selection in (Selection(), Selection(targets=("*",))):
        with pytest.raises(Refused):
            virtual.run(
                workflow.apply(
                    virtual.job(fleet(), policy=everything, selection=selection), virtual.provider()
                )
            )
    assert virtual.sent == {}


@pytest.mark.parametrize("selector", ["targets", "excludes", "replaces"])
@pytest.mark.parametrize(
    "glob", ["", "nothing", "room-0", "ROOM-0/desk", "../*", "[", "room-0/desk\n", "*\x00"]
)
def test_a_selector_without_a_match_is_refused(selector: str, glob: str) -> None:
    virtual = running(2)
    wanted = fleet(*[agent(f"room-{number}/desk", idle_timeout=3) for number in range(2)])
    with pytest.raises(UsageError, match="matches no agent"):
        virtual.run(
            workflow.apply(
                virtual.job(wanted, selection=Selection(**{selector: (glob,)})), virtual.provider()
            )
        )
    assert virtual.sent == {}


def test_another_app_id_environment_or_service_is_refused() -> None:
    virtual = running(1)
    wanted = fleet(agent("room-0/desk", idle_timeout=3))
    job = virtual.job(wanted)
    from dataclasses import replace

    for other in (replace(job, app_id="f" * 32), replace(job, app_id=None)):
        with pytest.raises(StateError):
            virtual.run(workflow.apply(other, virtual.provider()))
    assert virtual.sent == {}


@pytest.mark.parametrize(
    "allow",
    [
        *(
            ("leave", value)
            for value in (
                "nan",
                "inf",
                "-inf",
                "1e9",
                "-1",
                "",
                " ",
                "5.5",
                "0x10",
                "٣",
                "1_000",
                "9" * 400,
                "5%",
                "+5",
                "all",
                "true",
            )
        ),
        *(("usd_per_day", value) for value in ("nan", "inf", "1e999", "-5", "1.234", "1,000", "9" * 30)),
        ("leaves", "5"),
        ("LEAVE", "5"),
        ("destroy", "1"),
        ("secret-host", ""),
        ("secret-host", "  "),
        ("secret_host", "x"),
    ],
)
def test_an_allowance_that_is_not_plain_is_refused(allow: tuple[str, str]) -> None:
    with pytest.raises(BadParameter):
        read_allows([allow])


def test_allowances_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadParameter, match="twice"):
        read_allows([("leave", "5"), ("leave", "50")])
    with pytest.raises(BadParameter, match="twice"):
        read_allows([("usd_per_day", "5"), ("usd-per-day", "50")])
    assert read_allows([("leave", "5"), ("usd-per-day", "99.50")])[0] == {"leave": 5.0, "usd_per_day": 99.5}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com:8443/v1",
        "https://API.OPENAI.COM.evil.example",
    ],
)
def test_a_secret_does_not_start_to_go_elsewhere_without_a_word(url: str) -> None:
    virtual = running(2)
    wanted = fleet(agent("room-0/desk", llm={"url": url}), agent("room-1/desk"))
    for policy in (Policy(), Policy(allow_hosts=frozenset({"*", "example", "api.openai.com"}))):
        assert attempt(virtual, wanted, policy=policy) == {}


def _mcp(host: str) -> dict[str, Any]:
    server = {"server_url": f"https://{host}/sse", "headers": {"Authorization": "Bearer ref+env://MCP_KEY+"}}
    return {"llm": {"params": {"tools": [{"type": "mcp", **server}]}}}


def _claude(host: str) -> dict[str, Any]:
    server = {"url": f"https://{host}/sse", "authorization_token": "ref+env://MCP_KEY"}
    return {"llm": {"style": "anthropic", "params": {"mcp_servers": [server]}}}


def _header(host: str) -> dict[str, Any]:
    return {"llm": {"headers": {"Helicone-Target-URL": f"https://{host}"}}}


def _path(path: str) -> dict[str, Any]:
    params = {"base_url": "wss://api.openai.com", "path": path, "model": "gpt-realtime"}
    mllm = {"enable": True, "vendor": "openai", "api_key": "ref+env://REALTIME_KEY", "params": params}
    return {"advanced_features": {"enable_mllm": True}, "mllm": mllm}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_mcp("mcp.good.example"), _mcp("mcp.evil.example")),
        (_claude("mcp.good.example"), _claude("mcp.evil.example")),
        (_header("api.openai.com"), _header("evil.example")),
        (_path("/v1/realtime"), _path("@evil.example/v1")),
        (_path("/v1/realtime"), _path(".evil.example/v1")),
        ({}, {"tts": {"params": {"proxy_url": "http://evil.example:3128"}}}),
        ({}, {"tts": {"params": {"host": "evil.example"}}}),
    ],
)
def test_no_address_that_a_vendor_may_read_is_changed_without_a_word(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    virtual = Virtual()
    virtual.run(workflow.apply(virtual.job(fleet(agent("room-0/desk", **before))), virtual.provider()))
    assert attempt(virtual, fleet(agent("room-0/desk", **before))) == {}
    assert len(virtual.live()) == 1
    assert attempt(virtual, fleet(agent("room-0/desk", **after))) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ref+file://keys/llm", "ref+file://./keys/llm"),
        ("ref+file://keys/llm", "ref+file://keys//llm"),
        ("ref+file://keys/llm", "ref+file://x/../keys/llm"),
        ("ref+file:///run/keys/llm", "ref+file:////run/keys/llm"),
        ("ref+vault://team/llm#/key", "ref+vault://team/llm?version=1#/key"),
        ("ref+file:///keys/llm", "ref+file:////keys/llm"),
        ("ref+file:///keys/llm", "ref+file://///x/../keys/llm"),
    ],
)
def test_two_ways_to_write_one_file_are_one_secret(one: str, other: str) -> None:
    """Else a reference written anew would be a new secret, and go anywhere without a word."""
    assert SecretRef(one).source == SecretRef(other).source
    assert SecretRef("ref+env://A").source != SecretRef("ref+env://B").source


EVIL = "https://evil.example/v1"


@pytest.mark.parametrize("changes", [{"url": EVIL, "api_key": "ref+env://GITHUB_TOKEN"}, {"url": EVIL}])
@pytest.mark.parametrize("lost", [False, True], ids=["recorded", "state lost"])
def test_no_secret_goes_where_none_has_gone(changes: dict[str, str], lost: bool) -> None:
    """Neither one that nobody has used before, nor one of which the state has forgotten where it went."""
    virtual = running(2)
    if lost:
        virtual.state = MemoryStore()
    wanted = fleet(agent("room-0/desk", llm=changes), agent("room-1/desk"))
    assert attempt(virtual, wanted) == {}
    allowed = Policy(allow_hosts=frozenset({"evil.example"}))
    assert attempt(virtual, wanted, policy=allowed)["join"] == 1


def test_a_new_secret_may_go_to_its_own_vendor_and_where_others_go() -> None:
    virtual = running(1)
    deepgram = {"vendor": "deepgram", "params": {"key": "ref+env://DEEPGRAM_KEY", "model": "nova-2"}}
    wanted = fleet(
        agent("room-0/desk"), agent("room-1/desk", asr=deepgram, llm={"api_key": "ref+env://OTHER_KEY"})
    )
    assert attempt(virtual, wanted)["join"] == 1


def test_a_lost_state_takes_back_what_it_finds_without_a_word_about_secrets() -> None:
    virtual = running(2)
    virtual.state = MemoryStore()
    assert "join" not in attempt(virtual, fleet(agent("room-0/desk"), agent("room-1/desk")))


def test_values_that_are_sent_once_to_an_agent_that_is_taken_back_are_no_proof_of_themselves() -> None:
    virtual = running(1)
    virtual.state = MemoryStore()
    tools = [{"type": "mcp", "server_url": EVIL, "headers": {"Authorization": "Bearer ref+env://MCP_KEY+"}}]
    wanted = fleet(agent("room-0/desk", llm={"params": {"tools": tools}}))
    (found,) = virtual.run(workflow.plan(virtual.job(wanted), virtual.provider())).dangers
    assert (found.reference, found.before) == ("ref+env://MCP_KEY", ())


def test_a_redirect_keeps_nobody_else_from_being_kept_alive() -> None:
    virtual = Virtual()
    virtual.service.set_switches(token_expiry="ignored")
    attempt(virtual, fleet(agent("room-0/desk"), agent("room-1/desk")))
    wanted = fleet(agent("room-0/desk", llm={"url": EVIL}), agent("room-1/desk"))
    virtual.now += 69 * HOUR
    alive = Policy(only=frozenset({Action.RENEW, Action.ROTATE, Action.JOIN}))
    ended = attempt(virtual, wanted, policy=alive)
    assert ended == {"leave": 1, "join": 1, "update": 1}  # one is rotated, the other's token is renewed
    assert all(EVIL not in str(each.properties) for each in virtual.live())


def test_a_redirect_is_no_matter_for_what_is_not_selected_or_not_sent() -> None:
    virtual = running(2)
    wanted = fleet(agent("room-0/desk", llm={"url": EVIL}), agent("room-1/desk", idle_timeout=9))
    only_the_other = {"selection": Selection(targets=("room-1/*",))}
    assert attempt(virtual, wanted, **only_the_other) == {"leave": 1, "join": 1}
    assert attempt(virtual, wanted, destroying=True)["leave"] == 2


def test_a_redirect_that_protection_holds_is_shown_and_refuses_nothing() -> None:
    virtual = Virtual()
    kept = Lifecycle(protect=True)
    attempt(virtual, fleet(agent("a/x", lifecycle=kept), agent("b/x")))
    wanted = fleet(agent("a/x", lifecycle=kept, llm={"url": EVIL}), agent("b/x", idle_timeout=9))
    (found,) = virtual.run(workflow.plan(virtual.job(wanted), virtual.provider())).dangers
    assert (found.host, found.held) == ("evil.example", True)
    assert attempt(virtual, wanted) == {"leave": 1, "join": 1}


# --- at the command line --------------------------------------------------------------------------------------


def test_flags_that_would_open_a_guard_do_not_exist(bench: Bench) -> None:
    home = bench.home / "demo"
    bench.run("init", home)
    assert bench.run("apply", home, "--auto-approve").code == 0
    for words in (
        ["destroy", "--auto-approve", "--only", "join"],
        ["destroy", "--auto-approve", "--target", "*"],
        ["destroy", "--auto-approve", "--allow", "leave=5"],
        ["destroy"],
        ["apply"],
        ["apply", "--auto-approve", "-e", "prdo"],
        ["apply", "--auto-approve", "-e", ""],
        ["apply", "--auto-approve", "-e", "../prod"],
        ["apply", "--auto-approve", "--only", ""],
        ["apply", "--auto-approve", "--only", "hold"],
        ["apply", "--auto-approve", "--only", "join,laeve"],
        ["apply", "--auto-approve", "--target", "loby/*"],
        ["apply", "--auto-approve", "--allow", "leave=nan"],
        ["apply", "--auto-approve", "--lock-timeout", "-5s"],
        ["apply", "--auto-approve", "--wait", "1e9"],
        ["apply", "--auto-approve", "--parallelism", "0"],
    ):
        answer = bench.run(words[0], home, *words[1:])
        assert answer.code == 1, (words, answer)
    assert bench.run("plan", home, "--detailed-exitcode").code == 0


def test_an_environment_called_default_is_another_one_than_none(bench: Bench) -> None:
    home = bench.home / "demo"
    bench.run("init", home)
    path: Path = home / "fleet.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("environments:\n", "environments:\n  default: {}\n"),
        encoding="utf-8",
    )
    assert bench.run("apply", home, "--auto-approve").code == 0
    # The other environment's agents are not this one's: nobody is joined beside them without being asked.
    assert bench.run("apply", home, "--auto-approve", "-e", "default").code == 6
    assert bench.run("apply", home, "--auto-approve", "-e", "default", "--allow", "beside=*").code == 0


def test_a_file_written_otherwise_does_not_go_elsewhere_without_a_word() -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/desk", llm={"api_key": "ref+file://keys/llm"}))
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))
    moved = fleet(
        agent("lobby/desk", llm={"api_key": "ref+file://./keys/llm", "url": "https://evil.example/v1"})
    )
    with pytest.raises(Refused, match=r"secret-host=evil\.example"):
        virtual.run(workflow.apply(virtual.job(moved), virtual.provider()))


def test_each_host_that_may_get_a_secret_is_one_to_allow() -> None:
    virtual = running(1)
    wanted = fleet(agent("room-0/desk", llm={"params": {"proxy_url": "https://evil.example", "model": "m"}}))
    (found,) = virtual.run(workflow.plan(virtual.job(wanted), virtual.provider())).dangers
    assert (found.host, found.before) == ("evil.example", ("api.openai.com",))
    assert attempt(virtual, wanted) == {}
    assert attempt(virtual, wanted, policy=Policy(allow_hosts=frozenset({"evil.example"}))) == {"update": 1}
