"""Settings of the extension label on a real Docker Engine, and what a node forbids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cluster.model.container import Mount, TmpfsOptions
from cluster.model.endpoint import PortConfig
from cluster.model.extensions import (
    BlockIo,
    ContainerExtensions,
    Device,
    PortExtensions,
    TaskExtensions,
)
from cluster.model.task import Task
from tests.integration.conftest import RealEngine
from tests.integration.nodes import MARKS, S, a_node, a_task

pytestmark = MARKS


def extended(task: Task, **members: Any) -> Task:
    spec = msgspec.structs.replace(task.spec, extensions=TaskExtensions(**members))
    return msgspec.structs.replace(task, spec=spec)


async def test_the_engine_applies_the_settings(engine: RealEngine, tmp_path: Path) -> None:
    tmpfs = Mount(type="tmpfs", target="/scratch", tmpfs_options=TmpfsOptions(options=(("exec",),)))
    port = PortConfig(target_port=80, published_port=18099, publish_mode="host")
    task = extended(
        a_task(engine, ports=(port,), mounts=(tmpfs,)),
        container=ContainerExtensions(
            devices=(Device(source="/dev/null", target="/dev/mynull", permissions="r"),),
            device_cgroup_rules=("c 1:3 rwm",),
            domainname="example.org",
            ipc="private",
            pid="host",
            cpu_shares=512,
            cpuset="0",
            mac_address="02:42:ac:11:99:01",
            blkio=BlockIo(weight=300),
            security_opt=("systempaths=unconfined",),
        ),
        ports=(PortExtensions(target=80, published=18099, host_ips=("127.0.0.1",)),),
    )
    async with a_node(engine, tmp_path) as node:
        node.assign(task)
        status = await node.reaches(S.RUNNING)
        assert status.container is not None
        shown = engine.api("GET", f"/containers/{status.container.container_id}/json")
        host = shown["HostConfig"]
        assert host["Devices"] == [
            {
                "PathOnHost": "/dev/null",
                "PathInContainer": "/dev/mynull",
                "CgroupPermissions": "r",
            }
        ]
        assert host["DeviceCgroupRules"] == ["c 1:3 rwm"]
        assert shown["Config"]["Domainname"] == "example.org"
        assert (host["IpcMode"], host["PidMode"]) == ("private", "host")
        assert (host["CpuShares"], host["CpusetCpus"]) == (512, "0")
        assert host["MaskedPaths"] == host["ReadonlyPaths"] == []
        assert host["Tmpfs"] == {"/scratch": "exec"}
        assert shown["NetworkSettings"]["MacAddress"] == "02:42:ac:11:99:01"
        assert host["PortBindings"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "18099"}]
        node.assign()


async def test_a_tmpfs_takes_the_place_of_the_engine_s_shared_memory(
    engine: RealEngine, tmp_path: Path
) -> None:
    size = Mount(type="tmpfs", target="/dev/shm", tmpfs_options=TmpfsOptions(size_bytes=1 << 20))
    look = "grep ' /dev/shm ' /proc/mounts | grep -q size=1024k && exec sleep 1000"
    task = a_task(engine, mounts=(size,), command=("sh", "-c", look))
    async with a_node(engine, tmp_path) as node:
        node.assign(task)
        await node.reaches(S.RUNNING)
        shown = engine.containers()
        assert [one["State"] for one in shown] == ["running"]
        node.assign()


async def test_a_setting_the_engine_is_too_old_for_ends_the_task(
    engine: RealEngine, tmp_path: Path
) -> None:
    task = extended(a_task(engine), container=ContainerExtensions(annotations={"a": "b"}))
    async with a_node(engine, tmp_path) as node:
        node.assign(task)
        status = await node.reaches(S.REJECTED)
        assert "annotations: needs an engine with API 1.43" in status.error
        node.assign()


async def test_an_image_that_must_not_be_pulled(engine: RealEngine, tmp_path: Path) -> None:
    task = extended(a_task(engine, image="localhost:1/none:1"), pull_policy="never")
    async with a_node(engine, tmp_path) as node:
        node.assign(task)
        status = await node.reaches(S.REJECTED)
        assert "its pull_policy is never" in status.error
        node.assign()


async def test_a_node_refuses_what_it_forbids(engine: RealEngine, tmp_path: Path) -> None:
    task = extended(a_task(engine), container=ContainerExtensions(privileged=True))
    async with a_node(engine, tmp_path, frozenset(("privileged",))) as node:
        node.assign(task)
        status = await node.reaches(S.REJECTED)
        assert "this node forbids privileged containers (stackd --forbid" in status.error
        node.assign()
