"""``stack import``: a running stack as compose files."""

from __future__ import annotations

from pathlib import Path

import click

from stack.cli.session import client_of, say, warn_all
from stack.compose.yaml_writer import write_yaml
from stack.deploy.observe import stack_label
from stack.errors import StackError, UsageError
from stack.translate.to_compose import to_compose


@click.command("import")
@click.argument("stack")
@click.option(
    "-o",
    "--out",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for docker-compose.yml and the contents of configs; it must be empty or new.",
)
@click.pass_context
def import_stack(ctx: click.Context, stack: str, *, folder: Path) -> None:
    """Write a stack of a Docker Swarm or of stackd as compose files.

    Contents of secrets cannot be read: they become external, and are listed. What a file cannot
    say is listed too. Environment variables are written as they are: mind where the folder is.
    """
    client = client_of(ctx)
    services = client.services({"label": stack_label(stack)})
    if not services:
        raise StackError(f"nothing found in stack: {stack}")
    imported = to_compose(
        stack,
        [service["Spec"] for service in services],
        client.networks(),
        {config["Spec"]["Name"]: config for config in client.configs()},
    )
    files = {"docker-compose.yml": write_yaml(imported.compose).encode(), **imported.files}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            say(f"{path}")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None
    secrets = [one["name"] for one in imported.compose.get("secrets", {}).values()]
    warn_all(imported.notes)
    if secrets:
        say(f"secrets to create before it is deployed elsewhere: {', '.join(sorted(secrets))}")
