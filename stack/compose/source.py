"""Where a project comes from: its compose files, its folder, its ``.env`` and the shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
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


class Source(msgspec.Struct, frozen=True):
    """Everything the loader reads; from here on loading touches no file.

    `folder` is the first file's: relative paths of all files start there.
    """

    files: tuple[SourceFile, ...]
    folder: str
    environment: Mapping[str, str]  # shell over .env
    home: str = ""


def read_source(names: tuple[str, ...], shell: Mapping[str, str] | None = None) -> Source:
    """Read the named compose files ("-" is standard input), or the default one when none is named.

    Args:
        names: the values of -c, in order.
        shell: environment variables; those of the process when not given.

    Raises:
        ComposeError: a file is missing or cannot be read.
    """
    shell = dict(os.environ) if shell is None else shell
    names = names or _default_names(Path.cwd())
    files = tuple(_read(name) for name in names)
    folder = Path.cwd() if names[0] == STDIN else Path(names[0]).absolute().parent
    return Source(files, str(folder), _environment(folder, shell), shell.get("HOME", ""))


def _default_names(folder: Path) -> tuple[str, ...]:
    main = next((name for name in DEFAULT_NAMES if (folder / name).is_file()), None)
    if main is None:
        raise ComposeError(f"no compose file named and none found in {folder}: use -c FILE")
    override = next((name for name in _OVERRIDES if (folder / name).is_file()), None)
    return (main, override) if override else (main,)


def _read(name: str) -> SourceFile:
    if name == STDIN:
        return SourceFile("<stdin>", sys.stdin.buffer.read())
    try:
        return SourceFile(name, Path(name).read_bytes())
    except OSError as error:
        raise ComposeError(f"{name}: cannot read the compose file: {error.strerror}") from None


def _environment(folder: Path, shell: Mapping[str, str]) -> dict[str, str]:
    path = folder / ".env"
    if shell.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true", "yes", "on"):
        return dict(shell)
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ComposeError(f"{path}: cannot be read: {error}") from None
    return {**read_env_text(text, str(path), shell), **shell}
