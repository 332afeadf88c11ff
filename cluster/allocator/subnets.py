"""Subnets, gateways and numbers of networks.

A network without a subnet of its own gets the first free part of the cluster's address pools.  A
part is free if no network overlaps it and no node has its address in it: tasks must be able to
reach nodes, and nodes each other.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from cluster.errors import FailedPrecondition, InvalidArgument
from cluster.model.cluster import DEFAULT_ADDRESS_POOL, DEFAULT_SUBNET_SIZE
from cluster.model.ids import NetworkId
from cluster.model.network import IpamConfig, Network, NetworkAllocation
from cluster.model.network_view import DEFAULT_DATA_PORT
from cluster.model.spec_struct import ObjectStruct
from cluster.store.state import ClusterState

FIRST_VNI: Final = 0x100000
"""Docker Swarm begins at 4096 and reaches this only after a million networks."""

LAST_VNI: Final = 0xFFFFFF

INGRESS_SUBNET: Final = "10.255.0.0/16"
"""Of the network for published ports, where the pools are the default ones."""

_LOWEST_DATA_PORT: Final = 1024
_HIGHEST_DATA_PORT: Final = 49151
_SMALLEST_PREFIX: Final = 29
"""Gateway, virtual IP and a few tasks: a smaller subnet is of no use."""


def allocated(state: ClusterState, network: Network) -> Network:
    """Return the network with number, subnet and gateway.

    Raises:
        InvalidArgument: its own subnet is no IPv4 subnet or too small.
        FailedPrecondition: its own subnet overlaps another network's, or nothing is free.
    """
    if network.allocation is not None:
        return network
    config = _config_of(network)
    taken = _taken(state, network)
    if config.subnet:
        subnet = _own_subnet(config.subnet, taken)
    else:
        subnet = _free_subnet(state, [part for _, part in taken], is_ingress=network.spec.ingress)
    ip_range = ipaddress.IPv4Network(config.ip_range, strict=False) if config.ip_range else subnet
    allocation = NetworkAllocation(
        vni=_free_vni(network.id, (other for other, _ in taken)),
        subnet=str(subnet),
        gateway=config.gateway or _gateway(subnet, is_ingress=network.spec.ingress),
        ip_range=str(ip_range),
    )
    return replace(network, allocation=allocation)


def restored(state: ClusterState, network: Network) -> Network:
    """Return a network that was removed, to be made again as it was.

    Where another network has its number or its subnet by now it gets another, unless the user named
    the subnet.

    Raises:
        FailedPrecondition: the subnet that the user named overlaps another network's, or nothing
            is free.
    """
    former = network.allocation
    if former is None:
        return network
    taken = _taken(state, network)
    subnet = ipaddress.IPv4Network(former.subnet)
    owner = next((other for other, part in taken if part.overlaps(subnet)), None)
    if _config_of(network).subnet:
        if owner is not None:
            raise FailedPrecondition(
                f"network {network.spec.name} cannot be made again: its subnet {subnet} overlaps "
                f"that of network {owner.spec.name}: remove that network, or deploy with another "
                "subnet"
            )
    elif owner is not None or any(address in subnet for address in _node_addresses(state)):
        return allocated(state, replace(network, allocation=None))
    if any(other.allocation and other.allocation.vni == former.vni for other, _ in taken):
        vni = _free_vni(network.id, (other for other, _ in taken))
        return replace(network, allocation=replace(former, vni=vni))
    return network


class AddressPools(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Where a cluster's networks get their subnets from, and the UDP port between its nodes."""

    pools: tuple[str, ...] = ()
    subnet_size: int = DEFAULT_SUBNET_SIZE
    data_port: int = DEFAULT_DATA_PORT


def address_pools(pools: tuple[str, ...], subnet_size: int, data_port: int) -> AddressPools:
    """Return what a new cluster is to use; a number of 0 takes its default.

    Without pools and subnet size it shows the default pool as its own, with a size none, as Docker
    Swarm does. Either way it uses that pool.

    Raises:
        InvalidArgument: a pool is no IPv4 network or overlaps another, or a number is wrong.
    """
    size = subnet_size or DEFAULT_SUBNET_SIZE
    if not 1 <= size <= _SMALLEST_PREFIX:
        raise InvalidArgument(f"SubnetSize: {size} is not between 1 and {_SMALLEST_PREFIX}")
    port = data_port or DEFAULT_DATA_PORT
    if not _LOWEST_DATA_PORT <= port <= _HIGHEST_DATA_PORT:
        raise InvalidArgument(
            f"DataPathPort: {port} is not between {_LOWEST_DATA_PORT} and {_HIGHEST_DATA_PORT}"
        )
    networks: list[ipaddress.IPv4Network] = []
    for text in pools:
        try:
            pool = ipaddress.IPv4Network(text, strict=False)
        except ValueError as error:
            raise InvalidArgument(f"DefaultAddrPool: {text!r}: {error}") from None
        if pool.prefixlen > size:
            raise InvalidArgument(f"DefaultAddrPool: {pool} is smaller than one subnet, a /{size}")
        if any(pool.overlaps(other) for other in networks):
            raise InvalidArgument(f"DefaultAddrPool: {pool} overlaps another pool")
        networks.append(pool)
    texts = tuple(map(str, networks)) or (() if subnet_size else (DEFAULT_ADDRESS_POOL,))
    return AddressPools(pools=texts, subnet_size=size, data_port=port)


def _config_of(network: Network) -> IpamConfig:
    configs = network.spec.ipam.config if network.spec.ipam else ()
    if len([c for c in configs if c.subnet and ":" not in c.subnet]) > 1:
        raise InvalidArgument(
            f"network {network.spec.name}: IPAM.Config: one IPv4 subnet a network; leave out all "
            "but one"
        )
    for config in configs:
        if ":" not in config.subnet:
            return config
    return IpamConfig()


def _taken(state: ClusterState, network: Network) -> list[tuple[Network, ipaddress.IPv4Network]]:
    """Return all other networks with their subnets."""
    return [
        (other, ipaddress.IPv4Network(other.allocation.subnet))
        for other in state.networks
        if other.allocation is not None and other.id != network.id
    ]


def _own_subnet(
    text: str, taken: Iterable[tuple[Network, ipaddress.IPv4Network]]
) -> ipaddress.IPv4Network:
    subnet = ipaddress.IPv4Network(text, strict=False)
    if subnet.prefixlen > _SMALLEST_PREFIX:
        raise InvalidArgument(
            f"IPAM.Config: subnet {subnet} is too small: at least a /{_SMALLEST_PREFIX} is needed"
        )
    for other, part in taken:
        if part.overlaps(subnet):
            raise FailedPrecondition(
                f"IPAM.Config: subnet {subnet} overlaps {part} of network {other.spec.name}: "
                "choose another, or leave it out"
            )
    return subnet


def _free_subnet(
    state: ClusterState, taken: list[ipaddress.IPv4Network], *, is_ingress: bool
) -> ipaddress.IPv4Network:
    nodes = _node_addresses(state)
    for candidate in _candidates(state, is_ingress=is_ingress):
        if not any(candidate.overlaps(part) for part in taken) and not any(
            address in candidate for address in nodes
        ):
            return candidate
    pools, size = _pools(state)
    raise FailedPrecondition(
        "could not find an available, non-overlapping IPv4 address pool: every /"
        f"{size} of {', '.join(pools)} is taken; remove networks that are not used, or give the "
        "network a subnet"
    )


def _node_addresses(
    state: ClusterState,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return [ipaddress.ip_address(node.status.addr) for node in state.nodes if node.status.addr]


def _candidates(state: ClusterState, *, is_ingress: bool) -> Iterator[ipaddress.IPv4Network]:
    pools, size = _pools(state)
    if is_ingress and pools == (DEFAULT_ADDRESS_POOL,):
        yield ipaddress.IPv4Network(INGRESS_SUBNET)
    for text in pools:
        pool = ipaddress.IPv4Network(text, strict=False)
        yield from pool.subnets(new_prefix=max(size, pool.prefixlen))


def _pools(state: ClusterState) -> tuple[tuple[str, ...], int]:
    cluster = state.cluster
    if cluster is None:
        return (DEFAULT_ADDRESS_POOL,), DEFAULT_SUBNET_SIZE
    return cluster.address_pools or (DEFAULT_ADDRESS_POOL,), cluster.subnet_size


def _gateway(subnet: ipaddress.IPv4Network, *, is_ingress: bool) -> str:
    """Return the first address; for published ports the last, as nodes come first there."""
    return str(subnet.broadcast_address - 1 if is_ingress else subnet.network_address + 1)


def _free_vni(network_id: NetworkId, networks: Iterable[Network]) -> int:
    """Return the first free number from a place on that the network's ID determines.

    A network that was just removed may still have its device on a node, and no node can have two
    of one number: so a number must not come back soon.
    """
    taken = {network.allocation.vni for network in networks if network.allocation is not None}
    span = LAST_VNI - FIRST_VNI + 1
    start = zlib.crc32(network_id.encode()) % span
    return next(
        vni
        for vni in (FIRST_VNI + (start + step) % span for step in range(span))
        if vni not in taken
    )
