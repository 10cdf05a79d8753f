"""Template injection: the payloads, the ground on which they are let loose, and the watch that sees what they do.

In the payloads `@MARKER@` is a file to be made, `@OUTSIDE@`, `@HIDDEN@`, `@ENV@` and `@MODULE@` (its `MEMORY`) are
where something can be read that nobody may read, and ⏎ is a line break.
"""

from __future__ import annotations

import mmap
import os
import random
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import reconciler
from tests.hostile.canaries import spellings

# What nobody may read; in MEMORY as a value of this module.
VARIABLE = "INJECTION_CANARY"
ENVIRONMENT = "env-Wq3Zt8Lk1Xv6/Pd9+Gb2"
MEMORY = "mem-Jh5Rn2Yc7Ts4/Mf0+Ek8"
OUTSIDE = "out-Vb6Kd9Qx3Lw1/Zp7+Sa5"
HIDDEN = "hid-Cg4Xm8Uf2Hr5/Ty1+Wn0"

_PYTHON = re.compile(
    r"<(?:class|function|module|built-in|bound|unbound|method|generator|code|frame|cell|property|slot|attribute"
    r"|macro|loopcontext|templatereference|templatemodule)\w*\b[^>]*|<[\w.]+ object|\bat 0x[0-9a-f]{6,}",
    re.IGNORECASE,
)


@cache
def corpus() -> tuple[str, ...]:
    """Every payload, in the order of the files."""
    files = sorted(Path(__file__).with_name("payloads").glob("*.txt"))
    return tuple(line for file in files for line in file.read_text(encoding="utf-8").split("\n") if line)


# --- the ground -----------------------------------------------------------------------------------------------------

VARIABLES = """\
variables:
  text: abc
  number: 3
  hotel: {name: Ritz, stars: 5}
  hotels: [{name: Ritz, stars: 5}, {name: Savoy, stars: 4}]
"""
_FILES = {
    "prompts/macros.md": "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{% macro _private() %}{% endmacro %}"
    "{% set loader = load %}{% set ranger = range %}",
    "prompts/base.md": "Welcome. {% block a %}{{ text }}{% endblock %}",
    "prompts/twice.md": "{% set inner = '{{ 7 * 7 }}' %}{{ inner }}{{ '{{ text }}' }}{% raw %}{{ text }}{% endraw %}",
    "prompts/.hidden.md": HIDDEN,
    "data/hotels.yaml": "- {name: Ritz, path: ../outside.yaml, template: '{{ lipsum.__globals__ }}'}\n",
    "data/.hidden.yaml": f"secret: {HIDDEN}\n",
    ".hidden.yaml": f"secret: {HIDDEN}\n",
    ".env": f"SECRET={HIDDEN}\n",
    ".git/config": f"[secret]\nvalue = {HIDDEN}\n",
    ".git/config.yaml": f"secret: {HIDDEN}\n",
}


@dataclass(frozen=True)
class Ground:
    """A fleet's directory, and around it what payloads are after."""

    top: Path

    @property
    def fleet(self) -> Path:
        return self.top / "fleet"

    @property
    def marker(self) -> Path:
        return self.top / "marker"

    def prepare(self) -> None:
        """Write everything that is not the fleet itself."""
        for name, text in _FILES.items():
            path = self.fleet / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        outside = self.top / "elsewhere" / "outside.yaml"
        outside.parent.mkdir()
        outside.write_text(f"secret: {OUTSIDE}\n", encoding="utf-8")
        (self.top / "outside.yaml").write_text(f"secret: {OUTSIDE}\n", encoding="utf-8")
        (self.fleet / "prompts" / "out.md").symlink_to(outside)
        (self.fleet / "prompts" / "tree").symlink_to(outside.parent)
        (self.fleet / "data" / "out.yaml").symlink_to(outside)

    def armed(self, payload: str) -> str:
        """A payload with its targets filled in."""
        targets = {
            "@MARKER@": str(self.marker),
            "@OUTSIDE@": str(self.top / "outside.yaml"),
            "@HIDDEN@": ".hidden.yaml",
            "@ENV@": VARIABLE,
            "@MODULE@": __name__,
            "@DIGITS@": "9" * 5_000,
            "⏎": "\n",
        }
        for name, value in targets.items():
            payload = payload.replace(name, value)
        return payload

    def damage(self, said: str, watch: Watch) -> list[str]:
        """What payloads achieved, given all that came out; afterwards the ground is as before."""
        found = list(watch.seen())
        if self.marker.exists() or self.marker.is_symlink():
            found.append("the marker was made")
            self.marker.rmdir() if self.marker.is_dir() else self.marker.unlink()
        found += [f"leaked: {name}" for name, form in _forms() if form in said]
        if shown := _PYTHON.search(said):
            found.append(f"Python's insides are shown: {shown[0]}")
        return found


@cache
def _forms() -> tuple[tuple[str, str], ...]:
    """Every spelling of every canary."""
    canaries = {"environment": ENVIRONMENT, "memory": MEMORY, "outside": OUTSIDE, "hidden": HIDDEN}
    return (
        *(
            (f"{name}, {kind}", form.decode())
            for name, value in canaries.items()
            for kind, form in spellings(value).items()
        ),
        ("/etc/passwd", "root:x:0"),
    )


# --- the watch ------------------------------------------------------------------------------------------------------

# What Python tells its auditors and no template may cause; a name that ends in a dot stands for all that begin so.
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.forkpty", "os.startfile", "subprocess.Popen", "pty.spawn"),
    *("os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown"),
    *("os.putenv", "os.chdir", "shutil.", "tempfile.", "ctypes.", "socket.", "urllib.", "http.client.", "ftplib."),
    *("smtplib.", "webbrowser.", "sqlite3.connect", "gc.get_", "sys.settrace", "sys.setprofile"),
)  # fmt: skip
_REFUSED = ("socket.", "urllib.", "http.client.")
_PLACES = frozenset({"open", "os.listdir", "os.scandir"})
_CPU_TIME = re.compile(r"/proc/\d+/stat")
_FRAMES = re.compile(r"(?:gi|cr|ag)_(?:frame|code)")
_STRANGE_MODULES = frozenset(
    {"antigravity", "code", "pdb", "pty", "runpy", "telnetlib", "this", "webbrowser"}
)
_COUNT = struct.Struct("<I")
_ROOM = 4096


class Watch:
    """Hears what Python tells its auditors while it is armed, also in forked children: their memory is shared.

    A hook cannot be taken away again, so there is one for the whole process.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM)
        self._fleet = ""
        installed = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), *filter(None, sys.path))
        ours = Path(reconciler.__file__).parents[1]
        self._libraries = tuple(f"{os.path.realpath(each)}/" for each in (*installed, str(ours)))
        sys.addaudithook(self._hear)

    @contextmanager
    def over(self, fleet: Path) -> Iterator[None]:
        """Be armed; the files of this fleet may be read, hidden ones excepted."""
        self._fleet = f"{os.path.realpath(fleet)}/"
        self._memory[0] = 1
        try:
            yield
        finally:
            self._memory[0] = 0

    def seen(self) -> list[str]:
        """The first offence and the number of all, if there was one; afterwards there was none."""
        count = _COUNT.unpack_from(self._memory, 1)[0]
        text = self._memory[5:].rstrip(b"\0").decode(errors="replace")
        self._memory[1:] = bytes(_ROOM - 1)
        return [f"{count} offences, the first: {text}"] if count else []

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        memory = self._memory
        if not memory[0] or not self._is_offence(event, arguments):
            return
        memory[0] = 0
        if not memory[5]:
            text = f"{event} {arguments!r}".encode(errors="replace")[:1000]
            memory[5 : 5 + len(text)] = text
        _COUNT.pack_into(memory, 1, _COUNT.unpack_from(memory, 1)[0] + 1)
        memory[0] = 1
        if event.startswith(_REFUSED):
            raise PermissionError(event)

    def _is_offence(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open" and _is_component(arguments):
            return False
        if event in _PLACES:
            return not self._is_allowed(arguments[0], _writes(arguments) if event == "open" else False)
        if event == "object.__getattr__":
            return _FRAMES.fullmatch(str(arguments[1])) is not None
        if event == "import":
            return arguments[0] in _STRANGE_MODULES
        return event.startswith(_FORBIDDEN)

    def _is_allowed(self, place: Any, writes: bool) -> bool:
        if place is None or isinstance(place, int):
            return True
        path = os.path.realpath(os.fsdecode(place))
        # Python looks for the line of a syntax error in the file of this name.
        if path in {os.devnull, f"/proc/{os.getpid()}/statm"} or path.endswith("/<template>"):
            return True
        if _CPU_TIME.fullmatch(path):  # of the child, while nothing is heard of it
            return not writes
        if f"{path}/".startswith(self._fleet):
            return not writes and "/." not in f"/{path[len(self._fleet) :]}"
        return f"{path}/".startswith(self._libraries) and (not writes or "__pycache__" in path)


def _is_component(arguments: tuple[Any, ...]) -> bool:
    """Whether one visible name is opened to be read and no link followed: relative to a directory that was opened before."""
    place, _mode, flags = arguments
    name = place if isinstance(place, str) else "/"
    is_plain = "/" not in name and not name.startswith(".")
    return is_plain and bool((flags or 0) & getattr(os, "O_NOFOLLOW", 0)) and not _writes(arguments)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _path, mode, flags = arguments
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@cache
def the_watch() -> Watch:
    return Watch()


# --- payloads by a generator ----------------------------------------------------------------------------------------

_VALUES = (
    *("''", "[]", "{}", "()", "1", "1.5", "true", "none", "text", "number", "hotel", "hotels", "(1, 2)", "absent", "fleet"),
    *("range(3)", "hotel.items()", "hotel.get", "text.upper", "(text ~ 1)", "([text]|map('upper'))"),
)  # fmt: skip
_FUNCTIONS = (
    *("lipsum", "load", "range", "url_for", "get_flashed_messages", "cycler.next", "joiner.__call__", "loop.cycle"),
    *("request.application", "config.from_pyfile", "cycler.__init__", "joiner.__init__", "namespace.__init__"),
    *("absent.__init__", "self.__init__", "caller", "super"),
)  # fmt: skip
# Names to go along one after the other, and what is done at the end of the way.
_Way = tuple[tuple[str, ...], str]
_TO_CLASSES: tuple[_Way, ...] = (
    (("__class__",), ""),
    (("__class__", "__base__"), ""),
    (("__class__", "__bases__"), ""),
    (("__class__", "__class__"), ""),
    (("__class__", "__mro__"), "[-1]"),
    (("__class__", "__base__", "__subclasses__"), "()"),
    (("__class__", "__init__", "__objclass__"), ""),
    (("__getattribute__",), "('__class__')"),
    (("__reduce_ex__",), "(2)"),
    (("__init_subclass__",), ""),
)
_TO_WORLD: tuple[_Way, ...] = (
    (("__globals__", "os", "system"), "('touch @MARKER@')"),
    (("__globals__", "os", "popen"), "('touch @MARKER@').read()"),
    (("__globals__", "os", "listdir"), "('/')"),
    (("__globals__", "os", "environ", VARIABLE), ""),
    (("__globals__", "__builtins__", "open"), "('@MARKER@', 'w')"),
    (("__globals__", "__builtins__", "open"), "('@OUTSIDE@').read()"),
    (("__globals__", "__builtins__", "eval"), "(\"open('@MARKER@', 'w')\")"),
    (("__globals__", "__builtins__", "__import__"), "('subprocess').call(['touch', '@MARKER@'])"),
    (("__builtins__", "open"), "('@OUTSIDE@').readline()"),
    (("__globals__", "sys", "modules", __name__, "MEMORY"), ""),
    (("__globals__", "os", "sys", "modules", __name__, "MEMORY"), ""),
    (("__code__", "co_filename"), ""),
    (("__class__", "__base__"), ""),
)
_SINKS = (
    *("{{ X }}", "{{ X|string }}", "{{X}}", "{{- X -}}", "Welcome {{ X }}", "{% set x = X %}{{ x }}"),
    *("{% if X %}{{ X }}{% endif %}", "{% for x in [X] %}{{ x }}{% endfor %}", "{% with x = X %}{{ x }}{% endwith %}"),
    *("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(X) }}", "{% set x %}{{ X }}{% endset %}{{ x }}", "{{ [X]|join }}"),
    *("{% filter trim %}{{ X }}{% endfilter %}", "{{ 'a' ~ X }}", "{{ [X] }}", "{{ {'a': X} }}", "{{ hotel[X] }}"),
    *("{% include X %}", "{{ load(X) }}", "{{ absent|default(X) }}", "{{ X if X else 1 }}", "{{ (X)|tojson }}"),
    *("{% autoescape true %}{{ X }}{% endautoescape %}", "{# #}{{ X }}", "{{ [X]|map('string')|list }}"),
    *("{% raw %}{% endraw %}{{ X }}", "{% block b %}{{ X }}{% endblock %}", "{{ '{0}'.format(X) }}", "{{ X\n}}"),
)  # fmt: skip


@dataclass
class Generator:
    """Payloads of fragments: something to start from, a way from there, how each step is said, and where it ends."""

    chance: random.Random = field(default_factory=lambda: random.Random("injection"))

    def payloads(self, count: int) -> list[str]:
        """So many different ones."""
        found: dict[str, None] = {}
        while len(found) < count:
            found.setdefault(self._payload())
        return list(found)

    def _payload(self) -> str:
        if self.chance.random() < 0.4:
            expression, (way, end) = self.chance.choice(_VALUES), self.chance.choice(_TO_CLASSES)
        else:
            expression, (way, end) = self.chance.choice(_FUNCTIONS), self.chance.choice(_TO_WORLD)
        for name in way:
            expression = self._step(expression, name)
        return self.chance.choice(_SINKS).replace("X", expression + end)

    def _step(self, owner: str, name: str) -> str:
        said = self._said(name)
        match self.chance.randrange(8):
            case 0 | 1 if name.isidentifier():
                return f"{owner}.{name}"
            case 2 | 3:
                return f"({owner}|attr({said}))" if name.startswith("__") else f"{owner}[{said}]"
            case 4:
                return f"([{owner}]|map(attribute={said})|first)"
            case 5 if name.startswith("__"):
                return f"({owner}).__getattribute__({said})"
            case 6:
                return f"(({owner}, 1)|first)[{said}]"
            case _:
                return f"({owner})[{said}]"

    def _said(self, name: str) -> str:
        half = self.chance.randrange(1, len(name))
        start, end = name[:half], name[half:]
        hidden = "".join(f"\\x{ord(each):02x}" if self.chance.random() < 0.5 else each for each in name)
        return self.chance.choice(
            (
                *(f"'{name}'", f"'{start}' ~ '{end}'", f"'{start}' '{end}'", f"['{start}', '{end}']|join"),
                *(f"'{hidden}'", f"'{name[::-1]}'[::-1]", f"'{name[::-1]}'|reverse", f"'{name}x'[:-1]"),
                *(f"' {name} '|trim", f"'{name.replace('_', '-')}'|replace('-', '_')"),
            )
        )
