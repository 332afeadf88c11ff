"""``stack service create``, ``update`` and ``rollback``: services without a compose file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import click

from stack.cli.deploy_output import output_of
from stack.cli.images import ImageChoice, image_options
from stack.cli.session import client_of, say, warn_all
from stack.deploy.converge import converge_services, over_of
from stack.deploy.progress import update_id
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, Service
from stack.errors import NotFound, OutOfSequence, StackError, UsageError
from stack.translate.service_options import (
    LISTS,
    SETTINGS,
    SWITCHES,
    Changes,
    WrongOption,
    changed_spec,
)

Command = Callable[..., Any]

_MODES = ("replicated", "global", "replicated-job", "global-job")
_ATTACHED = (("Secrets", "secret"), ("Configs", "config"))


def _waiting(command: Command) -> Command:
    command = click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait.",
    )(command)
    return click.option(
        "-d", "--detach", is_flag=True, help="Do not wait until the tasks run as asked."
    )(command)


def _settings(command: Command) -> Command:
    for switch in reversed(SWITCHES):
        names = [*filter(None, [switch.short]), f"--{switch.name}/--no-{switch.name}"]
        command = click.option(*names, default=None, help=switch.help)(command)
    for setting in reversed(SETTINGS):
        choices = click.Choice(setting.choices) if setting.choices else None
        metavar = None if setting.choices else setting.metavar
        option = click.option(f"--{setting.name}", type=choices, metavar=metavar, help=setting.help)
        command = option(command)
    return command


def _lists(command: Command) -> Command:
    for many in reversed(LISTS):
        names = [*filter(None, [many.short]), f"--{many.name}"]
        command = click.option(*names, multiple=True, metavar=many.metavar, help=many.help)(command)
    return command


def _list_changes(command: Command) -> Command:
    for many in reversed(LISTS):
        for what, help_text in (("add", many.help), ("rm", f"Take one away: {many.name}.")):
            metavar = many.metavar if what == "add" else "NAME"
            command = click.option(
                f"--{many.name}-{what}", multiple=True, metavar=metavar, help=help_text
            )(command)
    return command


@click.command("create", context_settings={"allow_interspersed_args": False})
@click.argument("image")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--name", default="", help="Name of the service; one is made up when not given.")
@click.option("--mode", type=click.Choice(_MODES), default="replicated", show_default=True)
@click.option("--max-concurrent", type=click.IntRange(min=1), help="Tasks of a job at once.")
@_settings
@_lists
@image_options
@_waiting
@click.pass_context
def create(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    /,
    *,
    image: str,
    args: tuple[str, ...],
    name: str,
    mode: str,
    max_concurrent: int | None,
    images: ImageChoice,
    detach: bool,
    timeout_s: float,
    **options: Any,
) -> None:
    """Create a service that runs IMAGE, with ARGS in place of the image's command."""
    client = client_of(ctx)
    container: Json = {"Image": image}
    if args:
        container["Args"] = list(args)
    spec: Json = {"TaskTemplate": {"ContainerSpec": container}}
    if name:
        spec["Name"] = name
    replicas = options.pop("replicas")
    changes = _changes(options, {many.name: f"{many.name}" for many in LISTS}, {})
    spec = _resolved(client, _changed(spec, changes))
    spec["Mode"] = _mode(mode, replicas, max_concurrent)
    service_id, warnings = client.create_service(*images.of_one(client, spec, is_new=True))
    warn_all(warnings)
    say(service_id)
    if not detach:
        _wait(client, service_id, frozenset(), timeout_s)


@click.command("update")
@click.argument("service", metavar="SERVICE")
@click.option("--image", help="Another image.")
@click.option("--args", "arguments", help="Another command, as a shell would split it.")
@click.option("--force", is_flag=True, help="Replace the tasks although nothing else changes.")
@click.option("--rollback", "is_rollback", is_flag=True, help="Return to the previous spec.")
@_settings
@_list_changes
@image_options
@_waiting
@click.pass_context
def update(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    /,
    *,
    service: str,
    image: str | None,
    arguments: str | None,
    force: bool,
    is_rollback: bool,
    images: ImageChoice,
    detach: bool,
    timeout_s: float,
    **options: Any,
) -> None:
    """Change a service; its tasks are replaced by its update policy.

    Only a new image is pinned to its digest; the login is replaced by itself as well.
    """
    client = client_of(ctx)
    added = {many.name: f"{many.name}-add" for many in LISTS}
    removed = {many.name: f"{many.name}-rm" for many in LISTS}
    changes = _changes(options, added, removed)
    is_change = changes != Changes() or force or image is not None or arguments is not None
    is_change = is_change or images.with_login
    if is_rollback and is_change:
        raise UsageError("--rollback takes the previous spec as it is: give no other change")
    if not (is_rollback or is_change):
        raise UsageError("nothing to change: give an option; see 'stack service update --help'")

    def new_spec(found: Service) -> tuple[Json, str]:
        spec = deepcopy(found["Spec"])
        template = spec["TaskTemplate"]
        if image is not None:
            template["ContainerSpec"]["Image"] = image
            (template.get("Placement") or {}).pop("Platforms", None)  # of the former image
        if arguments is not None:
            template["ContainerSpec"]["Args"] = shlex.split(arguments)
        if force:
            template["ForceUpdate"] = template.get("ForceUpdate", 0) + 1
        if "replicas" in changes.settings and "Replicated" not in (spec.get("Mode") or {}):
            raise StackError(f"{service} is not replicated: it cannot be scaled")
        spec = _resolved(client, _changed(_by_name(client, spec), changes))
        return images.of_one(client, spec, is_new=image is not None)

    _carry_out(client, service, None if is_rollback else new_spec, detach, timeout_s)


@click.command("rollback")
@click.argument("service", metavar="SERVICE")
@_waiting
@click.pass_context
def rollback(ctx: click.Context, service: str, *, detach: bool, timeout_s: float) -> None:
    """Return a service to its previous spec; a second time goes forward again."""
    _carry_out(client_of(ctx), service, None, detach, timeout_s)


def _carry_out(
    client: EngineClient,
    name: str,
    new_spec: Callable[[Service], tuple[Json, str]] | None,
    detach: bool,  # noqa: FBT001
    timeout_s: float,
) -> None:
    """Change a service, or return to its previous spec, and wait."""
    found = client.service(name)
    seen = over_of(client, [found["ID"]])
    try:
        warnings = _send(client, found, new_spec)
    except OutOfSequence:  # someone else changed the service in between: once more
        warnings = _send(client, client.service(name), new_spec)
    warn_all(warnings)
    say(name)
    if not detach:
        if new_spec is None:
            seen |= _rollback_asked_for(client, found["ID"])
        _wait(client, found["ID"], seen, timeout_s)


def _rollback_asked_for(client: EngineClient, service_id: str) -> frozenset[str]:
    """Return the states of an update that are no failure, as going back is what was asked for."""
    service = client.service(service_id)
    update = service.get("UpdateStatus") or {}
    states = ("rollback_started", "rollback_completed")
    return frozenset(
        update_id({**service, "UpdateStatus": {**update, "State": state}}) for state in states
    )


def _send(
    client: EngineClient,
    found: Service,
    new_spec: Callable[[Service], tuple[Json, str]] | None,
) -> list[str]:
    version = found["Version"]["Index"]
    if new_spec is None:
        return client.update_service(found["ID"], version, found["Spec"], rollback="previous")
    spec, login = new_spec(found)
    return client.update_service(found["ID"], version, spec, login)


def _wait(client: EngineClient, service_id: str, seen: frozenset[str], timeout_s: float) -> None:
    tell = output_of("auto").tell
    converge_services(client, [service_id], seen, timeout_s=timeout_s, stable_s=0, tell=tell)


def _mode(mode: str, replicas: str | None, max_concurrent: int | None) -> Json:
    number = None if replicas is None else int(replicas) if replicas.isdigit() else -1
    if number is not None and number < 0:
        raise UsageError(f"--replicas: {replicas!r} is no whole number")
    if max_concurrent is not None and mode != "replicated-job":
        raise UsageError("--max-concurrent is for --mode replicated-job")
    match mode:
        case "replicated":
            return {"Replicated": {"Replicas": 1 if number is None else number}}
        case "replicated-job":
            total = 1 if number is None else number
            return {
                "ReplicatedJob": {
                    "MaxConcurrent": total if max_concurrent is None else max_concurrent,
                    "TotalCompletions": total,
                }
            }
    if number is not None:
        raise UsageError(f"--replicas is not for --mode {mode}: it runs once on each node")
    return {"Global": {}} if mode == "global" else {"GlobalJob": {}}


def _changes(
    options: Mapping[str, Any], added: Mapping[str, str], removed: Mapping[str, str]
) -> Changes:
    """Sort the values that click has collected; its names have underscores."""

    def value(name: str) -> Any:
        return options.get(name.replace("-", "_"))

    def some(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        return {key: value(name) for key, name in names.items() if value(name)}

    return Changes(
        settings={s.name: value(s.name) for s in SETTINGS if value(s.name) is not None},
        switches={s.name: value(s.name) for s in SWITCHES if value(s.name) is not None},
        added=some(added),
        removed=some(removed),
    )


def _changed(spec: Json, changes: Changes) -> Json:
    try:
        return changed_spec(spec, changes)
    except WrongOption as error:
        raise UsageError(str(error)) from None


def _resolved(client: EngineClient, spec: Json) -> Json:
    """Fill in the IDs of secrets and configs that options have named."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    for member, kind in _ATTACHED:
        for item in container.get(member) or ():
            if "name" in item:
                name = item.pop("name")
                item[f"{kind.capitalize()}ID"] = _file_id(client, kind, name)
                item[f"{kind.capitalize()}Name"] = name
    return spec


def _file_id(client: EngineClient, kind: str, name: str) -> str:
    try:
        found = client.secret(name) if kind == "secret" else client.config(name)
    except NotFound:
        group = "secret" if kind == "secret" else "configs"
        raise StackError(f"there is no {kind} {name}: see 'stack {group} ls'") from None
    return str(found["ID"])


def _by_name(client: EngineClient, spec: Json) -> Json:
    """Name networks as users do, so that options can; the API stores IDs and takes both."""
    spec.pop("Networks", None)  # where old clients named them: the same once more
    networks = spec["TaskTemplate"].get("Networks") or []
    names = _network_names(client) if networks else {}
    for attachment in networks:
        attachment["Target"] = names.get(attachment["Target"], attachment["Target"])
    return spec


def _network_names(client: EngineClient) -> dict[str, str]:
    found: Iterable[Any] = client.networks()
    return {network["Id"]: network["Name"] for network in found}
