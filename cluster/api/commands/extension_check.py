"""What makes the settings of a service's extension label acceptable.

Their types are right already; here values are judged, each by itself and against the service.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from cluster.allocator.wants import publishes_everywhere, why_not_fixed
from cluster.errors import InvalidArgument
from cluster.model.extensions import (
    EXTENSION_LABEL,
    BlockIo,
    ContainerExtensions,
    DeviceRequest,
    Extensions,
    NetworkExtensions,
    PortExtensions,
)
from cluster.model.ids import NetworkId
from cluster.model.service import ServiceSpec
from cluster.store.state import ClusterState

_PLACE = f'Labels["{EXTENSION_LABEL}"]'
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}")
_DEVICE_RULE = re.compile(r"[acb] (?:\d+|\*):(?:\d+|\*) [rwm]{1,3}")
_CPUSET = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
_PERMISSIONS = re.compile(r"[rwm]{1,3}")


def check_extensions(extensions: Extensions, spec: ServiceSpec) -> None:
    """Check the settings of a service that the Engine API has no member for.

    Raises:
        InvalidArgument: a setting that is wrong, with its place in the label.
    """
    for place, problem in _problems(extensions, spec):
        raise InvalidArgument(f"{_PLACE}.{place}: {problem}")


def kept_only(extensions: Extensions, spec: ServiceSpec) -> Iterator[str]:
    """Yield a sentence for each setting that is kept but not carried out."""
    why_not = why_not_fixed(spec)
    for name, network in extensions.networks.items():
        place = f"{_PLACE}.networks.{name}"
        if network.ipv4_address and why_not:
            address = network.ipv4_address
            yield f"{place}.ipv4_address: {address} is kept but not given to tasks: {why_not}"
        if replace(network, ipv4_address="") != NetworkExtensions():
            yield (
                f"{place} is kept but not carried out in this version: hardware and IPv6 addresses "
                "and the order of networks are the engine's choice"
            )


def check_fixed_addresses(state: ClusterState, extensions: Extensions, spec: ServiceSpec) -> None:
    """Check addresses against the subnets of networks, as far as these are known.

    Raises:
        InvalidArgument: an address that is not in the subnet, with its place in the label.
    """
    if why_not_fixed(spec):
        return
    for attachment in spec.task_template.networks:
        network = state.network(NetworkId(attachment.target))
        if network is None or network.allocation is None:
            continue
        said, subnet = extensions.networks.get(network.spec.name), network.allocation.subnet
        if said is None or not said.ipv4_address:
            continue
        if ipaddress.IPv4Address(said.ipv4_address) not in ipaddress.IPv4Network(subnet):
            raise InvalidArgument(
                f"{_PLACE}.networks.{network.spec.name}.ipv4_address: {said.ipv4_address} is not "
                f"in {subnet}, the network's subnet; name an address of it"
            )


_Problems = Iterator[tuple[str, str]]  # place in the document, what is wrong and what is right


def _problems(extensions: Extensions, spec: ServiceSpec) -> _Problems:
    yield from _of_container(extensions.container)
    for number, port in enumerate(extensions.ports):
        yield from _of_port(f"ports[{number}]", port, spec)
    for name, network in extensions.networks.items():
        yield from _of_network(f"networks.{name}", network)
    for name in extensions.depends_on:
        if not name or name == spec.name:
            yield f"depends_on.{name}", "a service cannot depend on itself"


def _of_container(container: ContainerExtensions) -> _Problems:
    for number, device in enumerate(container.devices):
        place = f"container.devices[{number}]"
        if not device.source.startswith("/"):
            yield f"{place}.source", f"{device.source!r} is not an absolute path of a device"
        if device.target and not device.target.startswith("/"):
            yield f"{place}.target", f"{device.target!r} is not an absolute path"
        if not _PERMISSIONS.fullmatch(device.permissions):
            yield f"{place}.permissions", f"{device.permissions!r} is not made of r, w and m"
    for number, request in enumerate(container.device_requests):
        yield from _of_request(f"container.device_requests[{number}]", request)
    for number, rule in enumerate(container.device_cgroup_rules):
        if not _DEVICE_RULE.fullmatch(rule):
            yield (
                f"container.device_cgroup_rules[{number}]",
                f"{rule!r} is not like 'c 1:3 rwm': kind a, b or c, major:minor, permissions",
            )
    if container.mac_address and not _MAC.fullmatch(container.mac_address):
        yield "container.mac_address", f"{container.mac_address!r} is no MAC address"
    if container.cpuset and not _CPUSET.fullmatch(container.cpuset):
        yield "container.cpuset", f"{container.cpuset!r} is not like '0-2,4'"
    yield from _of_amounts(container)
    if container.blkio is not None:
        yield from _of_block_io(container.blkio)


def _of_amounts(container: ContainerExtensions) -> _Problems:
    for name in (
        "cpu_count", "cpu_percent", "cpu_period", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares",
        "shm_size",
    ):  # fmt: skip
        value = getattr(container, name)
        if value < 0:
            yield f"container.{name}", f"{value} is below 0"
    if container.cpu_quota < -1:
        yield "container.cpu_quota", f"{container.cpu_quota} is below -1, which means no limit"
    if container.memswap_limit < -1:
        yield (
            "container.memswap_limit",
            (f"{container.memswap_limit} is below -1, which means no limit"),
        )
    swappiness = container.mem_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        yield "container.mem_swappiness", f"{swappiness} is not from 0 to 100"


def _of_request(place: str, request: DeviceRequest) -> _Problems:
    if request.count and request.device_ids:
        yield place, "count and device_ids exclude each other"
    if request.count < -1:
        yield f"{place}.count", f"{request.count} is below -1, which means all"
    if not request.driver and not request.capabilities:
        yield place, "needs a driver or capabilities, such as gpu"


def _of_block_io(blkio: BlockIo) -> _Problems:
    weights = [("weight", blkio.weight)] if blkio.weight else []
    weights += [
        (f"weight_device[{number}].weight", device.weight)
        for number, device in enumerate(blkio.weight_device)
    ]
    for place, weight in weights:
        if not 10 <= weight <= 1000:
            yield f"container.blkio.{place}", f"{weight} is not from 10 to 1000"
    for name in ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"):
        for number, limit in enumerate(getattr(blkio, name)):
            if limit.rate < 0:
                yield f"container.blkio.{name}[{number}].rate", f"{limit.rate} is below 0"


def _of_port(place: str, port: PortExtensions, spec: ServiceSpec) -> _Problems:
    published = spec.endpoint_spec.ports if spec.endpoint_spec is not None else ()
    meant = next((one for one in published if port.is_of(one)), None)
    if meant is None:
        # an address that no longer fits its port would open the port to all networks
        yield (
            place,
            (
                f"the service publishes no port {port.published} -> {port.target}/{port.protocol} "
                "at all; change or remove this member together with the port"
            ),
        )
    if not port.host_ips and not port.hide_client:
        yield f"{place}.host_ips", "is empty, and nothing else is said of the port"
    if port.hide_client and meant is not None and meant.publish_mode == "host":
        yield f"{place}.hide_client", "is for ports of mode ingress; of others clients are seen"
    for number, address in enumerate(port.host_ips):
        versions = (4,) if publishes_everywhere(spec.endpoint_spec) else (4, 6)  # the mesh is IPv4
        yield from _of_address(f"{place}.host_ips[{number}]", address, versions=versions)


def _of_network(place: str, network: NetworkExtensions) -> _Problems:
    if network.ipv4_address:
        yield from _of_address(f"{place}.ipv4_address", network.ipv4_address, versions=(4,))
    if network.ipv6_address:
        yield from _of_address(f"{place}.ipv6_address", network.ipv6_address, versions=(6,))
    for number, address in enumerate(network.link_local_ips):
        yield from _of_address(f"{place}.link_local_ips[{number}]", address)
    if network.mac_address and not _MAC.fullmatch(network.mac_address):
        yield f"{place}.mac_address", f"{network.mac_address!r} is no MAC address"


def _of_address(place: str, text: str, versions: Iterable[int] = (4, 6)) -> _Problems:
    try:
        is_fit = ipaddress.ip_address(text).version in versions
    except ValueError:
        is_fit = False
    if not is_fit:
        kind = "/".join(f"IPv{version}" for version in versions)
        yield place, f"{text!r} is no {kind} address"
