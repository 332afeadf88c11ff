"""``stack service``: single services, whether they belong to a stack or not."""

from __future__ import annotations

from copy import deepcopy

import click

from stack.cli.listings import SERVICE_COLUMNS, service_rows, show_tasks, task_rows
from stack.cli.logs import logs
from stack.cli.service_spec import create, rollback, update
from stack.cli.session import client_of, now_s, say, warn_all
from stack.cli.tables import list_options, object_format_option, show, show_objects
from stack.engine.client import EngineClient
from stack.errors import OutOfSequence, StackError, UsageError


@click.group()
def service() -> None:
    """Create, change, list, scale and remove services, and read their logs."""


service.add_command(create)
service.add_command(update)
service.add_command(rollback)
service.add_command(logs)


@service.command("ls")
@list_options
@click.pass_context
def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """List services with running and wanted tasks."""
    found = client_of(ctx).services(status=True)
    show(service_rows(found), SERVICE_COLUMNS, form=form, quiet=quiet)


@service.command("ps")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@list_options
@click.pass_context
def ps(ctx: click.Context, names: tuple[str, ...], *, form: str, quiet: bool) -> None:
    """List the tasks of services, ended ones included, with full error texts."""
    client = client_of(ctx)
    ids = [client.service(name)["ID"] for name in names]
    rows = task_rows(client, client.tasks({"service": ids}), now_s())
    show_tasks(rows, form=form, quiet=quiet)


@service.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@object_format_option
@click.pass_context
def inspect(ctx: click.Context, names: tuple[str, ...], *, form: str) -> None:
    """Show services as JSON, as the API gives them."""
    client = client_of(ctx)
    found = [client.service(name) for name in names]
    show_objects(found, form, may_lack=("PreviousSpec", "UpdateStatus", "JobStatus"))


@service.command("scale")
@click.argument("wishes", nargs=-1, required=True, metavar="SERVICE=REPLICAS...")
@click.pass_context
def scale(ctx: click.Context, wishes: tuple[str, ...]) -> None:
    """Set the number of tasks of replicated services."""
    client = client_of(ctx)
    for name, replicas in [_wish(text) for text in wishes]:
        try:
            _scale(client, name, replicas)
        except OutOfSequence:  # someone else changed the service in between: once more
            _scale(client, name, replicas)
        say(f"{name} scaled to {replicas}")


def _wish(text: str) -> tuple[str, int]:
    name, sign, number = text.rpartition("=")
    if not sign or not name or not (number.isascii() and number.isdigit()):
        raise UsageError(f"{text!r}: write SERVICE=REPLICAS, as web=5")
    return name, int(number)


def _scale(client: EngineClient, name: str, replicas: int) -> None:
    found = client.service(name)
    spec = deepcopy(found["Spec"])
    if "Replicated" not in (spec.get("Mode") or {}):
        raise StackError(f"{name} is not replicated: it cannot be scaled")
    spec["Mode"]["Replicated"] = {"Replicas": replicas}
    warn_all(client.update_service(found["ID"], found["Version"]["Index"], spec))


@service.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Remove services and their tasks."""
    client = client_of(ctx)
    for name in names:
        client.remove_service(name)
        say(name)
