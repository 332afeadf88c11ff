"""Settings that the Engine API has no member for: the document in a service's label.

Its members are described in docs/design/extensions.md; the cluster refuses any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from stack.compose.types import BlockIo, Compose, DeviceRate, DeviceRequest, Service
from stack.engine.payloads import Json
from stack.errors import ComposeError
from stack.translate.endpoint import port_settings
from stack.translate.mounts import is_shared_memory_mounted
from stack.translate.names import scoped
from stack.translate.networks import network_extensions
from stack.translate.security import privileges

EXTENSION_LABEL = "com.stackyard.ext"

_PULL_POLICIES = ("always", "never")
_ALL_DEVICES = -1


def extension_label(compose: Compose, service: Service) -> dict[str, str]:
    """The label, and nothing when there is nothing to say; equal settings are equal texts.

    Raises:
        ComposeError: the namespace of another container.
    """
    document = _kept(
        container=_container(service),
        depends_on={
            scoped(compose.name, name): _kept(
                condition=dependency.condition,
                restart=dependency.restart,
                required=None if dependency.required else False,
            )
            for name, dependency in service.depends_on.items()
        },
        networks=network_extensions(compose, service),
        ports=port_settings(service),
        pull_policy=service.pull_policy if service.pull_policy in _PULL_POLICIES else "",
    )
    if not document:
        return {}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {EXTENSION_LABEL: text}


def _container(service: Service) -> Json:
    _, other_options = privileges(service.name, service.security_opt)
    is_mounted = is_shared_memory_mounted(service)
    return _kept(
        annotations=dict(service.annotations),
        blkio=_block_io(service.blkio) if service.blkio is not None else {},
        cgroup=service.cgroup,
        cgroup_parent=service.cgroup_parent,
        cpu_count=service.cpu_count,
        cpu_percent=int(service.cpu_percent),
        cpu_period=service.cpu_period_us,
        cpu_quota=service.cpu_quota_us,
        cpu_rt_period=service.cpu_rt_period_us,
        cpu_rt_runtime=service.cpu_rt_runtime_us,
        cpu_shares=service.cpu_shares,
        cpuset=service.cpuset,
        device_cgroup_rules=list(service.device_cgroup_rules),
        device_requests=list(_device_requests(service)),
        devices=[
            _kept(source=device.source, target=device.target, permissions=device.permissions)
            for device in service.devices
        ],
        domainname=service.domainname,
        ipc=_namespace(service, "ipc", service.ipc),
        mac_address=service.mac_address,
        mem_swappiness=service.mem_swappiness,
        memswap_limit=service.memswap_limit_bytes,
        oom_kill_disable=service.oom_kill_disable,
        pid=_namespace(service, "pid", service.pid),
        privileged=service.privileged,
        runtime=service.runtime,
        security_opt=list(other_options),
        shm_size=0 if is_mounted else service.shm_size_bytes,
        storage_opt=dict(service.storage_opt),
        userns_mode=service.userns_mode,
        uts=service.uts,
    )


def _namespace(service: Service, key: str, value: str) -> str:
    if value.startswith(("service:", "container:")):
        raise ComposeError(
            f"services.{service.name}.{key}: {value}: tasks of two services may be on different "
            "nodes and cannot share a namespace: put both programs into one image"
        )
    return value


def _device_requests(service: Service) -> Iterator[Json]:
    reserved = service.deploy.reservations.devices if service.deploy.reservations else ()
    yield from (_device_request(request, ()) for request in reserved)
    yield from (_device_request(request, ("gpu",)) for request in service.gpus)


def _device_request(request: DeviceRequest, always: Iterable[str]) -> Json:
    count = request.count
    if count is None and not request.device_ids:
        count = _ALL_DEVICES
    return _kept(
        capabilities=list(dict.fromkeys((*always, *request.capabilities))),
        count=count,
        device_ids=list(request.device_ids),
        driver=request.driver,
        options=dict(request.options),
    )


def _block_io(blkio: BlockIo) -> Json:
    return _kept(
        weight=blkio.weight,
        weight_device=[
            {"path": device.path, "weight": device.weight} for device in blkio.weight_device
        ],
        device_read_bps=_rates(blkio.device_read_bps),
        device_read_iops=_rates(blkio.device_read_iops),
        device_write_bps=_rates(blkio.device_write_bps),
        device_write_iops=_rates(blkio.device_write_iops),
    )


def _rates(limits: Iterable[DeviceRate]) -> list[Json]:
    return [{"path": limit.path, "rate": limit.rate} for limit in limits]


def _kept(**settings: object) -> Json:
    """Leave out what says nothing; a swappiness of 0 and "not required" say something."""
    meaningful = ("mem_swappiness", "required")
    return {
        name: value
        for name, value in settings.items()
        if value or (name in meaningful and value is not None)
    }
