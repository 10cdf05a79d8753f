"""All rules by id, each with one line about its subject, an example of the mistake and the cure.

For `explain`, and for SARIF. The examples are the messages of `validate` for the fleets in `tests/bad_fleets`; a test
writes them into `examples.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

RULES: Final[Mapping[str, str]] = {
    "adopt-gap": "an adopted agent is written as it was joined",
    "adopt-without-uid": "an agent is adopted with the uid that it was joined with",
    "agent-id": "an agent's id is letters, digits, - and _",
    "agent-name": "an agent's name is letters, digits, - and _",
    "app-id": "an App ID is 32 hexadecimal digits",
    "avatar-life": "an agent is rotated before the token of its avatar runs out",
    "avatar-remote-uids": "an agent with an avatar hears one user",
    "avatar-sample-rate": "speech comes at the sample rate that the avatar takes",
    "avatar-token": "the token of an avatar is made at the join",
    "avatar-with-mllm": "an avatar beside an enabled mllm may be refused",
    "bad-address": "an address is <channel>/<agent>",
    "bad-duration": "a duration is numbers with units, within bounds",
    "bad-limit": "a limit is a number or a share",
    "bad-time": "a point in time has a date, a time of day and a zone",
    "channel-name": "a channel's name is at most 63 characters of a fixed set",
    "control-character": "control characters stand in no file and no text",
    "data-file": "a data file is what its name says",
    "deprecated-property": "the service documents this field or value as old",
    "disputed-params": "what only some sources demand of a vendor is looked at",
    "duplicate-address": "an address is declared once",
    "duplicate-key": "a mapping has each key once",
    "encryption-salt-missing": "encryption with a salt needs one",
    "environment-name": "an environment's name is a part of agents' names",
    "file-encoding": "files are UTF-8",
    "file-hidden": "what is hidden is not the fleet's",
    "file-kind": "files are regular files",
    "file-name": "file names are plain, and differ by more than case",
    "file-outside": "files stand inside the fleet's directory",
    "file-size": "files are bounded",
    "file-unreadable": "files can be read",
    "fleet-name": "a fleet's name is a part of agents' names",
    "geofence-exclude": "an area is excluded from the whole world only",
    "greeting-message-missing": "a recorded greeting needs its words",
    "ignore-rule": "an ignored warning is that of a known rule",
    "ignore-unused": "an ignored warning is one that there is",
    "ignored-nothing": "an ignored path is one that the agent has",
    "ignored-path": "an ignored path is sent and compared by itself",
    "ignored-uid": "an ignored uid is still the one that tokens are made for",
    "include-link": "a pattern leads through no link to a directory",
    "include-nothing": "a pattern that is written matches something",
    "include-size": "what a pattern walks through is bounded",
    "invalid-property": "a value is one that the service takes",
    "invisible-character": "names, ids and addresses hold only what can be seen",
    "literal-secret": "credential fields hold references, never values",
    "loop-name": "a loop's name means the loop's item and nothing else",
    "managed-credentials": "Agora's own credentials are for the vendors and models of its list",
    "missing-key": "a block has the keys that make it one",
    "missing-params": "a vendor is given what it must be given",
    "missing-property": "a part has the keys that the service requires",
    "missing-slot": "an agent has a language model and a voice",
    "mllm-excludes": "an enabled mllm takes the place of asr, llm and tts",
    "mllm-not-enabled": "an mllm does nothing until it is enabled",
    "no-fleet": "a fleet's directory holds fleet.yaml",
    "not-boolean": "a switch is true or false, never a text",
    "partial-llm-params": "llm.params names the model, because it is replaced as a whole",
    "preset-twice": "a preset names one thing of each kind",
    "preview-vendor": "some vendors are offered as a preview only",
    "previously-declared": "a previous address is not in use any more",
    "previously-twice": "a previous address leads to one agent",
    "profile-cycle": "profiles do not extend each other in a circle",
    "remote-uids-many": "more than one remote uid is not documented to work",
    "remote-uids-missing": "an agent is told whom it hears",
    "remote-uids-taken": "an agent hears users, not itself and not another agent",
    "removed-property": "the service has this field no longer",
    "reserved-property": "channel and token belong to the reconciler",
    "rotate-spread": "the last rotation of a spread comes at 70 h at the latest",
    "rtm-not-enabled": "what travels over RTM needs RTM",
    "runtime-variable-clash": "the service's variables and ours have different names",
    "sal-not-enabled": "attention to one speaker does nothing until it is enabled",
    "sal-samples-missing": "a speaker is recognised by a sample",
    "secret-file": "a secret's file is one of the fleet, or made for it, and not hidden",
    "secret-like": "what looks like a key stands in no free field",
    "secret-malformed": "what begins like a reference is one",
    "secret-misplaced": "references stand where their values are used and never handed back",
    "secret-reserved": "the reconciler's own credentials are not for agents",
    "secret-scheme": "a secret's source is one that runs nothing and asks nobody of the files' choice",
    "secret-server": "where secrets are asked for is not for the files to say",
    "silence-content-missing": "breaking the silence needs words",
    "template-failed": "a template's expression can be evaluated",
    "template-forbidden": "a template uses only what templates may use",
    "template-include": "a template includes files of the fleet, by plain names",
    "template-not-allowed": "what is read before rendering is no template",
    "template-secret": "references stand outside of template expressions",
    "template-size": "a template's text and nesting are bounded",
    "template-syntax": "a template is well-formed",
    "template-time": "a template's time is bounded",
    "too-many-agents": "the number of agents is bounded",
    "tools-not-enabled": "tools do nothing until they are enabled",
    "uid-clash": "the agents and avatars of one channel have different uids",
    "uid-not-numeric": "a uid is a number unless texts are allowed",
    "uid-range": "a uid fits into 32 bits",
    "uid-zero": "a uid is known before the agent joins",
    "undefined-variable": "a template's names exist",
    "unknown-environment": "the environment that is asked for is declared",
    "unknown-key": "our own blocks have only known keys",
    "unknown-preset": "a preset is a known one",
    "unknown-profile": "a profile that is named exists",
    "unknown-property": "the service's fields are known; others are sent with a warning",
    "unknown-variable": "a --var sets a variable that is used",
    "unknown-vendor": "a vendor is a known one, or not nearly one",
    "unknown-word": "a word of a closed list is one of the list",
    "unquoted-template": "templates stand in quotes",
    "url-malformed": "a URL is one",
    "url-private": "a URL leads to the public internet",
    "url-scheme": "a URL is encrypted",
    "url-userinfo": "a URL holds no credentials",
    "variable-cycle": "variables do not need each other in a circle",
    "variable-name": "a variable's name is free and usable",
    "vendor-region": "vendors are offered in mainland China or elsewhere",
    "wrong-type": "a value is of the kind that its key wants",
    "yaml-alias": "an alias names an anchor before it",
    "yaml-depth": "nesting is bounded",
    "yaml-documents": "a file holds one document",
    "yaml-empty": "a file holds something",
    "yaml-expansion": "what aliases expand to is bounded",
    "yaml-key": "keys are texts",
    "yaml-merge": "<< merges mappings",
    "yaml-number": "a number fits into 64 bits",
    "yaml-size": "the number of values in a file is bounded",
    "yaml-syntax": "a file is YAML",
    "yaml-tag": "there are no tags but the core ones, and none is needed",
}

_HEAD: Final = "=== "
EXAMPLES: Final = Path(__file__).with_name("examples.txt")
# What to do, for rules whose message cannot say it.
CURES: Final[Mapping[str, str]] = {
    "avatar-with-mllm": "remove avatar, or try it on one agent before all others",
    "bad-address": "write <channel>/<agent>, as `reconciler status` lists it",
    "file-kind": "put a regular file there: no device, socket or pipe",
    "file-size": "split the file, or keep out of the fleet's directory what its templates do not need",
    "ignored-uid": "nothing, if that is meant: tokens go on being made for the uid that the files have",
    "include-size": "name the directories that hold agents, as in agents/*.yaml",
    "invalid-property": "write a value within the bounds that the message names",
    "missing-key": "write the key that the message names",
    "missing-property": "write the key that the message names",
    "preview-vendor": "nothing, if Agora has given you access; else choose another vendor",
    "template-failed": "correct the expression, or the value that it works on; a number and a text are joined by ~",
    "template-size": "write a shorter template, or split it",
    "template-syntax": "close what the template opens: {{ with }}, {% if %} with {% endif %}",
    "too-many-agents": "split the fleet; an item too many in a for_each may be the cause",
    "uid-range": "write a whole number from 1 to 4294967295, in quotes",
    "url-private": "write a host that Agora's network can reach",
    "url-scheme": "write https://, or wss:// where the vendor's page has it",
    "yaml-size": "use for_each, or split the file",
}


def explain(rule: str) -> str:
    """Return a rule's meaning, an example and the cure; raise `KeyError` for an unknown rule."""
    parts = [f"{rule}: {RULES[rule]}"]
    example = _examples().get(rule)
    if example is not None:
        parts.append(f"An example, as validate shows it:\n\n{example}")
    if rule in CURES:
        parts.append(f"What to do: {CURES[rule]}.")
    return "\n\n".join(parts) + "\n"


def written(examples: Mapping[str, str]) -> str:
    """Return examples by rule as the text of `examples.txt`."""
    return "\n".join(f"{_HEAD}{rule}\n{text}\n" for rule, text in sorted(examples.items()))


@cache
def _examples() -> Mapping[str, str]:
    sections = f"\n{EXAMPLES.read_text(encoding='utf-8')}".split(f"\n{_HEAD}")[1:]
    return {rule: text.strip("\n") for rule, _, text in (each.partition("\n") for each in sections)}
