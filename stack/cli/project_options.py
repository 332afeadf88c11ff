"""The options of commands that read compose files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from stack.cli.project import ProjectChoice

_Command = Callable[..., Any]

_SOURCE_OPTIONS = (
    click.option(
        "-c",
        "-f",
        "--compose-file",
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Compose file; '-' is standard input. Several are merged in their order. "
        "Default: compose.yaml or docker-compose.yml in this folder.",
    ),
    click.option(
        "--env-file",
        "env_files",
        multiple=True,
        metavar="FILE",
        help="File of variables instead of .env; of several, later ones win.",
    ),
    click.option(
        "--profile",
        "profiles",
        multiple=True,
        metavar="NAME",
        help="Also the services of this profile; '*' for all.",
    ),
    click.option(
        "--project-directory",
        "directory",
        default="",
        metavar="FOLDER",
        help="Where relative paths start and .env is. Default: the folder of the first file.",
    ),
)


def source_options(command: _Command) -> _Command:
    """Add -c, --env-file, --profile and --project-directory, given to the command as `project`."""

    @functools.wraps(command)
    def with_project(
        *arguments: Any,
        files: tuple[str, ...],
        env_files: tuple[str, ...],
        profiles: tuple[str, ...],
        directory: str,
        **rest: Any,
    ) -> Any:
        project = ProjectChoice(files, env_files, profiles, directory)
        return command(*arguments, project=project, **rest)

    decorated: _Command = with_project
    for add in reversed(_SOURCE_OPTIONS):
        decorated = add(decorated)
    return decorated


def project_options(command: _Command) -> _Command:
    """Add the same and --strict, which is a part of `project`."""

    @functools.wraps(command)
    def strictly(*arguments: Any, project: ProjectChoice, strict: bool, **rest: Any) -> Any:
        return command(*arguments, project=project.replaced(strict=strict), **rest)

    option = click.option(
        "--strict", is_flag=True, help="Refuse a file of which something is not applied."
    )
    return source_options(option(strictly))
