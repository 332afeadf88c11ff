"""What stays of networks for a while, and what should not be there at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.model.network_view import NodeView
from cluster.network import namespaces
from cluster.network.conntrack import Conntrack
from cluster.network.ingress import is_to_uplink
from cluster.network.names import NAMESPACE_PREFIX, TUNNEL, namespace_name, router_link
from cluster.network.overlay import Overlay
from cluster.network.probe import PROBE_NETWORK
from cluster.network.stored_state import EngineEndpoint

ROUTER_LINK_PREFIX: Final = "v"


def unwanted(
    overlays: Mapping[str, Overlay], endpoints: Mapping[str, EngineEndpoint], *, is_probing: bool
) -> tuple[list[tuple[Overlay, str]], list[str]]:
    """Return links, with where they are, and namespaces that nobody wants.

    Args:
        overlays: all networks of the node, by ID.
        endpoints: all places of containers, by the engine's ID.
        is_probing: whether the network of probes is wanted now.
    """
    known: dict[str, set[str]] = {i: set() for i in overlays}
    for endpoint_id, endpoint in endpoints.items():
        known.setdefault(endpoint.network_id, set()).add(router_link(endpoint_id))
    links = [
        (overlay, name)
        for network_id, overlay in overlays.items()
        for name in overlay.links()
        if name.startswith(ROUTER_LINK_PREFIX) and name != TUNNEL and name not in known[network_id]
    ]
    wanted = {namespace_name(network_id) for network_id in known}
    if is_probing:
        wanted.add(namespace_name(PROBE_NETWORK))
    return links, sorted(namespaces.names(NAMESPACE_PREFIX) - wanted)


def leftovers(
    overlays: Mapping[str, Overlay],
    endpoints: Mapping[str, EngineEndpoint],
    *,
    is_probing: bool,
    has_uplink: bool,
) -> tuple[str, ...]:
    """Return what nobody wants, in words.

    Args:
        overlays: all networks of the node, by ID.
        endpoints: all places of containers, by the engine's ID.
        is_probing: whether the network of probes is wanted now.
        has_uplink: whether connections to published ports are wanted.
    """
    links, spaces = unwanted(overlays, endpoints, is_probing=is_probing)
    count = 0 if has_uplink else _uplink_connections()
    return (
        *(f"link {name} in {overlay.name}" for overlay, name in links),
        *(f"namespace {name}" for name in spaces),
        *([f"{count} connections to ports that are published no more"] if count else []),
    )


def _uplink_connections() -> int:
    conntrack = Conntrack()
    try:
        return sum(map(is_to_uplink, conntrack.connections())) if conntrack.count() else 0
    finally:
        conntrack.close()


def with_used_networks(
    new: NodeView, old: NodeView, used: set[str]
) -> tuple[NodeView, tuple[str, ...]]:
    """Keep networks that still have containers, without anybody else in them; their IDs too."""
    present = {network.id for network in new.networks}
    kept = [
        msgspec.structs.replace(network, services=(), tasks=())
        for network in old.networks
        if network.id in used and network.id not in present
    ]
    retained = [network.id for network in kept]
    if new.ingress is None and old.ingress is not None and old.ingress.network.id in used:
        network = msgspec.structs.replace(old.ingress.network, services=(), tasks=())
        ingress = msgspec.structs.replace(old.ingress, network=network, ports=())
        new = msgspec.structs.replace(new, ingress=ingress)
        retained.append(network.id)
    networks = sorted((*new.networks, *kept), key=lambda network: network.id)
    return msgspec.structs.replace(new, networks=tuple(networks)), tuple(retained)
