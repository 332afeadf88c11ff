"""``stack config``."""

from __future__ import annotations

import json

import click

from stack.cli.project import compose_option, load_project


@click.command()
@click.argument("stack", required=False, default="")
@compose_option
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
def config(stack: str, *, files: tuple[str, ...], form: str) -> None:
    """Show the Engine API objects that a deployment of the files would ask for.

    Nothing is sent; no cluster is needed.
    """
    from stack.translate.stack_spec import stack_spec

    wanted = stack_spec(load_project(files, stack))
    shown = {
        "name": wanted.name,
        "networks": list(wanted.networks),
        "external_networks": list(wanted.external_networks),
        "services": list(wanted.services),
    }
    if form == "json":
        click.echo(json.dumps(shown, indent=2))
    else:
        from stack.compose.yaml_writer import write_yaml

        click.echo(write_yaml(shown), nl=False)
