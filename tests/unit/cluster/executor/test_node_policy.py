from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import InvalidArgument, PermissionDenied
from cluster.executor.create_payload import create_payload
from cluster.executor.node_policy import FORBIDDABLE, check_policy, parse_forbidden
from cluster.model.container import (
    BindOptions,
    ContainerSpec,
    Driver,
    Mount,
    Privileges,
    SeccompOptions,
    VolumeOptions,
)
from cluster.model.extensions import ContainerExtensions, Device, DeviceRequest, TaskExtensions
from cluster.model.ids import ClusterId
from cluster.model.node import NodeDescription
from cluster.model.service import NetworkAttachmentConfig
from cluster.model.task import Task
from tests.unit.cluster.executor.tasks import a_task


def request(task: Task) -> dict[str, Any]:
    return create_payload(task, NodeDescription(), ClusterId("c"), (1, 41))


def extended(**settings: Any) -> Task:
    return a_task(extensions=TaskExtensions(container=ContainerExtensions(**settings)))


def with_volume(driver: str, **options: str) -> Task:
    volume = VolumeOptions(driver_config=Driver(name=driver, options=options))
    mount = Mount(type="volume", source="data", target="/d", volume_options=volume)
    return a_task(ContainerSpec(image="app:1", mounts=(mount,)))


def with_bind() -> Task:
    bind = Mount(type="bind", source="/etc", target="/e", bind_options=BindOptions())
    return a_task(ContainerSpec(image="app:1", mounts=(bind,)))


def with_seccomp(mode: str) -> Task:
    privileges = Privileges(seccomp=SeccompOptions(mode=mode))
    return a_task(ContainerSpec(image="app:1", privileges=privileges))


@pytest.mark.parametrize(
    ("word", "task"),
    [
        ("privileged", extended(privileged=True)),
        ("host-binds", with_bind()),
        ("host-binds", with_volume("local", type="none", o="bind", device="/etc")),
        ("host-binds", with_volume("", type="ext4", device="/dev/sda1")),
        ("host-namespaces", a_task(networks=(NetworkAttachmentConfig(target="host"),))),
        ("host-namespaces", extended(pid="host")),
        ("host-namespaces", extended(ipc="host")),
        ("host-namespaces", extended(uts="host")),
        ("host-namespaces", extended(cgroup="host")),
        ("host-namespaces", extended(userns_mode="host")),
        ("host-namespaces", extended(cgroup_parent="/system.slice")),
        ("devices", extended(devices=(Device(source="/dev/fuse"),))),
        ("devices", extended(device_cgroup_rules=("c 1:3 rwm",))),
        ("devices", extended(device_requests=(DeviceRequest(count=-1, capabilities=("gpu",)),))),
        ("capabilities", a_task(ContainerSpec(image="app:1", capability_add=("CAP_SYS_ADMIN",)))),
        ("unconfined", with_seccomp("unconfined")),
        ("unconfined", extended(security_opt=("systempaths=unconfined",))),
        ("unconfined", extended(security_opt=("label:disable",))),
    ],
)
def test_what_reaches_into_the_node_is_refused_when_its_word_is_forbidden(
    word: str, task: Task
) -> None:
    made = request(task)
    with pytest.raises(PermissionDenied, match=f"stackd --forbid {word}"):
        check_policy(made, frozenset((word,)))
    check_policy(made, frozenset(FORBIDDABLE) - {word})
    check_policy(made, frozenset())


@pytest.mark.parametrize(
    "task",
    [
        a_task(),
        with_volume("local", type="nfs", o="addr=10.0.0.1", device=":/export"),
        with_volume("rexray", device="/dev/x"),
        extended(ipc="private", cgroup="private", cpu_shares=10),
        with_seccomp("default"),
    ],
)
def test_the_strictest_node_runs_ordinary_tasks(task: Task) -> None:
    check_policy(request(task), frozenset(FORBIDDABLE))


def test_words_are_separated_by_commas_and_checked() -> None:
    assert parse_forbidden("privileged, host-binds,") == {"privileged", "host-binds"}
    assert parse_forbidden("") == frozenset()
    with pytest.raises(InvalidArgument, match="'privilege' is none of privileged, host-binds"):
        parse_forbidden("privilege")
