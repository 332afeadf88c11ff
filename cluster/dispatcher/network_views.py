"""Computes what each node must know of the cluster's networks, and who is concerned by a change.

Parts of views are kept until a change concerns them: what a network is like is worked out once for
all nodes in it, and what a task is like in it once for all changes of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from cluster.model.attachment import Attachment
from cluster.model.cluster import Cluster
from cluster.model.endpoint import PortConfig
from cluster.model.extensions import port_settings_of
from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network import MTU_OPTION, Network
from cluster.model.network_view import (
    DEFAULT_DATA_PORT,
    EndpointState,
    IngressView,
    NetworkView,
    NodeView,
    PeerNode,
    PublishedPort,
    ServiceEndpoint,
    TaskEndpoint,
)
from cluster.model.node import Node
from cluster.model.service import Service
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change, Deleted
from cluster.store.state import ClusterState

"""The network option by which Docker's own drivers are told the MTU."""

ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 - what a service may say


class Concern(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Whose view a change may have altered: these nodes, or all.

    With `is_peers` every node should hear in time of nodes that came, went or moved; those that
    must know it at once are among `nodes`.
    """

    nodes: frozenset[NodeId] = frozenset()
    is_all: bool = False
    is_peers: bool = False


class NetworkViews:
    """The parts of all nodes' views, at the state that was looked at last."""

    def __init__(self, state: ClusterState) -> None:
        """Begin with a state; `look_at` must be told of every change after it."""
        self._state = state
        self._networks: dict[NetworkId, NetworkView] = {}
        self._endpoints: dict[NetworkId, dict[TaskId, TaskEndpoint]] = {}
        self._places = {node.id: _place_of(node) for node in state.nodes}
        self._peers: tuple[PeerNode, ...] | None = None
        self._node_addresses: Mapping[int, str] | None = None
        self._ports: tuple[PublishedPort, ...] | None = None

    def look_at(self, changes: Iterable[Change], state: ClusterState) -> Concern:
        """Forget what the changes altered, and tell whom they concern.

        Args:
            changes: in their order.
            state: the one after them.
        """
        self._state = state
        networks: set[NetworkId] = set()
        nodes: set[NodeId] = set()
        is_all = is_peers = False
        for change in changes:
            match change.item:
                case Task() as task:
                    altered = set(self._altered_by(task, change))
                    networks |= altered
                    if altered:
                        nodes.add(task.node_id)
                case Attachment() as attachment:
                    networks.add(attachment.network_id)
                    nodes.add(attachment.node_id)
                case Service() as service:
                    networks |= _networks_of(service)
                    self._ports = None
                case Network() as network:
                    networks.add(network.id)
                case Node() as node:
                    networks |= _networks_on(state, node)
                    moved = self._moved(node, change)
                    nodes |= moved
                    is_peers = is_peers or bool(moved)
                case Cluster():
                    is_all = True
                case _:
                    pass
        for network_id in networks:
            self._networks.pop(network_id, None)
            network_now = state.network(network_id)
            if network_now is None:
                self._endpoints.pop(network_id, None)
            elif network_now.spec.ingress:
                is_all = True
            nodes.update(task.node_id for task in state.tasks.find("network", network_id))
            nodes.update(a.node_id for a in state.attachments.find("network", network_id))
        return Concern(nodes=frozenset(nodes), is_all=is_all, is_peers=is_peers)

    @property
    def revision(self) -> int:
        """The revision of the state that the views are of."""
        return self._state.revision

    def view_of(self, node_id: NodeId) -> NodeView | None:
        """Return the node's view without a revision; None as long as the node has no number."""
        state = self._state
        node = state.node(node_id)
        if node is None or not node.network_index:
            return None
        joined = {
            attachment.network_id
            for task in state.tasks_of_node(node_id)
            if not task.status.state.is_terminal
            for attachment in task.networks
        }
        joined.update(a.network_id for a in state.attachments.find("node", node_id))
        networks = []
        for network_id in sorted(joined):
            network = state.network(network_id)
            if network is not None and network.allocation is not None and not network.spec.ingress:
                networks.append(self._network(state, network))
        cluster = state.cluster
        return NodeView(
            own_index=node.network_index,
            own_address=node.status.addr,
            nodes=self._all_peers(state),
            networks=tuple(networks),
            ingress=self._ingress(state, node),
            data_port=cluster.data_port if cluster is not None else DEFAULT_DATA_PORT,
        )

    def _moved(self, node: Node, change: Change) -> set[NodeId]:
        """Note where a node is now; return who must know at once if it was elsewhere."""
        before = self._places.pop(node.id, None)
        if not isinstance(change, Deleted):
            self._places[node.id] = _place_of(node)
        if before == self._places.get(node.id):
            return set()
        self._peers = self._node_addresses = None
        return {node.id, *_nodes_with_published_tasks(self._state)}

    def _altered_by(self, task: Task, change: Change) -> Iterator[NetworkId]:
        """Return the networks in which the task is another than before."""
        for attachment in task.networks:
            known = self._endpoints.get(attachment.network_id, {}).get(task.id)
            now = None
            if not isinstance(change, Deleted):
                now = _endpoint(task, attachment.address, known.node_index if known else 0)
            if now != known:
                yield attachment.network_id

    def _network(self, state: ClusterState, network: Network) -> NetworkView:
        view = self._networks.get(network.id)
        if view is None:
            view = self._networks[network.id] = self._built(state, network)
        return view

    def _built(self, state: ClusterState, network: Network) -> NetworkView:
        assert network.allocation is not None
        before = self._endpoints.get(network.id, {})
        endpoints: dict[TaskId, TaskEndpoint] = {}
        for task in state.tasks.find("network", network.id):
            node = state.node(task.node_id)
            if node is None or not node.network_index or node.status.state == "down":
                continue
            for attachment in task.networks:
                if attachment.network_id == network.id:
                    endpoint = _endpoint(task, attachment.address, node.network_index)
                    if endpoint is not None:
                        known = before.get(task.id)
                        endpoints[task.id] = known if known == endpoint else endpoint
        if len({endpoint.address for endpoint in endpoints.values()}) < len(endpoints):
            endpoints = _with_owners_only(endpoints)
        self._endpoints[network.id] = endpoints
        plain = _plain_endpoints(state, network.id)
        return NetworkView(
            id=network.id,
            name=network.spec.name,
            vni=network.allocation.vni,
            subnet=network.allocation.subnet,
            gateway=network.allocation.gateway,
            mtu=_mtu(network),
            is_internal=network.spec.internal,
            services=tuple(_services(state, network.id)),
            tasks=tuple(sorted((*endpoints.values(), *plain), key=lambda t: t.task_id)),
        )

    def _all_peers(self, state: ClusterState) -> tuple[PeerNode, ...]:
        if self._peers is None:
            peers = (
                PeerNode(index=node.network_index, address=node.status.addr, node_id=node.id)
                for node in state.nodes
                if node.network_index and node.status.addr
            )
            self._peers = tuple(sorted(peers, key=lambda peer: peer.index))
        return self._peers

    def _ingress(self, state: ClusterState, node: Node) -> IngressView | None:
        network = _ingress_network(state)
        if network is None or network.allocation is None or not node.ingress_address:
            return None
        if self._ports is None:
            self._ports = tuple(_published(state))
        if not self._ports and not state.tasks.count("network", network.id):
            return None
        return IngressView(
            network=self._network(state, network),
            own_address=node.ingress_address,
            node_addresses=self._all_node_addresses(state),
            ports=self._ports,
        )

    def _all_node_addresses(self, state: ClusterState) -> Mapping[int, str]:
        if self._node_addresses is None:
            self._node_addresses = {
                node.network_index: node.ingress_address
                for node in state.nodes
                if node.network_index and node.ingress_address
            }
        return self._node_addresses


def _nodes_with_published_tasks(state: ClusterState) -> Iterator[NodeId]:
    """Yield the nodes that answer what any other node is asked for."""
    network = _ingress_network(state)
    if network is not None:
        yield from (task.node_id for task in state.tasks.find("network", network.id))


def _ingress_network(state: ClusterState) -> Network | None:
    return next((n for n in state.networks if n.spec.ingress), None)


def _place_of(node: Node) -> tuple[int, str, str]:
    """Return what other nodes know of a node."""
    return node.network_index, node.status.addr, node.ingress_address


def _endpoint(task: Task, address: str, node_index: int) -> TaskEndpoint | None:
    """Return the task in a network, None if it is not there: not placed yet, or ended."""
    state = task.status.state
    if not task.node_id or state < TaskState.ASSIGNED or state.is_terminal:
        return None
    shown: EndpointState = "starting"
    if state is TaskState.RUNNING:
        shown = "serving" if task.is_serving else "draining"
    return TaskEndpoint(
        task_id=task.id,
        name=task.container_name,
        address=address.partition("/")[0],
        node_index=node_index,
        service_id=task.service_id,
        state=shown,
        has_resolvers=_has_resolvers(task),
    )


def _with_owners_only(endpoints: dict[TaskId, TaskEndpoint]) -> dict[TaskId, TaskEndpoint]:
    """Leave out tasks that have an address which is another one's: not yet, or not any more.

    An address that a service names goes from one task to the next. That is being prepared while
    the other one serves and drains, and serves already when a node comes back that was away.
    """
    ranked = sorted(endpoints.values(), key=lambda e: _OWNERS.index(e.state))
    owners = {endpoint.address: endpoint.task_id for endpoint in ranked}
    return {i: endpoint for i, endpoint in endpoints.items() if owners[endpoint.address] == i}


_OWNERS: Final = ("starting", "draining", "serving")


def _has_resolvers(task: Task) -> bool:
    container = task.spec.container_spec
    return bool(container and container.dns_config and container.dns_config.nameservers)


def _plain_endpoints(state: ClusterState, network_id: NetworkId) -> Iterator[TaskEndpoint]:
    """Return the plain containers in a network; all places of one container have one ID."""
    for attachment in state.attachments.find("network", network_id):
        node, said = state.node(attachment.node_id), attachment.endpoint
        if node is None or not node.network_index or node.status.state == "down":
            continue
        yield TaskEndpoint(
            task_id=TaskId(said.container_id) if said else attachment.id,
            name=said.name if said else attachment.id,
            address=attachment.address.partition("/")[0],
            node_index=node.network_index,
            aliases=said.aliases if said else (),
            state="serving" if said and said.is_running else "starting",
            has_resolvers=bool(said and said.has_resolvers),
        )


def _networks_of(service: Service) -> set[NetworkId]:
    named = {NetworkId(n.target) for n in service.spec.task_template.networks}
    return named | {ip.network_id for ip in service.endpoint.virtual_ips}


def _networks_on(state: ClusterState, node: Node) -> set[NetworkId]:
    return {
        attachment.network_id
        for task in state.tasks_of_node(node.id)
        for attachment in task.networks
    } | {attachment.network_id for attachment in state.attachments.find("node", node.id)}


def _services(state: ClusterState, network_id: NetworkId) -> Iterator[ServiceEndpoint]:
    ids = {
        *state.services.ids("network", network_id),
        *state.services.ids("address", network_id),
    }
    for service_id in sorted(ids):
        service = state.service(ServiceId(service_id))
        assert service is not None
        yield ServiceEndpoint(
            service_id=service.id,
            name=service.spec.name,
            aliases=next(
                (
                    attachment.aliases
                    for attachment in service.spec.task_template.networks
                    if attachment.target == network_id
                ),
                (),
            ),
            vip=next(
                (ip.address for ip in service.endpoint.virtual_ips if ip.network_id == network_id),
                "",
            ),
        )


def _published(state: ClusterState) -> list[PublishedPort]:
    ports = [port for service in state.services for port in _published_of(service)]
    return sorted(ports, key=lambda p: (p.protocol, p.published_port))


def _published_of(service: Service) -> Iterator[PublishedPort]:
    """Yield the ports a service was given and still wants.

    After a rollback to a port that is another service's by now, it still has that of before, which
    is published no more: nothing in the spec tells on which addresses that may be.
    """
    settings = port_settings_of(service.spec.labels)
    for port in service.endpoint.ports:
        wanted = _wanted(service, port)
        if wanted is None or port.publish_mode == "host":
            continue
        said = next((one for one in settings if one.is_of(wanted)), None)
        addresses = said.host_ips if said is not None else ()
        yield PublishedPort(
            protocol=port.protocol or "tcp",
            published_port=port.published_port,
            target_port=port.target_port,
            service_id=service.id,
            host_ips=() if ALL_ADDRESSES in addresses else addresses,
            keeps_source=said is None or not said.hide_client,
        )


def _wanted(service: Service, given: PortConfig) -> PortConfig | None:
    """Return the port of the spec for which a port was given."""
    spec = service.spec.endpoint_spec
    alike = [
        port
        for port in (spec.ports if spec is not None else ())
        if replace(port, published_port=given.published_port) == given
    ]
    numbers = (given.published_port, 0)
    return next((p for number in numbers for p in alike if p.published_port == number), None)


def _mtu(network: Network) -> int:
    text = (network.spec.options or {}).get(MTU_OPTION, "")
    return int(text) if text.isdecimal() else 0
