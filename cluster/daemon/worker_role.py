"""What runs on every node: the agent with its session, over the local Docker Engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import structlog

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.local_state import LocalState, Seal
from cluster.agent.networks import Networks
from cluster.agent.plain_containers import PlainContainers
from cluster.agent.session import ManagerLink, Session
from cluster.agent.worker import Worker
from cluster.ca.credentials import NodeCredentials, tls_info
from cluster.clock import Clock
from cluster.daemon.config import DaemonConfig
from cluster.daemon.diagnosis import diagnose
from cluster.errors import ClusterError, Unavailable
from cluster.executor.engine import Engine
from cluster.executor.engine_networks import EngineNetworks
from cluster.executor.executor import DockerExecutor
from cluster.executor.network_process import NetworkProcessClient
from cluster.model.diagnosis import DiagnosisOrder, NodeDiagnosis
from cluster.model.node import NETWORK_PLUGIN, Node, NodeDescription
from cluster.rpc.channel import NodeChannel
from cluster.rpc.messages import ManagerAddress, SessionMessage

log = structlog.get_logger()

STOP_PATIENCE_S = 20.0
"""How long leaving waits for containers to stop; then they are removed as they are."""

LEAVE_TIMEOUT_S = 35.0
"""How long that may take in all, removing them included."""

LOOK_FOR_NETWORKS_EVERY_S = 2.0
REPORT_TRIES = 10
REPORT_PAUSE_S = 0.5


class WorkerRole:
    """The worker's part of a node."""

    def __init__(  # noqa: PLR0913 - each argument is a part of its own
        self,
        *,
        tasks_dir: Path,
        config: DaemonConfig,
        addr: str,
        manager_addr: str,
        seeds: Sequence[str],
        credentials: NodeCredentials,
        clock: Clock,
        rng: random.Random,
        seal: Seal,
    ) -> None:
        """Read what the last life of this process left.

        Args:
            tasks_dir: folder of the agent's memory.
            config: names the local Docker Engine and this node, and what tasks may not ask of it.
            addr: IP address of this node for others.
            manager_addr: host:port on which others reach it while it is a manager.
            seeds: managers (host:port) to try before any is known.
            credentials: this node's.
            clock: the time.
            rng: spreads pauses.
            seal: for the agent's memory.
        """
        self._credentials = credentials
        self._hostname = config.hostname
        self._generic_resources = config.generic_resources
        self._engine = Engine(f"unix://{config.engine_socket}")
        files = AttachedFiles()
        cluster_id = credentials.identity.cluster_id
        self._clock = clock
        self._network_process = NetworkProcessClient(config.network_socket)
        engine_networks = EngineNetworks(self._engine, cluster_id)
        networks = Networks(self._network_process, engine_networks.tidy_up)
        self._executor = DockerExecutor(
            self._engine,
            cluster_id,
            files,
            config.run_dir / "tasks" / credentials.identity.node_id,
            networks,
            engine_networks,
            config.forbidden,
        )
        self._worker = Worker(self._executor, LocalState(tasks_dir, seal), clock, files, networks)
        self._session = Session(
            self._worker,
            self._connect,
            self,
            clock,
            rng,
            seeds=seeds,
            addr=addr,
            manager_addr=manager_addr,
            on_message=self._on_message,
        )
        self._networks = networks
        self._told_of_networks = networks.is_there()
        self.plain_containers = PlainContainers(self._session, networks, self._executor)
        self._is_description_old = asyncio.Event()
        self._order: DiagnosisOrder | None = None
        self._ordered = asyncio.Event()
        self.registered = asyncio.Event()
        self.wanted_roots: tuple[str, str] | None = None  # the root to trust, the one that signs
        self.roots_changed = asyncio.Event()
        self.node: Node | None = None  # this node, as the managers last described it
        self.node_changed = asyncio.Event()

    @property
    def managers(self) -> Sequence[ManagerAddress]:
        """Managers as last heard of."""
        return self._worker.managers

    @property
    def leader_addr(self) -> str:
        """The manager with which a session is open (host:port), "" for none."""
        return self._session.leader_addr

    def network_name(self, text: str) -> str | None:
        """Return the name of a network of this node by name or ID, None if it is in none such."""
        return self._networks.name_of(text)

    def replace_credentials(self, credentials: NodeCredentials) -> None:
        """Connect with a renewed certificate from now on, and tell the managers of it."""
        self._credentials = credentials
        self._is_description_old.set()

    async def run(self) -> None:
        """Run tasks and keep the session until cancelled; containers then stay as they are."""
        async with self._engine, asyncio.TaskGroup() as group:
            group.create_task(self._executor.run(), name="engine events")
            group.create_task(self._worker.run(), name="worker")
            group.create_task(self._session.run(), name="session")
            group.create_task(self._watch_networks(), name="network process")
            group.create_task(self.plain_containers.run(), name="plain containers")
            group.create_task(self._diagnose_when_ordered(), name="diagnosis")

    async def leave(self) -> None:
        """Say goodbye and remove every container of the cluster; `run` must be running."""
        try:
            await self._session.goodbye()
        except Unavailable as error:
            log.warning("left without goodbye", error=str(error))
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._worker.drop_all(STOP_PATIENCE_S)
        except TimeoutError:
            log.warning("containers are left behind", seconds=LEAVE_TIMEOUT_S)

    async def until_away(self) -> None:
        """Wait until the engine goes away, or what was described is old; return at once if so."""
        async with asyncio.TaskGroup() as group:
            waiting = (
                group.create_task(self._executor.until_away()),
                group.create_task(self._is_description_old.wait()),
            )
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()

    async def _watch_networks(self) -> None:
        """Tell the managers when the network process comes or goes."""
        while True:
            await asyncio.sleep(LOOK_FOR_NETWORKS_EVERY_S)
            if self._networks.is_there() != self._told_of_networks:
                self._is_description_old.set()

    def _connect(self, addr: str) -> AbstractAsyncContextManager[ManagerLink]:
        return NodeChannel(addr, self._credentials, for_session=True)

    async def describe(self) -> NodeDescription:
        """Describe this node under its own name.

        Raises:
            Unavailable: the engine is away.
        """
        self._is_description_old.clear()
        description = await self._executor.describe()
        resources, engine = description.resources, description.engine
        plugins = {plugin for plugin in engine.plugins if plugin != NETWORK_PLUGIN}
        self._told_of_networks = self._networks.is_there()
        if self._told_of_networks:
            plugins.add(NETWORK_PLUGIN)
        generic = (*resources.generic_resources, *self._generic_resources)
        return msgspec.structs.replace(
            description,
            hostname=self._hostname,
            engine=msgspec.structs.replace(
                engine, plugins=tuple(sorted(plugins, key=lambda p: (p.type, p.name)))
            ),
            resources=msgspec.structs.replace(resources, generic_resources=generic),
            tls_info=tls_info(self._credentials),
        )

    async def _diagnose_when_ordered(self) -> None:
        """Look for trouble when the leader wants to know, once for each order."""
        while True:
            await self._ordered.wait()
            self._ordered.clear()
            order = self._order
            if order is None:
                continue
            found = await diagnose(order, self._network_process, self._clock)
            await self._report_diagnosis(order.id, found)

    async def _report_diagnosis(self, order_id: str, found: NodeDiagnosis) -> None:
        """Tell what was found, also when a session has just ended and the next one is to come."""
        for _ in range(REPORT_TRIES):
            try:
                await self._session.report_diagnosis(order_id, found)
                return
            except ClusterError as error:
                log.info("nobody takes what this node found out", error=str(error))
            await asyncio.sleep(REPORT_PAUSE_S)

    def _on_message(self, message: SessionMessage) -> None:
        if not self.registered.is_set():
            log.info("node registered", node=message.node.id, role=message.node.role)
        self.registered.set()
        if message.root_ca_pem and message.issuer_pem:
            self.wanted_roots = message.root_ca_pem, message.issuer_pem
            self.roots_changed.set()
        order, before = message.diagnosis, self._order
        if order is not None and (before is None or before.id != order.id):
            self._order = order
            self._ordered.set()
        self.node = message.node
        self.node_changed.set()
