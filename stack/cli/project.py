"""Loading a project for a command: files, name, and what the user should be told."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:  # reading compose files takes longer to import than a help text to show
    from stack.compose.notice import Notice
    from stack.compose.source import Source
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


class ProjectChoice(msgspec.Struct, frozen=True):
    """Which project, as the options of a command say."""

    files: tuple[str, ...]
    env_files: tuple[str, ...]
    profiles: tuple[str, ...]
    strict: bool  # what is not applied is an error

    def source(self) -> Source:
        """Read its files."""
        from stack.compose.source import read_source

        return read_source(self.files, env_files=self.env_files)


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -c, --env-file, --profile and --strict, given to the command as `project`."""

    @functools.wraps(command)
    def with_project(
        *arguments: Any,
        files: tuple[str, ...],
        env_files: tuple[str, ...],
        profiles: tuple[str, ...],
        strict: bool,
        **rest: Any,
    ) -> Any:
        project = ProjectChoice(files, env_files, profiles, strict)
        return command(*arguments, project=project, **rest)

    options = (
        compose_option,
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
            "--strict", is_flag=True, help="Refuse a file of which something is not applied."
        ),
    )
    decorated: Callable[..., Any] = with_project
    for add in reversed(options):
        decorated = add(decorated)
    return decorated


def load_project(project: ProjectChoice, stack: str) -> Compose:
    """Load a project and print what is not applied, one line each, to standard error.

    Raises:
        ComposeError: the project is wrong, or it is to be strict and something is not applied.
    """
    from stack.compose.loader import load

    loaded = load(project.source(), stack, project.profiles)
    report(loaded.notices, strict=project.strict)
    return loaded.compose


def report(notices: Iterable[Notice | str], *, strict: bool) -> None:
    """Print what the user should know.

    Raises:
        ComposeError: `strict`, and one of the notices is not harmless.
    """
    from stack.errors import ComposeError

    notices = list(notices)
    harmless = {str(one) for one in notices if not isinstance(one, str) and one.harmless}
    refused = [str(one) for one in notices if str(one) not in harmless] if strict else []
    for text in dict.fromkeys(str(one) for one in notices):
        if text not in refused:
            click.echo(f"warning: {text}", err=True)
    if refused:
        raise ComposeError("\n".join([*refused, "nothing is done, because of --strict"]))
