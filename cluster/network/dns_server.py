"""The resolver: on each network's gateway address, inside the network's namespace.

The engine's own resolver stands in every container's file and passes on, from the container's
namespace, what it does not know. So the address of who asks is the container's in this network.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from typing import Final, cast

import msgspec
import structlog

from cluster.model.network_view import NodeView
from cluster.network import namespaces
from cluster.network.dns_forwarder import Forwarder
from cluster.network.dns_message import (
    ANY,
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    PTR,
    SERVFAIL,
    TCP_LIMIT_BYTES,
    A,
    Query,
    address_answer,
    error_answer,
    negative_answer,
    parse_query,
    pointer_answer,
)
from cluster.network.dns_records import Directory, build_directory, look_up
from cluster.network.names import namespace_name

log = structlog.get_logger()

PORT: Final = 53
RECEIVE_BUFFER_BYTES: Final = 1 << 20
TCP_IDLE_S: Final = 10.0


class NameCounts(msgspec.Struct):
    """Questions in a network: `unknown` have a name that nobody has, `failed` no answer outside."""

    questions: int = 0
    unknown: int = 0
    forwarded: int = 0
    failed: int = 0


class DnsServer:
    """Answers in all networks of the node; lives in the event loop."""

    def __init__(self, tasks: asyncio.TaskGroup, rng: random.Random) -> None:
        self._tasks = tasks
        self._forwarder = Forwarder(rng)
        self._directory = Directory()
        self._listeners: dict[str, _Listener] = {}
        self._turn = rng.getrandbits(16)
        self.queries = 0
        self.counted: dict[str, NameCounts] = {}  # by network

    async def update(self, view: NodeView) -> dict[str, str]:
        """Answer from a view from now on, and listen in exactly its networks.

        Returns:
            The networks in which nobody can listen, by ID, with the reason.
        """
        self._directory = build_directory(view, self._directory)
        problems: dict[str, str] = {}
        wanted: dict[str, str] = {network.id: network.gateway for network in view.networks}
        for network_id, listener in list(self._listeners.items()):
            if listener.gateway != wanted.get(network_id) or not listener.is_current():
                self._listeners.pop(network_id).close()
                if network_id not in wanted:
                    self.counted.pop(network_id, None)
        for network_id in sorted(wanted.keys() - self._listeners.keys()):
            listener = _Listener(network_id, wanted[network_id])
            try:
                await listener.open(self)
            except OSError as error:
                problems[network_id] = f"no names: {listener.gateway}:{PORT}: {error}"
                listener.close()
            else:
                self._listeners[network_id] = listener
        return problems

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    def spawn_forward(
        self, network_id: str, query: Query, data: bytes, send: Callable[[bytes], None]
    ) -> None:
        """Pass a query on and send what comes back."""

        async def forward() -> None:
            try:
                answer = await self._forward(network_id, data, over_tcp=False)
                send(answer or error_answer(query, SERVFAIL))
            except Exception:  # one odd question must not end the resolver
                log.exception("query not forwarded")

        self._tasks.create_task(forward())

    async def answer_over_tcp(self, network_id: str, client: str, data: bytes) -> bytes | None:
        """Answer one query of a TCP connection."""
        query = parse_query(data)
        if query is None:
            return None
        answer = self.answer(network_id, client, query, TCP_LIMIT_BYTES)
        if answer is None:
            answer = await self._forward(network_id, data, over_tcp=True)
        return answer or error_answer(query, SERVFAIL)

    def answer(self, network_id: str, client: str, query: Query, limit: int) -> bytes | None:
        """Answer a query from the directory; None if it is to be passed on."""
        self.queries += 1
        counts = self._counts(network_id)
        counts.questions += 1
        if not query.is_plain:
            return error_answer(query, NOTIMP if query.flags & 0x7800 else FORMERR)
        directory = self._directory
        found = look_up(directory, network_id, client, query.name)
        if found.exists:
            if found.pointer and query.kind in {PTR, ANY}:
                return pointer_answer(query, found.pointer)
            if found.addresses and query.kind in {A, ANY}:
                return address_answer(query, self._rotated(found.addresses), limit)
            return negative_answer(query, NOERROR, directory.serial)
        if found.asks_itself:  # the engine's resolver goes on to the next one in its list
            return error_answer(query, SERVFAIL)
        if found.may_forward:
            counts.forwarded += 1
            return None
        counts.unknown += 1
        return negative_answer(query, NXDOMAIN, directory.serial)

    async def _forward(self, network_id: str, data: bytes, *, over_tcp: bool) -> bytes | None:
        answer = await self._forwarder.ask(data, over_tcp=over_tcp)
        if answer is None:
            self._counts(network_id).failed += 1
        return answer

    def _counts(self, network_id: str) -> NameCounts:
        found = self.counted.get(network_id)
        if found is None:
            found = self.counted[network_id] = NameCounts()
        return found

    def _rotated(self, addresses: tuple[bytes, ...]) -> tuple[bytes, ...]:
        count = len(addresses)
        if count == 1:
            return addresses
        self._turn += 1
        begin = self._turn % count
        return addresses[begin:] + addresses[:begin]


class _Listener:
    """Both sockets of one network."""

    def __init__(self, network_id: str, gateway: str) -> None:
        self.network_id = network_id
        self.gateway = gateway
        self._namespace = namespace_name(network_id)
        self._identity = namespaces.identity(self._namespace)
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    def is_current(self) -> bool:
        """Whether the namespace is still the one in which the sockets are."""
        return self._identity == namespaces.identity(self._namespace)

    async def open(self, dns: DnsServer) -> None:
        with namespaces.inside(self._namespace):
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for opened in (datagrams, streams):
                opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
                opened.bind((self.gateway, PORT))
        except OSError:
            datagrams.close()
            streams.close()
            raise
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(dns, self.network_id), sock=datagrams
        )

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    await self._converse(dns, reader, writer)
            finally:
                writer.close()

        self._server = await asyncio.start_server(connected, sock=streams)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()

    async def _converse(
        self, dns: DnsServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = writer.get_extra_info("peername")[0]
        while True:
            async with asyncio.timeout(TCP_IDLE_S):
                size = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(size)
            answer = await dns.answer_over_tcp(self.network_id, client, data)
            if answer is None:
                return
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, dns: DnsServer, network_id: str) -> None:
        self._dns = dns
        self._network_id = network_id
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # no subclass before 3.12

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        query = parse_query(data)
        if query is None or transport is None:
            return
        answer = self._dns.answer(self._network_id, addr[0], query, query.limit)
        if answer is not None:
            transport.sendto(answer, addr)
        else:
            self._dns.spawn_forward(
                self._network_id, query, data, lambda reply: transport.sendto(reply, addr)
            )
