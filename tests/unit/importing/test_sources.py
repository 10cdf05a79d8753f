"""What is read out of files of JSON and of shell, and how what cannot be read is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import ReconcilerError
from reconciler.importing.bodies import read_sources
from reconciler.importing.files import fleet_of
from reconciler.importing.shell import OPEN, SHUT
from tests.growth.measure import TESTED, growth

BODY = {"name": "a", "properties": {"channel": "lobby", "llm": {"url": "https://x.example.com"}}}
TEXT = json.dumps(BODY)
JOIN = "https://api.agora.io/api/conversational-ai-agent/v2/projects/p/join"


def trees(text: str, file: str = "f", files: dict[str, str] | None = None) -> list[dict[str, Any]]:
    return [each.tree for each in read_sources({file: text}, lambda name, where: (files or {})[name]).bodies]


def refused(text: str) -> str:
    with pytest.raises(ReconcilerError) as problem:
        trees(text)
    return problem.value.message


# --- JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [(TEXT, 1), (f"[{TEXT}, {TEXT}]", 2), (f"{TEXT}\n{TEXT}\n\n{TEXT}", 3), (f"\ufeff  {TEXT}", 1), (f"[{TEXT}]\n{TEXT}", 2)],
)  # fmt: skip
def test_bodies_of_json(text: str, count: int) -> None:
    assert trees(text) == [BODY] * count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: neither a join body nor a curl command that joins"),
        ("{", "f:1: this is no JSON: Expecting property name enclosed in double quotes"),
        ('{"a": 1,\n"b": }', "f:2: this is no JSON: Expecting value"),
        (f'{TEXT}\n\n{{"name": "x"}}', "f:3: this is no join body"),
        ("[1]", "f:1: this is no join body"),
        ('{"properties": []}', "f:1: this is no join body"),
        ('{"name": "a", "name": "b", "properties": {}}', "f:1: a key that occurs twice in one object: which value is meant?"),
        ('{"properties": {"a": NaN}}', "f:1: the number NaN, which is no JSON"),
        ('{"properties": {"a": 1e999}}', "f:1: a number that is too large"),
        ('{"properties": {"a": 99999999999999999999999}}', "f:1: a number that does not fit into 64 bits"),
        (f'{{"properties": {{"a": {"1" * 5000}}}}}', "f:1: a number that does not fit into 64 bits"),
        (f'{{"properties": {{"a": {"[" * 60}{"]" * 60}}}}}', "f:1: a value that is nested deeper than 40"),
        (f'{{"properties": {{"a": {"[" * 100_000}', "f:1: a value that is nested deeper than 40"),
        ('{"properties": {"a\\u0000": 1}}', "f:1: a control character in a key"),
        ("hello", "f:1: neither a join body nor a curl command that joins"),
        ("curl https://x/leave -d '{}'", "f:1: neither a join body nor a curl command that joins"),
    ],
)  # fmt: skip
def test_what_is_no_body_is_told_with_its_line(text: str, message: str) -> None:
    assert refused(text) == message


def test_every_problem_is_told_at_once() -> None:
    text = f"curl {JOIN} -d 'x'\ncurl {JOIN} -d '{TEXT}'\ncurl {JOIN} -F a=b\ncurl {JOIN}\n"
    assert refused(text) == (
        "3 problems; nothing was written\n"
        "f:1: this is no JSON: Expecting value\n"
        "f:3: a join whose body is given with -F (give the body with --data or --json)\n"
        "f:4: a join without a body (give it with --data or --json)"
    )


# --- shell ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        f"curl {JOIN} -d '{TEXT}'",
        f"curl -X POST '{JOIN}' --data-raw '{TEXT}' --compressed",
        f"$ curl --location --request POST \"{JOIN}\" \\\n  --header 'Authorization: Basic x' \\\n  --data '{TEXT}'",
        f"curl {JOIN} --json {json.dumps(TEXT)}",
        f"curl {JOIN} -sSd'{TEXT}'",
        f"curl {JOIN} --data='{TEXT}'",
        f"curl -u a:b -XPOST {JOIN} -H X:y --data-binary @b.json",
        f"curl {JOIN} -d @- <<EOF\n{TEXT}\nEOF\n",
        f"curl {JOIN} -d @- <<'E O F' | jq .\n{TEXT}\nE O F",
        f"curl {JOIN} -d @- <<-EOF\n\t{TEXT}\n\tEOF\n",
        f"curl {JOIN} -d @- <<< '{TEXT}'",
        f"curl {JOIN} -d @- < b.json > out.txt 2>&1",
        f"ID=$(curl -s {JOIN} -d '{TEXT}' | jq -r .agent_id)",
        f"export ID=\"$(curl -s {JOIN} -d '{TEXT}')\"",
        f"if ! curl {JOIN} -d '{TEXT}'; then exit 1; fi",
        f"time /usr/bin/curl {JOIN} -d '{TEXT}' # started by 'me",
        f"BASE={JOIN}\ncurl $BASE -d '{TEXT}'",
        f"BODY='{TEXT}'\ncurl {JOIN} -d \"$BODY\"",
        f"curl ${{BASE}}/join -d '{TEXT}'",
        f"curl $URL -d '{TEXT}'",
        f"curl --proxy http://proxy/ --url {JOIN} -d '{TEXT}'",
        f"Don't do it by hand:\n\n```sh\ncurl {JOIN} -d '{TEXT}'\n```\n",
        f"it's\nNAME='open\ncurl {JOIN} -d '{TEXT}'",
        f"curl {JOIN} -d '{TEXT}'\r\n",
        f'curl --location "{JOIN}" ^\r\n--header "X: y" ^\r\n--data {json.dumps(TEXT)}\r\nexit /b',
        f'curl ^"{JOIN}^" ^\n  -H ^"x: y^" ^\n  --data-raw ^"{re.sub(r"([^a-z ])", r"^" + chr(92) + "1", json.dumps(TEXT)[1:-1])}^"\n',
        f"curl.exe '{JOIN}' `\n  -H 'X: y' `\n  -d '{TEXT}'\n",
        f"X=`curl {JOIN} -d '{TEXT}' `\nY=`",
    ],
)  # fmt: skip
def test_the_body_of_a_command(command: str) -> None:
    assert trees(command, files={"b.json": TEXT}) == [BODY]


def test_quotes_are_taken_off_as_the_shell_does() -> None:
    command = f"""curl {JOIN} -d $'{{"name": "it\\'s \\u00e9 \\\\n", "properties": {{"a": "\\x41"}}}}'"""
    assert trees(command) == [{"name": "it's é \n", "properties": {"a": "A"}}]
    command = f"""curl {JOIN} -d '{{"name": "it'"'"'s", "properties": {{}}}}'"""
    assert trees(command) == [{"name": "it's", "properties": {}}]
    command = f'curl {JOIN} -d "{{\\"name\\": \\"a\\$b\\", \\"properties\\": {{}}}}"'
    assert trees(command) == [{"name": "a$b", "properties": {}}]


def test_quotes_of_windows_shells_are_taken_off_as_they_do() -> None:
    command = f'curl "{JOIN}" ^\n -d "{{\\"name\\":\\"$5 `a\\nb %20\\",\\"properties\\":{{\\"key\\":\\"%MY_KEY%\\"}}}}"'
    assert trees(command) == [{"name": "$5 `a\nb %20", "properties": {"key": f"{OPEN}MY_KEY{SHUT}"}}]
    command = f'curl.exe "{JOIN}" `\n -d "{{`"name`":`"$env:NAME`",`"properties`":{{}}}}"'
    assert trees(command) == [{"name": f"{OPEN}NAME{SHUT}", "properties": {}}]


def test_a_line_of_a_windows_command_keeps_its_number() -> None:
    assert refused(f"rem\ncurl {JOIN} ^\n -X POST\n\ncurl {JOIN} -F a=b") == (
        "2 problems; nothing was written\n"
        "f:2: a join without a body (give it with --data or --json)\n"
        "f:5: a join whose body is given with -F (give the body with --data or --json)"
    )


def test_a_commented_command_starts_nothing() -> None:
    assert trees(f"# curl {JOIN} -d '{TEXT}'\ncurl {JOIN} -d '{TEXT}'") == [BODY]


def test_other_calls_are_skipped_and_named() -> None:
    found = read_sources(
        {"f": f"curl https://x/agents/1/leave -X POST\ncurl $URL -d '{{}}'\ncurl {JOIN} -d '{TEXT}'"},
        lambda name, where: "",
    )
    assert [str(each) for each in found.others] == ["f:1", "f:2"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"\ncurl {JOIN} -d '{{", "f:2: the quote that opens here has no end"),
        (f'curl {JOIN} -d "{{', "f:1: the quote that opens here has no end"),
        (f"curl {JOIN} -d $'x", "f:1: the quote that opens here has no end"),
        (f"curl {JOIN} -d @- <<EOF\n{{}}\n", "f:1: the here-document that begins below has no end"),
        (f"curl {JOIN} -d @-", "f:1: the body comes from elsewhere when this is run"),
        (f"curl {JOIN} -d @$FILE", "f:1: the body comes from elsewhere when this is run"),
        (f"\n\ncurl {JOIN} \\\n -d '{{\"a\":\n\n}}'", "f:6: this is no JSON: Expecting value"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_read_is_told_with_its_line(command: str, message: str) -> None:
    assert refused(command) == message


# --- variables --------------------------------------------------------------------------------------------------


def files(text: str) -> dict[str, str]:
    made = fleet_of("demo", {"kind": "agora"}, read_sources({"f": text}, lambda name, where: "").bodies)
    return {**made.files, "names": " ".join(made.names.places)}


def test_a_credential_from_a_variable_refers_to_that_variable() -> None:
    body = '{"name": "a", "properties": {"channel": "\'$CHANNEL\'", "llm": {"url": "https://api.openai.com/v1", "api_key": "\'"$MY_KEY"\'", "headers": {"Authorization": "Bearer \'${OTHER:-x}\'"}}, "tts": {"vendor": "microsoft", "params": {"key": "\'$AGORA_APP_CERTIFICATE\'", "region": "\'${REGION:-eastus}\'"}}}}'
    made = files(f"CHANNEL=lobby\nMY_KEY=the-value-itself\ncurl {JOIN} -d '{body}'")
    agents = made["agents/imported.yaml"]
    assert "channel: lobby" in agents
    assert "api_key: ref+env://MY_KEY\n" in agents
    assert "Authorization: Bearer ref+env://OTHER+\n" in agents
    assert "key: ref+env://MICROSOFT_TTS_KEY\n" in agents, "our own credentials are given to nobody"
    assert "region: eastus" in agents
    assert "the-value-itself" not in str(made)


def test_a_name_that_a_later_source_uses_is_given_to_no_other_value() -> None:
    own = {
        **BODY,
        "properties": {**BODY["properties"], "llm": {"url": "https://api.openai.com/v1", "api_key": "mine"}},
    }
    theirs = {
        **own,
        "properties": {
            **own["properties"],
            "channel": "desk",
            "llm": {"url": "https://x.example.com", "api_key": "KEY"},
        },
    }
    second = json.dumps(theirs).replace('"KEY"', "\"'$OPENAI_API_KEY'\"")
    made = files(f"curl {JOIN} -d '{json.dumps(own)}'\ncurl {JOIN} -d '{second}'")
    assert made["names"] == "OPENAI_API_KEY_2 OPENAI_API_KEY"


def test_a_number_from_a_variable_is_filled_in() -> None:
    body = '{"name": "a", "properties": {"channel": "lobby", "idle_timeout": \'$IDLE\'}}'
    assert "idle_timeout: 30\n" in files(f"IDLE=30\ncurl {JOIN} -d '{body}'")["agents/imported.yaml"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"name": "a", "properties": {"channel": "\'$X\'"}}', "f:1: not set in this source: $X (channel)"),
        ('{"name": "a", "properties": {"channel": "l", "llm": {"params": {"model": "\'$X\'"}}}}', "f:1: not set in this source: $X (llm.params.model)"),
        ('{"name": "\'$N\'-\'$X\'", "properties": {"channel": "l", "llm": {"url": "\'$X\'", "params": {"model": "\'$M\'", "t": "\'`date`\'"}}}}',
         "f:1: not set in this source: $N (name), $X (name), $X (llm.url), $M (llm.params.model), $(…) (llm.params.t)"),
        ('{"name": "a$Q", "properties": {"channel": "l", "idle_timeout": \'$IDLE\', "asr": \'$ASR\'}}', "f:1: not set in this source: $IDLE (in the JSON, outside of quotes), $ASR (in the JSON, outside of quotes)"),
        ("'$BODY'", "f:1: not set in this source: $BODY (in the JSON, outside of quotes)"),
        ('{"name": 5, "properties": {"channel": "l"}}', "f:1: the name is no text"),
        ('{"name": "a", "properties": {"channel": "a/b"}}', "f:1: the service takes no channel of this name"),
        ('{"name": "sk-0123456789abcdefABCDEF", "properties": {"channel": "a"}}', "f:1: the name holds what looks like a key, or a control character"),
    ],
)  # fmt: skip
def test_what_a_body_does_not_tell_is_an_error(body: str, message: str) -> None:
    with pytest.raises(ReconcilerError) as problem:
        files(f"curl {JOIN} -d '{body}'")
    assert problem.value.message == message


def test_this_machines_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_MODEL", "from-the-environment")
    with pytest.raises(ReconcilerError, match=r"not set in this source: \$SECRET_MODEL \(x\)"):
        files(
            f'curl {JOIN} -d \'{{"name": "a", "properties": {{"channel": "l", "x": "\'$SECRET_MODEL\'"}}}}\''
        )


# --- time -------------------------------------------------------------------------------------------------------

GROWING: dict[str, Callable[[int], str]] = {
    "commands": lambda n: f"curl {JOIN} -d '{TEXT}'\n" * (n // 20),
    "prose": lambda n: "the curl of it's hair; " * n,
    "one line": lambda n: f"curl {JOIN} " + "-H 'a: b' " * n + f"-d '{TEXT}'",
    "semicolons": lambda n: ";" * n * 10 + f"curl {JOIN} -d '{TEXT}'",
    "assignments": lambda n: "A=b\n" * n + f"curl {JOIN} -d '{TEXT}'",
    "open quotes": lambda n: "A='\n" * n,
    "open nests": lambda n: 'A="$(\n' * n,
    "carets": lambda n: f"curl {JOIN} -d '{TEXT}' " + "^\n ^\"" * n,
    "backslashes": lambda n: f"curl {JOIN} -d '{TEXT}' " + "\\\n" * n,
    "a document": lambda n: f"curl {JOIN} -d @- <<X\n" + '{"name": "a", "properties": {"channel": "c", "x": "' + "$A \\$ " * n + '"}}\nX\n',
    "variables outside of texts": lambda n: f"curl {JOIN} -d '" + '{"a": "' + '\\"' * n + "'$A'" + "' $A \\" * n + "'",
    "json lines": lambda n: f"{TEXT}\n" * (n // 10),
    "a prompt": lambda n: json.dumps({"name": "a", "properties": {"channel": "c", "x": "{{ sk- eyJ " * n}}),
    "a key each": lambda n: "\n".join(json.dumps({"name": f"a{at}", "properties": {"channel": f"c{at}", "llm": {"api_key": f"{at}-is-a-key-of-an-agent", "greeting_message": "is-a-key-of-an-agent " * 9}}}) for at in range(n // 10)),
    "headers": lambda n: json.dumps({"name": "a", "properties": {"channel": "c", "x": {f"key{at}": f"v{at}" for at in range(n // 20)}}}),
}  # fmt: skip


@pytest.mark.parametrize("shape", GROWING)
def test_time_grows_as_the_text_does(shape: str) -> None:
    def make(text: str) -> None:
        fleet_of("demo", {"kind": "agora"}, read_sources({"f": text}, lambda name, where: "").bodies)

    found = growth(make, GROWING[shape], TESTED)
    assert found.is_linear, found
