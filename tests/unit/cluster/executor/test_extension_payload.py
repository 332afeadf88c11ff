from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.errors import Unimplemented
from cluster.executor.create_payload import create_payload
from cluster.model.container import ContainerSpec, Mount, TmpfsOptions
from cluster.model.endpoint import PortConfig
from cluster.model.extensions import (
    BlockIo,
    ContainerExtensions,
    Device,
    DeviceRate,
    DeviceRequest,
    DeviceWeight,
    PortExtensions,
    TaskExtensions,
)
from cluster.model.ids import ClusterId
from cluster.model.node import NodeDescription
from cluster.model.resources import GenericResource, NamedResource
from cluster.model.task import Task
from tests.unit.cluster.executor.tasks import a_task


def request(task: Task, api: tuple[int, int] = (1, 41)) -> dict[str, Any]:
    return create_payload(task, NodeDescription(), ClusterId("c"), api)


def extended(**settings: Any) -> Task:
    return a_task(extensions=TaskExtensions(container=ContainerExtensions(**settings)))


def host_config(**settings: Any) -> dict[str, Any]:
    config: dict[str, Any] = request(extended(**settings))["HostConfig"]
    return config


def test_settings_of_the_label_stand_where_the_engine_wants_them() -> None:
    made = host_config(
        privileged=True,
        devices=(
            Device(source="/dev/fuse"),
            Device(source="/dev/a", target="/dev/b", permissions="r"),
        ),
        device_cgroup_rules=("c 1:3 rwm",),
        device_requests=(
            DeviceRequest(driver="nvidia", count=-1, capabilities=("gpu", "utility")),
        ),
        runtime="runsc",
        storage_opt={"size": "10G"},
        cgroup="private",
        cgroup_parent="/shop",
        ipc="shareable",
        pid="host",
        uts="host",
        userns_mode="host",
        cpu_shares=512,
        cpu_period=100_000,
        cpu_quota=50_000,
        cpu_rt_period=1000,
        cpu_rt_runtime=950,
        cpuset="0-1",
        memswap_limit=-1,
        mem_swappiness=0,
        oom_kill_disable=True,
        security_opt=("systempaths=unconfined", "label=disable"),
    )
    made.pop("RestartPolicy")
    made.pop("NetworkMode")
    assert made == {
        "Privileged": True,
        "Devices": [
            {
                "PathOnHost": "/dev/fuse",
                "PathInContainer": "/dev/fuse",
                "CgroupPermissions": "rwm",
            },
            {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
        ],
        "DeviceCgroupRules": ["c 1:3 rwm"],
        "DeviceRequests": [
            {
                "Driver": "nvidia",
                "Count": -1,
                "DeviceIDs": None,
                "Capabilities": [["gpu", "utility"]],
                "Options": {},
            }
        ],
        "Runtime": "runsc",
        "StorageOpt": {"size": "10G"},
        "CgroupnsMode": "private",
        "CgroupParent": "/shop",
        "IpcMode": "shareable",
        "PidMode": "host",
        "UTSMode": "host",
        "UsernsMode": "host",
        "CpuShares": 512,
        "CpuPeriod": 100_000,
        "CpuQuota": 50_000,
        "CpuRealtimePeriod": 1000,
        "CpuRealtimeRuntime": 950,
        "CpusetCpus": "0-1",
        "MemorySwap": -1,
        "MemorySwappiness": 0,
        "OomKillDisable": True,
        "SecurityOpt": ["label=disable"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }


def test_block_devices() -> None:
    rate = (DeviceRate(path="/dev/sda", rate=1000),)
    made = host_config(
        blkio=BlockIo(
            weight=300,
            weight_device=(DeviceWeight(path="/dev/sda", weight=400),),
            device_read_bps=rate,
            device_write_iops=rate,
        )
    )
    assert made["BlkioWeight"] == 300
    assert made["BlkioWeightDevice"] == [{"Path": "/dev/sda", "Weight": 400}]
    assert made["BlkioDeviceReadBps"] == [{"Path": "/dev/sda", "Rate": 1000}]
    assert made["BlkioDeviceWriteIOps"] == [{"Path": "/dev/sda", "Rate": 1000}]
    assert "BlkioDeviceReadIOps" not in made


def test_names_of_the_container() -> None:
    made = request(extended(domainname="example.org", mac_address="02:42:ac:11:00:02"))
    assert (made["Domainname"], made["MacAddress"]) == ("example.org", "02:42:ac:11:00:02")


def test_a_port_is_published_on_the_addresses_of_the_label_only() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080, publish_mode="host"),
        PortConfig(target_port=80, published_port=8080, protocol="udp", publish_mode="host"),
    )
    addresses = PortExtensions(target=80, published=8080, host_ips=("127.0.0.1", "::1"))
    made = request(a_task(ports=ports, extensions=TaskExtensions(ports=(addresses,))))
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
            {"HostIp": "::1", "HostPort": "8080"},
        ],
        "80/udp": [{"HostPort": "8080"}],
    }


def test_a_setting_that_the_engine_is_too_old_for_is_refused_by_name() -> None:
    task = extended(annotations={"a": "b"})
    with pytest.raises(Unimplemented, match=r"annotations: needs an engine with API 1\.43"):
        request(task)
    assert request(task, (1, 43))["HostConfig"]["Annotations"] == {"a": "b"}
    with pytest.raises(Unimplemented, match=r"cgroup: needs an engine with API 1\.41"):
        request(extended(cgroup="host"), (1, 40))


def test_options_of_a_tmpfs_reach_older_engines_too() -> None:
    options = TmpfsOptions(size_bytes=4096, mode=0o1770, options=(("noexec",), ("uid", "5")))
    mount = Mount(type="tmpfs", target="/run/{{.Task.Slot}}", tmpfs_options=options)
    task = a_task(ContainerSpec(image="app:1", mounts=(mount,)))
    old = request(task)["HostConfig"]
    assert old["Tmpfs"] == {"/run/2": "size=4096,mode=1770,noexec,uid=5"}
    assert "Mounts" not in old
    new = request(task, (1, 46))["HostConfig"]
    assert "Tmpfs" not in new
    assert new["Mounts"][0]["TmpfsOptions"]["Options"] == [["noexec"], ["uid", "5"]]


def test_a_request_for_a_number_names_the_devices_that_are_the_tasks_own() -> None:
    one = DeviceRequest(driver="nvidia", count=1, capabilities=("gpu",))
    gpu = GenericResource(named_resource_spec=NamedResource(kind="gpu", value="GPU-2"))
    made = request(replace(extended(device_requests=(one,)), assigned_generic_resources=(gpu,)))
    (asked,) = made["HostConfig"]["DeviceRequests"]
    assert (asked["Count"], asked["DeviceIDs"]) == (0, ["GPU-2"])
    assert "DOCKER_RESOURCE_GPU=GPU-2" in made["Env"]
