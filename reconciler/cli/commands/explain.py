"""`reconciler explain`."""

from __future__ import annotations

import click


def _rules(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    from reconciler.config.rules.catalogue import RULES

    return [each for each in RULES if each.startswith(typed)]


@click.command("explain")
@click.argument("rule", required=False, shell_complete=_rules)
def command(rule: str | None) -> int:
    """Say what a rule of `validate` means, with an example and what to do. Without RULE, list all rules.

    \b
    reconciler explain uid-clash        the word in brackets at the end of what validate says
    reconciler explain
    """
    from reconciler.cli.output import write
    from reconciler.config.rules.catalogue import RULES
    from reconciler.config.rules.explained import explain
    from reconciler.diagnostics import did_you_mean
    from reconciler.errors import UsageError
    from reconciler.plan.plan_warnings import WARNINGS_OF_PLANS

    if rule is None:
        width = max(map(len, RULES))
        write("".join(f"{name:{width}}  {about}\n" for name, about in RULES.items()))
        return 0
    known = rule.strip("[]")
    if known in WARNINGS_OF_PLANS:
        about, cure = WARNINGS_OF_PLANS[known]
        write(f"{known}: {about} (a warning of `plan`)\n\nWhat to do: {cure}.\n")
        return 0
    if known not in RULES:
        raise UsageError(
            f'there is no rule "{rule}"',
            hint=did_you_mean(known, [*RULES, *WARNINGS_OF_PLANS])
            or "`reconciler explain` lists the rules of validate; any other message says itself what to do",
        )
    write(explain(known))
    return 0
