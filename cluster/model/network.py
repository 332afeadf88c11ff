"""A cluster network, as an object; joining tasks to it is the work of the network process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.model.ids import NetworkId
from cluster.model.meta import Meta
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct

PREDEFINED_NETWORKS: Final = ("host", "none", "bridge")
"""Networks of every engine, that services may name although the cluster does not keep them."""


class IpamConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """One address range of a network."""

    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: Mapping[str, str] | None = None


class Ipam(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Address management of a network."""

    driver: str = ""
    options: Mapping[str, str] | None = None
    config: tuple[IpamConfig, ...] = ()


INGRESS_NAME: Final = "ingress"
"""Name of the network through which published ports are reached, unless a user makes another."""


MTU_OPTION: Final = "com.docker.network.driver.mtu"
"""The driver option that sets the size of a network's packets, in bytes."""

MIN_MTU: Final = 68  # RFC 791: every host forwards packets of that size
MAX_MTU: Final = 65_535


class NetworkSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a network."""

    name: str = ""
    driver: str = ""
    ipam: Ipam | None = msgspec.field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    enable_ipv4: bool | None = msgspec.field(default=None, name="EnableIPv4")
    enable_ipv6: bool = msgspec.field(default=False, name="EnableIPv6")
    options: Mapping[str, str] | None = None
    labels: Labels | None = None


class NetworkAllocation(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the cluster chose for a network, for as long as it exists.

    `subnet` and `ip_range` are in CIDR form; addresses are only given from `ip_range`, which is
    the whole subnet unless the user named a part of it.
    """

    vni: int
    subnet: str
    gateway: str
    ip_range: str


class Network(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="network", tag_field="kind"):
    """A network the cluster has accepted.

    Writers: `spec` the API's commands; `allocation` these and, where they left it out, the
    allocator.
    """

    id: NetworkId
    meta: Meta
    spec: NetworkSpec
    allocation: NetworkAllocation | None = None
