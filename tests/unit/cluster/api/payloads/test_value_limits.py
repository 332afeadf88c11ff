from __future__ import annotations

import msgspec
import pytest

from cluster.api.payloads.decoding import convert_tree
from cluster.api.payloads.extensions import decode_extensions
from cluster.api.payloads.swarm import decode_cluster_spec, decode_init
from cluster.api.versions import NEWEST
from cluster.errors import InvalidArgument
from cluster.model.extensions import EXTENSION_LABEL
from cluster.model.node import NodeSpec
from cluster.model.service import ServiceSpec

TEMPLATE = "TaskTemplate"


def _error(tree: dict[str, object], kind: type[msgspec.Struct] = ServiceSpec) -> str:
    with pytest.raises(InvalidArgument) as caught:
        convert_tree(tree, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {TEMPLATE: {"RestartPolicy": {"Delay": 2**63}}},
            "TaskTemplate.RestartPolicy.Delay: 9223372036854775808 is above 9223372036854775807: ",
        ),
        (
            {"Mode": {"Replicated": {"Replicas": 2**64}}},
            "Replicas: 18446744073709551616 is above 18446744073709551615: allowed are 0 to 1844",
        ),
        ({"Mode": {"Replicated": {"Replicas": -1}}}, "Mode.Replicated.Replicas: -1 is below 0"),
        ({TEMPLATE: {"ForceUpdate": 2**64}}, "TaskTemplate.ForceUpdate: "),
        ({TEMPLATE: {"ForceUpdate": -1}}, "TaskTemplate.ForceUpdate: -1 is below 0"),
        ({"UpdateConfig": {"Parallelism": 2**64}}, "UpdateConfig.Parallelism: "),
        ({"RollbackConfig": {"Monitor": 2**63}}, "RollbackConfig.Monitor: "),
        ({TEMPLATE: {"RestartPolicy": {"MaxAttempts": 2**64}}}, "RestartPolicy.MaxAttempts: "),
        ({TEMPLATE: {"Placement": {"MaxReplicas": 2**64}}}, "Placement.MaxReplicas: "),
        ({TEMPLATE: {"Resources": {"Limits": {"NanoCPUs": 2**63}}}}, "Resources.Limits.NanoCPUs: "),
        ({TEMPLATE: {"ContainerSpec": {"Ulimits": [{"Hard": 2**63}]}}}, "Ulimits[0].Hard: "),
        ({"EndpointSpec": {"Ports": [{"TargetPort": 2**32}]}}, "EndpointSpec.Ports[0].TargetPort"),
        ({"EndpointSpec": {"Ports": [{"PublishedPort": -1}]}}, "Ports[0].PublishedPort: -1"),
        (
            {TEMPLATE: {"ContainerSpec": {"Mounts": [{"TmpfsOptions": {"Mode": 2**32}}]}}},
            "Mounts[0].TmpfsOptions.Mode: 4294967296 is above 4294967295",
        ),
    ],
)
def test_a_number_that_clients_cannot_read_is_refused(
    tree: dict[str, object], message: str
) -> None:
    assert message in _error(tree)


def test_the_greatest_numbers_are_taken() -> None:
    tree = {
        "Mode": {"Replicated": {"Replicas": 2**64 - 1}},
        TEMPLATE: {"RestartPolicy": {"Delay": 2**63 - 1}, "ForceUpdate": 2**64 - 1},
    }
    assert convert_tree(tree, ServiceSpec).task_template.force_update == 2**64 - 1


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({"Dispatcher": {"HeartbeatPeriod": 2**63}}, "Dispatcher.HeartbeatPeriod: "),
        ({"Raft": {"SnapshotInterval": 2**64}}, "Raft.SnapshotInterval: "),
        ({"CAConfig": {"NodeCertExpiry": 2**63}}, "CAConfig.NodeCertExpiry: "),
        ({"CAConfig": {"ForceRotate": -1}}, "CAConfig.ForceRotate: -1 is below 0"),
    ],
)
def test_the_cluster_has_the_same_limits(tree: dict[str, object], place: str) -> None:
    with pytest.raises(InvalidArgument, match=place):
        decode_cluster_spec(msgspec.json.encode(tree | {"Name": "default"}))
    with pytest.raises(InvalidArgument, match="Spec." + place):
        decode_init(msgspec.json.encode({"Spec": tree}), NEWEST)


def test_the_extension_label_has_the_same_limits() -> None:
    label = {EXTENSION_LABEL: '{"container":{"shm_size":18446744073709551616}}'}
    with pytest.raises(
        InvalidArgument, match=r"container\.shm_size: 18446744073709551616 is above"
    ):
        decode_extensions(label)
    label = {EXTENSION_LABEL: '{"container":{"domainname":"a\\u0000"}}'}
    with pytest.raises(InvalidArgument, match=r"container\.domainname: holds a NUL"):
        decode_extensions(label)


@pytest.mark.parametrize(
    ("container", "place"),
    [
        ({"Env": ["B=1", "s3cret\0=1"]}, "Env[1]: "),
        ({"Env": ["A=s3cret\0"]}, "Env[0]: "),
        ({"Command": ["s3cret\0"]}, "Command[0]: "),
        ({"Args": ["s3cret\0"]}, "Args[0]: "),
        ({"Hostname": "s3cret\0"}, "Hostname: "),
        ({"User": "s3cret\0"}, "User: "),
        ({"Mounts": [{"Source": "s3cret\0"}]}, "Mounts[0].Source: "),
        ({"Labels": {"a": "s3cret\0"}}, "Labels['a']: "),
        ({"Labels": {"a\0": "s3cret"}}, "Labels['a\\x00']: the key holds a NUL"),
        ({"Labels": {"a\nb": "s3cret"}}, "Labels['a\\nb']: the key holds a line break"),
    ],
)
def test_a_text_with_a_nul_is_refused_without_being_shown(
    container: dict[str, object], place: str
) -> None:
    error = _error({TEMPLATE: {"ContainerSpec": container}})
    assert f"TaskTemplate.ContainerSpec.{place}" in error
    assert "s3cret" not in error


def test_labels_of_nodes_are_looked_at_too() -> None:
    assert "Labels['a\\nb']" in _error({"Labels": {"a\nb": ""}}, NodeSpec)
