"""``stack rm``."""

from __future__ import annotations

import click

from stack.cli.session import client_of, say
from stack.cli.waiting import wait_lock_option
from stack.deploy.converge import Pace
from stack.deploy.deployment import author
from stack.deploy.lease import StackLease
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
@wait_lock_option
@click.pass_context
def rm(
    ctx: click.Context, stacks: tuple[str, ...], *, timeout_s: float, wait_lock_s: float
) -> None:
    """Remove stacks: services, networks and all else that carries their label.

    Returns when no task of them runs any more, so that the same stack can be deployed again. A
    stack that is being deployed is waited for, and is not deployed by others meanwhile.
    """
    client, pace = client_of(ctx), Pace()
    for stack in stacks:
        with StackLease.take(client, stack, author(), wait_s=wait_lock_s, pace=pace) as lease:
            found = remove_stack(client, stack, timeout_s=timeout_s, say=say, pace=lease.pace)
        if not found:
            click.echo(f"Nothing found in stack: {stack}", err=True)
