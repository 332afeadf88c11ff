"""``stack ps``."""

from __future__ import annotations

import click

from stack.cli.listings import show_tasks, task_rows
from stack.cli.session import client_of, now_s
from stack.cli.tables import list_options
from stack.deploy.observe import stack_label
from stack.errors import StackError


@click.command()
@click.argument("stack")
@list_options
@click.pass_context
def ps(ctx: click.Context, stack: str, *, form: str, quiet: bool) -> None:
    """List the tasks of a stack, ended ones included, with full error texts."""
    client = client_of(ctx)
    tasks = client.tasks({"label": stack_label(stack)})
    if not tasks:
        raise StackError(f"nothing found in stack: {stack}")
    show_tasks(task_rows(client, tasks, now_s()), form=form, quiet=quiet)
