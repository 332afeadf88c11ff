"""Loading a project for a command: files, name, and what the user should be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from stack.cli.session import warn_all
from stack.compose.types import Compose


def compose_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -c to a command that reads compose files."""
    return click.option(
        "-c",
        "-f",
        "--compose-file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Compose file; '-' is standard input. Several are merged in their order. "
        "Default: compose.yaml or docker-compose.yml in this folder.",
    )(command)


def load_project(files: tuple[str, ...], stack: str) -> Compose:
    """Load a project and print what is not applied, one line each, to standard error."""
    from stack.compose.loader import load
    from stack.compose.source import read_source

    loaded = load(read_source(files), stack)
    warn_all(loaded.notices)
    return loaded.compose
