"""Template injection: whatever payload stands in the files or comes in a value, nothing of it is ever executed.

Every payload goes two ways: as text of the files, where it is a template, and as a value, where it is only text.
"""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import stat
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jinja2
import orjson
import pytest
import yaml

from reconciler.config import load, rendered
from reconciler.config.templates import checks as template_check
from reconciler.config.templates import sandbox
from reconciler.diagnostics import Span
from reconciler.errors import InvalidConfig
from reconciler.secrets import MARK
from tests.hostile import injection
from tests.hostile.bench import LONG, Bench
from tests.hostile.injection import Generator, Ground, Watch, corpus

GENERATED = 2_500 if LONG else 200
BATCH = 270

HEAD = f"""\
fleet: ground
{injection.VARIABLES}defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {{vendor: microsoft, params: {{key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}}}
    llm: {{url: "https://llm.example.com/v1", api_key: ref+env://LLM_KEY, params: {{model: gpt-4o-mini}}}}
"""


@pytest.fixture
def watch() -> Watch:
    return injection.the_watch()


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setenv(injection.VARIABLE, injection.ENVIRONMENT)
    made = Ground(tmp_path)
    made.prepare()
    monkeypatch.chdir(made.fleet)
    return made


@pytest.fixture
def payloads(ground: Ground) -> list[str]:
    return [ground.armed(each) for each in corpus()]


def quoted(text: str) -> str:
    """A text in double quotes, for YAML."""
    return json.dumps(text, ensure_ascii=False).replace("\ufeff", "\\ufeff")


def batches(payloads: Sequence[str], size: int = BATCH) -> Iterator[Sequence[str]]:
    for start in range(0, len(payloads), size):
        yield payloads[start : start + size]


def test_the_corpus_is_large_and_no_payload_stands_twice() -> None:
    assert len(corpus()) >= 1_000
    assert len(set(corpus())) == len(corpus())
    assert len(Generator().payloads(2_500)) == 2_500


# --- the net itself -----------------------------------------------------------------------------------------------


class Victim(dict[str, Any]):
    """What web frameworks hand to their templates, and what our own would be without a sandbox."""

    SECRET_KEY = injection.MEMORY

    def __init__(self) -> None:
        super().__init__()
        self._files = Path

    def read(self, name: str = "") -> str:
        return self._files(name).read_text()

    from_pyfile = from_file = from_envvar = application = _load_form_data = read


def victim(*arguments: Any) -> Any:
    return range(*arguments)


def included(name: str) -> str:
    """As much of any file as is one, as a careless loader gives it."""
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise jinja2.TemplateNotFound(name)
    with open(name, "rb") as file:
        return file.read(4096).decode(errors="replace")


def careless(payload: str) -> str:
    """What a payload gives where nobody takes care: Jinja as it comes, with all that its users add."""
    extensions = ["jinja2.ext.do", "jinja2.ext.debug", "jinja2.ext.loopcontrols"]
    environment = jinja2.Environment(extensions=extensions, loader=jinja2.FunctionLoader(included))
    names: dict[str, Any] = dict.fromkeys(("url_for", "get_flashed_messages", "range"), victim)
    names |= dict.fromkeys(("config", "request", "session", "g", "app", "handler", "settings"), Victim())
    names |= {"load": Victim().read}
    names |= yaml.safe_load(injection.VARIABLES)["variables"]
    try:
        return environment.from_string(payload).render(names)
    except Exception as error:
        return repr(error)


def harmed(ground: Ground, watch: Watch, payloads: Sequence[str]) -> dict[str, list[str]]:
    """What each payload achieves where nobody takes care."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for payload in payloads:
            with watch.over(ground.fleet):
                said = careless(payload)
            found[payload] = ground.damage(said, watch)
        while subprocess._active:  # type: ignore[attr-defined]  # those that nobody waited for
            subprocess._active.pop().wait()  # type: ignore[attr-defined]
        gc.collect()
    return found


def test_the_corpus_has_teeth(ground: Ground, watch: Watch, payloads: list[str]) -> None:
    """Half of the payloads do their harm to a careless environment, and the net sees it."""
    found = [damage for damage in harmed(ground, watch, payloads[::2]).values() if damage]
    assert len(found) >= len(payloads) // 4 - 50
    least = {"marker": 25, "environment": 10, "memory": 3, "outside": 20, "hidden": 2, "offences": 60}
    for kind, wanted in least.items():
        assert sum(kind in " ".join(damage) for damage in found) >= wanted, kind


def test_generated_payloads_have_teeth(ground: Ground, watch: Watch) -> None:
    made = [ground.armed(each) for each in Generator().payloads(200)]
    assert sum(map(bool, harmed(ground, watch, made).values())) >= 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no children")
def test_what_a_child_does_is_seen(ground: Ground, watch: Watch) -> None:
    with watch.over(ground.fleet):
        child = os.fork()
        if child == 0:
            careless(ground.armed("{% include '@OUTSIDE@' %}{{ lipsum.__globals__.os.listdir('/') }}"))
            os._exit(0)
        os.waitpid(child, 0)
    [found] = watch.seen()
    assert found.startswith("2 offences, the first: open") and "outside.yaml" in found


def test_what_is_ours_is_no_offence(ground: Ground, watch: Watch) -> None:
    with watch.over(ground.fleet):
        (ground.fleet / "prompts" / "base.md").read_text()
    assert watch.seen() == []


# --- first way: a payload is a template ---------------------------------------------------------------------------


class Way(Protocol):
    """How payloads get into a fleet, and whose a place in its files is."""

    def write(self, ground: Ground, payloads: Sequence[str]) -> None: ...
    def owner(self, place: Span) -> int | None: ...


class Values:
    """In `fleet.yaml`: each payload in an agent of its own, which has so many lines that they tell whose they are."""

    LINES = 16
    PLACES: Mapping[str, str] = {
        "value": "properties: {labels: {x: $}}",
        "prompt": "properties: {llm: {system_messages: [{role: system, content: $$}]}}",
        "runtime": "properties: {llm: {template_variables: {guest: there, x: y}, greeting_message: $}}",
        "variable": 'variables: {own: $}, properties: {labels: {x: "{{ own }}", y: "It is {{ own }}."}}',
        "mapping": "properties: {labels: $}",
        "when": "for_each: [1], when: $",
        "loop": "for_each: $, as: each",
        "profile": "profile: $",
    }

    def __init__(self, place: str) -> None:
        self._agent = self.PLACES[place]

    def write(self, ground: Ground, payloads: Sequence[str]) -> None:
        pieces = [HEAD, "channels:\n  - channel: lobby\n    agents:\n"]
        self._start = "".join(pieces).count("\n") + 1
        for number, payload in enumerate(payloads):
            before, _, after = self._agent.replace("$$", "$").partition("$")
            text = f"Welcome. {payload}" if "$$" in self._agent else payload
            pieces.append(f"      - {{name: p{number}, {before}{quoted(text)}{after}}}" + "\n" * self.LINES)
        (ground.fleet / "fleet.yaml").write_text("".join(pieces), encoding="utf-8")

    def owner(self, place: Span) -> int | None:
        number = (place.line - self._start) // self.LINES
        return number if place.file == "fleet.yaml" and number >= 0 else None


class WholeFiles:
    """In `*.yaml.j2`: each payload in a file of its own."""

    PLACES: Mapping[str, str] = {
        "block": "labels: {x: y}\n          llm:\n            greeting_message: |-\n              $",
        "bare": "llm: {greeting_message: $}",
        "below": "labels: {x: y}\n$",
    }

    def __init__(self, place: str) -> None:
        self._place = self.PLACES[place]

    def write(self, ground: Ground, payloads: Sequence[str]) -> None:
        (ground.fleet / "fleet.yaml").write_text(HEAD, encoding="utf-8")
        agents = ground.fleet / "agents"
        agents.mkdir(exist_ok=True)
        for each in agents.iterdir():
            each.unlink()
        for number, payload in enumerate(payloads):
            text = payload.replace("\n", "\n" + " " * 14) if "|" in self._place else payload
            agent = f"      - name: p{number}\n        properties:\n          {self._place}\n"
            file = "channels:\n  - channel: lobby\n    agents:\n" + agent.replace("$", text)
            (agents / f"p{number}.yaml.j2").write_text(file, encoding="utf-8")

    def owner(self, place: Span) -> int | None:
        name = place.file.removeprefix("agents/p").removesuffix(".yaml.j2")
        return int(name) if name.isdecimal() else None


def said_of(ground: Ground, watch: Watch, way: Way, payloads: Sequence[str]) -> Iterator[str]:
    """All that loading gives: the diagnostics of payloads that are refused, and the fleet that the others make."""
    if not payloads:
        return
    way.write(ground, payloads)
    try:
        with watch.over(ground.fleet):
            fleet = load(ground.fleet)
        yield orjson.dumps(rendered(fleet)).decode()
        return
    except InvalidConfig as problem:
        found = problem.diagnostics
    yield repr(found)
    owners = set()
    for each in found:
        assert each.where is not None and each.where.line > 0, each
        assert (ground.fleet / each.where.file).is_file(), each
        places = [span for span, _ in each.related] or [each.where]
        owners |= {way.owner(span) for span in places}
    rest = [payload for number, payload in enumerate(payloads) if number not in owners]
    if len(payloads) == 1:
        return
    if len(rest) < len(payloads):
        yield from said_of(ground, watch, way, rest)
    else:
        for half in halves(payloads):
            yield from said_of(ground, watch, way, half)


def halves(payloads: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    middle = len(payloads) // 2
    return payloads[:middle], payloads[middle:]


def complaints(ground: Ground, watch: Watch, way: Way, payloads: Sequence[str]) -> list[str]:
    """What payloads achieved; a batch that achieved anything is halved until it is known who did."""
    try:
        found = ground.damage("".join(said_of(ground, watch, way, payloads)), watch)
    except Exception as error:
        found = [*ground.damage("", watch), f"it fails with {str(error)[-300:]!r}"]
    if not found:
        return []
    if len(payloads) == 1:
        return [f"{payloads[0][:200]!r}: {'; '.join(found)[:500]}"]
    parts = [each for half in halves(payloads) for each in complaints(ground, watch, way, half)]
    return parts or [f"only together: {found}"]


def never_executed(ground: Ground, watch: Watch, way: Way, payloads: Sequence[str]) -> None:
    found = [each for batch in batches(payloads) for each in complaints(ground, watch, way, batch)]
    assert not found, "\n".join([f"{len(found)} payloads:", *found])


@pytest.mark.parametrize("place", ["value", "prompt", "runtime"])
def test_no_payload_in_a_value_is_executed(
    ground: Ground, watch: Watch, payloads: list[str], place: str
) -> None:
    never_executed(ground, watch, Values(place), payloads)


@pytest.mark.parametrize(
    ("number", "place"), [*enumerate(("variable", "mapping", "when", "loop", "profile"))]
)
def test_no_payload_in_other_places_is_executed(
    ground: Ground, watch: Watch, payloads: list[str], number: int, place: str
) -> None:
    never_executed(ground, watch, Values(place), payloads if LONG else payloads[number::5])


@pytest.mark.parametrize(("number", "place"), [*enumerate(WholeFiles.PLACES)])
def test_no_payload_in_a_whole_file_is_executed(
    ground: Ground, watch: Watch, payloads: list[str], number: int, place: str
) -> None:
    never_executed(ground, watch, WholeFiles(place), payloads if LONG else payloads[number::20])


@pytest.mark.parametrize("place", ["value", "prompt"])
def test_no_generated_payload_is_executed(ground: Ground, watch: Watch, place: str) -> None:
    made = [ground.armed(each) for each in Generator().payloads(GENERATED)]
    never_executed(ground, watch, Values(place), made)


def test_a_hole_in_the_sandbox_is_seen(
    ground: Ground, watch: Watch, payloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same net over our own templates, with the sandbox torn open."""
    monkeypatch.setattr(sandbox.Sandbox, "getattr", jinja2.Environment.getattr)
    monkeypatch.setattr(sandbox.Sandbox, "is_safe_callable", lambda self, obj: True)
    monkeypatch.setattr(template_check, "_check", lambda environment, node: None)
    ours = [each for each in payloads if "load.__" in each or "range.__" in each]
    found = "\n".join(complaints(ground, watch, Values("value"), ours))
    for sign in ("offences", "the marker was made", "leaked: memory", "leaked: outside"):
        assert sign in found


# --- second way: a payload is a value -----------------------------------------------------------------------------

# What agents do with the value `v`, and what they get, where V is the payload.
USES: Mapping[str, str] = {
    "It is {{ v }}.": "It is V.",
    "{{ v + v }}": "VV",
    "{{ again }}{{ v }}": "VV",
    "{% for x in [v, v] %}{{ x }}{% endfor %}": "VV",
    "{% include 'prompts/value.md' %}": "Say V.",
    "{% from 'prompts/value.md' import say with context %}{{ say(v) }}": "V, V",
    **dict.fromkeys(
        (
            *("{{ v }}", "{{ again }}", "{{ v ~ '' }}", "{{ v if v else v }}", "{{ {'a': [v]}.a[0] }}"),
            *("{{ v|default('x') }}", "{{ v|string }}", "{{ v|replace('no such text', '') }}", "{{ (v|list)|join }}"),
            *("{{ [v]|map('string')|join }}", "{{ v[:5] }}{{ v[5:] }}", "{{ v|reverse|reverse }}"),
            *("{% set x = v %}{{ x }}", "{% set x %}{{ v }}{% endset %}{{ x }}", "{% for x in v %}{{ x }}{% endfor %}"),
            *("{% with x = v %}{{ x }}{% endwith %}", "{% filter string %}{{ v }}{% endfilter %}"),
            *("{% if v %}{{ v }}{% endif %}", "{% block b %}{{ v }}{% endblock %}"),
            "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) }}",
            "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ v }}{% endcall %}",
        ),
        "V",
    ),
}  # fmt: skip


def value_fleet(items: str) -> str:
    """A fleet in which every `item` has an agent, which does everything with its text."""
    labels = "".join(f"            u{number}: {quoted(use)}\n" for number, use in enumerate(USES))
    return (
        f"{HEAD}channels:\n  - channel: lobby\n    agents:\n"
        f'      - name: "p{{{{ item.id }}}}"\n        for_each: {quoted(items)}\n        as: item\n'
        '        variables: {v: "{{ item.text }}", again: "{{ v }}"}\n'
        f"        properties:\n          labels:\n{labels}"
    )


def yaml_data(rows: Sequence[Mapping[str, str]]) -> str:
    return "".join(f"- {{id: {row['id']}, text: {quoted(row['text'])}}}\n" for row in rows)


def csv_data(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "text"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


SOURCES: Mapping[str, Callable[[Sequence[Mapping[str, str]]], str]] = {
    "yaml": yaml_data,
    "json": json.dumps,
    "csv": csv_data,
}


def harmless_values(payloads: Sequence[str]) -> list[str]:
    """Without references to secrets, which no text may hold, and what no file may hold anywhere."""
    return [each for each in payloads if MARK not in each and "\ufeff" not in each]


def check_values(ground: Ground, watch: Watch, payloads: Sequence[str], **given: Any) -> None:
    """Every agent has its payload, letter for letter, however it was used."""
    (ground.fleet / "prompts" / "value.md").write_text(
        "{% macro say(x) %}{{ x }}, {{ v }}{% endmacro %}Say {{ v }}.\n", encoding="utf-8"
    )
    with watch.over(ground.fleet):
        fleet = load(ground.fleet, **given)
    agents = {address.name: spec.body.properties["labels"] for address, spec in fleet.agents.items()}
    assert not ground.damage(orjson.dumps(rendered(fleet)).decode(), watch)
    assert len(agents) == len(payloads)
    for number, payload in enumerate(payloads):
        wanted = {f"u{use}": made.replace("V", payload) for use, made in enumerate(USES.values())}
        assert agents[f"p{number}"] == wanted, payload


@pytest.mark.parametrize("source", SOURCES)
def test_a_payload_in_a_data_file_stays_text(
    ground: Ground, watch: Watch, payloads: list[str], source: str
) -> None:
    texts = harmless_values(payloads)
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    (ground.fleet / "data" / f"rows.{source}").write_text(SOURCES[source](rows), encoding="utf-8", newline="")
    (ground.fleet / "fleet.yaml").write_text(value_fleet(f"{{{{ load('data/rows.{source}') }}}}"))
    check_values(ground, watch, texts)


def test_a_payload_in_a_key_stays_text(ground: Ground, watch: Watch, payloads: list[str]) -> None:
    texts = harmless_values(payloads)
    rows = {text: str(number) for number, text in enumerate(texts)}
    (ground.fleet / "data" / "rows.json").write_text(json.dumps(rows))
    fleet = value_fleet("{{ load('data/rows.json') }}")
    (ground.fleet / "fleet.yaml").write_text(
        fleet.replace("item.text", "item.key").replace("item.id", "item.value")
    )
    check_values(ground, watch, texts)


def test_a_payload_given_as_a_variable_stays_text(ground: Ground, watch: Watch, payloads: list[str]) -> None:
    texts = harmless_values(payloads)
    items = ", ".join(f"{{'id': {number}, 'text': v{number}}}" for number in range(len(texts)))
    (ground.fleet / "fleet.yaml").write_text(value_fleet(f"{{{{ [{items}] }}}}"))
    check_values(ground, watch, texts, variables={f"v{number}": text for number, text in enumerate(texts)})


def test_a_payload_of_another_template_stays_text(ground: Ground, watch: Watch, payloads: list[str]) -> None:
    """A whole file is rendered, then read, and then its texts are templates: a value in it is no template."""
    texts = harmless_values(payloads)
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    (ground.fleet / "data" / "rows.json").write_text(json.dumps(rows))
    (ground.fleet / "fleet.yaml").write_text(HEAD)
    (ground.fleet / "agents").mkdir()
    (ground.fleet / "agents" / "rows.yaml.j2").write_text(
        "channels:\n  - channel: lobby\n    agents:\n{% for row in load('data/rows.json') %}"
        "      - {name: p{{ row.id }}, properties: {labels: {x: {{ row.text | tojson }}}}}\n{% endfor %}"
    )
    with watch.over(ground.fleet):
        fleet = load(ground.fleet)
    assert not ground.damage(orjson.dumps(rendered(fleet)).decode(), watch)
    labels = {address.name: spec.body.properties["labels"] for address, spec in fleet.agents.items()}
    assert labels == {f"p{number}": {"x": text} for number, text in enumerate(texts)}


def test_a_reference_that_a_value_brings_is_refused(
    ground: Ground, watch: Watch, payloads: list[str]
) -> None:
    """A text that says what a reference to a secret says is none where texts stand."""
    agent = "{name: a, properties: {llm: {greeting_message: \"{{ load('data/rows.json') }}\"}}}"
    (ground.fleet / "fleet.yaml").write_text(f"{HEAD}channels: [{{channel: lobby, agents: [{agent}]}}]\n")
    texts = [each for each in payloads if "ref+env://" in each or "ref+file://" in each]
    for text in texts:
        (ground.fleet / "data" / "rows.json").write_text(json.dumps(text))
        with watch.over(ground.fleet), pytest.raises(InvalidConfig) as raised:
            load(ground.fleet)
        assert "secret-misplaced" in {each.rule for each in raised.value.diagnostics}, text
        assert not ground.damage(repr(raised.value.diagnostics), watch), text
    assert len(texts) >= 5


# --- names of files, and the command line -------------------------------------------------------------------------

NAMES = (
    *("{{ 7 * 7 }}.yaml.j2", "{% include 'x' %}.yaml.j2", "{0.__class__}.yaml.j2", "${x}.yaml.j2", "`touch marker`.yaml.j2"),
    *("'+open('marker','w').read()+'.yaml.j2", "{open('marker','w')}.yaml.j2", '{open("marker","w")}.yaml.j2'),
    *("x\nimport os;os.system('touch marker')\n.yaml.j2", "{__import__('os').system('touch marker')}.yaml.j2"),
    *('""");__import__("os").system("touch marker");(""".yaml.j2', "$(touch marker).yaml.j2", "x;touch marker;.yaml.j2"),
    *("\x1b[2Jx.yaml.j2", "\u202ex.yaml.j2", "\\x27.yaml.j2", "%s%n.yaml.j2", "-rf.yaml.j2", "#{x}.yaml.j2"),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_is_never_executed(ground: Ground, watch: Watch, name: str) -> None:
    """CVE-2024-56201: the name of a template within the code that is made of it."""
    text = "{% from 'prompts/macros.md' import nothing %}{{ nothing() }}"
    (ground.fleet / "fleet.yaml").write_text(
        f"{HEAD}channels: [{{channel: lobby, agents: [{{name: a, preset: {quoted(text)}}}]}}]\n"
    )
    agents = ground.fleet / "agents"
    agents.mkdir()
    (agents / name).write_text(text + "{% include " + quoted("agents/" + name) + " %}", encoding="utf-8")
    with watch.over(ground.fleet), pytest.raises(InvalidConfig) as raised:
        load(ground.fleet)
    assert not ground.damage(repr(raised.value.diagnostics), watch)
    assert not Path("marker").exists()


def test_no_command_shows_what_a_payload_was_after(
    ground: Ground, watch: Watch, bench: Bench, payloads: list[str]
) -> None:
    some = payloads if LONG else payloads[::4]
    way = Values("prompt")
    way.write(ground, some)
    said = ""
    with watch.over(ground.fleet):
        for style in ("text", "json", "github", "sarif"):
            answer = bench.run("validate", ground.fleet, "--format", style)
            assert answer.code == 1
            said += answer.said
    for _ in said_of(ground, watch, way, some):
        pass  # what stays behind is the fleet of those that are harmless
    with watch.over(ground.fleet):
        for arguments in (["--format", "yaml"], ["--format", "json"], ["--trace"]):
            answer = bench.run("render", ground.fleet, *arguments)
            assert answer.code == 0
            said += answer.said
    assert not ground.damage(said, watch)
