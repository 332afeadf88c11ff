"""``stack config``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stack.cli.project import ProjectChoice, load_project, project_options, report

if TYPE_CHECKING:  # imported when the command runs
    from stack.compose.resolve import Resolved

_LISTS = ("services", "volumes", "networks", "images", "profiles")


def _list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(_LISTS):
        what = "names of images" if name == "images" else f"names of {name}"
        option = click.option(f"--{name}", "lists", flag_value=name, help=f"Print the {what} only.")
        command = option(command)
    return click.option(
        "--objects",
        "lists",
        flag_value="objects",
        help="Show the Engine API objects that a deployment would ask for.",
    )(command)


@click.command()
@click.argument("stack", required=False, default="")
@project_options
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
@_list_options
@click.option(
    "--hash",
    "hashed",
    metavar="SERVICES",
    help="Print a hash of these services, separated by commas; '*' for all.",
)
@click.option(
    "--no-interpolate", is_flag=True, help="Leave variables and env files as they are written."
)
@click.option("-o", "--output", metavar="FILE", help="Write to a file.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; only check.")
def config(
    stack: str,
    *,
    project: ProjectChoice,
    form: str,
    lists: str | None,
    hashed: str | None,
    no_interpolate: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Show a project as it is understood: merged, complete, with nothing left to look up.

    What is shown can be loaded again. Nothing is sent; no cluster is needed.
    """
    from stack.compose.resolve import Options, resolve

    if lists == "objects":
        text = _objects(project, stack, form)
    else:
        options = Options(stack, project.profiles, interpolates=not no_interpolate)
        resolved = resolve(project.source(), options)
        _report(resolved, strict=project.strict)
        text = _text(resolved, form, lists, hashed, plain=no_interpolate)
    if quiet:
        return
    if output:
        _write(output, text)
    else:
        click.echo(text, nl=bool(text) and not text.endswith("\n"))


def _report(resolved: Resolved, *, strict: bool) -> None:
    notices = list(resolved.notices)
    if strict:
        from stack.compose.unsupported import check_keys

        notices += check_keys(resolved.root)
    report(notices, strict=strict)


def _text(
    resolved: Resolved, form: str, lists: str | None, hashed: str | None, *, plain: bool
) -> str:
    from stack.compose.render import escaped, render, service_hashes
    from stack.compose.tree import to_plain

    if lists == "profiles":
        return "\n".join(resolved.all_profiles)
    if plain:
        shown: Any = to_plain(resolved.root)
    else:
        shown = render(resolved.root, extensions=form == "yaml")
    if lists == "images":
        services = shown["services"].items()
        default = f"{resolved.name}-"
        return "\n".join(service.get("image") or f"{default}{name}" for name, service in services)
    if lists:
        return "\n".join(shown.get(lists) or ())
    if hashed is not None:
        wanted = None if hashed == "*" else hashed.split(",")
        hashes = service_hashes(shown)
        _check_names(wanted or (), hashes)
        return "\n".join(f"{name} {hashes[name]}" for name in wanted or hashes)
    return _printed(shown if plain else escaped(shown), form)


def _check_names(wanted: Any, known: Any) -> None:
    for name in wanted:
        if name not in known:
            raise click.BadParameter(f"there is no service {name!r}", param_hint="--hash")


def _objects(project: ProjectChoice, stack: str, form: str) -> str:
    from stack.translate.stack_spec import stack_spec

    wanted = stack_spec(load_project(project, stack))
    report(wanted.notes, strict=project.strict)
    return _printed(
        {
            "name": wanted.name,
            "networks": list(wanted.networks),
            "external_networks": list(wanted.external_networks),
            "services": list(wanted.services),
        },
        form,
    )


def _printed(value: Any, form: str) -> str:
    if form == "json":
        import json

        return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    from stack.compose.yaml_writer import write_yaml

    return write_yaml(value)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise click.BadParameter(message, param_hint="--output") from None
