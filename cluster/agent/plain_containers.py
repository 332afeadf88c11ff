"""Plain containers in the cluster's networks: asks managers for places, and tells who has them.

What the engine has is told as a whole, again and again, so that nothing depends on a message that
was lost: places that no container has any more are given back by that alone.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from cluster.agent.networks import Networks
from cluster.agent.session import Session
from cluster.errors import ClusterError, FailedPrecondition, Unavailable
from cluster.model.attachment import PlainEndpoint, PlainPlace
from cluster.model.ids import TaskId
from cluster.model.network_view import NetworkView
from cluster.rpc import methods
from cluster.rpc.messages import AttachRequest, AttachResponse, PlainContainersRequest

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S: Final = 10.0
READY_PATIENCE_S: Final = 20.0
"""So long a network that this node was not in may take to be made here."""

RETRY_PAUSE_S: Final = 1.0
TELL_AGAIN_EVERY_S: Final = 30.0


class PlainEngine(Protocol):
    """The node's engine, as far as plain containers in networks are concerned."""

    async def plain_endpoints(self) -> tuple[PlainEndpoint, ...]:
        """Return the places of all plain containers, stopped ones too.

        Raises:
            ClusterError: the engine does not tell; try again.
        """
        ...

    async def until_plain_change(self) -> None:
        """Wait until they may be others than when this was last called."""
        ...

    async def make_network(self, network: NetworkView) -> str:
        """Make the engine's network that stands for one of the cluster's; return its name there.

        Raises:
            ClusterError: the engine's answer.
        """
        ...


class PlainContainers:
    """This node's plain containers in networks."""

    def __init__(self, session: Session, networks: Networks, engine: PlainEngine) -> None:
        """Work over `session`; `run` tells what there is."""
        self._session = session
        self._networks = networks
        self._engine = engine
        self._made: set[TaskId] = set()  # the engine has had these, and no manager knows of it yet

    async def attach(self, network: str, address: str) -> PlainPlace:
        """Get a place in a network, by name or ID, which is then ready on this node.

        Raises:
            NotFound: there is no such network in the cluster.
            PermissionDenied: plain containers may not join it.
            FailedPrecondition: no address is free, or this node has no network process.
            Unavailable: no manager answers, or the network is not ready in time.
        """
        request = AttachRequest(network=network, address=address)
        given = await self._session.call(methods.ATTACH, request, timeout_s=ASK_TIMEOUT_S)
        try:
            return await self._ready(given)
        except BaseException:
            await self.release(given.attachment_id)
            raise

    async def release(self, attachment_id: TaskId) -> None:
        """Give a place back for which there is no container after all."""
        try:
            endpoints = await self._engine.plain_endpoints()
            request = PlainContainersRequest(endpoints=endpoints, released=(attachment_id,))
            await self._session.call(methods.PLAIN_CONTAINERS, request, timeout_s=ASK_TIMEOUT_S)
        except ClusterError as error:  # the manager takes it back by itself after a while
            log.info("a place in a network is not given back yet", reason=str(error))

    def made(self, attachment_id: TaskId) -> None:
        """Take note that the engine has a container in a place, which may go before it is seen."""
        self._made.add(attachment_id)

    async def run(self) -> None:
        """Tell the managers what there is, until cancelled."""
        told: tuple[PlainEndpoint, ...] | None = None
        is_due = True
        while True:
            try:
                made = frozenset(self._made)  # before the engine is asked
                endpoints = await self._engine.plain_endpoints()
                gone = made - {endpoint.id for endpoint in endpoints}
                if is_due or gone or endpoints != told:
                    request = PlainContainersRequest(
                        endpoints=endpoints, released=tuple(sorted(gone))
                    )
                    answer = await self._session.call(
                        methods.PLAIN_CONTAINERS, request, timeout_s=ASK_TIMEOUT_S
                    )
                    told, is_due = endpoints, bool(endpoints) or answer.unseen > 0
                self._made -= made
            except ClusterError:
                is_due = True
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            try:
                async with asyncio.timeout(TELL_AGAIN_EVERY_S if is_due else None):
                    await self._engine.until_plain_change()
                is_due = False
            except TimeoutError:
                pass

    async def _ready(self, given: AttachResponse) -> PlainPlace:
        if not self._networks.is_there():
            raise FailedPrecondition(
                "this node cannot join containers to the cluster's networks: stack-netd does not "
                "run here; start it, then the Docker Engine, then stackd"
            )
        try:
            async with asyncio.timeout(READY_PATIENCE_S):
                network = await self._networks.until_present(given.network_id)
        except TimeoutError:
            raise Unavailable(
                f"network {given.network_id} is not ready on this node after "
                f"{READY_PATIENCE_S:.0f} s; try again"
            ) from None
        return PlainPlace(
            attachment_id=given.attachment_id,
            network_name=await self._engine.make_network(network),
            gateway=network.gateway,
            address=given.address,
        )
