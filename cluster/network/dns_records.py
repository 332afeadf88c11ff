"""Who has which name in which network, and who may ask: the directory behind the resolver.

A container knows the names of all networks it is in, and no others. In the network in which it
asks a name counts first, then in its other networks. Only what serves is listed: a task that
starts, fails its health check or is about to end is in no answer, except to the question whose
address this is; its name is then one without an address.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.model.network_view import NetworkView, NodeView

REVERSE_SUFFIX: Final = b".in-addr.arpa"


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one network, in lower case, with packed IPv4 addresses."""

    view: NetworkView
    names: Mapping[bytes, tuple[bytes, ...]]
    reverse: Mapping[bytes, bytes]
    suffix: bytes


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """All zones by network ID, and the networks of each own container by network and address.

    `own_resolvers` are the places of containers that have resolvers for names of the outside.
    """

    zones: Mapping[str, Zone] = {}
    networks_of: Mapping[tuple[str, str], tuple[str, ...]] = {}
    own_resolvers: frozenset[tuple[str, str]] = frozenset()
    serial: int = 0


class Found(msgspec.Struct, frozen=True):
    """What a question comes to.

    `addresses` None: the name is not ours, ask elsewhere if `may_forward`; with `asks_itself` who
    asks has resolvers for that. An empty tuple: the name is in a network, and nobody serves under
    it.
    """

    addresses: tuple[bytes, ...] | None = None
    pointer: bytes = b""
    exists: bool = False
    may_forward: bool = False
    asks_itself: bool = False


def build_directory(view: NodeView, before: Directory | None = None) -> Directory:
    """Return the directory of a view; zones of networks that did not change are used again."""
    zones: dict[str, Zone] = {}
    membership: dict[str, list[tuple[str, str]]] = {}
    own_resolvers = set()
    for network in view.networks:
        known = before.zones.get(network.id) if before else None
        zones[network.id] = known if known and known.view == network else _zone(network)
        for task in network.tasks:
            if task.node_index == view.own_index:
                membership.setdefault(task.task_id, []).append((network.id, task.address))
                if task.has_resolvers:
                    own_resolvers.add((network.id, task.address))
    networks_of = {
        place: (place[0], *sorted({n for n, _ in places} - {place[0]}))
        for places in membership.values()
        for place in places
    }
    return Directory(
        zones=zones,
        networks_of=networks_of,
        own_resolvers=frozenset(own_resolvers),
        serial=view.revision,
    )


def look_up(directory: Directory, network_id: str, client: str, name: bytes) -> Found:
    """Answer for a name in lower case without a closing dot.

    Args:
        directory: who is where.
        network_id: the network in which was asked.
        client: address of who asks.
        name: as "web", "tasks.web", "web.shop_default" or "5.1.0.10.in-addr.arpa".
    """
    networks = directory.networks_of.get((network_id, client), (network_id,))
    zones = [directory.zones[i] for i in networks if i in directory.zones]
    may_forward = any(not zone.view.is_internal for zone in zones)
    if name.endswith(REVERSE_SUFFIX):
        return _reverse(zones, name, may_forward=may_forward)
    for zone in zones:
        addresses = zone.names.get(name)
        if addresses is None and name.endswith(zone.suffix):
            addresses = zone.names.get(name.removesuffix(zone.suffix))
        if addresses is not None:
            return Found(addresses, exists=True)
    # Names of one word are names of this cluster; outside they would mean something else.
    is_ours = b"." not in name or name.startswith(b"tasks.")
    is_ours = is_ours or any(name.endswith(zone.suffix) for zone in zones)
    may_forward = may_forward and not is_ours
    asks_itself = may_forward and (network_id, client) in directory.own_resolvers
    return Found(may_forward=may_forward, asks_itself=asks_itself)


def _zone(network: NetworkView) -> Zone:
    serving: dict[str, list[bytes]] = {}
    names: dict[bytes, tuple[bytes, ...]] = {}
    reverse: dict[bytes, bytes] = {}
    suffix = b"." + network.name.lower().encode()
    for task in network.tasks:
        address = socket.inet_aton(task.address)
        reverse[address] = task.name.encode() + suffix
        is_serving = task.state == "serving"
        if is_serving:
            serving.setdefault(task.service_id, []).append(address)
        for name in (task.name, *task.aliases):
            key = name.lower().encode()
            names[key] = names.get(key, ()) + ((address,) if is_serving else ())
    for service in network.services:
        tasks = tuple(sorted(serving.get(service.service_id, ()))) if service.service_id else ()
        answer = (socket.inet_aton(service.vip),) if service.vip else tasks
        for name in (service.name, *service.aliases):
            key = name.lower().encode()
            # Services may share an alias; it then stands for all of them.
            names[key] = tuple(sorted({*names.get(key, ()), *answer}))
            by_task = b"tasks." + key
            names[by_task] = tuple(sorted({*names.get(by_task, ()), *tasks}))
        if service.vip:
            reverse.setdefault(socket.inet_aton(service.vip), service.name.encode() + suffix)
    return Zone(view=network, names=names, reverse=reverse, suffix=suffix)


def _reverse(zones: list[Zone], name: bytes, *, may_forward: bool) -> Found:
    parts = name.removesuffix(REVERSE_SUFFIX).split(b".")
    try:
        address = ipaddress.IPv4Address(b".".join(reversed(parts)).decode())
    except ValueError:
        return Found(may_forward=may_forward)
    for zone in zones:
        pointer = zone.reverse.get(address.packed)
        if pointer:
            return Found((), pointer=pointer, exists=True)
    is_ours = any(address in ipaddress.IPv4Network(zone.view.subnet) for zone in zones)
    return Found(may_forward=may_forward and not is_ours)
