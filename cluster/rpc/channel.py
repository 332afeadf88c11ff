"""Calls another node's methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TypeVar

import grpc
import msgspec

from cluster.ca.credentials import NodeCredentials
from cluster.errors import Unavailable
from cluster.rpc.error_status import error_of_call
from cluster.rpc.methods import Method
from cluster.rpc.settings import CHANNEL_OPTIONS, SESSION_OPTIONS

Request = TypeVar("Request")
Response = TypeVar("Response")


class NodeChannel:
    """A connection to one manager of the node's own cluster; an async context manager.

    The peer must hold a certificate of the same root that names it a manager.  A connection that
    breaks is made again by the next call; a peer that is silent for 10 s counts as gone.
    """

    def __init__(
        self, addr: str, credentials: NodeCredentials, *, for_session: bool = False
    ) -> None:
        """Prepare to call the manager at `addr` (host:port) as the node of `credentials`.

        With `for_session` a slow peer is given more time, as the heartbeats watch it.
        """
        self.addr = addr
        self._channel = grpc.aio.secure_channel(
            addr,
            grpc.ssl_channel_credentials(
                credentials.root_ca_pem.encode(),
                credentials.key_pem.encode(),
                credentials.certificate_pem.encode(),
            ),
            options=SESSION_OPTIONS if for_session else CHANNEL_OPTIONS,
        )

    async def __aenter__(self) -> NodeChannel:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and every call on it."""
        await self._channel.close()

    async def call(
        self, method: Method[Request, Response], request: Request, *, timeout_s: float
    ) -> Response:
        """Call a method that answers once.

        Raises:
            LeaderElsewhere: the manager does not lead; ask the one it names.
            Unavailable: it cannot be reached, or did not answer within `timeout_s`.
            ClusterError: what the handler raised.
        """
        assert not method.is_streaming
        remote: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            method.path
        )
        try:
            body = await remote(msgspec.msgpack.encode(request), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.addr) from error
        except asyncio.CancelledError:
            # gRPC cancels the calls of a channel that is closed, not only those of a cancelled task
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unavailable(f"the connection to {self.addr} was closed meanwhile") from None
        return self._decoded(method, body)

    async def stream(
        self, method: Method[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Call a method that answers with a stream; it ends with the iterator.

        Raises:
            ClusterError: as `call`; also when the connection breaks in the middle.
        """
        assert method.is_streaming
        remote: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            method.path
        )
        running = remote(msgspec.msgpack.encode(request))
        try:
            async for body in running:
                yield self._decoded(method, body)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.addr) from error
        finally:
            running.cancel()

    def _decoded(self, method: Method[Request, Response], body: bytes) -> Response:
        try:
            return msgspec.msgpack.decode(body, type=method.response)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"manager {self.addr}: the answer to {method.name} cannot be read: {error}"
            ) from error
