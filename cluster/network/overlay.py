"""One network's namespace on this node: made, kept as planned, read again when in doubt.

Nothing is deleted and made anew that can stay: packets flow while a plan is applied. Of what an
earlier process made everything is used again.
"""

from __future__ import annotations

from typing import Any

from cluster.errors import Unavailable
from cluster.model.network_view import NetworkView, NodeView
from cluster.network import namespaces
from cluster.network.names import (
    ROUTER_MAC,
    TUNNEL,
    container_link,
    namespace_name,
    router_link,
    task_mac,
    tunnel_mac,
)
from cluster.network.netlink import Link, Netlink
from cluster.network.overlay_plan import OverlayPlan, difference

ROUTER_SYSCTLS = {
    ("net", "ipv4", "ip_forward"): 1,
    ("net", "ipv4", "conf", "all", "rp_filter"): 0,
    ("net", "ipv4", "conf", "default", "rp_filter"): 0,
    ("net", "ipv4", "conf", "all", "send_redirects"): 0,
    ("net", "ipv4", "conf", "default", "send_redirects"): 0,
    ("net", "ipv6", "conf", "default", "disable_ipv6"): 1,
}


class TunnelSettings:
    """How a network's tunnel is made; a change of any of them means another device."""

    def __init__(self, *, vni: int, own_index: int, own_address: str, port: int, mtu: int) -> None:
        self.mtu = mtu
        self.vni = vni
        self.own_address = own_address
        self.port = port
        self.mac = tunnel_mac(own_index)

    def fits(self, found: dict[str, Any]) -> bool:
        """Say whether a device that was found has these settings, its MTU aside."""
        wanted = {
            "vni": self.vni,
            "local": self.own_address,
            "port": self.port,
            "mac": self.mac,
        }
        return all(found.get(key) == value for key, value in wanted.items())


def tunnel_settings(network: NetworkView, view: NodeView, mtu: int) -> TunnelSettings:
    """Return how a network's tunnel shall be; `mtu` is what fits between the nodes."""
    return TunnelSettings(
        vni=network.vni,
        own_index=view.own_index,
        own_address=view.own_address,
        port=view.data_port,
        mtu=network.mtu or mtu,
    )


class Overlay:
    """The namespace of one network; all of it belongs to the network thread."""

    def __init__(self, host: Netlink, network_id: str) -> None:
        """Take hold of the namespace, which is made if it is not there."""
        self.name = namespace_name(network_id)
        self._host = host
        if not namespaces.exists(self.name):
            if self.name in namespaces.names(self.name):
                namespaces.remove(self.name)  # a file without a namespace, as after a reboot
            namespaces.create(self.name)
        self.netlink = Netlink(self.name)
        self._applied: OverlayPlan | None = None
        self._tunnel: TunnelSettings | None = None
        self.mtu = 0
        namespaces.write_sysctls(self.name, ROUTER_SYSCTLS)
        self.netlink.set_up("lo")

    def apply(self, plan: OverlayPlan, tunnel: TunnelSettings, *, strict: bool) -> None:
        """Make the namespace as planned.

        Args:
            plan: everything that shall be there.
            tunnel: how the tunnel device shall be.
            strict: drop what comes out of the tunnel from an address that does not live beyond it.
        """
        self._ensure_tunnel(tunnel, strict=strict)
        if self._applied is None:
            self._applied = self.netlink.read()
        change = difference(self._applied, plan)
        if change.is_empty:
            return
        self._applied = None  # until all of it is done
        self.netlink.apply(change)
        self._applied = plan

    def doubt(self) -> None:
        """Forget what is known to be applied: the next plan is compared with the kernel's state."""
        self._applied = None
        self._tunnel = None

    def _ensure_tunnel(self, wanted: TunnelSettings, *, strict: bool) -> None:
        if self._tunnel is not None and vars(wanted) == vars(self._tunnel):
            return
        found = self.netlink.tunnel_settings()
        if not wanted.fits(found):
            self._applied = None
            if found:
                self.netlink.delete_link(TUNNEL)
            self._host.add_tunnel(
                target=self.netlink,
                temporary=f"stkx{wanted.vni}"[:15],
                mtu=wanted.mtu,
                vxlan_id=wanted.vni,
                vxlan_port=wanted.port,
                address=wanted.mac,
                **_local(wanted.own_address),
            )
        elif found["mtu"] != wanted.mtu:
            self.netlink.set_up(TUNNEL, mtu=wanted.mtu)
        key = ("net", "ipv4", "conf", TUNNEL, "rp_filter")
        namespaces.write_sysctls(self.name, {key: int(strict)})
        self._tunnel = wanted
        self.mtu = wanted.mtu

    # ---- containers

    def attach(self, endpoint_id: str, address: str) -> str:
        """Make a container's link; the name of its end, which waits in the host's namespace.

        Args:
            endpoint_id: the engine's ID of the endpoint.
            address: the container's address in the network.

        Raises:
            Unavailable: the network is not made on this node.
        """
        if self._tunnel is None and not self.mtu:
            raise Unavailable(f"network {self.name}: it could not be made on this node yet")
        name, peer = container_link(endpoint_id), router_link(endpoint_id)
        self._host.delete_link(name)
        self.netlink.delete_link(peer)
        self._host.add_pair(name, peer, self.name, self.mtu, peer_mac=ROUTER_MAC)
        namespaces.write_sysctls(
            self.name,
            {
                ("net", "ipv4", "conf", peer, "proxy_arp"): 1,
                ("net", "ipv4", "conf", peer, "rp_filter"): 1,
                ("net", "ipv4", "neigh", peer, "proxy_delay"): 0,
            },
        )
        self.netlink.set_up(peer)
        self.netlink.add_container_route(address, peer, task_mac(address))
        return name

    def detach(self, endpoint_id: str) -> None:
        """Remove a container's link, whatever is left of it."""
        self.netlink.delete_link(router_link(endpoint_id))
        self._host.delete_link(container_link(endpoint_id))

    def links(self) -> dict[str, Link]:
        """Return the devices in the namespace by name."""
        return self.netlink.links()

    def close(self) -> None:
        """Let go of the namespace and leave it as it is."""
        self.netlink.close()

    def remove(self) -> None:
        """Remove the namespace with everything in it."""
        self.netlink.delete_link(TUNNEL)  # at once, so that the VNI is free for a new device
        self.close()
        namespaces.remove(self.name)


def _local(address: str) -> dict[str, str]:
    return {"vxlan_local6" if ":" in address else "vxlan_local": address}
