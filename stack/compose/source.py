"""Where a project comes from: its compose files, its folder, its ``.env`` and the shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from stack.compose.env_file import read_env_text
from stack.errors import ComposeError

STDIN = "-"
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_OVERRIDES = (
    "compose.override.yaml", "compose.override.yml",
    "docker-compose.override.yaml", "docker-compose.override.yml",
)  # fmt: skip


class SourceFile(msgspec.Struct, frozen=True):
    """A compose file's name, as the user gave it, and its content."""

    name: str
    content: bytes


MAX_FILE_BYTES = 1024 * 1024
"""Larger files than this are refused: no compose file is, and reading one would take long."""


def read_from_disk(path: str) -> bytes | None:
    """A file's content; None when there is no such file.

    Raises:
        ComposeError: it is there but cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ComposeError(f"{path}: cannot be read: {reason}") from None


class Source(msgspec.Struct, frozen=True):
    """Everything the loader reads.

    `folder` is the first file's: relative paths of all files start there.  Files that the compose
    files name are read through `read_file`.
    """

    files: tuple[SourceFile, ...]
    folder: str
    environment: Mapping[str, str]  # shell over .env
    home: str = ""
    read_file: Callable[[str], bytes | None] = read_from_disk


def read_source(
    names: tuple[str, ...],
    shell: Mapping[str, str] | None = None,
    env_files: tuple[str, ...] = (),
) -> Source:
    """Read the named compose files ("-" is standard input), or the default one when none is named.

    Args:
        names: the values of -c, in order; COMPOSE_FILE stands in for them.
        shell: environment variables; those of the process when not given.
        env_files: the values of --env-file, later ones win; COMPOSE_ENV_FILES stands in for them,
            then the folder's ``.env``.

    Raises:
        ComposeError: a file is missing or cannot be read.
    """
    shell = dict(os.environ) if shell is None else shell
    listed = shell.get("COMPOSE_ENV_FILES", "").split(",")
    env_files = env_files or tuple(name for name in listed if name)
    if not names:
        names = _named_files(_environment(Path.cwd(), shell, env_files))
    names = names or _default_names(Path.cwd())
    files = tuple(_read(name) for name in names)
    folder = Path.cwd() if names[0] == STDIN else Path(names[0]).absolute().parent
    environment = _environment(folder, shell, env_files)
    return Source(files, str(folder), environment, shell.get("HOME", ""))


def _named_files(environment: Mapping[str, str]) -> tuple[str, ...]:
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    return tuple(name for name in environment.get("COMPOSE_FILE", "").split(separator) if name)


def _default_names(start: Path) -> tuple[str, ...]:
    for folder in (start, *start.parents):
        main = next((name for name in DEFAULT_NAMES if (folder / name).is_file()), None)
        if main is None:
            continue
        override = next((name for name in _OVERRIDES if (folder / name).is_file()), None)
        names = (main, override) if override else (main,)
        return names if folder == start else tuple(str(folder / name) for name in names)
    raise ComposeError(f"no compose file named and none found in {start} or above: use -c FILE")


def _read(name: str) -> SourceFile:
    if name == STDIN:
        return SourceFile("<stdin>", sys.stdin.buffer.read())
    try:
        return SourceFile(name, Path(name).read_bytes())
    except OSError as error:
        raise ComposeError(f"{name}: cannot read the compose file: {error.strerror}") from None


def _environment(
    folder: Path, shell: Mapping[str, str], env_files: tuple[str, ...]
) -> dict[str, str]:
    disabled = shell.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true", "yes", "on")
    if not env_files and not disabled and (folder / ".env").is_file():
        env_files = (str(folder / ".env"),)
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
