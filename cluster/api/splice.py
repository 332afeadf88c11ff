"""Two byte streams joined: an upgraded connection of a client and one to the local engine.

Once a request asks for an upgrade (``docker run``, ``exec``, ``attach``, BuildKit's session), the
connection is no HTTP any more.  Each direction ends by itself: the end of a piped standard input
must reach the container while its output still flows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from cluster.api.http_framing import Head, MalformedMessage, MessageScanner

_UPGRADED_STATUS = (b"101", b"200")


class _EngineSide(asyncio.Protocol):
    """The connection to the engine."""

    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def data_received(self, data: bytes) -> None:
        self._splice.from_engine(data)

    def eof_received(self) -> bool:
        self._splice.engine_ended()
        return True

    def pause_writing(self) -> None:
        self._splice.client.pause_reading()

    def resume_writing(self) -> None:
        self._splice.client.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - given by asyncio
        self._splice.close()


class Splice:
    """Bytes of a client to the engine and back, from a request's head on.

    The client's protocol hands over what it is told by asyncio: data, end of data, whether the
    client takes more, loss of the connection.
    """

    def __init__(self, client: asyncio.Transport, on_close: Callable[[], None]) -> None:
        """Begin for a client whose head has been read; `open` connects.

        Args:
            client: the connection to the client.
            on_close: called once, when both connections are closed or closing.
        """
        self.client = client
        self._on_close = on_close
        self._engine: asyncio.Transport | None = None
        self._waiting = bytearray()  # from the client, until the engine is connected
        self._client_has_ended = False
        self._engine_has_ended = False
        self._is_closed = False
        self._answer: MessageScanner | None = MessageScanner()  # until the answer is known

    async def open(self, engine_socket: Path, head: bytes) -> None:
        """Connect to the engine and send the request's head and what the client sent since.

        Raises:
            OSError: the engine cannot be reached.
        """
        loop = asyncio.get_running_loop()
        self.client.pause_reading()
        transport, _ = await loop.create_unix_connection(
            lambda: _EngineSide(self), str(engine_socket)
        )
        if self._is_closed:
            transport.close()
            return
        self._engine = transport
        self._engine.write(head + bytes(self._waiting))
        self._waiting.clear()
        if self._client_has_ended:
            self._engine.write_eof()
        self.client.resume_reading()

    # -- from the client ---------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        """Pass data on to the engine."""
        if self._engine is None:
            self._waiting += data
        elif not self._engine.is_closing():
            self._engine.write(data)

    def client_ended(self) -> None:
        """Tell the engine that the client sends no more, and go on with the other direction."""
        self._client_has_ended = True
        if self._engine is not None and not self._engine.is_closing():
            self._engine.write_eof()
        self._close_if_both_ended()

    def pause(self) -> None:
        """Read no more from the engine: the client is slow."""
        if self._engine is not None:
            self._engine.pause_reading()

    def resume(self) -> None:
        """Read from the engine again."""
        if self._engine is not None:
            self._engine.resume_reading()

    # -- from the engine ---------------------------------------------------------------------

    def from_engine(self, data: bytes) -> None:
        """Pass data on to the client."""
        if self.client.is_closing():
            return
        if self._answer is None:
            self.client.write(data)
        else:
            self._pass_on_answer(self._answer, data)

    def engine_ended(self) -> None:
        """Tell the client that the engine sends no more, and go on with the other direction."""
        self._engine_has_ended = True
        if not self.client.is_closing() and self.client.can_write_eof():
            self.client.write_eof()
        self._close_if_both_ended()

    def _pass_on_answer(self, answer: MessageScanner, data: bytes) -> None:
        """Pass on the beginning of the engine's answer.

        An engine that refuses the upgrade answers in HTTP and waits for the next request, which
        may be one that it must not see.  So the client is told to connect anew.
        """
        try:
            for piece in answer.feed(data):
                if isinstance(piece, bytes):
                    self.client.write(piece)
                elif _status_of(piece) == b"100":
                    self.client.write(piece.raw)
                    continue
                elif _status_of(piece) in _UPGRADED_STATUS or not _has_length(piece):
                    self._answer = None
                    self.client.write(piece.raw + answer.rest())
                    return
                else:
                    self.client.write(piece.with_field(b"Connection", b"close"))
                if answer.is_between_messages:
                    self.close()
                    return
        except MalformedMessage:
            self.client.write(answer.rest())
            self._answer = None

    # -- the end -----------------------------------------------------------------------------

    def _close_if_both_ended(self) -> None:
        if self._client_has_ended and self._engine_has_ended:
            self.close()

    def close(self) -> None:
        """Close both connections after what is still to be sent."""
        if self._is_closed:
            return
        self._is_closed = True
        self.client.close()
        if self._engine is not None:
            self._engine.close()
        self._on_close()


def _has_length(head: Head) -> bool:
    return head.is_chunked or bool(head.field(b"content-length"))


def _status_of(head: Head) -> bytes:
    return head.first_line.partition(b" ")[2].partition(b" ")[0]
