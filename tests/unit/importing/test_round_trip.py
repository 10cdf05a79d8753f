"""What is imported and loaded again is the body that was given, with references in the place of its credentials."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler import config
from reconciler.config.yaml.scalars import CONTROL
from reconciler.contract.jsonschema import properties_schema
from reconciler.errors import InvalidConfig
from reconciler.importing.bodies import read_sources
from reconciler.importing.files import ImportedFleet, fleet_of
from reconciler.model.address import Address

SERVICE = {"kind": "agora"}
CANARY = "Zq4T9wLm2Xv7Kd8Rb1Hj3N6pYt5Wc0Qe8Ua2"
REFERENCE = re.compile(r"ref\+env://[A-Za-z0-9_]+\+?")
ODD_TEXTS = (
    "0123", "no", "on", "~", "null", "true", "12:30", "1e5", "0x1F", "1_000", ".inf", "2027-01-02", "", " ", "=", "<<", "-", "- a",
    "a: b", "# no comment", "a #b", "'", '"', "\\", "\\n", "&a", "*a", "!tag", "%x", "@x", "`x`", "{a", "[a", "? x", "| x", "> x",
    "{{", "}}", "{{ guest }}", "{{guest}}", "{{ 7*7 }}", "{% if x %}", "{# x #}", "{% raw %}", "{% endraw %}", "a {%- endraw -%} b",
    "{{ '{{' }}", "{", "{{{", "{{guest}} {{ channel }} {%", "ref+", "ref+x", "ref +env://X", "Line\nbreak", "\n", "\n\n lead", "end \n", "a\n\n\n",
    "tab\there", "a\r\nb", "é", "e\u0301", "\U0001f600", "\u200bhidden", "\u2028", "\u00a0", "\ufeff", "\x85", "日本語", "x" * 5000,
)  # fmt: skip
texts = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.text(max_size=40),
    st.lists(st.sampled_from(ODD_TEXTS), max_size=4).map("".join),
)
scalars = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False)
)
keys = st.one_of(
    st.sampled_from(
        ["a", "b", "warmth", "0", "no", "a.b", "x-y", "key one", "é", "{{ k }}", "<<", "null", "- a"]
    ),
    st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=8),
)
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3),
    max_leaves=8,
)
free = st.dictionaries(keys, trees, max_size=4)
# Of the parameters of a model those that the contract types hold no tree of any kind: `validate` refuses such a body.
typed = frozenset(properties_schema()["$defs"]["llm_openai"]["properties"]["params"]["properties"])
params_of_a_model = free.filter(lambda tree: not typed & tree.keys())


def body(**more: Any) -> dict[str, Any]:
    """A join body that nothing is wrong with, and what is changed in it."""
    properties: dict[str, Any] = {
        "channel": "lobby",
        "token": f"007{CANARY}",
        "agent_rtc_uid": "1001",
        "remote_rtc_uids": ["*"],
        "asr": {"vendor": "deepgram", "params": {"key": f"dg-{CANARY}", "language": "en-US"}},
        "llm": {
            "url": "https://api.openai.com/v1/chat/completions",
            "api_key": f"sk-{CANARY}",
            "system_messages": [{"role": "system", "content": "Be brief."}],
            "params": {"model": "gpt-4o-mini"},
        },
        "tts": {
            "vendor": "microsoft",
            "params": {"key": f"ms{CANARY}", "region": "eastus", "voice_name": "en-US-AvaNeural"},
        },
    }
    for path, value in more.items():
        at: Any = properties
        *above, last = path.split("__")
        for part in above:
            at = at.setdefault(part, {})
        at[last] = value
    return {"name": "greeter", "properties": properties}


def imported(*bodies: dict[str, Any]) -> ImportedFleet:
    found = read_sources({"bodies.json": json.dumps(list(bodies))}, lambda name, where: "")
    return fleet_of("demo", SERVICE, found.bodies)


def load(made: ImportedFleet, directory: Path) -> Any:
    for name, text in made.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return config.load(directory)


def same(given: Any, loaded: Any) -> bool:
    """Whether a loaded value is the given one, with references for parts of its texts at most."""
    if isinstance(given, dict):
        kept = {key: below for key, below in given.items() if below is not None}
        return (
            isinstance(loaded, dict)
            and kept.keys() == loaded.keys()
            and all(same(kept[key], loaded[key]) for key in kept)
        )
    if isinstance(given, list):
        return isinstance(loaded, list) and len(given) == len(loaded) and all(map(same, given, loaded))
    if isinstance(given, str):
        plain = CONTROL.sub("", given)
        if REFERENCE.search(str(loaded)) is None or "ref+" in given:
            return bool(loaded == plain)
        pattern = ".+".join(map(re.escape, REFERENCE.split(loaded)))
        return re.fullmatch(pattern, plain, re.DOTALL) is not None
    if isinstance(loaded, str) and REFERENCE.fullmatch(loaded):
        return True  # a number in the place of a credential
    return type(given) is type(loaded) and bool(given == loaded)


# What no fleet can hold, so that a person has to look: characters that nobody sees, and text that reads as a reference.
NOT_OURS = {"invisible-character", "secret-misplaced", "secret-malformed"}


def check(*bodies: dict[str, Any]) -> ImportedFleet:
    made = imported(*bodies)
    for text in made.files.values():
        assert CANARY not in text
    with tempfile.TemporaryDirectory() as directory:
        try:
            fleet = load(made, Path(directory))
        except InvalidConfig as problem:
            wrong = {each.rule for each in problem.diagnostics if each.is_error}
            if wrong <= NOT_OURS:
                return made
            raise AssertionError(f"{wrong}: {[each.summary for each in problem.diagnostics]}") from None
    for each in bodies:
        spec = fleet.agents[Address(each["properties"]["channel"], each["name"])]
        kept = {key: value for key, value in each["properties"].items() if key not in ("channel", "token")}
        assert same(kept, spec.body.properties), (kept, spec.body.properties)
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts, texts, params_of_a_model, free, free)
@example("{{guest}} and {% x %}", "Hi {{guest}}", {"guest": "there"}, {"x": "0123"}, {})
def test_any_body_comes_back(prompt: str, greeting: str, params: Any, voice: Any, labels: Any) -> None:
    check(
        body(
            llm__system_messages=[{"role": "system", "content": prompt}],
            llm__greeting_message=greeting,
            llm__params={"model": "m", **params},
            tts__params__extra=voice,
            parameters={"custom": labels},
        )
    )


# --- credentials ------------------------------------------------------------------------------------------------

PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"
KEY = "sk-0123456789abcdefABCDEF"
PLACES = (
    ("asr__params", {"key": CANARY, "unknown_secret": CANARY, "region": "eastus"}),
    ("asr", {"vendor": "brand-new", "params": {"apiToken": CANARY, "nested": {"client_secret": CANARY, "deep": [{"password": CANARY}]}}}),
    ("tts", {"vendor": "google", "params": {"credentials": json.dumps({"private_key": CANARY}), "VoiceSelectionParams": {"name": "x"}}}),
    ("tts", {"vendor": "amazon", "params": {"aws_access_key_id": CANARY, "aws_secret_access_key": CANARY + "2", "region_name": "r", "voice": "v", "engine": "e"}}),
    ("tts", {"vendor": "brand-new", "params": {"base": f"wss://a.example.com/x?token={CANARY}&v=1", "auth": {"type": "basic", "value": CANARY}}}),
    ("tts__params__proxy", f"https://user:{CANARY}@proxy.example.com/x"),
    ("tts__params__proxy", f"https://user:{CANARY}@proxy.example.com/x?key={CANARY}b"),
    ("llm__url", f"https://llm.example.com/v1?api_key={CANARY}&model=m"),
    ("llm__headers", {"Authorization": f"Bearer {CANARY}", "X-Api-Key": CANARY, "X-Team": "night"}),
    ("llm__headers", json.dumps({"Authorization": f"Bearer {CANARY}"})),
    ("llm__headers", {"X-Trace": "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k"}),
    ("llm__mcp_servers", [{"name": "crm", "endpoint": "https://crm.example.com/mcp", "headers": {"Authorization": f"Basic {CANARY}"}}]),
    ("llm__api_key", 1234567890123456),
    ("llm__params", {"model": "m", "api_key": CANARY, "extra": KEY}),
    ("rtc", {"encryption_key": CANARY, "encryption_mode": 1}),
    ("parameters__custom", {"password": CANARY, "note": f"see {KEY} there"}),
    ("labels", {"owner": KEY}),
    ("llm__system_messages", [{"role": "system", "content": f"Never say {KEY}."}]),
    ("llm__system_messages", [{"role": "system", "content": f"{PEM} and eyJhbGciOiJIUzI1NiJ9xx.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{CANARY}. Be brief."}]),
    ("llm__api_key", f"{KEY}+/{CANARY}"),
    ("tts__params__key", PEM),
    ("mllm", {"enable": True, "vendor": "openai", "api_key": CANARY, "headers": json.dumps({"X-Api-Key": CANARY, "A": "b"})}),
    ("mllm", {"enable": True, "vendor": "openai", "api_key": CANARY, "params": {"model": "m", "headers": json.dumps({"X-Api-Key": CANARY})}}),
    ("llm__greeting_message", f"{{{{x}}}} {KEY}"),
    ("avatar", {"enable": True, "vendor": "akool", "params": {"api_key": CANARY, "agora_uid": "7", "avatar_id": "a", "agora_token": CANARY}}),
    ("mllm", {"enable": True, "vendor": "openai", "url": "wss://api.openai.com/v1/realtime", "api_key": CANARY, "params": {"model": "m"}}),
)  # fmt: skip


@pytest.mark.parametrize(("place", "value"), PLACES)
def test_no_credential_is_written_wherever_it_stands(place: str, value: Any, tmp_path: Path) -> None:
    made = imported(body(**{place: value}))
    for text in [*made.files.values(), *made.names.places, *made.notes, repr(made)]:
        assert CANARY not in text
        assert KEY not in text
        assert "1234567890123456" not in text
        assert "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k" not in text
    try:
        load(made, tmp_path)
    except InvalidConfig as problem:  # where no reference may stand, a person has to decide
        wrong = {each.rule for each in problem.diagnostics if each.is_error}
        assert wrong <= {"secret-misplaced", "wrong-type"}, problem.diagnostics


def test_one_value_has_one_name_and_two_have_two() -> None:
    made = imported(
        body(asr__params={"key": "one"}, tts__params__key="one"),
        {**body(channel="desk", llm__api_key="another"), "name": "b"},
    )
    text = "".join(made.files.values())
    assert sorted(made.names.places) == [
        "DEEPGRAM_ASR_KEY", "DEEPGRAM_ASR_KEY_2", "MICROSOFT_TTS_KEY", "OPENAI_API_KEY", "OPENAI_API_KEY_2"
    ]  # fmt: skip
    assert text.count("ref+env://DEEPGRAM_ASR_KEY\n") == 2, text


def test_names_that_a_body_gives_itself_are_kept_and_taken() -> None:
    made = imported(
        body(
            llm__api_key="ref+env://MINE",
            asr__params={"key": "ref+env://DEEPGRAM_ASR_KEY"},
            tts__params__key="x",
        )
    )
    assert {"MINE", "DEEPGRAM_ASR_KEY", "MICROSOFT_TTS_KEY"} == set(made.names.places)
    assert "api_key: ref+env://MINE\n" in made.files["agents/imported.yaml"]


def test_a_value_that_is_known_is_replaced_wherever_else_it_stands(tmp_path: Path) -> None:
    made = imported(
        body(tts__params__favourite=f"sk-{CANARY}", llm__greeting_message=f"Say sk-{CANARY} {{{{ now }}}}"),
        {**body(channel="desk", parameters={"hint": f"dg-{CANARY}"}), "name": "b"},
    )
    assert CANARY not in str(made.files)
    assert "favourite: ref+env://OPENAI_API_KEY\n" in made.files["agents/imported.yaml"]
    assert "hint: ref+env://DEEPGRAM_ASR_KEY\n" in made.files["agents/imported.yaml"]


def test_of_two_values_that_begin_alike_all_of_the_longer_one_is_replaced() -> None:
    made = imported(
        body(
            llm__api_key="a-common-head",
            tts__params__key=f"a-common-head-{CANARY}",
            parameters={"hint": f"x a-common-head-{CANARY} y"},
        )
    )
    assert "hint: x ref+env://MICROSOFT_TTS_KEY+ y\n" in made.files["agents/imported.yaml"]


def test_a_placeholder_that_is_called_like_its_variable(tmp_path: Path) -> None:
    check(body(llm__api_key="OPENAI_API_KEY", tts__params__key="MICROSOFT_TTS_KEY"))


def test_a_name_of_ours_is_never_given_away() -> None:
    made = imported(body(tts={"vendor": "agora", "params": {"key": "x"}}))
    assert "VENDOR_AGORA_TTS_KEY" in made.names.places


# --- what all share ---------------------------------------------------------------------------------------------


def test_what_all_share_stands_in_a_profile_and_the_rest_on_the_agents(tmp_path: Path) -> None:
    made = check(
        body(llm__max_history=5, parameters={"a": {}, "b": 1}),
        body(
            channel="desk",
            agent_rtc_uid="1001",
            tts__params__voice_name="en-US-GuyNeural",
            parameters={"a": {"x": 1}, "b": 1.0},
        ),
        body(channel="bar", agent_rtc_uid="1003", parameters={"b": True}),
    )
    shared = made.files["fleet.yaml"]
    assert "gpt-4o-mini" in shared
    assert "max_history" not in shared
    assert "voice_name" not in shared
    assert "agent_rtc_uid" not in shared, "a uid belongs to an agent"
    assert made.files["agents/imported.yaml"].count("profile: shared") == 3
    assert "gpt-4o-mini" not in made.files["agents/imported.yaml"]


def test_one_agent_needs_no_profile() -> None:
    made = check(body())
    assert "profiles" not in made.files["fleet.yaml"]


def test_nothing_is_lifted_out_of_a_list() -> None:
    check(body(parameters={"x": [{"a": 1}]}), body(channel="desk", parameters={"x": [{"a": 1}, {"b": 2}]}))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(free, free, free)
def test_profiles_change_nothing(one: Any, two: Any, three: Any) -> None:
    trees = (one, {**one, **two}, {**two, **three})
    check(*(body(channel=f"c{at}", parameters={"custom": tree}) for at, tree in enumerate(trees)))


# --- names and channels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["a", "a"], ["a", "a-2"]),
        (["a b", "a-b", "a/b"], ["a-b", "a-b-2", "a-b-3"]),
        (["Кафе", ""], ["agent", "agent-2"]),
        (["x" * 80], ["x" * 64]),
        (["-_-"], ["agent"]),
        (["hotel.prod.paris-desk.0123456789.1abcdefgh.g3"], ["paris-desk"]),
    ],
)  # fmt: skip
def test_names_become_names_of_agents(given_names: list[str], expected: list[str], tmp_path: Path) -> None:
    bodies = [{**body(agent_rtc_uid=str(at + 5)), "name": each} for at, each in enumerate(given_names)]
    fleet = load(imported(*bodies), tmp_path)
    assert [each.name for each in fleet.agents] == expected


def test_the_same_body_twice_is_one_agent_and_is_said(tmp_path: Path) -> None:
    made = imported(body(), body())
    assert len(load(made, tmp_path).agents) == 1
    assert made.notes == ["bodies.json:1: the same agent as at bodies.json:1; taken once"]


def test_two_bodies_with_one_uid_in_a_channel_are_left_to_validate(tmp_path: Path) -> None:
    made = imported(body(), body(llm__greeting_message="Other"))
    with pytest.raises(InvalidConfig) as refused:
        load(made, tmp_path)
    assert {each.rule for each in refused.value.diagnostics if each.is_error} == {"uid-clash"}


PROJECT = f"v2/projects/{'ab' * 16}/join"


@pytest.mark.parametrize(
    ("base", "area"),
    [
        ("https://api.agora.io/api/conversational-ai-agent", None),
        ("https://api.agora.io/cn/api/conversational-ai-agent", "CN"),
        ("https://api-eu-west-1.agora.io/api/conversational-ai-agent", "EU"),
        ("https://api-cn-east-1.sd-rtn.com/cn/api/conversational-ai-agent", "CN"),
        ("https://api-zz-west-1.agora.io/api/conversational-ai-agent", None),
        ("http://127.0.0.1:8080/api/conversational-ai-agent", None),
    ],
)
def test_the_address_tells_the_app_id_and_the_area(base: str, area: str | None) -> None:
    source = f"curl {base}/{PROJECT} -d '{json.dumps(body())}'"
    made = fleet_of("demo", SERVICE, read_sources({"a.sh": source}, lambda name, where: "").bodies)
    service = yaml.safe_load(made.files["fleet.yaml"])["service"]
    assert service == {"kind": "agora", **({"area": area} if area else {}), "app_id": "ab" * 16}


def test_sources_for_two_app_ids_are_told() -> None:
    two = (
        f"curl https://x/v2/projects/{each * 16}/join -d '{json.dumps(body(channel=each))}'"
        for each in ("ab", "cd")
    )
    made = fleet_of("demo", SERVICE, read_sources({"a.sh": "\n".join(two)}, lambda name, where: "").bodies)
    assert "app_id" not in made.files["fleet.yaml"]
    assert made.notes == [
        "the sources are for several services (app_id): a fleet has one; import each by itself"
    ]


def test_what_no_file_can_hold_is_left_out_and_said() -> None:
    made = check(body(llm__greeting_message="be\x07ll", llm__failure_message=None))
    assert made.notes == [
        "bodies.json:1: llm.failure_message is null, which is the same as absent; left out",
        "bodies.json:1: the control characters of llm.greeting_message were left out",
    ]
