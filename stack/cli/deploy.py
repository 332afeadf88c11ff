"""``stack deploy``."""

from __future__ import annotations

import os
from collections.abc import Iterable

import click
import msgspec

from stack.cli.project import ProjectChoice, load_project, project_options, report
from stack.cli.session import client_of, say, warn_all
from stack.deploy.apply import apply
from stack.deploy.converge import already_over, converge
from stack.deploy.image_digests import ResolveImage, ask_registry, image_of, resolve_images
from stack.deploy.observe import observe, stack_label
from stack.deploy.plan import KeepService, UpdateFile, make_plan
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.engine.registry_logins import RegistryLogins
from stack.errors import StackError
from stack.translate.stack_spec import stack_spec

_TRUE, _FALSE = frozenset(("1", "t", "true")), frozenset(("0", "f", "false"))


class DetachWithValue(click.Command):
    """Takes ``--detach=true`` and ``--detach=false`` too, as Docker's client does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn a value into the flag that means the same; click refuses other values."""
        return super().parse_args(ctx, [_without_value(argument) for argument in args])


def _without_value(argument: str) -> str:
    name, _, value = argument.partition("=")
    if name in ("--detach", "-d"):
        if value.lower() in _TRUE:
            return "--detach"
        if value.lower() in _FALSE:
            return "--no-detach"
    return argument


@click.command(
    cls=DetachWithValue,
    epilog="""\b
Exit codes:
  0  every service runs all its tasks (with --detach: the cluster accepted all)
  1  the cluster refused, or the tasks do not run; the reasons are printed
  2  wrong usage or a wrong compose file; nothing was changed
""",
)
@click.argument("stack", required=False, default="")
@project_options
@click.option("--prune", is_flag=True, help="Remove services that the file does not name.")
@click.option(
    "--detach/--no-detach",
    "-d",
    default=False,
    help="Return as soon as the cluster has accepted the stack, or wait until it runs (default).",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the tasks.",
)
@click.option(
    "--stable",
    "stable_s",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long all tasks must run before that counts; 5 once one of them has failed.",
)
@click.option(
    "--resolve-image",
    type=click.Choice(("always", "changed", "never")),
    default="always",
    show_default=True,
    help="Ask registries for the digests of all images, of new and changed ones, or of none.",
)
@click.option(
    "--with-registry-auth",
    "with_login",
    is_flag=True,
    help="Let the nodes pull with your logins at registries, as docker login keeps them.",
)
@click.pass_context
def deploy(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    stack: str,
    *,
    project: ProjectChoice,
    prune: bool,
    detach: bool,
    timeout_s: float,
    stable_s: float,
    resolve_image: ResolveImage,
    with_login: bool,
) -> None:
    """Bring the cluster to the stack that compose files describe.

    STACK is the stack's name; without it the file's 'name:' or its folder's name is taken.
    Services that are as the file says are left alone.
    """
    compose = load_project(project, stack)
    wanted = stack_spec(compose)
    report(wanted.notes, strict=project.strict)
    client = client_of(ctx)
    observed = observe(client, wanted)
    seen = frozenset() if detach else already_over(client, wanted.name)
    logins = _logins(wanted.services) if with_login else {}
    resolved = resolve_images(
        wanted.services, observed, resolve_image, logins, ask_registry(client.another)
    )
    report(resolved.warnings, strict=project.strict)
    wanted = msgspec.structs.replace(wanted, services=resolved.services)
    steps = make_plan(wanted, observed, prune=prune)
    try:
        applied = apply(client, steps, observed, say, logins)
        warn_all(applied.warnings)
        if detach:
            return
        if all(isinstance(step, KeepService | UpdateFile) for step in steps):
            stable_s = 0.0  # nothing was started
        converge(
            client,
            wanted.name,
            applied.service_ids,
            seen,
            timeout_s=timeout_s,
            stable_s=stable_s,
            say=say,
        )
    except StackError as error:
        if not observed.services and _is_there(client, wanted.name):
            error.add_note(f"left as deployed; `stack rm {wanted.name}` removes it")
        raise


def _logins(services: Iterable[Json]) -> dict[str, str]:
    """The encoded login at the registry of its image, by name of the service."""
    known = RegistryLogins(os.environ)
    found = {spec["Name"]: known.encoded(image_of(spec)) for spec in services}
    return {name: login for name, login in found.items() if login}


def _is_there(client: EngineClient, stack: str) -> bool:
    label = {"label": stack_label(stack)}
    try:
        return bool(client.services(label) or client.networks(label))
    except StackError:
        return False
