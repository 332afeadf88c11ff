"""The cluster's networks as networks of the local engine: made for the first task, then removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from cluster.errors import (
    ClusterError,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from cluster.executor.engine import Engine
from cluster.executor.network_payload import (
    CLUSTER_LABEL,
    Joined,
    endpoint_settings,
    network_request,
)
from cluster.model.ids import ClusterId, NetworkId
from cluster.model.network_view import DRIVER_NAME, NETWORK_OPTION, NetworkView
from cluster.model.task import Task

log = structlog.get_logger(__name__)


class NetworkSource(Protocol):
    """Knows the networks of the cluster."""

    def is_there(self) -> bool:
        """Whether tasks of this node can be in them."""
        ...

    def network(self, network_id: NetworkId) -> NetworkView | None:
        """Return a network that is ready for tasks, None if it is not (yet)."""
        ...

    def is_ingress(self, network_id: NetworkId) -> bool:
        """Whether it is the network of published ports."""
        ...

    async def until_known(self, task: Task) -> None:
        """Wait until all networks of a task are ready."""
        ...


class EngineNetworks:
    """The engine's networks that stand for those of the cluster."""

    def __init__(self, engine: Engine, cluster_id: ClusterId) -> None:
        """Work on `engine`; networks that no cluster has made are left alone.

        A node is in one cluster at a time, so what another one has left is a leftover.
        """
        self._engine = engine
        self._cluster_id = cluster_id
        self._making = asyncio.Lock()

    async def ensure(self, network: NetworkView) -> str:
        """Make the engine's network unless it is there.

        Returns:
            Its name there: the network's own, unless the engine does not let go of a former one.

        Raises:
            FailedPrecondition: its name is taken by a network of somebody else.
            Unavailable: a network of that name was removed, and its last container still ends.
            ClusterError: the engine's answer.
        """
        async with self._making:
            listed = await self._engine.list_networks({"name": [network.name]})
            for found in listed:
                if (found.get("Options") or {}).get(NETWORK_OPTION) == network.id:
                    return str(found["Name"])
            name = network.name
            for found in listed:
                if found["Name"] == network.name:  # the engine's filter takes parts of names
                    name = await self._freed(network, found)
            request = network_request(network, self._cluster_id)
            await self._engine.create_network({**request, "Name": name})
            log.info("network made on this node", network=network.name, name=name)
            return name

    async def _freed(self, network: NetworkView, former: dict[str, Any]) -> str:
        """Remove what has the network's name, and return the name to take.

        Where many containers come and go at once, Docker Engine may lose count of a network's
        endpoints; such a network can be removed only once the engine has been started again.
        Nobody is in it, so it may stay, and the new one takes a name that nobody else can have.
        """
        if not self._is_ours(former):
            raise FailedPrecondition(
                f"network {network.name}: this node's engine has a network of that name "
                f"already ({former['Id'][:12]}); remove it there"
            )
        try:
            await self._remove(former["Id"])  # of a network that was made anew
        except FailedPrecondition as error:
            if await self._engine.network_members(former["Id"]):
                raise Unavailable(str(error)) from error  # a container of its former self ends yet
            try:
                await self._remove(former["Id"])  # the last one may just have left
            except FailedPrecondition:
                log.warning("the engine keeps a network that nobody is in", reason=str(error))
                return f"{network.name}.{network.id}"
        return network.name

    async def join(self, container_id: str, networks: list[Joined]) -> None:
        """Connect a container that was not started yet to those networks it is not in.

        Raises:
            ClusterError: the engine's answer.
        """
        if not networks:
            return
        inspected = await self._engine.inspect(container_id)
        present = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
        for joined in networks:
            if joined.engine_name not in present:
                settings = endpoint_settings(joined)
                await self._engine.connect(joined.engine_name, container_id, settings)

    async def tidy_up(self, is_wanted: Callable[[NetworkId], bool]) -> None:
        """Remove the engine's networks of clusters that are not wanted (any more).

        Raises:
            ClusterError: some are left; try again later.
        """
        failure: ClusterError | None = None
        async with self._making:
            for found in await self._engine.list_networks({"label": [CLUSTER_LABEL]}):
                if not self._is_ours(found):
                    continue
                if is_wanted((found.get("Options") or {}).get(NETWORK_OPTION, "")):
                    continue
                try:
                    await self._remove(found["Id"])
                except ClusterError as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _remove(self, network_id: str) -> None:
        try:
            await self._engine.remove_network(network_id)
        except NotFound:
            return
        except PermissionDenied as error:  # the engine's word for: still in use
            raise FailedPrecondition(str(error)) from error

    @staticmethod
    def _is_ours(found: dict[str, object]) -> bool:
        labels = found.get("Labels")
        return (
            found.get("Driver") == DRIVER_NAME
            and isinstance(labels, dict)
            and CLUSTER_LABEL in labels
        )
