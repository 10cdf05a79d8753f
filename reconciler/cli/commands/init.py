"""`reconciler init`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from reconciler.cli import options

# A copy of the schema, so that an editor needs no network and sees what this version checks.
_SCHEMA = "fleet.schema.json"
_FLEET = """\
# yaml-language-server: $schema=fleet.schema.json
# A fleet: the voice agents that should run, per channel. `reconciler plan` shows what would change.
fleet: {name}
service:
  kind: simulator                # embedded; `agora` is the real service (AGORA_* in the environment)

variables:
  model: gpt-4o-mini

defaults:                        # merged under every agent
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0              # stay when nobody is there; the service still ends agents at 72 h
    asr: {{vendor: ares, language: en-US}}

profiles:
  voice:
    properties:
      tts:
        vendor: microsoft
        params: {{key: ref+env://AZURE_TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}

environments:
  prod:
    service: {{kind: agora}}
"""

_AGENTS = """\
# yaml-language-server: $schema=../fleet.schema.json
# Every *.yaml in this folder belongs to the fleet.
channels:
  - channel: lobby
    agents:
      - name: greeter            # the address is lobby/greeter
        profile: voice
        properties:
          llm:
            url: https://api.openai.com/v1/chat/completions
            api_key: ref+env://OPENAI_API_KEY        # a reference, never a value
            system_messages:
              - role: system
                content: "{% include 'prompts/greeter.md' %}"
            params: {model: "{{ model }}"}
            greeting_message: Hello! How can I help you?
"""

_PROMPT = """\
You greet visitors in the lobby. Be brief and friendly.
If you do not know something, say so and offer to call a colleague.
"""

_IGNORE = ".reconciler/\n"
# For VS Code, where files that `init` did not write have no such line; YAML 1.2 as we read it: `no` is a text.
_SETTINGS = """\
{
  "yaml.schemas": {"./fleet.schema.json": ["fleet.yaml", "agents/*.yaml", "agents/*.yml"]},
  "yaml.yamlVersion": "1.2"
}
"""
# Where one of these is there already it is somebody's, and stays.
_MAY_BE_THERE = (".gitignore", ".vscode/settings.json")


@click.command("init")
@options.directory_argument
def command(directory: str) -> int:
    """Write a small fleet that plans and applies at once on the embedded simulator. Never overwrites.

    With it come a copy of the schema, the lines that name it to an editor, and settings for VS Code; after an update
    `reconciler schema fleet > fleet.schema.json` writes the copy anew.

    \b
    reconciler init my-fleet
    reconciler plan my-fleet
    """
    import json

    from reconciler.cli.output import write
    from reconciler.cli.schemas import SCHEMAS
    from reconciler.errors import UsageError
    from reconciler.report.escape import visible

    root = Path(directory)
    name = _fleet_name(root.resolve().name)
    files = {
        "fleet.yaml": _FLEET.format(name=name),
        "agents/lobby.yaml": _AGENTS,
        "prompts/greeter.md": _PROMPT,
        ".gitignore": _IGNORE,
        _SCHEMA: json.dumps(SCHEMAS["fleet"](), ensure_ascii=False, separators=(",", ":")) + "\n",
        ".vscode/settings.json": _SETTINGS,
    }
    # A link that leads nowhere is there, too: writing through it would write somewhere else.
    taken = [each for each in files if os.path.lexists(root / each) and each not in _MAY_BE_THERE]
    if taken:
        raise UsageError(
            f"{root / taken[0]} is there already; nothing was written", hint="init never overwrites"
        )
    for file, text in files.items():
        path = root / file
        if os.path.lexists(path):
            write(f"kept {visible(str(path))}, which is there already\n")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as new:
            new.write(text)
        write(f"wrote {visible(str(path))}\n")
    if not _is_ignored(root / ".gitignore"):
        write(
            f"add {_IGNORE.strip()} to {visible(str(root / '.gitignore'))}: it is there already, and was not touched\n"
        )
    write(f"next: reconciler plan {visible(shlex.quote(directory))}\n")
    return 0


def _is_ignored(path: Path) -> bool:
    """Whether a .gitignore keeps the state out of a commit, as far as its lines say so by themselves."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(each.strip().strip("/") == _IGNORE.strip().strip("/") for each in lines)


def _fleet_name(text: str) -> str:
    """A fleet's name from a directory's: lower case, letters first, at most 20 characters."""
    cleaned = "".join(each if each.isascii() and each.isalnum() else "-" for each in text.lower()).strip("-")
    return (cleaned if cleaned[:1].isalpha() else f"fleet-{cleaned}".strip("-"))[:20].rstrip("-") or "fleet"
