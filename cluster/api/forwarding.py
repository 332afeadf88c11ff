"""Requests that only the leader can carry out: a follower passes them on, the leader answers.

A follower reads from its own copy of the state, once it knows that the copy is current. What
writes, and what needs connections that only the leader has, goes to the leader as it came.

On the leader a passed-on request comes in by the same door as any other, the node's own socket,
so there is one way in which requests are answered. A header keeps one from going in circles.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from cluster.api.callers import CALLER, FORWARDED, NEWEST_THERE, ORIGIN, Caller
from cluster.api.leased_store import LEASE
from cluster.api.local_node import LocalNode
from cluster.api.request import ApiRequest
from cluster.ca.identity import NodeIdentity
from cluster.errors import NotLeader, Unavailable
from cluster.rpc import methods
from cluster.rpc.messages import ForwardPart, ForwardRequest
from cluster.rpc.server import RpcServer

_SENT_ON: Final = ("content-type", "x-registry-auth", "accept", LEASE.lower())
_AUTHORIZATION: Final = "authorization"
_SENT_BACK: Final = ("content-type", "content-length")
_PIECE_BYTES: Final = 256 * 1024


def check_not_forwarded(request: ApiRequest) -> None:
    """Refuse to pass a request on for a second time.

    Raises:
        NotLeader: it was passed on already; leadership has moved meanwhile.
    """
    sender = request.http.headers.get(FORWARDED)
    if sender is not None:
        raise NotLeader("leadership has moved meanwhile: try again")


def is_forwarded(request: ApiRequest) -> bool:
    """Whether another manager has passed the request on."""
    return FORWARDED in request.http.headers


async def ask_leader(node: LocalNode, request: ApiRequest, caller: Caller) -> tuple[int, Any]:
    """Let the leader answer a request; its status, and its answer as plain values.

    Raises:
        NotLeader: there is no leader; the request was not carried out.
        Unavailable: the leader went away; the request may have been carried out.
    """
    status, body = 0, bytearray()
    async with aclosing(node.forward(await _forwarded(request, caller))) as parts:
        async for part in parts:
            status = status or part.status
            body += part.body
    if not status:
        raise Unavailable("the leader broke off: look before you try again")
    return status, msgspec.json.decode(bytes(body))


async def _forwarded(request: ApiRequest, caller: Caller) -> ForwardRequest:
    http = request.http
    names = _SENT_ON if caller.token is None else (*_SENT_ON, _AUTHORIZATION)
    return ForwardRequest(
        method=http.method,
        target=http.raw_path,
        caller=caller.name,
        origin=caller.origin.place,
        newest=str(request.newest),
        headers=tuple((str(n), v) for n, v in http.headers.items() if n.lower() in names),
        body=await request.body(),
    )


async def pass_on(node: LocalNode, request: ApiRequest, caller: Caller) -> web.StreamResponse:
    """Let the leader answer a request, and send its answer to the client as a stream.

    Raises:
        NotLeader: there is no leader; the request was not carried out.
        Unavailable: the leader went away; the request may have been carried out.
    """
    async with aclosing(node.forward(await _forwarded(request, caller))) as parts:
        try:
            head = await anext(parts)
        except StopAsyncIteration:
            raise Unavailable("the leader broke off: look before you try again") from None
        response = web.StreamResponse(status=head.status, reason=head.reason or None)
        for name, value in head.headers:
            response.headers[name] = value
        request.add_headers(response)
        await response.prepare(request.http)
        async for part in parts:
            await response.write(part.body)
        await response.write_eof()
    return response


class ForwardedRequests:
    """Answers on the leader what other managers pass on."""

    def __init__(self, socket: Path, is_leader: Callable[[], bool]) -> None:
        """Ask the API at `socket`, this node's own, as long as this manager leads."""
        self._socket = socket
        self._is_leader = is_leader

    def serve_on(self, server: RpcServer) -> None:
        """Add the handler to a server that is not started yet."""
        server.handle_stream(methods.FORWARD, self.answer)

    async def answer(
        self, caller: NodeIdentity, request: ForwardRequest
    ) -> AsyncGenerator[ForwardPart, None]:
        """Answer a request that another manager passes on.

        Raises:
            NotLeader: this manager does not lead; the request was not carried out.
            Unavailable: this node's API does not answer.
        """
        if not self._is_leader():
            raise NotLeader("this manager does not lead")
        connector = aiohttp.UnixConnector(str(self._socket), force_close=True)
        session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
        url = URL(f"http://localhost{request.target}", encoded=True)
        headers = [
            *request.headers,
            (FORWARDED, caller.node_id),
            (CALLER, quote(request.caller or f"manager {caller.node_id}")),
            (ORIGIN, quote(request.origin)),
            *(((NEWEST_THERE, request.newest),) if request.newest else ()),
        ]
        try:
            async with (
                session,
                session.request(
                    request.method, url, headers=headers, data=request.body or None
                ) as answer,
            ):
                yield ForwardPart(
                    status=answer.status,
                    reason=answer.reason or "",
                    headers=tuple(
                        (str(n), v) for n, v in answer.headers.items() if n.lower() in _SENT_BACK
                    ),
                )
                async for piece in answer.content.iter_any():
                    for start in range(0, len(piece), _PIECE_BYTES):
                        yield ForwardPart(body=piece[start : start + _PIECE_BYTES])
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the leader's API does not answer: {error}") from error
