"""Writes fleets of any size for benchmarks: from one `for_each`, or fully spelled in many files.

    python tests/benchmarks/fleets.py for-each 10000 /tmp/fleet
    python tests/benchmarks/fleets.py spelled 10000 /tmp/fleet --files 100

An agent is a whole one: about sixty keys and a prompt of 2.5 KB; from `for_each` eighteen of its values are
templates. `settings(n)` gives the data of one agent, so that a benchmark can do the same work by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

PROMPT = "\n".join(
    f"{number}. You stand at the front desk. Be kind, be brief, and never promise what the house cannot keep."
    for number in range(1, 25)
)

FLEET = """fleet: bench
variables:
  desks: "{{ load('data/desks.json') }}"
limits: {quota: 200000}
"""

BLOCK = """channels:
  - channel: "desk-{{ desk.id }}"
    for_each: "{{ desks }}"
    as: desk
    agents:
      - name: concierge
"""

# Indented below `properties`; {…} is filled with the desk's value, either now or as a template.
PROPERTIES = """agent_rtc_uid: "{uid}"
remote_rtc_uids: ["*"]
idle_timeout: {idle}
advanced_features: {{enable_rtm: true, enable_tools: false}}
asr:
  vendor: ares
  language: "{language}"
tts:
  vendor: microsoft
  params:
    key: ref+env://AZURE_TTS_KEY
    region: "{region}"
    voice_name: "{voice}"
    speed: {speed}
    volume: 70
llm:
  url: "https://api.openai.com/v1/chat/completions"
  api_key: ref+env://OPENAI_API_KEY
  vendor: custom
  system_messages:
    - role: system
      content: |
{prompt}
  params:
    model: "{model}"
    temperature: {temperature}
    max_tokens: {tokens}
    top_p: 0.9
    frequency_penalty: 0.1
  max_history: {history}
  input_modalities: [text]
  output_modalities: [text]
  greeting_message: "Welcome to {name}."
  failure_message: "{failure}"
  greeting_configs: {{mode: single_first, delay_ms: {delay}, interruptable: true}}
  template_variables: {{guest: "{guest}", room: "none"}}
turn_detection:
  mode: default
  config:
    speech_threshold: 0.5
    start_of_speech: {{mode: vad, vad_config: {{interrupt_duration_ms: 160, prefix_padding_ms: 800}}}}
    end_of_speech: {{mode: vad, vad_config: {{silence_duration_ms: 640}}}}
interruption: {{enable: true, mode: start_of_speech}}
labels: {{team: "{team}", tier: "{tier}", house: "{house}"}}
parameters:
  silence_config: {{timeout_ms: 10000, action: speak, content: "{silence}"}}
  data_channel: rtm
  enable_metrics: true
  enable_error_message: true
  audio_scenario: default
"""

# The eighteen values that differ; numbers stay numbers.
NUMBERS = ("idle", "speed", "temperature", "tokens", "history", "delay")
VALUES = (
    "uid",
    "language",
    "region",
    "voice",
    "model",
    "name",
    "failure",
    "guest",
    "team",
    "tier",
    "silence",
)


def settings(number: int) -> dict[str, str | int | float]:
    """The data of one desk."""
    return {
        "id": f"{number:06d}",
        "uid": str(1000 + number),
        "idle": number % 600,
        "language": ("en-US", "de-DE", "fr-FR")[number % 3],
        "region": ("eastus", "westeurope")[number % 2],
        "voice": f"en-US-Voice{number % 12}Neural",
        "speed": 1.0 + number % 5 / 10,
        "model": ("gpt-4o-mini", "gpt-4o")[number % 2],
        "temperature": number % 10 / 10,
        "tokens": 256 + number % 256,
        "history": 10 + number % 20,
        "name": f"House {number}",
        "failure": f"Sorry, call {number}.",
        "delay": number % 1000,
        "guest": f"guest {number % 7}",
        "team": f"team-{number % 9}",
        "tier": ("gold", "silver")[number % 2],
        "silence": f"Are you still at desk {number}?",
    }


def properties(values: dict[str, str], indent: int, house: str) -> str:
    """The properties of one agent as YAML."""
    prompt = f"You are at {values['name']}.\n{PROMPT}"
    inside = "\n".join(f"        {line}" for line in prompt.split("\n"))
    text = PROPERTIES.format(**values, prompt=inside, house=house)
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())


def templated(indent: int) -> str:
    """The same with a template for each value that differs."""
    values = {key: f"{{{{ desk.{key} }}}}" for key in VALUES}
    values |= {key: f'"{{{{ desk.{key} }}}}"' for key in NUMBERS}
    return properties(values, indent, "all")


def write_for_each(directory: Path, count: int) -> None:
    """A fleet whose agents all come from one block and one data file."""
    _write(directory / "fleet.yaml", FLEET)
    _write(directory / "data" / "desks.json", json.dumps([settings(number) for number in range(count)]))
    _write(directory / "agents" / "desks.yaml", f"{BLOCK}        properties:\n{templated(10)}")


def write_spelled(directory: Path, count: int, files: int) -> None:
    """A fleet in which every agent is written out."""
    _write(directory / "fleet.yaml", "fleet: bench\nlimits: {quota: 200000}\n")
    each = -(-count // files)
    for file in range(files):
        numbers = range(file * each, min(count, (file + 1) * each))
        blocks = [
            f"  - channel: desk-{number:06d}\n    agents:\n      - name: concierge\n        properties:\n{spelled(number, 10)}"
            for number in numbers
        ]
        if blocks:
            _write(directory / "agents" / f"desks-{file:03d}.yaml", f"channels:\n{''.join(blocks)}")


def spelled(number: int, indent: int) -> str:
    """The properties of one desk, written out."""
    values = {key: str(value) for key, value in settings(number).items()}
    return properties(values, indent, f"house-{number}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["for-each", "spelled"])
    parser.add_argument("count", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--files", type=int, default=100)
    options = parser.parse_args()
    if options.kind == "for-each":
        write_for_each(options.directory, options.count)
    else:
        write_spelled(options.directory, options.count, options.files)


if __name__ == "__main__":
    main()
