"""Runs tasks as containers of the local Docker Engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import structlog

from cluster.errors import ClusterError
from cluster.executor.container import ContainerController, TaskSource, remove_container
from cluster.executor.container_feed import ContainerFeed
from cluster.executor.container_log import read_container_log
from cluster.executor.engine import Engine
from cluster.executor.engine_networks import EngineNetworks, NetworkSource
from cluster.executor.images import Images
from cluster.executor.node_description import node_description
from cluster.executor.plain_containers import PlainContainerFeed
from cluster.executor.task_files import TaskFiles
from cluster.model.attachment import PlainEndpoint
from cluster.model.ids import ClusterId, TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.network_view import NetworkView
from cluster.model.node import NodeDescription
from cluster.model.task import Task

log = structlog.get_logger(__name__)


class DockerExecutor:
    """Satisfies the agent's `Executor` port; `run` must be running for anything to happen."""

    def __init__(
        self,
        engine: Engine,
        cluster_id: ClusterId,
        source: TaskSource,
        files_dir: Path,
        networks: NetworkSource,
        engine_networks: EngineNetworks,
        forbidden: frozenset[str] = frozenset(),
    ) -> None:
        """Make an executor.

        Args:
            engine: the local engine, opened.
            cluster_id: marks containers as this cluster's; others are never touched.
            source: knows the secrets, configs and registry logins of the tasks.
            files_dir: folder of this node alone, in which those are mounted as files.
            networks: knows the networks of the tasks.
            engine_networks: makes them on the engine; there is one of it, as it removes them too.
            forbidden: what this node refuses, of `cluster.executor.node_policy.FORBIDDABLE`.
        """
        self._engine = engine
        self._source = source
        self._files = TaskFiles(files_dir)
        self._forbidden = forbidden
        self._networks = networks
        self._engine_networks = engine_networks
        self._cluster_id = cluster_id
        self._feed = ContainerFeed(engine, cluster_id)
        self._plain = PlainContainerFeed(engine)
        self._images = Images(engine)
        self._description: NodeDescription | None = None
        self._describing = asyncio.Lock()

    async def run(self) -> None:
        """Follow what the containers do, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed.run())
            group.create_task(self._plain.run())

    async def until_away(self) -> None:
        """Wait until the engine goes away; return at once while it is away."""
        await self._feed.until_away()

    async def plain_endpoints(self) -> tuple[PlainEndpoint, ...]:
        """Return the places of plain containers in networks.

        Raises:
            ClusterError: the engine does not tell.
        """
        return await self._plain.endpoints()

    async def until_plain_change(self) -> None:
        """Wait until they may have changed."""
        await self._plain.until_change()

    async def make_network(self, network: NetworkView) -> str:
        """Make the engine's network that stands for one of the cluster's; return its name there.

        Raises:
            ClusterError: the engine's answer.
        """
        return await self._engine_networks.ensure(network)

    async def describe(self) -> NodeDescription:
        """Ask the engine what this node is.

        Raises:
            Unavailable: the engine is away.
        """
        self._description = node_description(await self._engine.info())
        return self._description

    def controller(self, task: Task, on_change: Callable[[], None]) -> ContainerController:
        """Return the controller of a task; there may be one a task at a time."""
        return ContainerController(
            task,
            self._cluster_id,
            engine=self._engine,
            feed=self._feed,
            images=self._images,
            source=self._source,
            files=self._files,
            forbidden=self._forbidden,
            networks=self._networks,
            engine_networks=self._engine_networks,
            describe_node=self._known_description,
            on_change=on_change,
        )

    def log(self, task: Task, options: LogOptions) -> AsyncGenerator[list[LogLine], None]:
        """Iterate over what a task's container printed, as many lines at a time as have come.

        Raises:
            NotFound: from the iterator: the task has no container.
            ClusterError: from the iterator: the log cannot be read.
        """
        spec = task.spec.container_spec
        return read_container_log(
            self._engine.socket_path,
            task.container_name,
            task.id,
            options,
            has_terminal=spec is not None and spec.tty,
        )

    async def sweep(self, keep: Callable[[TaskId], bool]) -> None:
        """Remove this cluster's containers and files whose task `keep` does not want.

        Raises:
            ClusterError: some are left; try again.
        """
        for task_id in self._files.task_ids:
            if not keep(task_id):
                self._files.discard(task_id)
        await self._feed.until_current()
        failures: list[ClusterError] = []
        for task_id in self._feed.task_ids:
            view = self._feed.view(task_id)
            if view is None or keep(task_id):
                continue
            log.info("removing a leftover container", task=task_id, container=view.container_id)
            try:
                await remove_container(self._engine, view.container_id)
            except ClusterError as error:
                failures.append(error)
            else:
                self._feed.note_removed(task_id)
                self._feed.forget(task_id)
        if failures:
            raise failures[0]

    async def _known_description(self) -> NodeDescription:
        """Describe the node for templates; what it last said is new enough."""
        async with self._describing:
            return self._description or await self.describe()
