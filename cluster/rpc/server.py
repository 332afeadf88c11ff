"""Serves the methods between nodes: gRPC over mutual TLS, bodies in MessagePack, no generated code.

It listens on a unix socket only; `cluster.rpc.front` owns the public port and splices into it.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar

import grpc
import msgspec
import structlog

from cluster.ca.credentials import NodeCredentials
from cluster.ca.identity import NodeIdentity, identity_of
from cluster.ca.membership import no_member
from cluster.clock import Clock
from cluster.errors import ClusterError, InvalidArgument, NotLeader, Unauthenticated
from cluster.model.ids import NodeId
from cluster.rpc.authorization import check_caller
from cluster.rpc.error_status import KIND_KEY, LEADER_KEY, LeaderElsewhere, code_of, kind_of
from cluster.rpc.methods import Method
from cluster.rpc.settings import SERVER_OPTIONS
from cluster.rpc.splice import splice

log = structlog.get_logger()

Request = TypeVar("Request")
Response = TypeVar("Response")
Handler = Callable[[NodeIdentity, Request], Awaitable[Response]]
StreamHandler = Callable[[NodeIdentity, Request], AsyncGenerator[Response, None]]

_STOP_GRACE_S: Final = 0.5

Context = grpc.aio.ServicerContext[bytes, bytes]


class RpcServer:
    """The methods that this manager serves to other nodes; an async context manager.

    Handlers are added before it is entered.  They are given the caller's identity, which is
    proven by its certificate, and may raise any `ClusterError`.
    """

    def __init__(
        self,
        credentials: NodeCredentials,
        *,
        clock: Clock,
        leader_addr: Callable[[], str],
        check_member: Callable[[NodeIdentity, str, Method[Any, Any]], None] | None = None,
    ) -> None:
        """Serve as the node of `credentials`.

        Args:
            credentials: a manager's; only members of the same cluster are served.
            clock: tells whether a certificate has ended.
            leader_addr: host:port of the leader, "" if unknown; sent along with `NotLeader`.
            check_member: raises a `ClusterError` for the holder of a certificate (PEM, with what
                leads up from it) who is no member any more and calls a method; without it the
                certificate alone counts.
        """
        self._cluster_id = credentials.identity.cluster_id
        self._check_member = check_member
        self._credentials = credentials
        self._accepted_roots = credentials.root_ca_pem
        self._streams: dict[NodeId, set[asyncio.Task[object]]] = {}
        self._ended: set[asyncio.Task[object]] = set()  # those that were broken off
        self._clock = clock
        self._leader_addr = leader_addr
        self._configuration = self._new_configuration()
        self._fresh: grpc.ServerCertificateConfiguration | None = None
        self._methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self._server: grpc.aio.Server | None = None
        self._name = ""

    def handle(
        self, method: Method[Request, Response], handler: Handler[Request, Response]
    ) -> None:
        """Let `handler` answer calls of a method with one response."""

        async def answer(body: bytes, context: Context) -> bytes:
            try:
                caller, request = self._admit(method, body, context)
                return msgspec.msgpack.encode(await handler(caller, request))
            except ClusterError as error:
                await self._refuse(context, error)
            except Exception:
                log.exception("a handler failed", method=method.name)
                await _fail(context, method)

        self._methods[method.path] = grpc.unary_unary_rpc_method_handler(answer)

    def handle_stream(
        self, method: Method[Request, Response], handler: StreamHandler[Request, Response]
    ) -> None:
        """Let `handler`, an asynchronous generator, answer calls of a streaming method."""

        async def answer(body: bytes, context: Context) -> AsyncIterator[bytes]:
            try:
                caller, request = self._admit(method, body, context)
                with self._noting_stream(caller.node_id):
                    async with aclosing(handler(caller, request)) as responses:
                        async for response in responses:
                            yield msgspec.msgpack.encode(response)
            except ClusterError as error:
                await self._refuse(context, error)
            except Exception:
                log.exception("a handler failed", method=method.name)
                await _fail(context, method)

        self._methods[method.path] = grpc.unary_stream_rpc_method_handler(answer)

    def replace_credentials(self, credentials: NodeCredentials) -> None:
        """Use a renewed certificate for connections made from now on."""
        self._credentials = credentials
        self._configuration = self._fresh = self._new_configuration()

    def accept_roots(self, roots_pem: str) -> None:
        """Look at certificates of these roots, on connections made from now on."""
        if roots_pem != self._accepted_roots:
            self._accepted_roots = roots_pem
            self._configuration = self._fresh = self._new_configuration()

    def end_streams_of(self, node_id: NodeId) -> None:
        """Break off everything that is being sent to a node that is no member any more."""
        for task in self._streams.get(node_id, ()):
            self._ended.add(task)
            task.cancel()

    def _fetch_fresh(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the certificate that gRPC does not have yet, None if it has the newest.

        gRPC asks before each handshake. Whatever it is given makes it replace what handshakes on
        other threads are just about to use, which crashes the process now and then: so it is
        given each certificate once.
        """
        fresh, self._fresh = self._fresh, None
        return fresh

    async def serve_connection(self, connection: socket.socket) -> None:
        """Serve one connection that the public port accepted, until it ends."""
        await splice(connection, self.socket_path)

    @property
    def socket_path(self) -> str:
        """The abstract unix socket it listens on while it is entered."""
        assert self._name, "the server is not started"
        return f"\0{self._name}"

    async def __aenter__(self) -> RpcServer:
        # an abstract name leaves nothing behind, however the process ends; whoever connects must
        # prove itself by TLS all the same
        self._name = f"stackd-rpc-{secrets.token_hex(16)}"
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._fresh = None
        self._server.add_generic_rpc_handlers((_Methods(self._methods),))
        credentials = grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self._fetch_fresh,  # type: ignore[arg-type]  # None is "no change", the stubs forget it
            require_client_authentication=True,
        )
        self._server.add_secure_port(f"unix-abstract:{self._name}", credentials)
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        await self._server.stop(_STOP_GRACE_S)

    def _admit(
        self, method: Method[Request, Response], body: bytes, context: Context
    ) -> tuple[NodeIdentity, Request]:
        certificates = tuple(context.auth_context().get("x509_pem_cert", ()))
        if not certificates:
            raise Unauthenticated("the connection carries no client certificate")
        caller = _cached_identity_of(certificates[0])
        check_caller(caller, method, self._cluster_id, self._clock.now())
        if self._check_member is not None:
            # on a server the chain is what came behind the caller's own certificate
            behind = tuple(context.auth_context().get("x509_pem_cert_chain", ()))
            self._check_member(caller, b"".join((certificates[0], *behind)).decode(), method)
        try:
            return caller, msgspec.msgpack.decode(body, type=method.request)
        except msgspec.DecodeError as error:
            raise InvalidArgument(f"{method.name}: the request cannot be read: {error}") from error

    @contextmanager
    def _noting_stream(self, node_id: NodeId) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "gRPC runs every call in a task"
        streams = self._streams.setdefault(node_id, set())
        streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise no_member(node_id) from None
        finally:
            self._ended.discard(task)
            streams.discard(task)
            if not streams and self._streams.get(node_id) is streams:
                del self._streams[node_id]

    def _new_configuration(self) -> grpc.ServerCertificateConfiguration:
        credentials = self._credentials
        return grpc.ssl_server_certificate_configuration(
            [(credentials.key_pem.encode(), credentials.certificate_pem.encode())],
            self._accepted_roots.encode(),
        )

    async def _refuse(self, context: Context, error: ClusterError) -> NoReturn:
        metadata = [(KIND_KEY, kind_of(error))]
        if isinstance(error, NotLeader):
            known = error.leader_addr if isinstance(error, LeaderElsewhere) else ""
            metadata.append((LEADER_KEY, known or self._leader_addr()))
        await context.abort(code_of(error), str(error), tuple(metadata))


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]]) -> None:
        self._methods = methods

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._methods.get(handler_call_details.method)


async def _fail(context: Context, method: Method[Any, Any]) -> NoReturn:
    await context.abort(
        grpc.StatusCode.INTERNAL, f"{method.name} failed: see the log of the manager"
    )


@functools.lru_cache(maxsize=16384)  # of every node: to read a certificate takes long
def _cached_identity_of(certificate_pem: bytes) -> NodeIdentity:
    return identity_of(certificate_pem.decode())
