"""A small HTTP/1.1 server on a unix socket: what the engine and our own agent speak.

Both send small JSON requests over connections they keep. Requests of one connection are answered
in order, connections wait for nobody. The whole fits here, so that the network process starts in
a fraction of a second; the engine waits for it at boot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from cluster.errors import ClusterError, FailedPrecondition

log = structlog.get_logger()

MAX_HEAD_BYTES: Final = 1 << 16
MAX_BODY_BYTES: Final = 1 << 28
REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}


class Request(msgspec.Struct, frozen=True):
    """What a client sent."""

    method: str
    path: str
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a client gets."""

    status: int
    body: bytes
    content_type: str = "application/json"


Handler = Callable[[Request], Awaitable[Answer]]


@contextlib.asynccontextmanager
async def serving(path: Path, handle: Handler) -> AsyncIterator[None]:
    """Serve on a unix socket that only root may use, as long as the context is open.

    A handler's error is logged and becomes an answer of status 500 (our own fault) or 400.
    A socket that a process left behind is replaced; the file stays when the context ends, since a
    process that takes over may have made it anew.

    Raises:
        FailedPrecondition: there is something else at the path, or the path is too long.
    """
    temporary = _prepare(path)
    connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await _converse(reader, writer, handle)
        finally:
            connections.discard(writer)
            writer.close()

    try:
        server = await asyncio.start_unix_server(connected, temporary, limit=MAX_HEAD_BYTES)
    except OSError as error:
        raise FailedPrecondition(f"{path}: cannot listen: {error.strerror or error}") from error
    temporary.chmod(0o600)
    temporary.replace(path)  # so that there is never a moment without a socket
    try:
        yield
    finally:
        server.close()
        for writer in connections:
            writer.close()


def _prepare(path: Path) -> Path:
    """Make the folder; return the name under which the socket is made before it is in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise FailedPrecondition(f"{path}: is no socket; remove it or choose another path")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    return temporary


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler
) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3:
            return
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await _body(reader, headers)
        if body is None:
            return
        answer = await _answer(Request(words[0], words[1], body), handle)
        keep = headers.get("connection", "").lower() != "close" and words[2] == "HTTP/1.1"
        writer.write(
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Error')}\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode("latin-1")
            + answer.body
        )
        await writer.drain()
        if not keep:
            return


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes | None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts: list[bytes] = []
        while size := int((await reader.readline()).split(b";")[0].strip() or b"0", 16):
            if size + sum(map(len, parts)) > MAX_BODY_BYTES:
                return None
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return b"".join(parts)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return None
    return await reader.readexactly(int(length))


async def _answer(request: Request, handle: Handler) -> Answer:
    try:
        return await handle(request)
    except ClusterError as error:
        return _error(400, str(error))
    except Exception as error:  # one bad request must not end the others' connections
        log.exception("request failed", method=request.method, path=request.path)
        return _error(500, f"{request.method} {request.path}: {error}")


def _error(status: int, text: str) -> Answer:
    return Answer(status, msgspec.json.encode({"Err": text, "message": text}))
