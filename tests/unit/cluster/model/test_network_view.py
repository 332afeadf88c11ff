from __future__ import annotations

import msgspec

from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network_view import (
    IngressView,
    NetworkView,
    NodeView,
    PeerNode,
    PublishedPort,
    TaskEndpoint,
)

VIEW = NodeView(
    own_index=2,
    own_address="10.0.0.2",
    nodes=(PeerNode(index=2, address="10.0.0.2", node_id=NodeId("n2")),),
    ingress=IngressView(
        network=NetworkView(
            id=NetworkId("i"),
            name="ingress",
            vni=0x100000,
            subnet="10.255.0.0/16",
            gateway="10.255.255.254",
            tasks=(
                TaskEndpoint(
                    task_id=TaskId("t"),
                    name="web.1.t",
                    address="10.255.0.9",
                    node_index=2,
                    service_id=ServiceId("s"),
                    state="serving",
                ),
            ),
        ),
        own_address="10.255.0.2",
        node_addresses={2: "10.255.0.2"},
        ports=(
            PublishedPort(
                protocol="tcp", published_port=8080, target_port=80, service_id=ServiceId("s")
            ),
        ),
    ),
    revision=7,
)


def test_a_view_survives_json_numbers_of_nodes_as_keys_included() -> None:
    assert msgspec.json.decode(msgspec.json.encode(VIEW), type=NodeView) == VIEW


def test_members_are_spelled_as_in_python() -> None:
    document = msgspec.json.decode(msgspec.json.encode(VIEW))
    assert document["own_address"] == "10.0.0.2"
    assert document["ingress"]["node_addresses"] == {"2": "10.255.0.2"}
    assert document["ingress"]["network"]["tasks"][0]["node_index"] == 2
