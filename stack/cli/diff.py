"""``stack diff``, which is also ``stack deploy --dry-run``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import msgspec

from stack.cli.images import ImageChoice, image_options
from stack.cli.listings import node_name
from stack.cli.project import ProjectChoice, load_project, report
from stack.cli.project_options import project_options
from stack.cli.session import client_of
from stack.deploy.differences import ObjectChange, changes_of, text_lines
from stack.deploy.observe import observe, stack_label
from stack.deploy.plan import Observed, make_plan
from stack.deploy.plan_file import plan_file
from stack.engine.client import EngineClient
from stack.errors import UsageError
from stack.translate.stack_spec import StackSpec, stack_spec

CHANGES_EXIT_CODE = 10

_EPILOG = """\b
Exit codes:
  0   the cluster is as the files say
  1   the cluster refused, or does not answer
  2   wrong usage or a wrong compose file
  10  a deployment would change something
"""


@click.command(epilog=_EPILOG)
@click.argument("stack", required=False, default="")
@project_options
@click.option("--prune", is_flag=True, help="As with stack deploy: count removals as changes.")
@click.option("-o", "--out", default="", metavar="FILE", help="Write a plan for deploy --plan.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text, or json: an array of changes.",
)
@image_options
@click.pass_context
def diff(
    ctx: click.Context,
    stack: str,
    *,
    project: ProjectChoice,
    prune: bool,
    out: str,
    form: str,
    images: ImageChoice,
) -> int:
    """Show what stack deploy would change, field by field, and which tasks would restart.

    Nothing is changed. Contents of secrets, configs and variables are not shown.
    """
    compose = load_project(project, stack)
    wanted = stack_spec(compose)
    report(wanted.notes, strict=project.strict)
    return show_differences(client_of(ctx), wanted, images, prune=prune, out=out, form=form)


def show_differences(
    client: EngineClient,
    wanted: StackSpec,
    images: ImageChoice,
    *,
    prune: bool,
    out: str,
    form: str,
) -> int:
    """Print what a deployment would change; gives the exit code.

    Raises:
        UsageError: the plan cannot be written to `out`.
    """
    observed = observe(client, wanted)
    pinned = images.pinning(client).pinned(wanted, observed)
    changes = _changes(client, pinned, observed, prune=prune)
    if form == "json":
        click.echo(json.dumps([msgspec.to_builtins(change) for change in changes], indent=2))
    else:
        for change in changes:
            for line in text_lines(change):
                click.echo(line)
        if not any(change.is_carried_out for change in changes):
            click.echo(f"stack {wanted.name} is as the files say")
    if out:
        plan = plan_file(pinned, observed, changes, prune=prune, salt=os.urandom(16).hex())
        try:
            Path(out).write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        except OSError as error:
            raise UsageError(f"{out}: {error.strerror}") from None
    return CHANGES_EXIT_CODE if any(change.is_carried_out for change in changes) else 0


def _changes(
    client: EngineClient, wanted: StackSpec, observed: Observed, *, prune: bool
) -> tuple[ObjectChange, ...]:
    steps = make_plan(wanted, observed, prune=True)
    tasks = client.tasks({"label": stack_label(wanted.name)})
    names = {node["ID"]: node_name(node) for node in client.nodes()}
    return tuple(changes_of(steps, observed, tasks, names, prune=prune))
