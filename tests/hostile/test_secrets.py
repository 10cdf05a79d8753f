"""No secret in any spelling, in anything that is printed or kept: every command, every fault, and a service that
hands everything back.
"""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import MASKER, Output, write, write_pieces
from reconciler.cli.shown_errors import show_error
from reconciler.model.writes import PutIntent, Write
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, SecretSource
from reconciler.providers import Purpose, secrets_in
from reconciler.providers.agora import connectors
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.secrets import Secret, SecretRef
from reconciler.secrets.masker import SecretMasker
from reconciler.simulator import Outage, Request, Response, Simulator, run_in_thread
from reconciler.state.local import LocalStore
from tests.hostile import canaries
from tests.hostile.bench import LONG, Bench, files_under, rows, unpacked
from tests.hostile.conftest import new_service

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("validate",),
    ("validate", "--format", "json"),
    ("validate", "--format", "github"),
    ("validate", "--format", "sarif"),
    ("render",),
    ("render", "--format", "json"),
    ("render", "--trace"),
    ("plan",),
    ("plan", "--format", "json", "--out", "saved.plan"),
    ("plan", "--format", "markdown", "--explain"),
    ("plan", "--check-secrets"),
    ("apply", "--plan", "saved.plan"),
    ("apply", "--auto-approve", "--replace", "*", "--format", "json"),
    ("apply", "--auto-approve", "--replace", "*", "--format", "markdown"),
    ("drift",),
    ("drift", "--format", "json"),
    ("status",),
    ("status", "--format", "json"),
    ("show", "lobby/greeter"),
    ("speak", "lobby/greeter", "hello"),
    ("think", "lobby/greeter", "hello"),
    ("interrupt", "lobby/greeter"),
    ("history", "lobby/greeter"),
    ("turns", "lobby/greeter"),
    ("state", "list"),
    ("state", "show", "lobby/greeter"),
    ("state", "pull"),
    ("forget", "lobby/greeter"),
    ("adopt", "lobby/greeter", "@first"),
    ("destroy", "--auto-approve"),
)
_ON_ADDRESS = frozenset(
    {"show", "speak", "think", "interrupt", "history", "turns", "state", "forget", "adopt"}
)


def command(fleet: Path, words: tuple[str, ...], service: Simulator, *, debug: bool) -> list[str]:
    name, *rest = words
    where = ["-C", str(fleet)] if name in _ON_ADDRESS else [str(fleet)]
    ids = [each.agent_id for each in service.world.live()]
    rest = [str(fleet.parent / each) if each == "saved.plan" else each for each in rest]
    rest = [(ids or ["nobody"])[0] if each == "@first" else each for each in rest]
    flags = ["--debug"] if debug else []
    return [name, *rest, *where, *flags]


def check(said: str, fleet: Path, tokens: set[str], what: object) -> None:
    assert list(canaries.hits(said.encode("utf-8", "surrogateescape"), tokens)) == [], (what, said)


def check_files(fleet: Path, tokens: set[str]) -> None:
    for path, data in files_under(fleet.parent):
        if path.name != "secret.txt":
            assert list(canaries.hits(data, tokens)) == [], path
    for state in fleet.glob(".reconciler/*.state"):
        assert list(canaries.hits(unpacked(state) + rows(state), tokens)) == []


class Recording(Simulator):
    """The simulator, which also keeps every token that it was sent."""

    def handle(self, request: Request, **rest: Any) -> Response | Outage:
        for text in (request.headers.get("authorization", "").encode(), request.body):
            self.tokens.update(match[0].decode() for match in canaries.TOKEN.finditer(text))
        return super().handle(request, **rest)

    @property
    def tokens(self) -> set[str]:
        return self.__dict__.setdefault("_tokens", set())  # type: ignore[no-any-return]


class Echo(Recording):
    """A service that hands everything back: in the words of a refusal, in every spelling, or inside 200."""

    status = 0
    spelling = "raw"
    only = ""
    calls = 0

    def _next_words(self, request: Request) -> str:
        """Two of the secrets that a request carries, other ones each time: messages are cut after a few words."""
        heard = json.dumps(list(request.headers.values())) + request.body.decode("utf-8", "replace")
        heard = heard.replace('\\"', '"').replace("\\u00e9", "é")
        known = [
            *canaries.VALUES.values(),
            canaries.basic(),
            *(match[0].decode() for match in canaries.TOKEN.finditer(heard.encode())),
        ]
        carried = [value for value in known if value in heard]
        self.calls += 1
        self.told.update(carried[self.calls % len(carried) : self.calls % len(carried) + 2])
        return " ".join(carried[self.calls % len(carried) : self.calls % len(carried) + 2])

    @property
    def told(self) -> set[str]:
        return self.__dict__.setdefault("_told", set())  # type: ignore[no-any-return]

    def handle(self, request: Request, **rest: Any) -> Response | Outage:
        usual = super().handle(request, **rest) if not self.status else None
        if usual is not None or self.only not in f"{request.method} {request.path}":
            return usual or super().handle(request, **rest)
        heard = SPELL[self.spelling](self._next_words(request))
        if self.status == 200:
            return Response(
                200, (("content-type", "application/json"),), json.dumps({"detail": heard}).encode()
            )
        if self.spelling == "plain body":
            return Response(self.status, (("content-type", "text/plain"),), heard.encode())
        document = {"detail": heard, "reason": heard, "message": heard, "agent_id": "A42"}
        return Response(
            self.status,
            (("content-type", "application/json"), ("x-echo", "1")),
            json.dumps(document).encode(),
        )


def _spelled(name: str) -> Any:
    return lambda text: " ".join(canaries.spellings(word)[name].decode() for word in text.split(" "))


SPELL: dict[str, Any] = {
    "raw": lambda text: text,
    "plain body": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "lines": lambda text: "\n".join(text[at : at + 20] for at in range(0, len(text), 20)),
    "utf-16": lambda text: "\x00".join(text),
    **{
        name: _spelled(name)
        for name in (
            "json",
            "html",
            "percent",
            "form",
            "hex",
            "HEX",
            "reversed",
            "base64, 0",
            "base64url, 1",
            "sha256, unsalted",
        )
    },
}


@contextmanager
def serving(service: Simulator, patch: pytest.MonkeyPatch) -> Iterator[None]:
    with run_in_thread(service) as url:
        patch.setenv("AGORA_AGENTS_API_BASE_URL", url)
        yield


def test_every_command_in_every_format(bench: Bench, canary_fleet: Path) -> None:
    service = new_service(Recording)
    assert isinstance(service, Recording)
    with serving(service, bench.patch):
        for debug in (False, True):
            for words in COMMANDS:
                answer = bench.run(*command(canary_fleet, words, service, debug=debug))
                check(answer.said, canary_fleet, service.tokens, words)
            bench.run("init", bench.home / f"new-{debug}")
    assert service.tokens
    assert service.tally()["join"] >= 6
    check_files(canary_fleet, service.tokens)


def test_the_simulator_was_really_given_the_secrets(
    bench: Bench, canary_fleet: Path, service: Simulator
) -> None:
    """The other tests mean nothing if nothing secret ever went out."""
    assert bench.run("apply", canary_fleet, "--auto-approve").code == 0
    (agent,) = service.world.live()
    sent = json.dumps(agent.properties, ensure_ascii=False).replace('\\"', '"')
    for name, value in canaries.VALUES.items():
        if not name.startswith("AGORA_"):
            assert value in sent or value.replace('"', '\\"') in sent, name


FATES: tuple[dict[str, object], ...] = (
    *({"fate": "refuse", "status": status} for status in (400, 401, 403, 404, 409, 422, 429, 500, 503)),
    *(
        {"fate": "malformed", "form": form}
        for form in ("html", "empty", "null", "array", "cut", "wrong_types", "not_utf8", "deep")
    ),
    {"fate": "reset"},
    {"fate": "reset", "executed": True},
    {"fate": "unreachable"},
    {"fate": "cut"},
    {"fate": "no_content"},
    {"fate": "redirect"},
    {"fate": "oversize"},
    {"fate": "twice"},
    # Silent ones; `IMPATIENT` keeps the test short.
    {"fate": "drop_request"},
    {"fate": "lose_response"},
    {"fate": "late", "seconds": 0.2},
    {"fate": "slow", "seconds": 2.0},
    {"fate": "drip", "seconds": 0.2},
    {"fate": "rate_limit", "retry_after": "seconds", "seconds": 1.0},
    {"fate": "doom", "seconds": 0.0, "message": "key " + canaries.ENVIRONMENT["CANARY_LLM"] + " was refused"},
    *(
        {"fate": "list_defect", "defect": defect}
        for defect in ("short", "cursor_loop", "data_null", "no_meta")
    ),
)


IMPATIENT = CallLimits(attempt_seconds=0.4, read_seconds=1.0, write_seconds=0.5, first_backoff=0.05)


def _fault_id(fate: dict[str, object]) -> str:
    return "-".join(str(value) for value in fate.values())[:40]


@pytest.mark.parametrize("fate", FATES, ids=_fault_id)
def test_every_fault(bench: Bench, canary_fleet: Path, fate: dict[str, object]) -> None:
    on = {"doom": "join", "list_defect": "list"}.get(str(fate["fate"]), "join,update,leave,speak,history")
    service = new_service(Recording)
    assert isinstance(service, Recording)
    bench.patch.setattr(connectors, "CallLimits", partial(replace, IMPATIENT))
    runs = (
        ("apply", "--auto-approve", "--wait", "0s"),
        ("speak", "lobby/greeter", "hi"),
        ("history", "lobby/greeter"),
    )
    with serving(service, bench.patch):
        service.set_script([{"on": on, "count": 3, **fate}])
        for words in runs if not LONG else (*runs, *COMMANDS):
            answer = bench.run(*command(canary_fleet, words, service, debug=True))
            check(answer.said, canary_fleet, service.tokens, (fate, words))
    check_files(canary_fleet, service.tokens)


@pytest.mark.parametrize("spelling", SPELL)
def test_a_service_that_hands_everything_back(bench: Bench, canary_fleet: Path, spelling: str) -> None:
    """What is printed holds nothing in any spelling; what is kept holds nothing that a service spells like that."""
    service = new_service(Echo)
    assert isinstance(service, Echo)
    service.spelling = spelling
    text = (canary_fleet / "fleet.yaml").read_text(encoding="utf-8")
    everywhere = '"{{ place }}"\n    for_each: [lobby, bar, pool, roof, spa, gym]\n    as: place'
    (canary_fleet / "fleet.yaml").write_text(
        text.replace("channel: lobby", f"channel: {everywhere}"), encoding="utf-8"
    )
    statuses = (400, 401, 409, 422, 500, 200) if LONG or spelling in {"raw", "lines"} else (400, 409)
    with serving(service, bench.patch):
        for status in statuses:
            for only in ("/join", "GET ") if spelling in {"raw", "hex"} else ("/join",):
                service.status, service.only = status, only
                if only == "GET " and status == 500 and not LONG:
                    continue  # reads are tried again for half a minute
                answer = bench.run("apply", canary_fleet, "--auto-approve", "--debug", "--wait", "0s")
                check(answer.said, canary_fleet, service.tokens, (status, only))
        service.status = 0
    assert len(service.told) > 6
    check_files(canary_fleet, service.tokens)


@pytest.mark.parametrize("spelling", ["raw", "json", "hex"])
def test_a_log_of_what_a_service_hands_back(bench: Bench, canary_fleet: Path, spelling: str) -> None:
    service = new_service(Echo)
    assert isinstance(service, Echo)
    service.spelling, service.status, service.only = spelling, 400, "/join"
    log = bench.home / "run.log"
    with serving(service, bench.patch):
        for form in ("json", "text"):
            words = ("--auto-approve", "--log-format", form, "--log-file", log, "-v", "--wait", "0s")
            answer = bench.run("apply", canary_fleet, *words)
            check(answer.said, canary_fleet, service.tokens, (spelling, form))
    written = log.read_text(encoding="utf-8")
    check(written, canary_fleet, service.tokens, spelling)
    assert service.told
    records = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert [each["result"] for each in records if each.get("type") == "change_finished"] == ["failed"]
    assert "POST" in {each["method"] for each in records if each.get("type") == "request_failed"}
    assert Secret.MASK in written


def test_wrong_credentials_do_not_show(bench: Bench, canary_fleet: Path, service: Simulator) -> None:
    wrong = canaries.ENVIRONMENT["AGORA_CUSTOMER_SECRET"][::-1] + "x"
    answer = bench.run(
        "plan", canary_fleet, "--debug", AGORA_CUSTOMER_SECRET=wrong, AGORA_APP_CERTIFICATE="0" * 32
    )
    assert answer.code == 1
    assert wrong not in answer.said
    check(answer.said, canary_fleet, set(), "wrong secret")
    malformed = bench.run(
        "plan", canary_fleet, "--debug", AGORA_APP_CERTIFICATE="c0ffee11d00dfeed5ca1ab1e0ddba11"
    )
    assert "AGORA_APP_CERTIFICATE" in malformed.err
    assert "c0ffee11" not in malformed.said


def test_a_disk_that_fails_and_bugs_of_ours_show_nothing(
    bench: Bench, canary_fleet: Path, service: Simulator
) -> None:
    """A state that cannot be written, secrets that are missing, a file that is a directory: with --debug."""
    (canary_fleet / ".reconciler").write_text("in the way", encoding="utf-8")
    answer = bench.run("apply", canary_fleet, "--auto-approve", "--debug")
    assert (answer.code, service.tally().get("join", 0)) == (1, 0)
    check(answer.said, canary_fleet, set(), "no state directory")
    (canary_fleet / ".reconciler").unlink()
    (canary_fleet / "secret.txt").unlink()
    answer = bench.run("apply", canary_fleet, "--auto-approve", "--debug")
    assert "ref+file://secret.txt" in answer.said
    check(answer.said, canary_fleet, set(), "a missing file")


class Bug(RuntimeError):
    """What a mistake of ours would raise: quoting everything that it has in its hands."""


@pytest.mark.parametrize("place", ["sender", "store", "secrets"])
def test_a_bug_of_ours_at_an_effect_shows_nothing_with_debug(
    bench: Bench, canary_fleet: Path, service: Simulator, place: str
) -> None:
    output = Output(debug=True)
    bench.patch.chdir(canary_fleet)
    with wiring.open_session(FleetFlags("."), output, purpose=Purpose.CHANGE) as session:
        real = session.sender

        class Sender:
            """Sends, and stumbles over the first call that changes anything."""

            def __init__(self) -> None:
                self.inner = real()

            async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
                reply = await self.inner.send(request)
                if request.method == "POST":
                    raise Bug(f"{_revealed(request)}") from ValueError(f"after {_revealed(request)}")
                return reply

            async def aclose(self) -> None:
                await self.inner.aclose()

        class Sources:
            """Resolves, and stumbles over what it found."""

            def __init__(self, inner: SecretSource) -> None:
                self.inner = inner

            def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
                values = self.inner.resolve(references)
                raise Bug(" ".join(each.reveal() for each in values.values()))

        class Store(LocalStore):
            """Writes, and stumbles over an intent."""

            def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
                if any(isinstance(each, PutIntent) for each in writes):
                    raise Bug(" ".join(canaries.ENVIRONMENT.values()))
                return super().commit(writes, expected=expected, nonce=nonce)

        if place == "sender":
            session.sender = Sender
        elif place == "secrets":
            session.secrets = Sources(session.secrets)
        else:
            session.store = Store(session.store.path)
        job = make_job(session, Flags())
        with pytest.raises(Bug) as raised:
            session.run(workflow.apply(job, session.provider))
        bench.capture.readouterr()
        assert show_error(raised.value) == 1
        told = bench.capture.readouterr().err
    assert "Traceback" in told
    assert "(secret)" in told
    check(told, canary_fleet, set(), place)
    check_files(canary_fleet, set())


def _revealed(request: HttpRequest) -> str:
    return " ".join(each.reveal() for each in secrets_in(request))


def test_in_github_actions_nothing_is_told_to_the_log(
    bench: Bench, canary_fleet: Path, service: Simulator
) -> None:
    answer = bench.run("apply", canary_fleet, "--auto-approve", GITHUB_ACTIONS="true", CI="true")
    assert answer.code == 0
    assert "::add-mask::" not in answer.said
    check(answer.said, canary_fleet, set(), "actions")


def test_the_embedded_world_keeps_no_credential(bench: Bench, canary_fleet: Path) -> None:
    """Whatever a vendor calls what a reference stands for: a model's name and a voice's are texts like others."""
    text = (canary_fleet / "fleet.yaml").read_text(encoding="utf-8").replace("kind: agora", "kind: simulator")
    text = text.replace("voice_name: en-US-AvaNeural", "voice_name: ref+env://CANARY_TTS")
    text = text.replace(
        "params: {model: gpt-4o-mini}",
        "params: {model: ref+env://CANARY_LLM, metadata: {name: ref+env://CANARY_HEADER, labels: "
        "[ref+env://CANARY_MCP], base_url: https://x.example/ref+env://CANARY_URL+/v1}}",
    )
    (canary_fleet / "fleet.yaml").write_text(text, encoding="utf-8")
    assert bench.run("apply", canary_fleet, "--auto-approve").code == 0
    assert bench.run("speak", "lobby/greeter", "hello", "-C", canary_fleet).code == 0
    world = canary_fleet / ".reconciler" / "simulator.world"
    assert list(canaries.hits(rows(world) + world.read_bytes())) == []
    check_files(canary_fleet, set())


def test_a_literal_secret_in_the_files_is_refused_and_not_repeated(bench: Bench, canary_fleet: Path) -> None:
    literal = "sk-proj-Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6"
    path = canary_fleet / "fleet.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("ref+env://CANARY_LLM", literal), encoding="utf-8"
    )
    for style in ("text", "json", "github", "sarif"):
        answer = bench.run("validate", canary_fleet, "--format", style)
        assert answer.code == 1
        assert "literal-secret" in answer.said
        assert literal not in answer.said
    assert literal not in bench.run("plan", canary_fleet, "--debug").said


# --- the type -------------------------------------------------------------------------------------------------


@dataclass
class Holder:
    """Something that holds a secret, as settings do."""

    secret: Secret
    more: list[Secret]


def test_a_secret_shows_itself_in_no_way(caplog: pytest.LogCaptureFixture) -> None:
    value = canaries.ENVIRONMENT["CANARY_LLM"]
    secret = Secret(value)
    holder = Holder(secret, [secret])
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        "%s %r" % (secret, secret),  # noqa: UP031  this very way of showing it
    ]
    shown += [
        repr(holder),
        str([secret]),
        str({"k": secret}),
        repr(ValueError(secret)),
        str(ValueError(secret)),
        ascii(secret),
    ]
    shown += [str(getattr(secret, "__dict__", "")), str(dir(secret)), json.dumps({"k": str(secret)})]
    logging.getLogger("x").warning("%s %r", secret, holder)
    shown.append(caplog.text)
    for act in (
        lambda: json.dumps(secret),
        lambda: pickle.dumps(secret),
        lambda: copy.copy(secret),
        lambda: copy.deepcopy(holder),
        lambda: asdict(holder),
        lambda: vars(secret),
        lambda: bytes(secret),  # type: ignore[call-overload]
        lambda: list(secret),  # type: ignore[call-overload]
        lambda: secret + "",  # type: ignore[operator]
    ):
        with pytest.raises(TypeError) as refusal:
            act()
        shown.append(str(refusal.value))
    assert all(value not in each for each in shown)


# --- the masker of the command line --------------------------------------------------------------------------


@pytest.mark.parametrize("name", canaries.VALUES)
def test_the_masker_knows_every_spelling(name: str) -> None:
    value = canaries.VALUES[name]
    masker = SecretMasker()
    masker.learn(value)
    for spelling, form in canaries.spellings(value).items():
        for text in (f"x {form.decode()} y", f"[{form.decode()}]", "\n".join(form.decode())):
            assert not [hit for hit in canaries.hits(masker.mask(text).encode()) if hit.startswith(name)], (
                spelling
            )


@pytest.mark.parametrize("name", canaries.VALUES)
def test_a_result_in_pieces_shows_no_spelling_wherever_it_is_cut(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result is masked some lines at a time; spellings lie across each place at which it may be divided."""
    value = canaries.VALUES[name]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    MASKER.learn(value)
    forms = [form.decode() for form in canaries.spellings(value).values()]
    pieces = [
        f"::{number} {each}\n" for number in range(100) for form in forms for each in (form, "\n".join(form))
    ]
    write_pieces(pieces)
    said = capsys.readouterr().out
    assert not [hit for hit in canaries.hits(said.encode()) if hit.startswith(name)]
    assert said.count("\\u{3a}:99 (secret)\n") == 2 * len(forms)
    write("".join(pieces))
    assert said == capsys.readouterr().out


def test_the_masker_leaves_everything_else_alone() -> None:
    masker = SecretMasker()
    masker.learn(canaries.ENVIRONMENT["CANARY_LLM"])
    masker.learn("t")
    digest = "a" * 20 + "007e" + "0" * 40
    for text in (
        "",
        "nothing here\n",
        f"digest {digest}\n",
        "Bearer authentication of t",
        "línea — ✅\n",
        "a\x00b",
    ):
        assert masker.mask(text) == text
    assert (
        masker.mask("before " + canaries.ENVIRONMENT["CANARY_LLM"] + " after\n") == "before (secret) after\n"
    )


def test_the_masker_stays_quick_with_ten_thousand_tokens() -> None:
    masker = SecretMasker()
    for number in range(10_000):
        masker.learn("007eJx" + base64.b64encode(str(number).encode() * 20).decode())
    for value in canaries.VALUES.values():
        masker.learn(value)
    text = "paris-front-desk/concierge: joined (agent 1NT29X10YHXXWMOVCAPSK2ZV)\n"
    started = time.process_time()
    for _ in range(2_000):
        masker.mask(text)
    masker.mask(text * 10_000)
    assert time.process_time() - started < 5


def test_the_last_exception_is_masked(bench: Bench) -> None:
    from reconciler.cli.main import _report_uncaught

    value = canaries.ENVIRONMENT["CANARY_TTS"]
    MASKER.learn(value)
    bench.capture.readouterr()
    try:
        raise RuntimeError(f"quoting {value}")
    except RuntimeError as problem:
        _report_uncaught(type(problem), problem, problem.__traceback__)
    assert value not in bench.capture.readouterr().err
