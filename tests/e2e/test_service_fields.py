"""Every member of a service's spec that a container can show, from the API to a real engine."""

from __future__ import annotations

import base64
import json
from functools import reduce
from typing import Any

import pytest

from tests.support.cluster import MANAGER, Cluster
from tests.support.lab_host import LabError

IMAGE = "stackyard/test:1"
SECCOMP = json.dumps({"defaultAction": "SCMP_ACT_ALLOW"})
SECOND_NS = 1_000_000_000

# member of TaskTemplate.ContainerSpec: (what is sent, place in the container's description, what is
# there); a list or map must hold what is expected and may hold more
CONTAINER: dict[str, tuple[Any, str, Any]] = {
    "Image": (IMAGE, "Config.Image", IMAGE),
    "Labels": ({"a.b": "c"}, "Config.Labels", {"a.b": "c"}),
    "Command": (["/bin/sh", "-c"], "Config.Entrypoint", ["/bin/sh", "-c"]),
    "Args": (["sleep 1000"], "Config.Cmd", ["sleep 1000"]),
    "Hostname": ("{{.Service.Name}}-{{.Task.Slot}}", "Config.Hostname", "fields-1"),
    "Env": (
        ["A=1", "NODE={{.Node.Hostname}}", "NAME={{.Task.Name}}"],
        "Config.Env",
        ["A=1", "NODE=h1"],
    ),
    "Dir": ("/tmp", "Config.WorkingDir", "/tmp"),
    "User": ("0:5", "Config.User", "0:5"),
    "Groups": (["6", "7"], "HostConfig.GroupAdd", ["6", "7"]),
    "Init": (True, "HostConfig.Init", True),
    "StopSignal": ("SIGINT", "Config.StopSignal", "SIGINT"),
    "StopGracePeriod": (2 * SECOND_NS, "Config.StopTimeout", 2),
    "TTY": (True, "Config.Tty", True),
    "OpenStdin": (True, "Config.OpenStdin", True),
    "ReadOnly": (True, "HostConfig.ReadonlyRootfs", True),
    "Healthcheck": (
        {
            "Test": ["CMD", "true"],
            "Interval": SECOND_NS,
            "Timeout": 2 * SECOND_NS,
            "Retries": 4,
            "StartPeriod": 3 * SECOND_NS,
        },
        "Config.Healthcheck",
        {"Test": ["CMD", "true"], "Interval": SECOND_NS, "Timeout": 2 * SECOND_NS, "Retries": 4},
    ),
    "Hosts": (["10.0.0.5 db data"], "HostConfig.ExtraHosts", ["db:10.0.0.5", "data:10.0.0.5"]),
    "DNSConfig": (
        {"Nameservers": ["9.9.9.9"], "Search": ["example"], "Options": ["ndots:1"]},
        "HostConfig",
        {"Dns": ["9.9.9.9"], "DnsSearch": ["example"], "DnsOptions": ["ndots:1"]},
    ),
    "Sysctls": (
        {"net.ipv4.ip_unprivileged_port_start": "80"},
        "HostConfig.Sysctls",
        {"net.ipv4.ip_unprivileged_port_start": "80"},
    ),
    "CapabilityAdd": (["CAP_NET_ADMIN"], "HostConfig.CapAdd", ["CAP_NET_ADMIN"]),
    "CapabilityDrop": (["CAP_CHOWN"], "HostConfig.CapDrop", ["CAP_CHOWN"]),
    "Ulimits": (
        [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "HostConfig.Ulimits",
        [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    ),
    "OomScoreAdj": (100, "HostConfig.OomScoreAdj", 100),
    "Privileges": (
        {
            "NoNewPrivileges": True,
            "Seccomp": {"Mode": "custom", "Profile": base64.b64encode(SECCOMP.encode()).decode()},
        },
        "HostConfig.SecurityOpt",
        ["no-new-privileges", f"seccomp={SECCOMP}"],
    ),
    "Mounts": (
        [
            {"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": True,
             "BindOptions": {"Propagation": "private"}},
            {"Type": "volume", "Source": "v-{{.Task.Slot}}", "Target": "/v",
             "VolumeOptions": {"NoCopy": True, "Labels": {"x": "y"},
                               "DriverConfig": {"Name": "local"}}},
            {"Type": "volume", "Target": "/anonymous"},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}},
        ],
        "HostConfig.Mounts",
        [
            {"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": True,
             "BindOptions": {"Propagation": "private"}},
            {"Type": "volume", "Source": "v-1", "Target": "/v",
             "VolumeOptions": {"NoCopy": True, "Labels": {"x": "y"},
                               "DriverConfig": {"Name": "local"}}},
            {"Type": "volume", "Target": "/anonymous"},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}},
        ],
    ),
}  # fmt: skip

# the same for members of TaskTemplate beside the container's
TEMPLATE: dict[str, tuple[Any, str, Any]] = {
    "Resources": (
        {
            "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20, "Pids": 50},
            "Reservations": {"NanoCPUs": 1_000_000, "MemoryBytes": 16 << 20},
        },
        "HostConfig",
        {
            "NanoCpus": 500_000_000,
            "Memory": 64 << 20,
            "PidsLimit": 50,
            "MemoryReservation": 16 << 20,
        },
    ),
    "LogDriver": (
        {"Name": "json-file", "Options": {"max-size": "1m"}},
        "HostConfig.LogConfig",
        {"Type": "json-file", "Config": {"max-size": "1m"}},
    ),
}


def holds(there: Any, expected: Any) -> bool:
    """Whether a value holds what is expected, in whatever order."""
    if isinstance(expected, dict):
        return isinstance(there, dict) and all(
            holds(there.get(name), value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(there, list) and all(
            any(holds(one, value) for one in there) for value in expected
        )
    return bool(there == expected)


def test_a_container_has_all_that_its_service_says(cluster: Cluster) -> None:
    spec = {
        "Name": "fields",
        "TaskTemplate": {
            "ContainerSpec": {name: sent for name, (sent, _, _) in CONTAINER.items()},
            "Placement": {"Constraints": ["node.hostname==h1"]},
            **{name: sent for name, (sent, _, _) in TEMPLATE.items()},
        },
        "EndpointSpec": {
            "Ports": [
                {"TargetPort": 80, "PublishedPort": 18099, "Protocol": "udp", "PublishMode": "host"}
            ]
        },
    }
    cluster.api("POST", "/services/create", spec)
    (container,) = cluster.wait_running("fields", 1)
    assert container.host == MANAGER
    shown = cluster.inspect(container)
    for name, (_, place, expected) in {**CONTAINER, **TEMPLATE}.items():
        there = reduce(lambda value, part: value[part], place.split("."), shown)
        assert holds(there, expected), f"{name}: {place} is {there}, not {expected}"
    assert "NAME=fields.1." + container.task in shown["Config"]["Env"]
    assert shown["HostConfig"]["PortBindings"] == {"80/udp": [{"HostIp": "", "HostPort": "18099"}]}
    # what was sent is what is shown again
    template = cluster.service("fields")["Spec"]["TaskTemplate"]
    for name, (sent, _, _) in CONTAINER.items():
        assert holds(template["ContainerSpec"][name], sent), name


# a wrong member: what is sent beside a right spec, and where the error says it is
WRONG: dict[str, dict[str, Any]] = {
    "TaskTemplate.ContainerSpec.Image": {"Image": "Not An Image"},
    "TaskTemplate.ContainerSpec.Env[1]": {"Env": ["A=1", "=2"]},
    "TaskTemplate.ContainerSpec.Hostname": {"Hostname": "{{.Nothing}}"},
    "TaskTemplate.ContainerSpec.Hosts[0]": {"Hosts": ["name"]},
    "TaskTemplate.ContainerSpec.StopSignal": {"StopSignal": "SIGNOTHING"},
    "TaskTemplate.ContainerSpec.StopGracePeriod": {"StopGracePeriod": -1},
    "TaskTemplate.ContainerSpec.Healthcheck.Interval": {"Healthcheck": {"Interval": 1}},
    "TaskTemplate.ContainerSpec.Mounts[0].Type": {"Mounts": [{"Type": "x", "Target": "/a"}]},
    "TaskTemplate.ContainerSpec.Mounts[0].Target": {"Mounts": [{"Type": "tmpfs", "Target": "a"}]},
    "TaskTemplate.ContainerSpec.Mounts[0].Source": {
        "Mounts": [{"Type": "bind", "Source": "a", "Target": "/a"}]
    },
    "ContainerSpec.Ulimits[0].Soft": {"Ulimits": [{"Name": "nofile", "Soft": "x"}]},
    "ContainerSpec.TTY": {"TTY": "yes"},
    "ContainerSpec.Sysctls": {"Sysctls": ["a=b"]},
}


@pytest.mark.parametrize("place", WRONG)
def test_a_wrong_member_is_refused_with_its_place(cluster: Cluster, place: str) -> None:
    container = {"Image": IMAGE, **WRONG[place]}
    spec = {"Name": "wrong", "TaskTemplate": {"ContainerSpec": container}}
    with pytest.raises(LabError, match=r": 400 ") as refused:
        cluster.api("POST", "/services/create", spec)
    assert place in str(refused.value)
