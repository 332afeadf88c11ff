"""The controller of one task: makes, starts, stops and removes its container."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from cluster.errors import ClusterError, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from cluster.executor.attached_files import FileSource, attached_files
from cluster.executor.container_feed import ContainerFeed
from cluster.executor.container_view import View
from cluster.executor.create_payload import CLUSTER_LABEL, TASK_LABEL, create_payload, stop_grace_s
from cluster.executor.engine import Engine
from cluster.executor.engine_networks import EngineNetworks, NetworkSource
from cluster.executor.extension_payload import extensions_of
from cluster.executor.images import Images, LoginSource
from cluster.executor.network_payload import Joined, join_first
from cluster.executor.node_policy import check_policy
from cluster.executor.task_files import TaskFiles
from cluster.model.ids import ClusterId
from cluster.model.node import NodeDescription
from cluster.model.task import Task

log = structlog.get_logger(__name__)

DEFAULT_STOP_SIGNAL = "SIGTERM"
_WITHOUT_FILES = frozenset({"ended", "removed"})  # phases after which files are of no use
KILL_GRACE_S = 10.0  # from SIGKILL until the engine must have told of the end


class TaskSource(FileSource, LoginSource, Protocol):
    """Knows what this node's tasks need beside their specs."""


class ContainerController:
    """One task's container; every verb does only what is still missing."""

    def __init__(  # noqa: PLR0913 - what the node has, and its one caller is the executor
        self,
        task: Task,
        cluster_id: ClusterId,
        *,
        engine: Engine,
        feed: ContainerFeed,
        images: Images,
        source: TaskSource,
        files: TaskFiles,
        forbidden: frozenset[str],
        networks: NetworkSource,
        engine_networks: EngineNetworks,
        describe_node: Callable[[], Awaitable[NodeDescription]],
        on_change: Callable[[], None],
    ) -> None:
        """Make a controller; see `cluster.agent.executor.TaskController` for what it promises."""
        self._task = task
        self._cluster_id = cluster_id
        self._engine = engine
        self._feed = feed
        self._images = images
        self._source = source
        self._files = files
        self._forbidden = forbidden
        self._networks = networks
        self._engine_networks = engine_networks
        self._describe_node = describe_node
        self._on_change = on_change
        self._changed = asyncio.Event()
        feed.listen(task.id, self._notice)

    @property
    def seen(self) -> View | None:
        """The container as last seen, None when there is none."""
        return self._feed.view(self._task.id)

    async def examine(self) -> None:
        """Wait until the feed has seen what is there."""
        await self._feed.until_current()
        if self.seen is None or self.seen.phase in _WITHOUT_FILES:
            self._files.discard(self._task.id)

    async def prepare(self) -> None:
        """Create the container, with its image fetched first as the pull policy says.

        Raises:
            PermissionDenied: this node forbids what the task asks for.
            Unavailable: try again.
            ClusterError: it cannot be created; the message says why.
        """
        joined = await self._joined_networks()
        if self._is_there():
            await self._engine_networks.join(self._id(), joined[1:])
            return
        node = await self._describe_node()
        payload = create_payload(
            self._task, node, self._cluster_id, await self._engine.api_version()
        )
        check_policy(payload, self._forbidden)
        if joined:
            join_first(payload, joined)
        try:
            payload["HostConfig"].setdefault("Mounts", []).extend(self._write_files(node))
            await self._make(payload)
            await self._engine_networks.join(self._id(), joined[1:])
        except Unavailable:
            raise  # tried again
        except (ClusterError, asyncio.CancelledError):
            self._files.discard(self._task.id)
            raise

    async def _joined_networks(self) -> list[Joined]:
        """Return the task's networks, ready on this node's engine.

        Raises:
            FailedPrecondition: this node has no network process.
        """
        if not self._task.networks:
            return []
        if not self._networks.is_there():
            raise FailedPrecondition(
                "this node cannot join the task to its networks: stack-netd does not run here; "
                "start it, then the Docker Engine, then stackd"
            )
        await self._networks.until_known(self._task)
        joined = []
        for attachment in self._task.networks:
            network = self._networks.network(attachment.network_id)
            if network is None:
                raise Unavailable(f"network {attachment.network_id} has just gone")
            engine_name = await self._engine_networks.ensure(network)
            is_ingress = self._networks.is_ingress(network.id)
            joined.append(Joined(attachment, network, is_ingress, engine_name))
        return joined

    async def _make(self, payload: dict[str, Any]) -> None:
        image = str(payload["Image"])
        pull_policy = extensions_of(self._task).pull_policy
        if pull_policy == "always":
            await self._fetch(image)
        try:
            container_id = await self._create(payload)
        except NotFound as error:
            if "image" not in str(error).lower():
                raise
            if pull_policy == "never":
                raise NotFound(
                    f"No such image: {image} (its pull_policy is never: load it on this node, or "
                    "allow pulling)"
                ) from error
            await self._fetch(image)
            container_id = await self._create(payload)
        self._feed.note_created(self._task.id, container_id)

    async def _fetch(self, image: str) -> None:
        await self._images.fetch(image, self._source.registry_auth(self._task.service_id))

    async def start(self) -> None:
        """Start the container and look at it: its process, its ports, its health.

        Raises:
            Unavailable: try again.
            ClusterError: it cannot be started; the message says why.
        """
        container_id = self._id()
        if not self._files.has(self._task.id):  # the machine was started anew since `prepare`
            self._write_files(await self._describe_node())
        await self._engine.start(container_id)
        await self._feed.refresh(self._task.id, container_id)

    async def shutdown(self) -> None:
        """Send the stop signal, wait for the grace period, then kill.

        Not the engine's own stop call: that would hold a thread of the pool for the whole grace
        period, and fifty containers stop at a time when a node is drained.

        Raises:
            Unavailable: it may still run; try again.
        """
        view = self.seen
        if view is None or view.phase != "running":
            return
        await self._signal(view.stop_signal or DEFAULT_STOP_SIGNAL)
        if await self._ends_within(stop_grace_s(self._task)):
            return
        await self._signal("SIGKILL")
        if await self._ends_within(KILL_GRACE_S):
            return
        await self._feed.refresh(self._task.id, view.container_id)
        if self._runs():
            raise Unavailable(f"container {view.container_id[:12]} does not end")

    async def remove(self) -> None:
        """Remove the container; one that is gone or just going is as good as removed.

        Raises:
            Unavailable: it may still be there; try again.
        """
        view = self.seen
        if view is not None and view.phase != "removed":
            await remove_container(self._engine, view.container_id)
        self._feed.note_removed(self._task.id)
        self._files.discard(self._task.id)

    def close(self) -> None:
        """Forget the task: its container is gone, or never was."""
        self._files.discard(self._task.id)
        self._feed.forget(self._task.id, self._notice)

    def _notice(self) -> None:
        self._changed.set()
        if self.seen is not None and self.seen.phase in _WITHOUT_FILES:
            self._files.discard(self._task.id)
        self._on_change()

    def _write_files(self, node: NodeDescription) -> list[dict[str, Any]]:
        """Put the task's secrets and configs into memory and return the mounts that show them."""
        files = attached_files(self._task, node, self._source)
        if files:
            self._files.write(self._task.id, files)
        return self._files.mounts(self._task.id, files)

    def _is_there(self) -> bool:
        return self.seen is not None and self.seen.phase != "removed"

    def _runs(self) -> bool:
        return self.seen is not None and self.seen.phase == "running"

    def _id(self) -> str:
        view = self.seen
        if view is None or view.phase == "removed":
            raise NotFound("the container is gone")
        return view.container_id

    async def _create(self, payload: dict[str, object]) -> str:
        name = self._task.container_name
        try:
            return await self._engine.create(name, payload)
        except FailedPrecondition as error:
            log.info("container name is taken", task=self._task.id, error=str(error))
        if (adopted := await self._adopt_or_remove(name)) is not None:
            return adopted
        return await self._engine.create(name, payload)

    async def _adopt_or_remove(self, name: str) -> str | None:
        """Take over the container that has our name, if it is ours and whole.

        It can be there though nothing was seen of it: when the answer to its creation was lost.
        """
        try:
            found = await self._engine.inspect(name)
        except NotFound:
            return None
        labels = found["Config"].get("Labels") or {}
        if labels.get(TASK_LABEL) != self._task.id or CLUSTER_LABEL not in labels:
            raise FailedPrecondition(
                f"container name {name} is taken by a container of somebody else "
                f"({found['Id'][:12]}); remove or rename that"
            )
        if found["State"]["Status"] in {"dead", "removing"}:
            await remove_container(self._engine, found["Id"])
            return None
        await self._feed.refresh(self._task.id, found["Id"])
        return str(found["Id"])

    async def _signal(self, signal: str) -> None:
        try:
            await self._engine.kill(self._id(), signal)
        except (NotFound, FailedPrecondition, InvalidArgument):
            # it ended meanwhile, or is paused: look again, and let SIGKILL settle it
            await self._feed.refresh(self._task.id, self._task.container_name)

    async def _ends_within(self, limit_s: float) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                while self._runs():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return not self._runs()
        return True


async def remove_container(engine: Engine, container_id: str) -> None:
    """Remove a container, whatever it does; nothing to do when it is gone.

    Raises:
        Unavailable: somebody else removes it right now, or the engine is away: look again.
    """
    try:
        await engine.remove(container_id)
    except NotFound:
        return
    except FailedPrecondition as error:
        raise Unavailable(str(error)) from error
