from __future__ import annotations

from typing import Any

import pytest

from cluster.api.commands.service_check import check_published_networks, check_service_spec
from cluster.api.payloads.decoding import convert_tree
from cluster.errors import ClusterError, InvalidArgument, Unimplemented
from cluster.model.endpoint import PortConfig
from cluster.model.service import NetworkAttachmentConfig, ServiceSpec, TaskSpec


def _error(**members: Any) -> ClusterError:
    container = {"Image": "busybox", **members.pop("Container", {})}
    template = {"ContainerSpec": container, **members.pop("Template", {})}
    tree = {"Name": "web", "Mode": {"Global": {}}, "TaskTemplate": template, **members}
    with pytest.raises(ClusterError) as caught:
        check_service_spec(convert_tree(tree, ServiceSpec))
    return caught.value


def _generic(**resource: Any) -> dict[str, Any]:
    return {"Template": {"Resources": {"Reservations": {"GenericResources": [resource]}}}}


def _ports(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"Ports": [{"TargetPort": 80, **port} for port in ports]}


def _port(**members: Any) -> dict[str, Any]:
    return {"Ports": [{"TargetPort": 80, "PublishMode": "host", **members}]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Name": "bad name!"}, "name must be valid as a DNS name component"),
        ({"Name": "-a"}, "name must be valid as a DNS name component"),
        ({"Name": "a" * 64}, "name must be 63 characters or fewer"),
        ({"Name": ""}, "Name: it is required"),
        ({"Mode": {}}, "must specify only one service mode"),
        ({"Mode": {"Replicated": {}, "Global": {}}}, "must specify only one service mode"),
        ({"Mode": {"Replicated": {"Replicas": -1}}}, "Mode.Replicated.Replicas: -1 is below 0"),
        (
            {"Mode": {"Replicated": {"Replicas": 100_001}}},
            "Mode.Replicated.Replicas: 100001 is above 100000, the most of a service",
        ),
        ({"Container": {"Image": ""}}, "image reference must be provided"),
        ({"Container": {"Image": "Bad Image"}}, '"Bad Image" is not a valid repository/tag'),
        ({"Container": {"Env": ["A=1", "=2"]}}, "ContainerSpec.Env[1]: a variable without a name"),
        (
            {"Container": {"Mounts": [{"Type": "bind", "Target": "/a", "Source": "rel"}]}},
            "absolute",
        ),
        ({"Container": {"Mounts": [{"Type": "volume"}]}}, "Mounts[0].Target: it is required"),
        ({"Container": {"Mounts": [{"Type": "x", "Target": "/a"}]}}, "Mounts[0].Type: 'x'"),
        ({"Container": {"Mounts": [{"Target": "/a"}] * 2}}, "duplicate mount point: /a"),
        (
            {"Template": {"Resources": {"Limits": {"MemoryBytes": 1024}}}},
            "Resources.Limits.MemoryBytes: invalid memory value 1024: Must be at least 4MiB",
        ),
        ({"Template": {"Resources": {"Reservations": {"NanoCPUs": -5}}}}, "invalid cpu value"),
        ({"Template": {"Resources": {"Limits": {"Pids": -1}}}}, "Limits.Pids: -1 is below 0"),
        (_generic(DiscreteResourceSpec={"Kind": "gpu", "Value": -1}), "Value: -1 is below 1"),
        (_generic(DiscreteResourceSpec={"Value": 1}), "DiscreteResourceSpec.Kind: it is required"),
        (_generic(NamedResourceSpec={"Kind": "gpu"}), "Kind and Value are required"),
        (_generic(), "GenericResources[0]: give either NamedResourceSpec or Discrete"),
        ({"Template": {"RestartPolicy": {"Delay": -1}}}, "RestartPolicy.Delay: -1 is below 0"),
        ({"Template": {"Placement": {"Constraints": ["a", "noderole"]}}}, "Constraints[0]: "),
        ({"Template": {"Placement": {"Preferences": [{}]}}}, "SpreadDescriptor: it is required"),
        ({"UpdateConfig": {"Delay": -1}}, "UpdateConfig.Delay: -1 is below 0"),
        ({"RollbackConfig": {"MaxFailureRatio": 1.5}}, "1.5 is not between 0 and 1"),
        ({"EndpointSpec": {"Mode": "x"}}, "EndpointSpec.Mode: 'x' is neither vip nor dnsrr"),
        ({"EndpointSpec": _port(TargetPort=0)}, "Ports[0].TargetPort: 0 is no port number"),
        ({"EndpointSpec": _port(PublishedPort=70000)}, "PublishedPort: 70000 is no port number"),
        (
            {"EndpointSpec": {"Ports": _port(PublishedPort=80)["Ports"] * 2}},
            "Ports[1].PublishedPort: duplicate published ports provided: 80/tcp",
        ),
        (
            {"EndpointSpec": {"Mode": "dnsrr", **_port(PublishMode="ingress")}},
            "port published with ingress mode can't be used with dnsrr mode",
        ),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], message: str) -> None:
    error = _error(**members)
    assert isinstance(error, InvalidArgument)
    assert message in str(error)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"EndpointSpec": _port(PublishMode="ingress", Protocol="sctp")},
            "Ports[0].Protocol: sctp ports cannot be published in mode ingress",
        ),
        (
            {"EndpointSpec": _ports({"PublishMode": "host"}, {"PublishedPort": 81})},
            "Ports[0].PublishedPort: a port in mode host beside one in mode ingress must be named",
        ),
        ({"Container": {"Mounts": [{"Type": "cluster", "Target": "/a"}]}}, "cluster volumes"),
    ],
)
def test_what_is_not_there_yet_is_refused(members: dict[str, Any], message: str) -> None:
    error = _error(**members)
    assert isinstance(error, Unimplemented)
    assert message in str(error)


@pytest.mark.parametrize(
    "image",
    [
        "a",
        "busybox:1.36",
        "localhost:5000/a/b_c/d__e:v1.2-x",
        "Registry.example.com/team/app@sha256:" + "0" * 64,
        "10.0.0.1:5000/app:latest@sha256:" + "f" * 64,
    ],
)
def test_names_of_images(image: str) -> None:
    tree = {"Name": "a_b-c", "Mode": {"Global": {}}, "EndpointSpec": _port()}
    tree["TaskTemplate"] = {"ContainerSpec": {"Image": image}}
    check_service_spec(convert_tree(tree, ServiceSpec))


@pytest.mark.parametrize("image", ["a/UPPER", "a:", "a:b:c", "/a", "a//b", "a@sha256:12", "a b"])
def test_what_is_no_name_of_an_image(image: str) -> None:
    assert "is not a valid repository/tag" in str(_error(Container={"Image": image}))


@pytest.mark.parametrize("network", ["host", "none", "bridge"])
def test_ports_on_all_nodes_lead_to_networks_of_the_cluster(network: str) -> None:
    template = TaskSpec(networks=(NetworkAttachmentConfig(target=network),))
    port = PortConfig(target_port=80, publish_mode="host")
    check_published_networks(template, [port])
    ingress = PortConfig(target_port=80, publish_mode="ingress")
    with pytest.raises(InvalidArgument, match=rf"Networks\[0\]: {network}: port 80 is published"):
        check_published_networks(template, [port, ingress])
