"""The list of commands, and a file for each group of them: options, one call of a verb, one report.

A command is the function of its name (`import_` for `import`, a keyword of Python) in the file of its group, and returns
its exit code, or None for 0. Files are imported when one of their commands is used.
"""

from __future__ import annotations

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name, its group (a file here, and the README's row), and its line in the overview of all."""

    name: str
    group: str
    summary: str


# In the order of the overview.
COMMANDS: tuple[Command, ...] = (
    Command("init", "files", "Write a small fleet that plans and applies at once."),
    Command("import", "files", "Write a fleet from join bodies, or from what runs."),
    Command("validate", "files", "Check the files: every problem at once, offline."),
    Command("explain", "files", "Say what a rule of validate means, and what to do."),
    Command("render", "files", "Print the final agents, secrets as references."),
    Command("doctor", "look", "Check all that an apply needs, and change nothing."),
    Command("plan", "change", "Show what apply would do; reads, never writes."),
    Command("apply", "change", "Bring the running agents to what the files say."),
    Command("watch", "stand", "Keep fleets standing until stopped."),
    Command("turn", "stand", "One turn of watch, for a scheduler of your own."),
    Command("drift", "look", "Show what the world changed; for cron."),
    Command("status", "look", "List what runs: age, token, sync, cost."),
    Command("show", "look", "Show one agent: files, state and service."),
    Command("history", "talk", "Print what was said by and to an agent."),
    Command("turns", "talk", "Print the turns of an agent's session."),
    Command("speak", "talk", "Let an agent say a text."),
    Command("interrupt", "talk", "Stop an agent's present speech."),
    Command("think", "talk", "Put a text before an agent's model."),
    Command("adopt", "records", "Take a running agent over as an address."),
    Command("forget", "records", "Drop a record and release its agent."),
    Command("state", "records", "List, show, pull, push or migrate the state."),
    Command("destroy", "change", "Leave the whole fleet."),
    Command("ci", "review", "Comment, keep issues and find reviews on GitHub and GitLab."),
    Command("simulator", "tools", "Serve the embedded service on loopback."),
    Command("schema", "tools", "Print a JSON Schema: fleet, rendered, plan, state."),
    Command("version", "tools", "Print the version."),
    Command("completion", "tools", "Print shell completion: bash, zsh, fish."),
)
