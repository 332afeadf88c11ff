"""What `stack` makes of a service is what `stackd` accepts and turns into a container.

The two halves share no code: this is where their ideas of the extension label meet.
"""

from __future__ import annotations

import json

import msgspec

from cluster.api.commands.services import accept
from cluster.api.payloads.services import decode_service_spec
from cluster.api.versions import ApiVersion
from cluster.executor.create_payload import create_payload
from cluster.model.ids import ClusterId, NetworkId, NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.network import Network as ClusterNetwork
from cluster.model.network import NetworkSpec
from cluster.model.node import NodeDescription
from cluster.model.task import Task
from stack.compose import types as compose
from stack.translate.stack_spec import stack_spec
from tests.support.memory_store import MemoryStore

SERVICE = compose.Service(
    name="web",
    image="app:1",
    networks=(compose.ServiceNetwork(name="default", ipv4_address="10.0.0.9"),),
    depends_on={"db": compose.Dependency(condition="service_healthy", required=False)},
    ports=(compose.Port(target=80, published=8080, mode="host", host_ip="127.0.0.1"),),
    mounts=(compose.Mount(type="tmpfs", target="/run", tmpfs_options=("noexec",)),),
    pull_policy="always",
    annotations={"a": "b"},
    blkio=compose.BlockIo(
        weight=300,
        weight_device=(compose.DeviceWeight(path="/dev/sda", weight=400),),
        device_read_bps=(compose.DeviceRate(path="/dev/sda", rate=1000),),
        device_read_iops=(compose.DeviceRate(path="/dev/sda", rate=1001),),
        device_write_bps=(compose.DeviceRate(path="/dev/sda", rate=1002),),
        device_write_iops=(compose.DeviceRate(path="/dev/sda", rate=1003),),
    ),
    cgroup="private",
    cgroup_parent="/shop",
    cpu_count=1,
    cpu_percent=50.0,
    cpu_period_us=100_000,
    cpu_quota_us=50_000,
    cpu_rt_period_us=1000,
    cpu_rt_runtime_us=950,
    cpu_shares=512,
    cpuset="0-1,3",
    device_cgroup_rules=("c 1:3 rwm", "a *:* r"),
    devices=(compose.Device(source="/dev/fuse", target="/dev/f", permissions="r"),),
    gpus=(compose.DeviceRequest(count=-1),),
    domainname="example.org",
    ipc="shareable",
    shm_size_bytes=1 << 20,
    mac_address="02:42:ac:11:00:02",
    mem_swappiness=0,
    memswap_limit_bytes=-1,
    oom_kill_disable=True,
    pid="host",
    privileged=True,
    runtime="runsc",
    security_opt=("apparmor=own", "no-new-privileges", "seccomp=unconfined"),
    storage_opt={"size": "10G"},
    userns_mode="host",
    uts="host",
    group_add=("audio",),
    platform="linux/amd64",
    oom_score_adj=100,
    dns_opt=("ndots:1",),
)


def test_every_setting_arrives_in_the_container() -> None:
    project = compose.Compose(
        name="st", services=(SERVICE,), networks={"default": compose.Network(key="default")}
    )
    (body,) = stack_spec(project).services
    network = ClusterNetwork(
        id=NetworkId("n" * 25), meta=Meta(), spec=NetworkSpec(name="st_default")
    )
    sent = decode_service_spec(json.dumps(body).encode(), ApiVersion(1, 50))
    spec = accept(MemoryStore(network).view(), sent)
    extensions = spec.task_template.extensions
    assert extensions is not None
    unset = [
        field.name
        for field in msgspec.structs.fields(extensions.container)
        if getattr(extensions.container, field.name)
        == (field.default if field.default is not msgspec.NODEFAULT else {})
    ]
    assert unset == []
    task = Task(
        id=TaskId("t"),
        meta=Meta(),
        service_id=ServiceId("s"),
        service_name=spec.name,
        slot=1,
        node_id=NodeId("n"),
        spec=spec.task_template,
        endpoint_spec=spec.endpoint_spec,
    )
    made = create_payload(task, NodeDescription(), ClusterId("c"), (1, 43))
    host = made["HostConfig"]
    assert made["Domainname"] == "example.org"
    assert host["Privileged"] is True
    assert host["ShmSize"] == 1 << 20
    assert host["GroupAdd"] == ["audio"]
    assert host["Tmpfs"] == {"/run": "noexec"}
    assert host["SecurityOpt"] == ["seccomp=unconfined", "no-new-privileges", "apparmor=own"]
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert host["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert host["BlkioDeviceWriteIOps"] == [{"Path": "/dev/sda", "Rate": 1003}]
