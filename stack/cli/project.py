"""Loading a project for a command: files, name, and what the user should be told."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stack.compose.record import Record

if TYPE_CHECKING:  # what a command does not use it need not import
    from stack.compose.notice import Notice
    from stack.compose.source import Source
    from stack.compose.types import Compose


class ProjectChoice(Record):
    """Which project, as the options of a command say."""

    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    directory: str = ""  # where relative paths start; "" for the first file's folder
    strict: bool = False  # what is not applied is an error

    def source(self, further_files: tuple[str, ...] = ()) -> Source:
        """Read its files, and further ones merged over them."""
        from stack.compose.source import read_source

        files = (*self.files, *further_files)
        return read_source(files, env_files=self.env_files, directory=self.directory)


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
            sys.stderr.write(f"warning: {text}\n")
    if refused:
        raise ComposeError("\n".join([*refused, "nothing is done, because of --strict"]))
