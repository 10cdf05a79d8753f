"""Explain each rule, with an example of the mistake and the cure: for `explain`, and for SARIF's help.

The examples are the messages of `validate` for the fleets in `tests/bad_fleets`; a test writes them into
`examples.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from reconciler.config.rules.catalogue import RULES

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
