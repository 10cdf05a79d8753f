"""`doctor` on set-ups that are broken in one way or in many, and the head of `apply` on the same: nothing is joined."""

from __future__ import annotations

import fcntl
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler import workflow
from reconciler.diagnostics import Problem
from reconciler.errors import AuthenticationFailed, NotReady, ServiceError
from reconciler.model.address import Owner
from reconciler.model.fleet import DesiredFleet, Limits, Service
from reconciler.model.record import Pins
from reconciler.model.writes import PutPins
from reconciler.ports import HttpRequest
from reconciler.secrets import Secret
from reconciler.simulator import Credentials, Simulator, Store
from tests.examples.harness import SERVICE, control, live, served
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.stores import acquire
from tests.fakes.virtual import SETTINGS, Virtual
from tests.scenarios.test_cli import at_a_terminal, run

OTHER = "abcdefabcdefabcdefabcdefabcdefab"
WRONG = Secret("0" * 32)
READS = {"GET"}


def wanted(*, limits: Limits = UNLIMITED, count: int = 2) -> DesiredFleet:
    """A fleet on the real service: nothing of it is taken for granted, as it is on the embedded one."""
    agents = [agent(f"room-{number}/desk") for number in range(count)]
    return replace(fleet(*agents, limits=limits), service=Service("agora"))


def strict(ahead: float = 0.0, **changes: object) -> Virtual:
    """A service that knows its own credentials, and a client whose settings differ from them by the changes.

    `ahead`: how far the service's clock is ahead of the client's, seconds.
    """
    virtual = Virtual(settings=replace(SETTINGS, **changes))
    known = Credentials(
        SETTINGS.app_id, "fedcba9876543210fedcba9876543210", customer_id="customer", customer_secret="secret"
    )
    virtual.service = Simulator(Store(), clock=lambda: virtual.now + ahead, credentials=known)
    return virtual


@dataclass
class Examination:
    """What doctor found, and the methods of all requests that it sent."""

    findings: list[Problem]
    passed: set[str]
    methods: set[str]

    @property
    def rules(self) -> list[str]:
        return [each.rule for each in self.findings]


def examine(virtual: Virtual, desired: DesiredFleet, app_id: str = SETTINGS.app_id) -> Examination:
    methods: set[str] = set()
    before = virtual.on_request

    def note(request: HttpRequest) -> None:
        methods.add(request.method)
        if before is not None:
            before(request)

    virtual.on_request = note
    job = replace(virtual.job(desired), app_id=app_id)
    rows = virtual.run(workflow.doctor(job, virtual.provider()))
    virtual.on_request = before
    findings = [each for each in rows if isinstance(each, Problem)]
    return Examination(findings, {each.check for each in rows if not isinstance(each, Problem)}, methods)


def refused(virtual: Virtual, desired: DesiredFleet, kind: type[Exception] = NotReady) -> str:
    """What an apply says that does nothing at all."""
    with pytest.raises(kind) as problem:
        virtual.run(workflow.apply(virtual.job(desired), virtual.provider()))
    assert (virtual.sent, virtual.live()) == ({}, [])
    return f"{problem.value.message} {problem.value.hint}"  # type: ignore[attr-defined]


# --- the service's side, in virtual time ------------------------------------------------------------------------


def test_a_sound_set_up_has_no_finding_and_is_only_read() -> None:
    virtual = strict()
    found = examine(virtual, wanted())
    assert found.findings == []
    assert found.passed == {"credentials", "clock", "state", "secrets", "hosts", "quota"}
    assert (found.methods, virtual.sent) == (READS, {})


def test_a_wrong_certificate_is_told_from_the_customers_credentials_that_work() -> None:
    virtual = strict(certificate=WRONG)
    (finding,) = examine(virtual, wanted()).findings
    assert (finding.rule, finding.is_error) == ("credentials", True)
    assert "AGORA_APP_CERTIFICATE" in finding.summary
    assert "401" in finding.summary
    assert "AGORA_APP_CERTIFICATE" in (finding.help or "")
    assert "AGORA_CUSTOMER" not in f"{finding.summary} {finding.help}"
    said = refused(virtual, wanted())
    assert "copy AGORA_APP_CERTIFICATE anew" in said


def test_a_wrong_certificate_alone() -> None:
    virtual = strict(certificate=WRONG, customer_id=None, customer_secret=None)
    assert examine(virtual, wanted()).rules == ["credentials"]
    assert "AGORA_APP_CERTIFICATE" in refused(virtual, wanted(), AuthenticationFailed)


def test_a_wrong_customer_secret_beside_a_token_that_works_keeps_no_apply_from_its_work() -> None:
    virtual = strict(customer_secret=Secret("a wrong one"))
    (finding,) = examine(virtual, wanted()).findings
    assert (finding.rule, finding.is_error) == ("credentials", False)
    assert "AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET" in finding.summary
    assert "a token works without them" in (finding.help or "")
    provider = virtual.provider()
    assert virtual.run(workflow.apply(virtual.job(wanted()), provider)).is_complete
    assert len(virtual.live()) == 2
    warning = provider.credentials_warning or ""
    assert "the customer credentials were refused (401); a token was used" in warning
    assert "AGORA_CUSTOMER_SECRET" in warning
    assert strict().provider().credentials_warning is None


def test_both_ways_refused_are_two_findings() -> None:
    virtual = strict(customer_secret=Secret("a wrong one"), certificate=WRONG)
    found = examine(virtual, wanted())
    assert found.rules == ["credentials", "credentials"]
    assert {"AGORA_APP_CERTIFICATE" in each.summary for each in found.findings} == {True, False}


@pytest.mark.parametrize("with_customer", [True, False])
def test_a_wrong_app_id_is_no_wrong_credential(with_customer: bool) -> None:
    without = {} if with_customer else {"customer_id": None, "customer_secret": None}
    virtual = strict(app_id=OTHER, **without)
    found = examine(virtual, wanted(), app_id=OTHER)
    assert found.rules == ["app-id"]
    assert OTHER in found.findings[0].summary
    assert f"AGORA_APP_ID ({OTHER})" in (found.findings[0].help or "")


def test_the_state_of_another_app_id_names_both_in_full() -> None:
    virtual = strict()
    acquire(virtual.state, "a test", 0)
    pins = Pins("demo", None, "agora", OTHER)
    virtual.state.commit([PutPins(pins)], expected=virtual.state.read().serial)
    virtual.state.release()
    (finding,) = examine(virtual, wanted()).findings
    assert finding.rule == "app-id"
    assert SETTINGS.app_id in finding.summary
    assert OTHER in finding.summary
    assert "AGORA_APP_ID" in (finding.help or "")


@pytest.mark.parametrize("seconds", [-4000.0, 4000.0])
@pytest.mark.parametrize("with_customer", [True, False])
def test_a_wrong_clock_is_no_wrong_certificate(seconds: float, with_customer: bool) -> None:
    without = {} if with_customer else {"customer_id": None, "customer_secret": None}
    virtual = strict(seconds, **without)
    found = examine(virtual, wanted())
    assert found.rules == ["clock"]
    assert "4000 seconds" in found.findings[0].summary
    assert "NTP" in (found.findings[0].help or "")
    said = refused(virtual, wanted(), NotReady if with_customer else ServiceError)
    assert "4000 seconds" in said
    assert "clock" in said


def test_a_clock_that_is_a_minute_off_is_a_finding_and_keeps_no_apply_from_its_work() -> None:
    virtual = strict(100)
    (finding,) = examine(virtual, wanted()).findings
    assert (finding.rule, finding.is_error) == ("clock", False)
    assert virtual.run(workflow.apply(virtual.job(wanted()), virtual.provider())).is_complete
    assert len(virtual.live()) == 2


def test_a_quota_below_the_plan() -> None:
    virtual = strict()
    (undeclared,) = examine(virtual, wanted(count=21)).findings
    (declared,) = examine(virtual, wanted(count=21, limits=replace(UNLIMITED, quota=20))).findings
    for finding in (undeclared, declared):
        assert finding.rule == "quota"
        assert "21 would" in finding.summary
        assert "limits.quota" in (finding.help or "")
    assert examine(virtual, wanted(count=20)).findings == []


def test_a_quota_that_others_have_used_up() -> None:
    virtual = strict()
    others = fleet(*(agent(f"theirs-{number}/desk") for number in range(20)), owner=Owner("others"))
    virtual.run(workflow.apply(virtual.job(others), virtual.provider()))
    virtual.sent.clear()
    virtual.state = Virtual().state
    (finding,) = examine(virtual, wanted(count=1)).findings
    assert finding.rule == "quota"
    assert "20 agents run" in finding.summary
    assert len(virtual.live()) == 20


def test_a_secret_that_200_agents_need_is_one_finding() -> None:
    virtual = strict()
    virtual.unset = frozenset({"ref+env://OPENAI_API_KEY"})
    (finding,) = examine(virtual, wanted(count=200, limits=replace(UNLIMITED, quota=500))).findings
    assert finding.rule == "secrets"
    assert "ref+env://OPENAI_API_KEY" in finding.summary
    assert "200 agents" in finding.summary
    assert "OPENAI_API_KEY" in (finding.help or "")


def test_everything_wrong_is_found_in_one_run() -> None:
    virtual = strict(100, customer_secret=Secret("a wrong one"))
    virtual.unset = frozenset({"ref+env://OPENAI_API_KEY", "ref+env://AZURE_TTS_KEY"})
    assert sorted(examine(virtual, wanted(count=30)).rules) == [
        "clock",
        "credentials",
        "quota",
        "secrets",
        "secrets",
    ]


def test_a_service_that_fails_says_nothing_of_the_credentials() -> None:
    virtual = strict(certificate=WRONG)
    virtual.service.set_script([{"on": "*", "count": 0, "fate": "refuse", "status": 503}])
    begun = virtual.now
    found = examine(virtual, wanted())
    assert found.rules == ["service"]
    assert "credentials" not in found.passed
    assert "AGORA_AGENTS_API_BASE_URL" in (found.findings[0].help or "")
    assert virtual.now - begun < 60


def test_a_service_that_cannot_be_reached_is_told_within_seconds() -> None:
    virtual = strict()
    virtual.service.set_script([{"on": "*", "count": 0, "fate": "unreachable"}])
    begun = virtual.now
    assert examine(virtual, wanted()).rules == ["service"]
    assert virtual.now - begun < 4


def test_a_connection_that_is_refused_once_is_tried_again() -> None:
    virtual = strict()
    virtual.service.set_script([{"on": "*", "count": 1, "fate": "unreachable"}])
    assert examine(virtual, wanted()).rules == []


def test_a_list_that_takes_for_ever_is_given_up() -> None:
    """Each page comes after nine seconds, with as many agents as there are of the App ID."""
    virtual = strict()
    others = fleet(*(agent(f"theirs-{number}/desk") for number in range(300)), owner=Owner("others"))
    virtual.service.set_switches(quota=1000)
    virtual.run(workflow.apply(virtual.job(others), virtual.provider()))
    virtual.state = Virtual().state
    begun = virtual.now

    def slow(_: HttpRequest) -> None:
        virtual.now += 9

    virtual.on_request = slow
    found = examine(virtual, wanted())
    assert found.rules == ["service"]
    assert "within 25 s" in found.findings[0].summary
    assert virtual.now - begun < 70


def test_secrets_are_checked_also_where_the_service_cannot_be_asked() -> None:
    virtual = strict()
    virtual.unset = frozenset({"ref+env://OPENAI_API_KEY"})
    rows = virtual.run(workflow.doctor(virtual.job(wanted()), None))
    assert [each.rule for each in rows if isinstance(each, Problem)] == ["secrets"]


# --- the command ------------------------------------------------------------------------------------------------

FLEET = """\
fleet: hotel
service: {kind: agora}
limits: {quota: 500}
variables: {rooms: "{{ load('rooms.json') }}"}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      params: {model: gpt-4o-mini}
channels:
  - {channel: "{{ room }}", for_each: "{{ rooms }}", as: room, agents: [{name: desk}]}
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("quota=500") as address:
        yield address


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    (tmp_path / "rooms.json").write_text('["one", "two"]', encoding="utf-8")
    return tmp_path


def variables(url: str) -> dict[str, str]:
    keys = {"TTS_KEY": "a-value-for-tts", "OPENAI_API_KEY": "a-value-for-openai"}
    return {**SERVICE, **keys, "AGORA_AGENTS_API_BASE_URL": url}


def findings(home: Path, environment: Mapping[str, str], code: int = 1) -> list[tuple[str, str]]:
    """The rule of each finding, and its summary and help together."""
    done = run("doctor", home, "--format", "json", **environment)
    assert done.returncode == code, done.stdout + done.stderr
    tree = json.loads(done.stdout)
    assert tree["ready"] is (code == 0)
    return [(each["rule"], f"{each['summary']}; {each['help']}") for each in tree["findings"]]


def test_a_healthy_fleet_is_told_what_was_checked_and_nothing_is_written(home: Path, url: str) -> None:
    done = run("doctor", home, **variables(url))
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("AGORA_APP_CERTIFICATE", "AGORA_CUSTOMER_SECRET", "api.openai.com", "vendor:microsoft"):
        assert said in done.stdout
    assert done.stderr == ""
    assert "a-value-for" not in done.stdout
    assert sorted(each.name for each in home.iterdir()) == ["fleet.yaml", "rooms.json"]


def test_the_remedy_stands_within_two_lines_of_what_is_wrong(home: Path, url: str) -> None:
    environment = {**variables(url), "AGORA_CUSTOMER_SECRET": "a-guess", "TTS_KEY": "  "}
    lines = run("doctor", home, **environment).stdout.splitlines()
    for symptom, remedy in (
        ("ref+env://TTS_KEY has no value", "set TTS_KEY"),
        ("AGORA_CUSTOMER_SECRET failed: HTTP 401", "copy AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET anew"),
    ):
        (place,) = [number for number, line in enumerate(lines) if symptom in line]
        assert remedy in " ".join(lines[place : place + 3])
    assert max(map(len, lines)) <= 240


def test_a_refused_way_is_said_once_on_stderr_also_of_a_success(home: Path, url: str) -> None:
    done = run("plan", home, **{**variables(url), "AGORA_CUSTOMER_SECRET": "a-guess"})
    assert done.returncode == 0
    (line,) = [each for each in done.stderr.splitlines() if "refused" in each]
    assert "the customer credentials were refused (401); a token was used" in line
    assert "AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET" in line
    assert "refused" not in run("plan", home, **variables(url)).stderr


@contextmanager
def broken(home: Path, how: str) -> Iterator[None]:
    """A state that could not be written, in one of several ways."""
    place = home / ".reconciler"
    match how:
        case "a file":
            place.write_text("", encoding="utf-8")
        case "open to all":
            place.mkdir()
            place.chmod(0o777)
        case "a dangling link":
            place.symlink_to(home / "nowhere")
        case "a linked lock":
            place.mkdir(mode=0o700)
            (place / "default.lock").symlink_to("/etc/hostname")
        case "damaged":
            place.mkdir(mode=0o700)
            (place / "default.state").write_text("no database", encoding="utf-8")
        case "a directory":
            (place / "default.state").mkdir(mode=0o700, parents=True)
            place.chmod(0o700)
    yield


@pytest.mark.parametrize(
    "how", ["a file", "open to all", "a dangling link", "a linked lock", "damaged", "a directory"]
)
def test_an_unwritable_state(home: Path, url: str, how: str) -> None:
    with broken(home, how):
        rows = findings(home, variables(url))
        assert {rule for rule, _ in rows} == {"state"}
        assert str(home / ".reconciler") in rows[0][1]
        before = live(url)
        done = run("apply", home, "--auto-approve", **variables(url))
        assert done.returncode == 1
        assert live(url) == before


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("git:origin", "is in no Git checkout"),
        ("s3://bucket/state", "names no state that can be used"),
        ("git:-x", "is in no Git checkout"),
    ],
)
def test_a_state_that_cannot_be_opened_is_one_finding_among_the_others(
    home: Path, url: str, state: str, said: str
) -> None:
    outside = {**variables(url), "RECONCILER_STATE": state, "GIT_CEILING_DIRECTORIES": str(home.parent)}
    ((rule, told),) = findings(home, outside)
    assert (rule, said in told) == ("state", True)
    del outside["AGORA_APP_CERTIFICATE"]
    rows = findings(home, outside)
    assert {rule for rule, _ in rows} >= {"state", "credentials"}


def test_a_locked_state_names_its_holder(home: Path, url: str) -> None:
    place = home / ".reconciler"
    place.mkdir(mode=0o700)
    lock = place / "default.lock"
    lock.write_text(json.dumps({"holder": "deploy@ci (pid 7)", "signs": 3}), encoding="utf-8")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ((rule, said),) = findings(home, variables(url))
        assert rule == "lock"
        assert "deploy@ci (pid 7)" in said
    # Its process has died: what it wrote is left, and holds nobody up.
    assert findings(home, variables(url), code=0) == []


def test_both_app_ids_are_printed_in_full(home: Path, url: str) -> None:
    """Although the service's one is the certificate's reverse, which is a form that is masked otherwise."""
    (home / "rooms.json").write_text('["full"]', encoding="utf-8")
    assert run("apply", home, "--auto-approve", **variables(url)).returncode == 0
    other = {**variables(url), "AGORA_APP_ID": OTHER}
    for verb in ("doctor", "plan"):
        done = run(verb, home, **other)
        assert done.returncode == 1
        told = done.stdout + done.stderr
        assert SERVICE["AGORA_APP_ID"] in told
        assert OTHER in told
    before = live(url)
    assert run("apply", home, "--auto-approve", **other).returncode == 1
    assert live(url) == before


def test_the_app_id_that_the_files_name(home: Path, url: str) -> None:
    path = home / "fleet.yaml"
    path.write_text(FLEET.replace("{kind: agora}", f"{{kind: agora, app_id: '{OTHER}'}}"), encoding="utf-8")
    environment = {**variables(url), "AGORA_CUSTOMER_SECRET": "a-guess"}
    first, second = sorted(findings(home, environment))
    assert first[0] == "app-id"
    assert OTHER in first[1]
    assert f"AGORA_APP_ID is {SERVICE['AGORA_APP_ID']}" in first[1]
    assert second[0] == "credentials", "the rest is checked all the same"


def test_missing_and_malformed_variables_are_findings_and_the_rest_is_checked(home: Path, url: str) -> None:
    environment = {**variables(url), "AGORA_APP_CERTIFICATE": "", "TTS_KEY": ""}
    rows = findings(home, environment)
    assert [rule for rule, _ in rows] == ["credentials", "secrets"]
    assert "AGORA_APP_CERTIFICATE" in rows[0][1]
    nothing = {"AGORA_AGENTS_API_BASE_URL": url}
    assert [rule for rule, _ in findings(home, nothing)] == ["credentials", "secrets", "secrets"]
    malformed = {**variables(url), "AGORA_APP_CERTIFICATE": "short"}
    assert "AGORA_APP_CERTIFICATE is not 32" in findings(home, malformed)[0][1]


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"AGORA_CUSTOMER_SECRET": ""}, "AGORA_CUSTOMER_SECRET"),
        ({"AGORA_CUSTOMER_ID": ""}, "AGORA_CUSTOMER_ID"),
        ({"AGORA_CUSTOMER_ID": "a:b"}, "AGORA_CUSTOMER_ID contains a colon"),
    ],
)
def test_the_certificate_is_tried_also_where_the_customers_credentials_cannot_be_used(
    home: Path, url: str, changed: dict[str, str], first: str
) -> None:
    ((rule, said),) = findings(home, {**variables(url), **changed})
    assert rule == "credentials" and first in said
    shown = run("doctor", home, **{**variables(url), **changed}).stdout
    assert re.search(r"ok +credentials +a token minted with AGORA_APP_CERTIFICATE is accepted", shown)
    assert re.search(r"ok +quota ", shown)
    wrong = {**variables(url), **changed, "AGORA_APP_CERTIFICATE": "f" * 32}
    rows = findings(home, wrong)
    assert [rule for rule, _ in rows] == ["credentials", "credentials"]
    assert "a token minted with AGORA_APP_CERTIFICATE" in rows[1][1]


def test_the_customers_credentials_are_tried_also_where_the_certificate_cannot_be_used(
    home: Path, url: str
) -> None:
    malformed = {**variables(url), "AGORA_APP_CERTIFICATE": "short", "AGORA_CUSTOMER_SECRET": "a-guess"}
    rows = findings(home, malformed)
    assert [rule for rule, _ in rows] == ["credentials", "credentials"]
    assert "AGORA_APP_CERTIFICATE is not 32" in rows[0][1]
    assert "AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET" in rows[1][1]


def test_files_that_do_not_load_are_findings_and_the_rest_is_checked(home: Path, url: str) -> None:
    path = home / "fleet.yaml"
    path.write_text(
        FLEET.replace("api_key: ref+env://OPENAI_API_KEY", "api_key: written-out-key-1234"), "utf-8"
    )
    environment = {**variables(url), "AGORA_CUSTOMER_SECRET": "a-guess"}
    assert [rule for rule, _ in findings(home, environment)] == ["literal-secret", "credentials"]
    shown = run("doctor", home, **environment)
    assert "fleet.yaml:12" in shown.stdout
    assert "written-out-key-1234" not in shown.stdout + shown.stderr
    path.write_text("{", encoding="utf-8")
    assert run("doctor", home, **environment).returncode == 1


# Whoever runs the tool says how long a read may take: half a minute is long for a test.
IMPATIENT = {"RECONCILER_READ_TIMEOUT": "6s"}


def test_a_service_that_refuses_connections_is_a_finding(home: Path, url: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment = {**variables(f"http://127.0.0.1:{closed.getsockname()[1]}"), **IMPATIENT, "TTS_KEY": ""}
        assert [rule for rule, _ in findings(home, environment)] == ["service", "secrets"]


def test_a_service_that_does_not_answer_is_a_finding(home: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        begun = time.monotonic()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ((rule, said),) = findings(home, {**variables(address), **IMPATIENT})
        assert rule == "service"
        assert "no answer in time" in said
        assert time.monotonic() - begun < 50


def test_the_embedded_simulator_needs_nothing(home: Path) -> None:
    path = home / "fleet.yaml"
    path.write_text(FLEET.replace("service: {kind: agora}\n", ""), encoding="utf-8")
    assert findings(home, {}, code=0) == []
    assert not (home / ".reconciler").exists()


def test_nobody_is_asked_about_what_cannot_be_done(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "rooms.json").write_text(json.dumps([f"many-{n}" for n in range(200)]), encoding="utf-8")
    for name, value in {**variables(url), "TTS_KEY": " "}.items():
        monkeypatch.setenv(name, value)
    before = live(url)
    with pytest.raises(OSError, match="Input/output"):  # the terminal ends without a question
        at_a_terminal(b"yes\n", "apply", home)
    (home / ".reconciler").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="Input/output"):
        at_a_terminal(b"yes\n", "apply", home)
    assert live(url) == before


def test_a_pull_request_that_is_not_merged_reads_no_secret(home: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"merged": false}}', encoding="utf-8")
    github = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(event)}
    done = run("doctor", home, **{**SERVICE, **github, "TTS_KEY": "x"})
    assert done.returncode == 1
    assert "run doctor in a job for what is merged" in done.stderr


def test_the_clock_of_a_served_world_can_be_wrong(home: Path) -> None:
    with served("quota=500") as url:
        control(url, "clock", {"advance": 4000})
        ((rule, said),) = findings(home, variables(url))
        assert rule == "clock"
        assert "seconds behind" in said
        done = run("apply", home, "--auto-approve", **variables(url))
        assert done.returncode == 1
        assert "clock" in done.stderr
        assert live(url) == {}
