"""The one public TCP port of a manager.

Nodes prove themselves with a certificate, but a joining node has none yet, and gRPC's server
cannot ask for a certificate without insisting on it.  So the front looks at the server name in
the TLS greeting, without taking it off the socket, and hands the connection to whoever serves
that name; TLS itself is done there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog

from cluster.errors import FailedPrecondition
from cluster.rpc.client_hello import RECORD_HEADER_BYTES, NotTls, record_bytes, server_name

log = structlog.get_logger()

ConnectionHandler = Callable[[socket.socket], Awaitable[None]]
"""Serves one accepted, non-blocking connection until it ends; closing it is the front's work."""

_GREETING_TIMEOUT_S: Final = 10.0
_ACCEPT_RETRY_S: Final = 0.2
_CONNECTIONS: Final = 4096


@asynccontextmanager
async def open_front(
    host: str, port: int, routes: Mapping[str, ConnectionHandler], otherwise: ConnectionHandler
) -> AsyncIterator[tuple[str, int]]:
    """Listen while the context lasts; its end ends every connection.

    Args:
        host: IP address to listen on; "0.0.0.0" or "::" for all.
        port: TCP port, 0 for any free one.
        routes: TLS server name -> who serves it.
        otherwise: who serves any other name.

    Yields:
        The address really listened on.

    Raises:
        FailedPrecondition: the port is taken or the address is not this machine's.
    """
    with contextlib.closing(_listen(host, port)) as listener:
        bound = listener.getsockname()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(_accept(listener, routes, otherwise))
            try:
                yield bound[0], bound[1]
            except Exception as error:  # noqa: BLE001 - raised again below
                failure = error  # the group would wrap it, though it is not from here
            finally:
                accepting.cancel()
        if failure is not None:
            raise failure


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_dual = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=256, dualstack_ipv6=is_dual
        )
    except OSError as error:
        raise FailedPrecondition(
            f"cannot listen on {host} port {port}: {error.strerror or error};"
            " free the port or choose another listen address"
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener


async def _accept(
    listener: socket.socket, routes: Mapping[str, ConnectionHandler], otherwise: ConnectionHandler
) -> None:
    places = asyncio.Semaphore(_CONNECTIONS)
    async with asyncio.TaskGroup() as group:
        while True:
            await places.acquire()
            try:
                await _readable(listener)
                connection, _ = listener.accept()
            except BlockingIOError:
                places.release()  # whoever knocked has gone again
                continue
            except OSError as error:
                # too many open files, most likely; those that wait in the backlog keep waiting
                log.warning("a connection cannot be accepted", error=str(error))
                places.release()
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            serving = group.create_task(_serve(connection, routes, otherwise))
            serving.add_done_callback(lambda _: places.release())


async def _serve(
    connection: socket.socket, routes: Mapping[str, ConnectionHandler], otherwise: ConnectionHandler
) -> None:
    with contextlib.closing(connection):
        try:
            connection.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(_GREETING_TIMEOUT_S):
                name = server_name(await _peek_record(connection))
            handler = routes.get(name, otherwise)
            await handler(connection)
        except* (NotTls, TimeoutError, OSError) as group:
            log.debug("a connection is dropped", error=str(group.exceptions[0]))
        except* Exception:
            log.exception("serving a connection failed")


async def _peek_record(connection: socket.socket) -> bytes:
    """Return the first TLS record and leave it in the socket."""
    header = await _peek(connection, RECORD_HEADER_BYTES)
    record = await _peek(connection, record_bytes(header))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return record


async def _peek(connection: socket.socket, size: int) -> bytes:
    # the low-water mark makes the kernel wake us only when that much is there
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    await _readable(connection)
    data = connection.recv(size, socket.MSG_PEEK)
    if len(data) < size:
        raise NotTls("the connection ended before the TLS greeting")
    return data


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, wake)
    try:
        await ready
    finally:
        loop.remove_reader(connection)
