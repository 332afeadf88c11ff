"""``stack deploy``."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from stack.cli.deploy_output import Form, Output, output_of
from stack.cli.diff import show_differences
from stack.cli.images import ImageChoice, image_options
from stack.cli.project import ProjectChoice, load_project, report
from stack.cli.project_options import project_options
from stack.cli.session import client_of
from stack.cli.waiting import DetachWithValue, Waiting, waiting_options
from stack.deploy.apply import apply
from stack.deploy.converge import already_over, converge
from stack.deploy.events import EndEvent, Result, WarningEvent
from stack.deploy.observe import adopt, observe, stack_label, superseded_files
from stack.deploy.plan import KeepService, Remove, UpdateFile, make_plan
from stack.deploy.plan_file import PlanFile, check_plan, read_plan
from stack.deploy.reasons import failure_events
from stack.deploy.removal import remove_objects
from stack.engine.client import EngineClient
from stack.errors import NotConverged, StackError, UsageError
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
@click.option(
    "--prune",
    is_flag=True,
    help="After success, also remove the stack's services, secrets, configs and networks that "
    "the file does not name.",
)
@waiting_options
@click.option(
    "--output",
    "form",
    type=click.Choice(["auto", "plain", "json"]),
    default="auto",
    show_default=True,
    help="auto: a live view on a terminal, else plain: a line for each change of state; "
    "json: an event a line.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change, as stack diff.")
@click.option(
    "--plan",
    "plan_path",
    default="",
    metavar="FILE",
    help="Carry out a plan of stack diff -o, if neither stack nor files have changed since.",
)
@image_options
@click.pass_context
def deploy(  # noqa: PLR0913 (one for each group of options)
    ctx: click.Context,
    stack: str,
    *,
    project: ProjectChoice,
    prune: bool,
    waiting: Waiting | None,
    form: Form,
    dry_run: bool,
    plan_path: str,
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
            changes_form = "json" if form == "json" else "text"
            return show_differences(client, wanted, images, prune=prune, out="", form=changes_form)
        images = msgspec.structs.replace(images, strict=project.strict)
        _carry_out(client, wanted, images, output, waiting, plan=plan, prune=prune)
    except StackError as error:
        output.tell(EndEvent(result=_result(error), exit_code=error.exit_code, message=str(error)))
        raise
    output.tell(EndEvent(result="converged" if waiting else "accepted", exit_code=0))
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


def _carry_out(
    client: EngineClient,
    wanted: StackSpec,
    images: ImageChoice,
    output: Output,
    waiting: Waiting | None,
    *,
    plan: PlanFile | None,
    prune: bool,
) -> None:
    observed = observe(client, wanted)
    wanted = images.pinned(client, wanted, observed)
    if plan is not None:
        check_plan(plan, wanted, observed)
        prune = plan.prune
    observed = adopt(client, wanted, observed)
    seen = already_over(client, wanted.name) if waiting else frozenset()
    steps = make_plan(wanted, observed, prune=prune)
    removals = [step for step in steps if isinstance(step, Remove)]
    steps = [step for step in steps if not isinstance(step, Remove)]
    try:
        applied = apply(
            client,
            steps,
            observed,
            output.tell,
            logins=images.logins(wanted.services),
            exact=plan is not None,
        )
        for warning in applied.warnings:
            output.tell(WarningEvent(message=warning))
        if waiting is not None:
            is_new = not all(isinstance(step, KeepService | UpdateFile) for step in steps)
            converge(
                client,
                wanted.name,
                applied.service_ids,
                seen,
                timeout_s=waiting.timeout_s,
                stable_s=waiting.stable_s if is_new else 0.0,
                tell=output.tell,
            )
    except StackError as error:
        if isinstance(error, NotConverged):
            for event in failure_events(client, error.failed):
                output.tell(event)
        if not observed.services and _is_there(client, wanted.name):
            error.add_note(f"left as deployed; `stack rm {wanted.name}` removes it")
        raise
    if waiting is not None:  # else a service may still be on its way
        removals += superseded_files(client, wanted, observed)
    if removals:
        timeout_s = waiting.timeout_s if waiting else _PRUNE_TIMEOUT_S
        remove_objects(client, removals, timeout_s=timeout_s, tell=output.tell)


_PRUNE_TIMEOUT_S = 60.0


def _result(error: StackError) -> Result:
    results: dict[int, Result] = {
        2: "wrong",
        3: "rolled back",
        4: "unschedulable",
        5: "timed out",
    }
    return results.get(error.exit_code, "failed")


def _is_there(client: EngineClient, stack: str) -> bool:
    label = {"label": stack_label(stack)}
    try:
        return bool(client.services(label) or client.networks(label))
    except StackError:
        return False
