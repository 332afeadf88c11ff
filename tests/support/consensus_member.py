"""A process with one member of a raft group and its store, that takes writes over HTTP.

Everything below the API is as in stackd: log on disk, sealed; gRPC with mutual TLS to the others.
`POST /put` with a value creates one object in one transaction and answers when it is committed.

Usage: consensus_member.py SETTINGS.json
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

import msgspec
import structlog
from aiohttp import web

from cluster.ca.credentials import NodeCredentials
from cluster.clock import SystemClock
from cluster.errors import ClusterError
from cluster.model.config import Config, ConfigSpec
from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.replication.bootstrap import open_store
from cluster.replication.peers import RaftPeers
from cluster.rpc.channel import NodeChannel
from cluster.rpc.front import open_front
from cluster.rpc.server import RpcServer
from cluster.store.transaction import Transaction


class Settings(msgspec.Struct):
    """What the benchmark tells a member."""

    raft_id: int
    folder: str
    addrs: dict[int, str]  # of all members, host:port
    http_port: int
    key_pem: str
    certificate_pem: str
    root_ca_pem: str


class Book:
    """Who the members are: known beforehand."""

    def __init__(self, addrs: dict[int, str]) -> None:
        self._addrs = addrs

    def address_of(self, raft_id: int) -> str:
        """Return host:port."""
        return self._addrs.get(raft_id, "")

    def owner_of(self, raft_id: int) -> NodeId | None:
        """Return the node's ID."""
        return NodeId(f"m{raft_id}")


async def main(settings: Settings) -> None:
    """Serve until killed."""
    credentials = NodeCredentials(
        key_pem=settings.key_pem,
        certificate_pem=settings.certificate_pem,
        root_ca_pem=settings.root_ca_pem,
    )
    clock = SystemClock()
    own_addr = settings.addrs[settings.raft_id]
    peers = RaftPeers(
        settings.raft_id,
        own_addr,
        Book(settings.addrs),
        lambda addr: NodeChannel(addr, credentials),
    )
    store = open_store(Path(settings.folder), clock, raft_id=settings.raft_id, peers=peers)
    peers.attach(store.driver)
    server = RpcServer(credentials, clock=clock, leader_addr=lambda: "")
    peers.serve_on(server)
    numbers = itertools.count()

    async def put(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/put":
            return web.Response(text="leads" if store.is_leader else "follows")
        body = await request.read()
        name = f"n{settings.raft_id}-{next(numbers)}"

        def work(tx: Transaction) -> None:
            tx.create(Config(id=name, meta=Meta(), spec=ConfigSpec(name=name, data=body)))

        try:
            await store.update(work)
        except ClusterError as error:
            return web.Response(status=503, text=str(error))
        return web.Response(text=name)

    host, _, port = own_addr.rpartition(":")
    http = web.Server(put, access_log=None)
    async with (
        asyncio.TaskGroup() as group,
        server,
        open_front(host, int(port), {}, server.serve_connection),
    ):
        group.create_task(peers.run())
        group.create_task(store.run())
        await asyncio.get_running_loop().create_server(http, host, settings.http_port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.setswitchinterval(0.0005)
    asyncio.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings)))
