"""Loading as a whole: layers, variables, loops, templates, places, the digest."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from reconciler.config import LoadLimits, Traced, environments, load, read_source, rendered, trace
from reconciler.config.files.documents import FileLimits
from reconciler.errors import InvalidConfig
from reconciler.model.address import Address
from reconciler.model.fleet import Area, DesiredFleet, Limit
from reconciler.model.spec import HOUR, ReplaceOrder
from tests.unit.config.conftest import GOOD, Load, Problems, Write

LOBBY = """
channels:
  - channel: lobby
    agents:
      - name: greeter
"""
GREETER = Address("lobby", "greeter")


def agent(fleet: DesiredFleet, address: str = "lobby/greeter") -> Any:
    return fleet.agents[Address.parse(address)].body.properties


def labels(fleet: DesiredFleet, address: str = "lobby/greeter") -> Any:
    return agent(fleet, address)["labels"]


def test_agents_of_a_loop_share_what_is_equal(loaded: Load) -> None:
    """More agents than one batch: memory stays small, and what is one object needs no comparison."""
    fleet = loaded("""
channels:
  - channel: "room-{{ item }}"
    for_each: "{{ range(300) }}"
    agents:
      - name: greeter
        properties:
          labels: {number: "{{ item }}th", floor: "{{ ['first', 'second'][item % 2] }} floor"}
""")
    first, last = (labels(fleet, f"room-{number}/greeter") for number in (0, 298))
    assert (first["number"], last["number"]) == ("0th", "298th")
    assert first["floor"] == "first floor"
    assert first["floor"] is last["floor"]
    assert agent(fleet, "room-0/greeter")["llm"] is agent(fleet, "room-298/greeter")["llm"]


# --- layers ---------------------------------------------------------------------------------------------------


def test_layers_from_defaults_to_the_environment(loaded: Load) -> None:
    text = """
profiles:
  one: {properties: {labels: {a: one, b: one, c: one, d: one}}}
  two: {extends: one, properties: {labels: {b: two, c: two, d: two}}}
environments:
  prod: {overrides: {properties: {labels: {d: prod}}}}
channels:
  - channel: lobby
    agents:
      - {name: greeter, profile: two, properties: {labels: {c: agent, d: agent}}}
"""
    assert labels(loaded(text)) == {"a": "one", "b": "two", "c": "agent", "d": "agent"}
    assert labels(loaded(text, environment="prod")) == {"a": "one", "b": "two", "c": "agent", "d": "prod"}


def test_null_removes_and_lists_replace(loaded: Load) -> None:
    fleet = loaded(
        "defaults_: 0\n".replace("defaults_: 0\n", "")
        + """
profiles:
  base: {properties: {labels: {a: x, b: y}, asr: {language: en-US, keywords: [a, b]}}}
channels:
  - channel: lobby
    agents:
      - name: greeter
        profile: base
        properties: {labels: {a: null}, asr: {keywords: [c]}, tts: {params: {speed: null}}}
"""
    )
    assert labels(fleet) == {"b": "y"}
    assert agent(fleet)["asr"] == {"language": "en-US", "keywords": ["c"]}
    assert "speed" not in agent(fleet)["tts"]["params"]


def test_profiles_are_merged_once_in_order(loaded: Load) -> None:
    text = """
profiles:
  base: {properties: {labels: {from: base}}}
  left: {extends: base, properties: {labels: {from: left}}}
  right: {extends: base}
channels:
  - channel: lobby
    agents: [{name: greeter, profile: [left, right]}]
"""
    assert labels(loaded(text)) == {"from": "left"}


def test_a_profile_may_be_a_template(loaded: Load) -> None:
    text = """
profiles: {gold: {properties: {labels: {tier: gold}}}, plain: {properties: {labels: {tier: plain}}}}
channels:
  - channel: "room-{{ room.n }}"
    for_each: [{n: 1, tier: gold}, {n: 2, tier: plain}]
    as: room
    agents: [{name: greeter, profile: "{{ room.tier }}"}]
"""
    fleet = loaded(text)
    assert [labels(fleet, f"room-{n}/greeter")["tier"] for n in (1, 2)] == ["gold", "plain"]


def test_an_expression_that_gives_a_mapping_merges(loaded: Load) -> None:
    text = """
variables: {more: {b: new, c: null, d: d}, none: null}
profiles: {base: {properties: {labels: {a: a, b: b, c: c}}}}
channels:
  - channel: lobby
    agents:
      - {name: greeter, profile: base, properties: {labels: "{{ more }}"}}
      - {name: other, profile: base, properties: {labels: "{{ none }}", asr: "{{ none }}"}}
"""
    fleet = loaded(text)
    assert labels(fleet) == {"a": "a", "b": "new", "d": "d"}
    assert "labels" not in agent(fleet, "lobby/other")


def test_many_deep_profiles_stay_cheap(loaded: Load) -> None:
    profiles = ["  p0: {}", "  p1: {extends: [p0]}"] + [
        f"  p{n}: {{extends: [p{n - 1}, p{n - 2}]}}" for n in range(2, 60)
    ]
    loaded("profiles:\n" + "\n".join(profiles) + LOBBY + "        profile: p59\n")


# --- variables ------------------------------------------------------------------------------------------------


def test_the_order_of_variables(loaded: Load) -> None:
    text = """
variables: {a: fleet, b: fleet, c: fleet, d: fleet, e: fleet, f: fleet}
environments: {prod: {variables: {b: environment, c: environment, d: environment, e: environment, f: environment}}}
"""
    file = """
variables: {c: file, d: file, e: file, f: file}
channels:
  - channel: lobby
    variables: {d: channel, e: channel, f: channel}
    agents:
      - name: greeter
        variables: {e: agent, f: agent}
        properties: {labels: {a: "{{ a }}", b: "{{ b }}", c: "{{ c }}", d: "{{ d }}", e: "{{ e }}", f: "{{ f }}"}}
"""
    fleet = loaded(text, {"agents/a.yaml": file}, environment="prod", variables={"f": "given"})
    assert labels(fleet) == dict(
        zip("abcdef", ["fleet", "environment", "file", "channel", "agent", "given"], strict=True)
    )


def test_an_environment_s_variable_changes_those_that_use_it(loaded: Load) -> None:
    text = """
variables: {model: mini, label: "uses {{ model }}"}
environments: {prod: {variables: {model: full}}}
channels:
  - channel: lobby
    agents: [{name: greeter, properties: {labels: {model: "{{ label }}"}}}]
"""
    assert labels(loaded(text))["model"] == "uses mini"
    assert labels(loaded(text, environment="prod"))["model"] == "uses full"
    assert labels(loaded(text, environment="prod", variables={"model": "given"}))["model"] == "uses given"


def test_given_variables_are_yaml_scalars(loaded: Load) -> None:
    text = "variables: {idle: 0}\n" + LOBBY + '        properties: {idle_timeout: "{{ idle }}"}\n'
    assert agent(loaded(text, variables={"idle": "60"}))["idle_timeout"] == 60


def test_built_in_names(loaded: Load) -> None:
    text = (
        LOBBY
        + '        properties: {labels: {a: "{{ fleet }} {{ channel }} {{ agent }} {{ environment is none }}"}}\n'
    )
    assert labels(loaded(text))["a"] == "test lobby greeter true"


def test_unused_variables_are_not_evaluated(loaded: Load) -> None:
    loaded('variables: {broken: "{{ 1 / 0 }}"}\n' + LOBBY)


def test_one_fault_is_reported_once_and_what_follows_from_it_never(problems: Problems) -> None:
    text = """
variables: {a: "{{ 1 / 0 }}", b: "{{ a }}"}
channels:
  - channel: "room-{{ item }}"
    for_each: "{{ range(50) }}"
    agents: [{name: greeter, properties: {labels: {a: "{{ a }}", b: "{{ b }}"}}}]
"""
    assert [each.rule for each in problems(text)] == ["template-failed"]


# --- loops ----------------------------------------------------------------------------------------------------


def test_loops_on_channels_and_agents(loaded: Load) -> None:
    text = """
channels:
  - channel: "{{ hotel.id }}-desk"
    for_each: [{id: paris, open: true, desks: [a, b]}, {id: rome, open: false, desks: [a]}]
    as: hotel
    when: "{{ hotel.open }}"
    agents:
      - name: "desk-{{ each }}"
        for_each: "{{ hotel.desks }}"
        when: "{{ each != 'b' }}"
        properties: {labels: {hotel: "{{ hotel.id }}", desk: "{{ each }}", at: "{{ channel }}/{{ agent }}"}}
"""
    fleet = loaded(text)
    assert [str(each) for each in fleet.agents] == ["paris-desk/desk-a"]
    assert labels(fleet, "paris-desk/desk-a")["at"] == "paris-desk/desk-a"


def test_a_loop_over_a_mapping(loaded: Load) -> None:
    text = """
channels:
  - channel: "{{ item.key }}"
    for_each: {lobby: {tier: gold}}
    agents: [{name: greeter, properties: {labels: {tier: "{{ item.value.tier }}"}}}]
"""
    assert labels(loaded(text)) == {"tier": "gold"}


def test_several_files_may_name_one_channel(loaded: Load) -> None:
    block = "channels: [{{channel: lobby, agents: [{{name: {}}}]}}]"
    fleet = loaded("", {f"agents/{name}.yaml": block.format(name) for name in ("b", "a")})
    assert [str(each) for each in fleet.agents] == ["lobby/a", "lobby/b"]


def test_nothing_is_a_fleet_too(loaded: Load) -> None:
    assert loaded().agents == {}


def test_too_many_agents(write: Write) -> None:
    text = 'channels: [{channel: "c{{ item }}", for_each: "{{ range(9) }}", agents: [{name: a}]}]'
    with pytest.raises(InvalidConfig) as raised:
        load(write(text), limits=LoadLimits(agents=5))
    assert [each.rule for each in raised.value.diagnostics] == ["too-many-agents"]


# --- the service's own variables ------------------------------------------------------------------------------

RUNTIME = """
channels:
  - channel: "{{ hotel }}"
    for_each: [ritz]
    as: hotel
    agents:
      - name: greeter
        properties:
          llm:
            template_variables: {guest: there}
            greeting_message: "Hello {{guest}}, this is {{ hotel }}."
            failure_message: "{{guest}}"
            system_messages: [{role: system, content: "{% include 'prompts/a.md' %}"}]
          parameters: {silence_config: {timeout_ms: 1, content: "{{ guest }}?"}}
"""


def test_runtime_variables_pass_through(loaded: Load) -> None:
    properties = agent(loaded(RUNTIME, {"prompts/a.md": "At {{ hotel }} for {{guest}}.\n"}), "ritz/greeter")
    llm = properties["llm"]
    assert llm["greeting_message"] == "Hello {{guest}}, this is ritz."
    assert llm["failure_message"] == "{{guest}}"
    assert llm["system_messages"][0]["content"] == "At ritz for {{guest}}."
    assert properties["parameters"]["silence_config"]["content"] == "{{ guest }}?"


def test_runtime_variables_elsewhere_are_undefined(problems: Problems) -> None:
    text = RUNTIME.replace('timeout_ms: 1, content: "{{ guest }}?"', 'timeout_ms: 0, action: "{{guest}}"')
    assert [each.rule for each in problems(text, {"prompts/a.md": "x"})] == ["undefined-variable"]


def test_runtime_variables_declared_by_an_expression(loaded: Load) -> None:
    text = RUNTIME.replace("{guest: there}", "\"{{ {'guest': hotel} }}\"")
    llm = agent(loaded(text, {"prompts/a.md": "{{guest}}"}), "ritz/greeter")["llm"]
    assert llm["template_variables"] == {"guest": "ritz"}
    assert llm["failure_message"] == "{{guest}}"


def test_placeholders_of_tools_pass_through(loaded: Load) -> None:
    text = (
        LOBBY
        + """
        properties:
          advanced_features: {enable_tools: true}
          llm:
            tools:
              - type: function
                function: {name: f, parameters: {type: object, properties: {}}}
                server: {method: GET, url: "https://a.example/{{args.id}}?x={{template_variables.y}}"}
"""
    )
    tool = agent(loaded(text))["llm"]["tools"][0]
    assert tool["server"]["url"] == "https://a.example/{{args.id}}?x={{template_variables.y}}"


# --- whole-file templates -------------------------------------------------------------------------------------

WHOLE = """# rooms
channels:
{% for room in rooms %}
  - channel: {{ room }}
    agents:
      - name: greeter
        properties:
          labels: {room: {{ room | tojson }}, later: "{% raw %}{{ channel }}{% endraw %}"}
{% endfor %}
"""


def test_whole_files_are_rendered_before_they_are_read(loaded: Load) -> None:
    fleet = loaded("variables: {rooms: [one, two]}", {"agents/rooms.yaml.j2": WHOLE})
    assert labels(fleet, "two/greeter") == {"room": "two", "later": "two"}
    where = fleet.locate(Address("two", "greeter"), ("properties", "labels", "room"))
    assert str(where) == "agents/rooms.yaml.j2:8:1"


def test_both_places_of_an_error_in_a_rendered_file(problems: Problems) -> None:
    broken = WHOLE.replace("agents:\n", "agents: [\n")
    [found] = problems("variables: {rooms: [one, two]}", {"agents/rooms.yaml.j2": broken})
    assert found.where is not None and found.where.file == "agents/rooms.yaml.j2"
    assert "of the rendered text" in str(found.why)


@pytest.mark.parametrize(
    "value", ["a\nagents: []", "a: b", "a #b", "{a}", "- a", "a'", 'a"', "*a", "a,b", " a", "a\\"]
)
def test_a_value_cannot_bring_structure_along(problems: Problems, value: str) -> None:
    import json

    text = f"variables: {{rooms: [{json.dumps(value)}]}}"
    found = problems(text, {"agents/rooms.yaml.j2": WHOLE})
    assert "template-forbidden" in {each.rule for each in found}


# --- lifecycle, service, limits -------------------------------------------------------------------------------


def test_lifecycle(loaded: Load) -> None:
    text = (
        LOBBY
        + """
        previously: [foyer/greeter]
        pipeline_id: abc
        lifecycle:
          {rotate_after: 1d12h, token_ttl: 90m, replace: join-first, protect: true, paused: "{{ 1 > 2 }}", ignore_changes: [llm.params, properties.labels]}
"""
    )
    spec = loaded(text).agents[GREETER]
    life = spec.lifecycle
    assert (life.rotate_after, life.token_ttl, life.replace) == (
        36 * HOUR,
        1.5 * HOUR,
        ReplaceOrder.JOIN_FIRST,
    )
    assert (life.protect, life.paused, life.ignore_changes) == (True, False, (("llm", "params"), ("labels",)))
    assert spec.previously == (Address("foyer", "greeter"),)
    assert spec.body.pipeline_id == "abc"


def test_service_and_limits_of_an_environment(loaded: Load) -> None:
    text = f"""
service: {{app_id: {"0a" * 16}}}
limits: {{leave: 5, join: 12.5%, quota: 20}}
environments:
  prod: {{service: {{kind: agora, area: EU}}, limits: {{leave: 40 %, usd_per_day: 10}}}}
"""
    plain, prod = loaded(text), loaded(text, environment="prod")
    assert plain.service.kind == "simulator" and plain.limits.leave == Limit(number=5)
    assert (prod.service.kind, prod.service.area, prod.service.app_id) == (
        "agora",
        Area.EU,
        "0a" * 16,
    )
    assert prod.limits.leave == Limit(percent=40) and prod.limits.join == Limit(percent=12.5)
    assert (prod.limits.quota, prod.limits.usd_per_day, str(prod.owner)) == (20, 10.0, "test.prod")


@pytest.mark.parametrize(
    "key", ["base_url", "api_base_url", "proxy", "customer_id", "customer_secret", "certificate"]
)
def test_nothing_in_the_files_leads_our_credentials_elsewhere(problems: Problems, key: str) -> None:
    assert "unknown-key" in {each.rule for each in problems(f"service: {{{key}: x}}")}
    assert "unknown-key" in {
        each.rule for each in problems(f"environments: {{prod: {{service: {{{key}: x}}}}}}")
    }


# --- what a load gives beside the agents ----------------------------------------------------------------------


def test_the_digest_covers_everything_that_was_read(write: Write) -> None:
    text = (
        "variables: {x: 1, hotels: \"{{ load('data/h.json') }}\"}"
        + LOBBY
        + """
        properties: {labels: {a: "{{ hotels }}"}, llm: {greeting_message: "{% include 'p.md' %}"}}
"""
    )
    files = {"data/h.json": '"a"', "p.md": "Hello", "agents/a.yaml": "channels: []"}
    digests = [load(write(text, files)).digest]
    assert load(write(text, files)).digest == digests[0]
    for name, content in {"data/h.json": '"b"', "p.md": "Hi", "agents/a.yaml": "channels: [] #"}.items():
        digests.append(load(write(text, {**files, name: content})).digest)
    digests.append(load(write(text + "#", files)).digest)
    digests.append(load(write(text, files), variables={"x": "2"}).digest)
    assert len(set(digests)) == len(digests)


def test_files_that_were_not_read_do_not_matter(write: Write) -> None:
    before = load(write(LOBBY)).digest
    assert load(write(LOBBY, {"README.md": "x"})).digest == before


def test_equal_texts_are_one_object(loaded: Load) -> None:
    prompt = "Be kind. " * 20
    text = f"""
channels:
  - channel: "room-{{{{ item }}}}"
    for_each: "{{{{ range(3) }}}}"
    agents: [{{name: greeter, properties: {{llm: {{greeting_message: "{prompt}{{{{ fleet }}}}"}}}}}}]
"""
    fleet = loaded(text)
    assert len({id(agent(fleet, f"room-{n}/greeter")["llm"]["greeting_message"]) for n in range(3)}) == 1
    assert len({id(agent(fleet, f"room-{n}/greeter")["tts"]) for n in range(3)}) == 1


def test_the_collector_is_as_it_was(loaded: Load, problems: Problems) -> None:
    loaded(LOBBY)
    assert gc.isenabled()
    problems("nonsense: 1")
    assert gc.isenabled()
    gc.disable()
    try:
        loaded(LOBBY)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_trees_are_plain_data(loaded: Load) -> None:
    text = LOBBY + '        properties: {labels: {a: "{{ agent }}", b: null, c: "c"}, llm: {tools: null}}\n'

    def check(node: Any) -> None:
        assert type(node) in (dict, list, str, int, float, bool)
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            check(each)

    check(agent(loaded(text)))


def test_places_lead_to_the_deciding_layer(loaded: Load) -> None:
    text = """
variables: {model: gpt-4o}
channels:
  - channel: lobby
    agents:
      - name: greeter
        properties:
          llm:
            params: {temperature: 0.1, model: "{{ model }}"}
"""
    fleet = loaded(text)
    first = 16
    assert str(fleet.locate(GREETER, ())) == f"fleet.yaml:{first + 2}:9"
    assert (
        str(fleet.locate(GREETER, ("properties", "llm", "params", "temperature")))
        == f"fleet.yaml:{first + 5}:22"
    )
    assert str(fleet.locate(GREETER, ("properties", "tts", "vendor"))) == "fleet.yaml:11:7"
    assert fleet.locate(Address("a", "b"), ()) is None


def test_trace(write: Write) -> None:
    text = """
variables: {model: gpt-4o}
environments: {prod: {overrides: {properties: {llm: {params: {temperature: 0.2}}}}}}
profiles: {voice: {properties: {asr: {language: de-DE}}}}
channels:
  - channel: lobby
    agents: [{name: greeter, profile: voice, properties: {llm: {params: {model: "{{ model }}"}}}}]
"""
    found = {
        each.path[1:]: each for each in trace(write(text), environment="prod") if each.path[0] == "properties"
    }
    layers = {path: each.layer for path, each in found.items()}
    assert layers[("tts", "vendor")] == "defaults"
    assert layers[("asr", "language")] == "profile voice"
    assert layers[("llm", "params", "temperature")] == "environment prod"
    model = found[("llm", "params", "model")]
    assert isinstance(model, Traced)
    assert (model.layer, model.variable, str(model.variable_where)) == ("agent", "model", "fleet.yaml:14:13")


def test_rendered(loaded: Load) -> None:
    tree = rendered(loaded(LOBBY))
    assert tree["fleet"] == "test" and tree["environment"] is None
    assert tree["agents"]["lobby/greeter"]["lifecycle"]["rotate_after"] == "60h"  # type: ignore[index, call-overload]
    assert tree["agents"]["lobby/greeter"]["properties"]["llm"]["api_key"] == "ref+env://LLM_KEY"  # type: ignore[index, call-overload]


def test_environments(write: Write) -> None:
    assert environments(write("environments: {prod: {}, dev: null}")) == ("prod", "dev")
    with pytest.raises(InvalidConfig):
        environments(write("a: [", plain=True))


def test_read_source(write: Write) -> None:
    directory = write(LOBBY)
    assert str(read_source(directory, "fleet.yaml")).startswith("fleet: test")
    assert read_source(directory, "../x") is None


def test_loading_reads_no_environment_and_needs_no_network(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write(LOBBY)
    monkeypatch.setattr("socket.socket", None)
    monkeypatch.setattr("os.environ", {})
    assert load(directory).agents


def test_limits_of_files(write: Write) -> None:
    with pytest.raises(InvalidConfig) as raised:
        load(write(LOBBY), limits=LoadLimits(files=FileLimits(file_bytes=10)))
    assert [each.rule for each in raised.value.diagnostics] == ["file-size"]


def test_every_problem_at_once(problems: Problems) -> None:
    text = """
limits: {leave: many}
profils: {}
channels:
  - channel: lobby
    agents:
      - {name: a b, profile: nobody}
      - {name: b, properties: {labels: {a: "{{ x }}", b: "{{ y }}"}}}
      - {name: c, properties: {idle_timeout: "0", llm: {api_key: value}}}
"""
    broken = "channels: [\n"
    found = {each.rule for each in problems(text, {"agents/a.yaml": broken, "agents/b.yaml": "a: 1\na: 2\n"})}
    assert found >= {
        *(
            "bad-limit",
            "unknown-key",
            "unknown-profile",
            "undefined-variable",
            "wrong-type",
            "literal-secret",
        ),
        *("yaml-syntax", "duplicate-key"),
    }


def test_the_order_of_files_does_not_matter(loaded: Load) -> None:
    block = "channels: [{{channel: {0}, agents: [{{name: a}}]}}]"
    one = loaded("", {"agents/1.yaml": block.format("x"), "agents/2.yaml": block.format("y")})
    two = loaded("", {"agents/1.yaml": block.format("y"), "agents/2.yaml": block.format("x")})
    assert one.agents == two.agents


# --- the same commit, checked out on another system -----------------------------------------------------------------

CHECKOUT = {
    "fleet.yaml": f"""fleet: test
{GOOD}
channels:
  - channel: lobby
    agents:
      - name: "{{{{ load('names.csv')[0].name }}}}"
        properties:
          llm:
            greeting_message: "{{% include 'hello.md' %}}"
            system_messages: [{{role: system, content: "{{{{ load('more.yaml').text }}}}"}}]
""",
    "hello.md": "Hello.\nWelcome.\n",
    "names.csv": 'name,text\ngreeter,"two\nlines"\n',
    "more.yaml": "text: |\n  One.\n  Two.\n",
    "agents/more.yaml.j2": "channels:\n  - channel: other\n    agents:\n{% for n in [1, 2] %}      - name: a{{ n }}\n{% endfor %}",
}


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_of_a_checkout_change_nothing(
    tmp_path: Path, line_end: bytes, start: bytes
) -> None:
    fleets = []
    for folder, end, first in (("here", b"\n", b""), ("there", line_end, start)):
        for name, text in CHECKOUT.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(first + text.encode().replace(b"\n", end))
        fleets.append(load(tmp_path / folder))
    here, there = fleets
    assert here.agents == there.agents
    assert here.digest == there.digest
    greeting = here.agents[Address("lobby", "greeter")].body.properties["llm"]["greeting_message"]  # type: ignore[index,call-overload]
    assert greeting == "Hello.\nWelcome."


# --- keys for anchors -----------------------------------------------------------------------------------------------


def test_keys_that_begin_with_x_are_for_anchors(loaded: Load) -> None:
    fleet = loaded(
        "x-slow: &slow {lifecycle: {paused: true}}\n"
        'x-notes: ["{{ nothing_of_this_name }}", 1, null]\n'
        "channels: [{channel: lobby, agents: [{name: a, <<: *slow}]}]\n",
        {
            "agents/b.yaml": "x-b: &b {lifecycle: {protect: true}}\nchannels: [{channel: b, agents: [{name: b, <<: *b}]}]\n"
        },
    )
    assert [spec.lifecycle.paused for spec in fleet.agents.values()] == [True, False]
    assert [spec.lifecycle.protect for spec in fleet.agents.values()] == [None, True]


@pytest.mark.parametrize(
    "text",
    [
        "channels: [{channel: lobby, x-a: 1, agents: []}]",
        "profiles: {a: {x-a: 1}}",
        "environments: {prod: {x-a: 1}}",
        "x_a: 1",
        "X-a: 1",
    ],
)
def test_such_keys_stand_at_the_top_only(problems: Problems, text: str) -> None:
    assert "unknown-key" in {each.rule for each in problems(text)}


def test_a_layer_that_failed_leaves_the_whole_value_unknown(problems: Problems) -> None:
    """Its keys are not known, so none of them is missing."""
    found = problems("""
profiles: {unknown: {properties: {llm: "{{ nope }}"}}}
channels:
  - channel: lobby
    agents: [{name: greeter, profile: unknown, properties: {llm: {params: {temperature: 1}}}}]
""")
    assert [each.rule for each in found] == ["undefined-variable"]
