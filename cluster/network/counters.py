"""What the kernel counts of a node's networks anyhow, read when somebody asks.

Nothing here slows a packet down: links count their traffic, dropped sources are counted by the
reverse path filter, and the rules' own counters see a connection's first packet alone. They begin
at zero when a rule is loaded anew, as after a restart of this process.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from cluster.model.network_view import NetworkView
from cluster.network import namespaces
from cluster.network.balancer import Balancer
from cluster.network.leftovers import ROUTER_LINK_PREFIX
from cluster.network.names import TUNNEL
from cluster.network.netlink import Link
from cluster.network.overlay import Overlay

NETSTAT: Final = Path("/proc/thread-self/net/netstat")


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What containers of this node have sent into a network and received from it."""

    sent_bytes: int = 0
    sent_packets: int = 0
    received_bytes: int = 0
    received_packets: int = 0


class NetworkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One network; `connections` are to virtual addresses, by the service's name.

    `forged_packets` came from a container, or out of the tunnel, with a source that is not there.
    """

    id: str
    name: str
    traffic: Traffic
    tunnel: Traffic
    connections: dict[str, int]
    forged_packets: int


class NodeCounters(msgspec.Struct, frozen=True, kw_only=True):
    """A node; `ports` are connections that came in here, by "8080/tcp".

    `refused_tunnel_packets` came to the tunnels' port from no node of the cluster.
    """

    networks: tuple[NetworkCounters, ...]
    ports: dict[str, int]
    refused_tunnel_packets: int


def network_counters(
    network: NetworkView, overlay: Overlay, balancer: Balancer | None
) -> NetworkCounters:
    """Read what was counted of one network."""
    links = overlay.links()
    counted = balancer.connections() if balancer is not None else {}
    return NetworkCounters(
        id=network.id,
        name=network.name,
        traffic=traffic_of(
            link
            for name, link in links.items()
            if name.startswith(ROUTER_LINK_PREFIX) and name != TUNNEL
        ),
        tunnel=tunnel_traffic(links.get(TUNNEL)),
        connections={
            service.name: counted[service.service_id]
            for service in network.services
            if service.service_id in counted
        },
        forged_packets=forged_packets(overlay.name),
    )


def forged_packets(namespace: str) -> int:
    """Return how many packets the reverse path filter has dropped in a namespace."""
    with namespaces.inside(namespace):
        return parse_netstat(NETSTAT.read_text(), "IPReversePathFilter")


def parse_netstat(text: str, name: str) -> int:
    """Return one value of /proc/net/netstat, whose lines are pairs of names and values; 0 if none.

    Source: Documentation/networking/snmp_counter.rst of Linux.
    """
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        found = dict(zip(names.split(), values.split(), strict=False))
        if name in found:
            return int(found[name])
    return 0


def traffic_of(links: Iterable[Link]) -> Traffic:
    """Add up router ends of containers' links: what they receive, the container has sent."""
    ends = list(links)
    return Traffic(
        sent_bytes=sum(link.rx_bytes for link in ends),
        sent_packets=sum(link.rx_packets for link in ends),
        received_bytes=sum(link.tx_bytes for link in ends),
        received_packets=sum(link.tx_packets for link in ends),
    )


def tunnel_traffic(tunnel: Link | None) -> Traffic:
    """Return what went to other nodes and what came from them."""
    if tunnel is None:
        return Traffic()
    return Traffic(
        sent_bytes=tunnel.tx_bytes,
        sent_packets=tunnel.tx_packets,
        received_bytes=tunnel.rx_bytes,
        received_packets=tunnel.rx_packets,
    )
