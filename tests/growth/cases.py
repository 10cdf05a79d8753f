"""Every function that takes text of a user or of the service, as something to call with one text.

`CASES` are found by listing: `test_growth` holds that each public function of `MODULES` that takes text is here, or in
`BOUNDED` with what bounds it.
"""

from __future__ import annotations

import io
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from reconciler import diagnostics, durations
from reconciler.apply.events import Ledger
from reconciler.cli import output, resume_command
from reconciler.cli.options import FleetFlags
from reconciler.config import words
from reconciler.config.files import documents, patterns
from reconciler.config.files.data import reader_of
from reconciler.config.files.documents import Files
from reconciler.config.load import load
from reconciler.config.rules import Rules, texts
from reconciler.config.templates import compiler, data, errors, sandbox, whole_files
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.yaml import reader, scalars
from reconciler.contract import check, literals, places
from reconciler.diagnostics import Problem, Problems, Severity, Span
from reconciler.importing.bodies import read_sources
from reconciler.importing.entries import entries_of
from reconciler.importing.references import Names
from reconciler.model import address, destinations, fingerprint, tree
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import State
from reconciler.model.spec import AgentSpec, Body
from reconciler.plan import diff, planfile, selection
from reconciler.plan.basis import Basis
from reconciler.plan.build import build_plan
from reconciler.plan.guard import Policy
from reconciler.ports import HttpReply
from reconciler.providers.agora import clock, replies, settings, wire
from reconciler.providers.agora import errors as answers
from reconciler.report import (
    addresses,
    credentials,
    escape,
    fieldlines,
    folding,
    groups,
    junit,
    line_diff,
    masked_values,
    packing,
    problem_formats,
    problems,
    sentences,
)
from reconciler.report import documents as printed
from reconciler.report.fieldlines import Shown, row_texts
from reconciler.report.formats import FORMATS, RenderOptions
from reconciler.report.problems import Checked
from reconciler.report.style import Style
from reconciler.report.view import Field, Value
from reconciler.secrets import Secret, SecretRef, foreign_text, forms, masker, sources, visible
from reconciler.secrets.references import pieces, references, substitute, written_path
from reconciler.state import document
from tests.growth.outside_cases import OUTSIDE
from tests.growth.texts import SECRET

Run = Callable[[str], object]

HEADERS = ("llm", "headers")
PROPERTIES: dict[str, Any] = {
    "remote_rtc_uids": ["*"],
    "llm": {"url": "https://api.openai.com/v1", "api_key": "ref+env://K", "params": {"model": "m"}},
    "tts": {"vendor": "microsoft", "params": {"key": "ref+env://K", "region": "eastus", "voice_name": "v"}},
}
ADDRESS = Address("lobby", "greeter")
OWNER = Owner("fleet", None)


class _AnyReply(BaseModel):
    detail: str = ""


def _masker() -> masker.SecretMasker:
    learnt = masker.SecretMasker()
    learnt.learn_all(
        [Secret(SECRET), Secret(f"{SECRET[:20]}{SECRET[::-1]}"), Secret("another-secret-of-ours")]
    )
    return learnt


_MASKER = _masker()
_SECRETS = (Secret(SECRET),)


def _failing_joins(text: str) -> None:
    """Joins whose keys are pieces of the text; each is refused, with words in which all keys so far are masked."""
    run = foreign_text.RunSecrets()
    for place in range(0, len(text), 400):
        run.add([Secret(f"{place:08}{text[place : place + 40]}")])
        foreign_text.clean("the vendor has refused the key", foreign_text.SentSecrets(run))


def _places(text: str) -> dict[str, Any]:
    """Properties that hold a text wherever one may stand."""
    return {
        **PROPERTIES,
        "llm": {
            "url": text,
            "api_key": text,
            "headers": {"authorization": text, "x-other": text},
            "system_messages": [{"role": "system", "content": text}],
            "greeting_message": text,
            "params": {"model": "m", "unknown_key": text, "unknown_url": text},
        },
        "labels": {"a": text},
    }


def _rules(text: str) -> object:
    properties = _places(text)
    return Rules(OWNER, None).agent(AgentSpec(ADDRESS, Body(properties)))


def _secret_destinations(text: str) -> object:
    properties = _places(f"ref+env://K+{text}")
    return [destinations.secret_destination(path, properties) for path in places.credential_paths(properties)]


def _problem(text: str) -> Problem:
    return Problem("secret-like", text, Span("f.yaml", 2, 5), text, text, Severity.ERROR, text)


def _in_files(name: str) -> Run:
    def run(text: str) -> object:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(text.encode("utf-8", "replace"))
            files, found = Files(Path(folder)), Problems()
            read = reader_of(name)
            return files.text(name) if read is None else read(files, name, found)

    return run


def _template(text: str) -> object:
    templates = compiler.Templates(Files(Path()), Problems(), WorkProgress())
    context = templates.context({"a": "b"})
    return templates.compile(text, frozenset({"guest"})).render(context)


def _whole_file(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.yaml.j2").write_bytes(text.encode("utf-8", "replace"))
        file = whole_files.FileTemplate(Files(Path(folder)), {}, "f.yaml.j2", WorkProgress())
        rendered = file.render({"a": "b"})
        return rendered.template_line(3)


def _reply(text: str, status: int = 400) -> HttpReply:
    return HttpReply(status, {"retry-after": text[:200]}, orjson.dumps({"detail": text, "reason": text}))


def _page(text: str, status: str = "ok") -> bytes:
    """A page of agents, of which each has a hundred characters of a text as its name and as its status."""
    rows = [
        {"agent_id": f"A{at}", "name": part, "status": part, "start_ts": 1}
        for at, part in enumerate(_several(text))
    ]
    return orjson.dumps(
        {"status": status, "data": {"list": rows}, "meta": {"total": len(rows), "cursor": "c"}}
    )


def _saved(text: str) -> object:
    """A plan file with a text wherever one may stand, made and read."""
    plan = build_plan(
        DesiredFleet(OWNER, {each.address: each for each in _copies(text)}),
        Basis(OWNER, State("l", 0, b"k"), (), 0.0),
        wire.capabilities(mainland_china=False),
    )
    return planfile.load(planfile.save(plan, selection.Selection((text,), (text,), (text,)), Policy()), "p")


def _copies(text: str) -> list[AgentSpec]:
    """Three agents whose prompts differ in a word, as those of a loop do."""
    places_of = (Address("lobby", f"desk-{number}") for number in range(3))
    return [AgentSpec(each, Body(_places(f"{each} {text}"))) for each in places_of]


def _grouped(text: str) -> object:
    fleet = DesiredFleet(OWNER, {each.address: each for each in _copies(text)})
    plan = build_plan(
        fleet, Basis(OWNER, State("l", 0, b"k"), (), 0.0), wire.capabilities(mainland_china=False)
    )
    return groups.grouped(plan.pending, plan)


def _join_body(text: str) -> str:
    return orjson.dumps({"name": "desk", "properties": {**_places(text), "channel": "lobby"}}).decode()


def _imported(text: str) -> object:
    """A join body that can be imported, with a text wherever one may stand."""
    return entries_of(read_sources({"body.json": _join_body(text)}, lambda name: "").bodies, (), Names(), [])


def _prompted(prompt: str) -> dict[str, Any]:
    return {
        **PROPERTIES,
        "asr": {"vendor": "ares"},
        "llm": {**PROPERTIES["llm"], "system_messages": [{"role": "system", "content": prompt}]},
    }


def _shared(text: str) -> object:
    """A fleet of which five agents include one prompt."""
    agent = {"name": "{{ n }}", "properties": _prompted("{% include 'p.md' %}")}
    fleet = f"fleet: f\nchannels: [{{channel: lobby, for_each: [a, b, c, d, e], as: n, agents: [{orjson.dumps(agent).decode()}]}}]\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fleet.yaml").write_text(fleet, encoding="utf-8")
        (Path(folder) / "p.md").write_bytes(text.encode("utf-8", "replace"))
        return load(Path(folder))


def _written(text: str) -> object:
    return output._encoded(io.StringIO(), escape.without_commands(_MASKER.mask(text)))


def _several(text: str) -> list[str]:
    """The words of a text as a list of things: a hundred characters each."""
    return [text[at : at + 100] for at in range(0, len(text), 100)]


def _diff(change: Callable[[str], str]) -> Run:
    return lambda text: line_diff.text_diff(text, change(text))


def _fields(text: str) -> object:
    lines = fieldlines.FieldLines(Style(False), two_sided=True)
    value = Value(text, f"{text[: len(text) // 2]}!{text[len(text) // 2 :]}", ADDRESS)
    return [*lines.of(Field("~", "llm.x", (value,), 1), "a/b")]


CASES: dict[str, Run] = {
    "importing.bodies.read_sources of a curl": lambda text: read_sources(
        {"a.sh": f"curl https://api.agora.io/v2/projects/a/join -d {shlex.quote(_join_body(text))}"}, lambda name: ""
    ),
    "importing.bodies.read_sources of JSON": lambda text: read_sources({"a.json": _join_body(text)}, lambda name: ""),
    "importing.bodies.read_sources that are refused": lambda text: read_sources({"a.sh": f"curl {text}"}, lambda name: ""),
    "report.folding.folded": folding.folded,
    # secrets
    "secrets.visible.visible": visible.visible,
    "secrets.foreign_text.clean": lambda text: foreign_text.clean(text, _SECRETS),
    "secrets.foreign_text.redact": lambda text: foreign_text.redact(text, _SECRETS),
    "secrets.foreign_text.RunSecrets": lambda text: _failing_joins(text),
    "secrets.masker.mask": _MASKER.mask,
    "secrets.masker.mask_pieces": lambda text: "".join(_MASKER.mask_pieces(text.splitlines(keepends=True), 4096)),
    "secrets.masker.mask_cut": lambda text: _MASKER.mask_cut(text, len(text) // 2),
    "secrets.masker.learn": lambda text: masker.SecretMasker().learn(text),
    "secrets.forms.forms": lambda text: [*forms.forms(text)],
    "secrets.forms.parts": forms.parts,
    "secrets.forms.without_gaps": forms.without_gaps,
    "secrets.references.references": lambda text: [*references(text)],
    "secrets.references.pieces": lambda text: [*pieces(text)],
    "secrets.references.substitute": lambda text: substitute(
        text, dict.fromkeys(references(text), Secret("v"))
    ),
    "secrets.references.written_path": written_path,
    "secrets.sources.more_schemes": sources.more_schemes,
    "secrets.sources.refusal": lambda text: [
        sources.refusal(SecretRef(f"ref+{scheme}://{text}")) for scheme in ("env", "file", "vault", "azurekeyvault")
    ],
    "secrets.sources.of_machine": sources.of_machine,
    "secrets.sources.is_hidden": sources.is_hidden,
    # what the service says
    "providers.agora.errors.read_error": lambda text: answers.read_error(text.encode("utf-8", "replace")),
    "providers.agora.errors.call_failed": lambda text: answers.call_failed(text[:100], _reply(text), _SECRETS),
    "providers.agora.errors.join_outcome": lambda text: answers.join_outcome(_reply(text), 1.0, _SECRETS),
    "providers.agora.errors.update_outcome": lambda text: answers.update_outcome(_reply(text), "A1", _SECRETS),
    "providers.agora.replies.parse": lambda text: replies.parse(_AnyReply.model_validate, text.encode("utf-8", "replace")),
    "providers.agora.replies.read_json": lambda text: replies.read_json(text.encode("utf-8", "replace")),
    "providers.agora.replies.agent": lambda text: replies.agent(
        orjson.dumps({"agent_id": "A1", "status": text, "name": text, "message": text, "start_ts": 1}), "A1", 2.0, _SECRETS
    ),
    "providers.agora.replies.page": lambda text: replies.page(_page(text), 2.0, _SECRETS),
    "providers.agora.replies.page that is refused": lambda text: replies.page(_page(text, status=text), 2.0, _SECRETS),
    "providers.agora.replies.joined": lambda text: replies.joined(orjson.dumps({"agent_id": "A1", "status": text}), 1.0),
    "providers.agora.replies.check_updated": lambda text: replies.check_updated(
        orjson.dumps({"agent_id": "A1", "status": text}), "A1"
    ),
    "providers.agora.replies.check_left": lambda text: replies.check_left(text.encode("utf-8", "replace")),
    "providers.agora.replies.is_agent_id": replies.is_agent_id,
    "providers.agora.clock.parse_date": clock.parse_date,
    "providers.agora.settings.base_url": lambda text: settings.base_url(text, None),
    "providers.agora.wire.fill": lambda text: wire.fill(
        _places(text), dict.fromkeys([*references(text), SecretRef("ref+env://K")], Secret("v"))
    ),
    # the files
    "config.files.documents.Files.text": _in_files("f.md"),
    "config.files.data.yaml": _in_files("f.yaml"),
    "config.files.data.json": _in_files("f.json"),
    "config.files.data.csv": _in_files("f.csv"),
    "config.files.data.reader_of": reader_of,
    "config.files.documents.clashes": lambda text: documents.clashes(_several(text)),
    "config.files.documents.Files.matching": lambda text: Files(Path(__file__).parent).matching(text[:4096]),
    "config.files.patterns.parts_of": patterns.parts_of,
    "config.yaml.reader.parse_yaml": reader.parse_yaml,
    "config.yaml.reader.parse_yaml of a value": lambda text: reader.parse_yaml(f"a: {text}\n"),
    "config.yaml.reader.parse_yaml of a block": lambda text: reader.parse_yaml(
        "a: |\n" + "".join(f"  {line}\n" for line in text.split("\n"))
    ),
    "config.yaml.reader.parse_yaml in quotes": lambda text: reader.parse_yaml(f'a: "{text}"\n'),
    "config.yaml.reader.event_source": reader.event_source,
    "config.yaml.reader.parse_yaml of data": lambda text: reader.parse_yaml(text, inert=True),
    "config.yaml.scalars.is_template": scalars.is_template,
    "config.yaml.scalars.scalar": scalars.scalar,
    "config.yaml.scalars.number": scalars.number,
    "config.yaml.scalars.unsafe_name": scalars.unsafe_name,
    "config.templates.compiler.Templates": _template,
    "config.templates.whole_files.FileTemplate": _whole_file,
    "config.templates.whole_files.as_yaml": whole_files.as_yaml,
    "config.templates.compiler.is_free": compiler.is_free,
    "config.templates.errors.offer": lambda text: errors.offer(["env"], ["a", "b"], text),
    "config.templates.errors.fault_of": lambda text: errors.fault_of(ValueError(text), missing=[text]),
    "config.templates.data.plain": lambda text: data.plain([text, {"a": text}]),
    "config.templates.sandbox.as_text": sandbox.as_text,
    "config.templates.sandbox.tojson": sandbox.tojson,
    "config.words.duration": lambda text: words.duration(text, 0.0, 1.0),
    "config.words.boolean": words.boolean,
    "config.words.switch_help": words.switch_help,
    "config.words.number_help": words.number_help,
    "config.words.quotes_help": words.quotes_help,
    "config.words.template_help": words.template_help,
    "config.words.one_of": lambda text: words.one_of(text, ("simulator", "agora")),
    "config.words.share": words.share,
    "config.words.whole": words.whole,
    "config.words.amount": words.amount,
    "config.words.app_id": words.app_id,
    "config.words.agent_id": words.agent_id,
    "config.words.shown": words.shown,
    "config.rules.Rules.agent": _rules,
    "config.rules.texts.examine": lambda text: texts.examine(text, frozenset()),
    "config.rules.texts.broken_reference": texts.broken_reference,
    "config.rules.texts.refused_reference": lambda text: texts.refused_reference(text, frozenset()),
    "contract.check.check": lambda text: check.check({**_places(text), "llm": {"url": text, "params": {"model": text}}}),
    "contract.literals.KEY_LIKE": literals.KEY_LIKE.search,
    "contract.literals.looks_random of its longest": lambda text: literals.looks_random(text[:4096]),
    "contract.literals.url_credential": literals.url_credential.__wrapped__,
    "contract.literals.names_a_credential": literals.names_a_credential.__wrapped__,
    "contract.literals.is_literal": literals.is_literal,
    "contract.literals.word_set": literals.word_set,
    "contract.places.credential_paths": lambda text: [*places.credential_paths(_places(text))],
    "contract.places.holds_credential": lambda text: places.holds_credential(("llm", text), text),
    "contract.places.url_paths": lambda text: [*places.url_paths(_places(text))],
    "contract.places.named_literals": lambda text: [*places.named_literals(("llm", "token"), {"a": [text]})],
    "contract.places.is_credential_header": lambda text: places.is_credential_header(HEADERS, text),
    "diagnostics.nearest": lambda text: diagnostics.nearest(text, (*PROPERTIES, text[:-1])),
    "diagnostics.did_you_mean": lambda text: diagnostics.did_you_mean(text, (*PROPERTIES, text[1:])),
    "diagnostics.nearby": lambda text: diagnostics.nearby(text, (*PROPERTIES, text[:-1])),
    "durations.parse": durations.parse,
    # the model and the plan
    "model.address.Address.parse": Address.parse,
    "model.address.AgentName.parse": address.AgentName.parse,
    "model.address.revision_of": lambda text: address.revision_of(text.encode("utf-8", "replace")),
    "model.destinations.secret_destination": _secret_destinations,
    "model.fingerprint.canonical": lambda text: fingerprint.canonical(_places(text)),
    "model.fingerprint.digest": lambda text: fingerprint.digest(_places(text)),
    "model.fingerprint.share_of": fingerprint.share_of,
    "model.tree.parse_dotted": tree.parse_dotted,
    "model.tree.value_at": lambda text: tree.value_at({text: 1}, (text,)),
    "model.tree.leaves": lambda text: [*tree.leaves(_places(text))],
    "model.tree.without": lambda text: tree.without(_places(text), ("llm", "url")),
    "model.tree.is_deeper": lambda text: tree.is_deeper(_places(text), 3),
    "model.tree.texts_with_references": lambda text: [*tree.texts_with_references(_places(text))],
    "model.tree.tree_references": lambda text: [*tree.tree_references(_places(text))],
    "plan.diff.field_diffs": lambda text: [*diff.field_diffs(_places(text), _places(f"{text}!"))],
    "plan.selection.matching": lambda text: selection.matching(text, [ADDRESS, Address("a" * 63, "b" * 64)]),
    "plan.selection.matching_any": lambda text: selection.matching_any([text, f"*{text}"], [ADDRESS]),
    "plan.selection.check_selectors": lambda text: selection.check_selectors("--target", [text], [ADDRESS]),
    "plan.planfile.load": _saved,
    "state.document.loads": lambda text: document.loads(orjson.dumps([*_several(text), {text: text}]), "state"),
    "state.document.text_digest": document.text_digest,
    "state.document.checksum": lambda text: document.checksum("key", text),
    # what is printed
    "report.escape.json_text": escape.json_text,
    "report.escape.yaml_text": escape.yaml_text,
    "report.escape.prose": escape.prose,
    "report.escape.code": escape.code,
    "report.escape.without_commands": escape.without_commands,
    "report.escape.html": escape.html,
    "report.escape.fenced": lambda text: escape.fenced(text.split("\n"), "diff"),
    "report.escape.longest_run": escape.longest_run,
    "report.escape.github_message": escape.github_message,
    "report.escape.github_property": escape.github_property,
    "report.credentials.credential": lambda text: credentials.credential(("llm", "api_key"), f"{text} ref+env://K+"),
    "report.credentials.credential of references": lambda text: credentials.credential(("llm", "api_key"), text),
    "report.credentials.credential in a header": lambda text: credentials.credential((*HEADERS, "x-any"), text),
    "report.credentials.credential of headers": lambda text: credentials.credential(
        HEADERS, orjson.dumps({"a": text, "authorization": text}).decode()
    ),
    "report.credentials.address": credentials.address,
    "report.documents.to_yaml": lambda text: printed.to_yaml({"a": text}),
    "report.documents.to_json": lambda text: printed.to_json({"a": text}),
    "report.documents.as_json": lambda text: printed.as_json({"a": text}),
    "report.documents.as_ascii_json": lambda text: printed.as_ascii_json({"a": text}),
    "report.documents.in_ascii": lambda text: printed.in_ascii(f'"{text}"'),
    "report.documents.as_json_line": lambda text: printed.as_json_line({"a": text}),
    "report.line_diff.text_diff of one letter": _diff(lambda text: f"{text[: len(text) // 2]}!{text[len(text) // 2 :]}"),
    "report.line_diff.text_diff of both ends": _diff(lambda text: f"!{text[1:-1]}?"),
    "report.line_diff.text_diff of halves": _diff(lambda text: text[len(text) // 2 :] + text[: len(text) // 2]),
    "report.line_diff.text_diff of every tenth": _diff(lambda text: "".join(
        "\n" if index % 10 == 0 else each for index, each in enumerate(text)
    )),
    "report.line_diff.text_diff of every hundredth": _diff(lambda text: "".join(
        f" w{index}\n" if index % 100 == 0 else each for index, each in enumerate(text)
    )),
    "report.line_diff.text_diff backwards": _diff(lambda text: text[::-1]),
    "report.line_diff.text_diff of other words": _diff(lambda text: "".join(f"w{at} " for at in range(len(text) // 8))),
    "report.line_diff.text_diff of other lines": _diff(lambda text: "".join(f"w{at} b\n" for at in range(len(text) // 8)) + "end"),
    "report.fieldlines.FieldLines.of": _fields,
    "report.masked_values.masked": lambda text: masked_values.masked(_places(text)),
    "report.masked_values.plain": lambda text: masked_values.plain(_places(text)),
    "report.masked_values.in_line": masked_values.in_line,
    "report.masked_values.sensitivity": lambda text: masked_values.sensitivity(_places(text), [("llm", "api_key")]),
    "report.fieldlines.row_texts": lambda text: row_texts([f"a {text} b", f"a {text} c"]),
    "report.sentences.shortened": lambda text: sentences.shortened(text, 80),
    "report.problems.problem_lines": lambda text: problems.problem_lines([_problem(text)] * 2, RenderOptions(colour=True, read_source=lambda file: f"a: 1\nb: {text}\nc: 2\n")),
    "report.problems.warning_lines": lambda text: problems.warning_lines([_problem(text)] * 2, text, colour=True),
    "report.problem_formats.render_json": lambda text: problem_formats.render_json(Checked((_problem(text),))),
    "report.problem_formats.render_github": lambda text: problem_formats.render_github(Checked((_problem(text),)), RenderOptions(root="a/b")),
    "report.problem_formats.render_sarif": lambda text: problem_formats.render_sarif(Checked((_problem(text),)), RenderOptions(root="a/b")),
    "report.problem_formats.as_annotations": lambda text: problem_formats.as_annotations([_problem(text)], notice=(text, text)),
    "report.problem_formats.render_code_quality": lambda text: problem_formats.render_code_quality(Checked((_problem(text),) * 2)),
    "report.junit.suite": lambda text: junit.suite(text, [junit.Case(text, junit.Outcome.FAILED, text, text)]),
    "report.escape.xml": escape.xml,
    "report.packing.packed": lambda text: packing.packed(
        [(Field("+", "a", (), 1), [Shown("+", 0, "a:"), *(Shown("+", 1, line) for line in text.split("\n"))])], 240
    ),
    "report.addresses.braced": lambda text: addresses.braced(
        Address(f"a-{text[at : at + 8]}", f"n{at % 7}") for at in range(0, len(text), 8)
    ),
    "report.groups.grouped": _grouped,
    "config.words.instant": words.instant,
    "config.words.inside": words.inside,
    "config.words.some_of": lambda text: words.some_of([text, *text.split()], ("a", "b")),
    "config.files.documents.digest_of": lambda text: documents.digest_of(text.encode("utf-8", "replace")),
    "importing.entries.entries_of a body": _imported,
    "config.load.load of a shared prompt": _shared,
    "cli.output.write": _written,
    "cli.resume_command.completed": lambda text: resume_command.completed(
        f"{text} `reconciler apply {text}`", FleetFlags(directory="fleets/a")
    ),
    "cli.resume_command.resume": lambda text: resume_command.resume(["apply", "--target", text], Ledger(interrupted=True)),
    **OUTSIDE,
}  # fmt: skip

# Rows that refuse every hostile text, since what they take is short and has another form: their refusals are measured.
REFUSING = (
    "importing.bodies.read_sources that are refused",
    "providers.agora.replies.page that is refused",
    "providers.agora.clock.parse_date",
    "config.words.",
    "durations.parse",
    "model.address.Address.parse",
    "plan.selection.check_selectors",
    "codehosts.api refusals",
    "cli.pull_requests.refuse_unmerged",
)

# What does much with each character: measured on shorter texts.
SLOW = (
    "secrets.masker.learn",
    "config.files.data.yaml",
    "config.yaml.reader",
    "config.templates",
    "config.rules.Rules",
    "contract.check",
    "report.documents.to_yaml",
    "report.groups",
    # Markdown is not here: between these sizes a report passes what a comment holds, and is rendered once more, shorter.
    *(f"report.formats.{each.name}" for each in FORMATS if each.name != "markdown"),
    "serve.metrics",
    "cli.notifying",
    "report.progress",
    "config.load",
    "config.files.documents.Files.matching",
)
# Modules whose public functions take text of strangers.
MODULES = tuple(
    "secrets.visible secrets.foreign_text secrets.masker secrets.forms secrets.references secrets.sources "
    "providers.agora.errors providers.agora.replies providers.agora.clock providers.agora.settings "
    "providers.agora.wire config.files.data config.files.documents config.files.patterns config.yaml.reader "
    "config.yaml.scalars config.templates.compiler config.templates.whole_files config.templates.errors "
    "config.templates.data config.templates.sandbox config.words config.rules.texts contract.check "
    "contract.literals contract.places diagnostics durations model.address model.destinations model.fingerprint "
    "model.tree plan.diff plan.selection plan.planfile state.document report.escape report.credentials "
    "report.documents report.line_diff report.fieldlines report.masked_values report.sentences report.problems "
    "report.problem_formats report.markers cli.output cli.resume_command importing.shell secrets.endpoints".split()
)
# Functions of these modules whose text is bounded, and by what.
BOUNDED: dict[str, str] = {
    "secrets.visible.is_hidden": "one character",
    "config.files.patterns.walk": "called by Files.matching",
    "config.files.documents.read_document": "the text is that of Files.text, parsed by parse_yaml",
    "config.words.word": "the same as one_of",
    "contract.check.below": "a key",
    "diagnostics.warning": "keeps its text",
    "model.fingerprint.short_digest": "the hash function's own work",
    "model.fingerprint.keyed_digest": "the hash function's own work",
    "providers.agora.settings.from_environment": "the operator's own environment",
    "providers.agora.wire.join_body": "calls fill",
    "state.document.validated": "pydantic's own work, on text that checksum has read",
    "diagnostics.plural": "two words of ours",
    "report.markers.marker": "a word and an owner",
    "report.sentences.refusal_rule": "a limit's name, which is ours",
    "cli.resume_command.apply_saved": "calls resume",
    "cli.resume_command.on_directory": "a path of the operator",
}
