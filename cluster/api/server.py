"""The server: one socket on which a node answers Docker clients."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from cluster.api.actions import action_of
from cluster.api.callers import NEWEST_THERE, Caller, bearer_of, connected_caller, origin_of
from cluster.api.commands.tokens import authenticate
from cluster.api.context import ApiContext
from cluster.api.engine import Engine, open_engine
from cluster.api.error_response import error_response, message_response
from cluster.api.forwarding import check_not_forwarded, pass_on
from cluster.api.front import FrontProtocol, FrontSettings
from cluster.api.limited_routes import check_target, find_limited, is_of_the_engine
from cluster.api.local_node import AskLeader, LocalNode
from cluster.api.passthrough import pass_through
from cluster.api.request import ApiRequest
from cluster.api.routes import (
    audit,
    containers,
    copies,
    diagnosis,
    networks,
    nodes,
    secrets_configs,
    services,
    stacks,
    swarm,
    system,
    tasks,
    tokens,
)
from cluster.api.routing import Handler, RouteTable, is_cluster_path, reads_cluster
from cluster.api.tcp_endpoint import TcpEndpoint
from cluster.api.tls_front import TlsProtocol
from cluster.api.versions import (
    NEWEST,
    ApiVersion,
    UnsupportedVersion,
    check_version,
    parse_version,
    served_version,
    split_path,
)
from cluster.clock import Clock
from cluster.errors import (
    ClusterError,
    InvalidArgument,
    NotLeader,
    PermissionDenied,
    Unauthenticated,
)
from cluster.model.ids import NewId
from cluster.model.token import DeployToken

log = structlog.get_logger(__name__)

ROUTES = RouteTable(
    (
        *system.ROUTES,
        *services.ROUTES,
        *tasks.ROUTES,
        *nodes.ROUTES,
        *containers.ROUTES,
        *networks.ROUTES,
        *swarm.ROUTES,
        *copies.ROUTES,
        *diagnosis.ROUTES,
        *secrets_configs.ROUTES,
        *stacks.ROUTES,
        *tokens.ROUTES,
        *audit.ROUTES,
    )
)

_MAX_BODY_BYTES = 16 * 1024 * 1024
_MAX_FIELD_BYTES = 128 * 1024
_KEEP_ALIVE_S = 300.0
_SHUTDOWN_S = 1.0
_SOCKET_MODE = 0o660
_BACKLOG = 128
_LOOK_AT_TOKEN_S = 1.0
_PASSED_ON = 5  # times a request looks for the leader


class ApiServer:
    """Serves the Docker Engine API: the cluster's part itself, the rest by the local engine."""

    def __init__(
        self, local_node: LocalNode, engine_socket: Path, clock: Clock, new_id: NewId
    ) -> None:
        """Take the parts; `serve` or `serving` opens the socket.

        Args:
            local_node: this node as the daemon knows it.
            engine_socket: unix socket of the local Docker Engine.
            clock: where the time comes from.
            new_id: makes identifiers for services and networks.
        """
        self._local_node = local_node
        self._engine_socket = engine_socket
        self._clock = clock
        self._new_id = new_id

    async def serve(self, socket_path: Path, tcp: Sequence[TcpEndpoint] = ()) -> None:
        """Serve on a unix socket, and on TCP addresses, until cancelled.

        Raises:
            OSError: an address cannot be had, or another process serves on it.
        """
        async with self.serving(socket_path, tcp):
            await asyncio.Event().wait()

    @asynccontextmanager
    async def serving(
        self, socket_path: Path, tcp: Sequence[TcpEndpoint] = ()
    ) -> AsyncIterator[tuple[int, ...]]:
        """Serve on a unix socket, and on TCP addresses, as long as the context is open.

        Yields:
            The TCP ports: those of `tcp`, with 0 replaced by the one that was free.

        Raises:
            OSError: an address cannot be had, or another process serves on it.
        """
        listener = listen(socket_path)
        try:
            async with open_engine(self._engine_socket) as engine, asyncio.TaskGroup() as group:
                context = ApiContext(self._local_node, engine, self._clock, self._new_id, group)
                following = group.create_task(context.events.run())
                try:
                    async with self._serve(listener, tcp, context, group) as ports:
                        yield ports
                finally:
                    following.cancel()
        finally:
            listener.close()
            _remove(socket_path)

    @asynccontextmanager
    async def _serve(
        self,
        listener: socket.socket,
        tcp: Sequence[TcpEndpoint],
        context: ApiContext,
        group: asyncio.TaskGroup,
    ) -> AsyncIterator[tuple[int, ...]]:
        http = web.Server(
            _Dispatcher(context).handle,
            request_factory=_make_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_S,
            auto_decompress=False,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
        )
        settings = FrontSettings(http, context.engine, _is_spliced, group)
        loop = asyncio.get_running_loop()
        servers = [await loop.create_unix_server(lambda: FrontProtocol(settings), sock=listener)]
        try:
            for endpoint in tcp:
                protocol = _protocol_of(endpoint, settings)
                servers.append(await loop.create_server(protocol, endpoint.host, endpoint.port))
            yield tuple(server.sockets[0].getsockname()[1] for server in servers[1:])
        finally:
            for server in servers:
                server.close()
            await http.shutdown(_SHUTDOWN_S)
            for connection in tuple(settings.connections):
                connection.abort()
            for server in servers:
                await server.wait_closed()


def _protocol_of(
    endpoint: TcpEndpoint, settings: FrontSettings
) -> Callable[[], asyncio.BaseProtocol]:
    context = endpoint.context
    if context is None:
        return lambda: FrontProtocol(settings)
    return lambda: TlsProtocol(context, lambda: FrontProtocol(settings))


class _Dispatcher:
    """Finds who answers a request, and turns errors into answers."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        engine = self._context.engine
        newest = served_version(await engine.newest_version())
        headers = await _common_headers(engine, str(newest))
        request = ApiRequest(http, newest, headers)
        try:
            request.newest = _newest_where_it_came_in(http, newest)
            text, _ = split_path(http.rel_url.raw_path)
            request.version = check_version(text, request.newest)
            if http.headers.get("Expect", "").lower() == "100-continue":
                await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            response = await self._answer(request)
        except UnsupportedVersion as error:
            response = _version_response(error)
        except ClusterError as error:
            response = error_response(error)
        except web.HTTPException as error:
            response = message_response(error.status, error.reason)
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("request failed", method=http.method, path=request.path)
            response = message_response(500, f"internal error: {type(error).__name__}")
        if not response.prepared:
            request.add_headers(response)
        return response

    async def _answer(self, request: ApiRequest) -> web.StreamResponse:
        text = bearer_of(request.http)
        if text:
            return await self._answer_token(text, request)
        context = self._context.limited_to(connected_caller(request.http))
        match = ROUTES.find(request.method, request.path)
        if match is not None:
            request.parameters = match.parameters
            context.action = action_of(request.method, match, request.query)
            if reads_cluster(request.method, request.path):
                await context.node.ensure_current()
            return await self._carry_out(match.handler, request, context)
        if is_cluster_path(request.path):
            return message_response(404, "page not found")
        return await pass_through(self._context.engine, request)

    async def _answer_token(self, text: str, request: ApiRequest) -> web.StreamResponse:
        """Answer whoever shows a deploy token: on the leader, which knows of all that were taken.

        Only what concerns this node's engine is answered at once.
        """
        await self._context.node.ensure_current()
        token = self._authenticate(text)
        caller = Caller(f"token {token.name}", token, origin_of(request.http))
        context = self._context.limited_to(caller)
        context.action = f"{request.method} {request.path}"
        match = find_limited(ROUTES, request.method, request.path)
        if match is not None:
            request.parameters = match.parameters
            context.action = action_of(request.method, match, request.query)
            if is_of_the_engine(match):
                return await match.handler(context, request)

        async def judged(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
            _ = api.store  # whoever does not lead passes the request on
            try:
                check_target(token, api.state, match, request)
                assert match is not None
                return await match.handler(api, request)
            except PermissionDenied as error:
                await api.note_refusal(str(error))
                raise

        with self._context.beside(self._cut_when_it_ends(text, request)):
            return await self._carry_out(judged, request, context)

    def _authenticate(self, text: str) -> DeployToken:
        return authenticate(self._context.state, text, self._context.clock.now())

    async def _cut_when_it_ends(self, text: str, request: ApiRequest) -> None:
        """Cut the connection, such as that of a log that is followed, when the token ends."""
        while True:
            await asyncio.sleep(_LOOK_AT_TOKEN_S)
            try:
                self._authenticate(text)
            except Unauthenticated:
                if request.http.transport is not None:
                    request.http.transport.abort()
                return
            except ClusterError:
                continue  # this node is no manager just now

    async def _carry_out(
        self, handler: Handler, request: ApiRequest, context: ApiContext
    ) -> web.StreamResponse:
        """Answer from this node's copy of the state, or let the leader answer.

        A handler that needs the leader says so before it has done anything.
        """
        node = context.node
        for _ in range(_PASSED_ON):
            try:
                return await handler(context, request)
            except AskLeader:
                check_not_forwarded(request)
            if await node.wait_leader():
                continue
            try:
                return await pass_on(node, request, context.caller)
            except NotLeader:
                continue  # leadership moves: nothing was done
        raise NotLeader("the cluster's leadership is changing: try again")


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path, which only its owner and group may use.

    A socket that a process left behind when it died is replaced.

    Raises:
        OSError: another process listens there, or the path is no socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        else:
            raise OSError(f"{path}: another process serves on this socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody may connect between bind and listen, so the mode is right before anyone can.
    old_mask = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(old_mask)
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 - the standard library takes no keyword
    return listener


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _is_spliced(method: str, target: str) -> bool:
    """Whether an upgrade of this request is the engine's business.

    What this server refuses goes to the HTTP side, which says why.
    """
    text, path = split_path(target.partition("?")[0])
    try:
        check_version(text, NEWEST)
    except InvalidArgument:
        return False
    return path.startswith("/") and not is_cluster_path(path) and ROUTES.find(method, path) is None


def _newest_where_it_came_in(http: web.BaseRequest, newest: ApiVersion) -> ApiVersion:
    """Return what the manager that passed a request on serves, else `newest`, what this one does.

    Their engines may differ, and the client has only heard of that one's.
    """
    text = http.headers.get(NEWEST_THERE, "")
    return served_version(parse_version(text)) if text else newest


async def _common_headers(engine: Engine, newest: str) -> dict[str, str]:
    return {
        "Api-Version": newest,
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"Docker/{await engine.release() or 'unknown'} (linux)",
    }


def _version_response(error: UnsupportedVersion) -> web.Response:
    if error.is_plain:
        return web.Response(status=400, text=f"{error}\n")
    return error_response(error)


def _make_request(
    message: Any, payload: Any, protocol: Any, writer: Any, task: Any
) -> web.BaseRequest:
    return web.BaseRequest(
        message,
        payload,
        protocol,
        writer,
        task,
        asyncio.get_running_loop(),
        client_max_size=_MAX_BODY_BYTES,
    )
