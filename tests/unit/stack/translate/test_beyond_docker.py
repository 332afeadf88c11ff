"""What Docker's client cannot say of a service: other members of the API, and the label."""

from __future__ import annotations

from typing import Any

import pytest

from stack.compose.types import (
    BlockIo,
    Compose,
    Dependency,
    Deploy,
    Device,
    DeviceRate,
    DeviceRequest,
    DeviceWeight,
    GenericResource,
    IpamConfig,
    Logging,
    Mount,
    Network,
    Resources,
    Service,
    ServiceNetwork,
    Ulimit,
)
from stack.engine.payloads import Json
from stack.errors import ComposeError
from stack.translate.extensions import EXTENSION_LABEL
from stack.translate.stack_spec import stack_spec
from tests.unit.stack.translate.translated import DB, DEFAULT, container, in_label, label, translate


def test_members_that_docker_s_client_does_not_fill() -> None:
    made = container(
        group_add=("audio", "1000"),
        dns=("1.1.1.1",),
        dns_opt=("ndots:2",),
        security_opt=("no-new-privileges", "seccomp=unconfined"),
        oom_score_adj=-500,
        extra_hosts=(("db", "10.0.0.1"), ("me", "host-gateway")),
        ulimits={"nproc": Ulimit(soft=1, hard=2), "core": Ulimit(soft=0, hard=0)},
        cap_add=("net_admin",),
        sysctls={"a": "1"},
    )
    assert made["Groups"] == ["audio", "1000"]
    assert made["DNSConfig"] == {"Nameservers": ["1.1.1.1"], "Options": ["ndots:2"]}
    assert made["Privileges"]["NoNewPrivileges"] is True
    assert made["Privileges"]["Seccomp"] == {"Mode": "unconfined"}
    assert made["OomScoreAdj"] == -500
    assert made["Hosts"] == ["10.0.0.1 db", "host-gateway me"]
    assert [limit["Name"] for limit in made["Ulimits"]] == ["core", "nproc"]
    assert made["CapabilityAdd"] == ["CAP_NET_ADMIN"]
    assert made["Sysctls"] == {"a": "1"}
    assert label(security_opt=("no-new-privileges",), oom_score_adj=1) is None


@pytest.mark.parametrize(
    ("platform", "wanted"),
    [
        ("linux/amd64", {"Architecture": "amd64", "OS": "linux"}),
        ("linux/arm64/v8", {"Architecture": "arm64", "OS": "linux"}),
        ("linux", {"OS": "linux"}),
    ],
)
def test_a_platform_is_a_placement(platform: str, wanted: dict[str, str]) -> None:
    assert translate(platform=platform)["TaskTemplate"]["Placement"] == {"Platforms": [wanted]}


def test_resources_and_logging() -> None:
    reserved = Resources(
        memory_bytes=1024, generic_resources=(GenericResource(kind="ssd", value=2),)
    )
    made = translate(
        deploy=Deploy(limits=Resources(nano_cpus=5, pids=7), reservations=reserved),
        logging=Logging(driver="json-file", options={"max-size": "1m"}),
    )["TaskTemplate"]
    assert made["Resources"] == {
        "Limits": {"NanoCPUs": 5, "Pids": 7},
        "Reservations": {
            "MemoryBytes": 1024,
            "GenericResources": [{"DiscreteResourceSpec": {"Kind": "ssd", "Value": 2}}],
        },
    }
    assert made["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "1m"}}


def test_a_tmpfs_with_options() -> None:
    mount = Mount(
        type="tmpfs", target="/run", tmpfs_size_bytes=4096, tmpfs_options=("noexec", "uid=5", "ro")
    )
    assert container(mounts=(mount,))["Mounts"] == [
        {
            "Type": "tmpfs",
            "Target": "/run",
            "ReadOnly": True,
            "TmpfsOptions": {"SizeBytes": 4096, "Options": [["noexec"], ["uid", "5"]]},
        }
    ]


def test_shared_memory_is_a_tmpfs_unless_others_share_it() -> None:
    (mount,) = container(shm_size_bytes=1 << 20)["Mounts"]
    assert mount == {
        "Type": "tmpfs",
        "Target": "/dev/shm",
        "TmpfsOptions": {"SizeBytes": 1 << 20},
    }
    assert label(shm_size_bytes=1 << 20) is None
    assert in_label(shm_size_bytes=1 << 20, ipc="shareable") == {
        "ipc": "shareable",
        "shm_size": 1 << 20,
    }
    assert "Mounts" not in container(shm_size_bytes=1 << 20, ipc="shareable")
    own = Mount(type="bind", source="/x", target="/dev/shm")
    assert len(container(shm_size_bytes=1 << 20, mounts=(own,))["Mounts"]) == 1


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        ({"recursive": "disabled"}, {"NonRecursive": True}),
        ({"recursive": "writable"}, {"ReadOnlyNonRecursive": True}),
        (
            {"recursive": "readonly", "propagation": "rprivate"},
            {"ReadOnlyForceRecursive": True, "Propagation": "rprivate"},
        ),
        ({"recursive": "enabled", "selinux": "z", "create_host_path": True}, None),
    ],
)
def test_options_of_binds(mount: dict[str, Any], options: Json | None) -> None:
    one = Mount(type="bind", source="/a", target="/b", **mount)
    (made,) = container(mounts=(one,))["Mounts"]
    assert made.get("BindOptions") == options


def test_labels_of_a_volume_s_mount_go_to_the_volume() -> None:
    mount = Mount(type="volume", source="data", target="/d", volume_labels={"b": "2"})
    (made,) = container(mounts=(mount,))["Mounts"]
    assert made["VolumeOptions"]["Labels"] == {
        "a": "1",
        "b": "2",
        "com.docker.stack.namespace": "st",
    }


# -- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "networks"),
    [("host", [{"Target": "host"}]), ("none", [{"Target": "none"}]), ("bridge", [])],
)
def test_network_modes(mode: str, networks: list[Json]) -> None:
    made = translate(network_mode=mode, networks=())
    assert made["TaskTemplate"]["Networks"] == networks


@pytest.mark.parametrize(
    "settings",
    [
        {"network_mode": "service:db", "networks": ()},
        {"network_mode": "container:x", "networks": ()},
        {"ipc": "service:db"},
        {"pid": "container:x"},
    ],
)
def test_what_only_one_engine_could_share_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ComposeError, match=r"services\.web\.\w+: .*may be on different nodes"):
        translate(**settings)


def aliases(**settings: Any) -> list[str]:
    (network,) = translate(**settings)["TaskTemplate"]["Networks"]
    found: list[str] = network["Aliases"]
    return found


def test_names_known_on_one_machine_stay_known() -> None:
    assert aliases() == ["web"]
    assert aliases(container_name="shop-web") == ["web", "shop-web"]
    assert aliases(container_name="shop-web", deploy=Deploy(replicas=2)) == ["web"]
    assert aliases(container_name="shop-web", deploy=Deploy(mode="global")) == ["web"]


def test_a_link_is_an_alias_of_the_other_service() -> None:
    web = Service(name="web", image="a:1", networks=DEFAULT, links={"database": "db", "db": "db"})
    compose = Compose(name="st", services=(web, DB), networks={"default": Network(key="default")})
    _, db = stack_spec(compose).services
    assert db["TaskTemplate"]["Networks"] == [
        {"Target": "st_default", "Aliases": ["db", "database"]}
    ]


def test_address_ranges_and_families_of_a_network() -> None:
    network = Network(
        key="n",
        ipam_driver="default",
        ipam_options={"o": "1"},
        ipam_config=(
            IpamConfig(
                subnet="10.0.0.0/24",
                gateway="10.0.0.1",
                ip_range="10.0.0.128/25",
                aux_addresses={"router": "10.0.0.2"},
            ),
        ),
        enable_ipv4=True,
        enable_ipv6=False,
    )
    (made,) = stack_spec(Compose(name="st", services=(), networks={"n": network})).networks
    assert made["IPAM"] == {
        "Driver": "default",
        "Options": {"o": "1"},
        "Config": [
            {
                "Subnet": "10.0.0.0/24",
                "Gateway": "10.0.0.1",
                "IPRange": "10.0.0.128/25",
                "AuxiliaryAddresses": {"router": "10.0.0.2"},
            }
        ],
    }
    assert (made["EnableIPv4"], made["EnableIPv6"]) == (True, False)


# -- the label -----------------------------------------------------------------------------------


def test_a_service_that_says_nothing_more_has_no_label() -> None:
    assert label() is None


def test_all_settings_of_the_container() -> None:
    assert in_label(
        annotations={"a": "b"},
        blkio=BlockIo(
            weight=300,
            weight_device=(DeviceWeight(path="/dev/sda", weight=400),),
            device_read_bps=(DeviceRate(path="/dev/sda", rate=1000),),
        ),
        cgroup="private",
        cgroup_parent="/shop",
        cpu_period_us=100_000,
        cpu_quota_us=50_000,
        cpu_rt_period_us=1000,
        cpu_rt_runtime_us=950,
        cpu_shares=512,
        cpuset="0-1",
        device_cgroup_rules=("c 1:3 rwm",),
        devices=(
            Device(source="/dev/fuse"),
            Device(source="/dev/a", target="/dev/b", permissions="r"),
        ),
        domainname="example.org",
        ipc="host",
        mac_address="02:42:ac:11:00:02",
        mem_swappiness=0,
        memswap_limit_bytes=-1,
        oom_kill_disable=True,
        pid="host",
        privileged=True,
        runtime="runsc",
        security_opt=("apparmor=own", "no-new-privileges"),
        storage_opt={"size": "10G"},
        userns_mode="host",
        uts="host",
    ) == {
        "annotations": {"a": "b"},
        "blkio": {
            "weight": 300,
            "weight_device": [{"path": "/dev/sda", "weight": 400}],
            "device_read_bps": [{"path": "/dev/sda", "rate": 1000}],
        },
        "cgroup": "private",
        "cgroup_parent": "/shop",
        "cpu_period": 100_000,
        "cpu_quota": 50_000,
        "cpu_rt_period": 1000,
        "cpu_rt_runtime": 950,
        "cpu_shares": 512,
        "cpuset": "0-1",
        "device_cgroup_rules": ["c 1:3 rwm"],
        "devices": [
            {"source": "/dev/fuse"},
            {"source": "/dev/a", "target": "/dev/b", "permissions": "r"},
        ],
        "domainname": "example.org",
        "ipc": "host",
        "mac_address": "02:42:ac:11:00:02",
        "mem_swappiness": 0,
        "memswap_limit": -1,
        "oom_kill_disable": True,
        "pid": "host",
        "privileged": True,
        "runtime": "runsc",
        "security_opt": ["apparmor=own"],
        "storage_opt": {"size": "10G"},
        "userns_mode": "host",
        "uts": "host",
    }


def test_devices_that_a_driver_chooses() -> None:
    reserved = Resources(
        devices=(DeviceRequest(driver="nvidia", count=2, capabilities=("gpu", "utility")),)
    )
    assert in_label(
        deploy=Deploy(reservations=reserved),
        gpus=(DeviceRequest(count=-1), DeviceRequest(device_ids=("0",), options={"a": "b"})),
    ) == {
        "device_requests": [
            {"capabilities": ["gpu", "utility"], "count": 2, "driver": "nvidia"},
            {"capabilities": ["gpu"], "count": -1},
            {"capabilities": ["gpu"], "device_ids": ["0"], "options": {"a": "b"}},
        ]
    }
    assert in_label(gpus=(DeviceRequest(),)) == {
        "device_requests": [{"capabilities": ["gpu"], "count": -1}]
    }


def test_start_order_by_the_services_names_in_the_cluster() -> None:
    assert label(
        depends_on={
            "db": Dependency(condition="service_healthy", restart=True),
            "cache": Dependency(required=False),
        }
    ) == {
        "depends_on": {
            "st_db": {"condition": "service_healthy", "restart": True},
            "st_cache": {"condition": "service_started", "required": False},
        }
    }


def test_memberships_by_the_networks_names_in_the_cluster() -> None:
    joined = ServiceNetwork(name="front", ipv4_address="10.0.0.9", priority=5)
    assert label(networks=(joined,)) == {
        "networks": {"st_front": {"ipv4_address": "10.0.0.9", "priority": 5}}
    }


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("always", {"pull_policy": "always"}),
        ("never", {"pull_policy": "never"}),
        ("missing", None),
        ("if_not_present", None),
        ("build", None),
        ("daily", None),
    ],
)
def test_pull_policies(policy: str, wanted: Json | None) -> None:
    assert label(pull_policy=policy) == wanted


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"pull_policy": "daily"}, "pull_policy: daily is not applied"),
        ({"pull_policy": "build"}, "pull_policy: build is not applied"),
        ({"container_name": "x", "deploy": Deploy(replicas=2)}, "container_name: not applied"),
        ({"platform": "linux/arm64/v8"}, "platform: the variant in linux/arm64/v8 is not applied"),
        (
            {"mounts": (Mount(type="bind", source="/a", target="/b", selinux="Z"),)},
            "volumes[0]: the SELinux label Z is not applied",
        ),
    ],
)
def test_values_that_are_not_applied_are_told(settings: dict[str, Any], key: str) -> None:
    web = Service(name="web", image="app:1", network_mode="none", **settings)
    (note,) = stack_spec(Compose(name="st", services=(web,))).notes
    assert note.startswith(f"services.web.{key}")


def test_ordinary_values_need_no_note() -> None:
    web = Service(
        name="web", image="app:1", network_mode="none", container_name="x", pull_policy="always"
    )
    assert stack_spec(Compose(name="st", services=(web,))).notes == ()


def test_the_label_is_one_text_for_one_meaning() -> None:
    text = translate(privileged=True, annotations={"b": "ü", "a": "1"})["Labels"][EXTENSION_LABEL]
    assert text == '{"container":{"annotations":{"a":"1","b":"ü"},"privileged":true}}'
