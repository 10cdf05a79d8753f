"""`reconciler show`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options


@click.command("show", short_help="Show one agent: files, state and service.")
@click.argument("address")
@options.directory_option
@options.fleet_options
@options.format_option("yaml", "json")
@options.output_options
def command(
    address: str, directory: str, environment: str | None, variables: Any, style: str, **flags: Any
) -> int:
    """Show what files, state and service say of one agent, and the last changes that were made to it.

    \b
    reconciler show lobby/greeter
    reconciler show lobby/greeter -e prod --format json
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address
    from reconciler.cli.output import Output
    from reconciler.report import documents, one

    output = Output.taken_from(flags)
    where = parse_address(address)
    with wiring.open_session(directory, environment, variables, output) as session:
        portrait = session.run(workflow.portrait(make_job(session, Flags()), session.provider, where))
        tree = one.portrait_tree(portrait, session.store.history(where, 10))
    output.result(documents.to_json(tree) if style == "json" else documents.to_yaml(tree))
    return 0
