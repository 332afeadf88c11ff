"""Versions of the Docker Engine API: which ones are served, and paths that carry one.

Served are all versions from 1.24 (old Traefik releases ask for nothing else) up to the one that
the local engine serves too, because the calls that are passed on carry the same version.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cluster.errors import InvalidArgument


class ApiVersion(NamedTuple):
    """A version as two numbers, so that 1.9 is older than 1.24."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


NEWEST = ApiVersion(1, 50)
"""The newest version whose shapes are known here."""

OLDEST = ApiVersion(1, 24)
"""The oldest version served."""

_VERSIONED_PATH = re.compile(r"^/v([0-9.]+)(?=/)")
_MAX_DIGITS = 9


class UnsupportedVersion(InvalidArgument):
    """The client asks for a version that is not served.

    `is_plain` is set for clients so old that they expect the text without JSON.
    """

    def __init__(self, message: str, *, is_plain: bool = False) -> None:
        super().__init__(message)
        self.is_plain = is_plain


def parse_version(text: str) -> ApiVersion:
    """Return the version that a text such as ``1.41`` names.

    Raises:
        InvalidArgument: the text is no version.
    """
    major, dot, minor = text.partition(".")
    if not (major.isdigit() and dot and minor.isdigit()):
        raise InvalidArgument(f"API version {text!r} is not of the form 1.41")
    return ApiVersion(int(major), int(minor))


def _of_client(text: str) -> ApiVersion:
    """Return the version of a path; as in Docker, anything made of digits and dots is one.

    What lacks counts as 0, so that ``1`` is older than all that are served; a third part says
    nothing.
    """
    major, minor = (*(int(part[:_MAX_DIGITS] or 0) for part in text.split(".")), 0)[:2]
    return ApiVersion(major, minor)


def split_path(path: str) -> tuple[str | None, str]:
    """Return the version that a path begins with, or None, and the rest of the path."""
    match = _VERSIONED_PATH.match(path)
    if match is None:
        return None, path
    return match.group(1), path[match.end() :]


def served_version(engine: ApiVersion | None) -> ApiVersion:
    """Return the newest version served beside an engine; None stands for one that is not known."""
    return NEWEST if engine is None else max(OLDEST, min(NEWEST, engine))


def check_version(text: str | None, newest: ApiVersion) -> ApiVersion:
    """Return the version a request is to be answered in; without a version that is `newest`.

    Raises:
        UnsupportedVersion: the version is newer than `newest` or too old.
    """
    if text is None:
        return newest
    version = _of_client(text)
    if version > newest:
        raise UnsupportedVersion(
            f"client version {text} is too new. Maximum supported API version is {newest}"
        )
    if version < OLDEST:
        raise UnsupportedVersion(
            f"client version {text} is too old. Minimum supported API version is {OLDEST}, "
            "please upgrade your client to a newer version",
            is_plain=True,
        )
    return version


def engine_path(path: str, oldest: ApiVersion | None, newest: ApiVersion | None) -> str:
    """Return a path with its version moved into what the local engine serves.

    Args:
        path: as the client sent it, query included.
        oldest: the engine's oldest version, None when not known.
        newest: the engine's newest version, None when not known.
    """
    text, rest = split_path(path)
    if text is None:
        return path
    version = _of_client(text)
    if newest is not None and version > newest:
        version = newest
    if oldest is not None and version < oldest:
        version = oldest
    return f"/v{version}{rest}"
