"""What the kernel must hold for one network on this node: addresses, routes, tunnel entries.

A plan is a value: `difference` of two plans is what to do, and of equal plans it is empty. Links
to local containers are not in it; they come and go with the engine's calls.
"""

from __future__ import annotations

import msgspec

from cluster.model.network_view import IngressView, NetworkView, NodeView
from cluster.network.names import (
    TUNNEL,
    UPLINK_HOST_ADDRESS,
    UPLINK_INSIDE,
    tunnel_address,
    tunnel_mac,
)

RETURN_TABLE_BASE = 1000
"""Routing table 1000+n leads back to node n, where a connection entered; below are the kernel's."""

MAIN_TABLE = 254


class Address(msgspec.Struct, frozen=True, order=True):
    """An address of the router itself, as /32."""

    device: str
    address: str


class Neighbour(msgspec.Struct, frozen=True, order=True):
    """A node's tunnel end: its address and hardware address."""

    address: str
    mac: str


class TunnelEntry(msgspec.Struct, frozen=True, order=True):
    """Frames for `mac` go to the node at `node_address`."""

    mac: str
    node_address: str


class Route(msgspec.Struct, frozen=True, order=True):
    """A route; without a gateway it says that there is no way."""

    destination: str
    gateway: str = ""
    device: str = ""
    table: int = MAIN_TABLE


class ReturnRule(msgspec.Struct, frozen=True, order=True):
    """Packets with this mark use this table."""

    mark: int
    table: int


class OverlayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one network that netlink sets."""

    addresses: frozenset[Address] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    tunnel: frozenset[TunnelEntry] = frozenset()
    routes: frozenset[Route] = frozenset()
    rules: frozenset[ReturnRule] = frozenset()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What to remove, and then to add, to get from one plan to another."""

    remove: OverlayPlan
    add: OverlayPlan

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.remove == self.add == OverlayPlan()


def plan_overlay(network: NetworkView, view: NodeView) -> OverlayPlan:
    """Return what a network needs on the view's own node."""
    peers = {node.index: node.address for node in view.nodes if node.index != view.own_index}
    addresses = {Address("lo", network.gateway), Address(TUNNEL, tunnel_address(view.own_index))}
    addresses |= {Address("lo", service.vip) for service in network.services if service.vip}
    routes = {Route(network.subnet)}
    routes |= {
        Route(f"{task.address}/32", tunnel_address(task.node_index), TUNNEL)
        for task in network.tasks
        if task.node_index in peers
    }
    return OverlayPlan(
        addresses=frozenset(addresses),
        neighbours=frozenset(Neighbour(tunnel_address(i), tunnel_mac(i)) for i in peers),
        tunnel=frozenset(TunnelEntry(tunnel_mac(i), address) for i, address in peers.items()),
        routes=frozenset(routes),
    )


def plan_ingress(ingress: IngressView, view: NodeView) -> OverlayPlan:
    """Return what the ingress network needs: also ways to other nodes, and out of this one."""
    plan = plan_overlay(ingress.network, view)
    peers = {node.index for node in view.nodes if node.index != view.own_index}
    addresses = {*plan.addresses, Address("lo", ingress.own_address)}
    routes = {*plan.routes, Route("0.0.0.0/0", UPLINK_HOST_ADDRESS, UPLINK_INSIDE)}
    routes |= {
        Route(f"{address}/32", tunnel_address(index), TUNNEL)
        for index, address in ingress.node_addresses.items()
        if index in peers
    }
    routes |= {
        Route("0.0.0.0/0", tunnel_address(index), TUNNEL, RETURN_TABLE_BASE + index)
        for index in peers
    }
    return msgspec.structs.replace(
        plan,
        addresses=frozenset(addresses),
        routes=frozenset(routes),
        rules=frozenset(ReturnRule(index, RETURN_TABLE_BASE + index) for index in peers),
    )


def difference(have: OverlayPlan, want: OverlayPlan) -> Difference:
    """Return the way from one plan to another.

    What is replaced in place (another gateway for a route, another address for a tunnel end) is
    only added.
    """
    replaced_routes = {(r.destination, r.table) for r in want.routes}
    replaced_neighbours = {n.address for n in want.neighbours}
    replaced_entries = {e.mac for e in want.tunnel}
    remove = OverlayPlan(
        addresses=have.addresses - want.addresses,
        neighbours=frozenset(
            n for n in have.neighbours - want.neighbours if n.address not in replaced_neighbours
        ),
        tunnel=frozenset(e for e in have.tunnel - want.tunnel if e.mac not in replaced_entries),
        routes=frozenset(
            r for r in have.routes - want.routes if (r.destination, r.table) not in replaced_routes
        ),
        rules=have.rules - want.rules,
    )
    add = OverlayPlan(
        addresses=want.addresses - have.addresses,
        neighbours=want.neighbours - have.neighbours,
        tunnel=want.tunnel - have.tunnel,
        routes=want.routes - have.routes,
        rules=want.rules - have.rules,
    )
    return Difference(remove=remove, add=add)
