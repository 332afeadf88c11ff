from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.nodes import node_json
from cluster.api.payloads.decoding import convert_tree
from cluster.model.ids import NodeId
from cluster.model.node import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus
from tests.unit.cluster.api.golden_files import as_json, golden, meta


def _stored(shown: dict[str, Any]) -> Node:
    return Node(
        id=NodeId(shown["ID"]),
        meta=meta(shown),
        spec=convert_tree(shown["Spec"], NodeSpec),
        role=shown["Spec"]["Role"],
        description=convert_tree(shown["Description"], NodeDescription),
        status=NodeStatus(state=shown["Status"]["State"], addr=shown["Status"]["Addr"]),
        manager_status=ManagerStatus(raft_id=1, addr=shown["ManagerStatus"]["Addr"]),
    )


def test_managers_look_as_recorded() -> None:
    for shown in golden("node-list-2managers"):
        is_leader = shown["ManagerStatus"].get("Leader", False)
        assert as_json(node_json(_stored(shown), is_leader=is_leader)) == shown


def test_a_manager_that_is_down_is_unreachable() -> None:
    node = _stored(golden("node-list-2managers")[0])
    node = msgspec.structs.replace(node, status=NodeStatus(state="down", message="late"))
    shown = node_json(node, is_leader=False)
    assert shown["Status"] == {"State": "down", "Message": "late"}
    assert shown["ManagerStatus"]["Reachability"] == "unreachable"


def test_a_new_worker_has_an_empty_description() -> None:
    shown = node_json(
        Node(id=NodeId("n"), meta=meta(golden("node-list-2managers")[0])), is_leader=False
    )
    assert shown["Description"] == {}
    assert "ManagerStatus" not in shown
