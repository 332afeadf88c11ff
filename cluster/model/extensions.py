"""Settings of a service that the Engine API has no member for, typed.

A client carries them as one JSON document in the service label `EXTENSION_LABEL`, which clients
that do not know it keep when they read, change and send back a service.  docs/design/extensions.md
describes the document; names follow the Compose Specification where that has one.

`Extensions` is the whole document.  `TaskExtensions` is the part that makes a container: it goes
into the task, so that an agent has nothing to parse and a changed setting replaces tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from cluster.model.endpoint import PortConfig

EXTENSION_LABEL: Final = "com.stackyard.ext"

PullPolicy = Literal["always", "missing", "never"]
Condition = Literal[
    "service_started", "service_healthy", "service_completed_successfully"
]  # fmt: skip


class ExtensionStruct(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A part of the document.

    Unknown members are refused when a document is accepted (`cluster.api.payloads.extensions`),
    not here: an agent must go on when a newer manager sends it a setting it does not know.
    """


class Device(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """A device file of the node, given to the container; `permissions` of r, w and m(knod)."""

    source: str
    target: str = ""  # "" is the same path
    permissions: str = "rwm"


class DeviceRequest(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """Devices that a driver chooses, such as GPUs: those that have all `capabilities`.

    Either `count` of them, -1 for all, or those of `device_ids`.
    """

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: Mapping[str, str] = {}


class DeviceWeight(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """The share of a block device, 10 to 1000."""

    path: str
    weight: int


class DeviceRate(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """A limit for a block device, in bytes or operations per second."""

    path: str
    rate: int


class BlockIo(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """Shares and limits of block devices."""

    weight: int = 0
    weight_device: tuple[DeviceWeight, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


class ContainerExtensions(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """Settings of the container; sizes in bytes, processor times in microseconds.

    None means "not said" where zero or false says something else; elsewhere "" and 0 do.
    """

    annotations: Mapping[str, str] = {}
    blkio: BlockIo | None = None
    cgroup: Literal["", "host", "private"] = ""
    cgroup_parent: str = ""
    cpu_count: int = 0  # Windows
    cpu_percent: int = 0  # Windows
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpu_shares: int = 0
    cpuset: str = ""
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    devices: tuple[Device, ...] = ()
    domainname: str = ""
    ipc: Literal["", "none", "private", "shareable", "host"] = ""
    mac_address: str = ""
    mem_swappiness: int | None = None  # 0 to 100
    memswap_limit: int = 0  # memory and swap together; -1 is no limit
    oom_kill_disable: bool = False
    pid: Literal["", "host"] = ""
    privileged: bool = False
    runtime: str = ""
    security_opt: tuple[str, ...] = ()  # those that ContainerSpec.Privileges cannot say
    shm_size: int = 0  # where other containers are to see it; else a tmpfs on /dev/shm says it
    storage_opt: Mapping[str, str] = {}
    userns_mode: Literal["", "host"] = ""
    uts: Literal["", "host"] = ""


class PortExtensions(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """Settings of the port of the EndpointSpec that has these numbers.

    With `host_ips` it is published on these addresses of each node that has them, and on no other.
    With `hide_client` servers behind a port of mode ingress see the node where a client came in.
    """

    target: int
    published: int = 0
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ips: tuple[str, ...] = ()
    hide_client: bool = False

    def is_of(self, port: PortConfig) -> bool:
        """Whether a port of a service's spec is meant."""
        return (self.target, self.published, self.protocol) == (
            port.target_port,
            port.published_port,
            port.protocol or "tcp",
        )


class Dependency(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """When a service that this one depends on is far enough; see the Compose Specification."""

    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


class NetworkExtensions(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """Settings of the membership in one network."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    gw_priority: int = 0
    interface_name: str = ""


class Extensions(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """The document; services and networks by their names in the cluster."""

    container: ContainerExtensions = ContainerExtensions()
    depends_on: Mapping[str, Dependency] = {}
    networks: Mapping[str, NetworkExtensions] = {}
    ports: tuple[PortExtensions, ...] = ()
    pull_policy: PullPolicy = "missing"

    def of_task(self, published: Iterable[PortConfig]) -> TaskExtensions | None:
        """Return what makes the container of a service with these ports, None when nothing does."""
        on_node = [port for port in published if port.publish_mode == "host"]
        part = TaskExtensions(
            container=self.container,
            ports=tuple(one for one in self.ports if any(one.is_of(port) for port in on_node)),
            pull_policy=self.pull_policy,
            addresses={n: s.ipv4_address for n, s in self.networks.items() if s.ipv4_address},
        )
        return None if part == TaskExtensions() else part


class TaskExtensions(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    """The part of the document that makes a task; the agent applies all but `addresses`.

    These are the task's own in networks, by the networks' names.
    """

    container: ContainerExtensions = ContainerExtensions()
    ports: tuple[PortExtensions, ...] = ()
    pull_policy: PullPolicy = "missing"
    addresses: Mapping[str, str] = {}


def dependencies_of(labels: Mapping[str, str]) -> Mapping[str, Dependency]:
    """Return what a service with these labels depends on, by the services' names.

    The label of an accepted service has been checked; one that cannot be read says nothing.
    """
    text = labels.get(EXTENSION_LABEL)
    return _dependencies(text) if text and '"depends_on"' in text else {}


def port_settings_of(labels: Mapping[str, str]) -> tuple[PortExtensions, ...]:
    """Return the settings of ports of a service with these labels, as for `dependencies_of`."""
    text = labels.get(EXTENSION_LABEL)
    return _port_settings(text) if text and '"ports"' in text else ()


class _DependsOn(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    depends_on: Mapping[str, Dependency] = {}


@functools.lru_cache(maxsize=1024)  # services are looked at far more often than they change
def _dependencies(text: str) -> Mapping[str, Dependency]:
    try:
        return msgspec.json.decode(text, type=_DependsOn).depends_on
    except msgspec.DecodeError:
        return {}


class _Ports(ExtensionStruct, frozen=True, kw_only=True, gc=False):
    ports: tuple[PortExtensions, ...] = ()


@functools.lru_cache(maxsize=1024)
def _port_settings(text: str) -> tuple[PortExtensions, ...]:
    try:
        return msgspec.json.decode(text, type=_Ports).ports
    except msgspec.DecodeError:
        return ()
