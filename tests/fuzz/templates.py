"""Target `jinja`: expressions and templates by a grammar, as values, as prompts and as whole files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from .files import Fleet, check_load
from .mutate import chosen, encoded, tokens_mutant
from .target import Outcome

_FLEET = """\
fleet: fuzz
defaults:
  properties:
    remote_rtc_uids: ["*"]
    tts: {vendor: microsoft, params: {key: ref+env://K, region: eastus, voice_name: en-US-AvaNeural}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://K
      params: {model: gpt-4o-mini}
      system_messages: [{role: system, content: Be kind.}]
variables:
  text: hello
  number: 7
  float: 0.5
  yes: true
  list: [3, 1, 2]
  words: [b, a, é, ""]
  map: {a: 1, b: {c: [x]}, "d e": 2}
  rows: [{name: a, n: 1, tags: [x, y]}, {name: b, n: 2, tags: []}]
  secret: ref+env://CANARY
"""
_NAMES = "text number float yes list words map rows secret fleet environment item".split()
_KEYS = "a b c name n tags x items index get upper __class__ _x format join".split()
# What there is of each kind, and some of what there is not.
_FILTERS = (
    "abs capitalize count d default dictsort first float groupby int items last length list lower map max min reject "
    "rejectattr replace reverse round select selectattr sort string sum title trim truncate unique upper urlencode "
    "wordcount tojson join indent"
).split()
_TESTS = (
    "boolean defined divisibleby eq equalto even false float ge gt in integer iterable lower lt mapping ne none number "
    "odd sameas sequence string undefined upper"
).split()
_METHODS = "upper split startswith count keys items get values index partition splitlines title strip".split()
_ABSENT = "attr format random batch slice xmlattr pprint center callable escaped filter nope append pop encode".split()
_ARGUMENTS = "attribute default_value reverse case_sensitive precision method start width base".split()
_OPERATORS = [*"+ - * / // % ** ~ == != < >= in and or | .".split(), "not in"]
_LOOPS = "index length previtem nextitem cycle(1,2) changed(item) depth revindex0 first _x".split()
_FILES = (
    "'prompts/a.md'",
    "'prompts/b.md'",
    "'../x'",
    "'/etc/passwd'",
    "text",
    "['a', 'b']",
    "'nope.md'",
    "''",
    "1",
)
_INCLUDES = ("include {}", "include {} ignore missing", "import {} as m", "from {} import m", "extends {}")
_LITERALS = (
    "0",
    "1",
    "-1",
    "2",
    "7",
    "1.5",
    "''",
    "'x'",
    "'a b'",
    "true",
    "none",
    "[]",
    "{}",
    "(1,)",
    "{'a': 1}",
)
_ODD_LITERALS = (
    "1e308", "1e400", "10000", "1000000", "999999999999", "9" * 40, "9" * 4_400, "0x1F", "1_000", "1j", "()", "{1: 2}",
    "'é🦄'", "'\\n'", "'{{ text }}'", "'x: y'", "'# x'", "'ref+env://A'", "'A' ~ 'B'", "'%s'", "'-'", "'12'", "{none: 1}",
    "'\\x00'", "'\\ud800'", "'\\N{BULLET}'", "'inf'", "'nan'", "'1' * 1000", "[1] * 1000", "[[1], [2]]", "[[]] * 99",
)  # fmt: skip
_TEXTS = ("hello ", "\n", "é🦄", "a: b\n", "{", "%", "# x\n", "- ", "\\")
_WORDS = (
    "{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "|", ".", "(", ")", "[", "]", "~", "if", "else", "endif", "for",
    "in", "endfor", "recursive", "set", "macro", "endmacro", "call", "raw", "endraw", "block", "is", "not", "loop",
    "caller", "varargs", "kwargs", "self", "super", "__class__", "=", "==", ":", ",", "'", '"', "\\", "\n", "**", "*",
)  # fmt: skip
_KINDS = {
    "filter": 5, "operator": 4, "attribute": 1, "item": 1.5, "call": 1.5, "test": 1.5, "if": 1, "literal": 1.5,
    "range": 0.4, "atom": 4,
}  # fmt: skip
_STATEMENTS = {
    "text": 4, "value": 6, "if": 2, "for": 2, "recursive": 0.5, "set": 1.5, "macro": 1, "call": 0.5, "filter": 1,
    "include": 1.5, "raw": 0.3, "block": 0.5,
}  # fmt: skip
_BLOCKS = frozenset(_STATEMENTS) - {"text", "value", "include", "raw"}


class _Writer:
    """Writes templates by chance, mostly ones that make sense."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._fuel = chance.choice((1, 2, 4, 12, 40))

    def value(self) -> str:
        """One expression as a value, often such that any value will do."""
        end = self._pick(("", "", " | tojson", " | default('x', true) | string"))
        return f"{{{{ ({self.expression()}){end} }}}}"

    def expression(self, depth: int = 0) -> str:
        self._fuel -= 1
        kind = chosen(self._chance, _KINDS)
        if depth > 5 or self._fuel < 0 or kind == "atom":
            return self._atom()
        below = depth + 1
        left = self.expression(below)
        match kind:
            case "filter":
                return f"{left} | {self._known(_FILTERS)}{self._arguments(below)}"
            case "operator":
                return f"({left} {self._pick(_OPERATORS)} {self.expression(below)})"
            case "attribute":
                return f"({left}).{self._pick(_KEYS)}"
            case "item":
                return (
                    f"({left})[{self._pick((self.expression(below), '0', '-1', '::-1', '1:', ':9', '::0'))}]"
                )
            case "call":
                return f"({left}).{self._known(_METHODS)}{self._arguments(below) or '()'}"
            case "test":
                return f"({left} is {self._pick(('', 'not '))}{self._known(_TESTS)}{self._arguments(below)})"
            case "if":
                return f"({left} if {self.expression(below)} else {self.expression(below)})"
            case "range":
                return f"range({left})"
            case _:
                return self._pick(
                    (f"[{left}, {left}]", f"{{'k': {left}}}", f"({left},)", f"-{left}", f"not {left}")
                )

    def template(self, depth: int = 0) -> str:
        """Text with statements in it."""
        return "".join(self._piece(depth) for _ in range(self._chance.randrange(1, 4)))

    def _piece(self, depth: int) -> str:
        kind = chosen(self._chance, _STATEMENTS)
        if depth > 3 or self._fuel < 0 or kind == "text":
            return self._pick(_TEXTS)
        if kind == "value":
            return self.value()
        one = self.expression(2)
        inner = self.template(depth + 1) if kind in _BLOCKS else ""
        match kind:
            case "if":
                return f"{{% if {one} -%}}{inner}{{% elif {self._atom()} %}}y{{% else %}}{inner}{{% endif %}}"
            case "for":
                loop = f"{{{{ loop.{self._pick(_LOOPS)} }}}}"
                return f"{{% for item in {one} %}}{inner}{loop}{{% else %}}-{{% endfor %}}"
            case "recursive":
                again = f"{{{{ loop({self._atom()}) }}}}"
                return f"{{% for item in [{one}] recursive %}}{again}{inner}{{% endfor %}}"
            case "set":
                names = self._pick(("x", "x, y", "text", "loop", "m"))
                return f"{{% set {names} = {one} %}}{inner}{{{{ x }}}}"
            case "macro":
                again = f"{{{{ m({self._atom()}) }}}}" if self._chance.random() < 0.2 else ""
                return (
                    f"{{% macro m(a, b={one}) %}}{inner}{again}{{{{ a }}}}{{% endmacro %}}{{{{ m({one}) }}}}"
                )
            case "call":
                macro = f"{{% macro m() %}}[{{{{ caller({one}) }}}}]{{% endmacro %}}"
                return f"{macro}{{% call(x) m() %}}{inner}{{% endcall %}}"
            case "filter":
                return f"{{% filter {self._known(_FILTERS)}{self._arguments(3)} %}}{inner}{{% endfilter %}}"
            case "include":
                return f"{{% {self._pick(_INCLUDES).format(self._pick(_FILES))} %}}"
            case "raw":
                return f"{{% raw %}}{{{{ {one} }}}}{{% endraw %}}"
            case _:
                name = f"b{self._chance.randrange(3)}"
                return f"{{% block {name} %}}{inner}{{{{ super() }}}}{{% endblock %}}{{# {one} #}}"

    def bomb(self) -> str:
        """Repetition within repetition: what the clock stops."""
        loops = self._chance.randrange(2, 5)
        body = self._pick(
            ("x", "{{ text }}", "{% set y = [0] * 1000 %}", "{{ 'x' * 1000 }}", "{{ list | sort }}")
        )
        return "{% for i in range(10000) %}" * loops + body + "{% endfor %}" * loops

    def _atom(self) -> str:
        if self._chance.random() < 0.6:
            return self._pick(_NAMES) + (f".{self._pick(_KEYS)}" if self._chance.random() < 0.15 else "")
        return self._pick(_LITERALS if self._chance.random() < 0.8 else _ODD_LITERALS)

    def _arguments(self, depth: int) -> str:
        given = [self.expression(depth + 2) for _ in range(self._chance.choice((0, 0, 0, 1, 1, 2)))]
        if self._chance.random() < 0.15:
            given.append(f"{self._pick(_ARGUMENTS)}={self._atom()}")
        if self._chance.random() < 0.1:
            given.insert(0, f"'{self._known([*_FILTERS, *_TESTS])}'")
        return f"({', '.join(given)})" if given else ""

    def _known(self, words: list[str]) -> str:
        return self._pick(words if self._chance.random() < 0.95 else _ABSENT)

    def _pick(self, words: Sequence[str]) -> str:
        return self._chance.choice(words)


class Templates:
    """One fleet with templates in one place or another."""

    share = 2_000

    def __init__(self, home: Path) -> None:
        self._directory = home / "fleet"

    def make(self, chance: random.Random) -> Fleet:
        writer = _Writer(chance)
        value = writer.value() if chance.random() < 0.5 else writer.template()
        if chance.random() < 0.002:
            value = writer.bomb()
        if chance.random() < 0.1:
            value = tokens_mutant(value, _WORDS, chance)
        files = dict(_FILES_OF_ALL)
        match chosen(chance, {"value": 6, "file": 3, "prompt": 2, "variable": 1}):
            case "value":
                files["agents/a.yaml"] = chance.choice(_PLACES).replace("VALUE", _quoted(value))
            case "file":
                files["agents/a.yaml.j2"] = chance.choice(_WHOLE).replace("VALUE", value)
            case "prompt":
                files["prompts/p.md"] = value
                files["agents/a.yaml"] = _PLACES[0].replace("VALUE", "\"{% include 'prompts/p.md' %}\"")
            case _:
                files["fleet.yaml"] += f"  made: {_quoted(value)}\n  again: '{{{{ made }}}}'\n"
                files["agents/a.yaml"] = _PLACES[0].replace("VALUE", '"{{ again }}"')
        return Fleet({name: encoded(text) for name, text in files.items()})

    def check(self, made: Fleet) -> Outcome:
        return check_load(made, self._directory)


def _quoted(text: str) -> str:
    """A text as YAML."""
    return "'" + text.replace("'", "''").replace("\n", "\n\n") + "'"


_AGENT = "channels:\n- channel: a\n  agents:\n  - name: b\n    properties:\n"
_PLACES = (
    _AGENT + "      llm: {greeting_message: VALUE}\n",
    _AGENT + "      labels: {k: VALUE}\n",
    _AGENT + "      llm: {template_variables: VALUE, max_history: VALUE}\n",
    _AGENT + "      parameters: VALUE\n",
    _AGENT + "      idle_timeout: VALUE\n",
    "channels:\n- channel: VALUE\n  agents: [{name: b}]\n",
    "channels:\n- channel: c-{{ item.name }}\n  for_each: VALUE\n  agents: [{name: b}]\n",
    "channels:\n- channel: c\n  agents: [{name: 'b{{ item }}', for_each: VALUE}]\n",
    "channels:\n- channel: c\n  agents: [{name: b, when: VALUE, variables: {text: VALUE}}]\n",
    "channels:\n- channel: c\n  agents: [{name: b, profile: VALUE, previously: VALUE, lifecycle: {paused: VALUE}}]\n",
)
_FILES_OF_ALL = {
    "fleet.yaml": _FLEET,
    "prompts/a.md": "{{ text }}",
    "prompts/b.md": "{% macro m(x) %}{{ x }}{% endmacro %}",
}
_WHOLE = (
    "channels:\n- channel: c\n  agents:\n  - name: b\n    properties:\n      labels: {k: VALUE}\n",
    "channels:\n- channel: c\n  agents:\n  - name: b\n    properties:\n      labels: {k: 'VALUE'}\n",
    "{% for item in rows %}\nchannels:\n- channel: VALUE\n  agents: [{name: b}]\n{% endfor %}\n",
    "channels:\nVALUE\n- channel: c\n  agents: [{name: b}]\n",
    "VALUE\n",
)
