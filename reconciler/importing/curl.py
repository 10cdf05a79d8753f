"""The words of a curl command -> the join request that it sends: its address, its body and the body's place.

Options as in curl's manual (curl.1). Headers and users are skipped: credentials of the call are no part of a fleet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from urllib.parse import urlsplit

from reconciler.contract.literals import word_set
from reconciler.importing.problems import SourceLine, Unimportable
from reconciler.importing.shell import MARK, ShellCommand, Word, filled
from reconciler.model.fleet import Area
from reconciler.values import dataclass

# Short options that take a value: `-dVALUE`, `-sd VALUE`.
_TAKE_A_VALUE = frozenset("AbcCdDeEFhHKmoPQrtTuUwxXyYz")
_DATA = frozenset({"d", "data", "data-ascii", "data-binary", "data-raw", "json"})
_UNREADABLE = frozenset({"data-urlencode", "form", "F", "form-string", "upload-file", "T", "url-query"})
# Long options whose value must not be read as the address.
_LONG_WITH_A_VALUE = word_set(
    "abstract-unix-socket cacert capath cert connect-to cookie cookie-jar dns-servers header interface key "
    "max-time netrc-file noproxy oauth2-bearer output pass preproxy proxy proxy-header proxy-user referer request "
    "request-target resolve retry unix-socket user user-agent write-out"
)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
# The hosts of areas: `api-eu-west-1.agora.io`.
_HOST = re.compile(r"https?://api-([a-z]{2})-[a-z0-9-]+\.(?:agora\.io|sd-rtn\.com)[:/]")
_PROJECT = re.compile(r"/projects/([0-9A-Fa-f]{32})/join/?$")

# Returns the text of a file, given its name and the line that names it.
ReadFile = Callable[[str, SourceLine], str]


@dataclass(frozen=True, slots=True)
class JoinCall:
    """A join request in a command: the text of its body, where that begins, and what the address says of the service.

    `service` has the keys of a fleet's `service` block. `is_certain` is False if the address is hidden in a variable:
    then the body decides whether this is a join.
    """

    body: str
    at: SourceLine
    variables: dict[str, str]
    service: Mapping[str, str] = field(default_factory=dict)
    is_certain: bool = True


def join_call(command: ShellCommand, read: ReadFile) -> JoinCall | None:
    """Return the join that a command sends; None if it does something else. Raises `Unimportable`."""
    options = list(_options(command.words))
    variables = dict(command.variables)
    addresses = [filled(word.text, variables) for name, word in options if name in ("", "url")]
    address = next((each for each in addresses if _ADDRESS.match(each) or MARK.match(each)), "")
    path = _path(address)
    data = [(name, word) for name, word in options if name in _DATA]
    is_certain = path.rstrip("/").endswith("/join")
    if not is_certain and not (data and MARK.fullmatch(address)):
        return None
    odd = next((name for name, _ in options if name in _UNREADABLE), None)
    if odd is not None:
        raise Unimportable.at(
            command.at,
            f"a join whose body is given with {_spelled(odd)}",
            "give the body with --data or --json",
        )
    pieces = [_text(name, word, command, read) for name, word in data]
    if not pieces:
        raise Unimportable.at(command.at, "a join without a body", "give it with --data or --json")
    text, begin = pieces[0]
    body = text + "".join(each for each, _ in pieces[1:])
    return JoinCall(body, begin, variables, dict(_service(address, path)), is_certain)


def _service(address: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield area and App ID if the address shows them (v2 API reference: base URLs)."""
    host = _HOST.match(address)
    if path.startswith("/cn/"):
        yield "area", Area.CN.value
    elif host is not None and host[1].upper() in Area.__members__:
        yield "area", host[1].upper()
    if (project := _PROJECT.search(path)) is not None:
        yield "app_id", project[1]


def _path(address: str) -> str:
    try:
        return urlsplit(MARK.sub("x", address)).path
    except ValueError:
        return ""


def _options(words: tuple[Word, ...]) -> Iterator[tuple[str, Word]]:
    """Yield every option that has a value, and every other word under the name ''."""
    waiting = iter(words)
    for word in waiting:
        text = word.text
        if text.startswith("--") and len(text) > 2:
            name, equals, value = text[2:].partition("=")
            if equals:
                yield name, Word(value, word.at)
            elif name in _DATA | _UNREADABLE | _LONG_WITH_A_VALUE or name == "url":
                yield from ((name, each) for each in (next(waiting, None),) if each is not None)
        elif text.startswith("-") and len(text) > 1:
            place = next((at for at, each in enumerate(text) if at and each in _TAKE_A_VALUE), None)
            if place is None:
                continue
            rest = text[place + 1 :]
            value_word = Word(rest, word.at) if rest else next(waiting, None)
            if value_word is not None:
                yield text[place], value_word
        else:
            yield "", word


def _text(name: str, word: Word, command: ShellCommand, read: ReadFile) -> tuple[str, SourceLine]:
    """Return the data of an option, and the line where it begins."""
    if name == "data-raw" or not word.text.startswith("@"):
        return word.text, word.at
    path = filled(word.text[1:], command.variables)
    if path == "-" and command.input is not None:
        return command.input.text, command.input.at
    if path == "-" and command.input_from is not None:
        path = filled(command.input_from.text, command.variables)
    if path == "-" or MARK.search(path):
        raise Unimportable.at(
            word.at,
            "the body comes from elsewhere when this is run",
            "write it to a file and name that in --from",
        )
    return read(path, word.at), SourceLine(path)


def _spelled(option: str) -> str:
    return f"-{option}" if len(option) == 1 else f"--{option}"
