"""Templates: what they give, what they may not do. The headings are those of the list of bad inputs (9.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config import load
from reconciler.config.files.documents import Files
from reconciler.config.templates.compiler import Templates
from reconciler.config.templates.errors import TemplateFault
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import METHODS
from reconciler.diagnostics import Problems
from reconciler.errors import InvalidConfig

NAMES: dict[str, Any] = {
    "text": "abc",
    "number": 3,
    "yes": True,
    "nothing": None,
    "hotel": {"name": "Ritz", "items": [1, 2], "vip": False},
    "list": ["a", "b"],
    "prompt": "{{ number }}",
}


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "hello.md").write_text("Hello {{ hotel.name }}, dear {{guest}}.\n")
    (tmp_path / "prompts" / "macros.md").write_text("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}")
    (tmp_path / "prompts" / "bad.md").write_text("one\ntwo {{ nowhere }}\n")
    (tmp_path / "hotels.yaml").write_text("- {id: 1, name: '{{ number }}', none: null}\n")
    (tmp_path / "hotels.json").write_text('{"a": [1, 2.5, null]}')
    (tmp_path / "hotels.csv").write_text('id,name\n1,Ritz\n2,"a, b"\n')
    (tmp_path / ".hidden.yaml").write_text("a: 1")
    return Templates(Files(tmp_path), Problems(), WorkProgress())


def render(templates: Templates, text: str, protected: frozenset[str] = frozenset()) -> Any:
    context = templates.context({**templates.globals, **NAMES})
    return templates.compile(text, protected).render(context)


def fault(templates: Templates, text: str) -> TemplateFault:
    with pytest.raises(TemplateFault) as raised:
        render(templates, text)
    return raised.value


def test_null_inside_a_text_tells_which_name_is_null_without_an_environment(templates: Templates) -> None:
    help = fault(templates, "{{ nothing }}-front-desk").problem.help
    assert help is not None
    assert "`environment`, which is null without -e" in help


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("{{ number }}", 3), ("{{ yes }}", True), ("{{ nothing }}", None), ("{{ hotel }}", NAMES["hotel"])),
        *(("{{ hotel.items }}", [1, 2]), ("{{ hotel['name'] }}", "Ritz"), ("{{ 5 }}", 5), ("{{ 1.5 }}", 1.5)),
        *(
            ("{{ number + 1 }}", 4),
            ("{{ number > 2 }}", True),
            ("{{ (1, 2) }}", [1, 2]),
            ("{{ range(3) }}", [0, 1, 2]),
        ),
        *(("{{ list | map('upper') }}", ["A", "B"]), ("{{ {'a': yes} }}", {"a": True}), ("{{ '7' }}", "7")),
        *(
            (" {{ number }}", " 3"),
            ("{{ number }}\n", "3\n"),
            ("{{ number }}{{ number }}", "33"),
            ("is {{ yes }}", "is true"),
        ),
        *(("{{ prompt }}", "{{ number }}"), ("{{ text.upper() }}", "ABC"), ("{{ hotel.get('x', 1) }}", 1)),
        *(
            ("{{ absent is defined }}", False),
            ("{{ absent | default(2) }}", 2),
            ("{{ hotel | tojson }}", '{"name": "Ritz", "items": [1, 2], "vip": false}'),
        ),
        *(
            ("{% for x in list %}{{ loop.index }}{{ x }}{% endfor %}", "1a2b"),
            ("{% set a = 1 %}{{ a }}", "1"),
        ),
        *(
            ("{{ list | join('-') }}", "a-b"),
            ("{{ text | replace('a', 'x') }}", "xbc"),
            ("{{ text ~ number }}", "abc3"),
        ),
        *(
            ("{% from 'prompts/macros.md' import twice %}{{ twice('x') }}", "xx"),
            ("{% import 'prompts/macros.md' as m %}{{ m.twice(1) }}", "11"),
        ),
        *(
            ("{# note #}a", "a"),
            ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
            ("{{ text | indent(2, true) }}", "  abc"),
        ),
        *(
            ("{{ load('hotels.yaml') }}", [{"id": 1, "name": "{{ number }}", "none": None}]),
            ("{{ load('hotels.json').a }}", [1, 2.5, None]),
        ),
        *(
            ("{{ load('hotels.csv')[1] }}", {"id": "2", "name": "a, b"}),
            ("{{ load('hotels.csv') | length }}", 2),
        ),
    ],
)
def test_what_a_template_gives(templates: Templates, text: str, value: object) -> None:
    given_ = render(templates, text)
    assert given_ == value
    assert type(given_) is type(value)


def test_a_rendered_text_is_never_rendered_again(templates: Templates) -> None:
    assert render(templates, "{{ prompt }}!") == "{{ number }}!"
    assert render(templates, "{{ load('hotels.yaml')[0].name }}") == "{{ number }}"


def test_undefined_all_names_at_once(templates: Templates) -> None:
    found = fault(templates, "{{ hotl }} {{ nubmer }} {{ x | default(1) }}")
    assert found.problem.rule == "undefined-variable"
    assert found.missing == ("hotl", "nubmer")


def test_undefined_key_offers_what_there_is(templates: Templates) -> None:
    assert fault(templates, "{{ hotel.nmae }}").problem.help == 'did you mean "name"?'
    assert fault(templates, "{{ hotel.zzz }}").problem.help == "it has: items, name, vip"


def test_an_undefined_value_is_never_given(templates: Templates) -> None:
    for text in (
        "{{ absent }}",
        "{{ hotel.absent }}",
        "{{ list[9] }}",
        "{{ [absent] }}",
        "{{ absent ~ 'x' }}",
    ):
        assert fault(templates, text).problem.rule == "undefined-variable"


def test_syntax_has_the_template_s_own_line(templates: Templates) -> None:
    found = fault(templates, "one\ntwo\n{{ 1 + }}\n")
    assert (found.problem.rule, found.line) == ("template-syntax", 3)


def test_faults_have_their_line_and_file(templates: Templates) -> None:
    assert fault(templates, "a\n\n{{ 1 / 0 }}").line == 3
    found = fault(templates, "x\n{% include 'prompts/bad.md' %}")
    assert (found.file, found.line) == ("prompts/bad.md", 2)


FORBIDDEN = [
    # attribute starting with _, |attr, format methods
    *("{{ text.__class__ }}", "{{ text['__class__'] }}", "{{ hotel._x }}", "{{ text | attr('upper') }}"),
    *(
        "{{ '{0.__class__}'.format(text) }}",
        "{{ text.format_map({}) }}",
        "{{ list | map(attribute='__class__') | list }}",
    ),
    *(
        "{{ range.__globals__ }}",
        "{{ load.__self__ }}",
        "{{ self }}",
        "{{ self.__init__ }}",
        "{{ ''.join(list) }}",
    ),
    # **, huge *, % width, range
    *(
        "{{ 2 ** 3 }}",
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ '%99999999d' % 1 }}",
    ),
    *(
        "{{ range(10001) }}",
        "{{ range(1000000000) }}",
        "{{ (10 * 99999999999999999999) * 99999999999999999999 }}",
    ),
    *(
        "{{ text | replace('', 'x' * 1000000) }}",
        "{{ list | join('x' * 1000000) }}",
        "{{ text | indent(10000000) }}",
    ),
    # helpers that look at the world
    *(
        "{{ list | random }}",
        "{{ text | pprint }}",
        "{{ text | center(99) }}",
        "{{ text | safe }}",
        "{{ text | xmlattr }}",
    ),
    # what is no text and no data
    *(
        "a {{ hotel }}",
        "a {{ nothing }}",
        "{{ range }}",
        "{{ load }}",
        "{{ text.upper }}",
        "{{ 99999999999999999999 }}",
    ),
    # data that is none of ours
    *("{{ load('/etc/passwd') }}", "{{ load('.hidden.yaml') }}", "{{ load('fleet.py') }}", "{{ load(3) }}"),
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_a_template_may_not_do(templates: Templates, text: str) -> None:
    assert fault(templates, text).problem.rule in ("template-forbidden", "undefined-variable")


@pytest.mark.parametrize(
    "name", ["now", "lipsum", "env", "cycler", "joiner", "namespace", "dict", "config", "request"]
)
def test_helpers_that_do_not_exist(templates: Templates, name: str) -> None:
    assert fault(templates, f"{{{{ {name}() }}}}").problem.rule == "undefined-variable"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{% include '/etc/passwd' %}",
            "{% include '../x.md' %}",
            "{% include text %}",
            "{% include 'a' ~ text %}",
        ),
        *(
            "{% include ['prompts/hello.md'] %}",
            "{% import '../m' as m %}",
            "{% from text import x %}",
            "{% extends text %}",
        ),
        *(
            "{% include 'prompts/none.md' %}",
            "{% include '.git/config' %}",
            "{% include 'prompts/{{ x }}.md' %}",
        ),
    ],
)
def test_includes_are_static_and_inside(templates: Templates, text: str) -> None:
    assert fault(templates, text).problem.rule == "template-include"


def test_recursion_and_size(templates: Templates, tmp_path: Path) -> None:
    (tmp_path / "prompts" / "self.md").write_text("{% include 'prompts/self.md' %}")
    assert fault(templates, "{% include 'prompts/self.md' %}").problem.rule == "template-include"
    assert fault(templates, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").problem.rule == "template-size"
    big = "{% for a in range(9999) %}{% for b in range(999) %}x{% endfor %}{% endfor %}"
    assert fault(templates, big).problem.rule == "template-size"
    assert fault(templates, "{{ " + "(" * 500 + "1" + ")" * 500 + " }}").problem.rule == "template-size"
    assert fault(templates, "a" * 300_000 + "{{ 1 }}").problem.rule == "template-size"


def test_a_secret_inside_an_expression(templates: Templates) -> None:
    assert fault(templates, "{{ 'ref+env://X' }}").problem.rule == "template-secret"
    assert render(templates, "Bearer ref+env://{{ text }}+") == "Bearer ref+env://abc+"


def test_the_service_s_own_variables_stand_for_themselves(templates: Templates) -> None:
    guest = frozenset({"guest"})
    assert render(templates, "Hi {{guest}} of {{ hotel.name }}", guest) == "Hi {{guest}} of Ritz"
    assert render(templates, "{{guest}}", guest) == "{{guest}}"
    assert render(templates, "{{ guest }}!", guest) == "{{ guest }}!"
    assert render(templates, "{% include 'prompts/hello.md' %}", guest) == "Hello Ritz, dear {{guest}}."
    assert render(templates, "{% raw %}{{guest}}{% endraw %}", guest) == "{{guest}}"
    assert render(templates, "{# {{guest}} #}x", guest) == "x"
    for text in ("{{ guest.name }}", "{{ guest | upper }}", "{{ guest + 'x' }}"):
        with pytest.raises(TemplateFault):
            render(templates, text, guest)


def test_variables_set_in_one_text_do_not_reach_another(templates: Templates) -> None:
    context = templates.context({**templates.globals})
    templates.compile("{% set leak = 1 %}{{ leak }}").render(context)
    with pytest.raises(TemplateFault):
        templates.compile("{{ leak }}").render(context)


def test_data_cannot_be_changed(templates: Templates) -> None:
    for text in (
        "{{ list.append(1) }}",
        "{{ hotel.update({}) }}",
        "{{ hotel.pop('name') }}",
        "{{ list.clear() }}",
    ):
        assert fault(templates, text).problem.rule == "undefined-variable"
    assert NAMES["list"] == ["a", "b"]


def test_methods_that_templates_may_call_change_nothing() -> None:
    for kind, names in METHODS.items():
        for name in names:
            assert callable(getattr(kind, name))
    assert not {
        "format",
        "format_map",
        "join",
        "replace",
        "append",
        "update",
        "translate",
        "center",
    } & set().union(*METHODS.values())


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}\r"), max_size=30))
def test_text_without_braces_is_itself(text: str) -> None:
    templates = Templates(Files(Path()), Problems(), WorkProgress())
    try:
        assert render(templates, text) == text
    except TemplateFault as found:
        assert found.problem.rule == "control-character"


# --- what the corpus of injections found -----------------------------------------------------------------------------


def problems_of(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """The rules that complain about a fleet."""
    for name, text in {"fleet.yaml": "fleet: f\n", **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    try:
        load(tmp_path)
    except InvalidConfig as error:
        return sorted({each.rule for each in error.diagnostics if each.is_error})
    return []


def test_quotes_around_tojson_are_refused(tmp_path: Path) -> None:
    """A text with a comma would have become a second key."""
    agents = "channels:\n- {channel: lobby, agents: [{name: a, x: \"{{ ', evil: ' | tojson }}\"}]}\n"
    assert problems_of(tmp_path, {"agents/a.yaml.j2": agents}) == ["template-forbidden"]


def test_escaping_cannot_be_switched_on(tmp_path: Path) -> None:
    text = "{% autoescape true %}{% set e %}{% endset %}x: {{ e + 'a\\nb: c' }}{% endautoescape %}\n"
    assert problems_of(tmp_path, {"agents/a.yaml.j2": text}) == ["template-forbidden"]


@pytest.mark.parametrize("data", ['{"a\\u001b[2J": 1}', '{"a": "\\ud800"}', '{"\\ud800": 1}'])
def test_data_hold_no_control_character_anywhere(tmp_path: Path, data: str) -> None:
    fleet = "fleet: f\nvariables: {d: \"{{ load('d.json') }}\"}\nchannels: [{channel: '{{ d }}', agents: [{name: a}]}]\n"
    assert problems_of(tmp_path, {"d.json": data, "fleet.yaml": fleet}) == ["control-character"]


def test_data_in_a_whole_file_are_not_rendered_again(tmp_path: Path) -> None:
    text = (
        "channels:\n- channel: lobby\n  agents:\n  - name: a\n    properties:\n      remote_rtc_uids: ['*']\n"
        "      llm: {url: 'https://api.openai.com/v1', api_key: ref+env://K, params: {model: m},"
        " greeting_message: {{ v | tojson }}}\n"
        "      tts: {vendor: microsoft, params: {key: ref+env://T, region: eastus, voice_name: x}}\n"
    )
    fleet = "fleet: f\nvariables: {v: '{% raw %}{{ 7*7 }} {{ channel }}{% endraw %}'}\n"
    problems_of(tmp_path, {"agents/a.yaml.j2": text, "fleet.yaml": fleet})
    [spec] = load(tmp_path).agents.values()
    assert spec.body.properties["llm"]["greeting_message"] == "{{ 7*7 }} {{ channel }}"  # type: ignore[index,call-overload]
