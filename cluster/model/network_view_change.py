"""The difference between two views of a node, so that one changed task costs one endpoint.

`difference` is what a manager sends, `merge` what the node makes of it:
``merge(old, difference(old, new)) == new``.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from cluster.model.ids import NetworkId, ServiceId, TaskId
from cluster.model.network_view import IngressView, NetworkView, NodeView, PeerNode
from cluster.model.spec_struct import ObjectStruct


class NetworkChange(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A network as it is now, but of its services and tasks only new and changed ones."""

    network: NetworkView
    removed_services: tuple[ServiceId, ...] = ()
    removed_tasks: tuple[TaskId, ...] = ()


class ViewChange(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What brings a node from the last view to the next; with `is_complete` from none.

    `header` is the new view without its nodes and networks, and without nodes' addresses, services
    and tasks of published ports. Of these only new and changed ones are sent, and which are gone.
    """

    header: NodeView
    is_complete: bool = False
    nodes: tuple[PeerNode, ...] = ()
    removed_nodes: tuple[int, ...] = ()
    node_addresses: Mapping[int, str] = {}
    removed_addresses: tuple[int, ...] = ()
    networks: tuple[NetworkChange, ...] = ()
    removed_networks: tuple[NetworkId, ...] = ()
    ingress: NetworkChange | None = None


def difference(old: NodeView | None, new: NodeView) -> ViewChange:
    """Return what leads from `old` to `new`."""
    before = {network.id: network for network in old.networks} if old else {}
    nodes, removed_nodes = _nodes_difference(old.nodes if old else (), new.nodes)
    were, are = _addresses(old), _addresses(new)
    ingress = None
    if new.ingress is not None:
        was = old.ingress.network if old is not None and old.ingress is not None else None
        ingress = _network_difference(was, new.ingress.network)
    return ViewChange(
        header=replace(
            new,
            nodes=(),
            networks=(),
            ingress=new.ingress
            and replace(
                new.ingress, network=_without_members(new.ingress.network), node_addresses={}
            ),
        ),
        is_complete=old is None,
        nodes=nodes,
        removed_nodes=removed_nodes,
        node_addresses=dict(are.items() - were.items()) if are is not were else {},
        removed_addresses=tuple(were.keys() - are.keys()) if are is not were else (),
        networks=tuple(
            _network_difference(before.get(network.id), network)
            for network in new.networks
            if before.get(network.id) != network
        ),
        removed_networks=tuple(sorted(before.keys() - {network.id for network in new.networks})),
        ingress=ingress,
    )


def merge(old: NodeView | None, change: ViewChange) -> NodeView:
    """Return the view that `change` leads to."""
    if change.is_complete:
        old = None
    networks = {network.id: network for network in old.networks} if old else {}
    for part in change.networks:
        networks[part.network.id] = _merge_network(networks.get(part.network.id), part)
    for network_id in change.removed_networks:
        networks.pop(network_id, None)
    return replace(
        change.header,
        nodes=_merge_nodes(old.nodes if old else (), change),
        networks=tuple(networks[key] for key in sorted(networks)),
        ingress=_merge_ingress(old, change),
    )


def _merge_ingress(old: NodeView | None, change: ViewChange) -> IngressView | None:
    ingress = change.header.ingress
    if ingress is None or change.ingress is None:
        return None
    was = old.ingress.network if old is not None and old.ingress is not None else None
    addresses = {**_addresses(old), **change.node_addresses}
    for index in change.removed_addresses:
        addresses.pop(index, None)
    return replace(ingress, network=_merge_network(was, change.ingress), node_addresses=addresses)


def _addresses(view: NodeView | None) -> Mapping[int, str]:
    return view.ingress.node_addresses if view is not None and view.ingress is not None else {}


def _nodes_difference(
    old: tuple[PeerNode, ...], new: tuple[PeerNode, ...]
) -> tuple[tuple[PeerNode, ...], tuple[int, ...]]:
    """Return new and changed nodes, and the numbers of those that are gone."""
    if old is new or old == new:
        return (), ()
    known = {node.index: node for node in old}
    changed = tuple(node for node in new if known.get(node.index) != node)
    return changed, tuple(sorted(known.keys() - {node.index for node in new}))


def _merge_nodes(old: tuple[PeerNode, ...], change: ViewChange) -> tuple[PeerNode, ...]:
    if not change.nodes and not change.removed_nodes:
        return old
    nodes = {node.index: node for node in (*old, *change.nodes)}
    for index in change.removed_nodes:
        nodes.pop(index, None)
    return tuple(nodes[index] for index in sorted(nodes))


def _without_members(network: NetworkView) -> NetworkView:
    return replace(network, services=(), tasks=())


def _network_difference(old: NetworkView | None, new: NetworkView) -> NetworkChange:
    if old is None or old.id != new.id:
        return NetworkChange(network=new)
    services = {service.service_id: service for service in old.services}
    tasks = {task.task_id: task for task in old.tasks}
    return NetworkChange(
        network=replace(
            new,
            services=tuple(s for s in new.services if services.get(s.service_id) != s),
            tasks=tuple(t for t in new.tasks if tasks.get(t.task_id) != t),
        ),
        removed_services=tuple(sorted(services.keys() - {s.service_id for s in new.services})),
        removed_tasks=tuple(sorted(tasks.keys() - {t.task_id for t in new.tasks})),
    )


def _merge_network(old: NetworkView | None, change: NetworkChange) -> NetworkView:
    new = change.network
    if old is None or old.id != new.id:
        return new
    services = {s.service_id: s for s in (*old.services, *new.services)}
    tasks = {t.task_id: t for t in (*old.tasks, *new.tasks)}
    for service_id in change.removed_services:
        services.pop(service_id, None)
    for task_id in change.removed_tasks:
        tasks.pop(task_id, None)
    return replace(
        new,
        services=tuple(services[key] for key in sorted(services)),
        tasks=tuple(tasks[key] for key in sorted(tasks)),
    )
