"""``stack unlock``."""

from __future__ import annotations

import click

from stack.cli.session import client_of, say
from stack.deploy.lease import holder_line


@click.command()
@click.argument("stack")
@click.pass_context
def unlock(ctx: click.Context, stack: str) -> None:
    """Let others change a stack that somebody is deploying.

    While a deployment is under way, nobody else may change what belongs to the stack. This ends
    that: the deployment's command ends with 1, and the services stay as they are. What the managers
    watch (deploy --atomic) they go on watching.
    """
    client = client_of(ctx)
    holder = holder_line(client, stack)
    if not holder:
        say(f"Nobody is deploying stack {stack}")
        return
    client.break_lease(stack)
    say(f"Unlocked stack {stack}, {holder}")
