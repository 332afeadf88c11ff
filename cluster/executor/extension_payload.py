"""Settings of the extension label in the engine's container-create request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cluster.model.device_claims import with_names
from cluster.model.extensions import (
    BlockIo,
    ContainerExtensions,
    DeviceRate,
    DeviceRequest,
    TaskExtensions,
)
from cluster.model.resources import GenericResource
from cluster.model.task import Task

Json = dict[str, Any]
ApiVersion = tuple[int, int]

_UNMASKED: Final = "systempaths=unconfined"


def extensions_of(task: Task) -> TaskExtensions:
    """Return a task's settings beyond the Engine API's services."""
    return task.spec.extensions or TaskExtensions()


def newer_settings(container: ContainerExtensions) -> Iterator[tuple[str, ApiVersion]]:
    """Yield the settings that older engines ignore, with the API that has them."""
    if container.annotations:
        yield "annotations", (1, 43)
    if container.cgroup:
        yield "cgroup", (1, 41)
    if container.device_requests:
        yield "gpus and other device requests", (1, 40)


def config_settings(container: ContainerExtensions) -> Json:
    """Return members beside ``HostConfig``."""
    return _kept(Domainname=container.domainname, MacAddress=container.mac_address)


def host_settings(container: ContainerExtensions, given: Iterable[GenericResource]) -> Json:
    """Return members of ``HostConfig``; of the security options only what is a member there.

    `given` are the generic resources that are the task's own.
    """
    settings = _kept(
        Privileged=container.privileged,
        Annotations=dict(container.annotations),
        Devices=[
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target or device.source,
                "CgroupPermissions": device.permissions,
            }
            for device in container.devices
        ],
        DeviceRequests=[
            _device_request(request) for request in with_names(container.device_requests, given)
        ],
        DeviceCgroupRules=list(container.device_cgroup_rules),
        Runtime=container.runtime,
        ShmSize=container.shm_size,
        StorageOpt=dict(container.storage_opt),
        CgroupnsMode=container.cgroup,
        CgroupParent=container.cgroup_parent,
        IpcMode=container.ipc,
        PidMode=container.pid,
        UTSMode=container.uts,
        UsernsMode=container.userns_mode,
        CpuShares=container.cpu_shares,
        CpuPeriod=container.cpu_period,
        CpuQuota=container.cpu_quota,
        CpuRealtimePeriod=container.cpu_rt_period,
        CpuRealtimeRuntime=container.cpu_rt_runtime,
        CpusetCpus=container.cpuset,
        CpuCount=container.cpu_count,
        CpuPercent=container.cpu_percent,
        MemorySwap=container.memswap_limit,
        OomKillDisable=container.oom_kill_disable,
        **_block_io(container.blkio or BlockIo()),
    )
    if container.mem_swappiness is not None:  # 0 is a wish of its own
        settings["MemorySwappiness"] = container.mem_swappiness
    if _UNMASKED in container.security_opt:  # empty lists: absent ones are the engine's own
        settings["MaskedPaths"] = settings["ReadonlyPaths"] = []
    return settings


def security_options(container: ContainerExtensions) -> list[str]:
    """Return the options that the engine takes as such."""
    return [option for option in container.security_opt if option != _UNMASKED]


def host_ips(task: Task, target: int, published: int, protocol: str) -> tuple[str, ...]:
    """Return the node's addresses on which to publish a port; ("",) is all of them."""
    for port in extensions_of(task).ports:
        if (port.target, port.published, port.protocol) == (target, published, protocol):
            return port.host_ips or ("",)
    return ("",)


def _device_request(request: DeviceRequest) -> Json:
    return {
        "Driver": request.driver,
        "Count": request.count,
        "DeviceIDs": list(request.device_ids) or None,
        "Capabilities": [list(request.capabilities)],
        "Options": dict(request.options),
    }


def _block_io(blkio: BlockIo) -> Json:
    return {
        "BlkioWeight": blkio.weight,
        "BlkioWeightDevice": [
            {"Path": device.path, "Weight": device.weight} for device in blkio.weight_device
        ],
        "BlkioDeviceReadBps": _rates(blkio.device_read_bps),
        "BlkioDeviceReadIOps": _rates(blkio.device_read_iops),
        "BlkioDeviceWriteBps": _rates(blkio.device_write_bps),
        "BlkioDeviceWriteIOps": _rates(blkio.device_write_iops),
    }


def _rates(limits: tuple[DeviceRate, ...]) -> list[Json]:
    return [{"Path": limit.path, "Rate": limit.rate} for limit in limits]


def _kept(**settings: Any) -> Json:
    return {name: value for name, value in settings.items() if value}
