"""A `LocalNode` whose cluster lives in a `MemoryStore`: one manager, no consensus, no agents."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec

from cluster.allocator.addresses import Turns
from cluster.api.commands.networks import create_network
from cluster.api.local_node import (
    LAST_MANAGER_LEAVES,
    InitRequest,
    JoinRequest,
    LocalNodeInfo,
    LogSource,
    RemoteManager,
    RestoreRequest,
    already_in_swarm,
    not_manager,
)
from cluster.clock import SystemClock
from cluster.dispatcher.attachments import attach
from cluster.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from cluster.model.attachment import PlainPlace
from cluster.model.diagnosis import Finding
from cluster.model.ids import NetworkId, NewId, NodeId, TaskId, id_from_int
from cluster.model.logs import LogLine, LogOptions, LogSelection
from cluster.model.meta import Meta
from cluster.model.network import INGRESS_NAME, NetworkSpec
from cluster.model.node import (
    EngineDescription,
    ManagerStatus,
    Node,
    NodeDescription,
    NodeSpec,
    NodeStatus,
    TlsInfo,
)
from cluster.model.placement import Platform
from cluster.model.resources import Resources
from cluster.model.task import Task
from cluster.replication.backup import seal_backup
from cluster.rpc.messages import AttachRequest, ForwardPart, ForwardRequest
from cluster.store.interface import ClusterStore
from tests.support.identities import cluster_object
from tests.support.memory_store import MemoryStore

MANAGER_ID = NodeId("m" * 25)
WORKER_ID = NodeId("w" * 25)
ADDR = "127.0.0.1"


def counting_ids() -> NewId:
    """Identifiers that differ in their first characters, the same in every run."""
    numbers = itertools.count(1)
    return lambda: id_from_int(next(numbers) * 36**20 + 36**23)


def node(node_id: NodeId, hostname: str, *, is_manager: bool = False) -> Node:
    root = cluster_object().root_ca.cert_pem
    return Node(
        id=node_id,
        meta=Meta(),
        spec=NodeSpec(role="manager" if is_manager else "worker"),
        role="manager" if is_manager else "worker",
        description=NodeDescription(
            hostname=hostname,
            platform=Platform(architecture="x86_64", os="linux"),
            resources=Resources(nano_cpus=2_000_000_000, memory_bytes=8 << 30),
            engine=EngineDescription(engine_version="20.10.24"),
            tls_info=TlsInfo(
                trust_root=root, cert_issuer_subject="c3ViamVjdA==", cert_issuer_public_key="a2V5"
            ),
        ),
        status=NodeStatus(state="ready", addr=ADDR),
        manager_status=ManagerStatus(raft_id=1, addr=f"{ADDR}:2377") if is_manager else None,
    )


class PrintedLines:
    """A source of logs that has what a test puts there, and notes what it was asked for."""

    def __init__(self) -> None:
        self.lines: list[tuple[Task, LogLine]] = []
        self.asked: list[tuple[LogSelection, LogOptions]] = []
        self.open_count = 0

    @contextmanager
    def open(
        self, selection: LogSelection, options: LogOptions
    ) -> Iterator[AsyncIterator[tuple[Task, LogLine]]]:
        self.asked.append((selection, options))
        self.open_count += 1
        try:
            yield self._feed(options)
        finally:
            self.open_count -= 1

    async def _feed(self, options: LogOptions) -> AsyncIterator[tuple[Task, LogLine]]:
        for item in self.lines:
            yield item
        if options.is_followed:
            await asyncio.Event().wait()


class MemoryNode:
    """Inactive until `init`; `become_worker` makes it a member that holds no state."""

    def __init__(self) -> None:
        self.memory: MemoryStore | None = None
        self.is_worker = False
        self.joins: list[JoinRequest] = []
        self.printed = PrintedLines()

    def info(self) -> LocalNodeInfo:
        if self.is_worker:
            return LocalNodeInfo(node_id=WORKER_ID, addr=ADDR, local_state="active")
        if self.memory is None:
            return LocalNodeInfo()
        return LocalNodeInfo(
            node_id=MANAGER_ID,
            addr=ADDR,
            local_state="active",
            control_available=True,
            remote_managers=(RemoteManager(node_id=MANAGER_ID, addr=f"{ADDR}:2377"),),
        )

    def leader_id(self) -> NodeId | None:
        return None if self.memory is None else MANAGER_ID

    def store(self) -> ClusterStore:
        if self.memory is None:
            raise not_manager(self.info())
        return self.memory

    def replica(self) -> ClusterStore:
        return self.store()

    async def ensure_current(self) -> None:
        pass

    async def wait_leader(self) -> bool:
        return True

    async def forward(self, request: ForwardRequest) -> AsyncGenerator[ForwardPart, None]:
        raise AssertionError("the only manager leads")
        yield

    async def check_demotion(self, node: Node) -> None:
        pass

    async def backup(self, passphrase: str) -> bytes:
        return seal_backup(self.replica().view(), passphrase, SystemClock().now())

    async def restore(self, request: RestoreRequest, content: bytes) -> NodeId:
        raise already_in_swarm()

    async def unlock(self, unlock_key: str) -> None:
        raise FailedPrecondition("swarm is not locked")

    async def diagnose(self) -> tuple[Finding, ...]:
        return ()

    async def attach(self, network: str, address: str) -> PlainPlace:
        if self.memory is None:
            raise NotFound(f"network {network} not found")
        request = AttachRequest(network=network, address=address)
        attachment_id = TaskId("p" * 25)
        await self.memory.update(lambda tx: attach(tx, MANAGER_ID, request, attachment_id, Turns()))
        raise Unavailable("this node joins no container to a network")

    async def release(self, attachment_id: TaskId) -> None:
        raise NotImplementedError(attachment_id)

    def made(self, attachment_id: TaskId) -> None:
        raise NotImplementedError(attachment_id)

    def network_name(self, text: str) -> str | None:
        del text
        return None

    def leave_warning(self) -> str:
        return LAST_MANAGER_LEAVES

    def logs(self) -> LogSource:
        self.store()
        return self.printed

    async def init(self, request: InitRequest) -> NodeId:
        if self.memory is not None:
            raise already_in_swarm()
        cluster = msgspec.structs.replace(cluster_object(), spec=request.spec)
        self.memory = MemoryStore(cluster, node(MANAGER_ID, "one", is_manager=True))
        ingress = NetworkSpec(name=INGRESS_NAME, driver="overlay", ingress=True)
        await self.memory.update(lambda tx: create_network(tx, ingress, NetworkId("i" * 25)))
        return MANAGER_ID

    async def join(self, request: JoinRequest) -> None:
        self.joins.append(request)
        raise InvalidArgument("invalid join token")

    async def leave(self, *, force: bool) -> None:
        self.memory = None
        self.is_worker = False

    def become_worker(self) -> None:
        self.memory = None
        self.is_worker = True
