"""Gives plain containers places in attachable networks, and takes them back when they are gone.

A node asks for a place before it lets its engine make the container, and afterwards tells of all
plain containers in networks that its engine knows. A place that it does not name is taken back;
one that was given just now has time to appear, as its container may not be made yet.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from cluster.allocator.addresses import AddressBook, Turns, prefixed
from cluster.ca.identity import NodeIdentity
from cluster.errors import NotFound, PermissionDenied
from cluster.model.attachment import Attachment
from cluster.model.ids import NewId, NodeId, TaskId
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.units import SECOND_NS
from cluster.rpc import methods
from cluster.rpc.messages import (
    AttachRequest,
    AttachResponse,
    PlainContainersRequest,
    PlainContainersResponse,
)
from cluster.rpc.server import RpcServer
from cluster.store.interface import ClusterStore
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

TIME_TO_APPEAR_NS: Final = 60 * SECOND_NS
"""So long a place is kept for a container that nobody has seen."""


class Attachments:
    """The handlers; they write to the store, which refuses where this manager does not lead."""

    def __init__(self, store: ClusterStore, new_id: NewId) -> None:
        """Work on `store`."""
        self._store = store
        self._new_id = new_id
        self._turns = Turns()

    def serve_on(self, server: RpcServer) -> None:
        """Add the handlers to a server that is not started yet."""
        server.handle(methods.ATTACH, self.attach)
        server.handle(methods.PLAIN_CONTAINERS, self.take_report)

    async def attach(self, caller: NodeIdentity, request: AttachRequest) -> AttachResponse:
        """Give a place on the caller's node.

        Raises:
            NotFound: there is no such network.
            PermissionDenied: plain containers may not join it.
            FailedPrecondition: it has no free address, or not the one that was asked for.
            NotLeader: ask the leader.
        """
        attachment_id = TaskId(self._new_id())
        return await self._store.update(
            lambda tx: attach(tx, caller.node_id, request, attachment_id, self._turns)
        )

    async def take_report(
        self, caller: NodeIdentity, request: PlainContainersRequest
    ) -> PlainContainersResponse:
        """Take what the caller's engine knows of plain containers in networks.

        Raises:
            NotLeader: tell the leader.
        """
        unseen = await self._store.update(lambda tx: settle(tx, caller.node_id, request))
        return PlainContainersResponse(unseen=unseen)


def attach(
    tx: Transaction,
    node_id: NodeId,
    request: AttachRequest,
    attachment_id: TaskId,
    turns: Turns,
) -> AttachResponse:
    """Give a place; errors as of `Attachments.attach`."""
    network = _network(tx.state, request.network)
    name = network.spec.name
    if not network.spec.attachable or network.spec.ingress:
        raise PermissionDenied(
            f"Could not attach to network {name}: rpc error: code = PermissionDenied desc = "
            f"network {name} not manually attachable"
        )
    if network.allocation is None:
        raise NotFound(f"network {name} has no subnet yet")
    book = AddressBook(tx.state, turns)
    whose = "a plain container"
    address = (
        book.claim(network, request.address, whose)
        if request.address
        else book.take(network, whose)
    )
    attachment = Attachment(
        id=attachment_id,
        meta=Meta(),
        node_id=node_id,
        network_id=network.id,
        address=prefixed(network, address),
    )
    tx.create(attachment)
    return AttachResponse(
        attachment_id=attachment.id, network_id=network.id, address=attachment.address
    )


def settle(tx: Transaction, node_id: NodeId, request: PlainContainersRequest) -> int:
    """Bring the node's places to what it says; return how many have time to appear yet."""
    named = {endpoint.id: endpoint for endpoint in request.endpoints}
    unseen = 0
    for attachment in tx.state.attachments.find("node", node_id):
        endpoint = named.get(attachment.id)
        is_new = attachment.endpoint is None and attachment.id not in request.released
        if endpoint is not None:
            tx.update(replace(attachment, endpoint=endpoint))
        elif is_new and tx.now - attachment.meta.created_at < TIME_TO_APPEAR_NS:
            unseen += 1
        else:
            tx.delete(attachment)
    return unseen


def _network(state: ClusterState, text: str) -> Network:
    found = state.networks.get(text) or state.network_by_name(text)
    if found is None:
        raise NotFound(f"network {text} not found")
    return found
