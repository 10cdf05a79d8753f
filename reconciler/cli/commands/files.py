"""The commands on a fleet's files: `init`, `import`, `validate`, `explain` and `render`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, parameters
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


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
def init(directory: str) -> None:
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


@click.command("import")
@click.argument("words", metavar="[FILE…] [DIR]", nargs=-1, type=parameters.name)
@click.option(
    "--from",
    "sources",
    type=parameters.name,
    multiple=True,
    metavar="FILE",
    help="JSON join bodies, or a text with curl commands; - is standard input. Repeatable.",
)
@click.option("--running", is_flag=True, help="What runs under the App ID; beside --from, what each body is.")
@options.area_option
@options.parallelism_option
@options.output_options
def import_(
    words: tuple[str, ...],
    sources: tuple[str, ...],
    running: bool,
    area: str | None,
    parallelism: int,
    output: Output,
) -> None:
    """Write a new fleet into DIR from join bodies, from curl commands, or from what runs. Never overwrites.

    Credentials become references: their names are printed, to be set where apply runs, and their values nowhere.
    What the service does not tell of a running agent is left for you to fill in; `validate` points at it.

    \b
    reconciler import --from start-agents.sh my-fleet
    reconciler import --from bodies/*.json my-fleet
    reconciler import --from start-agents.sh --running my-fleet      with `adopt: ID` for what runs
    reconciler import --running my-fleet
    """
    if not sources and not running:
        raise click.UsageError("say what to import: --from FILE, or --running")
    if (sources and len(words) > 1) or (words and sources and Path(words[-1]).is_file()):
        is_file = Path(words[-1]).is_file()  # `--from *.json` gives the others here
        sources, words = (*sources, *(words if is_file else words[:-1])), (() if is_file else words[-1:])
    if len(words) > 1:
        raise click.UsageError(f"one DIR, and it comes last; not {len(words)}")
    from reconciler.cli.importing import import_fleet, tell

    directory = Path(words[0] if words else ".")
    made = import_fleet(
        directory, sources, running=running, area=area, parallelism=parallelism, output=output
    )
    tell(made, directory, output)


@click.command("validate")
@options.many_fleets_options
@options.format_option(ReportKind.PROBLEMS)
@options.output_options
def validate(fleets: options.ManyFlags, output: Output, form: Format) -> int:
    """Check a fleet's files. Offline, without credentials; every problem at once, each with its place.

    Without -e every environment is checked, and the fleet without one.

    \b
    reconciler validate
    reconciler validate hotels -e prod
    reconciler validate fleets/*                 several fleets, one report
    reconciler validate --format github          annotations on the lines of a pull request
    reconciler validate --format codequality > gl-code-quality-report.json
    reconciler explain uid-clash                 what the word in brackets at the end of a message means
    """
    from reconciler.cli import several_fleets
    from reconciler.cli.validating import check, explain_rule
    from reconciler.config import read_source
    from reconciler.report.problems import summary

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        directory = Path(fleet.directory)
        found = check(directory, fleet.environment, dict(fleet.variables))
        head = (("directory", fleet.directory), ("environment", fleet.environment))
        shown = RenderOptions(
            read_source=partial(read_source, directory),
            explain_rule=explain_rule,
            head=head if several_fleets.are_several(fleets) else (),
        )
        verdict = summary(found.diagnostics) if found.diagnostics else "valid"
        return several_fleets.FleetSeen(found, verdict, int(found.has_errors), not found.diagnostics, shown)

    return several_fleets.report_each(fleets, output, form, ReportKind.PROBLEMS, look)


def _rules(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    from reconciler.config.rules.catalogue import RULES

    return [each for each in RULES if each.startswith(typed)]


@click.command("explain")
@click.argument("rule", required=False, shell_complete=_rules)
def explain(rule: str | None) -> None:
    """Say what a rule of `validate` means, with an example and what to do. Without RULE, list all rules.

    \b
    reconciler explain uid-clash        the word in brackets at the end of what validate says
    reconciler explain
    """
    from reconciler.cli.output import current, write
    from reconciler.config.rules.catalogue import RULES, explain
    from reconciler.diagnostics import did_you_mean
    from reconciler.errors import UsageError
    from reconciler.plan.plan_warnings import WARNINGS_OF_PLANS
    from reconciler.report.folding import LONGEST, folded
    from reconciler.report.table import Column, table

    width = current().width
    if rule is None:
        write(table((Column(), Column(wraps=True)), [*RULES.items()], width) + "\n")
        return
    known = rule.strip("[]")
    if known in WARNINGS_OF_PLANS:
        about, cure = WARNINGS_OF_PLANS[known]
        text = f"{known}: {about} (a warning of `plan`)\n\nWhat to do: {cure}.\n"
        write(folded(text, width or LONGEST))
        return
    if known not in RULES:
        raise UsageError(
            f'there is no rule "{rule}"',
            hint=did_you_mean(known, [*RULES, *WARNINGS_OF_PLANS])
            or "`reconciler explain` lists the rules of validate; any other message says itself what to do",
        )
    write(folded(explain(known), width or LONGEST))


@click.command("render")
@options.fleet_options
@options.format_option(ReportKind.TREE)
@click.option("--trace", is_flag=True, help="Name the file, line and layer of every value.")
@options.output_options
def render(fleet: options.FleetFlags, output: Output, form: Format, trace: bool) -> None:
    """Print every agent as it stands after templates, profiles and environments. Offline; secrets as references.

    \b
    reconciler render -e prod
    reconciler render --trace                    where each value comes from
    reconciler render --trace --format json      the same for a program
    """
    from reconciler import config
    from reconciler.cli.loading import load_fleet, load_limits

    if trace:
        found = config.trace(
            Path(fleet.directory),
            environment=fleet.environment,
            variables=dict(fleet.variables),
            limits=load_limits(),
        )
        output.report(form, ReportKind.TRACE, found)
    else:
        output.report(form, ReportKind.TREE, config.rendered(load_fleet(fleet, output)))
