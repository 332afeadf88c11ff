"""How far a deploy token's services may reach, and by which word more is granted."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from cluster.api.commands.token_policy import check_reach
from cluster.errors import PermissionDenied
from cluster.model.container import (
    AppArmorOptions,
    ContainerSpec,
    CredentialSpec,
    Driver,
    Mount,
    Privileges,
    SeccompOptions,
    SelinuxContext,
    TmpfsOptions,
    VolumeOptions,
)
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.extensions import (
    BlockIo,
    ContainerExtensions,
    Device,
    DeviceRequest,
    TaskExtensions,
)
from cluster.model.ids import TokenId
from cluster.model.meta import Meta
from cluster.model.service import NetworkAttachmentConfig, ServiceSpec, TaskSpec
from cluster.model.token import GRANTABLE, DeployToken

TOKEN = DeployToken(id=TokenId("t"), meta=Meta(), name="ci", digest="", stacks=("shop",))

JUDGED = """
image labels command args hostname env dir user groups privileges init stop_signal tty open_stdin
read_only mounts stop_grace_period health_check hosts dns_config secrets configs isolation sysctls
capability_add capability_drop ulimits oom_score_adj
"""


def spec(**template: Any) -> ServiceSpec:
    return ServiceSpec(name="shop_web", task_template=TaskSpec(**template))


def container(**members: Any) -> ServiceSpec:
    return spec(container_spec=ContainerSpec(image="i", **members))


def mounted(**members: Any) -> ServiceSpec:
    return container(mounts=(Mount(target="/x", **members),))


def privileged(**members: Any) -> ServiceSpec:
    return container(privileges=Privileges(**members))


def extended(**members: Any) -> ServiceSpec:
    return spec(extensions=TaskExtensions(container=ContainerExtensions(**members)))


def publishing(*ports: int, mode: Literal["ingress", "host"] = "ingress") -> ServiceSpec:
    published = tuple(
        PortConfig(target_port=80, published_port=port, publish_mode=mode) for port in ports
    )
    return replace(spec(), endpoint_spec=EndpointSpec(ports=published))


def with_driver(**members: Any) -> VolumeOptions:
    return VolumeOptions(driver_config=Driver(**members))


REACHING = [
    ("host-binds", mounted(type="bind", source="/")),
    ("host-binds", mounted(type="bind", source="shop_data")),
    ("host-binds", mounted(type="npipe", source="shop_x")),
    ("host-binds", mounted(type="cluster", source="shop_x")),
    ("host-binds", mounted(source="shop_x", volume_options=with_driver(name="nfs"))),
    (
        "host-binds",
        mounted(
            source="shop_x",
            volume_options=with_driver(options={"type": "none", "o": "bind", "device": "/"}),
        ),
    ),
    ("host-binds", mounted(volume_options=with_driver(name="local", options={"device": "/etc"}))),
    ("volumes", mounted(source="other_data")),
    ("volumes", mounted(source="shop")),
    ("volumes", mounted(source="shop_{{.Service.Labels.x}}")),
    ("host-namespaces", spec(networks=(NetworkAttachmentConfig(target="host"),))),
    ("host-namespaces", spec(networks=(NetworkAttachmentConfig(target="bridge"),))),
    ("capabilities", container(capability_add=("CAP_SYS_ADMIN",))),
    ("unconfined", container(oom_score_adj=-1000)),
    ("unconfined", privileged(seccomp=SeccompOptions(mode="unconfined"))),
    ("unconfined", privileged(seccomp=SeccompOptions(mode="custom", profile="e30="))),
    ("unconfined", privileged(app_armor=AppArmorOptions(mode="disabled"))),
    ("unconfined", privileged(se_linux_context=SelinuxContext(disable=True))),
    ("unconfined", privileged(credential_spec=CredentialSpec(file="x"))),
    ("log-drivers", spec(log_driver=Driver(name="syslog"))),
    ("ports", publishing(22)),
    ("ports", publishing(8080, 2377)),
    ("ports", publishing(4789, mode="host")),
    ("privileged", spec(runtime="plugin")),
    ("privileged", extended(privileged=True)),
    ("devices", extended(devices=(Device(source="/dev/sda"),))),
    ("devices", extended(device_requests=(DeviceRequest(count=-1, capabilities=("gpu",)),))),
    ("devices", extended(device_cgroup_rules=("a *:* rwm",))),
    ("host-namespaces", extended(pid="host")),
    ("host-namespaces", extended(ipc="host")),
    ("host-namespaces", extended(uts="host")),
    ("host-namespaces", extended(cgroup="host")),
    ("host-namespaces", extended(userns_mode="host")),
    ("host-namespaces", extended(cgroup_parent="/")),
    ("unconfined", extended(runtime="runc-of-my-own")),
    ("unconfined", extended(security_opt=("seccomp=unconfined",))),
    ("unconfined", extended(annotations={"run.oci.keep_original_groups": "1"})),
    ("unconfined", extended(oom_kill_disable=True)),
]


@pytest.mark.parametrize(("word", "wanted"), REACHING)
def test_what_reaches_out_needs_its_word(word: str, wanted: ServiceSpec) -> None:
    everything_else = replace(TOKEN, allowed=tuple(set(GRANTABLE) - {word}))
    for token in (TOKEN, everything_else):
        with pytest.raises(PermissionDenied, match=f"deploy token ci may not .* --allow {word}"):
            check_reach(token, "shop", wanted)
    check_reach(replace(TOKEN, allowed=(word,)), "shop", wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        publishing(0, 80, 443, 8080),
        mounted(source="shop_data"),
        mounted(source=""),
        mounted(source="shop_data", volume_options=VolumeOptions(no_copy=True)),
        mounted(source="shop_data", volume_options=with_driver(name="local")),
        mounted(type="tmpfs", tmpfs_options=TmpfsOptions(size_bytes=1)),
        spec(networks=(NetworkAttachmentConfig(target="none"),)),
        spec(networks=(NetworkAttachmentConfig(target="n" * 25),)),
        spec(log_driver=Driver(name="json-file", options={"max-size": "1m"})),
        spec(runtime="container"),
        privileged(no_new_privileges=True),
        privileged(seccomp=SeccompOptions(mode="default")),
        container(capability_drop=("ALL",), user="root", oom_score_adj=100),
        extended(ipc="private", cgroup="private", shm_size=1, blkio=BlockIo(weight=10)),
    ],
)
def test_what_stays_inside_is_allowed(wanted: ServiceSpec) -> None:
    check_reach(TOKEN, "shop", wanted)


def test_every_member_of_a_container_was_thought_about() -> None:
    """Whoever adds one says in token_policy.py whether it reaches out, and names it here."""
    assert " ".join(ContainerSpec.__struct_fields__).split() == JUDGED.split()
