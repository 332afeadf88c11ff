"""``stack config``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from stack.cli.project import ProjectChoice
from stack.cli.project_options import project_options
from stack.cli.shown_project import LISTS, Shown, show


def _list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(LISTS):
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
def config(*, project: ProjectChoice, **wanted: Any) -> None:
    """Show a project as it is understood: merged, complete, with nothing left to look up.

    What is shown can be loaded again. Nothing is sent; no cluster is needed.
    """
    show(Shown(project, **wanted))
