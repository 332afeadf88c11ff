"""The protocol that meets every connection first and keeps upgraded ones away from the HTTP server.

An HTTP server library ends a connection when the client has sent its last byte, and knows no
upgrade to a raw stream.  So each request's head is looked at here: one that asks for an upgrade on
a path of the local engine turns the connection into a `Splice`; all else goes, byte for byte, to
the library's own protocol.  The look is needed at *every* request, because clients keep
connections and ask for an upgrade on one that has served others before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from cluster.api.callers import is_proven
from cluster.api.http_framing import Head, MalformedMessage, MessageScanner
from cluster.api.splice import Splice


class EngineEntry(Protocol):
    """What the front must know of the local engine."""

    @property
    def socket(self) -> Path:
        """The engine's socket."""
        ...

    async def path_for(self, path: str) -> str:
        """Return a path with a version that the engine serves."""
        ...


class FrontSettings:
    """What all connections of one server share."""

    def __init__(
        self,
        http: Callable[[], asyncio.Protocol],
        engine: EngineEntry,
        is_spliced: Callable[[str, str], bool],
        group: asyncio.TaskGroup,
    ) -> None:
        """Collect the parts.

        Args:
            http: makes the HTTP library's protocol for one connection.
            engine: where upgraded connections go.
            is_spliced: whether an upgrade of (method, path) goes to the engine.
            group: where connections to the engine are opened.
        """
        self.http = http
        self.engine = engine
        self.is_spliced = is_spliced
        self.group = group
        # A half-closed connection has no reader in the event loop: without this reference it
        # would be collected as garbage while data still flows in the other direction.
        self.connections: set[FrontProtocol] = set()


class FrontProtocol(asyncio.Protocol):
    """One connection of a client: HTTP until a request asks for an upgrade, then a splice."""

    def __init__(self, settings: FrontSettings) -> None:
        """Wait for the connection."""
        self._settings = settings
        self._scanner: MessageScanner | None = MessageScanner()
        self._splice: Splice | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin as HTTP."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._settings.connections.add(self)
        self._lease = TransportLease(transport)
        self._http = self._settings.http()
        self._http.connection_made(self._lease)

    def data_received(self, data: bytes) -> None:
        """Pass data on to whom it belongs."""
        if self._splice is not None:
            self._splice.from_client(data)
        elif self._scanner is None:
            self._http.data_received(data)
        else:
            self._follow(self._scanner, data)

    def eof_received(self) -> bool | None:
        """Pass on that the client sends no more."""
        if self._splice is None:
            return self._http.eof_received()
        self._splice.client_ended()
        return True

    def pause_writing(self) -> None:
        """Pass on that the client is slow."""
        if self._splice is None:
            self._http.pause_writing()
        else:
            self._splice.pause()

    def resume_writing(self) -> None:
        """Pass on that the client takes more."""
        if self._splice is None:
            self._http.resume_writing()
        else:
            self._splice.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever the connection was."""
        self._settings.connections.discard(self)
        if self._splice is None:
            self._http.connection_lost(exc)
        else:
            self._splice.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _follow(self, scanner: MessageScanner, data: bytes) -> None:
        """Pass bytes on to the HTTP library up to a head that asks for an upgrade."""
        passed = bytearray()
        try:
            for piece in scanner.feed(data):
                if isinstance(piece, bytes):
                    passed += piece
                elif self._asks_for_splice(piece):
                    if passed:
                        self._http.data_received(bytes(passed))
                    self._begin_splice(piece, scanner.rest())
                    return
                else:
                    passed += piece.raw
        except MalformedMessage:
            # The library says what is wrong with it, and closes.
            passed += scanner.rest()
            self._scanner = None
        if passed:
            self._http.data_received(bytes(passed))

    def _asks_for_splice(self, head: Head) -> bool:
        if not head.field(b"upgrade") or not is_proven(self._transport):
            return False
        if head.field(b"authorization").lower().startswith(b"bearer"):
            return False  # the HTTP side judges what a deploy token may do
        method, path, _ = _request_line(head)
        return bool(path) and self._settings.is_spliced(method, path)

    def _begin_splice(self, head: Head, rest: bytes) -> None:
        self._lease.end()
        self._http.connection_lost(None)
        self._splice = Splice(self._transport, self._forget)
        if rest:
            self._splice.from_client(rest)
        self._settings.group.create_task(self._open_splice(self._splice, head))

    async def _open_splice(self, splice: Splice, head: Head) -> None:
        engine = self._settings.engine
        method, path, version = _request_line(head)
        try:
            path = await engine.path_for(path)
            line = f"{method} {path} {version}".encode("latin-1")
            await splice.open(engine.socket, head.with_first_line(line))
        except OSError as error:
            message = f"cannot reach the local Docker Engine at {engine.socket}: {error.strerror}"
            self._transport.write(_plain_answer(message))
            splice.close()

    def _forget(self) -> None:
        self._settings.connections.discard(self)


def _request_line(head: Head) -> tuple[str, str, str]:
    parts = head.first_line.decode("latin-1").split(" ")
    if len(parts) != 3:
        return "", "", ""
    return parts[0], parts[1], parts[2]


def _plain_answer(message: str) -> bytes:
    body = b'{"message":"' + message.replace("\\", "/").replace('"', "'").encode() + b'"}'
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


class TransportLease(asyncio.Transport):
    """A transport lent to the HTTP library, which can be taken back without being closed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Lend `transport`."""
        super().__init__()
        self._lent: asyncio.Transport | None = transport
        self._real = transport

    def end(self) -> None:
        """Take the transport back: whatever the borrower does from now on has no effect."""
        self._lent = None

    def write(self, data: Any) -> None:
        """Send bytes."""
        if self._lent is not None:
            self._lent.write(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send several pieces."""
        if self._lent is not None:
            self._lent.writelines(list_of_data)

    def write_eof(self) -> None:
        """Send no more."""
        if self._lent is not None:
            self._lent.write_eof()

    def can_write_eof(self) -> bool:
        """Whether the transport can be closed in one direction."""
        return self._real.can_write_eof()

    def close(self) -> None:
        """Close after what is still to be sent."""
        if self._lent is not None:
            self._lent.close()

    def abort(self) -> None:
        """Close at once."""
        if self._lent is not None:
            self._lent.abort()

    def is_closing(self) -> bool:
        """Whether the transport is closed or closing, or was taken back."""
        return self._lent is None or self._lent.is_closing()

    def is_reading(self) -> bool:
        """Whether data is taken from the transport."""
        return self._lent is not None and self._lent.is_reading()

    def pause_reading(self) -> None:
        """Take no more data."""
        if self._lent is not None:
            self._lent.pause_reading()

    def resume_reading(self) -> None:
        """Take data again."""
        if self._lent is not None:
            self._lent.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._real.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be sent."""
        return self._real.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks of flow control."""
        return self._real.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks of flow control."""
        if self._lent is not None:
            self._lent.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Refuse: the front stays the transport's protocol."""
        raise NotImplementedError(f"the front keeps the transport; {protocol!r} cannot have it")

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the front."""
        return self._real.get_protocol()
