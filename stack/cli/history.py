"""``stack history`` and ``stack rollback``: what a stack was, and how to return to that."""

from __future__ import annotations

import json

import click

from stack.cli.deploy_output import Form, Output, output_of, output_option, result_of
from stack.cli.session import client_of, now_s
from stack.cli.tables import age, format_option, show
from stack.cli.waiting import DetachWithValue, wait_lock_option, waiting_options
from stack.deploy.converge import Pace, already_over, converge
from stack.deploy.deployment import Waiting, author
from stack.deploy.events import EndEvent, WarningEvent
from stack.deploy.lease import StackLease
from stack.deploy.reasons import failure_events
from stack.engine.client import EngineClient
from stack.errors import NotConverged, NotFound, StackError

_COLUMNS = {
    "Revision": "REVISION",
    "Age": "AGE",
    "Author": "BY",
    "Message": "NOTE",
    "Services": "SERVICES",
    "Images": "IMAGES",
}


@click.command()
@click.argument("stack")
@click.argument("revision", required=False, type=click.IntRange(min=1))
@format_option
@click.pass_context
def history(ctx: click.Context, stack: str, *, revision: int | None, form: str) -> None:
    """List the kept revisions of a stack, the newest first; or show REVISION whole, as JSON.

    Each deployment that changes something is one. Contents of secrets and configs are not shown. A
    stack that is not as its newest revision says, as other clients have changed it, is told of.
    """
    client = client_of(ctx)
    try:
        if revision is not None:
            click.echo(json.dumps(client.stack_revision(stack, revision), indent=2))
            return
        found = client.stack_history(stack)
    except NotFound as error:
        raise _no_stacks(error) from None
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        {
            "Revision": one["Number"],
            "Age": age(one["CreatedAt"], now_s()),
            "Author": one["Author"],
            "Message": one["Message"],
            "Services": len(one["Services"]),
            "Images": ", ".join(
                dict.fromkeys(service["Image"].split("@")[0] for service in one["Services"])
            ),
        }
        for one in found
    ]
    show(rows, _COLUMNS, form=form, quiet=False)
    if form == "table" and found and client.stack(stack).get("HasDrifted"):
        click.echo(
            f"\nThe stack is not as in revision {found[0]['Number']}: other clients have changed "
            "it since, or an update that\nfailed was rolled back. The next deployment that changes "
            "something keeps it as a revision."
        )


@click.command(cls=DetachWithValue)
@click.argument("stack")
@click.argument("revision", required=False, default=0, type=click.IntRange(min=0))
@waiting_options
@wait_lock_option
@output_option
@click.pass_context
def rollback(
    ctx: click.Context,
    stack: str,
    *,
    revision: int,
    waiting: Waiting,
    wait_lock_s: float,
    form: Form,
) -> None:
    """Return to a REVISION of a stack, by default the one before the present one.

    Specs, secrets, configs and images are those of the revision; services that it did not have are
    removed. It becomes the newest revision. Exit codes are those of stack deploy.
    """
    client = client_of(ctx)
    output = output_of(form)
    pace = Pace()
    try:
        with StackLease.take(client, stack, author(), wait_s=wait_lock_s, pace=pace) as lease:
            seen = already_over(client, stack)
            request = {"Revision": revision, "Author": author(), "Lease": lease.token}
            try:
                answer = client.roll_back_stack(stack, request)
            except NotFound as error:
                raise _no_stacks(error) from None
            for warning in answer["Warnings"]:
                output.tell(WarningEvent(message=warning))
            if not waiting.is_detached:
                converge(
                    client,
                    stack,
                    answer["Services"],
                    seen,
                    timeout_s=waiting.timeout_s,
                    stable_s=waiting.stable_s,
                    tell=output.tell,
                    pace=lease.pace,
                )
    except StackError as error:
        _tell_end(client, output, error)
        raise
    output.tell(EndEvent(result="accepted" if waiting.is_detached else "converged", exit_code=0))


def _tell_end(client: EngineClient, output: Output, error: StackError) -> None:
    if isinstance(error, NotConverged):
        for event in failure_events(client, error.failed):
            output.tell(event)
    output.tell(EndEvent(result=result_of(error), exit_code=error.exit_code, message=str(error)))


def _no_stacks(error: NotFound) -> NotFound:
    if "page not found" not in str(error):
        return error
    return NotFound(404, "the server keeps no revisions of stacks; stackd does")
