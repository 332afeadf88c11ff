from __future__ import annotations

import base64
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.errors import InvalidArgument, Unimplemented
from cluster.executor.create_payload import create_payload, stop_grace_s
from cluster.model.container import (
    AppArmorOptions,
    BindOptions,
    ContainerSpec,
    CredentialSpec,
    DnsConfig,
    Driver,
    HealthCheck,
    Mount,
    Privileges,
    SeccompOptions,
    SelinuxContext,
    TmpfsOptions,
    Ulimit,
    VolumeOptions,
)
from cluster.model.endpoint import PortConfig
from cluster.model.ids import ClusterId
from cluster.model.node import NodeDescription
from cluster.model.resources import (
    DiscreteResource,
    GenericResource,
    Limits,
    NamedResource,
    ResourceRequirements,
    Resources,
)
from cluster.model.service import NetworkAttachmentConfig
from cluster.model.task import Task
from cluster.model.units import SECOND_NS
from tests.unit.cluster.executor.tasks import a_task


def payload(task: Task, api: tuple[int, int] = (1, 41)) -> dict[str, Any]:
    return create_payload(task, NodeDescription(hostname="h1"), ClusterId("cluster"), api)


def of(**settings: Any) -> dict[str, Any]:
    return payload(a_task(ContainerSpec(image="app:1", **settings)))


def host_config(**settings: Any) -> dict[str, Any]:
    config: dict[str, Any] = of(**settings)["HostConfig"]
    return config


def test_a_plain_task_gets_the_image_s_own_settings() -> None:
    assert payload(a_task()) == {
        "Image": "app:1",
        "Labels": {
            "com.docker.swarm.node.id": "node",
            "com.docker.swarm.service.id": "service",
            "com.docker.swarm.service.name": "web",
            "com.docker.swarm.task": "",
            "com.docker.swarm.task.id": "task",
            "com.docker.swarm.task.name": "web.2.task",
            "com.stackyard.cluster": "cluster",
        },
        "HostConfig": {"RestartPolicy": {"Name": "no"}, "NetworkMode": "bridge"},
    }


def test_command_is_the_entrypoint_and_args_the_command() -> None:
    made = of(command=("/run.sh",), args=("-v", "x"), dir="/srv", user="app", tty=True)
    assert made["Entrypoint"] == ["/run.sh"]
    assert made["Cmd"] == ["-v", "x"]
    assert (made["WorkingDir"], made["User"], made["Tty"]) == ("/srv", "app", True)


def test_a_user_s_labels_do_not_replace_ours() -> None:
    labels = of(labels={"team": "blue", "com.docker.swarm.task.id": "mine"})["Labels"]
    assert labels["team"] == "blue"
    assert labels["com.docker.swarm.task.id"] == "task"


def test_templates_in_environment_host_name_and_mounts() -> None:
    made = of(
        env=("A={{.Task.Slot}}", "B", "C=x=y"),
        hostname="{{.Node.Hostname}}-{{.Task.Slot}}",
        mounts=(Mount(type="volume", source="data-{{.Task.Slot}}", target="/data"),),
    )
    assert made["Env"] == ["A=2", "B", "C=x=y"]
    assert made["Hostname"] == "h1-2"
    assert made["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Source": "data-2", "Target": "/data"}
    ]


def test_templates_in_labels_and_driver_options_of_volumes() -> None:
    volume = VolumeOptions(
        labels={"slot": "{{.Task.Slot}}"},
        driver_config=Driver(name="nfs", options={"share": "/{{.Node.Hostname}}"}),
    )
    made = of(mounts=(Mount(source="data", target="/data", volume_options=volume),))
    (mount,) = made["HostConfig"]["Mounts"]
    assert mount["VolumeOptions"] == {
        "Labels": {"slot": "2"},
        "DriverConfig": {"Name": "nfs", "Options": {"share": "/h1"}},
    }


def test_stop_settings() -> None:
    made = of(stop_signal="SIGINT", stop_grace_period=SECOND_NS * 5 // 2)
    assert (made["StopSignal"], made["StopTimeout"]) == ("SIGINT", 3)


def test_the_grace_period_is_10_s_unless_said_otherwise() -> None:
    assert stop_grace_s(a_task()) == 10.0
    assert stop_grace_s(a_task(ContainerSpec(stop_grace_period=0))) == 0.0


def test_a_health_check_keeps_its_nanoseconds() -> None:
    check = HealthCheck(test=("CMD", "true"), interval=5 * SECOND_NS, retries=3)
    assert of(health_check=check)["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 5 * SECOND_NS,
        "Retries": 3,
    }


def test_only_host_mode_ports_are_published_and_0_lets_the_engine_choose() -> None:
    made = payload(
        a_task(
            ports=(
                PortConfig(target_port=80, published_port=8080, publish_mode="host"),
                PortConfig(target_port=53, protocol="udp", publish_mode="host"),
                PortConfig(target_port=443, published_port=8443, publish_mode="ingress"),
            )
        )
    )
    assert made["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostPort": "8080"}],
        "53/udp": [{"HostPort": ""}],
    }


def test_limits_and_reservations() -> None:
    resources = ResourceRequirements(
        limits=Limits(nano_cpus=500_000_000, memory_bytes=64 << 20, pids=100),
        reservations=Resources(nano_cpus=1, memory_bytes=32 << 20),
    )
    config = payload(a_task(resources=resources))["HostConfig"]
    assert config["NanoCpus"] == 500_000_000
    assert config["Memory"] == 64 << 20
    assert config["PidsLimit"] == 100
    assert config["MemoryReservation"] == 32 << 20


def test_mounts() -> None:
    mounts = (
        Mount(
            type="bind",
            source="/a",
            target="/b",
            read_only=True,
            consistency="cached",
            bind_options=BindOptions(propagation="rslave", non_recursive=True),
        ),
        Mount(
            target="/v",
            volume_options=VolumeOptions(
                no_copy=True, labels={"l": "1"}, driver_config=Driver(name="local")
            ),
        ),
        Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=4096, mode=511)),
    )
    assert host_config(mounts=mounts)["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/a",
            "Target": "/b",
            "ReadOnly": True,
            "Consistency": "cached",
            "BindOptions": {"Propagation": "rslave", "NonRecursive": True},
        },
        {
            "Type": "volume",
            "Target": "/v",
            "VolumeOptions": {
                "NoCopy": True,
                "Labels": {"l": "1"},
                "DriverConfig": {"Name": "local"},
            },
        },
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 511}},
    ]


def test_the_rest_of_the_host_config() -> None:
    config = host_config(
        init=False,
        read_only=True,
        capability_add=("NET_ADMIN",),
        capability_drop=("ALL",),
        sysctls={"net.core.somaxconn": "1024"},
        ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
        dns_config=DnsConfig(nameservers=("1.1.1.1",), search=("x",), options=("ndots:1",)),
        hosts=("10.0.0.1 db db.local", "::1 six"),
        groups=("audio",),
        oom_score_adj=500,
    )
    assert config == {
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": "bridge",
        "Init": False,
        "ReadonlyRootfs": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "Dns": ["1.1.1.1"],
        "DnsSearch": ["x"],
        "DnsOptions": ["ndots:1"],
        "ExtraHosts": ["db:10.0.0.1", "db.local:10.0.0.1", "six:::1"],
        "GroupAdd": ["audio"],
        "OomScoreAdj": 500,
    }


def test_the_log_driver() -> None:
    config = payload(a_task(log_driver=Driver(name="json-file", options={"max-size": "1m"})))
    assert config["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "1m"},
    }


@pytest.mark.parametrize(
    ("privileges", "options"),
    [
        (Privileges(), None),
        (Privileges(seccomp=SeccompOptions(mode="default")), None),
        (Privileges(seccomp=SeccompOptions(mode="unconfined")), ["seccomp=unconfined"]),
        (
            Privileges(
                seccomp=SeccompOptions(mode="custom", profile=base64.b64encode(b"{}").decode())
            ),
            ["seccomp={}"],
        ),
        (Privileges(app_armor=AppArmorOptions(mode="disabled")), ["apparmor=unconfined"]),
        (Privileges(no_new_privileges=True), ["no-new-privileges"]),
        (Privileges(se_linux_context=SelinuxContext(disable=True)), ["label=disable"]),
        (
            Privileges(se_linux_context=SelinuxContext(type="t", level="l")),
            ["label=type:t", "label=level:l"],
        ),
    ],
)
def test_security_options(privileges: Privileges, options: list[str] | None) -> None:
    assert host_config(privileges=privileges).get("SecurityOpt") == options


@pytest.mark.parametrize(
    ("target", "mode"), [("host", "host"), ("none", "none"), ("someoverlayid", "bridge")]
)
def test_only_predefined_networks_are_named(target: str, mode: str) -> None:
    joined = NetworkAttachmentConfig(target=target, driver_opts={"com.example.mtu": "9000"})
    made = payload(a_task(networks=(joined,)))
    assert made["HostConfig"]["NetworkMode"] == mode
    assert "9000" not in str(made)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"isolation": "hyperv"}, "Isolation 'hyperv'"),
        ({"mounts": (Mount(type="cluster", target="/x"),)}, "type 'cluster'"),
        ({"mounts": (Mount(type="image", source="a", target="/x"),)}, "type 'image'"),
        (
            {"privileges": Privileges(credential_spec=CredentialSpec(file="x"))},
            "Privileges.CredentialSpec: this version cannot",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(Unimplemented, match=named):
        of(**settings)


def test_the_container_is_told_its_generic_resources() -> None:
    given = (
        GenericResource(named_resource_spec=NamedResource(kind="gpu", value="a")),
        GenericResource(named_resource_spec=NamedResource(kind="gpu", value="b")),
        GenericResource(discrete_resource_spec=DiscreteResource(kind="ssd", value=3)),
    )
    task = replace(a_task(ContainerSpec(image="a", env=("A=1",))), assigned_generic_resources=given)
    assert payload(task)["Env"] == ["A=1", "DOCKER_RESOURCE_GPU=a,b", "DOCKER_RESOURCE_SSD=3"]


def test_other_runtimes_are_refused() -> None:
    with pytest.raises(Unimplemented, match="Runtime 'plugin'"):
        payload(a_task(runtime="plugin"))


def a_bind(**options: bool) -> Mount:
    return Mount(type="bind", source="/a", target="/x", bind_options=BindOptions(**options))


@pytest.mark.parametrize(
    ("settings", "minor", "named", "place", "there"),
    [
        (
            {"health_check": HealthCheck(start_interval=7)},
            44,
            "StartInterval",
            "Healthcheck",
            {"StartInterval": 7},
        ),
        (
            {"mounts": (Mount(target="/x", volume_options=VolumeOptions(subpath="a")),)},
            45,
            "Subpath",
            "VolumeOptions",
            {"Subpath": "a"},
        ),
        (
            {"mounts": (a_bind(create_mountpoint=True),)},
            42,
            "CreateMountpoint",
            "BindOptions",
            {"CreateMountpoint": True},
        ),
        (
            {"mounts": (a_bind(read_only_non_recursive=True),)},
            44,
            "ReadOnlyNonRecursive",
            "BindOptions",
            {"ReadOnlyNonRecursive": True},
        ),
        (
            {"mounts": (a_bind(read_only_force_recursive=True),)},
            44,
            "ReadOnlyForceRecursive",
            "BindOptions",
            {"ReadOnlyForceRecursive": True},
        ),
    ],
)
def test_a_newer_engine_may_do_more(
    settings: dict[str, Any], minor: int, named: str, place: str, there: dict[str, Any]
) -> None:
    task = a_task(ContainerSpec(image="a", **settings))
    with pytest.raises(Unimplemented, match=f"{named}.* an engine with API 1.{minor}"):
        payload(task, (1, minor - 1))
    made = payload(task, (1, minor))
    assert (made if place in made else made["HostConfig"]["Mounts"][0])[place] == there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env": ("=secret",)}, r"Env\[0\]"),
        ({"env": ("A={{.Nope}}",)}, r"Env A: \{\{\.Nope\}\} is unknown"),
        ({"hosts": ("10.0.0.1",)}, r"Hosts\[0\]"),
        ({"hosts": ("",)}, r"Hosts\[0\]"),
        (
            {"privileges": Privileges(seccomp=SeccompOptions(mode="custom", profile="%"))},
            "Profile",
        ),
        ({"privileges": Privileges(seccomp=SeccompOptions(mode="odd"))}, "Mode: 'odd'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as raised:
        of(**settings)
    assert "secret" not in str(raised.value)
