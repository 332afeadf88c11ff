"""What of a service concerns the container's surroundings: names, rights, devices, the kernel."""

from __future__ import annotations

from typing import Any

from stack.compose.reader import Reader
from stack.compose.tree import Scalar
from stack.compose.types import (
    BlockIo,
    Device,
    DeviceRate,
    DeviceRequest,
    DeviceWeight,
    Hook,
    Logging,
    Ulimit,
)

_ANY = -(2**63)  # no lower bound

_TEXTS = (
    "container_name", "platform", "pull_policy", "domainname", "mac_address", "isolation",
    "runtime", "cgroup", "cgroup_parent", "ipc", "pid", "userns_mode", "uts", "cpuset",
)  # fmt: skip
_LISTS = (
    "profiles", "expose", "dns", "dns_search", "dns_opt", "group_add", "cap_add", "cap_drop",
    "security_opt", "device_cgroup_rules",
)  # fmt: skip
_MAPS = ("annotations", "sysctls", "storage_opt")
_FLAGS = ("privileged", "use_api_socket", "oom_kill_disable")
_NUMBERS = {
    "cpu_count": "cpu_count",
    "cpu_shares": "cpu_shares",
    "cpu_period": "cpu_period_us",
    "cpu_quota": "cpu_quota_us",
    "cpu_rt_period": "cpu_rt_period_us",
    "cpu_rt_runtime": "cpu_rt_runtime_us",
    "oom_score_adj": "oom_score_adj",
}


def read_container(reader: Reader) -> dict[str, Any]:
    """Read the members of `Service` that most services leave alone.

    Raises:
        ComposeError: a value of the wrong kind or without meaning.
    """
    if reader.node is None:
        return {}
    members: dict[str, Any] = {}
    for key in reader.node.entries:
        if key in _TEXTS:
            members[key] = reader.string(key)
        elif key in _LISTS:
            members[key] = reader.strings(key)
        elif key in _MAPS:
            members[key] = reader.string_map(key) or {}
        elif key in _FLAGS:
            members[key] = bool(reader.boolean(key))
        elif key in _NUMBERS:
            members[_NUMBERS[key]] = reader.integer(key, _ANY) or 0
    return {
        **members,
        "extra_hosts": _hosts(reader),
        "devices": tuple(_device(item) for _, item in reader.maps("devices")),
        "gpus": device_requests(reader, "gpus", ("gpu",)),
        "ulimits": _ulimits(reader.below("ulimits")),
        "shm_size_bytes": reader.size("shm_size"),
        "blkio": _block_io(reader.below("blkio_config")),
        "cpu_percent": reader.number("cpu_percent"),
        "mem_swappiness": reader.integer("mem_swappiness"),
        "memswap_limit_bytes": _swap(reader),
        "logging": _logging(reader.below("logging")),
        "post_start": _hooks(reader, "post_start"),
        "pre_stop": _hooks(reader, "pre_stop"),
    }


def device_requests(
    reader: Reader, key: str, capabilities: tuple[str, ...] = ()
) -> tuple[DeviceRequest, ...]:
    """Read requests for devices.

    Args:
        reader: the map they stand in.
        key: under which key.
        capabilities: what they are asked for when they do not say.
    """
    return tuple(
        DeviceRequest(
            capabilities=item.strings("capabilities") or capabilities,
            driver=item.string("driver"),
            count=item.integer("count", -1),
            device_ids=item.strings("device_ids"),
            options=item.string_map("options") or {},
        )
        for _, item in reader.maps(key)
    )


def _hosts(reader: Reader) -> tuple[tuple[str, str], ...]:
    pairs = (text.partition("=") for text in reader.strings("extra_hosts"))
    return tuple((name, address) for name, _, address in pairs)


def _device(reader: Reader) -> Device:
    return Device(
        source=reader.string("source"),
        target=reader.string("target"),
        permissions=reader.string("permissions"),
    )


def _ulimits(reader: Reader) -> dict[str, Ulimit]:
    limits: dict[str, Ulimit] = {}
    for name in sorted(reader.node.entries) if reader.node else ():
        if isinstance(reader.get(name), Scalar):
            both = reader.integer(name, -1) or 0
            limits[name] = Ulimit(soft=both, hard=both)
        else:
            below = reader.below(name)
            soft, hard = below.integer("soft", -1) or 0, below.integer("hard", -1) or 0
            limits[name] = Ulimit(soft=soft, hard=hard)
    return limits


def _swap(reader: Reader) -> int | None:
    if not reader.has("memswap_limit"):
        return None
    return -1 if reader.string("memswap_limit") == "-1" else reader.size("memswap_limit")


def _logging(reader: Reader) -> Logging | None:
    if reader.node is None:
        return None
    return Logging(driver=reader.string("driver"), options=reader.string_map("options") or {})


def _block_io(reader: Reader) -> BlockIo | None:
    if reader.node is None:
        return None
    return BlockIo(
        weight=reader.integer("weight") or 0,
        weight_device=tuple(
            DeviceWeight(path=item.string("path"), weight=item.integer("weight") or 0)
            for _, item in reader.maps("weight_device")
        ),
        device_read_bps=_rates(reader, "device_read_bps"),
        device_read_iops=_rates(reader, "device_read_iops"),
        device_write_bps=_rates(reader, "device_write_bps"),
        device_write_iops=_rates(reader, "device_write_iops"),
    )


def _rates(reader: Reader, key: str) -> tuple[DeviceRate, ...]:
    return tuple(
        DeviceRate(path=item.string("path"), rate=item.size("rate")) for _, item in reader.maps(key)
    )


def _hooks(reader: Reader, key: str) -> tuple[Hook, ...]:
    return tuple(
        Hook(
            command=item.words("command"),
            user=item.string("user"),
            privileged=bool(item.boolean("privileged")),
            working_dir=item.string("working_dir"),
            environment=item.string_map("environment") or {},
        )
        for _, item in reader.maps(key)
    )
