"""Reads a container's log from the engine.

Not through the SDK: a log that is followed would hold one of its threads for as long as somebody
reads.  The request is HTTP/1.0, which the engine answers without chunks and ends by closing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import quote

import msgspec

from cluster.errors import NotFound, Unavailable
from cluster.executor.engine import EngineFailure
from cluster.executor.log_frames import LogFrames
from cluster.model.ids import TaskId
from cluster.model.logs import ALL_LINES, LogLine, LogOptions
from cluster.model.units import SECOND_NS

_PIECE_BYTES: Final = 64 * 1024
_OK: Final = 200
_NOT_FOUND: Final = 404


async def read_container_log(
    socket_path: str, container: str, task_id: TaskId, options: LogOptions, *, has_terminal: bool
) -> AsyncGenerator[list[LogLine], None]:
    """Iterate over a container's lines, as many at a time as have come.

    Args:
        socket_path: the engine's unix socket.
        container: ID or name.
        task_id: whose container it is; the lines carry it.
        options: which lines.
        has_terminal: whether the container has a terminal, so that there are no frames.

    Raises:
        NotFound: no such container.
        Unavailable: the engine is away.
        EngineFailure: the container's log cannot be read, with some log drivers for example.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path)
    except OSError as error:
        raise Unavailable(f"engine {socket_path} is away: {error.strerror}") from error
    try:
        target = f"/containers/{quote(container, safe='')}/logs?{_query(options)}"
        writer.write(f"GET {target} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
        await _expect_ok(reader)
        frames = LogFrames(task_id, has_terminal=has_terminal)
        while data := await reader.read(_PIECE_BYTES):
            if lines := list(frames.feed(data)):
                yield lines
        if lines := list(frames.rest()):
            yield lines
    except (OSError, EOFError) as error:
        raise Unavailable(f"engine {socket_path} broke off: {type(error).__name__}") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _query(options: LogOptions) -> str:
    seconds, nanos = divmod(options.since, SECOND_NS)
    tail = "all" if options.tail == ALL_LINES else options.tail
    return (
        f"stdout={int(options.has_stdout)}&stderr={int(options.has_stderr)}"
        f"&follow={int(options.is_followed)}&timestamps=1&tail={tail}"
        + (f"&since={seconds}.{nanos:09d}" if options.since else "")
    )


async def _expect_ok(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    if status == _OK:
        return
    body = await reader.read(_PIECE_BYTES)
    message = _message(body) or f"the engine answered {status}"
    raise (NotFound if status == _NOT_FOUND else EngineFailure)(message)


def _message(body: bytes) -> str:
    try:
        content: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    return str(content.get("message", "")) if isinstance(content, dict) else ""
