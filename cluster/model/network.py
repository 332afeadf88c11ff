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


class Network(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="network", tag_field="kind"):
    """A network the cluster has accepted."""

    id: NetworkId
    meta: Meta
    spec: NetworkSpec
