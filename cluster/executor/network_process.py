"""Talks to the node's network process over its unix socket: HTTP with JSON bodies."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from cluster.errors import ClusterError, Unavailable
from cluster.model.diagnosis import DiagnosisOrder, NetworkDiagnosis
from cluster.model.network_view import NodeView

TIMEOUT_S: Final = 30.0
"""A process that was just started may have fifty networks to make."""

LOOK_EVERY_S: Final = 1.0
"""How long an answer to whether somebody accepts on the socket is good."""

GRACE_S: Final = 10.0
"""How long a process may be away that was there: one that starts again is not missing."""

_OK: Final = 200
_NOT_FOUND: Final = 404


class _Applied(msgspec.Struct):
    """What the process says of a view: what of it could not be done, by network."""

    problems: dict[str, str] = {}


class NetworkProcessFailure(ClusterError):
    """The network process could not do what it was asked."""


class NetworkProcessClient:
    """The network process behind a socket; every request opens a connection of its own."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the socket; `clock` gives seconds."""
        self._socket = path
        self._clock = clock
        self._accepted_at: float | None = None

    def is_there(self) -> bool:
        """Whether this node has a network process; it may be away for a moment all the same.

        A file without anybody behind it counts for no longer than `GRACE_S`.
        """
        now = self._clock()
        if self._accepted_at is not None and now - self._accepted_at < LOOK_EVERY_S:
            return True
        if self.accepts():
            self._accepted_at = now
            return True
        if self._accepted_at is None or not self._socket.exists():
            return False
        return now - self._accepted_at < GRACE_S

    def accepts(self) -> bool:
        """Whether somebody accepts connections right now; never waits."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(0)
            try:
                connection.connect(str(self._socket))
            except BlockingIOError:  # more wait than it takes at once
                return True
            except OSError:
                return False
        return True

    async def until_gone(self) -> None:
        """Wait until the process that is there now ends, or another takes its place.

        Raises:
            Unavailable: there is none.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError as error:
            raise Unavailable(f"{self._socket}: {error.strerror or error}") from error
        try:
            with contextlib.suppress(OSError):
                await reader.read()
        finally:
            writer.close()

    async def put_view(self, view: NodeView) -> Mapping[str, str]:
        """Have a view applied; return once that is done.

        Returns:
            What could not be done of it, by network ID or `host`; the process goes on trying.

        Raises:
            Unavailable: the process is away.
            NetworkProcessFailure: it could not apply the view.
        """
        status, body = await self._ask("PUT", "/view", msgspec.json.encode(view))
        if status != _OK:
            raise _failure(status, body)
        try:
            return msgspec.json.decode(body, type=_Applied).problems
        except msgspec.DecodeError as error:
            raise NetworkProcessFailure(f"the network process's answer: {error}") from error

    async def view(self) -> NodeView | None:
        """Return the view that was applied last, None if none was.

        Raises:
            Unavailable: the process is away.
            NetworkProcessFailure: its answer cannot be read.
        """
        status, body = await self._ask("GET", "/view")
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise _failure(status, body)
        try:
            return msgspec.json.decode(body, type=NodeView | None)
        except msgspec.DecodeError as error:
            raise NetworkProcessFailure(f"the network process's view: {error}") from error

    async def diagnose(self, order: DiagnosisOrder) -> NetworkDiagnosis:
        """Have the ways to other nodes tried, which takes some seconds.

        Raises:
            Unavailable: the process is away.
            NetworkProcessFailure: it cannot try them.
        """
        status, body = await self._ask("POST", "/diagnosis", msgspec.json.encode(order))
        if status != _OK:
            raise _failure(status, body)
        try:
            return msgspec.json.decode(body, type=NetworkDiagnosis)
        except msgspec.DecodeError as error:
            raise NetworkProcessFailure(f"the network process's diagnosis: {error}") from error

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._converse(method, path, body)
        except TimeoutError as error:
            raise Unavailable(f"{self._socket}: no answer within {TIMEOUT_S:.0f} s") from error
        except (OSError, EOFError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unavailable(f"{self._socket}: the network process is away: {text}") from error

    async def _converse(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: netd\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            status = int((await reader.readline()).split()[1])
            length: int | None = None
            while line := (await reader.readline()).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            answer = await (reader.read() if length is None else reader.readexactly(length))
        except IndexError as error:
            raise EOFError("it closed the connection") from error
        finally:
            writer.close()
        return status, answer


def _failure(status: int, body: bytes) -> NetworkProcessFailure:
    text = body.decode(errors="replace").strip()[:500]
    return NetworkProcessFailure(f"the network process answers {status}: {text}")
