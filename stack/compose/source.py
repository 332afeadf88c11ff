"""Where a project comes from: its compose files, its folder, its ``.env`` and the shell.

Paths are texts here: pathlib takes a noticeable part of the time of ``stack config`` to import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from stack.compose.env_file import read_env_text
from stack.compose.record import Record
from stack.errors import ComposeError

STDIN = "-"
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_OVERRIDES = (
    "compose.override.yaml", "compose.override.yml",
    "docker-compose.override.yaml", "docker-compose.override.yml",
)  # fmt: skip


class SourceFile(Record):
    """A compose file's name, as the user gave it, and its content."""

    name: str
    content: bytes


MAX_FILE_BYTES = 1024 * 1024
"""Larger files than this are refused: no compose file is, and reading one would take long."""


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def read_from_disk(path: str) -> bytes | None:
    """A file's content; None when there is no such file.

    Raises:
        ComposeError: it is there but cannot be read.
    """
    try:
        return _content(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ComposeError(f"{path}: cannot be read: {reason}") from None


class Source(Record):
    """Everything the loader reads.

    `folder` is the first file's: relative paths of all files start there.  Files that the compose
    files name are read through `read_file`.
    """

    files: tuple[SourceFile, ...]
    folder: str
    environment: Mapping[str, str]  # shell over .env
    home: str = ""
    read_file: Callable[[str], bytes | None] = staticmethod(read_from_disk)


def read_source(
    names: tuple[str, ...],
    shell: Mapping[str, str] | None = None,
    env_files: tuple[str, ...] = (),
    directory: str = "",
) -> Source:
    """Read the named compose files ("-" is standard input), or the default one when none is named.

    Args:
        names: the values of -c, in order; COMPOSE_FILE stands in for them.
        shell: environment variables; those of the process when not given.
        env_files: the values of --env-file, later ones win; COMPOSE_ENV_FILES stands in for them,
            then the folder's ``.env``.
        directory: the folder, when it is not that of the first file.

    Raises:
        ComposeError: a file is missing or cannot be read.
    """
    shell = {"PWD": os.getcwd(), **(os.environ if shell is None else shell)}
    listed = shell.get("COMPOSE_ENV_FILES", "").split(",")
    env_files = env_files or tuple(name for name in listed if name)
    start = os.path.abspath(directory) if directory else os.getcwd()
    if not names:
        names = _named_files(_environment(start, shell, env_files))
    names = names or _default_names(start)
    files = tuple(_read(name) for name in names)
    folder = start
    if not directory and names[0] != STDIN:
        folder = os.path.dirname(os.path.abspath(names[0]))
    environment = _environment(folder, shell, env_files)
    return Source(files, folder, environment, shell.get("HOME", ""))


def _named_files(environment: Mapping[str, str]) -> tuple[str, ...]:
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    return tuple(name for name in environment.get("COMPOSE_FILE", "").split(separator) if name)


def _default_names(start: str) -> tuple[str, ...]:
    folder = start
    while True:
        inside = "" if folder == os.getcwd() else folder  # names are shown as short as they can be
        main = _first_file(inside, DEFAULT_NAMES)
        if main:
            override = _first_file(inside, _OVERRIDES)
            return (main, override) if override else (main,)
        above = os.path.dirname(folder)
        if above == folder:
            problem = f"no compose file named and none found in {start} or above: use -c FILE"
            raise ComposeError(problem)
        folder = above


def _first_file(folder: str, names: tuple[str, ...]) -> str:
    paths = (os.path.join(folder, name) for name in names)
    return next((path for path in paths if os.path.isfile(path)), "")


def _read(name: str) -> SourceFile:
    if name == STDIN:
        return SourceFile("<stdin>", sys.stdin.buffer.read())
    try:
        return SourceFile(name, _content(name))
    except OSError as error:
        raise ComposeError(f"{name}: cannot read the compose file: {error.strerror}") from None


def _environment(
    folder: str, shell: Mapping[str, str], env_files: tuple[str, ...]
) -> dict[str, str]:
    disabled = shell.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true", "yes", "on")
    default = os.path.join(folder, ".env")
    if not env_files and not disabled and os.path.isfile(default):
        env_files = (default,)
    values: dict[str, str] = {}
    for name in env_files:
        content = read_from_disk(name)
        if content is None:
            raise ComposeError(f"{name}: there is no such file for --env-file")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ComposeError(f"{name}: is no text in UTF-8") from None
        values.update(read_env_text(text, name, {**values, **shell}))
    return {**values, **shell}
