"""What one node must know of the cluster's networks, so that its own tasks can use them.

A manager computes a node's view and sends it with the node's tasks; the node's agent hands it to
the node's network process (``PUT /view`` on that process's socket), which makes the kernel look
like it.  A view is complete and says what should be, not what to do: applying the same view twice
changes nothing, and a view replaces the one before.  It holds only networks that a task of the
node is in, and of these every endpoint in the cluster.

On the wire a view is JSON with the member names below; a member at its default may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from cluster.model.endpoint import Protocol
from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.spec_struct import ObjectStruct

DEFAULT_DATA_PORT: Final = 4789
"""UDP port of the traffic between nodes, unless the cluster was made with another one."""

DRIVER_NAME: Final = "stackyard"
"""The network driver that a node's network process offers to the node's engine."""

NETWORK_OPTION: Final = "stackyard.network"
"""Option of an engine's network: the ID of the cluster's network that it stands for."""

ADDRESS_OPTION: Final = "stackyard.address"
"""Option of an endpoint: the task's address in the network, with the length of the prefix."""

ATTACHMENT_OPTION: Final = "stackyard.attachment"
"""Option of a plain container's endpoint: the ID of its place."""

GATEWAY_OPTION: Final = "stackyard.gateway"
"""Option of an endpoint: ``1`` if the container's default route leads through this network."""

EndpointState = Literal["starting", "serving", "draining"]
"""`starting`: has an address, answers to no name yet; `serving`: running and healthy; `draining`:
to end soon, gets no new connection and keeps those it has."""


class PeerNode(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A node of the cluster, the own one included.

    `index` is a small number that is the node's alone as long as it is a member (from 1, below
    65536); `address` is the IP address on which other nodes reach it.
    """

    index: int
    address: str
    node_id: NodeId


class TaskEndpoint(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A container in a network: a task of a service, or a plain one, which has no `service_id`.

    `address` has no prefix length.  `name` is the container's name (``web.1.<task id>``);
    `aliases` are further names of this container alone.  With `has_resolvers` the container has
    resolvers of its own for names of the outside.
    """

    task_id: TaskId
    name: str
    address: str
    node_index: int
    service_id: ServiceId = ServiceId("")
    aliases: tuple[str, ...] = ()
    state: EndpointState = "starting"
    has_resolvers: bool = False


class ServiceEndpoint(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A service in a network.

    `name` and `aliases` resolve to `vip`, or, where that is empty (endpoint mode dnsrr), to the
    addresses of the service's serving tasks in turn; ``tasks.<name>`` always to these.
    """

    service_id: ServiceId
    name: str
    aliases: tuple[str, ...] = ()
    vip: str = ""


class NetworkView(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A network and everything in it.

    `subnet` is in CIDR form; `gateway` is an address in it and the same on every node; `mtu` 0
    means what the way between the nodes allows.  Services are sorted by ID, tasks too.
    """

    id: NetworkId
    name: str
    vni: int
    subnet: str
    gateway: str
    mtu: int = 0
    is_internal: bool = False
    services: tuple[ServiceEndpoint, ...] = ()
    tasks: tuple[TaskEndpoint, ...] = ()


class PublishedPort(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A port on which every node answers for a service (publish mode ingress).

    `host_ips` limits it to these addresses, on nodes that have them; `keeps_source` is false where
    the server is to see the entry node instead of the client.
    """

    protocol: Protocol
    published_port: int
    target_port: int
    service_id: ServiceId
    host_ips: tuple[str, ...] = ()
    keeps_source: bool = True


class IngressView(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The network through which published ports are reached; every node has an address in it.

    `node_addresses` are by node index, the own node included; ports are sorted by protocol and
    published port.
    """

    network: NetworkView
    own_address: str
    node_addresses: Mapping[int, str] = {}
    ports: tuple[PublishedPort, ...] = ()


class NodeView(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Everything one node must know; nodes are sorted by index, networks by ID.

    `revision` grows with every change of a node's view and is what an applied view is
    acknowledged with; it says nothing across nodes.
    """

    own_index: int
    own_address: str
    nodes: tuple[PeerNode, ...] = ()
    networks: tuple[NetworkView, ...] = ()
    ingress: IngressView | None = None
    data_port: int = DEFAULT_DATA_PORT
    revision: int = 0
