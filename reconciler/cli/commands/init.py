"""`reconciler init`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import options

_FLEET = """\
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
    from reconciler.cli.new_fleet import fleet_name, with_modelines, write_new
    from reconciler.cli.output import write
    from reconciler.cli.resume_command import on_directory

    root = Path(directory)
    files = {
        "fleet.yaml": _FLEET.format(name=fleet_name(root)),
        "agents/lobby.yaml": _AGENTS,
        "prompts/greeter.md": _PROMPT,
    }
    write_new(root, with_modelines(files), command="init")
    write(f"next: {on_directory('plan', directory)}\n")
    return 0
