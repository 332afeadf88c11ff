"""``stack status`` and ``stack wait``: how a stack is, and waiting until it is well."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from stack.cli.deploy_output import Form, output_of, output_option, result_of
from stack.cli.session import client_of
from stack.cli.tables import format_option, show
from stack.cli.waiting import wait_time_options
from stack.deploy.converge import Pace, converge, look
from stack.deploy.deployment import Waiting
from stack.deploy.events import EndEvent, ServiceEvent
from stack.deploy.lease import holder_line
from stack.deploy.observe import stack_label
from stack.deploy.reasons import failure_events
from stack.deploy.rollout import follow_rollout, last_rollout, rollout_line
from stack.deploy.standing import standing
from stack.engine.client import EngineClient
from stack.errors import NotConverged, StackError

_COLUMNS = {
    "name": "NAME",
    "phase": "PHASE",
    "counts": "RUNNING",
    "reason": "REASON",
}


@click.command()
@click.argument("stack")
@format_option
@click.pass_context
def status(ctx: click.Context, stack: str, *, form: str) -> None:
    """Show how far each service of a stack is, and why one is not well.

    Below the table stands what is being deployed and by whom; in JSON and for templates each
    service has that as revision, rollout and lease.
    """
    client = client_of(ctx)
    note = rollout_line(client, stack)
    events = [
        progress.event for progress in look(client, stack, _services(client, stack, note), ())
    ]
    rows = [_row(event) for event in events]
    if form != "table":
        deployment = msgspec.to_builtins(standing(client, stack))
        rows = [{**row, **deployment} for row in rows]
    if form == "json":
        for row in rows:
            del row["counts"]  # made of other members
    show(rows, _COLUMNS, form=form, quiet=False)
    if form == "table":
        for line in filter(None, (note, holder_line(client, stack))):
            click.echo(f"\n{line}")


def _row(event: ServiceEvent) -> dict[str, Any]:
    row = msgspec.to_builtins(event)
    del row["event"]
    wanted = "?" if event.wanted is None else event.wanted
    return {**row, "counts": f"{event.running}/{wanted}"}


@click.command()
@click.argument("stack")
@wait_time_options
@output_option
@click.pass_context
def wait(ctx: click.Context, stack: str, *, waiting: Waiting, form: Form) -> None:
    """Wait until all services of a stack run, as stack deploy does after it has sent them.

    It judges what it sees from the beginning, failures of before included. Of a deployment with
    --atomic, the last one, it tells how that ended, also afterwards. Exit codes are those of stack
    deploy.
    """
    client = client_of(ctx)
    output = output_of(form)
    try:
        rollout = last_rollout(client, stack)
        if rollout.get("State", "held") != "held":
            revision, pace = rollout["Revision"], Pace()
            follow_rollout(
                client, stack, revision, (), output.tell, pace, timeout_s=waiting.timeout_s
            )
        else:
            converge(
                client,
                stack,
                _services(client, stack),
                (),
                timeout_s=waiting.timeout_s,
                stable_s=waiting.stable_s,
                tell=output.tell,
            )
    except StackError as error:
        if isinstance(error, NotConverged):
            for event in failure_events(client, error.failed):
                output.tell(event)
        code = error.exit_code
        output.tell(EndEvent(result=result_of(error), exit_code=code, message=str(error)))
        raise
    output.tell(EndEvent(result="converged", exit_code=0))


def _services(client: EngineClient, stack: str, note: str = "") -> list[str]:
    found = [service["ID"] for service in client.services({"label": stack_label(stack)})]
    if not found:
        raise StackError(f"nothing found in stack: {stack}{note and f': {note}'}")
    return found
