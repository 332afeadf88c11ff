"""``stack deploy``."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from stack.cli.deploy_output import Form, output_of, output_option, result_of
from stack.cli.images import ImageChoice, image_options
from stack.cli.project import ProjectChoice, load_project, report
from stack.cli.project_options import project_options
from stack.cli.session import client_of
from stack.cli.waiting import DetachWithValue, lock_options, waiting_options
from stack.deploy.deployment import Choices, Deployment, Waiting, Wholeness
from stack.deploy.events import EndEvent
from stack.deploy.plan_file import PlanFile, read_plan
from stack.errors import StackError, UsageError
from stack.translate.stack_spec import StackSpec, stack_spec

_EXIT_CODES = """\b
Exit codes:
  0  converged: every service runs all its tasks, and one-shots have finished well
     (with --detach: the cluster accepted all)
  1  failed: the cluster refused, or tasks do not run
  2  wrong usage or a wrong compose file; nothing was changed
  3  rolled back: an update failed, and what ran before runs again
  4  cannot be scheduled: a task fits no node
  5  timed out
  10 with --dry-run: there is something to change

\b
For 1, 3, 4 and 5 the failed task, its node, the reason and the last lines of
its log are on standard error.
"""


@click.command(cls=DetachWithValue, epilog=_EXIT_CODES)
@click.argument("stack", required=False, default="")
@project_options
@waiting_options
@output_option
@click.option("--dry-run", is_flag=True, help="Only show what would change, as stack diff.")
@click.option(
    "--plan",
    "plan_path",
    default="",
    metavar="FILE",
    help="Carry out a plan of stack diff -o, if neither stack nor files have changed since.",
)
@lock_options
@image_options
@click.pass_context
def deploy(  # noqa: PLR0913 (one for each group of options)
    ctx: click.Context,
    stack: str,
    *,
    project: ProjectChoice,
    waiting: Waiting,
    form: Form,
    dry_run: bool,
    plan_path: str,
    whole: Wholeness,
    images: ImageChoice,
) -> int:
    """Bring the cluster to the stack that compose files describe.

    STACK is the stack's name; without it the file's 'name:' or its folder's name is taken.
    Services that are as the file says are left alone.
    """
    output = output_of(form)
    try:
        plan = _read_plan(plan_path) if plan_path else None
        wanted = _wanted(project, stack or (plan.stack if plan else ""))
        client = client_of(ctx)
        if dry_run:
            from stack.cli.diff import show_differences  # what deploys need not import it

            changes_form = "json" if form == "json" else "text"
            return show_differences(
                client, wanted, images, prune=whole.prune, out="", form=changes_form
            )
        images = msgspec.structs.replace(images, strict=project.strict)
        choices = Choices(images=images, waiting=waiting, plan=plan, whole=whole)
        Deployment(client, wanted, output.tell, choices).run()
    except StackError as error:
        code = error.exit_code
        output.tell(EndEvent(result=result_of(error), exit_code=code, message=str(error)))
        raise
    output.tell(EndEvent(result="accepted" if waiting.is_detached else "converged", exit_code=0))
    return 0


def _wanted(project: ProjectChoice, stack: str) -> StackSpec:
    wanted = stack_spec(load_project(project, stack))
    report(wanted.notes, strict=project.strict)
    return wanted


def _read_plan(path: str) -> PlanFile:
    try:
        return read_plan(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
