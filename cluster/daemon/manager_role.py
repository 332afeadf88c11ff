"""What runs on a manager: its copy of the state, the port for other nodes, and the duties."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from cluster.ca.credentials import NodeCredentials
from cluster.ca.issuer import CertificateIssuer
from cluster.clock import Clock
from cluster.control.leadership import run_duties
from cluster.daemon.leader_duties import leader_duties
from cluster.dispatcher.log_broker import LogBroker
from cluster.dispatcher.service import Dispatcher
from cluster.model.ids import NewId, NodeId
from cluster.replication.bootstrap import open_store
from cluster.replication.replicated_store import ReplicatedStore
from cluster.rpc.certificate_service import CertificateService
from cluster.rpc.front import open_front
from cluster.rpc.join_server import JoinServer
from cluster.rpc.server import RpcServer
from cluster.rpc.settings import JOIN_SERVER_NAME


class ManagerRole:
    """The manager's part of a node; `run` it, then use `store`."""

    def __init__(
        self,
        *,
        raft_dir: Path,
        listen: tuple[str, int],
        credentials: NodeCredentials,
        clock: Clock,
        rng: random.Random,
        new_id: NewId,
    ) -> None:
        """Open the state on disk.

        Args:
            raft_dir: folder of log and snapshots.
            listen: IP address and port for other nodes.
            credentials: this manager's.
            clock: the time.
            rng: spreads heartbeats.
            new_id: makes identifiers.

        Raises:
            FatalStorageError: the state is damaged or another process has it.
        """
        self.store: ReplicatedStore = open_store(raft_dir, clock)
        self._listen = listen
        issuer = CertificateIssuer(self.store, clock=clock, new_id=new_id)
        self._join_server = JoinServer(
            credentials, issuer, clock=clock, leader_addr=self._leader_addr
        )
        self._server = RpcServer(credentials, clock=clock, leader_addr=self._leader_addr)
        self._dispatcher = Dispatcher(self.store, clock=clock, rng=rng, new_id=new_id)
        self._dispatcher.serve_on(self._server)
        self.logs = LogBroker(self.store, clock=clock, new_id=new_id)
        self.logs.serve_on(self._server)
        CertificateService(issuer).serve_on(self._server)
        self._duties = leader_duties(self.store, self._dispatcher, self.logs, clock, new_id)
        self.listening = asyncio.Event()

    def leader_id(self) -> NodeId | None:
        """Return the leading node as far as known."""
        for node in self.store.view().nodes:
            status = node.manager_status
            if status is not None and status.raft_id == self.store.leader:
                return node.id
        return None

    def replace_credentials(self, credentials: NodeCredentials) -> None:
        """Serve with a renewed certificate from now on."""
        self._server.replace_credentials(credentials)
        self._join_server.replace_credentials(credentials)

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            FailedPrecondition: the port is taken.
            FatalStorageError: the disk failed.
        """
        try:
            await self._serve()
        finally:
            self.store.close()

    async def _serve(self) -> None:
        host, port = self._listen
        routes = {JOIN_SERVER_NAME: self._join_server.serve_connection}
        async with (
            asyncio.TaskGroup() as group,
            self._server,
            open_front(host, port, routes, self._server.serve_connection),
        ):
            group.create_task(self.store.run(), name="raft")
            group.create_task(run_duties(self.store, self._duties), name="duties")
            self.listening.set()
            await asyncio.Event().wait()

    def _leader_addr(self) -> str:
        leader = self.leader_id()
        node = self.store.view().node(leader) if leader else None
        return node.manager_status.addr if node and node.manager_status else ""
