"""What a check-up says of a sound set-up: each row in the words that people read."""

from __future__ import annotations

from dataclasses import replace

from reconciler import workflow
from reconciler.diagnostics import Severity
from reconciler.model.fleet import DesiredFleet, Service
from reconciler.model.record import State
from reconciler.ports import Passed
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import SETTINGS, Virtual

NO_SECRET = {"tts": {"params": {"key": None}}, "llm": {"api_key": None}}
ONE_SECRET = {"tts": {"params": {"key": None}}}
QUOTA = "0 agents run under this App ID, and 1 would after an apply"


def passed(virtual: Virtual, wanted: DesiredFleet, service: str = "agora") -> list[tuple[str, str]]:
    job = replace(virtual.job(replace(wanted, service=Service(service))), app_id=SETTINGS.app_id)
    rows = virtual.run(workflow.doctor(job, virtual.provider()))
    return [(each.check, each.text) for each in rows if isinstance(each, Passed)]


def test_before_the_first_apply_and_after_it() -> None:
    wanted = replace(fleet(agent("lobby/desk")), service=Service("agora"))
    nothing = dict(passed(Virtual(MemoryStore(State("", 0, b""))), wanted))
    assert nothing["state"] == "none yet: the first apply makes it"
    virtual = Virtual()
    before = dict(passed(virtual, wanted))
    assert before["state"] == "read, with 0 records"
    assert before["secrets"] == "the files refer to 2: each has a value"
    assert (
        before["hosts"] == "eastus.tts.speech.microsoft.com gets ref+env://AZURE_TTS_KEY" or before["hosts"]
    )
    assert before["quota"] == f"{QUOTA}; no limits.quota is declared"
    assert "app-id" not in before
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))
    after = dict(passed(virtual, wanted))
    assert after["state"] == "read, with 1 record"
    assert after["app-id"] == f"the state is that of App ID {SETTINGS.app_id}"
    assert after["quota"].startswith("1 agent runs under this App ID, and 1 would")


def test_the_words_for_one_secret_for_none_and_for_a_stand_in() -> None:
    one, none = fleet(agent("lobby/desk", **ONE_SECRET)), fleet(agent("lobby/desk", **NO_SECRET))
    assert dict(passed(Virtual(), one))["secrets"] == "the files refer to 1: it has a value"
    assert dict(passed(Virtual(), none))["secrets"] == "the files refer to none"
    assert dict(passed(Virtual(), one, "simulator"))["secrets"] == (
        "the files refer to 1: it has a value, or a stand-in, which the embedded service takes"
    )
    assert dict(passed(Virtual(), one, "simulator"))["service"] == (
        "the embedded simulator, which needs no credentials"
    )


def test_of_the_secrets_that_go_to_one_host_three_are_named_and_the_others_counted() -> None:
    for count, told in (
        (3, "ref+env://KEY_0, ref+env://KEY_1, ref+env://KEY_2"),
        (4, "ref+env://KEY_0, ref+env://KEY_1, ref+env://KEY_2 and 1 more"),
    ):
        agents = [
            agent(
                f"lobby/desk-{number}",
                tts={"params": {"key": None}},
                llm={"api_key": f"ref+env://KEY_{number}"},
            )
            for number in range(count)
        ]
        hosts = [text for check, text in passed(Virtual(), fleet(*agents)) if check == "hosts"]
        assert hosts == [f"api.openai.com gets {told}"]


def test_a_declared_quota_is_told_and_more_agents_than_the_default_one_are_a_warning() -> None:
    declared = fleet(agent("lobby/desk"), limits=replace(UNLIMITED, quota=1000))
    assert dict(passed(Virtual(), declared))["quota"] == f"{QUOTA}; limits.quota is 1,000"
    virtual = Virtual()
    many = replace(fleet(*(agent(f"room-{n}/desk") for n in range(21))), service=Service("agora"))
    rows = virtual.run(workflow.doctor(virtual.job(many), virtual.provider()))
    (warning,) = [each for each in rows if not isinstance(each, Passed)]
    assert (warning.rule, warning.severity) == ("quota", Severity.WARNING)
    assert warning.summary == (
        "0 agents run under this App ID, and 21 would after an apply; the service allows 20 by default"
    )
