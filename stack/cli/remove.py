"""``stack rm``."""

from __future__ import annotations

import click

from stack.cli.session import client_of, say
from stack.deploy.removal import remove_stack


@click.command()
@click.argument("stacks", nargs=-1, required=True, metavar="STACK...")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the tasks to end.",
)
@click.pass_context
def rm(ctx: click.Context, stacks: tuple[str, ...], *, timeout_s: float) -> None:
    """Remove stacks: services, networks and all else that carries their label.

    Returns when no task of them runs any more, so that the same stack can be deployed again.
    """
    client = client_of(ctx)
    for stack in stacks:
        if not remove_stack(client, stack, timeout_s=timeout_s, say=say):
            click.echo(f"Nothing found in stack: {stack}", err=True)
