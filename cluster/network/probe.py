"""Tries the ways to other nodes: packets of two sizes through a tunnel that exists for that alone.

Every node that is asked makes a network of its own number, sends through it to all others and
sends back what it gets. So what is tried is what tasks use: the port, the rules that let only
nodes in, and the size of packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, cast

from cluster.model.diagnosis import DiagnosisOrder, PeerReach
from cluster.network import namespaces
from cluster.network.names import TUNNEL, tunnel_address, tunnel_mac
from cluster.network.netlink import Netlink
from cluster.network.overlay import Overlay, TunnelSettings
from cluster.network.overlay_plan import Address, Neighbour, OverlayPlan, Route, TunnelEntry

PROBE_NETWORK: Final = "doctor00"
PROBE_VNI: Final = 0xFFFFFE
PORT: Final = 7
"""Of the echo protocol (RFC 862)."""

LASTS_S: Final = 5.0
SEND_EVERY_S: Final = 0.25
HEADERS_BYTES: Final = 28
"""IPv4 and UDP."""

MTU_DISCOVER: Final = 10
NEVER_IN_PIECES: Final = 2
ASKED, ANSWERED = b"?", b"!"


def probe_address(index: int) -> str:
    """Return the address of a node in the network of probes, beside those of its tunnels."""
    return f"198.19.{index >> 8}.{index & 255}"


def probe_plan(order: DiagnosisOrder) -> OverlayPlan:
    """Return what the network of probes needs on the order's node."""
    peers = [peer for peer in order.peers if peer.index != order.own_index]
    return OverlayPlan(
        addresses=frozenset(
            {
                Address("lo", probe_address(order.own_index)),
                Address(TUNNEL, tunnel_address(order.own_index)),
            }
        ),
        neighbours=frozenset(
            Neighbour(tunnel_address(p.index), tunnel_mac(p.index)) for p in peers
        ),
        tunnel=frozenset(TunnelEntry(tunnel_mac(p.index), p.address) for p in peers),
        routes=frozenset(
            Route(f"{probe_address(p.index)}/32", tunnel_address(p.index), TUNNEL) for p in peers
        ),
    )


class ProbeNetwork:
    """The namespace of probes, with its socket; made and removed in the network thread."""

    def __init__(self, host: Netlink, order: DiagnosisOrder, mtu: int) -> None:
        """Make it.

        Raises:
            OSError: the kernel refuses.
        """
        self.mtu = mtu
        self._overlay = Overlay(host, PROBE_NETWORK)
        try:
            tunnel = TunnelSettings(
                vni=PROBE_VNI,
                own_index=order.own_index,
                own_address=order.own_address,
                port=order.data_port,
                mtu=mtu,
            )
            self._overlay.apply(probe_plan(order), tunnel, strict=False)
            with namespaces.inside(self._overlay.name):
                self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setblocking(False)  # noqa: FBT003 - the socket's own signature
            self.socket.setsockopt(socket.IPPROTO_IP, MTU_DISCOVER, NEVER_IN_PIECES)
            self.socket.bind((probe_address(order.own_index), PORT))
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Take it away."""
        self._overlay.remove()


async def try_peers(network: ProbeNetwork, order: DiagnosisOrder) -> tuple[PeerReach, ...]:
    """Send to all peers and answer them for a while; return who was reached with what."""
    loop = asyncio.get_running_loop()
    small: set[str] = set()
    large: set[str] = set()
    size = network.mtu - HEADERS_BYTES
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Echo(size, small, large), sock=network.socket
    )
    peers = {p.index: probe_address(p.index) for p in order.peers if p.index != order.own_index}
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LASTS_S):
                while True:
                    for address in peers.values():
                        transport.sendto(ASKED, (address, PORT))
                        transport.sendto(ASKED.ljust(size, b"."), (address, PORT))
                    await asyncio.sleep(SEND_EVERY_S)
    finally:
        transport.close()
    return tuple(
        PeerReach(index=index, has_small=address in small, has_large=address in large)
        for index, address in sorted(peers.items())
    )


class _Echo(asyncio.DatagramProtocol):
    def __init__(self, size: int, small: set[str], large: set[str]) -> None:
        self._size = size
        self._small = small
        self._large = large

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:1] == ASKED:
            self._transport.sendto(ANSWERED + data[1:], addr)
        elif data[:1] == ANSWERED:
            (self._large if len(data) == self._size else self._small).add(addr[0])

    def error_received(self, exc: Exception) -> None:
        """A packet that is too large, or a peer without this network: it counts as not reached."""
