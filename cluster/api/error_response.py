"""The one place where errors become HTTP.

The Docker client shows a message only when the content type is exactly ``application/json``: with
a character set behind it, the client prints the raw body instead.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from cluster.errors import (
    AlreadyExists,
    ClusterError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfSequence,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

JSON = "application/json"

_STATUS: tuple[tuple[type[ClusterError], int], ...] = (
    (InvalidArgument, 400),
    (FailedPrecondition, 400),
    (Unauthenticated, 401),
    (PermissionDenied, 403),
    (NotFound, 404),
    (AlreadyExists, 409),
    # Docker Swarm answers 500 here, and its clients try again when they read the text.
    (OutOfSequence, 500),
    (Unimplemented, 501),
    (Unavailable, 503),
)


class Conflict(ClusterError):
    """The request does not fit the state of the swarm, and Docker Swarm answers it with 409."""


def status_of(error: ClusterError) -> int:
    """Return the HTTP status that tells a Docker client what kind of error this is."""
    if isinstance(error, Conflict):
        return 409
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 500


def error_response(error: ClusterError) -> web.Response:
    """Return the response for an error that the caller can be told about."""
    return message_response(status_of(error), str(error))


def message_response(status: int, message: str) -> web.Response:
    """Return a response with the body every Docker client understands."""
    return json_response({"message": message}, status=status)


def json_response(content: Any, *, status: int = 200) -> web.Response:
    """Return `content` as JSON, the content type without a character set."""
    return raw_json_response(msgspec.json.encode(content), status=status)


def raw_json_response(body: bytes, *, status: int = 200) -> web.Response:
    """Return JSON that is already encoded."""
    return web.Response(status=status, body=body, headers={"Content-Type": JSON})


def empty_response(status: int = 200) -> web.Response:
    """Return a response without a body."""
    return web.Response(status=status)
