"""Short ways to try commands on a state."""

from __future__ import annotations

from typing import TypeVar

from cluster.model.container import ContainerSpec
from cluster.model.ids import NodeId
from cluster.model.meta import Meta
from cluster.model.node import ManagerStatus, Node, NodeSpec, NodeState, NodeStatus
from cluster.model.service import ServiceSpec, TaskSpec

T = TypeVar("T")


def spec(name: str = "web", image: str = "busybox", **members: object) -> ServiceSpec:
    template = TaskSpec(container_spec=ContainerSpec(image=image))
    return ServiceSpec(**{"name": name, "task_template": template, **members})  # type: ignore[arg-type]


def node(node_id: str, *, state: NodeState = "ready", is_manager: bool = False) -> Node:
    return Node(
        id=NodeId(node_id),
        meta=Meta(),
        spec=NodeSpec(name=f"name-{node_id}", role="manager" if is_manager else "worker"),
        role="manager" if is_manager else "worker",
        status=NodeStatus(state=state),
        manager_status=ManagerStatus(raft_id=1, addr="a:1") if is_manager else None,
    )
