"""What a user may do with cluster networks."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from cluster.allocator.subnets import allocated
from cluster.allocator.wants import ingress_network, publishes_everywhere
from cluster.api.commands.lookup import find_network
from cluster.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from cluster.model.ids import NetworkId
from cluster.model.meta import Meta
from cluster.model.network import MAX_MTU, MIN_MTU, MTU_OPTION, Network, NetworkSpec
from cluster.store.transaction import Transaction

PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}
"""Networks every node has by itself, and their drivers; a service may name them."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def create_network(tx: Transaction, spec: NetworkSpec, network_id: NetworkId) -> None:
    """Make a cluster network.

    Raises:
        InvalidArgument: a wrong name, address range or packet size.
        AlreadyExists: the name is taken, or there is a network for published ports already.
        FailedPrecondition: its subnet overlaps another's, or none is free.
    """
    if spec.ingress and (other := ingress_network(tx.state)) is not None:
        raise AlreadyExists(f"ingress network ({other.id}) is already present: remove it first")
    if not _NAME.fullmatch(spec.name):
        raise InvalidArgument(f"Name: {spec.name!r} is no name of a network")
    if spec.name.lower() in PREDEFINED:
        raise AlreadyExists(f"network with name {spec.name} already exists")
    _check_ranges(spec)
    _check_mtu((spec.options or {}).get(MTU_OPTION))
    network = Network(id=network_id, meta=Meta(), spec=_without_empty(spec))
    tx.create(allocated(tx.state, network))


def remove_network(tx: Transaction, network_text: str) -> Network:
    """Remove a cluster network and return it.

    Raises:
        NotFound: no such network.
        FailedPrecondition: a service uses it.
    """
    network = find_network(tx.state, network_text)
    users = tx.state.services.ids("network", network.id)
    if network.spec.ingress:
        users = [s.id for s in tx.state.services if publishes_everywhere(s.spec.endpoint_spec)]
    if plain := tx.state.attachments.ids("network", network.id):
        raise FailedPrecondition(f"network {network.id} is in use by task {plain[0]}")
    if users:
        raise FailedPrecondition(f"network {network.id} is in use by service {users[0]}")
    tx.delete(network)
    return network


def _check_ranges(spec: NetworkSpec) -> None:
    for number, config in enumerate(spec.ipam.config if spec.ipam else ()):
        place = f"IPAM.Config[{number}]"
        if not config.subnet:
            if config.gateway or config.ip_range or config.auxiliary_addresses:
                raise InvalidArgument(f"{place}.Subnet: required beside a gateway or a range")
            continue
        try:
            subnet = ipaddress.ip_network(config.subnet, strict=False)
        except ValueError as error:
            raise InvalidArgument(f"{place}.Subnet: invalid subnet: {error}") from None
        if config.gateway:
            _check_address(f"{place}.Gateway", config.gateway, subnet)
        _check_ip_range(place, config.ip_range, subnet)
        for name, address in (config.auxiliary_addresses or {}).items():
            _check_address(f"{place}.AuxiliaryAddresses[{name}]", address, subnet)


def _check_address(
    place: str, text: str, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"{place}: {error}") from None
    if address not in subnet:
        raise InvalidArgument(f"{place}: {text} is not in the subnet {subnet}")


def _check_ip_range(
    place: str, ip_range: str, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    if not ip_range:
        return
    try:
        part = ipaddress.ip_network(ip_range, strict=False)
    except ValueError as error:
        raise InvalidArgument(f"{place}.IPRange: {error}") from None
    if part.version != subnet.version or part[0] not in subnet or part[-1] not in subnet:
        raise InvalidArgument(f"{place}.IPRange: {ip_range} is not in the subnet {subnet}")


def _check_mtu(text: str | None) -> None:
    if text is None or (text.isdecimal() and len(text) < 6 and MIN_MTU <= int(text) <= MAX_MTU):
        return
    raise InvalidArgument(
        f"Options[{MTU_OPTION}]: {text!r} is no packet size: give a number of bytes between "
        f"{MIN_MTU} and {MAX_MTU}"
    )


def _without_empty(spec: NetworkSpec) -> NetworkSpec:
    return msgspec.structs.replace(spec, labels=spec.labels or None, options=spec.options or None)
