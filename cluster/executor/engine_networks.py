"""The cluster's networks as networks of the local engine: made for the first task, then removed."""

from __future__ import annotations

import asyncio
from typing import Protocol

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
from cluster.model.network_view import DRIVER_NAME, NETWORK_OPTION, NetworkView, NodeView
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

    async def ensure(self, network: NetworkView) -> None:
        """Make the engine's network unless it is there.

        Raises:
            FailedPrecondition: its name is taken by a network of somebody else.
            Unavailable: a network of that name was removed, and its last container still ends.
            ClusterError: the engine's answer.
        """
        async with self._making:
            for found in await self._engine.list_networks({"name": [network.name]}):
                if found["Name"] != network.name:
                    continue  # the engine's filter takes parts of names
                if (found.get("Options") or {}).get(NETWORK_OPTION) == network.id:
                    return
                if not self._is_ours(found):
                    raise FailedPrecondition(
                        f"network {network.name}: this node's engine has a network of that name "
                        f"already ({found['Id'][:12]}); remove it there"
                    )
                try:
                    await self._remove(found["Id"])  # of a network that was made anew
                except FailedPrecondition as error:  # a container of its former self ends yet
                    raise Unavailable(str(error)) from error
            await self._engine.create_network(network_request(network, self._cluster_id))
            log.info("network made on this node", network=network.name)

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
            if joined.network.name not in present:
                settings = endpoint_settings(joined)
                await self._engine.connect(joined.network.name, container_id, settings)

    async def tidy_up(self, view: NodeView) -> None:
        """Remove the engine's networks of clusters that are not in the view (any more).

        Raises:
            ClusterError: some are left; try again later.
        """
        wanted = {network.id for network in view.networks}
        if view.ingress is not None:
            wanted.add(view.ingress.network.id)
        failure: ClusterError | None = None
        async with self._making:
            for found in await self._engine.list_networks({"label": [CLUSTER_LABEL]}):
                if not self._is_ours(found):
                    continue
                if (found.get("Options") or {}).get(NETWORK_OPTION) in wanted:
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
