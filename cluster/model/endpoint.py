"""How a service is reached: mode and published ports."""

from __future__ import annotations

from typing import Literal

from cluster.model.ids import NetworkId
from cluster.model.spec_struct import ObjectStruct, SpecStruct
from cluster.model.units import Uint32

Protocol = Literal["tcp", "udp", "sctp"]
PublishMode = Literal["ingress", "host"]


class PortConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A published port; `published_port` 0 lets the cluster (or the engine, mode host) choose."""

    name: str = ""
    protocol: Protocol | None = None
    target_port: Uint32 = 0
    published_port: Uint32 = 0
    publish_mode: PublishMode | None = None


class EndpointSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Endpoint mode ("vip" when absent, or "dnsrr") and published ports."""

    mode: str = ""
    ports: tuple[PortConfig, ...] = ()


class VirtualIp(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A service's own address in a network, without a prefix length."""

    network_id: NetworkId
    address: str


class ServiceEndpoint(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the cluster gave a service: addresses, and its ports with their published numbers."""

    virtual_ips: tuple[VirtualIp, ...] = ()
    ports: tuple[PortConfig, ...] = ()


class NetworkAttachment(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A task's place in a network; `address` carries the subnet's prefix length."""

    network_id: NetworkId
    address: str
    aliases: tuple[str, ...] = ()
