"""Links, addresses, routes and tunnel entries, through pyroute2.

A pyroute2 socket is lazy and bound to its thread; opened in one namespace and first used in
another it would silently talk to the wrong one.  So every socket is used once where it is made,
and everything here belongs to the one thread that changes the network.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pyroute2

from cluster.network import namespaces
from cluster.network.names import TUNNEL
from cluster.network.overlay_plan import (
    MAIN_TABLE,
    RETURN_TABLE_BASE,
    Address,
    Difference,
    Neighbour,
    OverlayPlan,
    ReturnRule,
    Route,
    TunnelEntry,
)

NUD_PERMANENT: Final = 0x80
FDB_STATE: Final = 0xC0  # permanent, and not learnt
NTF_SELF: Final = 0x02
ONLINK: Final = 4
AF_INET: Final = 2
AF_BRIDGE: Final = 7
UNREACHABLE: Final = 7
RULE_PRIORITY: Final = 10_000
PROTOCOL: Final = 200
"""Mark of routes of ours (RTA_PROTOCOL); below are the kernel's and known routing daemons'."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A network device."""

    name: str
    index: int
    mtu: int
    is_up: bool
    has_carrier: bool
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0


class Netlink:
    """A socket for rtnetlink in one namespace."""

    def __init__(self, namespace: str = "") -> None:
        """Open the socket; "" is the process's own namespace."""
        self.namespace = namespace
        if namespace:
            with namespaces.inside(namespace):
                self._socket = self._open()
        else:
            self._socket = self._open()
        self._indexes: dict[str, int] = {}

    @staticmethod
    def _open() -> Any:
        socket = pyroute2.IPRoute()
        socket.link_lookup(ifname="lo")  # it exists from now on
        return socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    # ---- links

    def links(self) -> dict[str, Link]:
        """Return all devices by name."""
        found = {}
        for message in self._socket.get_links():
            name = message.get_attr("IFLA_IFNAME")
            counters = message.get_attr("IFLA_STATS64") or {}
            found[name] = Link(
                name=name,
                index=message["index"],
                mtu=message.get_attr("IFLA_MTU") or 0,
                is_up=bool(message["flags"] & 1),
                has_carrier=bool(message.get_attr("IFLA_CARRIER")),
                **{
                    key: counters.get(key, 0)
                    for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
                },
            )
        self._indexes = {name: link.index for name, link in found.items()}
        return found

    def index(self, name: str) -> int | None:
        """Return a device's number, or None if there is no such device."""
        found = self._socket.link_lookup(ifname=name)
        return int(found[0]) if found else None

    def add_tunnel(self, **options: Any) -> None:
        """Make a vxlan device here and move it into a namespace under the name `TUNNEL`.

        The socket that carries its traffic stays in this namespace.
        """
        target: Netlink = options.pop("target")
        temporary: str = options.pop("temporary")
        mtu: int = options.pop("mtu")
        if self.index(temporary) is not None:
            self.delete_link(temporary)
        self._socket.link("add", ifname=temporary, kind="vxlan", vxlan_learning=False, **options)
        index = self.index(temporary)
        with _open_namespace(target.namespace) as descriptor:
            self._socket.link("set", index=index, net_ns_fd=descriptor)
        inside = target.index(temporary)
        target._socket.link("set", index=inside, ifname=TUNNEL, mtu=mtu, state="up")
        target._indexes[TUNNEL] = inside or 0

    def tunnel_settings(self) -> dict[str, Any]:
        """Return the vxlan settings of the tunnel device here; empty if there is none."""
        index = self.index(TUNNEL)
        if index is None:
            return {}
        (message,) = self._socket.get_links(index)
        data = message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        local = data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6")
        return {
            "vni": data.get_attr("IFLA_VXLAN_ID"),
            "local": local,
            "port": data.get_attr("IFLA_VXLAN_PORT"),
            "mac": message.get_attr("IFLA_ADDRESS"),
            "mtu": message.get_attr("IFLA_MTU"),
        }

    def add_pair(
        self, name: str, peer: str, peer_namespace: str, mtu: int, *, peer_mac: str
    ) -> None:
        """Make a pair of devices, one here and its peer in another namespace."""
        with _open_namespace(peer_namespace) as descriptor:
            self._socket.link(
                "add",
                ifname=name,
                kind="veth",
                mtu=mtu,
                peer={"ifname": peer, "net_ns_fd": descriptor, "mtu": mtu, "address": peer_mac},
            )

    def set_up(self, name: str, *, mtu: int = 0) -> None:
        """Switch a device on."""
        more = {"mtu": mtu} if mtu else {}
        self._socket.link("set", index=self._known(name), state="up", **more)

    def delete_link(self, name: str) -> bool:
        """Remove a device; false if it was not there."""
        index = self.index(name)
        self._indexes.pop(name, None)
        if index is None:
            return False
        with _ignoring(errno.ENODEV):
            self._socket.link("del", index=index)
        return True

    def add_address(self, device: str, address: str, prefix: int) -> None:
        """Give a device an address, if it has it not."""
        with _ignoring(errno.EEXIST):
            self._socket.addr("add", index=self._known(device), address=address, prefixlen=prefix)

    def device_of_address(self, address: str) -> str:
        """Return the device that has an address, or ""."""
        family = 10 if ":" in address else AF_INET
        for message in self._socket.get_addr(family=family):
            if address in {message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")}:
                links = self._socket.get_links(message["index"])
                return str(links[0].get_attr("IFLA_IFNAME"))
        return ""

    def add_container_route(self, address: str, device: str, mac: str) -> None:
        """Lead an address to the link of a local container."""
        index = self._known(device)
        self._socket.route("replace", dst=f"{address}/32", oif=index, scope=253, proto=PROTOCOL)
        self._socket.neigh("replace", dst=address, lladdr=mac, ifindex=index, state=NUD_PERMANENT)

    # ---- plans

    def apply(self, change: Difference) -> None:
        """Carry out a difference: additions first, so that nothing is ever missing in between."""
        add, remove = change.add, change.remove
        for address in sorted(add.addresses):
            self.add_address(address.device, address.address, 32)
        for neighbour in sorted(add.neighbours):
            self._neighbour("replace", neighbour)
        for entry in sorted(add.tunnel):
            self._tunnel_entry("replace", entry)
        for route in sorted(add.routes):
            self._route("replace", route)
        for rule in sorted(add.rules):
            with _ignoring(errno.EEXIST):
                self._rule("add", rule)
        for rule in sorted(remove.rules):
            with _ignoring(errno.ENOENT):
                self._rule("del", rule)
        for route in sorted(remove.routes):
            with _ignoring(errno.ESRCH):
                self._route("del", route)
        for entry in sorted(remove.tunnel):
            with _ignoring(errno.ENOENT):
                self._tunnel_entry("del", entry)
        for neighbour in sorted(remove.neighbours):
            with _ignoring(errno.ENOENT):
                self._neighbour("del", neighbour)
        for address in sorted(remove.addresses):
            with _ignoring(errno.EADDRNOTAVAIL):
                self._socket.addr(
                    "del",
                    index=self._known(address.device),
                    address=address.address,
                    prefixlen=32,
                )

    def read(self) -> OverlayPlan:
        """Return what is set here now of the things that plans are about."""
        names = {link.index: name for name, link in self.links().items()}
        tunnel = self._indexes.get(TUNNEL)
        return OverlayPlan(
            addresses=frozenset(self._read_addresses(names)),
            neighbours=frozenset(self._read_neighbours(tunnel)),
            tunnel=frozenset(self._read_tunnel(tunnel)),
            routes=frozenset(self._read_routes(names)),
            rules=frozenset(self._read_rules()),
        )

    def _read_addresses(self, names: dict[int, str]) -> Iterator[Address]:
        for message in self._socket.get_addr(family=AF_INET):
            name, address = names[message["index"]], message.get_attr("IFA_LOCAL")
            if name in {"lo", TUNNEL} and address != "127.0.0.1":
                yield Address(name, address)

    def _read_neighbours(self, tunnel: int | None) -> Iterator[Neighbour]:
        for message in self._socket.get_neighbours(family=AF_INET):
            if message["ifindex"] == tunnel and message["state"] & NUD_PERMANENT:
                yield Neighbour(message.get_attr("NDA_DST"), message.get_attr("NDA_LLADDR"))

    def _read_tunnel(self, tunnel: int | None) -> Iterator[TunnelEntry]:
        for message in self._socket.get_neighbours(family=AF_BRIDGE):
            address = message.get_attr("NDA_DST")
            if message["ifindex"] == tunnel and address:
                yield TunnelEntry(message.get_attr("NDA_LLADDR"), address)

    def _read_routes(self, names: dict[int, str]) -> Iterator[Route]:
        for message in self._socket.get_routes(family=AF_INET):
            if message["proto"] != PROTOCOL:
                continue
            destination = f"{message.get_attr('RTA_DST') or '0.0.0.0'}/{message['dst_len']}"  # noqa: S104 - a route
            table = message.get_attr("RTA_TABLE") or message["table"]
            if message["type"] == UNREACHABLE:
                yield Route(destination, table=table)
            elif gateway := message.get_attr("RTA_GATEWAY"):
                device = names.get(message.get_attr("RTA_OIF"), "")
                yield Route(destination, gateway, device, table)

    def _read_rules(self) -> Iterator[ReturnRule]:
        for message in self._socket.get_rules(family=AF_INET):
            mark, table = message.get_attr("FRA_FWMARK"), message.get_attr("FRA_TABLE")
            if mark and table and table >= RETURN_TABLE_BASE:
                yield ReturnRule(mark, table)

    def _neighbour(self, verb: str, neighbour: Neighbour) -> None:
        self._socket.neigh(
            verb,
            dst=neighbour.address,
            lladdr=neighbour.mac,
            ifindex=self._known(TUNNEL),
            state=NUD_PERMANENT,
        )

    def _tunnel_entry(self, verb: str, entry: TunnelEntry) -> None:
        self._socket.fdb(
            verb,
            ifindex=self._known(TUNNEL),
            lladdr=entry.mac,
            dst=entry.node_address,
            state=FDB_STATE,
            flags=NTF_SELF,  # pyroute2 adds it to "add" only
        )

    def _route(self, verb: str, route: Route) -> None:
        way: dict[str, Any] = {"type": "unreachable"}
        if route.gateway:
            way = {
                "gateway": route.gateway,
                "oif": self._known(route.device),
                "flags": ONLINK,
            }
        self._socket.route(
            verb, dst=route.destination, table=route.table or MAIN_TABLE, proto=PROTOCOL, **way
        )

    def _rule(self, verb: str, rule: ReturnRule) -> None:
        self._socket.rule(
            verb, fwmark=rule.mark, table=rule.table, priority=RULE_PRIORITY, family=AF_INET
        )

    def _known(self, name: str) -> int:
        index = self._indexes.get(name) or self.index(name)
        if index is None:
            raise OSError(errno.ENODEV, f"no device {name} in {self.namespace or 'the host'}")
        self._indexes[name] = index
        return index


@contextmanager
def _open_namespace(name: str) -> Iterator[int]:
    with (namespaces.NAMESPACES / name).open() as file:
        yield file.fileno()


@contextmanager
def _ignoring(code: int) -> Iterator[None]:
    """Let the one answer pass that says that it is as wanted already."""
    try:
        yield
    except pyroute2.NetlinkError as error:
        if error.code != code:
            raise
