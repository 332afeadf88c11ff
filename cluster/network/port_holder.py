"""Published ports, held by sockets that are bound and do nothing.

The mesh works without them. They keep a program of the host from listening where nothing would
ever reach it, and show that one does already before its port is taken away.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from cluster.network.ingress_rules import PortRule

_EVERYWHERE = ""
_FREEBIND = 15  # IP_FREEBIND of linux/in.h

Place = tuple[str, str, int]


class PortHolder:
    """The sockets by protocol, address and port; they belong to the process's own namespace."""

    def __init__(self) -> None:
        self._held: dict[Place, socket.socket] = {}

    def hold(self, ports: Mapping[str, PortRule]) -> dict[str, str]:
        """Hold exactly these ports; for those that cannot be had, why."""
        wanted = {
            (p.protocol, address, p.published_port): key
            for key, p in ports.items()
            for address in p.host_ips or (_EVERYWHERE,)
        }
        for place in self._held.keys() - wanted.keys():
            self._held.pop(place).close()
        problems = {}
        for place, key in sorted(wanted.items()):
            if place in self._held:
                continue
            try:
                self._held[place] = _bind(*place)
            except OSError as error:
                at = f"{place[1]}:" if place[1] else ""
                problems[key] = (
                    f"port {at}{place[2]}/{place[0]} cannot be published on this node:"
                    f" {error.strerror}; stop what listens there, or publish another port"
                )
        return problems

    def close(self) -> None:
        """Let go of all ports."""
        for held in self._held.values():
            held.close()
        self._held.clear()


def _bind(protocol: str, address: str, port: int) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    held = socket.socket(socket.AF_INET, kind)
    try:
        # An address that the node does not have (yet) is no problem.
        held.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        held.bind((address, port))
    except OSError:
        held.close()
        raise
    return held
