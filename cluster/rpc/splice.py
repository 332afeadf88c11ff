"""Carries bytes both ways between a connection and a unix socket.

Every message between nodes passes here, so that nothing is woken but the two sockets.
"""

from __future__ import annotations

import asyncio
import socket


class _End(asyncio.Protocol):
    """One side: what it receives is written to the other."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.other: _End | None = None
        self.has_ended = False  # received all there is
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []  # written before this side was connected
        self._is_over = False  # so was the other's end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._is_over:
            transport.close()

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.write(data)

    def write(self, data: bytes) -> None:
        """Send to this side; kept until it is connected."""
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)

    def eof_received(self) -> bool:
        assert self.other is not None
        self.has_ended = True
        if self.other.has_ended:
            return False  # both transports are closed once they have sent what they hold
        self.other.write_end()
        return True  # the other way goes on

    def write_end(self) -> None:
        """Say to this side that nothing more comes."""
        if self._transport is None:
            self._is_over = True
        elif self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def pause_writing(self) -> None:
        assert self.other is not None
        self.other.pause()

    def resume_writing(self) -> None:
        assert self.other is not None
        self.other.resume()

    def pause(self) -> None:
        """Read no more until the other side has sent what it holds."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        del error  # whoever speaks through here notices that the connection ended
        assert self.other is not None
        self.other.close()
        if not self._done.done():
            self._done.set_result(None)

    def close(self) -> None:
        """Send what is held, then end this side."""
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End this side now."""
        if self._transport is not None:
            self._transport.abort()


async def splice(connection: socket.socket, unix_path: str) -> None:
    """Carry bytes both ways between a connection and a unix socket until both sides are done.

    Raises:
        OSError: the unix socket cannot be reached.
    """
    loop = asyncio.get_running_loop()
    near_lost: asyncio.Future[None] = loop.create_future()
    far_lost: asyncio.Future[None] = loop.create_future()
    near, far = _End(near_lost), _End(far_lost)
    near.other, far.other = far, near
    try:
        await loop.create_unix_connection(lambda: far, unix_path)
        await loop.create_connection(lambda: near, sock=connection)
        await near_lost
        await far_lost
    finally:
        near.abort()
        far.abort()
