"""``stack services``."""

from __future__ import annotations

import click

from stack.cli.listings import SERVICE_COLUMNS, service_rows
from stack.cli.session import client_of
from stack.cli.tables import list_options, show
from stack.deploy.observe import stack_label


@click.command()
@click.argument("stack")
@list_options
@click.pass_context
def services(ctx: click.Context, stack: str, *, form: str, quiet: bool) -> None:
    """List the services of a stack with running and wanted tasks."""
    found = client_of(ctx).services({"label": stack_label(stack)}, status=True)
    if not found:
        click.echo(f"Nothing found in stack: {stack}", err=True)
    if found or form == "json":
        show(service_rows(found), SERVICE_COLUMNS, form=form, quiet=quiet)
